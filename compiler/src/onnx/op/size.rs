//! Size: the number of elements, as an integer; known now even for encrypted values. Opsets: 1, later ones add types.

use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use cipherloom_ir::Tensor;
use cipherloom_ir::value::element_count;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let count = element_count(call.value(0)?.shape()).ok_or("the size overflows")?;
    let tensor = Tensor::filled(vec![], count as f64).ok_or("a scalar has one element")?;
    let name = call.node.output.first().cloned().unwrap_or_default();
    Ok(vec![Value::Clear(Clear::new(
        &name,
        Elem::Int("i64"),
        tensor,
    ))])
}
