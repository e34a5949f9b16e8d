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
