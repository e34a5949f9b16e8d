//! Cast: the same values in another element type (`to`).
//!
//! Encrypted values: between floating-point types only, and without rounding (an encrypted value is a
//! real number). Clear values: all types; to an integer truncates towards zero.
//! Opsets: 6, 9, 13 add types; 19 adds `saturate`, which matters for 8-bit floats alone.

use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    if call.opset >= 19 {
        call.flag("saturate", true)?;
    }
    let to = call.int("to", 0)?;
    let to = i32::try_from(to)
        .map_err(|_| "the target type does not exist".to_owned())
        .and_then(Elem::from_onnx);
    let to = to.map_err(|what| format!("the target type is {what}"))?;
    Ok(vec![match call.value(0)? {
        Value::Encrypted(_) if !to.is_float() => {
            return Err(Refusal::new(format!(
                "rounding an encrypted value to {to} has no encrypted form"
            ))
            .help("export without the cast, or do it after decryption"));
        }
        Value::Encrypted(x) => Value::Encrypted(Encrypted { elem: to, ..x }),
        Value::Clear(x) => Value::Clear(Clear {
            elem: to,
            ..x.map(|v| to.round(v))
        }),
    }])
}
