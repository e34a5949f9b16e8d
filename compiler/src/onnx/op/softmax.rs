//! Softmax: `y = exp(x) / sum of exp(x)` along an axis; LogSoftmax: its logarithm; floating point.
//!
//! Opsets: before 13 all axes from `axis` (default 1) on count as one; since 13 the one axis (default -1).
//! A backend without an encrypted form leaves them to the client or refuses them.

use crate::onnx::call::{Call, Outputs, Value, axis};
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    along(call, |axis| Op::Softmax { axis })
}

pub(super) fn import_log(call: &mut Call<'_>) -> Outputs {
    along(call, |axis| Op::LogSoftmax { axis })
}

fn along(call: &mut Call<'_>, op: fn(usize) -> Op) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    let rank = x.shape.len();
    if call.opset >= 13 {
        let axis = axis(call.int("axis", -1)?, rank)?;
        return Ok(vec![Value::Encrypted(call.emit(op(axis), &[&x], &[])?)]);
    }
    let at = axis(call.int("axis", 1)?, rank)?;
    let (front, back) = x.shape.split_at(at);
    let matrix = call.reshape(&x, &[front.iter().product(), back.iter().product()])?;
    let y = call.emit(op(1), &[&matrix], &[])?;
    Ok(vec![Value::Encrypted(call.reshape(&y, &x.shape)?)])
}
