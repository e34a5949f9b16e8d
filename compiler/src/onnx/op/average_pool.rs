//! AveragePool: the mean of each window of `[N, C, spatial..]`; floating point.
//!
//! Opsets: 7 has `count_include_pad` (whether padded elements count in the divisor), 10 adds `ceil_mode`,
//! 19 adds `dilations`, which must be 1 here. One or two spatial axes.

use super::window;
use crate::onnx::call::{Call, Outputs, Value};
use cipherloom_ir::tensor::{Op, Pool};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    let (_, _, spatial) = window::spatial(&x.shape)?;
    let rank = spatial.len();
    let kernel = call
        .sizes("kernel_shape", rank, 1)?
        .ok_or("kernel_shape is missing")?;
    let window = window::read(call, spatial, &kernel)?;
    if window.dilations != [1, 1] {
        return Err("a dilated average is not supported".into());
    }
    let pool = Pool {
        kernel: window.kernel,
        strides: window.strides,
        pads: window.pads,
        count_include_pad: call.flag("count_include_pad", false)?,
        ceil_mode: call.flag("ceil_mode", false)?,
    };
    let image = call.reshape(&x, &window::as_image(&x.shape))?;
    let y = call.emit(Op::AveragePool(pool), &[&image], &[])?;
    let y = if rank == 1 {
        call.reshape(&y, &window::as_line(&y.shape))?
    } else {
        y
    };
    Ok(vec![Value::Encrypted(y)])
}
