//! The verifier of the `plan` stage: also the gate for plans read from a file.
use super::Plan;
use thiserror::Error;

/// A fault of a plan.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{place}: {message}")]
pub struct Fault {
    /// The step, transform, port or parameter set.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// All faults of a plan.
pub fn verify(_plan: &Plan) -> Vec<Fault> {
    vec![]
}
