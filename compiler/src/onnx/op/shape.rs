//! Shape: the sizes of the axes, as integers; known now even for encrypted values, with a batch of 1.
//!
//! Opsets: 1, 13 (types), 15 (`start` and `end`, which may count from the end and are clamped).

use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use cipherloom_ir::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let shape = call.value(0)?.shape().to_vec();
    let rank = shape.len() as i64;
    let (mut start, mut end) = (0, rank);
    if call.opset >= 15 {
        let clamp = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank);
        start = clamp(call.int("start", 0)?);
        end = clamp(call.int("end", rank)?);
    }
    let sizes = shape
        .iter()
        .skip(start as usize)
        .take((end - start).max(0) as usize)
        .map(|s| *s as f64)
        .collect();
    let name = call.node.output.first().cloned().unwrap_or_default();
    Ok(vec![Value::Clear(Clear::new(
        &name,
        Elem::Int("i64"),
        Tensor::from_vec(sizes),
    ))])
}
