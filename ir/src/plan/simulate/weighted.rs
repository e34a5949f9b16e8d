//! Weighted sums on clear slot vectors.

use super::super::{StepOp, Weights};
use super::state::State;
use super::{SimulateError, Simulator, malformed, zip};

/// The entries of a matrix as the encrypted operation has them: integers over the scale.
pub(super) fn rounded(weights: &Weights) -> Vec<f64> {
    let scale = weights.plain_scale.to_f64();
    let round = |value: &f64| {
        let rounded = libm::round(value * scale) / scale;
        if rounded.is_finite() { rounded } else { *value }
    };
    weights.matrix.values.iter().map(round).collect()
}

impl Simulator<'_> {
    /// Executes a [`StepOp::WeightedSums`].
    pub(super) fn weighted_sums(
        &self,
        op: &StepOp,
        state: &mut State,
    ) -> Result<(), SimulateError> {
        let StepOp::WeightedSums {
            weights: index,
            src,
            dst,
            squares,
            rescale,
        } = op
        else {
            return Err(malformed("the step sums up nothing"));
        };
        let missing = || malformed("the weights of a sum are missing");
        let weights = self.plan.weights.get(*index as usize).ok_or_else(missing)?;
        let rounded = self.weights.get(*index as usize).ok_or_else(missing)?;
        let matrix = &weights.matrix;
        let values = match state.noise {
            Some(_) => rounded,
            None => &matrix.values,
        };
        let mut operands = Vec::with_capacity(src.len());
        for register in src {
            let operand = state.get(*register)?;
            operands.push(match squares {
                true => operand.iter().map(|x| x * x).collect(),
                false => operand.to_vec(),
            });
        }
        for (row, dst) in dst.iter().enumerate() {
            let mut sum = vec![weights.bias.get(row).copied().unwrap_or(0.0)];
            let span = matrix
                .row_starts
                .get(row)
                .zip(matrix.row_starts.get(row + 1));
            let (start, end) = span.ok_or_else(missing)?;
            for entry in *start..*end {
                let column = matrix.columns.get(entry).ok_or_else(missing)?;
                let operand: &Vec<f64> = operands.get(*column as usize).ok_or_else(missing)?;
                let value = values.get(entry).ok_or_else(missing)?;
                if operand.len() == sum.len() {
                    let pairs = sum.iter_mut().zip(operand);
                    pairs.for_each(|(s, x)| *s += value * x);
                } else {
                    sum = zip(&sum, operand, |s, x| s + value * x);
                }
            }
            let mut variance = self.rounding(*dst, *rescale)?;
            if *squares {
                variance += self.relinearised(*dst)?;
            }
            self.finish(state, *dst, sum, variance, 0.0)?;
        }
        Ok(())
    }

    /// The key switch of a sum of squares, before its second division.
    fn relinearised(&self, dst: super::Register) -> Result<f64, SimulateError> {
        let (log, level) = self.facts(dst)?;
        let prime = self.plan.params.q.get(level + 1).copied().unwrap_or(1);
        Ok(self
            .model
            .key_noise(level + 1, log + libm::log2(prime as f64)))
    }
}
