//! Conv: `y[n, m, p] = b[m] + sum over c, k of w[m, c, k] * x[n, g(m) C/group + c, p * stride + k * dilation - pad]`.
//!
//! Inputs: x `[N, C, spatial..]`, w `[M, C/group, kernel..]`, b `[M]` (optional); floating point.
//! Opsets: 1, 11 and 22 differ in wording and types alone. One to three spatial axes; weight and bias
//! must be constants.

use super::convolution::convolve;
use super::window;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::Clear;
use crate::onnx::error::Refusal;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 3)?;
    let weight = call.clear(1, "kernel")?;
    let bias = call.optional_clear(2, "bias")?;
    let x = call.encrypted(0)?;
    let y = convolution(call, &x, &weight, bias.as_ref())?;
    Ok(vec![Value::Encrypted(y)])
}

/// The convolution that a node's attributes describe.
pub(super) fn convolution(
    call: &mut Call<'_>,
    x: &Encrypted,
    weight: &Clear,
    bias: Option<&Clear>,
) -> Result<Encrypted, Refusal> {
    let (_, channels, spatial) = window::spatial(&x.shape)?;
    let [maps, per_group, kernel @ ..] = weight.shape() else {
        return Err(format!("the kernel has shape {:?}", weight.shape()).into());
    };
    check_kernel(call, spatial, kernel, weight.shape())?;
    let group = group(call)?;
    if channels % group != 0 || maps % group != 0 || channels / group != *per_group {
        return Err(format!(
            "{channels} input channels and {maps} output channels in {group} groups do not fit a kernel of shape {:?}",
            weight.shape()
        )
        .into());
    }
    let window = window::read(call, spatial, kernel)?;
    convolve(call, x, weight, bias, &window, group)
}

/// Whether the kernel has the spatial axes of the operand, and those that are stated.
pub(super) fn check_kernel(
    call: &mut Call<'_>,
    spatial: &[usize],
    kernel: &[usize],
    whole: &[usize],
) -> Result<(), Refusal> {
    let rank = spatial.len();
    if kernel.len() != rank {
        let reason = format!("the kernel of shape {whole:?} does not fit {rank} spatial axes");
        return Err(reason.into());
    }
    match call.sizes("kernel_shape", rank, 1)? {
        Some(stated) if stated != kernel => {
            Err(format!("kernel_shape says {stated:?}, but the kernel has shape {whole:?}").into())
        }
        _ => Ok(()),
    }
}

/// The number of groups.
pub(super) fn group(call: &mut Call<'_>) -> Result<usize, Refusal> {
    let group = call.int("group", 1)?;
    let positive = usize::try_from(group).ok().filter(|g| *g > 0);
    positive.ok_or_else(|| format!("group is {group}").into())
}
