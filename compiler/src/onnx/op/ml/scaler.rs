//! Scaler: `y = (x - offset) * scale`, both numbers for each feature (the last axis) or one for all.
//!
//! Types: floating point and integers in, floating point out. Version 1 of `ai.onnx.ml`.

use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use crate::onnx::op::arithmetic::{add_constant, mul_constant};
use cipherloom_ir::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let offset = call.floats("offset")?;
    let scale = call.floats("scale")?;
    let x = call.encrypted(0)?;
    let mut y = Encrypted {
        elem: Elem::F32,
        ..x
    };
    if let Some(offset) = offset {
        let negated = per_feature("offset", offset.iter().map(|v| -v).collect(), &y)?;
        y = add_constant(call, &y, &negated)?;
    }
    if let Some(scale) = scale {
        y = mul_constant(call, &y, &per_feature("scale", scale, &y)?)?;
    }
    Ok(vec![Value::Encrypted(y)])
}

fn per_feature(what: &str, values: Vec<f64>, x: &Encrypted) -> Result<Clear, Refusal> {
    let features = x.shape.last().copied().unwrap_or(1);
    if values.len() != 1 && values.len() != features {
        return Err(format!(
            "{what} has {} numbers for {features} features",
            values.len()
        )
        .into());
    }
    Ok(Clear::new(what, Elem::F32, Tensor::from_vec(values)))
}
