//! The window attributes that convolutions and pools share.
//!
//! `strides` and `dilations` default to 1, `pads` to 0 (all begins, then all ends). `auto_pad` is NOTSET,
//! VALID (no padding), or SAME_UPPER / SAME_LOWER: the output has `ceil(size / stride)` positions, and an
//! odd element of padding goes to the end or to the beginning. The module's windows have two axes: one
//! spatial axis is taken as an image of height 1, of three the first is handled apart.

use crate::onnx::call::{Call, Encrypted};
use crate::onnx::error::Refusal;

/// A window over one to three spatial axes.
pub(super) struct Window {
    pub(super) kernel: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) dilations: Vec<usize>,
    /// All begins, then all ends.
    pub(super) pads: Vec<usize>,
}

/// A window over height and width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plane {
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub(super) pads: [usize; 4],
}

impl Window {
    /// The pads before and after an axis.
    pub(super) fn pads_of(&self, axis: usize) -> [usize; 2] {
        let at = |i: usize| self.pads.get(i).copied().unwrap_or(0);
        [at(axis), at(axis + self.kernel.len())]
    }

    /// The window over two of the axes; `None` is an axis of which it takes each element.
    pub(super) fn plane(&self, axes: [Option<usize>; 2]) -> Plane {
        let pick =
            |values: &[usize]| axes.map(|a| a.and_then(|a| values.get(a).copied()).unwrap_or(1));
        let [[top, bottom], [left, right]] = axes.map(|a| a.map_or([0, 0], |a| self.pads_of(a)));
        Plane {
            kernel: pick(&self.kernel),
            strides: pick(&self.strides),
            dilations: pick(&self.dilations),
            pads: [top, left, bottom, right],
        }
    }
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
    Ok(Window {
        kernel: kernel.to_vec(),
        strides,
        dilations,
        pads,
    })
}

/// Reads the attributes of a pool, whose window's size is an attribute too.
pub(super) fn read_pool(call: &mut Call<'_>, shape: &[usize]) -> Result<Window, Refusal> {
    let (_, _, spatial) = spatial(shape)?;
    let kernel = call
        .sizes("kernel_shape", spatial.len(), 1)?
        .ok_or("kernel_shape is missing")?;
    read(call, spatial, &kernel)
}

/// Splits `[N, C, spatial..]`, with one to three spatial axes of at least one element.
pub(super) fn spatial(shape: &[usize]) -> Result<(usize, usize, &[usize]), Refusal> {
    match shape {
        [n, c, spatial @ ..] if matches!(spatial.len(), 1..=3) && !spatial.contains(&0) => {
            Ok((*n, *c, spatial))
        }
        [_, _, spatial @ ..] if spatial.len() > 3 => Err(format!(
            "{} spatial axes are not supported, only 1 to 3",
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

/// Applies a pool that works axis by axis, as means and maxima do: over height and width, and over the depth before.
pub(super) fn pool(
    call: &mut Call<'_>,
    x: &Encrypted,
    window: &Window,
    apply: impl Fn(&mut Call<'_>, &Encrypted, Plane) -> Result<Encrypted, Refusal>,
) -> Result<Encrypted, Refusal> {
    match x.shape[..] {
        [_, _, _] => {
            let image = call.reshape(x, &as_image(&x.shape))?;
            let y = apply(call, &image, window.plane([None, Some(0)]))?;
            call.reshape(&y, &as_line(&y.shape))
        }
        [_, _, _, _] => apply(call, x, window.plane([Some(0), Some(1)])),
        [n, c, d, h, w] => {
            let slabs = call.reshape(x, &[n, c, d, h * w])?;
            let slabs = apply(call, &slabs, window.plane([Some(0), None]))?;
            let depth = slabs.shape.get(2).copied().unwrap_or(1);
            let images = call.reshape(&slabs, &[n, c * depth, h, w])?;
            let y = apply(call, &images, window.plane([Some(1), Some(2)]))?;
            let [_, _, height, width] = y.shape[..] else {
                return Err("a pool's result is no image".into());
            };
            call.reshape(&y, &[n, c, depth, height, width])
        }
        _ => Err(format!("the operand of shape {:?} has no spatial axes", x.shape).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_take_the_axes_that_are_named() {
        let window = Window {
            kernel: vec![2, 3, 4],
            strides: vec![5, 6, 7],
            dilations: vec![1, 2, 3],
            pads: vec![1, 2, 3, 4, 5, 6],
        };
        let depth = window.plane([Some(0), None]);
        assert_eq!((depth.kernel, depth.pads), ([2, 1], [1, 0, 4, 0]));
        let rest = window.plane([Some(1), Some(2)]);
        assert_eq!((rest.kernel, rest.strides), ([3, 4], [6, 7]));
        assert_eq!((rest.dilations, rest.pads), ([2, 3], [2, 3, 5, 6]));
        assert_eq!(window.pads_of(2), [3, 6]);
    }
}
