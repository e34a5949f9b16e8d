//! TopK for `k = 1`: the largest (`largest` 1) or smallest element along `axis`, and its index; the first of equal ones.
//! More than one would have positions that depend on encrypted values.
//!
//! Opsets: 1 (k is an attribute), 10 (an input), 11 (`largest`, `sorted`).

use crate::onnx::call::{Call, Encrypted, Outputs, Value, axis};
use crate::onnx::clear::Elem;
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::{Op, Reduction};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let k = if call.opset < 10 {
        call.arity(1, 1)?;
        call.int("k", 0)?
    } else {
        call.arity(2, 2)?;
        let k = call.clear(1, "k")?.ints()?;
        let [k] = k[..] else {
            return Err(format!("k holds {} numbers", k.len()).into());
        };
        k
    };
    let at = call.int("axis", -1)?;
    let largest = call.flag("largest", true)?;
    call.flag("sorted", true)?;
    if k != 1 {
        return Err(Refusal::new(format!(
            "for k = {k} output positions would depend on encrypted values; k = 1 is supported"
        ))
        .help("stop before it with `--output NAME`, and pick the elements after decryption"));
    }
    let x = call.encrypted(0)?;
    let axis = axis(at, x.shape.len())?;
    let kind = if largest {
        Reduction::Max
    } else {
        Reduction::Min
    };
    let value = call.emit(
        Op::Reduce {
            kind,
            axes: vec![axis],
        },
        &[&x],
        &[],
    )?;
    let mut shape = x.shape.clone();
    shape[axis] = 1;
    let value = call.reshape(&value, &shape)?;
    let op = Op::ArgMax {
        axis,
        smallest: !largest,
        last: false,
    };
    let index = Encrypted {
        elem: Elem::Int("i64"),
        ..call.emit(op, &[&x], &[])?
    };
    Ok([value, index].map(Value::Encrypted).to_vec())
}
