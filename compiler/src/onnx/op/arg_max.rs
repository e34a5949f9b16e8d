//! ArgMax and ArgMin: the index of the largest or smallest element along `axis`; the first of equal ones, or the last
//! with `select_last_index`. The result holds 64-bit integers.
//!
//! Opsets: 1, 11 (negative axis), 12 (`select_last_index`), 13 (types).

use crate::onnx::call::{Call, Encrypted, Outputs, Value, axis};
use crate::onnx::clear::Elem;
use cipherloom_ir::tensor::Op;

pub(super) fn max(call: &mut Call<'_>) -> Outputs {
    import(call, false)
}

pub(super) fn min(call: &mut Call<'_>) -> Outputs {
    import(call, true)
}

fn import(call: &mut Call<'_>, smallest: bool) -> Outputs {
    call.arity(1, 1)?;
    let at = call.int("axis", 0)?;
    let keep = call.flag("keepdims", true)?;
    let last = call.opset >= 12 && call.flag("select_last_index", false)?;
    let x = call.encrypted(0)?;
    let axis = axis(at, x.shape.len())?;
    let op = Op::ArgMax {
        axis,
        smallest,
        last,
    };
    let mut y = Encrypted {
        elem: Elem::Int("i64"),
        ..call.emit(op, &[&x], &[])?
    };
    if !keep {
        let mut shape = y.shape.clone();
        shape.remove(axis);
        y = call.reshape(&y, &shape)?;
    }
    Ok(vec![Value::Encrypted(y)])
}
