//! Signs: compositions of odd polynomials, with the fewest levels for the wanted error.

use super::{Accuracy, Approximated};
use crate::approx::composite::CompositeSign;
use cipherloom_ir::tensor::{Function, Module, Op, Patch};
use cipherloom_ir::{NodeId, Range};

/// The levels that a composition may take.
const MOST_LEVELS: u32 = 24;
/// The error where no precision is asked for.
const ERROR: f64 = 1.0 / 256.0;
/// Errors that polynomials in 64-bit floating point reach.
const LEAST_ERROR: f64 = 1e-11;

/// Replaces a sign by the polynomials of a composition, one after the other, of which the last is returned, or says why that
/// cannot be.
pub(super) fn replace(
    module: &Module,
    patch: &mut Patch,
    (node, operand): (NodeId, NodeId),
    seen: Range,
    domain: Range,
    accuracy: &Accuracy,
) -> Result<(NodeId, Approximated), String> {
    let bound = domain.max_abs();
    let wanted = match accuracy.precision {
        Some(bits) => libm::exp2(-bits - 1.0),
        None => ERROR,
    };
    let dead_zone = accuracy.dead_zone * bound;
    let sign = (wanted >= LEAST_ERROR)
        .then(|| CompositeSign::cheapest(accuracy.dead_zone, wanted, MOST_LEVELS))
        .flatten()
        .ok_or_else(|| {
            format!(
                "{MOST_LEVELS} levels do not give an error of {wanted:.1e} for operands beyond {dead_zone:.2e} of up to {bound:.4}: \
                 ask for less (`--precision BITS`, `--dead-zone PART`)"
            )
        })?;
    let found = module.graph.get(node).ok_or("it is missing")?;
    let mut last = operand;
    let mut half = bound;
    for stage in &sign.stages {
        let op = Op::Approximation {
            function: Function::Sign,
            domain: Range {
                lo: -half,
                hi: half,
            },
            coefficients: stage.coefficients.clone(),
        };
        last = patch.add(op, &[last], found.shape.clone(), None, found.origin.clone());
        half = 1.0;
    }
    patch.replace(node, last);
    let replaced = Approximated {
        origin: found.origin.clone(),
        function: Function::Sign,
        seen,
        domain: Range {
            lo: -bound,
            hi: bound,
        },
        degree: sign
            .stages
            .iter()
            .map(|s| s.degree())
            .fold(1, usize::saturating_mul),
        depth: sign.depth(),
        sup_error: sign.error,
        rms_error: 0.0,
        stages: sign.stages.into_iter().map(|s| s.coefficients).collect(),
        dead_zone,
    };
    Ok((last, replaced))
}
