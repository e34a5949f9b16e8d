//! QuantizeLinear: `y = saturate(round(x / scale) + zero_point)`, real numbers to whole ones of 8 or 16 bits. Scale and
//! zero point are constants of one element, or one along `axis`; halves are rounded to even.
//!
//! Opsets: 10, 13 (`axis`), 19 (`saturate`, of 8-bit floats alone), 21 (`block_size`, which must be 0 here, and
//! `output_dtype`), 23 (`precision`).

use super::activation::apply;
use super::arithmetic::{add_constant, mul_constant};
use super::dequantize_linear::{Grid, along, operands};
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::Function;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let (x, grid, at) = operands(call)?;
    call.flag("saturate", true)?;
    call.int("precision", 0)?;
    let stated = match call.int("output_dtype", 0)? {
        0 => None,
        number => {
            let number = i32::try_from(number).unwrap_or(0);
            let elem = Elem::from_onnx(number);
            Some(elem.map_err(|what| format!("the output type is {what}"))?)
        }
    };
    let elem = match (&grid.zero, stated) {
        (Some(zero), Some(stated)) if zero.elem != stated => {
            return Err(format!(
                "output_dtype says {stated}, the zero point holds {}",
                zero.elem
            )
            .into());
        }
        (Some(zero), _) => zero.elem,
        (None, stated) => stated.unwrap_or(Elem::Int("u8")),
    };
    Ok(vec![quantised(call, &x, &grid, elem, at)?])
}

/// The smallest and largest number of a type that values are quantised to.
fn ends(elem: Elem) -> Result<(f64, f64), Refusal> {
    Ok(match elem {
        Elem::Int("u8") => (0.0, 255.0),
        Elem::Int("i8") => (-128.0, 127.0),
        Elem::Int("u16") => (0.0, 65535.0),
        Elem::Int("i16") => (-32768.0, 32767.0),
        other => {
            return Err(Refusal::new(format!("it quantises to {other}"))
                .help("quantise to 8 or 16 bits, signed or unsigned"));
        }
    })
}

/// The whole numbers of a type that stand for real ones.
pub(super) fn quantised(
    call: &mut Call<'_>,
    x: &Value,
    grid: &Grid,
    elem: Elem,
    at: i64,
) -> Result<Value, Refusal> {
    let (lo, hi) = ends(elem)?;
    let shape = along(&grid.scale, x.shape(), at)?;
    let scale = grid.scale.reshaped(&shape)?;
    let zero = match &grid.zero {
        Some(zero) => Some(zero.reshaped(&shape)?),
        None => None,
    };
    match x {
        Value::Clear(x) => {
            let mut y = x.zip(&scale, |x, s| libm::rint(x / s))?;
            if let Some(zero) = zero {
                y = y.zip(
                    &Clear {
                        elem: y.elem,
                        ..zero
                    },
                    |y, z| y + z,
                )?;
            }
            Ok(Value::Clear(Clear {
                elem,
                ..y.map(|y| y.clamp(lo, hi))
            }))
        }
        Value::Encrypted(x) => {
            let inverse = Clear {
                name: format!("{}.inverse", scale.name),
                ..scale.map(|s| 1.0 / s)
            };
            let y = mul_constant(call, x, &inverse)?;
            let mut y = apply(call, Function::Round, &y)?;
            if let Some(zero) = zero.filter(|z| z.data().iter().any(|v| *v != 0.0)) {
                y = add_constant(
                    call,
                    &y,
                    &Clear {
                        elem: y.elem,
                        ..zero
                    },
                )?;
            }
            let y = apply(call, Function::Clip { lo, hi }, &y)?;
            Ok(Value::Encrypted(Encrypted { elem, ..y }))
        }
    }
}
