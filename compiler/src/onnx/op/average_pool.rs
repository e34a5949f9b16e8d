//! AveragePool: the mean of each window of `[N, C, spatial..]`; floating point.
//!
//! Opsets: 7 has `count_include_pad` (whether padded elements count in the divisor), 10 adds `ceil_mode`,
//! 19 adds `dilations`, which must be 1 here. One to three spatial axes.

use super::window;
use crate::onnx::call::{Call, Outputs, Value};
use cipherloom_ir::tensor::{Op, Pool};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    let window = window::read_pool(call, &x.shape)?;
    if window.dilations.iter().any(|d| *d != 1) {
        return Err("a dilated average is not supported".into());
    }
    let count_include_pad = call.flag("count_include_pad", false)?;
    let ceil_mode = call.flag("ceil_mode", false)?;
    // The divisor is a product over the axes, so the mean of means is the mean.
    let y = window::pool(call, &x, &window, |call, image, plane| {
        let pool = Pool {
            kernel: plane.kernel,
            strides: plane.strides,
            pads: plane.pads,
            count_include_pad,
            ceil_mode,
        };
        call.emit(Op::AveragePool(pool), &[image], &[])
    })?;
    Ok(vec![Value::Encrypted(y)])
}
