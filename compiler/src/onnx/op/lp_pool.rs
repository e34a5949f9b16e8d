//! LpPool: `(sum of |x|^p over a window)^(1/p)`; GlobalLpPool: the same over all spatial axes, which stay with size 1.
//!
//! Opsets: 2 (`p` a whole number), 11, 18 (`ceil_mode`, which must be 0 here, and `dilations`). One to three
//! spatial axes.

use super::convolution::convolve;
use super::{reduce, window};
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{Function, Op, Reduction};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let p = exponent(call)?;
    let x = call.encrypted(0)?;
    let window = window::read_pool(call, &x.shape)?;
    if call.opset >= 18 && call.flag("ceil_mode", false)? {
        return Err("a size that is rounded up (ceil_mode) is not supported here".into());
    }
    let powers = powers(call, &x, p)?;
    // Sums over windows, channel by channel.
    let channels = x.shape[1];
    let shape = [vec![channels, 1], window.kernel.clone()].concat();
    let count = crate::onnx::clear::computed_count(&shape)?;
    let ones = Tensor::new(shape, vec![1.0; count]).ok_or("the window's size overflows")?;
    let ones = Clear::new(&format!("{}.ones", call.label()), Elem::F64, ones);
    let sums = convolve(call, &powers, &ones, None, &window, channels)?;
    Ok(vec![Value::Encrypted(root(call, sums, p)?)])
}

pub(super) fn global(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let p = exponent(call)?;
    let x = call.encrypted(0)?;
    window::spatial(&x.shape)?;
    let spatial: Vec<usize> = (2..x.shape.len()).collect();
    let powers = powers(call, &x, p)?;
    let sums = reduce::over_axes(call, &powers, Reduction::Sum, &spatial, true)?;
    Ok(vec![Value::Encrypted(root(call, sums, p)?)])
}

fn exponent(call: &mut Call<'_>) -> Result<u32, Refusal> {
    let p = call.int("p", 2)?;
    let fits = u32::try_from(p).ok().filter(|p| (1..=64).contains(p));
    fits.ok_or_else(|| format!("p is {p}, which is not between 1 and 64").into())
}

/// `|x|^p`.
fn powers(call: &mut Call<'_>, x: &Encrypted, p: u32) -> Result<Encrypted, Refusal> {
    let base = if p.is_multiple_of(2) {
        x.clone()
    } else {
        call.emit(Op::Function(Function::Abs), &[x], &[])?
    };
    match p {
        1 => Ok(base),
        exponent => call.emit(Op::Power { exponent }, &[&base], &[]),
    }
}

/// `x^(1/p)`.
fn root(call: &mut Call<'_>, x: Encrypted, p: u32) -> Result<Encrypted, Refusal> {
    let function = match p {
        1 => return Ok(x),
        2 => Function::Sqrt,
        p => Function::Pow {
            exponent: 1.0 / f64::from(p),
        },
    };
    call.emit(Op::Function(function), &[&x], &[])
}
