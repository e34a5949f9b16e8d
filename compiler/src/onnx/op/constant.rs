//! Constant: a value that stands in the file.
//!
//! Attributes, of which exactly one is given: `value` (all opsets), `sparse_value` (11), `value_int`,
//! `value_ints`, `value_float`, `value_floats` (12); the string forms are refused.

use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(0, 0)?;
    if call.node.attribute.len() != 1 {
        return Err(format!(
            "{} attributes are given, exactly one is needed",
            call.node.attribute.len()
        )
        .into());
    }
    let int = Elem::Int("i64");
    let clear = if let Some(clear) = call.tensor("value")? {
        clear
    } else if let Some(clear) = call.sparse_tensor("sparse_value")? {
        clear
    } else if call.has("value_int") {
        scalar(int, call.int("value_int", 0)? as f64)?
    } else if let Some(values) = call.ints("value_ints")? {
        Clear::new(
            "",
            int,
            Tensor::from_vec(values.iter().map(|v| *v as f64).collect()),
        )
    } else if call.has("value_float") {
        scalar(Elem::F32, call.float("value_float", 0.0)?)?
    } else if let Some(values) = call.floats("value_floats")? {
        Clear::new("", Elem::F32, Tensor::from_vec(values))
    } else {
        return Err("its value is no number".into());
    };
    let name = call.node.output.first().cloned().unwrap_or_default();
    Ok(vec![Value::Clear(Clear { name, ..clear })])
}

fn scalar(elem: Elem, value: f64) -> Result<Clear, Refusal> {
    let tensor = Tensor::filled(vec![], value).ok_or("a scalar has one element")?;
    Ok(Clear::new("", elem, tensor))
}
