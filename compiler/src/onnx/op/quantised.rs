//! Layers of networks that are quantised already, computed on the real numbers that their integers stand for.
//!
//! | operator | result |
//! |---|---|
//! | QLinearConv | the convolution of `(x - x_zero) x_scale` and `(w - w_zero) w_scale` with the bias `b x_scale w_scale`, quantised by y's scale |
//! | QLinearMatMul | the product of `(a - a_zero) a_scale` and `(b - b_zero) b_scale`, quantised by y's scale |
//! | ConvInteger | the convolution of `x - x_zero` and `w - w_zero`, 32-bit integers |
//! | MatMulInteger | the product of `a - a_zero` and `b - b_zero`, 32-bit integers |
//!
//! Scales and zero points are constants, of one element or one for each output channel of a weight. All are of opset 10;
//! 21 adds types to QLinearMatMul.

use super::dequantize_linear::{Grid, real};
use super::quantize_linear::quantised;
use super::{conv, matmul};
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;

pub(super) fn conv(call: &mut Call<'_>) -> Outputs {
    call.arity(8, 9)?;
    let (x_grid, w_grid, y_grid) = (
        Grid::of(call, 1, 2)?,
        Grid::of(call, 4, 5)?,
        Grid::of(call, 6, 7)?,
    );
    let weight = call.clear(3, "kernel")?;
    let bias = call.optional_clear(8, "bias")?;
    let x = call.value(0)?;
    let x = real(call, x, &x_grid, 1)?;
    let bias = match bias {
        None => None,
        Some(bias) => Some(real_bias(&bias, &x_grid, &w_grid)?),
    };
    let weight = clear(real(call, Value::Clear(weight), &w_grid, 0)?)?;
    let x = encrypted(call, x)?;
    let y = conv::convolution(call, &x, &weight, bias.as_ref())?;
    result(call, y, &y_grid)
}

pub(super) fn matmul(call: &mut Call<'_>) -> Outputs {
    call.arity(8, 8)?;
    let (a_grid, b_grid, y_grid) = (
        Grid::of(call, 1, 2)?,
        Grid::of(call, 4, 5)?,
        Grid::of(call, 6, 7)?,
    );
    let (a, b) = (call.value(0)?, call.value(3)?);
    // The rows of the left factor, the columns of the right one.
    let a = real(call, a, &a_grid, -2)?;
    let b = real(call, b, &b_grid, -1)?;
    let y = matmul::product(call, &a, &b)?;
    result(call, y, &y_grid)
}

pub(super) fn conv_integer(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 4)?;
    let (x_zero, w_zero) = (
        call.optional_clear(2, "zero point")?,
        call.optional_clear(3, "zero point")?,
    );
    let weight = call.clear(1, "kernel")?;
    let x = call.value(0)?;
    let x = real(call, x, &unscaled(x_zero), 1)?;
    let weight = clear(real(call, Value::Clear(weight), &unscaled(w_zero), 0)?)?;
    let maps = weight.shape().first().copied().unwrap_or(1).max(1);
    let each = (weight.data().len() / maps).max(1);
    check_sums(weight.data().chunks(each).map(|w| w.iter().copied()))?;
    let x = encrypted(call, x)?;
    let y = conv::convolution(call, &x, &weight, None)?;
    Ok(vec![Value::Encrypted(integers(y))])
}

pub(super) fn matmul_integer(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 4)?;
    let (a_zero, b_zero) = (
        call.optional_clear(2, "zero point")?,
        call.optional_clear(3, "zero point")?,
    );
    let (a, b) = (call.value(0)?, call.value(1)?);
    let a = real(call, a, &unscaled(a_zero), -2)?;
    let b = real(call, b, &unscaled(b_zero), -1)?;
    if let (Value::Clear(w), &[_, columns]) = (&b, b.shape()) {
        let column = |c| w.data().iter().copied().skip(c).step_by(columns.max(1));
        check_sums((0..columns).map(column))?;
    }
    let y = matmul::product(call, &a, &b)?;
    Ok(vec![Value::Encrypted(integers(y))])
}

/// Refuses sums that could leave 32 bits, where integers wrap around but encrypted sums do not.
fn check_sums<W: Iterator<Item = f64>>(weights: impl Iterator<Item = W>) -> Result<(), Refusal> {
    // Whole numbers of 8 bits, less a zero point of 8 bits.
    let most = weights
        .map(|w| 255.0 * w.map(f64::abs).sum::<f64>())
        .fold(0.0, f64::max);
    if most <= f64::from(i32::MAX) {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "its sums may reach {most:.0}, beyond the 32 bits of its result"
    ))
    .help("split the layer, or export it with QLinearMatMul or QLinearConv, which round"))
}

fn integers(y: Encrypted) -> Encrypted {
    Encrypted {
        elem: Elem::Int("i32"),
        ..y
    }
}

/// A zero point with the scale 1.
fn unscaled(zero: Option<Clear>) -> Grid {
    let one = |shape: &[usize]| {
        let count = shape.iter().product();
        Tensor::new(shape.to_vec(), vec![1.0; count]).unwrap_or_else(|| Tensor::from_vec(vec![1.0]))
    };
    let shape = zero.as_ref().map_or(vec![], |z| z.shape().to_vec());
    Grid {
        scale: Clear::new("one", Elem::F32, one(&shape)),
        zero,
    }
}

fn clear(value: Value) -> Result<Clear, Refusal> {
    match value {
        Value::Clear(clear) => Ok(clear),
        Value::Encrypted(_) => Err("the kernel is no constant".into()),
    }
}

fn encrypted(call: &mut Call<'_>, value: Value) -> Result<Encrypted, Refusal> {
    match value {
        Value::Encrypted(x) => Ok(x),
        Value::Clear(x) => call.lifted(&x),
    }
}

/// `b x_scale w_scale`, by output channels.
fn real_bias(bias: &Clear, x: &Grid, w: &Grid) -> Result<Clear, Refusal> {
    let x_scale = x.scale.scalar()?;
    let channels = bias.data().len();
    let scales = w.scale.data();
    if scales.len() != 1 && scales.len() != channels {
        return Err(format!(
            "{} scales of the kernel do not fit a bias of {channels}",
            scales.len()
        )
        .into());
    }
    let data = bias.data().iter().enumerate();
    let data = data.map(|(i, b)| b * x_scale * scales[i % scales.len()]);
    Ok(Clear::new(
        &format!("{}.real", bias.name),
        x.scale.elem,
        Tensor::from_vec(data.collect()),
    ))
}

/// What real numbers are quantised to.
fn result(call: &mut Call<'_>, y: Encrypted, grid: &Grid) -> Outputs {
    let elem = grid.zero.as_ref().map(|z| z.elem);
    let elem = elem.ok_or("the result's zero point is missing")?;
    Ok(vec![quantised(call, &Value::Encrypted(y), grid, elem, 1)?])
}
