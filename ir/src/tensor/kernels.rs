//! The loops of the clear interpreter. Callers have checked all shapes with [`super::infer_shape`].

mod conv;

pub(super) use conv::conv;

use super::{MaxPool, Pool, Reduction};
use crate::value::{Tensor, strides};

/// How windows lie along one axis.
#[derive(Clone, Copy)]
pub(super) struct Plane {
    pub(super) stride: usize,
    pub(super) dilation: usize,
    pub(super) before: usize,
}

/// Average over windows; the divisor counts elements, and with `count_include_pad` the padding too, but never what
/// lies beyond it (where `ceil_mode` lets a window hang over).
pub(super) fn average_pool(x: &Tensor, pool: &Pool, shape: &[usize]) -> Vec<f64> {
    let (&[_, _, h, w], &[_, _, oh, ow]) = (x.shape(), shape) else {
        return vec![];
    };
    // Start and end within the padded axis, and the same cut to the elements.
    let span = |axis: usize, size: usize, position: usize| {
        let (before, after) = (pool.pads[axis], pool.pads[axis + 2]);
        let start = position * pool.strides[axis];
        let end = (start + pool.kernel[axis]).min(size + before + after);
        let inner = start.max(before) - before..end.min(size + before).saturating_sub(before);
        (end - start, inner)
    };
    let mut out = Vec::with_capacity(shape.iter().product());
    for source in x.data().chunks(h * w) {
        for oy in 0..oh {
            let (full_h, rows) = span(0, h, oy);
            for ox in 0..ow {
                let (full_w, columns) = span(1, w, ox);
                let divisor = if pool.count_include_pad {
                    full_h * full_w
                } else {
                    rows.len() * columns.len()
                };
                let sum: f64 = rows
                    .clone()
                    .map(|y| source[y * w..][columns.clone()].iter().sum::<f64>())
                    .sum();
                out.push(sum / divisor as f64);
            }
        }
    }
    out
}

/// A dot product in eight interleaved sums: a fixed order that a compiler can vectorise.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + tail
}

/// `x W^T` along the last axis.
pub(super) fn gemm(x: &Tensor, weight: &Tensor) -> Vec<f64> {
    let inner = x.shape().last().copied().unwrap_or(1).max(1);
    x.data()
        .chunks(inner)
        .flat_map(|row| {
            weight
                .data()
                .chunks(inner)
                .map(move |column| dot(row, column))
        })
        .collect()
}

/// NumPy's `matmul`.
pub(super) fn matmul(a: &Tensor, b: &Tensor) -> Vec<f64> {
    let (stack_a, rows, inner) = match a.shape() {
        [stack @ .., rows, inner] => (stack, *rows, *inner),
        rest => (&[][..], 1, rest.first().copied().unwrap_or(1)),
    };
    let (stack_b, cols) = match b.shape() {
        [stack @ .., _, cols] => (stack, *cols),
        _ => (&[][..], 1),
    };
    let Ok(stack) = super::shape::broadcast(stack_a, stack_b) else {
        return vec![];
    };
    let steps = [
        broadcast_strides(stack_a, &stack),
        broadcast_strides(stack_b, &stack),
    ];
    let mut out = Vec::new();
    for_each_index(&stack, &steps, |[at_a, at_b]| {
        let a = &a.data()[at_a * rows * inner..][..rows * inner];
        let b = &b.data()[at_b * inner * cols..][..inner * cols];
        for row in a.chunks(inner.max(1)) {
            let start = out.len();
            out.resize(start + cols, 0.0);
            for (factor, line) in row.iter().zip(b.chunks(cols.max(1))) {
                for (sum, value) in out[start..].iter_mut().zip(line) {
                    *sum += factor * value;
                }
            }
        }
    });
    out
}

/// [`zip`] of two tensors.
pub(super) fn zip_tensors(
    a: &Tensor,
    b: &Tensor,
    shape: &[usize],
    f: impl Fn(f64, f64) -> f64,
) -> Vec<f64> {
    zip((a.data(), a.shape()), (b.data(), b.shape()), shape, f)
}

/// Elementwise combination of values with shapes that broadcast to `shape`.
pub(super) fn zip(
    (a, a_shape): (&[f64], &[usize]),
    (b, b_shape): (&[f64], &[usize]),
    shape: &[usize],
    f: impl Fn(f64, f64) -> f64,
) -> Vec<f64> {
    if a_shape == shape && b_shape == shape {
        return a.iter().zip(b).map(|(x, y)| f(*x, *y)).collect();
    }
    let steps = [
        broadcast_strides(a_shape, shape),
        broadcast_strides(b_shape, shape),
    ];
    let mut out = Vec::with_capacity(shape.iter().product());
    let (outer, last) = match shape.split_last() {
        Some((last, outer)) => (outer, *last),
        None => (shape, 1),
    };
    let inner = steps.each_ref().map(|s| s.last().copied().unwrap_or(0));
    let outer_steps = steps
        .each_ref()
        .map(|s| s.get(..outer.len()).unwrap_or_default().to_vec());
    for_each_index(outer, &outer_steps, |[at_a, at_b]| {
        out.extend((0..last).map(|i| f(a[at_a + i * inner[0]], b[at_b + i * inner[1]])));
    });
    out
}

/// The strides of a shape seen as a larger one: zero along axes that are repeated.
fn broadcast_strides(from: &[usize], onto: &[usize]) -> Vec<usize> {
    let own = strides(from);
    let missing = onto.len() - from.len().min(onto.len());
    (0..onto.len())
        .map(|axis| match axis.checked_sub(missing) {
            Some(i) if from[i] != 1 => own[i],
            _ => 0,
        })
        .collect()
}

/// Calls `f` for every index of `shape` in row-major order, with the offsets by each set of strides.
fn for_each_index<const K: usize>(
    shape: &[usize],
    steps: &[Vec<usize>; K],
    mut f: impl FnMut([usize; K]),
) {
    let mut index = vec![0; shape.len()];
    let mut offsets = [0; K];
    loop {
        f(offsets);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            for (offset, step) in offsets.iter_mut().zip(steps) {
                *offset += step[axis];
            }
            if index[axis] < shape[axis] {
                break;
            }
            for (offset, step) in offsets.iter_mut().zip(steps) {
                *offset -= step[axis] * shape[axis];
            }
            index[axis] = 0;
        }
    }
}

/// A permutation of the axes.
pub(super) fn transpose(x: &Tensor, perm: &[usize], shape: &[usize]) -> Vec<f64> {
    let own = strides(x.shape());
    let steps = [perm.iter().map(|p| own[*p]).collect()];
    let mut out = Vec::with_capacity(x.len());
    for_each_index(shape, &steps, |[at]| out.push(x.data()[at]));
    out
}

/// Padding with a constant.
pub(super) fn pad(x: &Tensor, before: &[usize], value: f64, shape: &[usize]) -> Vec<f64> {
    let mut out = vec![value; shape.iter().product()];
    let target = strides(shape);
    let base: usize = before.iter().zip(&target).map(|(b, s)| b * s).sum();
    let mut at_source = 0;
    for_each_index(x.shape(), &[target], |[at]| {
        out[base + at] = x.data()[at_source];
        at_source += 1;
    });
    out
}

/// The largest element of each window; the caller has checked that every window holds one.
pub(super) fn max_pool(x: &Tensor, pool: &MaxPool, shape: &[usize]) -> Vec<f64> {
    let (&[_, _, h, w], &[_, _, oh, ow]) = (x.shape(), shape) else {
        return vec![];
    };
    // The elements of a window along an axis; taps in the padding are skipped, not walked over.
    let taps = |axis: usize, size: usize, position: usize| {
        let (dilation, before) = (pool.dilations[axis], pool.pads[axis]);
        let start = position * pool.strides[axis];
        let first = before.saturating_sub(start).div_ceil(dilation);
        (first..pool.kernel[axis])
            .map(move |k| start + k * dilation - before)
            .take_while(move |at| *at < size)
    };
    let mut out = Vec::with_capacity(shape.iter().product());
    for source in x.data().chunks(h * w) {
        for oy in 0..oh {
            for ox in 0..ow {
                let mut largest = f64::NEG_INFINITY;
                for y in taps(0, h, oy) {
                    for x in taps(1, w, ox) {
                        largest = largest.max(source[y * w + x]);
                    }
                }
                out.push(largest);
            }
        }
    }
    out
}

/// The tensor repeated to a shape that it broadcasts to.
pub(super) fn expand(x: &Tensor, shape: &[usize]) -> Vec<f64> {
    zip((x.data(), x.shape()), (&[0.0], &[]), shape, |value, _| {
        value
    })
}

/// Tensors one after the other along an axis.
pub(super) fn concat(parts: &[&Tensor], axis: usize) -> Vec<f64> {
    let rows = |x: &Tensor| x.shape()[axis..].iter().product::<usize>().max(1);
    let outer = parts.first().map_or(0, |x| x.len() / rows(x));
    let mut out = Vec::with_capacity(parts.iter().map(|x| x.len()).sum());
    for row in 0..outer {
        for part in parts {
            let length = rows(part);
            out.extend_from_slice(&part.data()[row * length..][..length]);
        }
    }
    out
}

/// Joins the elements along axes, in row-major order.
pub(super) fn reduce(x: &Tensor, axes: &[usize], kind: Reduction) -> Vec<f64> {
    let size = |(axis, size): (usize, &usize)| if axes.contains(&axis) { 1 } else { *size };
    let shape: Vec<usize> = x.shape().iter().enumerate().map(size).collect();
    let count: usize = axes.iter().map(|a| x.shape()[*a]).product();
    let start = match kind {
        Reduction::Sum | Reduction::Mean => 0.0,
        Reduction::Max => f64::NEG_INFINITY,
        Reduction::Min => f64::INFINITY,
        Reduction::Prod => 1.0,
    };
    let mut out = vec![start; shape.iter().product()];
    let mut source = x.data().iter();
    for_each_index(
        x.shape(),
        &[broadcast_strides(&shape, x.shape())],
        |[at]| {
            let (Some(value), Some(joined)) = (source.next(), out.get_mut(at)) else {
                return;
            };
            *joined = match kind {
                Reduction::Sum | Reduction::Mean => *joined + value,
                Reduction::Max => joined.max(*value),
                Reduction::Min => joined.min(*value),
                Reduction::Prod => *joined * value,
            };
        },
    );
    if kind == Reduction::Mean {
        out.iter_mut().for_each(|sum| *sum /= count as f64);
    }
    out
}

/// The index of the largest (or smallest) element along an axis, the first or last of equal ones.
pub(super) fn arg_max(x: &Tensor, axis: usize, smallest: bool, last: bool) -> Vec<f64> {
    let (count, step) = (x.shape()[axis], strides(x.shape())[axis]);
    let mut out = Vec::with_capacity(x.len() / count.max(1));
    for block in x.data().chunks(count * step) {
        for lane in 0..step {
            let mut best = 0;
            for i in 1..count {
                let (new, old) = (block[lane + i * step], block[lane + best * step]);
                let better = if smallest { new < old } else { new > old };
                if better || last && new == old {
                    best = i;
                }
            }
            out.push(best as f64);
        }
    }
    out
}

/// The indices of the `k` largest (or smallest) elements along an axis, or the elements; of equal ones the first comes first.
pub(super) fn top_k(x: &Tensor, axis: usize, k: usize, smallest: bool, values: bool) -> Vec<f64> {
    let (count, step) = (x.shape()[axis], strides(x.shape())[axis]);
    let blocks = x.data().chunks((count * step).max(1));
    let mut out = vec![0.0; x.len() / count.max(1) * k];
    for (block, out) in blocks.zip(out.chunks_mut((k * step).max(1))) {
        for lane in 0..step {
            let element = |i: usize| block[lane + i * step];
            let mut order: Vec<usize> = (0..count).collect();
            // The sort is stable; a sum turns the negative zero into the other one.
            order.sort_by(|a, b| {
                let (a, b) = (element(*a) + 0.0, element(*b) + 0.0);
                if smallest {
                    a.total_cmp(&b)
                } else {
                    b.total_cmp(&a)
                }
            });
            for (place, i) in order.into_iter().take(k).enumerate() {
                out[lane + place * step] = if values { element(i) } else { i as f64 };
            }
        }
    }
    out
}

/// Replaces the elements along an axis, one line of them after the other: `f` gets a block of the elements, the positions
/// of a line in it, and the line's largest element.
fn along_lines(x: &Tensor, axis: usize, f: impl Fn(&mut [f64], Vec<usize>, f64)) -> Vec<f64> {
    let (count, step) = (x.shape()[axis], strides(x.shape())[axis]);
    let mut out = x.data().to_vec();
    for block in out.chunks_mut(count * step) {
        for lane in 0..step {
            let line: Vec<usize> = (lane..count * step).step_by(step).collect();
            let largest = line
                .iter()
                .map(|i| block[*i])
                .fold(f64::NEG_INFINITY, f64::max);
            f(block, line, largest);
        }
    }
    out
}

/// Softmax along an axis, computed from the differences to the largest element.
pub(super) fn softmax(x: &Tensor, axis: usize) -> Vec<f64> {
    along_lines(x, axis, |block, line, largest| {
        let mut sum = 0.0;
        for i in &line {
            block[*i] = libm::exp(block[*i] - largest);
            sum += block[*i];
        }
        line.into_iter().for_each(|i| block[i] /= sum);
    })
}

/// The logarithm of a softmax along an axis: differences to the largest element, less the logarithm of their sum.
pub(super) fn log_softmax(x: &Tensor, axis: usize) -> Vec<f64> {
    along_lines(x, axis, |block, line, largest| {
        let sum: f64 = line.iter().map(|i| libm::exp(block[*i] - largest)).sum();
        let shift = largest + libm::log(sum);
        line.into_iter().for_each(|i| block[i] -= shift);
    })
}
