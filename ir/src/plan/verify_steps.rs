//! Level and scale of a step's result, by the scheme's rules.

use super::StepOp;
use super::verify::{Checker, Known};
use crate::scale::Scale;
use std::collections::BTreeSet;

impl Checker<'_> {
    /// Level and scale of the result; `None`, and a fault, where there are none.
    pub(super) fn result(
        &mut self,
        place: &str,
        op: &StepOp,
        operands: &[Known],
    ) -> Option<(usize, Scale)> {
        let a = operands.first()?;
        let (scale, rescale) = match op {
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
            StepOp::Mul { rescale, .. } => (a.scale.mul(&operands.get(1)?.scale), *rescale),
            StepOp::Square { rescale, .. } => (a.scale.mul(&a.scale), *rescale),
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
            StepOp::DropLevel { level, .. } => {
                if *level >= a.level {
                    self.fault(place, format!("level {level} is not below {}", a.level));
                }
                return Some((*level, a.scale.clone()));
            }
        };
        if !rescale {
            return Some((a.level, scale));
        }
        match (a.level.checked_sub(1), self.plan.params.q.get(a.level)) {
            (Some(level), Some(prime)) => Some((level, scale.div_prime(*prime))),
            _ => {
                self.fault(
                    place,
                    format!("a value at level {} cannot be rescaled", a.level),
                );
                None
            }
        }
    }

    fn vector(&mut self, place: &str, vector: u32) {
        if self.plan.vectors.get(vector as usize).is_none() {
            self.fault(place, format!("vector {vector} does not exist"));
        }
    }
}
