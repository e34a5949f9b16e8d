//! Pow: `y = x^e` elementwise, with NumPy broadcasting.
//!
//! The exponent is one constant number: a whole one from 1 to 64 is a product, any other a function that is
//! approximated. A constant base greater than 0 gives `exp(ln(x) e)`.
//! Types: x floating point; e floating point or integer. Opsets: 7 (broadcasting), 12, 13, 15 (types).

use super::activation::apply;
use super::arithmetic::mul_constant;
use crate::broadcast::broadcast;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::{Function, Op};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    Ok(vec![match (call.value(0)?, call.value(1)?) {
        (Value::Clear(x), Value::Clear(e)) => {
            let e = Clear { elem: x.elem, ..e };
            Value::Clear(x.zip(&e, libm::pow)?)
        }
        (Value::Encrypted(x), Value::Clear(e)) => Value::Encrypted(constant_exponent(call, x, &e)?),
        (Value::Clear(base), Value::Encrypted(e)) => {
            if base.data().iter().any(|b| *b <= 0.0) {
                return Err("the base is a constant that is not greater than 0".into());
            }
            let logarithm = Clear {
                name: format!("{}.logarithm", base.name),
                elem: Elem::F64,
                ..base.map(libm::log)
            };
            let product = mul_constant(call, &e, &logarithm)?;
            Value::Encrypted(apply(call, Function::Exp, &product)?)
        }
        (Value::Encrypted(_), Value::Encrypted(_)) => {
            return Err(Refusal::new("both base and exponent would be encrypted")
                .help("make one of them a constant of the model"));
        }
    }])
}

fn constant_exponent(
    call: &mut Call<'_>,
    x: Encrypted,
    exponent: &Clear,
) -> Result<Encrypted, Refusal> {
    let first = exponent
        .data()
        .first()
        .copied()
        .ok_or("the exponent has no element")?;
    if exponent.data().iter().any(|e| *e != first) {
        return Err("the exponents differ from element to element".into());
    }
    if broadcast(&x.shape, exponent.shape())? != x.shape {
        return Err("the exponent's shape would enlarge the result".into());
    }
    if !first.is_finite() || first == 0.0 {
        return Err(format!("the exponent is {first}").into());
    }
    if first == 1.0 {
        return Ok(x);
    }
    if first.fract() == 0.0 && (2.0..=64.0).contains(&first) {
        let exponent = first as u32;
        return call.emit(Op::Power { exponent }, &[&x], &[]);
    }
    let function = match first {
        0.5 => Function::Sqrt,
        -1.0 => Function::Reciprocal,
        exponent => Function::Pow { exponent },
    };
    apply(call, function, &x)
}
