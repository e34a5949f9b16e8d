//! What steps read and write, and the evaluation keys that they need.

use super::{KeyRequest, Plan, Register, RotationKeySpec, StepOp};
use std::collections::BTreeMap;

impl Plan {
    /// Exactly the keys that the steps need, each at the highest level at which it is used: the rotations of every
    /// transform that a step applies (baby and giant steps and folds, all at the transform's level), and the
    /// relinearisations of products at the level of their factors. Levels are those that steps state.
    pub fn required_keys(&self) -> KeyRequest {
        let mut rotations: BTreeMap<u32, u32> = BTreeMap::new();
        let mut relinearization = None;
        for step in &self.steps {
            match &step.op {
                StepOp::LinearTransform { transform, .. } => {
                    let Some(transform) = self.transforms.get(*transform as usize) else {
                        continue;
                    };
                    let needed = [
                        transform.baby_rotations(),
                        transform.giant_rotations(),
                        transform.folds.clone(),
                    ];
                    for steps in needed.into_iter().flatten() {
                        let steps = steps.saturating_mul(transform.samples as u32);
                        let level = rotations.entry(steps).or_default();
                        *level = (*level).max(transform.level as u32);
                    }
                }
                StepOp::Fold { rotations: all, .. } => {
                    let level = u32::try_from(step.level).unwrap_or(u32::MAX);
                    for steps in all {
                        let steps = steps.saturating_mul(self.samples() as u32);
                        let known = rotations.entry(steps).or_default();
                        *known = (*known).max(level);
                    }
                }
                StepOp::WeightedSums { squares: true, .. } => {
                    // Relinearised after the first of two divisions.
                    let level = u32::try_from(step.level).unwrap_or(u32::MAX);
                    let level = level.saturating_add(1);
                    relinearization = Some(relinearization.unwrap_or(0).max(level));
                }
                StepOp::Combine { products, .. } if products.is_empty() => {}
                StepOp::Mul { rescale, .. }
                | StepOp::Square { rescale, .. }
                | StepOp::Combine { rescale, .. } => {
                    // A step may state any level, as far as is known here.
                    let level = u32::try_from(step.level).unwrap_or(u32::MAX);
                    let level = level.saturating_add(u32::from(*rescale));
                    relinearization = Some(relinearization.unwrap_or(0).max(level));
                }
                _ => {}
            }
        }
        KeyRequest {
            relinearization,
            rotations: rotations
                .into_iter()
                .map(|(steps, level)| RotationKeySpec { steps, level })
                .collect(),
            conjugation: None,
        }
    }
}

impl StepOp {
    /// The registers that the step reads, in order.
    pub fn operands(&self) -> Vec<Register> {
        match self {
            StepOp::LinearTransform { src, .. } | StepOp::WeightedSums { src, .. } => src.clone(),
            StepOp::Mul { a, b, .. } | StepOp::Add { a, b, .. } | StepOp::Sub { a, b, .. } => {
                vec![*a, *b]
            }
            StepOp::Square { a, .. }
            | StepOp::Fold { a, .. }
            | StepOp::AddVector { a, .. }
            | StepOp::MulVector { a, .. }
            | StepOp::MulScalar { a, .. }
            | StepOp::Rescale { a, .. }
            | StepOp::Gain { a, .. }
            | StepOp::DropLevel { a, .. } => vec![*a],
            StepOp::Combine {
                products, terms, ..
            } => products
                .iter()
                .flat_map(|(a, b)| [*a, *b])
                .chain(terms.iter().map(|(y, _, _)| *y))
                .collect(),
        }
    }

    /// The registers that the step writes, in order.
    pub fn results(&self) -> Vec<Register> {
        match self {
            StepOp::LinearTransform { dst, .. } | StepOp::WeightedSums { dst, .. } => dst.clone(),
            StepOp::Mul { dst, .. }
            | StepOp::Add { dst, .. }
            | StepOp::Sub { dst, .. }
            | StepOp::Square { dst, .. }
            | StepOp::Fold { dst, .. }
            | StepOp::AddVector { dst, .. }
            | StepOp::MulVector { dst, .. }
            | StepOp::MulScalar { dst, .. }
            | StepOp::Combine { dst, .. }
            | StepOp::Rescale { dst, .. }
            | StepOp::Gain { dst, .. }
            | StepOp::DropLevel { dst, .. } => vec![*dst],
        }
    }

    /// Whether the step is a product of its operands, whose scales may differ.
    pub(super) fn multiplies(&self) -> bool {
        matches!(self, StepOp::Mul { .. })
    }

    /// Whether the operands may differ in level and scale, within the rules that the step has of its own.
    pub(super) fn combines(&self) -> bool {
        matches!(self, StepOp::Combine { .. })
    }
}
