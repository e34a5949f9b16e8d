//! What the models of this domain share: their input as rows of features, and the last function of their scores.

use crate::onnx::call::{Call, Encrypted};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use crate::onnx::op::activation::apply;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{Function, Op};

/// The input as `[N, features]` of floating-point numbers; a vector is one row.
pub(super) fn rows(call: &mut Call<'_>) -> Result<(Encrypted, usize), Refusal> {
    let x = call.encrypted(0)?;
    let (rows, features) = match x.shape[..] {
        [features] => (1, features),
        [rows, features] => (rows, features),
        _ => {
            return Err(format!("the operand of shape {:?} is not [N, features]", x.shape).into());
        }
    };
    let x = call.reshape(&x, &[rows, features])?;
    let elem = if x.elem.is_float() { x.elem } else { Elem::F32 };
    Ok((Encrypted { elem, ..x }, features))
}

/// `x weight^T + bias` for numbers of the file in rows.
pub(super) fn dense(
    call: &mut Call<'_>,
    x: &Encrypted,
    (weight, columns): (Vec<f64>, usize),
    bias: Vec<f64>,
) -> Result<Encrypted, Refusal> {
    let rows = bias.len();
    let weight = Tensor::new(vec![rows, columns], weight)
        .ok_or_else(|| format!("the coefficients do not fill {rows} rows of {columns} numbers"))?;
    let weight = call.constant(&Clear::new("coefficients", Elem::F64, weight))?;
    let bias = Clear::new("intercepts", Elem::F64, Tensor::from_vec(bias));
    let bias = Some(call.constant(&bias)?);
    call.emit(Op::Gemm { weight, bias }, &[x], &[])
}

/// The function that turns scores into the second output (attribute `post_transform`).
///
/// SOFTMAX_ZERO is taken as SOFTMAX: they differ for scores of exactly 0 alone.
pub(super) enum Transform {
    None,
    Logistic,
    Softmax,
}

impl Transform {
    pub(super) fn of(call: &mut Call<'_>) -> Result<Self, Refusal> {
        match call.string("post_transform", "NONE")?.as_str() {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" | "SOFTMAX_ZERO" => Ok(Self::Softmax),
            "PROBIT" => Err(Refusal::new(
                "post_transform PROBIT, an inverse error function, is not supported",
            )
            .help("export the raw scores")),
            other => Err(format!("post_transform is {other:?}, which ONNX does not define").into()),
        }
    }

    /// Applies it to scores `[N, classes]`.
    pub(super) fn apply(
        &self,
        call: &mut Call<'_>,
        scores: &Encrypted,
    ) -> Result<Encrypted, Refusal> {
        match self {
            Self::None => Ok(scores.clone()),
            Self::Logistic => apply(call, Function::Sigmoid, scores),
            Self::Softmax => call.emit(Op::Softmax { axis: 1 }, &[scores], &[]),
        }
    }
}
