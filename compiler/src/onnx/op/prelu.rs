//! PRelu: `y = x` where `x >= 0`, else `slope * x`; the slope broadcasts to x.
//!
//! A slope that is the same everywhere is a LeakyRelu; any other gives
//! `(1 + slope) / 2 * x + (1 - slope) / 2 * |x|`. Opsets: 7, 9 and 16 add types.

use super::activation::apply;
use super::arithmetic::mul_constant;
use crate::broadcast::broadcast;
use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::Clear;
use cipherloom_ir::tensor::{Function, Op};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let slope = call.value(1)?;
    let x = call.encrypted(0)?;
    if broadcast(&x.shape, slope.shape())? != x.shape {
        return Err(format!(
            "the slope of shape {:?} does not broadcast to {:?}",
            slope.shape(),
            x.shape
        )
        .into());
    }
    let slope = match slope {
        Value::Clear(slope) => slope,
        Value::Encrypted(slope) => {
            // max(x, 0) + slope min(x, 0)
            let above = apply(call, Function::Relu, &x)?;
            let below = call.emit(Op::Sub, &[&x, &above], &[])?;
            let scaled = call.emit(Op::Mul, &[&below, &slope], &[])?;
            let y = call.emit(Op::Add, &[&above, &scaled], &[])?;
            return Ok(vec![Value::Encrypted(y)]);
        }
    };
    if let Some((alpha, rest)) = slope.data().split_first()
        && rest.iter().all(|s| s == alpha)
    {
        let leaky = Function::LeakyRelu { alpha: *alpha };
        return Ok(vec![Value::Encrypted(apply(call, leaky, &x)?)]);
    }
    let named = |suffix: &str, half: Clear| Clear {
        name: format!("{}.{suffix}", slope.name),
        ..half
    };
    let odd = named("odd", slope.map(|s| 0.5 * (1.0 + s)));
    let even = named("even", slope.map(|s| 0.5 * (1.0 - s)));
    let absolute = apply(call, Function::Abs, &x)?;
    let odd = mul_constant(call, &x, &odd)?;
    let even = mul_constant(call, &absolute, &even)?;
    Ok(vec![Value::Encrypted(call.emit(
        Op::Add,
        &[&odd, &even],
        &[],
    )?)])
}
