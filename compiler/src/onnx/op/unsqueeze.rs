//! Unsqueeze: axes of size 1 put in; the axes count in the result.
//!
//! Opsets: 1 has `axes` as an attribute, 11 allows negative ones, 13 has them as an input.

use crate::onnx::call::{Call, Outputs, Value, axes};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let named = if call.opset < 13 {
        call.arity(1, 1)?;
        call.ints("axes")?.ok_or("axes are missing")?
    } else {
        call.arity(2, 2)?;
        call.clear(1, "list of axes")?.ints()?
    };
    let x = call.value(0)?;
    let rank = x.shape().len() + named.len();
    let added = axes(&named, rank)?;
    let mut old = x.shape().iter().copied();
    let shape: Vec<usize> = (0..rank)
        .map(|a| {
            if added.contains(&a) {
                1
            } else {
                old.next().unwrap_or(1)
            }
        })
        .collect();
    Ok(vec![match x {
        Value::Encrypted(x) => Value::Encrypted(call.reshape(&x, &shape)?),
        Value::Clear(x) => Value::Clear(x.reshaped(&shape)?),
    }])
}
