//! Level and scale of a step's result, by the scheme's rules.

use super::verify::{Checker, Known};
use super::{Step, StepOp};
use crate::circuit::MAX_COMBINED;
use crate::scale::Scale;
use std::collections::BTreeSet;

/// The most rotations of a fold: a number of slots has no more halves.
const MAX_FOLDS: usize = 32;

impl Checker<'_> {
    /// Level and scale of the result; `None`, and a fault, where there are none.
    pub(super) fn result(
        &mut self,
        place: &str,
        step: &Step,
        operands: &[Known],
    ) -> Option<(usize, Scale)> {
        let a = operands.first()?;
        let mut from = a.level;
        let (scale, rescale) = match &step.op {
            StepOp::LinearTransform {
                transform,
                src,
                dst,
                rescale,
                bias,
            } => {
                let Some(t) = self.plan.transforms.get(*transform as usize) else {
                    self.fault(place, format!("transform {transform} does not exist"));
                    return None;
                };
                if t.level != a.level {
                    self.fault(
                        place,
                        format!(
                            "the transform is made for level {}, not {}",
                            t.level, a.level
                        ),
                    );
                }
                let rows: BTreeSet<u32> = t.blocks.iter().map(|b| b.row).collect();
                if !rows.iter().copied().eq(0..dst.len() as u32) {
                    self.fault(
                        place,
                        format!(
                            "{} results for the transform's {} rows",
                            dst.len(),
                            rows.len()
                        ),
                    );
                }
                if t.blocks.iter().any(|b| b.col as usize >= src.len()) {
                    self.fault(
                        place,
                        format!("a block reads beyond the {} operands", src.len()),
                    );
                }
                if !bias.is_empty() && bias.len() != dst.len() {
                    self.fault(
                        place,
                        format!("{} biases for {} results", bias.len(), dst.len()),
                    );
                }
                for vector in bias {
                    self.vector(place, *vector);
                }
                (a.scale.mul(&t.plain_scale), *rescale)
            }
            StepOp::WeightedSums { squares, .. } => {
                let (scale, rescale) = self.weighted(place, &step.op, a)?;
                if *squares {
                    let prime = self.plan.params.q.get(from).copied();
                    from = from.checked_sub(1)?;
                    (scale.div_prime(prime?), rescale)
                } else {
                    (scale, rescale)
                }
            }
            StepOp::Mul { rescale, .. } => (a.scale.mul(&operands.get(1)?.scale), *rescale),
            StepOp::Square { rescale, .. } => (a.scale.mul(&a.scale), *rescale),
            StepOp::Fold { rotations, .. } => {
                let slots = self.plan.params.slots();
                let bad = |r: &u32| *r == 0 || *r as usize >= slots / self.plan.samples();
                if rotations.is_empty() || rotations.len() > MAX_FOLDS || rotations.iter().any(bad)
                {
                    let message =
                        format!("folds by {rotations:?}, not 1 to {MAX_FOLDS} below {slots}");
                    self.fault(place, message);
                }
                (a.scale.clone(), false)
            }
            StepOp::Add { .. } | StepOp::Sub { .. } => (a.scale.clone(), false),
            StepOp::AddVector { vector, .. } => {
                self.vector(place, *vector);
                (a.scale.clone(), false)
            }
            StepOp::MulVector {
                vector,
                plain_scale,
                rescale,
                ..
            } => {
                self.vector(place, *vector);
                (a.scale.mul(plain_scale), *rescale)
            }
            StepOp::MulScalar {
                value,
                plain_scale,
                rescale,
                ..
            } => {
                if !value.is_finite() {
                    self.fault(place, "the factor is not finite");
                }
                (a.scale.mul(plain_scale), *rescale)
            }
            StepOp::Rescale { .. } => (a.scale.clone(), true),
            StepOp::Gain { factor, .. } => match Scale::from_f64(factor.abs()) {
                Some(magnitude) => (a.scale.div(&magnitude), false),
                None => {
                    self.fault(place, format!("a gain of {factor}"));
                    return None;
                }
            },
            StepOp::DropLevel { level, .. } => {
                if *level >= a.level {
                    self.fault(place, format!("level {level} is not below {}", a.level));
                }
                return Some((*level, a.scale.clone()));
            }
            StepOp::Combine { rescale, .. } => {
                // The level is the step's to choose, below those of its operands.
                from = step.level.saturating_add(usize::from(*rescale));
                (self.combined(place, &step.op, operands, from)?, *rescale)
            }
        };
        if !rescale {
            return Some((from, scale));
        }
        match (from.checked_sub(1), self.plan.params.q.get(from)) {
            (Some(level), Some(prime)) => Some((level, scale.div_prime(*prime))),
            _ => {
                self.fault(place, format!("a value at level {from} cannot be rescaled"));
                None
            }
        }
    }

    /// The scale of weighted sums before their division, and whether they are divided.
    fn weighted(&mut self, place: &str, op: &StepOp, a: &Known) -> Option<(Scale, bool)> {
        let StepOp::WeightedSums {
            weights,
            src,
            dst,
            squares,
            rescale,
        } = op
        else {
            return None;
        };
        let Some(w) = self.plan.weights.get(*weights as usize) else {
            self.fault(place, format!("weights {weights} do not exist"));
            return None;
        };
        if (w.matrix.rows, w.matrix.cols) != (dst.len(), src.len()) {
            let message = format!(
                "{} results and {} operands for a matrix of {} x {}",
                dst.len(),
                src.len(),
                w.matrix.rows,
                w.matrix.cols
            );
            self.fault(place, message);
        }
        if *squares && (!rescale || a.level < 2) {
            self.fault(place, "sums of squares are rescaled twice");
            return None;
        }
        let scale = a.scale.mul(&w.plain_scale);
        Some(match squares {
            true => (scale.mul(&a.scale), *rescale),
            false => (scale, *rescale),
        })
    }

    /// The scale of a sum of products and multiples at level `from`, before its rescale.
    fn combined(
        &mut self,
        place: &str,
        op: &StepOp,
        operands: &[Known],
        from: usize,
    ) -> Option<Scale> {
        let StepOp::Combine {
            products,
            gain,
            terms,
            constant,
            ..
        } = op
        else {
            return None;
        };
        if operands.len() > MAX_COMBINED {
            let count = operands.len();
            self.fault(place, format!("{count} operands, more than {MAX_COMBINED}"));
        }
        if *gain == 0 || products.is_empty() && *gain != 1 {
            let count = products.len();
            self.fault(place, format!("a gain of {gain} for {count} products"));
        }
        if !constant.is_finite() || terms.iter().any(|(_, value, _)| !value.is_finite()) {
            self.fault(place, "a factor or the constant is not finite");
        }
        if let Some(low) = operands.iter().map(|k| k.level).find(|l| *l < from) {
            let message = format!("an operand has level {low}, below the step's {from}");
            self.fault(place, message);
        }
        let gain = Scale::from_u64(u64::from(*gain)).unwrap_or_else(Scale::one);
        let (pairs, rest) = operands.split_at((2 * products.len()).min(operands.len()));
        let products = pairs
            .chunks_exact(2)
            .map(|p| p[0].scale.mul(&p[1].scale).div(&gain));
        let terms = rest
            .iter()
            .zip(terms)
            .map(|(k, (_, _, plain))| k.scale.mul(plain));
        let mut scales = products.chain(terms);
        let first = scales.next()?;
        if let Some(other) = scales.find(|s| *s != first) {
            let message = format!("its products and terms have scales {first:?} and {other:?}");
            self.fault(place, message);
        }
        Some(first)
    }

    fn vector(&mut self, place: &str, vector: u32) {
        if self.plan.vectors.get(vector as usize).is_none() {
            self.fault(place, format!("vector {vector} does not exist"));
        }
    }
}
