//! Cast: the same values in another element type (`to`); CastLike: in the type of a second input.
//!
//! Encrypted values: between floating-point types without rounding (an encrypted value is a real number); to an integer
//! truncates towards zero and to a truth value compares with 0, which only the client can. Clear values: all types.
//! Opsets: 6, 9, 13 add types; 19 adds `saturate` and 24 `round_mode`, which matter for 8-bit floats alone.
//! CastLike came in 15.

use super::activation::apply;
use super::compare::truth;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use cipherloom_ir::tensor::Function;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let to = call.int("to", 0)?;
    let to = i32::try_from(to)
        .map_err(|_| "the target type does not exist".to_owned())
        .and_then(Elem::from_onnx);
    let to = to.map_err(|what| format!("the target type is {what}"))?;
    cast(call, to)
}

pub(super) fn like(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let to = call.value(1)?.elem();
    cast(call, to)
}

fn cast(call: &mut Call<'_>, to: Elem) -> Outputs {
    if call.opset >= 19 {
        call.flag("saturate", true)?;
    }
    if call.opset >= 24 {
        call.string("round_mode", "up")?;
    }
    Ok(vec![match call.value(0)? {
        Value::Encrypted(x) => {
            let y = match (x.elem, to) {
                (Elem::Bool, _) => x,
                (_, Elem::Bool) => truth(call, &x)?,
                (from, Elem::Int(_)) if from.is_float() => apply(call, Function::Trunc, &x)?,
                _ => x,
            };
            Value::Encrypted(Encrypted { elem: to, ..y })
        }
        Value::Clear(x) => Value::Clear(Clear {
            elem: to,
            ..x.map(|v| to.round(v))
        }),
    }])
}
