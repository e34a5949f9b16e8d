//! Folds: sums of ciphertexts, then of rotations.

use super::{EmitError, Emitter, fault};
use cipherloom_ir::NodeId;
use cipherloom_ir::plan::{Register, StepOp};

impl Emitter<'_> {
    /// Emits the fold `id` of the value in registers `a` to the registers `dst`.
    pub(super) fn fold(
        &mut self,
        id: NodeId,
        operand: NodeId,
        a: &[Register],
        dst: &[Register],
    ) -> Result<(), EmitError> {
        let (from, to) = (self.layout(operand)?, self.layout(id)?);
        if !from.folds_onto(to) {
            return Err(fault(id, "its operand does not fold onto its layout"));
        }
        let mut rotations = Vec::new();
        let mut period = from.period;
        while period > to.period {
            period /= 2;
            rotations.push(period as u32);
        }
        for (i, dst) in dst.iter().enumerate() {
            let parts: Vec<Register> = a
                .iter()
                .copied()
                .skip(i)
                .step_by(to.ciphertexts.max(1))
                .collect();
            let Some((&first, rest)) = parts.split_first() else {
                return Err(fault(id, "its operand has fewer ciphertexts"));
            };
            let mut sum = first;
            for (done, b) in rest.iter().copied().enumerate() {
                let last = done + 1 == rest.len() && rotations.is_empty();
                let dst = if last { *dst } else { self.register() };
                self.step(id, StepOp::Add { dst, a: sum, b })?;
                sum = dst;
            }
            if !rotations.is_empty() {
                let rotations = rotations.clone();
                let (dst, a) = (*dst, sum);
                self.step(id, StepOp::Fold { dst, a, rotations })?;
            }
        }
        Ok(())
    }
}
