//! Pow: `y = x^e` elementwise. The exponent is a constant whole number from 1 to 64, the same for all elements.
//!
//! Types: x floating point; e floating point or integer. Opsets: 7 (broadcasting), 12, 13, 15 (types).

use crate::broadcast::broadcast;
use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let exponent = call.clear(1, "exponent")?;
    let x = call.encrypted(0)?;
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
    if first.fract() != 0.0 || !(1.0..=64.0).contains(&first) {
        return Err(Refusal::new(format!(
            "the exponent {first} is no whole number from 1 to 64"
        ))
        .help("only whole powers are polynomials; retrain with one of them"));
    }
    Ok(vec![Value::Encrypted(match first as u32 {
        1 => x,
        exponent => call.emit(Op::Power { exponent }, &[&x], &[])?,
    })])
}
