//! TopK: the `k` largest (`largest` 1) or smallest elements along `axis` in their order, and their indices; of equal ones the
//! first comes first.
//!
//! Opsets: 1 (k is an attribute), 10 (an input), 11 (`largest`, `sorted`).

use crate::onnx::call::{Call, Encrypted, Outputs, Value, axis};
use crate::onnx::clear::Elem;
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
    let smallest = !call.flag("largest", true)?;
    // In their order they are also where any order is asked for.
    call.flag("sorted", true)?;
    let x = call.encrypted(0)?;
    let axis = axis(at, x.shape.len())?;
    let size = x.shape[axis];
    let k = usize::try_from(k).ok().filter(|k| (1..=size).contains(k));
    let k =
        k.ok_or_else(|| format!("k is no number from 1 to {size}, the elements along the axis"))?;
    let (value, index) = if k == 1 {
        let kind = if smallest {
            Reduction::Min
        } else {
            Reduction::Max
        };
        let axes = vec![axis];
        let value = call.emit(Op::Reduce { kind, axes }, &[&x], &[])?;
        let last = false;
        let op = Op::ArgMax {
            axis,
            smallest,
            last,
        };
        (value, call.emit(op, &[&x], &[])?)
    } else {
        let op = |values| Op::TopK {
            axis,
            k,
            smallest,
            values,
        };
        let value = call.emit(op(true), &[&x], &[])?;
        (value, call.emit(op(false), &[&x], &[])?)
    };
    let index = Encrypted {
        elem: Elem::Int("i64"),
        ..index
    };
    Ok([value, index].map(Value::Encrypted).to_vec())
}
