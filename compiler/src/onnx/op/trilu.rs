//! Trilu: the upper (or lower) triangle of the last two axes, the diagonal `k` above the main one included; the
//! rest is 0. `k` is a constant. Opsets: 14.

use crate::broadcast::for_each_index;
use crate::onnx::call::{Call, Outputs};
use crate::onnx::clear::computed_count;
use crate::onnx::selection::{NOTHING, Selection};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 2)?;
    let upper = call.flag("upper", true)?;
    let diagonal = match call.optional_clear(1, "diagonal")? {
        Some(k) => {
            k.scalar()?;
            k.ints()?.first().copied().unwrap_or(0)
        }
        None => 0,
    };
    let x = call.value(0)?;
    if x.shape().len() < 2 {
        return Err(format!("the operand of shape {:?} is no matrix", x.shape()).into());
    }
    computed_count(x.shape())?;
    let mut index = vec![];
    for_each_index(x.shape(), |place| {
        let at = index.len() as i64;
        let [.., row, column] = *place else { return };
        let offset = column as i64 - row as i64;
        let inside = if upper {
            offset >= diagonal
        } else {
            offset <= diagonal
        };
        index.push(if inside { at } else { NOTHING });
    });
    let selection = Selection::new(x.shape(), index)?;
    Ok(vec![call.take(&x, selection)?])
}
