//! In how many slots the errors of a register count apart.
//!
//! A vector of period n stands in all slots again and again, each time with errors of its own, of which the mean over all
//! slots is left at the end: so one period with the mean of the errors would do. But where a matrix of a larger period
//! follows, its rows read different copies, and their errors meet as what they are: different ones.

use super::super::{Plan, Register, StepOp, Transform};

/// The period of a transform's results: folds by half, a quarter, .. leave the last one's.
pub(super) fn folded(transform: &Transform) -> usize {
    let period = transform.period.max(1);
    match transform.folds.last() {
        Some(last) if halves(period, &transform.folds) => (*last as usize).max(1),
        _ => period,
    }
}

/// Whether rotations are half, a quarter, an eighth, .. of a period.
pub(super) fn halves(period: usize, rotations: &[u32]) -> bool {
    let mut pairs = rotations.iter().enumerate();
    pairs.all(|(i, r)| i < usize::BITS as usize - 1 && *r as usize == period >> (i + 1))
}

/// For each register, the length of the vector that a simulation keeps: its period, or a multiple of that.
pub(super) fn find(plan: &Plan, registers: usize) -> Vec<usize> {
    let slots = (1_usize << (plan.params.log_n.clamp(1, 32) - 1)) / plan.samples();
    let mut period = vec![1_usize; registers];
    let get = |list: &[usize], r: &Register| list.get(r.0 as usize).copied().unwrap_or(1);
    for port in &plan.inputs {
        for r in &port.registers {
            if let Some(p) = period.get_mut(r.0 as usize) {
                *p = port.layout.period.max(1);
            }
        }
    }
    let result = |op: &StepOp, period: &[usize]| match op {
        StepOp::LinearTransform { transform, .. } => {
            plan.transforms.get(*transform as usize).map_or(1, folded)
        }
        StepOp::Fold { a, rotations, .. } => {
            let from = get(period, a);
            let folds = rotations.len().min(usize::BITS as usize - 1);
            let halved = halves(from, rotations);
            if halved { (from >> folds).max(1) } else { from }
        }
        op => {
            let operands = op.operands();
            let longest = operands.iter().map(|r| get(period, r)).max().unwrap_or(1);
            longest.max(vector(plan, op))
        }
    };
    for step in &plan.steps {
        let length = result(&step.op, &period);
        for r in step.op.results() {
            if let Some(p) = period.get_mut(r.0 as usize) {
                *p = length;
            }
        }
    }
    let mut spread = period.clone();
    for step in plan.steps.iter().rev() {
        let results = step.op.results();
        let copies = results
            .iter()
            .map(|r| get(&spread, r) / get(&period, r).max(1));
        let copies = copies.max().unwrap_or(1).max(1);
        for r in step.op.operands() {
            let reads = match &step.op {
                StepOp::LinearTransform { transform, .. } => plan
                    .transforms
                    .get(*transform as usize)
                    .map_or(1, |t| t.period),
                StepOp::Fold { a, .. } => get(&period, a),
                op => result(op, &period),
            };
            let reads = reads.saturating_mul(copies).min(slots);
            if let Some(s) = spread.get_mut(r.0 as usize) {
                *s = (*s).max(reads);
            }
        }
    }
    spread
}

/// The length of the vector that a step adds or multiplies with.
fn vector(plan: &Plan, op: &StepOp) -> usize {
    match op {
        StepOp::AddVector { vector, .. } | StepOp::MulVector { vector, .. } => {
            let vector = plan.vectors.get(*vector as usize);
            vector.map_or(1, |v| v.values.len())
        }
        _ => 1,
    }
}
