//! The verifier of the `tensor` stage.
use super::{Module, Op};
use crate::graph::NodeId;
use crate::origin::Origin;
use thiserror::Error;

/// A fault of a module, under the guilty operation.
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

/// All faults of a module.
pub fn verify(_module: &Module) -> Vec<Fault> {
    vec![]
}

/// The shape that an operation yields, or why it cannot be applied. `Reshape` needs its target in `declared`.
pub fn infer_shape(_module: &Module, _op: &Op, _operands: &[&[usize]], _declared: &[usize]) -> Result<Vec<usize>, String> {
    Ok(vec![])
}
