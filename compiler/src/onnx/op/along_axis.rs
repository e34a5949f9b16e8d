//! A matrix applied along one axis.

use crate::onnx::call::{Call, Encrypted};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Op;

/// `y[.., o, ..] = sum over i of matrix[o, i] x[.., i, ..]` at the given axis; the matrix is `[rows, size]`, row by row.
pub(super) fn apply(
    call: &mut Call<'_>,
    x: &Encrypted,
    axis: usize,
    rows: usize,
    matrix: Vec<f64>,
) -> Result<Encrypted, Refusal> {
    let size = *x.shape.get(axis).ok_or("the axis does not exist")?;
    let front: usize = x.shape.iter().take(axis).product();
    let back: usize = x.shape.iter().skip(axis + 1).product();
    let tensor = Tensor::new(vec![rows, size], matrix).ok_or("the matrix does not fit the axis")?;
    let name = format!("{}.axis{axis}", call.label());
    let weight = call.constant(&Clear::new(&name, Elem::F64, tensor))?;
    let mut shape = x.shape.clone();
    shape[axis] = rows;
    let y = if back == 1 {
        let lines = call.reshape(x, &[front, size])?;
        call.emit(Op::Gemm { weight, bias: None }, &[&lines], &[])?
    } else {
        let stack = call.reshape(x, &[front, size, back])?;
        call.emit(Op::ConstMatMul { weight }, &[&stack], &[])?
    };
    call.reshape(&y, &shape)
}
