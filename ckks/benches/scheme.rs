//! Operations of the scheme on random data, at one and two threads.
//!
//! `cargo bench -p cipherloom-ckks --features insecure-test-parameters`. Keys and ciphertexts are uniformly random,
//! which costs the same as real ones.

#![allow(clippy::unwrap_used)]

use cipherloom_ckks::encoding::Encoder;
use cipherloom_ckks::xof::{Seed, uniform_limb};
use cipherloom_ckks::{
    Ciphertext, Domain, EvaluationKeys, Evaluator, KeyName, LinearTransform, Parameters, Poly,
};
use cipherloom_ckks::{SeededEvaluationKeys, SeededSwitchingKey};
use cipherloom_ir::Scale;
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::plan::{Block, Diagonal, Transform};
use cipherloom_ir::security::Security;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;

struct Setup {
    name: &'static str,
    params: Parameters,
    evaluator: Evaluator,
    keys: EvaluationKeys,
    seeded: SeededEvaluationKeys,
    ciphertext: Ciphertext,
}

fn random(params: &Parameters, level: usize, special: bool, index: u64) -> Poly {
    let mut poly = Poly::zero(params, level, special, Domain::Ntt);
    for i in 0..poly.limbs() {
        let prime = params.prime(level, i).unwrap();
        uniform_limb(
            &Seed([7; 32]),
            "cipherloom bench",
            index,
            i,
            prime,
            poly.limb_mut(i),
        );
    }
    poly
}

fn setup(
    name: &'static str,
    log_n: u32,
    q_bits: &[f64],
    p_bits: &[f64],
    digit_size: usize,
) -> Setup {
    let mut q: Vec<u64> = Vec::new();
    for bits in q_bits.iter().chain(p_bits) {
        q.extend(ntt_primes_near(log_n, *bits, 1, &q));
    }
    let p = q.split_off(q_bits.len());
    let literal = CkksLiteral {
        log_n,
        q,
        p,
        digit_size,
        security: Security::Classical128,
    };
    let params = Parameters::new(&literal).unwrap();
    let level = params.max_level();
    let key = |index: u64| {
        let b = (0..params.digits(level) as u64)
            .map(|d| random(&params, level, true, 100 * index + d))
            .collect();
        SeededSwitchingKey::new(&params, level, Seed([9; 32]), b).unwrap()
    };
    let rotations = (0..16)
        .chain((16..128).step_by(16))
        .skip(1)
        .map(|r| (r, key(u64::from(r))))
        .collect();
    let seeded = SeededEvaluationKeys {
        relinearization: Some(key(0)),
        rotations,
        ..SeededEvaluationKeys::default()
    };
    let keys = seeded.expand(&params);
    let scale = Scale::pow2(28);
    let ciphertext = Ciphertext::new(
        random(&params, level, false, 1),
        random(&params, level, false, 2),
        scale,
    )
    .unwrap();
    Setup {
        name,
        evaluator: Evaluator::new(&params),
        params,
        keys,
        seeded,
        ciphertext,
    }
}

fn transform(params: &Parameters, period: usize, diagonals: u32) -> Transform {
    let values = |r: u32| {
        (0..period)
            .map(|i| f64::from((i as u32 * 7 + r) % 19) / 19.0 - 0.5)
            .collect()
    };
    let diagonals = (0..diagonals)
        .map(|rotation| Diagonal {
            rotation,
            values: values(rotation),
        })
        .collect();
    Transform {
        name: "bench".into(),
        period,
        samples: 1,
        level: params.max_level(),
        plain_scale: Scale::pow2(24),
        baby_step: 16,
        folds: vec![],
        blocks: vec![Block {
            row: 0,
            col: 0,
            diagonals,
        }],
    }
}

fn operations(c: &mut Criterion) {
    let leveled = setup(
        "2^13, 6 x 28 + 34",
        13,
        &[31.0, 28.0, 28.0, 28.0, 28.0, 28.0],
        &[34.01],
        1,
    );
    let a = setup(
        "2^14, 8 x 40, 2 special, 4 digits",
        14,
        &[45.0, 40.0, 40.0, 40.0, 40.0, 40.0, 40.0, 40.0],
        &[45.0, 45.0],
        2,
    );
    for setup in [&leveled, &a] {
        let Setup {
            params,
            evaluator,
            keys,
            ciphertext,
            ..
        } = setup;
        let encoder = Encoder::new(params);
        let compact =
            LinearTransform::new(params, &encoder, &transform(params, 1024, 128)).unwrap();
        let full = LinearTransform::new(params, &encoder, &transform(params, params.slots(), 128))
            .unwrap();
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut group = c.benchmark_group(format!("{} T{threads}", setup.name));
            group.sample_size(20);
            let mut bench = |name: &str, run: &(dyn Fn() + Sync)| {
                // The loop runs inside the pool, as a server's would.
                let timed = |iterations: u64| {
                    pool.install(|| {
                        let start = Instant::now();
                        (0..iterations).for_each(|_| run());
                        start.elapsed()
                    })
                };
                group.bench_function(name, |b| b.iter_custom(timed));
            };
            bench("rotate", &|| {
                drop(black_box(evaluator.rotate(ciphertext, 1, keys).unwrap()))
            });
            bench("square and rescale", &|| {
                drop(black_box(
                    evaluator.square_rescaled(ciphertext, keys).unwrap(),
                ))
            });
            bench("rescale", &|| {
                drop(black_box(evaluator.rescale(ciphertext).unwrap()))
            });
            let steps: Vec<u32> = (1..16).collect();
            bench("15 hoisted rotations", &|| {
                drop(black_box(
                    evaluator.rotate_hoisted(ciphertext, &steps, keys).unwrap(),
                ))
            });
            for (name, linear) in [
                ("128 diagonals of period 1024", &compact),
                ("128 full diagonals", &full),
            ] {
                bench(name, &|| {
                    drop(black_box(
                        evaluator
                            .linear_transform(linear, &[ciphertext], keys, true)
                            .unwrap(),
                    ));
                });
            }
            bench("encode 128 diagonals of period 1024", &|| {
                drop(black_box(
                    LinearTransform::new(params, &encoder, &transform(params, 1024, 128)).unwrap(),
                ));
            });
            bench("expand a rotation key", &|| {
                drop(black_box(
                    setup.seeded.rotations[&1].expand(params, KeyName::Rotation(1)),
                ));
            });
            group.finish();
        }
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
