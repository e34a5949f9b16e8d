//! Normalizer: each row divided by its largest element (MAX), by the sum of its absolute values (L1) or by its length
//! (L2). A row of zeros, which onnxruntime leaves as it is, has no value here.
//!
//! Types: floating point and integers in. Version 1 of `ai.onnx.ml`.

use super::features::rows;
use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::op::lp_normalization::{by_largest, by_length, by_sum};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let norm = call.string("norm", "MAX")?;
    let shape = call.value(0)?.shape().to_vec();
    let (x, _) = rows(call)?;
    let y = match norm.as_str() {
        "MAX" => by_largest(call, &x, 1)?,
        "L1" => by_sum(call, &x, 1)?,
        "L2" => by_length(call, &x, 1)?,
        other => return Err(format!("norm is {other:?}, which ONNX does not define").into()),
    };
    Ok(vec![Value::Encrypted(call.reshape(&y, &shape)?)])
}
