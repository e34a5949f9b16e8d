//! Toy plans, and the client against the mathematics and the noise rules.

use cipherloom_ir::Scale;
use cipherloom_ir::container::PlanId;
use cipherloom_ir::layout::Layout;
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::plan::{ClientPlan, KeyRequest, PlanPort};
use cipherloom_ir::security::Security;
use cipherloom_ir::value::{DType, Range};

/// Parameters of no security.
pub(crate) fn literal(log_n: u32, bits: f64, primes: usize, digit_size: usize) -> CkksLiteral {
    let q = ntt_primes_near(log_n, bits, primes, &[]);
    let p = ntt_primes_near(log_n, bits + 4.0, digit_size, &q);
    CkksLiteral {
        log_n,
        q,
        p,
        digit_size,
        security: Security::Classical128,
    }
}

/// A port with a dense layout.
pub(crate) fn port(params: &CkksLiteral, name: &str, shape: &[usize], level: usize) -> PlanPort {
    PlanPort {
        name: name.into(),
        shape: shape.to_vec(),
        dtype: DType::F32,
        batched: true,
        clear: false,
        range: Range { lo: -1.0, hi: 1.0 },
        layout: Layout::dense(shape.to_vec(), params.slots()),
        level,
        scale: Scale::pow2(28),
        registers: vec![],
        noise: 0.0,
    }
}

/// One input, one output, no keys.
pub(crate) fn plan_of(params: CkksLiteral, shape: &[usize]) -> ClientPlan {
    let level = params.max_level();
    ClientPlan {
        plan_id: PlanId([5; 32]),
        name: "toy".into(),
        inputs: vec![port(&params, "x", shape, level)],
        outputs: vec![port(&params, "y", shape, 0)],
        params,
        keys: KeyRequest::default(),
        tail: None,
    }
}

pub(crate) fn toy_plan() -> ClientPlan {
    plan_of(literal(6, 35.0, 3, 1), &[1, 40])
}

/// A toy plan whose output has the given name, range and noise.
pub(crate) fn plan_with_output(name: &str, range: Range, noise: f64) -> ClientPlan {
    let mut plan = toy_plan();
    plan.outputs[0].name = name.into();
    plan.outputs[0].range = range;
    plan.outputs[0].noise = noise;
    plan
}

mod encryption;
mod evaluation;

use crate::Client;
use cipherloom_ckks::encoding::Encoder;
use cipherloom_ckks::wire::AnyCiphertext;
use cipherloom_ckks::{Ciphertext, Complex64};
use cipherloom_ir::value::{Tensor, Tensors};

/// Values in [-1, 1] that look random.
pub(crate) fn values(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

pub(crate) fn tensors(name: &str, shape: &[usize], data: Vec<f64>) -> Tensors {
    Tensors::from([(name.to_owned(), Tensor::new(shape.to_vec(), data).unwrap())])
}

/// The only ciphertext of a full vector of slots.
pub(crate) fn encrypt_slots(client: &Client, slots: Vec<f64>) -> Ciphertext {
    let shape = [1, slots.len()];
    let set = client.encrypt(&tensors("x", &shape, slots)).unwrap();
    match &set.ports[0].runs[0][..] {
        [AnyCiphertext::Seeded(seeded)] => seeded.expand(client.params()),
        other => panic!("one seeded ciphertext expected, found {}", other.len()),
    }
}

pub(crate) fn decrypt_slots(client: &Client, ciphertext: &Ciphertext) -> Vec<Complex64> {
    let plaintext = client.decrypt_one(ciphertext).unwrap();
    Encoder::new(client.params())
        .decode_complex(&plaintext, client.params().slots())
        .unwrap()
}

pub(crate) fn real(slots: &[Complex64]) -> Vec<f64> {
    slots.iter().map(|z| z.re).collect()
}

/// Checks that the errors' standard deviation is 0.5 to 2 times the root of the predicted variance.
pub(crate) fn expect_noise(what: &str, found: &[f64], exact: &[f64], predicted_variance: f64) {
    assert_eq!(found.len(), exact.len());
    let sum: f64 = found
        .iter()
        .zip(exact)
        .map(|(a, b)| (a - b) * (a - b))
        .sum();
    let ratio = (sum / found.len() as f64 / predicted_variance).sqrt();
    assert!(
        (0.5..2.0).contains(&ratio),
        "{what}: measured noise is {ratio} times the predicted"
    );
}
