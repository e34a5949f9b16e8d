//! Concat: the inputs one behind the other along `axis`. Constants only: encrypted values cannot be joined yet.
//!
//! Opsets: 4, 11 (negative axis), 13 (types).

use crate::onnx::call::{Call, Outputs, Value, axis};
use crate::onnx::clear::{Clear, computed_count};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let count = call.inputs.len();
    call.arity(1, count.max(1))?;
    if !call.has("axis") {
        return Err("axis is missing".into());
    }
    let at = call.int("axis", 0)?;
    let mut parts = vec![];
    for position in 0..count {
        match call.value(position)? {
            Value::Clear(part) => parts.push(part),
            Value::Encrypted(_) => {
                return Err(Refusal::new("encrypted values cannot be concatenated yet")
                    .help("replace the concatenation by a sum of layers, one for each part"));
            }
        }
    }
    let first = parts.first().ok_or("there is nothing to concatenate")?;
    let at = axis(at, first.shape().len())?;
    let mut shape = first.shape().to_vec();
    shape[at] = 0;
    for part in &parts {
        let fits = part.elem == first.elem
            && part.shape().len() == shape.len()
            && part
                .shape()
                .iter()
                .zip(&shape)
                .enumerate()
                .all(|(i, (a, b))| i == at || a == b);
        if !fits {
            return Err(format!(
                "the shapes {:?} and {:?} do not fit",
                first.shape(),
                part.shape()
            )
            .into());
        }
        shape[at] += part.shape()[at];
    }
    computed_count(&shape)?;
    let outer: usize = shape[..at].iter().product();
    let mut data = vec![];
    for row in 0..outer {
        for part in &parts {
            let run: usize = part.shape()[at..].iter().product();
            data.extend(part.data().iter().skip(row * run).take(run));
        }
    }
    let tensor = Tensor::new(shape, data).ok_or("the parts do not fill the result")?;
    Ok(vec![Value::Clear(Clear::new(
        &first.name,
        first.elem,
        tensor,
    ))])
}
