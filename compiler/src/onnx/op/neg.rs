//! Neg: `y = -x`. Opsets: 6, 13 (types).

use super::arithmetic::negate;
use crate::onnx::call::{Call, Outputs, Value};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    Ok(vec![match call.value(0)? {
        Value::Encrypted(x) => Value::Encrypted(negate(call, &x)?),
        Value::Clear(x) => Value::Clear(x.map(|v| -v)),
    }])
}
