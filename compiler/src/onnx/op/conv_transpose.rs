//! ConvTranspose: each element of x spread over a window of y, `y[n, m, p stride + k dilation - pad] += w[c, m, k] x[n, c, p]`.
//!
//! It is the convolution of x, `stride - 1` zeros between its elements, with the kernel turned round. Inputs:
//! x `[N, C, spatial..]`, w `[C, M/group, kernel..]`, b `[M]` (optional); floating point, w and b constants.
//! Opsets: 1, 11 and 22 differ in wording and types alone. One to three spatial axes.

use super::conv::{check_kernel, group};
use super::convolution::convolve;
use super::window::{self, Window};
use crate::broadcast::for_each_index;
use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, computed_count};
use crate::onnx::error::Refusal;
use crate::onnx::selection::{NOTHING, Picks, Selection, whole};
use cipherloom_ir::value::strides;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 3)?;
    let weight = call.clear(1, "kernel")?;
    let bias = call.optional_clear(2, "bias")?;
    let x = call.encrypted(0)?;
    let (_, channels, spatial) = window::spatial(&x.shape)?;
    let rank = spatial.len();
    let [rows, _, kernel @ ..] = weight.shape() else {
        return Err(format!("the kernel has shape {:?}", weight.shape()).into());
    };
    check_kernel(call, spatial, kernel, weight.shape())?;
    let group = group(call)?;
    if channels != *rows || channels % group != 0 {
        return Err(format!(
            "{channels} input channels in {group} groups do not fit a kernel of shape {:?}",
            weight.shape()
        )
        .into());
    }
    let extra = call
        .sizes("output_padding", rank, 0)?
        .unwrap_or_else(|| vec![0; rank]);
    let wanted = call.sizes("output_shape", rank, 1)?;
    let auto_pad = call.string("auto_pad", "NOTSET")?;
    let window = window::read(call, spatial, kernel)?;
    let mut picks: Vec<Picks> = x.shape.iter().take(2).map(|size| whole(*size)).collect();
    for axis in 0..rank {
        let [before, after] = window.pads_of(axis);
        let line = Line {
            size: spatial[axis],
            kernel: kernel[axis],
            stride: window.strides[axis],
            dilation: window.dilations[axis],
            before,
            after,
            extra: extra[axis],
        };
        let wanted = match auto_pad.as_str() {
            _ if wanted.is_some() => wanted.as_ref().and_then(|w| w.get(axis)).copied(),
            "SAME_UPPER" | "SAME_LOWER" => spatial[axis].checked_mul(window.strides[axis]),
            _ => None,
        };
        let line = match wanted {
            Some(size) => line.of_size(size, auto_pad == "SAME_UPPER")?,
            None => line,
        };
        picks.push(line.picks()?);
    }
    let spread = Selection::along_axes(&x.shape, &picks)?;
    let spread = call.take_encrypted(&x, spread)?;
    let plain = Window {
        kernel: kernel.to_vec(),
        strides: vec![1; rank],
        dilations: window.dilations,
        pads: vec![0; 2 * rank],
    };
    let turned = turned(&weight, group)?;
    let y = convolve(call, &spread, &turned, bias.as_ref(), &plain, group)?;
    Ok(vec![Value::Encrypted(y)])
}

/// One spatial axis.
#[derive(Clone, Copy, Debug)]
struct Line {
    size: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
    extra: usize,
}

impl Line {
    /// The size of the result along the axis.
    fn result(&self) -> Result<usize, Refusal> {
        let reach = self.reach()?;
        (self.size - 1)
            .checked_mul(self.stride)
            .and_then(|s| s.checked_add(reach)?.checked_add(self.extra))
            .and_then(|s| s.checked_sub(self.before)?.checked_sub(self.after))
            .filter(|s| *s > 0)
            .ok_or_else(|| "the pads leave nothing of the result, or its size overflows".into())
    }

    fn reach(&self) -> Result<usize, Refusal> {
        (self.kernel.checked_sub(1))
            .and_then(|k| k.checked_mul(self.dilation)?.checked_add(1))
            .ok_or_else(|| "the window's size overflows".into())
    }

    /// With the pads that give a result of the stated size; an odd one goes to the end if `upper`, as ONNX says.
    fn of_size(self, size: usize, upper: bool) -> Result<Self, Refusal> {
        let open = Self {
            before: 0,
            after: 0,
            ..self
        };
        let total = open
            .result()?
            .checked_sub(size)
            .ok_or_else(|| format!("output_shape asks for {size} elements, more than there are"))?;
        let (less, more) = (total / 2, total - total / 2);
        let (before, after) = if upper { (less, more) } else { (more, less) };
        Ok(Self {
            before,
            after,
            ..self
        })
    }

    /// The positions that the convolution reads: the elements with zeros between them, padded or cropped.
    fn picks(&self) -> Result<Picks, Refusal> {
        let margin = self.reach()? - 1;
        let length = self
            .result()?
            .checked_add(margin)
            .ok_or("the size overflows")?;
        computed_count(&[length])?;
        // Position 0 of the spread elements stands behind `margin - before` zeros.
        let origin = margin as i64 - self.before as i64;
        let at = |i: i64| {
            let i = i - origin;
            let (place, stride) = (i.div_euclid(self.stride as i64), self.stride as i64);
            if i % stride == 0 && (0..self.size as i64).contains(&place) {
                place
            } else {
                NOTHING
            }
        };
        Ok((0..length as i64).map(at).collect())
    }
}

/// The kernel `[C, M/group, kernel..]` as the convolution's `[M, C/group, kernel..]`, its spatial axes reversed.
fn turned(weight: &Clear, group: usize) -> Result<Clear, Refusal> {
    let [rows, per_group, kernel @ ..] = weight.shape() else {
        return Err("the kernel has too few axes".into());
    };
    let inner = rows / group;
    let shape = [&[group * per_group, inner], kernel].concat();
    computed_count(&shape)?;
    let steps = strides(weight.shape());
    let mut index = vec![];
    for_each_index(&shape, |place| {
        let (block, map) = (place[0] / per_group, place[0] % per_group);
        let mut at = (block * inner + place[1]) * steps[0] + map * steps[1];
        for ((i, size), step) in place[2..].iter().zip(kernel).zip(&steps[2..]) {
            at += (size - 1 - i) * step;
        }
        index.push(at as i64);
    });
    Ok(Selection::new(&shape, index)?.of(weight)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::clear::Elem;
    use cipherloom_ir::Tensor;

    const LINE: Line = Line {
        size: 3,
        kernel: 3,
        stride: 2,
        dilation: 1,
        before: 0,
        after: 0,
        extra: 0,
    };

    #[test]
    fn zeros_stand_between_and_around_the_elements() {
        assert_eq!(LINE.result().unwrap(), 7);
        assert_eq!(LINE.picks().unwrap(), [-1, -1, 0, -1, 1, -1, 2, -1, -1]);
        let padded = Line {
            before: 1,
            after: 1,
            extra: 1,
            ..LINE
        };
        assert_eq!(padded.result().unwrap(), 6);
        assert_eq!(padded.picks().unwrap(), [-1, 0, -1, 1, -1, 2, -1, -1]);
        // More padding than the kernel reaches crops.
        let cropped = Line {
            before: 4,
            after: 0,
            ..LINE
        };
        assert_eq!(cropped.picks().unwrap(), [1, -1, 2, -1, -1]);
    }

    #[test]
    fn stated_sizes_choose_the_pads() {
        let upper = LINE.of_size(6, true).unwrap();
        assert_eq!((upper.before, upper.after), (0, 1));
        let lower = LINE.of_size(6, false).unwrap();
        assert_eq!((lower.before, lower.after), (1, 0));
        assert!(LINE.of_size(8, true).is_err());
        let nothing = Line { before: 7, ..LINE };
        assert!(nothing.picks().is_err());
    }

    #[test]
    fn kernels_are_turned_group_by_group() {
        let data = (0..12).map(f64::from).collect();
        let tensor = Tensor::new(vec![2, 2, 3], data).unwrap();
        let weight = Clear::new("w", Elem::F32, tensor);
        let whole = turned(&weight, 1).unwrap();
        assert_eq!(whole.shape(), [2, 2, 3]);
        assert_eq!(
            whole.data(),
            [2.0, 1.0, 0.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 11.0, 10.0, 9.0]
        );
        let grouped = turned(&weight, 2).unwrap();
        assert_eq!(grouped.shape(), [4, 1, 3]);
        assert_eq!(
            grouped.data(),
            [2.0, 1.0, 0.0, 5.0, 4.0, 3.0, 8.0, 7.0, 6.0, 11.0, 10.0, 9.0]
        );
    }
}
