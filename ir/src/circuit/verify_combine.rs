//! Faults of sums of products and multiples.

use super::{CircuitNode, CircuitOp, MAX_COMBINED};
use crate::scale::Scale;

/// Faults of a [`CircuitOp::Combine`] against its operands, which are as many as it says.
pub(super) fn combine(node: &CircuitNode, operands: &[&CircuitNode]) -> Vec<String> {
    let CircuitOp::Combine {
        products,
        gain,
        factors,
        constant,
    } = &node.op
    else {
        return vec![];
    };
    let mut faults = Vec::new();
    if operands.is_empty() || operands.len() > MAX_COMBINED {
        return vec![format!(
            "combine takes 1 to {MAX_COMBINED} operands, not {}",
            operands.len()
        )];
    }
    if *gain == 0 || *products == 0 && *gain != 1 {
        faults.push(format!("a gain of {gain} for {products} products"));
    }
    if !constant.is_finite() || factors.iter().any(|(factor, _)| !factor.is_finite()) {
        faults.push("a factor or the constant is not finite".into());
    }
    for operand in operands {
        if operand.level < node.level {
            faults.push(format!(
                "an operand has level {}, below the result's {}",
                operand.level, node.level
            ));
        }
        if operand.layout != node.layout {
            faults.push(format!(
                "an operand has layout {}, not {}",
                operand.layout, node.layout
            ));
        }
    }
    let (pairs, terms) = operands.split_at((2 * products).min(operands.len()));
    let gain = Scale::from_u64(u64::from(*gain)).unwrap_or_else(Scale::one);
    for (number, pair) in pairs.chunks_exact(2).enumerate() {
        let scale = pair[0].scale.mul(&pair[1].scale).div(&gain);
        if scale != node.scale {
            faults.push(format!(
                "product {number} gives the scale {scale:?}, not {:?}",
                node.scale
            ));
        }
    }
    for (number, (term, (_, plain_scale))) in terms.iter().zip(factors).enumerate() {
        let scale = term.scale.mul(plain_scale);
        if scale != node.scale {
            faults.push(format!(
                "term {number} has the scale {scale:?}, not {:?}",
                node.scale
            ));
        }
    }
    faults
}
