//! The memory that this machine has, this process used, and a plan will need.

use cipherloom_ir::params::CkksLiteral;
use cipherloom_ir::plan::{Plan, StepOp};
use std::collections::BTreeSet;
use std::fs;

/// Bytes that a new allocation may still take without swapping; `None` where the system does not tell.
pub fn available() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// The largest resident set that this process has had (VmHWM), mapped pages included; `None` where the system does
/// not tell.
pub fn peak_rss() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The bytes that a line such as `VmHWM:  1234 kB` states.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// Bytes that executing a plan needs at its peak: the plan, its expanded keys and constants, the largest number of
/// live ciphertexts, and what one operation uses while it runs.
pub fn predicted(plan: &Plan) -> u64 {
    let params = &plan.params;
    let own = [
        plan_bytes(plan),
        expanded_key_bytes(plan),
        transform_bytes(plan),
        live_ciphertexts(plan) * ciphertext_bytes(params, params.max_level()),
        // One operation holds the digits of its operand and results in both bases.
        (digits(params, params.max_level()) + 4)
            * limb_bytes(params)
            * limbs(params, params.max_level()),
    ];
    own.iter()
        .fold(0, |sum: u64, part| sum.saturating_add(*part))
        .max(plan.estimates.run_bytes)
}

fn limb_bytes(params: &CkksLiteral) -> u64 {
    8 * params.n() as u64
}

/// Limbs of a ring element at a level, special ones included.
fn limbs(params: &CkksLiteral, level: usize) -> u64 {
    (level + 1 + params.p.len()) as u64
}

fn digits(params: &CkksLiteral, level: usize) -> u64 {
    (level + 1).div_ceil(params.digit_size.max(1)) as u64
}

fn ciphertext_bytes(params: &CkksLiteral, level: usize) -> u64 {
    2 * (level as u64 + 1) * limb_bytes(params)
}

/// Expanded keys: two halves per digit in the large base.
fn expanded_key_bytes(plan: &Plan) -> u64 {
    let keys = &plan.keys;
    let levels = keys
        .rotations
        .iter()
        .map(|r| r.level)
        .chain(keys.relinearization)
        .chain(keys.conjugation);
    let bytes = |level: u32| {
        let level = (level as usize).min(plan.params.max_level());
        2 * digits(&plan.params, level) * limbs(&plan.params, level) * limb_bytes(&plan.params)
    };
    levels.map(bytes).sum()
}

/// Encoded diagonals: two words per slot of the period in each limb.
fn transform_bytes(plan: &Plan) -> u64 {
    let bytes = |t: &cipherloom_ir::plan::Transform| {
        let diagonals: u64 = t.blocks.iter().map(|b| b.diagonals.len() as u64).sum();
        diagonals
            .saturating_mul(16 * t.period as u64)
            .saturating_mul(limbs(&plan.params, t.level))
    };
    plan.transforms
        .iter()
        .map(bytes)
        .fold(0, u64::saturating_add)
}

/// The plan itself: the values of its constants, and the clear network's weights.
fn plan_bytes(plan: &Plan) -> u64 {
    let diagonals = plan
        .transforms
        .iter()
        .flat_map(|t| &t.blocks)
        .flat_map(|b| &b.diagonals);
    let values = diagonals.map(|d| d.values.len()).sum::<usize>()
        + plan.vectors.iter().map(|v| v.values.len()).sum::<usize>()
        + plan
            .clear
            .constants
            .iter()
            .map(|c| c.tensor.len())
            .sum::<usize>();
    8 * values as u64
}

/// The largest number of ciphertexts that are alive at once.
fn live_ciphertexts(plan: &Plan) -> u64 {
    let mut live: BTreeSet<_> = plan
        .inputs
        .iter()
        .flat_map(|p| p.registers.iter().copied())
        .collect();
    let mut peak = live.len();
    for step in &plan.steps {
        match &step.op {
            StepOp::LinearTransform { dst, .. } => live.extend(dst.iter().copied()),
            StepOp::Mul { dst, .. }
            | StepOp::Square { dst, .. }
            | StepOp::Add { dst, .. }
            | StepOp::Sub { dst, .. }
            | StepOp::AddVector { dst, .. }
            | StepOp::MulVector { dst, .. }
            | StepOp::MulScalar { dst, .. }
            | StepOp::Rescale { dst, .. }
            | StepOp::DropLevel { dst, .. } => {
                live.insert(*dst);
            }
        }
        peak = peak.max(live.len());
        for register in &step.free {
            live.remove(register);
        }
    }
    peak as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let text = "MemTotal:  9 kB\nMemAvailable:   20515 kB\n";
        assert_eq!(kilobytes(text, "MemAvailable:"), Some(20515 * 1024));
        assert_eq!(kilobytes(text, "VmHWM:"), None);
        assert_eq!(kilobytes("VmHWM: x kB", "VmHWM:"), None);
    }
}
