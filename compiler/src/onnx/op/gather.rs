//! Gather: the slices of x along `axis` that the indices name; the indices' shape replaces the axis.
//! Constants only: encrypted values cannot be picked apart yet.
//!
//! Opsets: 1, 11 (negative indices), 13 (types).

use crate::onnx::call::{Call, Outputs, Value, axis};
use crate::onnx::error::Refusal;
use cipherloom_ir::value::strides;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let at = call.int("axis", 0)?;
    let indices = call.clear(1, "list of indices")?;
    let x = match call.value(0)? {
        Value::Clear(x) => x,
        Value::Encrypted(_) => {
            return Err(
                Refusal::new("elements of an encrypted value cannot be picked out yet")
                    .help("multiply with a constant selection matrix instead"),
            );
        }
    };
    let at = axis(at, x.shape().len())?;
    let size = x.shape()[at] as i64;
    let mut picked = vec![];
    for index in indices.ints()? {
        let from_start = if index < 0 {
            index.saturating_add(size)
        } else {
            index
        };
        if !(0..size).contains(&from_start) {
            return Err(format!("index {index} does not exist in {size} elements").into());
        }
        picked.push(from_start as usize);
    }
    let (front, back) = (&x.shape()[..at], &x.shape()[at + 1..]);
    let shape = [front, indices.shape(), back].concat();
    let steps = strides(x.shape());
    let index_steps = strides(indices.shape());
    let middle = at..at + indices.shape().len();
    let result = x.gathered(&shape, |index| {
        let chosen: usize = index[middle.clone()]
            .iter()
            .zip(&index_steps)
            .map(|(i, s)| i * s)
            .sum();
        let before: usize = index[..at].iter().zip(&steps).map(|(i, s)| i * s).sum();
        let after: usize = index[middle.end..]
            .iter()
            .zip(&steps[at + 1..])
            .map(|(i, s)| i * s)
            .sum();
        before + picked[chosen] * steps[at] + after
    })?;
    Ok(vec![Value::Clear(result)])
}
