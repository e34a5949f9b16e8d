//! LpNormalization: `y = x / (sum of |x|^p)^(1/p)` along `axis` (-1), for p 1 or 2 (2). Opsets: 1, 22 adds types.

use super::activation::apply;
use crate::onnx::call::{Call, Encrypted, Outputs, Value, axis};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::{Function, Op, Reduction};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let at = call.int("axis", -1)?;
    let p = call.int("p", 2)?;
    let x = call.encrypted(0)?;
    let at = axis(at, x.shape.len())?;
    Ok(vec![Value::Encrypted(match p {
        1 => by_sum(call, &x, at)?,
        2 => by_length(call, &x, at)?,
        other => return Err(format!("p is {other}, not 1 or 2").into()),
    })])
}

/// `x / sum of |x|` along an axis.
pub(super) fn by_sum(
    call: &mut Call<'_>,
    x: &Encrypted,
    axis: usize,
) -> Result<Encrypted, Refusal> {
    let absolute = apply(call, Function::Abs, x)?;
    let norm = reduced(call, Reduction::Sum, &absolute, axis)?;
    call.emit(Op::Div, &[x, &norm], &[])
}

/// `x / sqrt(sum of x^2)` along an axis.
pub(super) fn by_length(
    call: &mut Call<'_>,
    x: &Encrypted,
    axis: usize,
) -> Result<Encrypted, Refusal> {
    let square = call.emit(Op::Power { exponent: 2 }, &[x], &[])?;
    let norm = reduced(call, Reduction::Sum, &square, axis)?;
    let inverse = apply(call, Function::Pow { exponent: -0.5 }, &norm)?;
    call.emit(Op::Mul, &[x, &inverse], &[])
}

/// `x / max of x` along an axis.
pub(super) fn by_largest(
    call: &mut Call<'_>,
    x: &Encrypted,
    axis: usize,
) -> Result<Encrypted, Refusal> {
    let norm = reduced(call, Reduction::Max, x, axis)?;
    call.emit(Op::Div, &[x, &norm], &[])
}

fn reduced(
    call: &mut Call<'_>,
    kind: Reduction,
    x: &Encrypted,
    axis: usize,
) -> Result<Encrypted, Refusal> {
    let axes = vec![axis];
    call.emit(Op::Reduce { kind, axes }, &[x], &[])
}
