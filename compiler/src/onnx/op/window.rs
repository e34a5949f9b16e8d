//! The window attributes that Conv and AveragePool share.
//!
//! `strides` and `dilations` default to 1, `pads` to 0 (all begins, then all ends). `auto_pad` is NOTSET,
//! VALID (no padding), or SAME_UPPER / SAME_LOWER: the output has `ceil(size / stride)` positions, and an
//! odd element of padding goes to the end or to the beginning. One spatial axis is taken as an image of
//! height 1.

use crate::onnx::call::Call;
use crate::onnx::error::Refusal;

/// A window over height and width.
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub(super) pads: [usize; 4],
}

/// Reads the attributes for a window of the given size over the given spatial axes.
pub(super) fn read(
    call: &mut Call<'_>,
    spatial: &[usize],
    kernel: &[usize],
) -> Result<Window, Refusal> {
    let rank = spatial.len();
    if kernel.len() != rank {
        return Err(format!(
            "a window of {} axes does not fit {rank} spatial axes",
            kernel.len()
        )
        .into());
    }
    let strides = call
        .sizes("strides", rank, 1)?
        .unwrap_or_else(|| vec![1; rank]);
    let dilations = call
        .sizes("dilations", rank, 1)?
        .unwrap_or_else(|| vec![1; rank]);
    let stated = call.sizes("pads", 2 * rank, 0)?;
    let auto_pad = call.string("auto_pad", "NOTSET")?;
    let pads = match auto_pad.as_str() {
        "NOTSET" | "" => stated.unwrap_or_else(|| vec![0; 2 * rank]),
        "VALID" => vec![0; 2 * rank],
        "SAME_UPPER" | "SAME_LOWER" => {
            let mut pads = vec![0; 2 * rank];
            for axis in 0..rank {
                let positions = spatial[axis].div_ceil(strides[axis]);
                let reach = kernel[axis]
                    .checked_sub(1)
                    .and_then(|k| k.checked_mul(dilations[axis]))
                    .and_then(|k| k.checked_add(1))
                    .ok_or("the window's size overflows")?;
                let total = ((positions - 1) * strides[axis] + reach).saturating_sub(spatial[axis]);
                let (less, more) = (total / 2, total - total / 2);
                let upper = auto_pad == "SAME_UPPER";
                pads[axis] = if upper { less } else { more };
                pads[axis + rank] = if upper { more } else { less };
            }
            pads
        }
        other => return Err(format!("auto_pad is {other:?}, which ONNX does not define").into()),
    };
    let pair = |values: &[usize], filler: usize| match *values {
        [h, w] => [h, w],
        [w] => [filler, w],
        _ => [filler; 2],
    };
    let pads = match pads[..] {
        [top, left, bottom, right] => [top, left, bottom, right],
        [left, right] => [0, left, 0, right],
        _ => [0; 4],
    };
    Ok(Window {
        kernel: pair(kernel, 1),
        strides: pair(&strides, 1),
        dilations: pair(&dilations, 1),
        pads,
    })
}

/// Splits `[N, C, spatial..]`, with one or two spatial axes of at least one element.
pub(super) fn spatial(shape: &[usize]) -> Result<(usize, usize, &[usize]), Refusal> {
    match shape {
        [n, c, spatial @ ..] if matches!(spatial.len(), 1 | 2) && !spatial.contains(&0) => {
            Ok((*n, *c, spatial))
        }
        [_, _, spatial @ ..] if spatial.len() > 2 => Err(format!(
            "{} spatial axes are not supported, only 1 or 2",
            spatial.len()
        )
        .into()),
        _ => Err(format!("the operand of shape {shape:?} has no spatial axes").into()),
    }
}

/// `[N, C, W]` as `[N, C, 1, W]`; four axes stay.
pub(super) fn as_image(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [n, c, w] => vec![n, c, 1, w],
        _ => shape.to_vec(),
    }
}

/// `[N, C, 1, W]` as `[N, C, W]` again.
pub(super) fn as_line(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [n, c, 1, w] => vec![n, c, w],
        _ => shape.to_vec(),
    }
}
