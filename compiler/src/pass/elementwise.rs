//! Constants seen from a value that they are combined with: uniform, per channel, along the last axis.

use crate::broadcast::broadcast;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Module;
use cipherloom_ir::{NodeId, value::element_count};

/// The one value of a constant whose elements are all equal, if combining with it keeps the shape.
pub(super) fn uniform(constant: &Tensor, shape: &[usize]) -> Option<f64> {
    let first = *constant.data().first()?;
    let same = constant.data().iter().all(|x| *x == first);
    (same && broadcast(constant.shape(), shape).ok()? == shape).then_some(first)
}

/// The values of a constant along one axis of a shape, if it varies along that axis alone and keeps the shape.
pub(super) fn along_axis(constant: &Tensor, shape: &[usize], axis: usize) -> Option<Vec<f64>> {
    let size = *shape.get(axis)?;
    if broadcast(constant.shape(), shape).ok()? != shape {
        return None;
    }
    if let Some(value) = uniform(constant, shape) {
        return Some(vec![value; size]);
    }
    let behind = shape.len() - axis;
    let own = constant.shape().len().checked_sub(behind)?;
    let alone = constant
        .shape()
        .iter()
        .enumerate()
        .all(|(i, d)| *d == if i == own { size } else { 1 });
    alone.then(|| constant.data().to_vec())
}

/// The only user of a node that is no output, if there is exactly one and it uses it once.
pub(super) fn only_user(module: &Module, id: NodeId) -> Option<NodeId> {
    if module.outputs.iter().any(|o| o.node == id) {
        return None;
    }
    let users = module.graph.users(id);
    let [user] = users[..] else { return None };
    (module
        .graph
        .operands(user)
        .iter()
        .filter(|o| **o == id)
        .count()
        == 1)
        .then_some(user)
}

/// Whether a constant keeps a shape when combined with it.
pub(super) fn keeps_shape(constant: &Tensor, shape: &[usize]) -> bool {
    element_count(shape).is_some() && broadcast(constant.shape(), shape).is_ok_and(|s| s == shape)
}
