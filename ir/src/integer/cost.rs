//! What a run costs, with built-in figures.

use super::{IntegerEstimates, IntegerPlan, StepOp, TfheSet};
use crate::plan::Register;
use std::collections::BTreeMap;

/// Seconds of one multiply-add of a word in a linear step, one thread.
const WORD_SECONDS: f64 = 0.35e-9;

/// Seconds of one lookup (keyswitch, modulus switch, blind rotation) among eight side by side on one thread: medians of
/// `cargo bench --bench tabular` on a virtual machine with two cores of an Intel Xeon with AVX-512. One alone takes 16 and 18 ms there,
/// since it has the keys to itself.
pub fn lookup_seconds(set: &TfheSet) -> f64 {
    match set.bits {
        0..=2 => 8.2e-3,
        _ => 12.4e-3,
    }
}

/// Seconds of so many multiply-accumulates of a ciphertext on one thread.
pub fn linear_seconds(set: &TfheSet, macs: u64) -> f64 {
    macs as f64 * set.ciphertext_words() as f64 * WORD_SECONDS
}

/// The costs of a plan.
pub fn estimates(plan: &IntegerPlan) -> IntegerEstimates {
    let entries = |matrix: &u32| {
        plan.matrices
            .get(*matrix as usize)
            .map_or(0, |m| m.indices.len() as u64)
    };
    let macs: u64 = plan
        .steps
        .iter()
        .map(|step| match &step.op {
            StepOp::Linear { matrix, .. } => entries(matrix),
            StepOp::Lookup { .. } => 0,
        })
        .sum();
    let (set, bootstraps) = (&plan.params, plan.bootstraps());
    IntegerEstimates {
        bootstraps,
        macs,
        latency_s: bootstraps as f64 * lookup_seconds(set) + linear_seconds(set, macs),
        eval_key_bytes: set.key_bytes(),
        run_bytes: run_bytes(plan),
        choice: plan.estimates.choice.clone(),
    }
}

/// Bytes of the registers of one sample that live together at most.
pub fn live_bytes(plan: &IntegerPlan) -> u64 {
    let ciphertext = 8 * plan.params.ciphertext_words() as u64;
    let mut live: BTreeMap<Register, u64> = BTreeMap::new();
    for port in &plan.inputs {
        live.insert(port.register, port.elements() as u64);
    }
    let mut peak = live.values().sum::<u64>();
    let mut next = 0;
    while next < plan.steps.len() {
        let together = plan.side_by_side(next);
        next = together.end;
        let steps = plan.steps.get(together).unwrap_or_default();
        live.extend(steps.iter().map(|s| (s.dst, u64::from(s.length))));
        peak = peak.max(live.values().sum());
        for register in steps.iter().flat_map(|s| &s.free) {
            live.remove(register);
        }
    }
    peak.saturating_mul(ciphertext)
}

/// Bytes that `run` needs at its peak for one sample: keys and constants, and either the registers that live together or the
/// bootstrapping key before its transform.
fn run_bytes(plan: &IntegerPlan) -> u64 {
    let matrix = |m: &super::Matrix| 12 * m.indices.len() as u64 + 12 * m.rows() as u64;
    let matrices: u64 = plan.matrices.iter().map(matrix).sum();
    let accumulators = 8 * plan.params.polynomial_size() as u64 * plan.tables.len() as u64;
    let constants = matrices.saturating_add(accumulators);
    let keys = plan.params.expanded_key_bytes();
    keys.saturating_add(live_bytes(plan).max(plan.params.bootstrap_key_bytes()))
        .saturating_add(constants)
}
