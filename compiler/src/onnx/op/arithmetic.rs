//! Add: `a + b`; Sub: `a - b`; Mul: `a * b`; Div: `a / b`; elementwise with NumPy broadcasting.
//!
//! Types: floating point; integers where both operands are clear (Div truncates them), or of one type without Div.
//! Opsets: broadcasting is NumPy's since 7; later versions add types only.
//! A division by an encrypted value takes an approximation of its reciprocal.

use super::activation::apply;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::{Function, Op};

pub(super) fn add(call: &mut Call<'_>) -> Outputs {
    binary(call, sum)
}

pub(super) fn sub(call: &mut Call<'_>) -> Outputs {
    binary(call, difference)
}

pub(super) fn mul(call: &mut Call<'_>) -> Outputs {
    binary(call, product)
}

pub(super) fn div(call: &mut Call<'_>) -> Outputs {
    binary(call, quotient)
}

fn binary(
    call: &mut Call<'_>,
    of: fn(&mut Call<'_>, &Value, &Value) -> Result<Value, Refusal>,
) -> Outputs {
    call.arity(2, 2)?;
    let (a, b) = (call.value(0)?, call.value(1)?);
    Ok(vec![of(call, &a, &b)?])
}

/// `a + b`, whichever of them is clear.
pub(super) fn sum(call: &mut Call<'_>, a: &Value, b: &Value) -> Result<Value, Refusal> {
    match (a, b) {
        (Value::Clear(a), Value::Clear(b)) => fold(a, b, |x, y| x + y),
        (Value::Encrypted(a), Value::Encrypted(b)) => encrypted(call, Op::Add, a, b),
        (Value::Encrypted(x), Value::Clear(c)) | (Value::Clear(c), Value::Encrypted(x)) => {
            Ok(Value::Encrypted(add_constant(call, x, c)?))
        }
    }
}

/// `a - b`, whichever of them is clear.
pub(super) fn difference(call: &mut Call<'_>, a: &Value, b: &Value) -> Result<Value, Refusal> {
    match (a, b) {
        (Value::Clear(a), Value::Clear(b)) => fold(a, b, |x, y| x - y),
        (Value::Encrypted(a), Value::Encrypted(b)) => encrypted(call, Op::Sub, a, b),
        (Value::Encrypted(a), Value::Clear(b)) => {
            let negated = Clear {
                name: format!("{}.negated", b.name),
                ..b.map(|x| -x)
            };
            Ok(Value::Encrypted(add_constant(call, a, &negated)?))
        }
        (Value::Clear(a), Value::Encrypted(b)) => {
            let negated = negate(call, b)?;
            Ok(Value::Encrypted(add_constant(call, &negated, a)?))
        }
    }
}

/// `a * b`, whichever of them is clear.
pub(super) fn product(call: &mut Call<'_>, a: &Value, b: &Value) -> Result<Value, Refusal> {
    match (a, b) {
        (Value::Clear(a), Value::Clear(b)) => fold(a, b, |x, y| x * y),
        (Value::Encrypted(a), Value::Encrypted(b)) => encrypted(call, Op::Mul, a, b),
        (Value::Encrypted(x), Value::Clear(c)) | (Value::Clear(c), Value::Encrypted(x)) => {
            Ok(Value::Encrypted(mul_constant(call, x, c)?))
        }
    }
}

/// `a / b`, whichever of them is clear.
fn quotient(call: &mut Call<'_>, a: &Value, b: &Value) -> Result<Value, Refusal> {
    if let (Value::Clear(a), Value::Clear(b)) = (a, b) {
        if !a.elem.is_float() && b.data().contains(&0.0) {
            return Err("it divides integers by zero".into());
        }
        // Rounding to an integer type truncates, as Div does.
        return fold(a, b, |x, y| x / y);
    }
    if !a.elem().is_float() {
        return Err(Refusal::new(format!(
            "it divides {} and truncates, which has no encrypted form",
            a.elem()
        ))
        .help("divide floating-point values"));
    }
    match (a, b) {
        (_, Value::Clear(c)) if c.data().contains(&0.0) => {
            Err("it divides by a constant that contains 0".into())
        }
        (Value::Encrypted(x), Value::Clear(c)) => {
            let inverse = Clear {
                name: format!("{}.inverse", c.name),
                ..c.map(|x| 1.0 / x)
            };
            Ok(Value::Encrypted(mul_constant(call, x, &inverse)?))
        }
        (Value::Clear(c), Value::Encrypted(x)) => {
            let inverse = apply(call, Function::Reciprocal, x)?;
            Ok(Value::Encrypted(mul_constant(call, &inverse, c)?))
        }
        (Value::Encrypted(a), Value::Encrypted(b)) => encrypted(call, Op::Div, a, b),
        (Value::Clear(_), Value::Clear(_)) => Err("both operands are constants".into()),
    }
}

fn encrypted(call: &mut Call<'_>, op: Op, a: &Encrypted, b: &Encrypted) -> Result<Value, Refusal> {
    same_kind(a.elem, b.elem)?;
    Ok(Value::Encrypted(call.emit(op, &[a, b], &[])?))
}

pub(super) fn add_constant(
    call: &mut Call<'_>,
    x: &Encrypted,
    c: &Clear,
) -> Result<Encrypted, Refusal> {
    same_kind(x.elem, c.elem)?;
    let value = call.constant(c)?;
    call.emit(Op::AddConst { value }, &[x], &[])
}

pub(super) fn mul_constant(
    call: &mut Call<'_>,
    x: &Encrypted,
    c: &Clear,
) -> Result<Encrypted, Refusal> {
    same_kind(x.elem, c.elem)?;
    let value = call.constant(c)?;
    call.emit(Op::MulConst { value }, &[x], &[])
}

pub(super) fn negate(call: &mut Call<'_>, x: &Encrypted) -> Result<Encrypted, Refusal> {
    let value = call.scalar_constant("minus_one", -1.0)?;
    call.emit(Op::MulConst { value }, &[x], &[])
}

/// Floating-point types go together; others only with themselves.
fn same_kind(a: Elem, b: Elem) -> Result<(), Refusal> {
    if a == b || a.is_float() && b.is_float() {
        Ok(())
    } else {
        Err(format!("it combines {a} with {b}").into())
    }
}

/// `f` of two constants of one type.
pub(super) fn fold(a: &Clear, b: &Clear, f: impl Fn(f64, f64) -> f64) -> Result<Value, Refusal> {
    if a.elem != b.elem || a.elem == Elem::Bool {
        return Err(format!("it combines {} with {}", a.elem, b.elem).into());
    }
    Ok(Value::Clear(a.zip(b, f)?))
}
