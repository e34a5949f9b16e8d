//! GlobalAveragePool: the mean over all spatial axes of `[N, C, spatial..]`, which stay with size 1.
//!
//! Opsets: 1 and 22 differ in types alone. One or two spatial axes.

use super::window;
use crate::onnx::call::{Call, Outputs, Value};
use cipherloom_ir::tensor::{Op, Pool};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    let (_, _, spatial) = window::spatial(&x.shape)?;
    let rank = spatial.len();
    let image_shape = window::as_image(&x.shape);
    let [_, _, height, width] = image_shape[..] else {
        return Err("the operand is no image".into());
    };
    let pool = Pool {
        kernel: [height, width],
        strides: [1, 1],
        pads: [0; 4],
        count_include_pad: false,
        ceil_mode: false,
    };
    let image = call.reshape(&x, &image_shape)?;
    let y = call.emit(Op::AveragePool(pool), &[&image], &[])?;
    let y = if rank == 1 {
        call.reshape(&y, &window::as_line(&y.shape))?
    } else {
        y
    };
    Ok(vec![Value::Encrypted(y)])
}
