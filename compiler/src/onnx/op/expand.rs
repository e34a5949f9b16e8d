//! Expand: x broadcast with a shape by NumPy's rules, both ways. The shape is a constant.
//!
//! Opsets: 8, 13 (types).

use crate::broadcast::broadcast;
use crate::onnx::call::{Call, Outputs};
use crate::onnx::selection::{Picks, Selection, whole};
use crate::onnx::tensor::dims;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let shape = dims(&call.clear(1, "shape")?.ints()?)?;
    let x = call.value(0)?;
    let target = broadcast(x.shape(), &shape)?;
    Ok(vec![call.take(&x, selection(x.shape(), &target)?)?])
}

/// The elements of a value of shape `from`, repeated to fill the shape `to`, to which it broadcasts.
pub(super) fn selection(from: &[usize], to: &[usize]) -> Result<Selection, String> {
    crate::onnx::clear::computed_count(to)?;
    let front = to
        .len()
        .checked_sub(from.len())
        .ok_or("the shape has too few axes")?;
    let old = [vec![1; front], from.to_vec()].concat();
    let picks: Vec<Picks> = old
        .iter()
        .zip(to)
        .map(|(old, new)| match old {
            1 => vec![0; *new],
            _ => whole(*new),
        })
        .collect();
    Selection::along_axes(&old, &picks)
}
