//! The verifier of the `circuit` stage.
use super::Circuit;
use crate::graph::NodeId;
use crate::origin::Origin;
use thiserror::Error;

/// A fault of a circuit, under the guilty operation.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{node} ({origin}): {message}")]
pub struct Fault {
    /// The node.
    pub node: NodeId,
    /// Its origin.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
}

/// All faults of a circuit.
pub fn verify(_circuit: &Circuit) -> Vec<Fault> {
    vec![]
}
