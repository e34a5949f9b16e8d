//! Where: `y = a` where the condition holds, else `b`; elementwise with NumPy broadcasting.
//!
//! A condition that is known now masks both sides: `mask a + (1 - mask) b`, where a constant side is only added.
//! With one that is not, a constant side is added where the condition says so, since it is 0 or 1.
//! Opsets: 9, 16 adds types.

use super::arithmetic::{difference, mul_constant, product, sum};
use super::logic::not_clear;
use crate::broadcast::{broadcast, zip};
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem, computed_count};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(3, 3)?;
    let (condition, a, b) = (call.value(0)?, call.value(1)?, call.value(2)?);
    if condition.elem() != Elem::Bool {
        return Err(format!("its condition holds {}", condition.elem()).into());
    }
    Ok(vec![match condition {
        Value::Clear(mask) => by_mask(call, &mask, &a, &b)?,
        Value::Encrypted(condition) => by_encrypted(call, condition, &a, &b)?,
    }])
}

fn by_mask(call: &mut Call<'_>, mask: &Clear, a: &Value, b: &Value) -> Result<Value, Refusal> {
    let shape = broadcast(mask.shape(), &broadcast(a.shape(), b.shape())?)?;
    let chosen = side(call, mask, a, &shape)?;
    let other = side(call, &not_clear(mask), b, &shape)?;
    match (chosen, other) {
        (Some(x), Some(y)) => sum(call, &x, &y),
        (Some(x), None) | (None, Some(x)) => Ok(x),
        (None, None) => Err("neither side is chosen anywhere".into()),
    }
}

/// One side where the mask is 1 and 0 elsewhere, in the result's shape; nothing where the mask is 0 everywhere.
fn side(
    call: &mut Call<'_>,
    mask: &Clear,
    x: &Value,
    shape: &[usize],
) -> Result<Option<Value>, Refusal> {
    if mask.data().iter().all(|m| *m == 0.0) {
        return Ok(None);
    }
    computed_count(shape)?;
    let ones = Tensor::filled(shape.to_vec(), 1.0).ok_or("the result is too large")?;
    let full = |x: &Tensor| zip(x, &ones, |v, _| v).ok_or("the shapes do not broadcast");
    match x {
        // What is not chosen may be infinite.
        Value::Clear(c) => {
            let chosen = zip(&full(&c.tensor)?, &mask.tensor, |v, m| {
                if m == 0.0 { 0.0 } else { v }
            });
            let chosen = chosen.ok_or("the shapes do not broadcast")?;
            let name = format!("{}.masked", c.name);
            Ok(Some(Value::Clear(Clear::new(&name, c.elem, chosen))))
        }
        Value::Encrypted(x) => {
            if x.shape == shape && mask.data().iter().all(|m| *m == 1.0) {
                return Ok(Some(Value::Encrypted(x.clone())));
            }
            let mask = Clear::new(&mask.name, x.elem, full(&mask.tensor)?);
            Ok(Some(Value::Encrypted(mul_constant(call, x, &mask)?)))
        }
    }
}

fn by_encrypted(
    call: &mut Call<'_>,
    condition: Encrypted,
    a: &Value,
    b: &Value,
) -> Result<Value, Refusal> {
    if let (Value::Encrypted(a), Value::Encrypted(b)) = (a, b) {
        let y = call.emit(Op::Where, &[&condition, a, b], &[])?;
        return Ok(Value::Encrypted(Encrypted { elem: a.elem, ..y }));
    }
    // b + condition (a - b)
    let condition = Value::Encrypted(Encrypted {
        elem: a.elem(),
        ..condition
    });
    let gap = difference(call, a, b)?;
    let added = product(call, &condition, &gap)?;
    sum(call, b, &added)
}
