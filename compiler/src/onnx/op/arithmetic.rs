//! Add: `a + b`; Sub: `a - b`; Mul: `a * b`; Div: `a / b`; elementwise with NumPy broadcasting.
//!
//! Types: floating point; integers where both operands are clear (Div truncates them).
//! Opsets: broadcasting is NumPy's since 7; later versions add types only.
//! A division by an encrypted value has no encrypted form.

use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::Op;

pub(super) fn add(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let (a, b) = (call.value(0)?, call.value(1)?);
    Ok(vec![sum(call, &a, &b)?])
}

pub(super) fn sub(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    Ok(vec![match (call.value(0)?, call.value(1)?) {
        (Value::Clear(a), Value::Clear(b)) => fold(&a, &b, |x, y| x - y)?,
        (Value::Encrypted(a), Value::Encrypted(b)) => {
            Value::Encrypted(call.emit(Op::Sub, &[&a, &b], &[])?)
        }
        (Value::Encrypted(a), Value::Clear(b)) => {
            let negated = Clear {
                name: format!("{}.negated", b.name),
                ..b.map(|x| -x)
            };
            Value::Encrypted(add_constant(call, &a, &negated)?)
        }
        (Value::Clear(a), Value::Encrypted(b)) => {
            let negated = negate(call, &b)?;
            Value::Encrypted(add_constant(call, &negated, &a)?)
        }
    }])
}

pub(super) fn mul(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    Ok(vec![match (call.value(0)?, call.value(1)?) {
        (Value::Clear(a), Value::Clear(b)) => fold(&a, &b, |x, y| x * y)?,
        (Value::Encrypted(a), Value::Encrypted(b)) => {
            Value::Encrypted(call.emit(Op::Mul, &[&a, &b], &[])?)
        }
        (Value::Encrypted(x), Value::Clear(c)) | (Value::Clear(c), Value::Encrypted(x)) => {
            Value::Encrypted(mul_constant(call, &x, &c)?)
        }
    }])
}

pub(super) fn div(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    Ok(vec![match (call.value(0)?, call.value(1)?) {
        (Value::Clear(a), Value::Clear(b)) => {
            if !a.elem.is_float() && b.data().contains(&0.0) {
                return Err("it divides integers by zero".into());
            }
            // Rounding to an integer type truncates, as Div does.
            fold(&a, &b, |x, y| x / y)?
        }
        (Value::Encrypted(x), Value::Clear(c)) => {
            if c.data().contains(&0.0) {
                return Err("it divides by a constant that contains 0".into());
            }
            let inverse = Clear {
                name: format!("{}.inverse", c.name),
                ..c.map(|x| 1.0 / x)
            };
            Value::Encrypted(mul_constant(call, &x, &inverse)?)
        }
        (_, Value::Encrypted(_)) => {
            return Err(
                Refusal::new("a division by an encrypted value is no polynomial")
                    .help("divide by a constant, or do the division after decryption"),
            );
        }
    }])
}

/// `a + b`, whichever of them is clear.
pub(super) fn sum(call: &mut Call<'_>, a: &Value, b: &Value) -> Result<Value, Refusal> {
    match (a, b) {
        (Value::Clear(a), Value::Clear(b)) => fold(a, b, |x, y| x + y),
        (Value::Encrypted(a), Value::Encrypted(b)) => {
            Ok(Value::Encrypted(call.emit(Op::Add, &[a, b], &[])?))
        }
        (Value::Encrypted(x), Value::Clear(c)) | (Value::Clear(c), Value::Encrypted(x)) => {
            Ok(Value::Encrypted(add_constant(call, x, c)?))
        }
    }
}

pub(super) fn add_constant(
    call: &mut Call<'_>,
    x: &Encrypted,
    c: &Clear,
) -> Result<Encrypted, Refusal> {
    numeric(c.elem)?;
    let value = call.constant(c)?;
    call.emit(Op::AddConst { value }, &[x], &[])
}

pub(super) fn mul_constant(
    call: &mut Call<'_>,
    x: &Encrypted,
    c: &Clear,
) -> Result<Encrypted, Refusal> {
    numeric(c.elem)?;
    let value = call.constant(c)?;
    call.emit(Op::MulConst { value }, &[x], &[])
}

pub(super) fn negate(call: &mut Call<'_>, x: &Encrypted) -> Result<Encrypted, Refusal> {
    let value = call.scalar_constant("minus_one", -1.0)?;
    call.emit(Op::MulConst { value }, &[x], &[])
}

fn numeric(elem: Elem) -> Result<(), Refusal> {
    if elem.is_float() {
        Ok(())
    } else {
        Err(format!("it combines floating-point values with {elem}").into())
    }
}

fn fold(a: &Clear, b: &Clear, f: impl Fn(f64, f64) -> f64) -> Result<Value, Refusal> {
    if a.elem != b.elem || a.elem == Elem::Bool {
        return Err(format!("it combines {} with {}", a.elem, b.elem).into());
    }
    Ok(Value::Clear(a.zip(b, f)?))
}
