//! CumSum: `y_i = sum of x_j for j <= i` along an axis, which is a constant; `j < i` if `exclusive`, from the end if
//! `reverse`. Opsets: 11, 14 (types).

use super::along_axis;
use crate::onnx::call::{Call, Outputs, Value, axis};
use crate::onnx::clear::computed_count;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let at = call.clear(1, "axis")?;
    at.scalar()?;
    let at = at.ints()?.first().copied().unwrap_or(0);
    let exclusive = call.flag("exclusive", false)?;
    let reverse = call.flag("reverse", false)?;
    let x = call.encrypted(0)?;
    let at = axis(at, x.shape.len())?;
    let size = x.shape[at];
    computed_count(&[size, size])?;
    let summed = |i: usize, j: usize| {
        let (i, j) = if reverse { (j, i) } else { (i, j) };
        j < i || (j == i && !exclusive)
    };
    let matrix = (0..size)
        .flat_map(|i| (0..size).map(move |j| (i, j)))
        .map(|(i, j)| f64::from(u8::from(summed(i, j))))
        .collect();
    let y = along_axis::apply(call, &x, at, size, matrix)?;
    Ok(vec![Value::Encrypted(y)])
}
