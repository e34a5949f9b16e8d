//! MatMul: the product of two matrices or stacks of matrices by NumPy's rules; a vector on the left is a
//! row, on the right a column, and the added axis is dropped from the result.
//!
//! Floating point; each factor may be clear or encrypted. Opsets: 1, 9 and 13 add types.

use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::Clear;
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let (a, b) = (call.value(0)?, call.value(1)?);
    Ok(vec![Value::Encrypted(product(call, &a, &b)?)])
}

/// The product of two values, either of which may be clear.
pub(super) fn product(call: &mut Call<'_>, a: &Value, b: &Value) -> Result<Encrypted, Refusal> {
    match (a, b) {
        (Value::Encrypted(a), Value::Encrypted(b)) => call.emit(Op::MatMul, &[a, b], &[]),
        (Value::Encrypted(x), Value::Clear(w)) => constant_right(call, x, w),
        (Value::Clear(w), Value::Encrypted(x)) => {
            let weight = call.constant(w)?;
            call.emit(Op::ConstMatMul { weight }, &[x], &[])
        }
        // Both are constants: computed as if they were encrypted.
        (Value::Clear(a), Value::Clear(b)) => {
            let (a, b) = (call.lifted(a)?, call.lifted(b)?);
            call.emit(Op::MatMul, &[&a, &b], &[])
        }
    }
}

/// `x w`, as a layer where w is one matrix, else through `(w^T x^T)^T`.
fn constant_right(call: &mut Call<'_>, x: &Encrypted, w: &Clear) -> Result<Encrypted, Refusal> {
    let inner = x
        .shape
        .last()
        .copied()
        .ok_or("the left factor is a scalar")?;
    let rows = match *w.shape() {
        [rows] | [.., rows, _] => rows,
        [] => return Err("the right factor is a scalar".into()),
    };
    if rows != inner {
        return Err(format!(
            "a matrix of {inner} columns cannot be multiplied with one of {rows} rows"
        )
        .into());
    }
    match w.shape() {
        [_] => {
            let weight = call.constant(&w.reshaped(&[1, rows])?)?;
            let y = call.emit(Op::Gemm { weight, bias: None }, &[x], &[])?;
            let shape = y
                .shape
                .split_last()
                .map(|(_, front)| front.to_vec())
                .unwrap_or_default();
            call.reshape(&y, &shape)
        }
        [_, _] => {
            let weight = call.constant(&w.transposed(&[1, 0])?)?;
            call.emit(Op::Gemm { weight, bias: None }, &[x], &[])
        }
        stack => {
            let weight = call.constant(&w.transposed(&last_two_swapped(stack.len()))?)?;
            // A vector is a column of w^T x^T already.
            let vector = x.shape.len() == 1;
            let columns = if vector {
                x.clone()
            } else {
                call.transpose(x, &last_two_swapped(x.shape.len()))?
            };
            let y = call.emit(Op::ConstMatMul { weight }, &[&columns], &[])?;
            if vector {
                Ok(y)
            } else {
                call.transpose(&y, &last_two_swapped(y.shape.len()))
            }
        }
    }
}

fn last_two_swapped(rank: usize) -> Vec<usize> {
    let mut perm: Vec<usize> = (0..rank).collect();
    if rank >= 2 {
        perm.swap(rank - 1, rank - 2);
    }
    perm
}
