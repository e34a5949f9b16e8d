//! NonZero: the indices of the elements that are not 0, `[rank, count]`; of constants alone, since the result's shape
//! depends on the values. Opsets: 9, 13 (types).

use crate::broadcast::for_each_index;
use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let Value::Clear(x) = call.value(0)? else {
        return Err(
            Refusal::new("the shape of its result would depend on encrypted values")
                .help("do this part before encryption or after decryption"),
        );
    };
    let mut rows: Vec<Vec<f64>> = vec![vec![]; x.shape().len()];
    let mut data = x.data().iter();
    for_each_index(x.shape(), |place| {
        if data.next().is_some_and(|v| *v != 0.0) {
            for (row, i) in rows.iter_mut().zip(place) {
                row.push(*i as f64);
            }
        }
    });
    let shape = vec![rows.len(), rows.first().map_or(0, Vec::len)];
    let tensor = Tensor::new(shape, rows.concat()).ok_or("the indices do not fill the result")?;
    let name = call.node.output.first().cloned().unwrap_or_default();
    Ok(vec![Value::Clear(Clear::new(
        &name,
        Elem::Int("i64"),
        tensor,
    ))])
}
