//! ConstantOfShape: a tensor of the shape that the input states, filled with the one element of `value`
//! (default: a 32-bit 0). Opsets: 9, later ones add types.

use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, Elem, computed_count};
use crate::onnx::tensor::dims;
use cipherloom_ir::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let shape = dims(&call.clear(0, "shape")?.ints()?)?;
    computed_count(&shape)?;
    let (elem, value) = match call.tensor("value")? {
        None => (Elem::F32, 0.0),
        Some(value) => (value.elem, value.scalar()?),
    };
    let tensor = Tensor::filled(shape, value).ok_or("the shape overflows")?;
    let name = call.node.output.first().cloned().unwrap_or_default();
    Ok(vec![Value::Clear(Clear::new(&name, elem, tensor))])
}
