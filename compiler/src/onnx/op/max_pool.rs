//! MaxPool: the largest element of each window of `[N, C, spatial..]`; padding never wins. GlobalMaxPool: the
//! largest over all spatial axes, which stay with size 1.
//!
//! The second output, the positions, is not computed. Opsets: 8 (second output, `storage_order`), 10 (`ceil_mode`,
//! `dilations`), 12 and 22 (types). One to three spatial axes.

use super::window;
use crate::onnx::call::{Call, Outputs, Value};
use cipherloom_ir::tensor::{MaxPool, Op, Reduction};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    let window = window::read_pool(call, &x.shape)?;
    let ceil_mode = call.flag("ceil_mode", false)?;
    // It orders the positions, which are not computed.
    call.flag("storage_order", false)?;
    let y = window::pool(call, &x, &window, |call, image, plane| {
        let pool = MaxPool {
            kernel: plane.kernel,
            strides: plane.strides,
            dilations: plane.dilations,
            pads: plane.pads,
            ceil_mode,
        };
        call.emit(Op::MaxPool(pool), &[image], &[])
    })?;
    Ok(vec![Value::Encrypted(y)])
}

pub(super) fn global(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    window::spatial(&x.shape)?;
    let op = Op::Reduce {
        kind: Reduction::Max,
        axes: (2..x.shape.len()).collect(),
    };
    Ok(vec![Value::Encrypted(call.emit(op, &[&x], &[])?)])
}
