//! Relu: `max(x, 0)`; Sigmoid: `1 / (1 + exp(-x))`; Tanh: `tanh(x)`; elementwise on floating-point values.
//!
//! Opsets: unchanged in meaning since 6. They are imported so that the clear network is complete and an
//! error can name them; a backend without their encrypted form refuses them later.

use crate::onnx::call::{Call, Outputs, Value};
use cipherloom_ir::tensor::{Function, Op};

/// Why an activation of this name has no encrypted form and what to do about it; `None` for other operators.
pub(in crate::onnx) fn without_encrypted_form(
    op_type: &str,
    last: bool,
) -> Option<(String, &'static str)> {
    let op = match op_type {
        "Relu" => Op::Function(Function::Relu),
        "Sigmoid" => Op::Function(Function::Sigmoid),
        "Tanh" => Op::Function(Function::Tanh),
        "Softmax" => Op::Softmax { axis: 0 },
        _ => return None,
    };
    crate::pass::refusal_of(&op, last)
}

pub(super) fn relu(call: &mut Call<'_>) -> Outputs {
    import(call, Function::Relu)
}

pub(super) fn sigmoid(call: &mut Call<'_>) -> Outputs {
    import(call, Function::Sigmoid)
}

pub(super) fn tanh(call: &mut Call<'_>) -> Outputs {
    import(call, Function::Tanh)
}

fn import(call: &mut Call<'_>, function: Function) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    Ok(vec![Value::Encrypted(call.emit(
        Op::Function(function),
        &[&x],
        &[],
    )?)])
}
