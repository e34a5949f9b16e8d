//! Greater, GreaterOrEqual, Less, LessOrEqual, Equal: a comparison elementwise with NumPy broadcasting; truth values.
//!
//! With a constant it is a step of the difference. Opsets: 7 (broadcasting), 9, 11 and 13 add types;
//! GreaterOrEqual and LessOrEqual came in 12.

use super::activation::apply;
use super::arithmetic::{add_constant, negate};
use super::logic::not;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::{Comparison, Function, Op};

pub(super) fn greater(call: &mut Call<'_>) -> Outputs {
    import(call, Comparison::Greater, false)
}

pub(super) fn greater_or_equal(call: &mut Call<'_>) -> Outputs {
    import(call, Comparison::GreaterOrEqual, false)
}

pub(super) fn less(call: &mut Call<'_>) -> Outputs {
    import(call, Comparison::Greater, true)
}

pub(super) fn less_or_equal(call: &mut Call<'_>) -> Outputs {
    import(call, Comparison::GreaterOrEqual, true)
}

pub(super) fn equal(call: &mut Call<'_>) -> Outputs {
    import(call, Comparison::Equal, false)
}

/// The comparison of the operands, or of the second with the first.
fn import(call: &mut Call<'_>, comparison: Comparison, swapped: bool) -> Outputs {
    call.arity(2, 2)?;
    let (mut a, mut b) = (call.value(0)?, call.value(1)?);
    if swapped {
        std::mem::swap(&mut a, &mut b);
    }
    let y = match (a, b) {
        (Value::Clear(a), Value::Clear(b)) => {
            let truth = a.zip(&b, |x, y| f64::from(u8::from(comparison.holds(x, y))))?;
            return Ok(vec![Value::Clear(Clear {
                elem: Elem::Bool,
                ..truth
            })]);
        }
        (Value::Encrypted(a), Value::Encrypted(b)) => {
            call.emit(Op::Compare(comparison), &[&a, &b], &[])?
        }
        (Value::Encrypted(x), Value::Clear(c)) => with_constant(call, comparison, &x, &c, false)?,
        (Value::Clear(c), Value::Encrypted(x)) => with_constant(call, comparison, &x, &c, true)?,
    };
    Ok(vec![Value::Encrypted(Encrypted {
        elem: Elem::Bool,
        ..y
    })])
}

/// The comparison of x with c, or of c with x.
fn with_constant(
    call: &mut Call<'_>,
    comparison: Comparison,
    x: &Encrypted,
    c: &Clear,
    constant_first: bool,
) -> Result<Encrypted, Refusal> {
    // a > b is a step of a - b; a >= b is no step of b - a.
    let holds_above = constant_first == (comparison == Comparison::GreaterOrEqual);
    let difference = if holds_above || comparison == Comparison::Equal {
        let negated = Clear {
            name: format!("{}.negated", c.name),
            ..c.map(|v| -v)
        };
        add_constant(call, x, &negated)?
    } else {
        let minus_x = negate(call, x)?;
        add_constant(call, &minus_x, c)?
    };
    match comparison {
        Comparison::Greater => apply(call, Function::Step, &difference),
        Comparison::GreaterOrEqual => {
            let below = apply(call, Function::Step, &difference)?;
            not(call, &below)
        }
        Comparison::Equal => {
            let differs = truth(call, &difference)?;
            not(call, &differs)
        }
    }
}

/// 1 where a value is not 0, else 0.
pub(super) fn truth(call: &mut Call<'_>, x: &Encrypted) -> Result<Encrypted, Refusal> {
    let sign = apply(call, Function::Sign, x)?;
    call.emit(Op::Power { exponent: 2 }, &[&sign], &[])
}
