//! Deep chains in large rings: transforms of single limbs, key switches, and sums of products and multiples.
//!
//! `cargo bench -p cipherloom-ckks --features insecure-test-parameters --bench large`; on one thread. Each group
//! names its ring, chain, digits and the number of transforms of a key switch, so that its time can be set against
//! that many transforms. Keys and ciphertexts are uniformly random, which costs the same as real ones.

#![allow(clippy::unwrap_used)]

use cipherloom_ckks::xof::{Seed, uniform_limb};
use cipherloom_ckks::{
    Ciphertext, Combination, Domain, EvaluationKeys, Evaluator, Parameters, Poly,
    SeededEvaluationKeys, SeededSwitchingKey,
};
use cipherloom_ir::Scale;
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::security::Security;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;

fn literal(log_n: u32, limbs: usize, bits: f64, digit_size: usize) -> CkksLiteral {
    let q = ntt_primes_near(log_n, bits, limbs, &[]);
    let special = bits + 3.1 / digit_size as f64;
    let p = ntt_primes_near(log_n, special, digit_size, &q);
    CkksLiteral {
        log_n,
        q,
        p,
        digit_size,
        security: Security::Classical128,
    }
}

fn random(params: &Parameters, level: usize, special: bool, index: u64) -> Poly {
    let mut poly = Poly::zero(params, level, special, Domain::Ntt);
    for i in 0..poly.limbs() {
        let prime = params.prime(level, i).unwrap();
        let seed = Seed([7; 32]);
        uniform_limb(&seed, "large bench", index, i, prime, poly.limb_mut(i));
    }
    poly
}

/// One limb there and back, by the size of its prime.
fn transforms(c: &mut Criterion) {
    for log_n in [15, 16] {
        let mut group = c.benchmark_group(format!("NTT of 2^{log_n}"));
        for bits in [31.9_f64, 40.0, 49.9] {
            let params = literal(log_n, 1, bits.min(46.0), 1);
            let q = ntt_primes_near(log_n, bits, 1, &params.p);
            let params = Parameters::insecure_for_tests(&CkksLiteral { q, ..params });
            let Ok(params) = params else { continue };
            let x = random(&params, 0, false, 1);
            let mut y = x.clone();
            y.to_coefficients(&params);
            group.bench_function(format!("forward, {bits:.0} bits"), |b| {
                b.iter_batched_ref(|| y.clone(), |y| y.to_ntt(&params), BatchSize::LargeInput);
            });
            group.bench_function(format!("inverse, {bits:.0} bits"), |b| {
                let inverse = |x: &mut Poly| x.to_coefficients(&params);
                b.iter_batched_ref(|| x.clone(), inverse, BatchSize::LargeInput);
            });
        }
        group.finish();
    }
}

fn switches(c: &mut Criterion) {
    for (log_n, limbs, bits, digit_size) in [
        (15, 20, 30.0, 3),
        (15, 20, 38.0, 3),
        (16, 24, 45.0, 4),
        (16, 28, 45.0, 7),
    ] {
        let params = Parameters::insecure_for_tests(&literal(log_n, limbs, bits, digit_size));
        let params = params.unwrap();
        let level = params.max_level();
        let key = |index: u64| {
            let b = (0..params.digits(level) as u64)
                .map(|d| random(&params, level, true, 100 * index + d))
                .collect();
            SeededSwitchingKey::new(&params, level, Seed([9; 32]), b).unwrap()
        };
        let keys: EvaluationKeys = SeededEvaluationKeys {
            relinearization: Some(key(0)),
            rotations: [(1, key(1))].into(),
            ..SeededEvaluationKeys::default()
        }
        .expand(&params);
        let evaluator = Evaluator::new(&params);
        let operands: Vec<Ciphertext> = (0..9)
            .map(|i| {
                let parts = [0, 1].map(|part| random(&params, level, false, 7 * i + part));
                let [c0, c1] = parts;
                Ciphertext::new(c0, c1, Scale::pow2(28)).unwrap()
            })
            .collect();
        let whole = (params.digits(level) + 2) * (limbs + digit_size);
        let mut group = c.benchmark_group(format!(
            "2^{log_n}, {limbs} x {bits:.0}, digits of {digit_size}, {whole} transforms"
        ));
        group.sample_size(10);
        group.bench_function("rotate", |b| {
            b.iter(|| black_box(evaluator.rotate(&operands[0], 1, &keys).unwrap()));
        });
        group.bench_function("square and rescale", |b| {
            b.iter(|| black_box(evaluator.square_rescaled(&operands[0], &keys).unwrap()));
        });
        let plain = Scale::pow2(28);
        let terms: Vec<_> = operands.iter().map(|y| (y, 0.3, &plain)).collect();
        let product = vec![(&operands[0], &operands[1])];
        for (name, products) in [("1 product, 9 multiples", product), ("9 multiples", vec![])] {
            let sum = Combination {
                products,
                gain: 1,
                terms: terms.clone(),
                constant: 0.5,
            };
            group.bench_function(name, |b| {
                b.iter(|| black_box(evaluator.combine(&sum, level, true, &keys).unwrap()));
            });
        }
        group.bench_function("rescale", |b| {
            b.iter(|| black_box(evaluator.rescale(&operands[0]).unwrap()));
        });
        group.finish();
    }
}

fn benches(c: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
    pool.build_global().unwrap();
    transforms(c);
    switches(c);
}

criterion_group! {
    name = large;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(500)).measurement_time(std::time::Duration::from_secs(2));
    targets = benches
}
criterion_main!(large);
