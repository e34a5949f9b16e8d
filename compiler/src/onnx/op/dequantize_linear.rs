//! DequantizeLinear: `y = (x - zero_point) * scale`, whole numbers to real ones. Scale and zero point are constants of
//! one element, or one along `axis`.
//!
//! Opsets: 10, 13 (`axis`), 19 (types), 21 (`block_size`, which must be 0 here).

use super::arithmetic::{add_constant, mul_constant};
use crate::onnx::call::{Call, Encrypted, Outputs, Value, axis};
use crate::onnx::clear::Clear;
use crate::onnx::error::Refusal;

/// A scale and a zero point: constants of one shape.
pub(super) struct Grid {
    pub(super) scale: Clear,
    pub(super) zero: Option<Clear>,
}

impl Grid {
    /// Those at two positions of a node's inputs.
    pub(super) fn of(call: &Call<'_>, scale: usize, zero: usize) -> Result<Self, Refusal> {
        let (scale, zero) = (
            call.clear(scale, "scale")?,
            call.optional_clear(zero, "zero point")?,
        );
        if !scale.elem.is_float() {
            return Err(format!("the scale holds {}", scale.elem).into());
        }
        let usable = |s: &f64| s.is_finite() && *s > 0.0;
        if let Some(bad) = scale.data().iter().find(|s| !usable(s)) {
            return Err(format!("the scale {bad} is no positive number").into());
        }
        // One number may be a scalar or a list of one.
        let count = |c: &Clear| c.data().len();
        if zero
            .as_ref()
            .is_some_and(|z| z.shape() != scale.shape() && (count(z), count(&scale)) != (1, 1))
        {
            return Err("scale and zero point differ in shape".into());
        }
        Ok(Self { scale, zero })
    }
}

/// The shape in which a scale meets elements of the given shape: one number along an axis, behind it axes of size 1.
pub(super) fn along(scale: &Clear, shape: &[usize], at: i64) -> Result<Vec<usize>, Refusal> {
    if scale.data().len() == 1 && (scale.shape().len() != 1 || shape.len() <= 1) {
        return Ok(vec![]);
    }
    let at = axis(at, shape.len())?;
    let size = shape[at];
    if scale.shape() != [size] && scale.data().len() != 1 {
        return Err(format!(
            "a scale of shape {:?} does not fit axis {at} of {shape:?}",
            scale.shape()
        )
        .into());
    }
    let mut fitting = vec![1; shape.len() - at];
    fitting[0] = scale.data().len();
    Ok(fitting)
}

/// What this operator and its inverse are given: the values, their grid, and the axis that it lies along.
pub(super) fn operands(call: &mut Call<'_>) -> Result<(Value, Grid, i64), Refusal> {
    call.arity(2, 3)?;
    let x = call.value(0)?;
    let grid = Grid::of(call, 1, 2)?;
    let at = call.int("axis", 1)?;
    if call.int("block_size", 0)? != 0 {
        return Err("a scale for each block of elements (block_size) is not supported".into());
    }
    Ok((x, grid, at))
}

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let (x, grid, at) = operands(call)?;
    Ok(vec![real(call, x, &grid, at)?])
}

/// The real numbers that whole ones stand for.
pub(super) fn real(call: &mut Call<'_>, x: Value, grid: &Grid, at: i64) -> Result<Value, Refusal> {
    let shape = along(&grid.scale, x.shape(), at)?;
    let elem = grid.scale.elem;
    let scale = grid.scale.reshaped(&shape)?;
    let zero = match &grid.zero {
        Some(zero) => Some(zero.reshaped(&shape)?),
        None => None,
    };
    match x {
        Value::Clear(x) => {
            let x = Clear { elem, ..x };
            let shifted = match zero {
                Some(zero) => x.zip(&Clear { elem, ..zero }, |x, z| x - z)?,
                None => x,
            };
            Ok(Value::Clear(shifted.zip(&scale, |x, s| x * s)?))
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
            Ok(Value::Encrypted(mul_constant(call, &x, &scale)?))
        }
    }
}
