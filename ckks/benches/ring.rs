//! Operations on single ring elements, below those of the scheme: transforms, products, automorphisms, packing.
//!
//! `cargo bench -p cipherloom-ckks --features insecure-test-parameters --bench ring`; on one thread. Times are those of
//! the kernels that the CPU offers.

#![allow(clippy::unwrap_used)]

use cipherloom_ckks::packing::{pack_poly, unpack_poly};
use cipherloom_ckks::xof::{Seed, uniform_limb};
use cipherloom_ckks::{Domain, Parameters, Poly};
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::security::Security;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

/// Four primes of the chain near 2^28, which fit 32-bit words, or near 2^45, which do not.
fn params(log_n: u32, bits: f64) -> Parameters {
    let q = ntt_primes_near(log_n, bits, 4, &[]);
    let p = ntt_primes_near(log_n, bits + 4.0, 1, &q);
    let literal = CkksLiteral {
        log_n,
        q,
        p,
        digit_size: 1,
        security: Security::Classical128,
    };
    Parameters::insecure_for_tests(&literal).unwrap()
}

fn random(params: &Parameters, index: u64) -> Poly {
    let level = params.max_level();
    let mut poly = Poly::zero(params, level, false, Domain::Ntt);
    for (i, prime) in params.q().iter().enumerate() {
        let seed = Seed([7; 32]);
        uniform_limb(&seed, "ring bench", index, i, *prime, poly.limb_mut(i));
    }
    poly
}

fn operations(c: &mut Criterion, params: &Parameters, name: &str) {
    let (x, y) = (random(params, 0), random(params, 1));
    let mut coefficients = x.clone();
    coefficients.to_coefficients(params);
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements((x.limbs() * params.n()) as u64));
    let mut change = |name: &str, start: &Poly, operation: &dyn Fn(&mut Poly)| {
        group.bench_function(name, |b| {
            let batch = BatchSize::LargeInput;
            b.iter_batched_ref(|| start.clone(), |poly| operation(poly), batch);
        });
    };
    change("NTT forward", &coefficients, &|p| p.to_ntt(params));
    change("NTT inverse", &x, &|p| p.to_coefficients(params));
    change("product", &x, &|p| p.mul_assign(&y, params).unwrap());
    change("sum", &x, &|p| p.add_assign(&y, params).unwrap());
    group.bench_function("automorphism", |b| {
        b.iter(|| black_box(x.automorphism(5, params).unwrap()));
    });
    let mut packed = Vec::new();
    pack_poly(params, &x, &mut packed).unwrap();
    group.bench_function("unpack", |b| {
        b.iter(|| {
            black_box(unpack_poly(params, params.max_level(), false, &packed, "bench").unwrap())
        });
    });
    group.finish();
}

fn benches(c: &mut Criterion) {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()
        .unwrap();
    for log_n in [13, 14] {
        operations(c, &params(log_n, 28.0), &format!("2^{log_n}, 28 bits"));
        operations(c, &params(log_n, 45.0), &format!("2^{log_n}, 45 bits"));
    }
}

criterion_group! {
    name = ring;
    config = Criterion::default().sample_size(20);
    targets = benches
}
criterion_main!(ring);
