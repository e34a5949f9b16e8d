//! A convolution over one to three spatial axes as the module's, which has two.
//!
//! Of three axes, the depths that one output depth reads are laid out as further channels: `[N, C, D, H, W]`
//! becomes `[N OD, C KD, H, W]`, and the kernel `[M, C/group, KD, KH, KW]` is `[M, C/group KD, KH, KW]` as it lies.

use super::window::{self, Window};
use crate::onnx::call::{Call, Encrypted};
use crate::onnx::clear::Clear;
use crate::onnx::error::Refusal;
use crate::onnx::selection::{NOTHING, Picks, Selection};
use cipherloom_ir::tensor::{Conv, Op};

/// The convolution of `x` with a kernel `[M, C/group, kernel..]` and a bias `[M]`.
pub(super) fn convolve(
    call: &mut Call<'_>,
    x: &Encrypted,
    weight: &Clear,
    bias: Option<&Clear>,
    window: &Window,
    group: usize,
) -> Result<Encrypted, Refusal> {
    let bias = bias.map(|b| call.constant(b)).transpose()?;
    let on_images =
        |call: &mut Call<'_>, images: &Encrypted, kernel: &[usize], axes: [Option<usize>; 2]| {
            let plane = window.plane(axes);
            let conv = Conv {
                weight: call.constant(&weight.reshaped(kernel)?)?,
                bias,
                strides: plane.strides,
                dilations: plane.dilations,
                pads: plane.pads,
                group,
            };
            call.emit(Op::Conv(conv), &[images], &[])
        };
    match (&x.shape[..], weight.shape()) {
        ([_, _, _], kernel) => {
            let image = call.reshape(x, &window::as_image(&x.shape))?;
            let y = on_images(call, &image, &window::as_image(kernel), [None, Some(0)])?;
            call.reshape(&y, &window::as_line(&y.shape))
        }
        ([_, _, _, _], kernel) => on_images(call, x, kernel, [Some(0), Some(1)]),
        (&[n, c, depth, h, w], &[maps, per_group, kd, kh, kw]) => {
            let picks = taps(depth, kd, window)?;
            let out = picks.len() / kd.max(1);
            let x = call.take_encrypted(x, Selection::along_axis(&x.shape, 2, picks)?)?;
            let x = call.reshape(&x, &[n, c, out, kd, h, w])?;
            let x = call.transpose(&x, &[0, 2, 1, 3, 4, 5])?;
            let x = call.reshape(&x, &[n * out, c * kd, h, w])?;
            let y = on_images(
                call,
                &x,
                &[maps, per_group * kd, kh, kw],
                [Some(1), Some(2)],
            )?;
            let [_, _, height, width] = y.shape[..] else {
                return Err("a convolution's result is no image".into());
            };
            let y = call.reshape(&y, &[n, out, maps, height, width])?;
            call.transpose(&y, &[0, 2, 1, 3, 4])
        }
        (x, kernel) => Err(format!("a kernel of shape {kernel:?} does not fit {x:?}").into()),
    }
}

/// The depths that each output depth reads, one output depth after the other.
fn taps(depth: usize, kernel: usize, window: &Window) -> Result<Picks, String> {
    let [before, after] = window.pads_of(0);
    let (stride, dilation) = (window.strides[0], window.dilations[0]);
    let overflow = "the window's size overflows";
    let reach = kernel
        .checked_sub(1)
        .and_then(|k| k.checked_mul(dilation)?.checked_add(1))
        .ok_or(overflow)?;
    let room = depth
        .checked_add(before)
        .and_then(|d| d.checked_add(after))
        .ok_or(overflow)?
        .checked_sub(reach)
        .ok_or_else(|| format!("a window of {reach} does not fit into {depth} elements"))?;
    let positions = room / stride + 1;
    crate::onnx::clear::computed_count(&[positions, kernel])?;
    let inside = |at: usize| match at.checked_sub(before) {
        Some(at) if at < depth => at as i64,
        _ => NOTHING,
    };
    Ok((0..positions)
        .flat_map(|p| (0..kernel).map(move |k| p * stride + k * dilation))
        .map(inside)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_the_depths_that_a_window_reads() {
        let window = |stride, dilation, before, after| Window {
            kernel: vec![2],
            strides: vec![stride],
            dilations: vec![dilation],
            pads: vec![before, after],
        };
        assert_eq!(taps(3, 2, &window(1, 1, 0, 0)).unwrap(), [0, 1, 1, 2]);
        assert_eq!(
            taps(3, 2, &window(1, 1, 1, 1)).unwrap(),
            [-1, 0, 0, 1, 1, 2, 2, -1]
        );
        assert_eq!(taps(5, 2, &window(2, 2, 0, 0)).unwrap(), [0, 2, 2, 4]);
        assert!(taps(1, 2, &window(1, 1, 0, 0)).is_err());
        assert!(taps(1, 2, &window(1, usize::MAX, 0, 0)).is_err());
    }
}
