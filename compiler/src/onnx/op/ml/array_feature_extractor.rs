//! ArrayFeatureExtractor: `y = x[.., indices]`, elements picked along the last axis; a vector counts as one row.
//!
//! Constant indices of an encrypted value move data. Encrypted indices (the position of the largest score) look up a
//! constant row: class labels. Version 1 of `ai.onnx.ml`.

use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::{Clear, Elem, computed_count};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    Ok(vec![match (call.value(0)?, call.value(1)?) {
        (Value::Encrypted(x), Value::Clear(indices)) => {
            let (shape, offsets) = picked(&x.shape, &indices)?;
            let index = Tensor::new(shape, offsets).ok_or("the picked shape is wrong")?;
            let index = Clear::new("picked", Elem::F64, index);
            let index = call.constant(&index)?;
            Value::Encrypted(call.emit(Op::Take { index }, &[&x], &[])?)
        }
        (Value::Clear(x), Value::Encrypted(indices)) => {
            let table = match x.shape() {
                [_] => x,
                [1, size] => x.reshaped(&[*size])?,
                other => {
                    return Err(format!(
                        "encrypted indices look up one row, not the shape {other:?}"
                    )
                    .into());
                }
            };
            let count = indices.shape.iter().product();
            let id = call.constant(&table)?;
            let found = call.emit(Op::Lookup { table: id }, &[&indices], &[])?;
            let found = call.reshape(&found, &[1, count])?;
            Value::Encrypted(Encrypted {
                elem: table.elem,
                ..found
            })
        }
        (Value::Clear(x), Value::Clear(indices)) => {
            let (shape, offsets) = picked(x.shape(), &indices)?;
            let data: Option<Vec<f64>> = offsets
                .iter()
                .map(|o| x.data().get(*o as usize).copied())
                .collect();
            let data = data.ok_or("an index lies outside")?;
            let tensor = Tensor::new(shape, data).ok_or("the picked shape is wrong")?;
            Value::Clear(Clear::new(&x.name, x.elem, tensor))
        }
        (Value::Encrypted(_), Value::Encrypted(_)) => {
            return Err(Refusal::new(
                "encrypted positions would pick elements of an encrypted value",
            )
            .help("stop before it with `--output`, and do the rest after decryption"));
        }
    }])
}

/// The result's shape and, for each of its elements, the element of the operand.
fn picked(shape: &[usize], indices: &Clear) -> Result<(Vec<usize>, Vec<f64>), Refusal> {
    let (front, size) = match shape {
        [] => return Err("the operand has no axis".into()),
        [size] => (vec![1], *size),
        [front @ .., size] => (front.to_vec(), *size),
    };
    let positions = indices.ints()?;
    if let Some(bad) = positions
        .iter()
        .find(|i| !usize::try_from(**i).is_ok_and(|i| i < size))
    {
        return Err(format!("index {bad} does not exist in {size} elements").into());
    }
    let mut result = front.clone();
    result.push(positions.len());
    computed_count(&result)?;
    let rows: usize = front.iter().product();
    let offsets = (0..rows)
        .flat_map(|row| {
            positions
                .iter()
                .map(move |i| (row * size) as f64 + *i as f64)
        })
        .collect();
    Ok((result, offsets))
}
