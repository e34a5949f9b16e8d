//! LRN: `y = x / (bias + alpha / size * sum of x^2 over size neighbouring channels)^beta`, for `[N, C, H, W]`.
//!
//! The sum reaches `(size - 1) / 2` channels down, rounded down, and as many up, rounded up; it is a 1 x 1 convolution.
//! Opsets: 1, 13 adds types.

use super::activation::apply;
use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, Elem, computed_count};
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{Conv, Function, Op};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let alpha = call.float("alpha", 1e-4)?;
    let beta = call.float("beta", 0.75)?;
    let bias = call.float("bias", 1.0)?;
    let size = usize::try_from(call.int("size", 0)?).unwrap_or(0);
    if size == 0 {
        return Err("size is missing, or below 1".into());
    }
    let x = call.encrypted(0)?;
    let [_, channels, _, _] = x.shape[..] else {
        return Err(format!("the operand of shape {:?} is not [N, C, H, W]", x.shape).into());
    };
    let shape = vec![channels, channels, 1, 1];
    let count = computed_count(&shape)?;
    let (down, up) = ((size - 1) / 2, size / 2);
    let near = |i: usize| {
        let (row, column) = (i / channels, i % channels);
        column + down >= row && column <= row.saturating_add(up)
    };
    let factor = alpha / size as f64;
    let data = (0..count).map(|i| if near(i) { factor } else { 0.0 });
    let weight = Tensor::new(shape, data.collect()).ok_or("the weight has another size")?;
    let weight = call.constant(&Clear::new("neighbours", Elem::F32, weight))?;
    let square = call.emit(Op::Power { exponent: 2 }, &[&x], &[])?;
    let conv = Conv {
        weight,
        bias: None,
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0; 4],
        group: 1,
    };
    let total = call.emit(Op::Conv(conv), &[&square], &[])?;
    let value = call.scalar_constant("bias", bias)?;
    let total = call.emit(Op::AddConst { value }, &[&total], &[])?;
    let inverse = apply(call, Function::Pow { exponent: -beta }, &total)?;
    Ok(vec![Value::Encrypted(call.emit(
        Op::Mul,
        &[&x, &inverse],
        &[],
    )?)])
}
