//! Not: `1 - a`; And: `a b`; Or: `a + b - a b`; Xor: `a + b - 2 a b`, on truth values, which are 0 and 1 here; with
//! NumPy broadcasting.
//!
//! Opsets: unchanged in meaning since 7.

use super::arithmetic::{difference, negate, product, sum};
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::Op;

pub(super) fn import_not(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    if x.elem != Elem::Bool {
        return Err(format!("it is applied to {}", x.elem).into());
    }
    Ok(vec![Value::Encrypted(not(call, &x)?)])
}

pub(super) fn and(call: &mut Call<'_>) -> Outputs {
    import(call, |a, b| a * b, 0.0)
}

pub(super) fn or(call: &mut Call<'_>) -> Outputs {
    import(call, f64::max, 1.0)
}

pub(super) fn xor(call: &mut Call<'_>) -> Outputs {
    import(call, |a, b| (a - b).abs(), 2.0)
}

/// `a + b - weight a b`, or `a b` for weight 0.
fn import(call: &mut Call<'_>, clear: fn(f64, f64) -> f64, weight: f64) -> Outputs {
    call.arity(2, 2)?;
    let (a, b) = (call.value(0)?, call.value(1)?);
    for x in [&a, &b] {
        if x.elem() != Elem::Bool {
            return Err(format!("it is applied to {}", x.elem()).into());
        }
    }
    if let (Value::Clear(a), Value::Clear(b)) = (&a, &b) {
        return Ok(vec![Value::Clear(a.zip(b, clear)?)]);
    }
    let both = product(call, &a, &b)?;
    if weight == 0.0 {
        return Ok(vec![both]);
    }
    let total = sum(call, &a, &b)?;
    let once = difference(call, &total, &both)?;
    Ok(vec![if weight == 2.0 {
        difference(call, &once, &both)?
    } else {
        once
    }])
}

/// `1 - x`.
pub(super) fn not(call: &mut Call<'_>, x: &Encrypted) -> Result<Encrypted, Refusal> {
    let negated = negate(call, x)?;
    let value = call.scalar_constant("one", 1.0)?;
    call.emit(Op::AddConst { value }, &[&negated], &[])
}

/// `1 - x` of a truth value that is known now.
pub(super) fn not_clear(x: &Clear) -> Clear {
    Clear {
        name: format!("{}.not", x.name),
        ..x.map(|v| 1.0 - v)
    }
}
