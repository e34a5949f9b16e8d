//! Clip: `y = min(max(x, min), max)` elementwise; a bound that is not given does not bound.
//!
//! Bounds: constants of one element. Types: floating point, since 12 integers too.
//! Opsets: 6 has the bounds as attributes, 11 has them as inputs, 12 and 13 add types.

use super::activation::apply;
use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::Function;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let (lo, hi) = if call.opset < 11 {
        call.arity(1, 1)?;
        (call.float("min", f32::MIN)?, call.float("max", f32::MAX)?)
    } else {
        call.arity(1, 3)?;
        (
            bound(call, 1, "lower bound")?.unwrap_or(f64::NEG_INFINITY),
            bound(call, 2, "upper bound")?.unwrap_or(f64::INFINITY),
        )
    };
    // Exporters write the largest number where there is no bound.
    let lo = if lo <= f64::from(f32::MIN) {
        f64::NEG_INFINITY
    } else {
        lo
    };
    let hi = if hi >= f64::from(f32::MAX) {
        f64::INFINITY
    } else {
        hi
    };
    if lo > hi {
        return Err(format!("the lower bound {lo} exceeds the upper bound {hi}").into());
    }
    let x = call.encrypted(0)?;
    let function = match (lo, hi) {
        (f64::NEG_INFINITY, f64::INFINITY) => return Ok(vec![Value::Encrypted(x)]),
        (0.0, f64::INFINITY) => Function::Relu,
        _ => Function::Clip { lo, hi },
    };
    Ok(vec![Value::Encrypted(apply(call, function, &x)?)])
}

fn bound(call: &Call<'_>, position: usize, what: &str) -> Result<Option<f64>, Refusal> {
    let Some(bound) = call.optional_clear(position, what)? else {
        return Ok(None);
    };
    let value = bound.scalar()?;
    if value.is_nan() {
        return Err(format!("the {what} is no number").into());
    }
    Ok(Some(value))
}
