//! Flatten: `[d0 .. dn]` as a matrix `[d0 * .. * d(axis-1), d(axis) * .. * dn]`.
//!
//! Opsets: 1, 9 (types), 11 (negative axis), 13 and later (types).

use crate::onnx::call::{Call, Outputs, Value, axis};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.value(0)?;
    let rank = x.shape().len();
    // The axis may also stand behind the last one.
    let at = match call.int("axis", 1)? {
        at if at == rank as i64 => rank,
        at => axis(at, rank)?,
    };
    let (front, back) = x.shape().split_at(at);
    let shape = [front.iter().product(), back.iter().product()];
    Ok(vec![match x {
        Value::Encrypted(x) => Value::Encrypted(call.reshape(&x, &shape)?),
        Value::Clear(x) => Value::Clear(x.reshaped(&shape)?),
    }])
}
