//! How long the client's work takes with keys as many and as large as those of a small network at N = 2^13.

use cipherloom_ckks::xof::{Seed, uniform_limb};
use cipherloom_client::Client;
use cipherloom_ir::Scale;
use cipherloom_ir::container::PlanId;
use cipherloom_ir::layout::Layout;
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::plan::{ClientPlan, KeyRequest, PlanPort, RotationKeySpec};
use cipherloom_ir::security::Security;
use cipherloom_ir::value::{DType, Range, Tensor, Tensors};
use criterion::{Criterion, criterion_group, criterion_main};

/// Six primes, one special one; 60 rotations at levels 1 to 5 and a relinearisation at level 5.
fn plan() -> ClientPlan {
    let mut q = ntt_primes_near(13, 30.9, 1, &[]);
    q.extend(ntt_primes_near(13, 28.0, 5, &q));
    let p = ntt_primes_near(13, 34.01, 1, &q);
    let params = CkksLiteral {
        log_n: 13,
        q,
        p,
        digit_size: 1,
        security: Security::Classical128,
    };
    let port = |name: &str, level| PlanPort {
        name: name.into(),
        shape: vec![1, 4096],
        dtype: DType::F32,
        batched: true,
        clear: false,
        range: Range { lo: -1.0, hi: 1.0 },
        layout: Layout::dense(vec![1, 4096], 4096),
        level,
        scale: Scale::pow2(28),
        registers: vec![],
        noise: 0.0,
    };
    let rotation = |steps: u32| RotationKeySpec {
        steps,
        level: 1 + steps % 5,
    };
    ClientPlan {
        plan_id: PlanId::default(),
        name: "bench".into(),
        inputs: vec![port("x", 5)],
        outputs: vec![port("y", 0)],
        keys: KeyRequest {
            relinearization: Some(5),
            rotations: (1..=60).map(rotation).collect(),
            conjugation: None,
        },
        tail: None,
        params,
    }
}

fn bench(criterion: &mut Criterion) {
    let client = match Client::new(plan()) {
        Ok(client) => client,
        Err(error) => {
            eprintln!("the plan is refused: {error}");
            return;
        }
    };
    let inputs: Tensors = Tensor::filled(vec![1, 4096], 0.5)
        .map(|tensor| ("x".to_owned(), tensor))
        .into_iter()
        .collect();
    criterion.bench_function("evaluation keys", |b| b.iter(|| client.evaluation_key()));
    criterion.bench_function("public key", |b| b.iter(|| client.public_key()));
    criterion.bench_function("encrypt", |b| b.iter(|| client.encrypt(&inputs)));
    let prime = client.params().q()[1];
    let mut words = vec![0; 1 << 20];
    criterion.bench_function("expand 2^20 words of a seed", |b| {
        b.iter(|| uniform_limb(&Seed([0; 32]), "bench", 0, 0, prime, &mut words))
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = bench
}
criterion_main!(benches);
