//! GlobalAveragePool: the mean over all spatial axes of `[N, C, spatial..]`, which stay with size 1.
//!
//! Opsets: 1 and 22 differ in types alone. One to three spatial axes.

use super::window;
use crate::onnx::call::{Call, Outputs, Value};
use cipherloom_ir::tensor::{Op, Pool};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.encrypted(0)?;
    let (n, c, spatial) = window::spatial(&x.shape)?;
    // A mean does not mind how the elements lie in the image.
    let (height, width) = match *spatial {
        [width] => (1, width),
        [height, width] => (height, width),
        _ => (spatial[0], spatial[1..].iter().product()),
    };
    let result = [vec![n, c], vec![1; spatial.len()]].concat();
    let pool = Pool {
        kernel: [height, width],
        strides: [1, 1],
        pads: [0; 4],
        count_include_pad: false,
        ceil_mode: false,
    };
    let image = call.reshape(&x, &[n, c, height, width])?;
    let y = call.emit(Op::AveragePool(pool), &[&image], &[])?;
    Ok(vec![Value::Encrypted(call.reshape(&y, &result)?)])
}
