//! Tile: x repeated along each axis as often as `repeats` says, which is a constant.
//!
//! Opsets: 6, 13 (types).

use crate::onnx::call::{Call, Outputs};
use crate::onnx::clear::computed_count;
use crate::onnx::selection::{Picks, Selection};
use crate::onnx::tensor::dims;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let repeats = dims(&call.clear(1, "list of repeats")?.ints()?)?;
    let x = call.value(0)?;
    if repeats.len() != x.shape().len() {
        return Err(format!("{} repeats for {} axes", repeats.len(), x.shape().len()).into());
    }
    let sizes: Option<Vec<usize>> = x
        .shape()
        .iter()
        .zip(&repeats)
        .map(|(size, repeats)| size.checked_mul(*repeats))
        .collect();
    let sizes = sizes.ok_or("the result's size overflows")?;
    computed_count(&sizes)?;
    let picks: Vec<Picks> = x
        .shape()
        .iter()
        .zip(&sizes)
        .map(|(old, new)| (0..*new).map(|i| (i % old) as i64).collect())
        .collect();
    let selection = Selection::along_axes(x.shape(), &picks)?;
    Ok(vec![call.take(&x, selection)?])
}
