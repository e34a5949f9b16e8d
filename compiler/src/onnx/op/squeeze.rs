//! Squeeze: axes of size 1 left out: those named, or all of them.
//!
//! Opsets: 1 has `axes` as an attribute, 11 allows negative ones, 13 has them as an input.

use crate::onnx::call::{Call, Outputs, Value, axes};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let named = if call.opset < 13 {
        call.arity(1, 1)?;
        call.ints("axes")?
    } else {
        call.arity(1, 2)?;
        call.optional_clear(1, "list of axes")?
            .map(|a| a.ints())
            .transpose()?
    };
    let x = call.value(0)?;
    let old = x.shape();
    let dropped = match named {
        Some(named) => axes(&named, old.len())?,
        None => (0..old.len()).filter(|a| old[*a] == 1).collect(),
    };
    if let Some(bad) = dropped.iter().find(|a| old[**a] != 1) {
        return Err(format!("axis {bad} of {old:?} is not 1").into());
    }
    let shape: Vec<usize> = (0..old.len())
        .filter(|a| !dropped.contains(a))
        .map(|a| old[a])
        .collect();
    Ok(vec![match x {
        Value::Encrypted(x) => Value::Encrypted(call.reshape(&x, &shape)?),
        Value::Clear(x) => Value::Clear(x.reshaped(&shape)?),
    }])
}
