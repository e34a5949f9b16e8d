//! Softmax: `y = exp(x) / sum of exp(x)` along an axis; floating point.
//!
//! Opsets: before 13 all axes from `axis` (default 1) on count as one; since 13 the one axis (default -1).
//! A backend without its encrypted form refuses it later.

use crate::onnx::call::{Call, Outputs, Value, axis};
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    let rank = x.shape.len();
    if call.opset >= 13 {
        let axis = axis(call.int("axis", -1)?, rank)?;
        return Ok(vec![Value::Encrypted(call.emit(
            Op::Softmax { axis },
            &[&x],
            &[],
        )?)]);
    }
    let at = axis(call.int("axis", 1)?, rank)?;
    let (front, back) = x.shape.split_at(at);
    let matrix = call.reshape(&x, &[front.iter().product(), back.iter().product()])?;
    let y = call.emit(Op::Softmax { axis: 1 }, &[&matrix], &[])?;
    Ok(vec![Value::Encrypted(call.reshape(&y, &x.shape)?)])
}
