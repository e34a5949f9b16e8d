//! Sums of products and multiples on clear slot vectors.

use super::super::StepOp;
use super::state::State;
use super::{SimulateError, Simulator, malformed, zip};

impl Simulator<'_> {
    /// Executes a [`StepOp::Combine`].
    pub(super) fn combine(&self, op: &StepOp, state: &mut State) -> Result<(), SimulateError> {
        let StepOp::Combine {
            dst,
            products,
            gain,
            terms,
            constant,
            rescale,
        } = op
        else {
            return Err(malformed("the step combines nothing"));
        };
        let mut sum = Vec::new();
        let mut add = |values: Vec<f64>| {
            sum = if sum.is_empty() {
                values
            } else {
                zip(&sum, &values, |a, b| a + b)
            };
        };
        let gain = f64::from(*gain);
        for (a, b) in products {
            add(zip(state.get(*a)?, state.get(*b)?, |a, b| gain * a * b));
        }
        for (operand, value, plain_scale) in terms {
            let factor = state.encoded(*value, plain_scale);
            let values = state.get(*operand)?;
            add(values.iter().map(|v| factor * v).collect());
        }
        // The constant's rounding lies far below that of everything else.
        sum.iter_mut().for_each(|v| *v += constant);
        let mut variance = self.rounding(*dst, *rescale)?;
        if let Some((a, b)) = products.first() {
            // The key switch happens at the level of the sum, at its scale.
            let level = self.facts(*dst)?.1 + usize::from(*rescale);
            let log = self.facts(*a)?.0 + self.facts(*b)?.0 - libm::log2(gain);
            variance += self.model.key_noise(level, log);
            if !rescale {
                variance += self.model.rounding(log);
            }
        }
        self.finish(state, *dst, sum, variance, 0.0)
    }
}
