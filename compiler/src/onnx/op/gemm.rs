//! Gemm: `y = alpha * A' B' + beta * C`, with `A' = A^T` if transA and `B' = B^T` if transB.
//!
//! A and B are matrices, C broadcasts to the product; floating point. Each may be clear or encrypted.
//! Opsets: 7 (broadcasting of C), 9 (types), 11 (C optional), 13 (types).

use super::arithmetic::{mul_constant, sum};
use crate::broadcast::broadcast;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 3)?;
    let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
    let (trans_a, trans_b) = (call.flag("transA", false)?, call.flag("transB", false)?);
    let (a, b) = (call.value(0)?, call.value(1)?);
    for (what, factor) in [("A", &a), ("B", &b)] {
        if factor.shape().len() != 2 {
            return Err(format!(
                "{what} has shape {:?}, but must be a matrix",
                factor.shape()
            )
            .into());
        }
    }
    let size = |v: &Value, transposed: bool, axis: usize| {
        v.shape()
            .get(if transposed { 1 - axis } else { axis })
            .copied()
    };
    let (inner_a, inner_b) = (size(&a, trans_a, 1), size(&b, trans_b, 0));
    if inner_a != inner_b {
        return Err(format!(
            "a matrix of {} columns cannot be multiplied with one of {} rows",
            inner_a.unwrap_or(0),
            inner_b.unwrap_or(0)
        )
        .into());
    }
    let shape: Vec<usize> = [size(&a, trans_a, 0), size(&b, trans_b, 1)]
        .into_iter()
        .flatten()
        .collect();
    let summand = match call.optional(2) {
        Some(c) if beta != 0.0 => {
            if broadcast(c.shape(), &shape)? != shape {
                return Err(
                    format!("C of shape {:?} does not broadcast to {shape:?}", c.shape()).into(),
                );
            }
            Some(c)
        }
        _ => None,
    };
    let y = match (a, b) {
        (Value::Encrypted(a), Value::Clear(b)) => {
            let weight = if trans_b { b } else { b.transposed(&[1, 0])? };
            let weight = call.constant(&scaled(weight, alpha))?;
            let a = turned(call, &a, trans_a)?;
            // A clear C becomes the layer's bias.
            if let Some(Value::Clear(c)) = summand {
                let bias = Some(call.constant(&scaled(c, beta))?);
                return Ok(vec![Value::Encrypted(call.emit(
                    Op::Gemm { weight, bias },
                    &[&a],
                    &[],
                )?)]);
            }
            call.emit(Op::Gemm { weight, bias: None }, &[&a], &[])?
        }
        (Value::Clear(a), Value::Encrypted(b)) => {
            let weight = if trans_a { a.transposed(&[1, 0])? } else { a };
            let weight = call.constant(&scaled(weight, alpha))?;
            let b = turned(call, &b, trans_b)?;
            call.emit(Op::ConstMatMul { weight }, &[&b], &[])?
        }
        (Value::Encrypted(a), Value::Encrypted(b)) => {
            product(call, (&a, trans_a), (&b, trans_b), alpha)?
        }
        // Both are constants: computed as if they were encrypted.
        (Value::Clear(_), Value::Clear(_)) => {
            let (a, b) = (call.encrypted(0)?, call.encrypted(1)?);
            product(call, (&a, trans_a), (&b, trans_b), alpha)?
        }
    };
    Ok(vec![match summand {
        None => Value::Encrypted(y),
        Some(Value::Clear(c)) => {
            let c = Value::Clear(scaled(c, beta));
            sum(call, &Value::Encrypted(y), &c)?
        }
        Some(Value::Encrypted(c)) => {
            let c = times(call, &c, "beta", beta)?;
            sum(call, &Value::Encrypted(y), &Value::Encrypted(c))?
        }
    }])
}

/// `alpha A' B'` of two encrypted matrices, each with whether it is transposed.
fn product(
    call: &mut Call<'_>,
    (a, trans_a): (&Encrypted, bool),
    (b, trans_b): (&Encrypted, bool),
    alpha: f64,
) -> Result<Encrypted, Refusal> {
    let (a, b) = (turned(call, a, trans_a)?, turned(call, b, trans_b)?);
    let product = call.emit(Op::MatMul, &[&a, &b], &[])?;
    times(call, &product, "alpha", alpha)
}

fn turned(call: &mut Call<'_>, x: &Encrypted, transposed: bool) -> Result<Encrypted, Refusal> {
    if transposed {
        call.transpose(x, &[1, 0])
    } else {
        Ok(x.clone())
    }
}

fn scaled(x: Clear, factor: f64) -> Clear {
    if factor == 1.0 {
        x
    } else {
        x.map(|v| v * factor)
    }
}

fn times(
    call: &mut Call<'_>,
    x: &Encrypted,
    name: &str,
    factor: f64,
) -> Result<Encrypted, Refusal> {
    if factor == 1.0 {
        return Ok(x.clone());
    }
    let tensor = Tensor::filled(vec![], factor).ok_or("a scalar has one element")?;
    mul_constant(call, x, &Clear::new(name, Elem::F64, tensor))
}
