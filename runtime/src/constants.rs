//! A plan's constants, expanded once: transforms and slot vectors in the compact form of their period.

use crate::ServerError;
use cipherloom_ckks::encoding::Encoder;
use cipherloom_ckks::{
    CkksError, LinearTransform, Parameters, PeriodicPoly, Plaintext, WeightedSums,
};
use cipherloom_ir::Scale;
use cipherloom_ir::plan::{Plan, Residency, Step, StepOp};
use rayon::prelude::*;

/// The constants of a plan's steps.
pub(crate) struct Constants {
    transforms: Vec<LinearTransform>,
    weights: Vec<WeightedSums>,
    /// For each step, its slot vectors in the order in which the step names them.
    vectors: Vec<Vec<PeriodicPoly>>,
}

impl Constants {
    /// Encodes all constants, on all threads of the current pool; of each transform as many limbs as `held` says stay
    /// expanded.
    pub(crate) fn new(
        plan: &Plan,
        params: &Parameters,
        held: &Residency,
    ) -> Result<Self, ServerError> {
        let encoder = Encoder::new(params);
        let transforms = plan
            .transforms
            .par_iter()
            .enumerate()
            .map(|(i, t)| {
                let limbs = held.limbs.get(i).copied().unwrap_or(usize::MAX);
                LinearTransform::with_resident(params, &encoder, t, limbs)
            })
            .collect::<Result<_, CkksError>>()?;
        let weights = plan
            .weights
            .par_iter()
            .map(WeightedSums::new)
            .collect::<Result<_, CkksError>>()?;
        let vectors = plan
            .steps
            .par_iter()
            .map(|step| vectors_of(plan, &encoder, step))
            .collect::<Result<_, ServerError>>()?;
        Ok(Self {
            transforms,
            weights,
            vectors,
        })
    }

    /// A transform.
    pub(crate) fn transform(&self, index: u32) -> Option<&LinearTransform> {
        self.transforms.get(index as usize)
    }

    /// The weights of sums.
    pub(crate) fn weights(&self, index: u32) -> Option<&WeightedSums> {
        self.weights.get(index as usize)
    }

    /// The `nth` slot vector of a step, as a plaintext.
    pub(crate) fn vector(
        &self,
        params: &Parameters,
        step: usize,
        nth: usize,
    ) -> Option<Result<Plaintext, CkksError>> {
        let vector = self.vectors.get(step)?.get(nth)?;
        Some(Plaintext::new(
            vector.expand(params),
            vector.scale().clone(),
        ))
    }
}

/// Encodes the slot vectors of a step: a summand at the result's level and scale, a factor at its own scale and the
/// operand's level, which a rescale puts one above the result's.
fn vectors_of(
    plan: &Plan,
    encoder: &Encoder,
    step: &Step,
) -> Result<Vec<PeriodicPoly>, ServerError> {
    let encode = |index: u32, level: usize, scale: &Scale| {
        let missing = || ServerError::Malformed(format!("there is no vector {index}"));
        let vector = plan.vectors.get(index as usize).ok_or_else(missing)?;
        // Each value serves all samples, which lie side by side; a single one has the period 1 anyway.
        let samples = match vector.values.len() {
            1 => 1,
            _ => plan.samples(),
        };
        let values = vector.values.iter();
        let blocks = values.map(|v| std::iter::repeat_n(*v, samples));
        let values: Vec<f64> = blocks.flatten().collect();
        Ok(encoder.encode_periodic(&values, level, false, scale)?)
    };
    match &step.op {
        StepOp::LinearTransform { bias, .. } => bias
            .iter()
            .map(|index| encode(*index, step.level, &step.scale))
            .collect(),
        StepOp::AddVector { vector, .. } => Ok(vec![encode(*vector, step.level, &step.scale)?]),
        StepOp::MulVector {
            vector,
            plain_scale,
            rescale,
            ..
        } => Ok(vec![encode(
            *vector,
            step.level + usize::from(*rescale),
            plain_scale,
        )?]),
        _ => Ok(vec![]),
    }
}
