//! A sum of products and multiples: one step per ciphertext of the value.

use super::{EmitError, Emitter, fault};
use cipherloom_ir::NodeId;
use cipherloom_ir::circuit::{CircuitNode, CircuitOp};
use cipherloom_ir::plan::{Register, StepOp};

impl Emitter<'_> {
    /// Emits a [`CircuitOp::Combine`] on the given operands; `last` is the node whose value the steps yield, which is
    /// the rescale that follows where there is one.
    pub(super) fn combine(
        &mut self,
        node: &CircuitNode,
        operands: &[NodeId],
        last: NodeId,
        rescale: bool,
    ) -> Result<(), EmitError> {
        let CircuitOp::Combine {
            products,
            gain,
            factors,
            constant,
        } = &node.op
        else {
            return Err(fault(last, "it combines nothing"));
        };
        if node.op.arity() != operands.len() {
            return Err(fault(last, "it has another number of operands"));
        }
        let registers = operands
            .iter()
            .map(|operand| self.registers(*operand))
            .collect::<Result<Vec<_>, _>>()?;
        let dst = self.fresh(last)?;
        for (i, dst) in dst.iter().copied().enumerate() {
            let each: Vec<Register> = registers
                .iter()
                .map(|r| r.get(i).copied())
                .collect::<Option<_>>()
                .ok_or_else(|| fault(last, "its operand has fewer ciphertexts"))?;
            let (pairs, rest) = each.split_at(2 * products);
            let terms = rest.iter().zip(factors);
            let op = StepOp::Combine {
                dst,
                products: pairs.chunks_exact(2).map(|p| (p[0], p[1])).collect(),
                gain: *gain,
                terms: terms
                    .map(|(r, (c, scale))| (*r, *c, scale.clone()))
                    .collect(),
                constant: *constant,
                rescale,
            };
            self.step(last, op)?;
        }
        self.registers.insert(last, dst);
        Ok(())
    }
}
