//! Gather: the slices of x along `axis` that the indices name; the indices' shape replaces the axis.
//! Indices are constants.
//!
//! Opsets: 1, 11 (negative indices), 13 (types).

use crate::onnx::call::{Call, Outputs, axis};
use crate::onnx::selection::{Selection, resolved};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let at = call.int("axis", 0)?;
    let indices = call.clear(1, "list of indices")?;
    let x = call.value(0)?;
    let at = axis(at, x.shape().len())?;
    let picks = resolved(&indices.ints()?, x.shape()[at])?;
    let shape = [&x.shape()[..at], indices.shape(), &x.shape()[at + 1..]].concat();
    let selection = Selection::along_axis(x.shape(), at, picks)?.reshaped(&shape)?;
    Ok(vec![call.take(&x, selection)?])
}
