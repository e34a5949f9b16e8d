//! Conv: `y[n, m, p] = b[m] + sum over c, k of w[m, c, k] * x[n, g(m) C/group + c, p * stride + k * dilation - pad]`.
//!
//! Inputs: x `[N, C, spatial..]`, w `[M, C/group, kernel..]`, b `[M]` (optional); floating point.
//! Opsets: 1, 11 and 22 differ in wording and types alone. One or two spatial axes; weight and bias
//! must be constants.

use super::window;
use crate::onnx::call::{Call, Outputs, Value};
use cipherloom_ir::tensor::{Conv, Op};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 3)?;
    let weight = call.clear(1, "kernel")?;
    let bias = call.optional_clear(2, "bias")?;
    let x = call.encrypted(0)?;
    let (_, channels, spatial) = window::spatial(&x.shape)?;
    let rank = spatial.len();
    let [maps, per_group, kernel @ ..] = weight.shape() else {
        return Err(format!("the kernel has shape {:?}", weight.shape()).into());
    };
    if kernel.len() != rank {
        return Err(format!(
            "the kernel of shape {:?} does not fit {rank} spatial axes",
            weight.shape()
        )
        .into());
    }
    if let Some(stated) = call.sizes("kernel_shape", rank, 1)?
        && stated != kernel
    {
        return Err(format!(
            "kernel_shape says {stated:?}, but the kernel has shape {:?}",
            weight.shape()
        )
        .into());
    }
    let group = call.int("group", 1)?;
    let group = usize::try_from(group)
        .ok()
        .filter(|g| *g > 0)
        .ok_or_else(|| format!("group is {group}"))?;
    if channels % group != 0 || maps % group != 0 || channels / group != *per_group {
        return Err(format!(
            "{channels} input channels and {maps} output channels in {group} groups do not fit a kernel of shape {:?}",
            weight.shape()
        )
        .into());
    }
    let window = window::read(call, spatial, kernel)?;
    let weight = weight.reshaped(&window::as_image(weight.shape()))?;
    let weight = call.constant(&weight)?;
    let bias = bias.map(|b| call.constant(&b)).transpose()?;
    let conv = Conv {
        weight,
        bias,
        strides: window.strides,
        dilations: window.dilations,
        pads: window.pads,
        group,
    };
    let image = call.reshape(&x, &window::as_image(&x.shape))?;
    let y = call.emit(Op::Conv(conv), &[&image], &[])?;
    let y = if rank == 1 {
        call.reshape(&y, &window::as_line(&y.shape))?
    } else {
        y
    };
    Ok(vec![Value::Encrypted(y)])
}
