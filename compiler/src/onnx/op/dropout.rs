//! Dropout (inference): `y = x`; the mask, if asked for, is all true.
//!
//! Opsets: 7 and 10 have `ratio` as an attribute, 12 has it as an input, with `training_mode` as a third
//! (must be false) and `seed` as an attribute.

use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, Elem, computed_count};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    if call.opset < 12 {
        call.arity(1, 1)?;
        call.float("ratio", 0.5)?;
    } else {
        call.arity(1, 3)?;
        call.int("seed", 0)?;
        if let Some(mode) = call.optional_clear(2, "training mode")?
            && mode.scalar()? != 0.0
        {
            return Err(Refusal::new("it drops values at random (training mode)")
                .help("export the model for inference (`model.eval()`)"));
        }
    }
    let x = call.value(0)?;
    let mut outputs = vec![x.clone()];
    if call.node.output.len() > 1 {
        computed_count(x.shape())?;
        let mask = Tensor::filled(x.shape().to_vec(), 1.0).ok_or("the mask is too large")?;
        outputs.push(Value::Clear(Clear::new("mask", Elem::Bool, mask)));
    }
    Ok(outputs)
}
