//! Relu: `max(x, 0)`; Sigmoid: `1 / (1 + exp(-x))`; Tanh: `tanh(x)`; elementwise on floating-point values.
//!
//! Opsets: unchanged in meaning since 6. They are imported so that the clear network is complete and an
//! error can name them; a backend without their encrypted form refuses them later.

use crate::onnx::call::{Call, Outputs, Value};
use cipherloom_ir::tensor::{Activation, Op};

pub(super) fn relu(call: &mut Call<'_>) -> Outputs {
    import(call, Activation::Relu)
}

pub(super) fn sigmoid(call: &mut Call<'_>) -> Outputs {
    import(call, Activation::Sigmoid)
}

pub(super) fn tanh(call: &mut Call<'_>) -> Outputs {
    import(call, Activation::Tanh)
}

fn import(call: &mut Call<'_>, activation: Activation) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    Ok(vec![Value::Encrypted(call.emit(
        Op::Activation(activation),
        &[&x],
        &[],
    )?)])
}
