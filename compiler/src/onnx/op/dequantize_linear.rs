//! DequantizeLinear: `y = (x - zero_point) * scale`, whole numbers to real ones. Scale and zero point are constants of
//! one element, or one along `axis`.
//!
//! Opsets: 10, 13 (`axis`), 19 (types), 21 (`block_size`, which must be 0 here).

use super::arithmetic::{add_constant, mul_constant};
use crate::onnx::call::{Call, Encrypted, Outputs, Value, axis};
use crate::onnx::clear::Clear;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 3)?;
    let x = call.value(0)?;
    let scale = call.clear(1, "scale")?;
    let zero = call.optional_clear(2, "zero point")?;
    let at = call.int("axis", 1)?;
    if call.int("block_size", 0)? != 0 {
        return Err("a scale for each block of elements (block_size) is not supported".into());
    }
    if !scale.elem.is_float() {
        return Err(format!("the scale holds {}", scale.elem).into());
    }
    if zero.as_ref().is_some_and(|z| z.shape() != scale.shape()) {
        return Err("scale and zero point differ in shape".into());
    }
    // One number along an axis: behind it, axes of size 1.
    let mut shape = vec![];
    if scale.data().len() != 1 || scale.shape().len() == 1 && x.shape().len() > 1 {
        let at = axis(at, x.shape().len())?;
        let size = x.shape()[at];
        if scale.shape() != [size] && scale.data().len() != 1 {
            return Err(format!(
                "a scale of shape {:?} does not fit axis {at} of {:?}",
                scale.shape(),
                x.shape()
            )
            .into());
        }
        shape = vec![1; x.shape().len() - at];
        shape[0] = scale.data().len();
    }
    let elem = scale.elem;
    let scale = scale.reshaped(&shape)?;
    let zero = zero.map(|z| z.reshaped(&shape)).transpose()?;
    match x {
        Value::Clear(x) => {
            let x = Clear { elem, ..x };
            let shifted = match zero {
                Some(zero) => x.zip(&Clear { elem, ..zero }, |x, z| x - z)?,
                None => x,
            };
            Ok(vec![Value::Clear(shifted.zip(&scale, |x, s| x * s)?)])
        }
        Value::Encrypted(x) => {
            let mut x = Encrypted { elem, ..x };
            if let Some(zero) = zero.filter(|z| z.data().iter().any(|v| *v != 0.0)) {
                let negated = Clear {
                    elem,
                    name: format!("{}.negated", zero.name),
                    ..zero.map(|z| -z)
                };
                x = add_constant(call, &x, &negated)?;
            }
            Ok(vec![Value::Encrypted(mul_constant(call, &x, &scale)?)])
        }
    }
}
