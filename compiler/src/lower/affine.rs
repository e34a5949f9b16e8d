//! Affine operations of the `tensor` stage as a sparse matrix over elements and a bias.
//!
//! The matrix is exact by construction: its entries are the model's weights, or sums of them where a window
//! meets an element twice. Data movement has one entry per row.

use super::sparse::{RowBuilder, scaled_identity, selection};
use cipherloom_ir::NodeId;
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::tensor::{Conv, Module, Op, Pool, Reduction};
use cipherloom_ir::value::{element_count, strides};

/// `y = matrix x + bias` over elements, row by row.
pub(crate) struct AffineMap {
    /// Rows are elements of the result, columns those of the operand.
    pub(crate) matrix: Matrix,
    /// The summand of each element of the result.
    pub(crate) bias: Vec<f64>,
}

/// For each element of a tensor of shape `out`, the element of a tensor of shape `from` that NumPy's
/// broadcasting puts there; `None` where the shapes do not fit.
pub(crate) fn broadcast(out: &[usize], from: &[usize]) -> Option<Vec<usize>> {
    let lead = out.len().checked_sub(from.len())?;
    let fits = from
        .iter()
        .zip(&out[lead..])
        .all(|(f, o)| f == o || *f == 1);
    if !fits {
        return None;
    }
    let from_strides = strides(from);
    let mut steps = vec![0; out.len()];
    for (axis, dim) in from.iter().enumerate() {
        steps[lead + axis] = if *dim == 1 { 0 } else { from_strides[axis] };
    }
    let mut index = vec![0; out.len()];
    let mut found = Vec::with_capacity(element_count(out)?);
    let mut offset = 0;
    for _ in 0..element_count(out)? {
        found.push(offset);
        for axis in (0..out.len()).rev() {
            index[axis] += 1;
            offset += steps[axis];
            if index[axis] < out[axis] {
                break;
            }
            offset -= steps[axis] * out[axis];
            index[axis] = 0;
        }
    }
    Some(found)
}

/// The affine map of a node, or `None` if it has none (not affine, or shapes that do not fit: the verifier's case).
pub(crate) fn affine_map(module: &Module, id: NodeId) -> Option<AffineMap> {
    let node = module.graph.get(id)?;
    let operand = *module.graph.operands(id).first()?;
    let from = module.graph.get(operand)?.shape.as_slice();
    let (out, cols) = (node.shape.as_slice(), element_count(from)?);
    let count = element_count(out)?;
    let constant = |id| module.tensor(id);
    let unbiased = |matrix: Matrix| {
        Some(AffineMap {
            bias: vec![0.0; matrix.rows],
            matrix,
        })
    };
    match &node.op {
        Op::Conv(conv) => convolution(module, conv, from, out),
        Op::AveragePool(pool) => unbiased(average(pool, from, out)?),
        Op::Gemm { weight, bias } => {
            let weight = constant(*weight)?;
            let &[n, k] = weight.shape() else { return None };
            if from.last() != Some(&k) || n == 0 || count % n != 0 {
                return None;
            }
            let mut rows = RowBuilder::new(cols);
            for r in 0..count {
                for i in 0..k {
                    rows.push(r / n * k + i, weight.data()[r % n * k + i]);
                }
                rows.end_row();
            }
            let bias = match bias {
                None => vec![0.0; count],
                Some(bias) => {
                    let bias = constant(*bias)?;
                    broadcast(out, bias.shape())?
                        .into_iter()
                        .map(|i| bias.data()[i])
                        .collect()
                }
            };
            Some(AffineMap {
                matrix: rows.finish(),
                bias,
            })
        }
        Op::ConstMatMul { weight } => {
            let weight = constant(*weight)?;
            let (left, right) = matmul_indices(weight.shape(), from, out)?;
            let mut rows = RowBuilder::new(cols);
            for (l, r) in left.iter().zip(&right) {
                l.iter()
                    .zip(r)
                    .for_each(|(l, r)| rows.push(*r, weight.data()[*l]));
                rows.end_row();
            }
            unbiased(rows.finish())
        }
        Op::Affine { scale, shift } => {
            let (scale, shift) = (constant(*scale)?, constant(*shift)?);
            let (channels, inner) = (*from.get(1)?, element_count(from.get(2..)?)?);
            if scale.len() != channels || shift.len() != channels {
                return None;
            }
            let channel = |r: usize| r / inner.max(1) % channels.max(1);
            let mut matrix = scaled_identity(count, 1.0);
            matrix.values = (0..count).map(|r| scale.data()[channel(r)]).collect();
            Some(AffineMap {
                matrix,
                bias: (0..count).map(|r| shift.data()[channel(r)]).collect(),
            })
        }
        Op::Reshape => unbiased(scaled_identity(cols, 1.0)),
        Op::Transpose { perm } => {
            let from_strides = strides(from);
            let steps: Vec<usize> = perm
                .iter()
                .map(|a| from_strides.get(*a).copied())
                .collect::<Option<_>>()?;
            let out_strides = strides(out);
            let source = |r: usize| {
                out_strides
                    .iter()
                    .zip(out)
                    .zip(&steps)
                    .map(|((s, d), step)| r / s % d * step)
                    .sum::<usize>()
            };
            unbiased(selection((0..count).map(|r| Some(source(r))), cols))
        }
        Op::Pad { before, value, .. } => {
            let (out_strides, from_strides) = (strides(out), strides(from));
            let source = |r: usize| {
                let mut at = 0;
                for axis in 0..out.len() {
                    let i = (r / out_strides[axis] % out[axis]).checked_sub(*before.get(axis)?)?;
                    at += if i < from[axis] {
                        i * from_strides[axis]
                    } else {
                        return None;
                    };
                }
                Some(at)
            };
            let sources: Vec<Option<usize>> = (0..count).map(source).collect();
            let bias = sources
                .iter()
                .map(|s| if s.is_none() { *value } else { 0.0 })
                .collect();
            Some(AffineMap {
                matrix: selection(sources.into_iter(), cols),
                bias,
            })
        }
        Op::AddConst { value } => {
            let value = constant(*value)?;
            let matrix = selection(broadcast(out, from)?.into_iter().map(Some), cols);
            let bias = broadcast(out, value.shape())?
                .into_iter()
                .map(|i| value.data()[i])
                .collect();
            Some(AffineMap { matrix, bias })
        }
        Op::MulConst { value } => {
            let value = constant(*value)?;
            let mut rows = RowBuilder::new(cols);
            for (from, factor) in broadcast(out, from)?
                .into_iter()
                .zip(broadcast(out, value.shape())?)
            {
                rows.push(from, value.data()[factor]);
                rows.end_row();
            }
            unbiased(rows.finish())
        }
        Op::Take { index } => {
            let index = constant(*index)?.data();
            let source = |i: &f64| (*i >= 0.0).then_some(*i as usize);
            if index.len() != count || index.iter().any(|i| *i >= cols as f64) {
                return None;
            }
            unbiased(selection(index.iter().map(source), cols))
        }
        Op::Reduce { kind, axes } => {
            let joined: usize = axes.iter().filter_map(|a| from.get(*a)).product();
            let factor = match kind {
                Reduction::Sum => 1.0,
                Reduction::Mean => 1.0 / joined as f64,
                Reduction::Max | Reduction::Min | Reduction::Prod => return None,
            };
            // Where each element goes; rows of the matrix are the elements that come there, in order.
            let mut sources = vec![vec![]; count];
            for (element, target) in broadcast(from, out)?.into_iter().enumerate() {
                sources.get_mut(target)?.push(element);
            }
            let mut rows = RowBuilder::new(cols);
            for source in sources {
                source.into_iter().for_each(|e| rows.push(e, factor));
                rows.end_row();
            }
            unbiased(rows.finish())
        }
        _ => None,
    }
}

/// For each element of a matrix product, the elements of both factors whose products are summed.
pub(crate) type ProductTerms = (Vec<Vec<usize>>, Vec<Vec<usize>>);

/// The terms of NumPy's `matmul` of shapes `a` and `b` with result shape `out`.
pub(crate) fn matmul_indices(a: &[usize], b: &[usize], out: &[usize]) -> Option<ProductTerms> {
    // A vector on the left is a row, one on the right a column; the axis is dropped from the result.
    let full = |s: &[usize], left: bool| match (s, left) {
        (&[k], true) => vec![1, k],
        (&[k], false) => vec![k, 1],
        _ => s.to_vec(),
    };
    let (fa, fb) = (full(a, true), full(b, false));
    let (&[.., m, k], &[.., kb, n]) = (fa.as_slice(), fb.as_slice()) else {
        return None;
    };
    if k != kb {
        return None;
    }
    let stack_rank = fa.len().max(fb.len()) - 2;
    let dropped = usize::from(a.len() == 1) + usize::from(b.len() == 1);
    if out.len() + dropped != stack_rank + 2 {
        return None;
    }
    let stack = &out[..stack_rank];
    let (sa, sb) = (
        broadcast(stack, &fa[..fa.len() - 2])?,
        broadcast(stack, &fb[..fb.len() - 2])?,
    );
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (sa, sb) in sa.iter().zip(&sb) {
        for i in 0..m {
            for j in 0..n {
                left.push((0..k).map(|x| (sa * m + i) * k + x).collect());
                right.push((0..k).map(|x| (sb * k + x) * n + j).collect());
            }
        }
    }
    (left.len() == element_count(out)?).then_some((left, right))
}

/// The position of tap `tap` of a window, or `None` outside the tensor.
fn tap(
    out: usize,
    stride: usize,
    tap: usize,
    dilation: usize,
    pad: usize,
    size: usize,
) -> Option<usize> {
    (out * stride + tap * dilation)
        .checked_sub(pad)
        .filter(|at| *at < size)
}

fn convolution(module: &Module, conv: &Conv, from: &[usize], out: &[usize]) -> Option<AffineMap> {
    let weight = module.tensor(conv.weight)?;
    let (&[_, c, h, w], &[n, m, oh, ow]) = (from, out) else {
        return None;
    };
    let &[wm, cg, kh, kw] = weight.shape() else {
        return None;
    };
    let group = conv.group.max(1);
    if wm != m || cg * group != c || m % group != 0 {
        return None;
    }
    let mut rows = RowBuilder::new(element_count(from)?);
    for (b, o, oy, ox) in indices(n, m, oh, ow) {
        let first = o / (m / group) * cg;
        for ky in 0..kh {
            let Some(y) = tap(oy, conv.strides[0], ky, conv.dilations[0], conv.pads[0], h) else {
                continue;
            };
            for kx in 0..kw {
                let Some(x) = tap(ox, conv.strides[1], kx, conv.dilations[1], conv.pads[1], w)
                else {
                    continue;
                };
                for i in 0..cg {
                    let value = weight.data()[((o * cg + i) * kh + ky) * kw + kx];
                    rows.push(((b * c + first + i) * h + y) * w + x, value);
                }
            }
        }
        rows.end_row();
    }
    let bias = match conv.bias {
        None => vec![0.0; n * m * oh * ow],
        Some(bias) => {
            let bias = module.tensor(bias).filter(|t| t.len() == m)?;
            indices(n, m, oh, ow)
                .map(|(_, o, _, _)| bias.data()[o])
                .collect()
        }
    };
    Some(AffineMap {
        matrix: rows.finish(),
        bias,
    })
}

/// All index tuples of a four-dimensional shape, row by row.
fn indices(
    n: usize,
    c: usize,
    h: usize,
    w: usize,
) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..n * c * h * w).map(move |i| (i / (c * h * w), i / (h * w) % c, i / w % h, i % w))
}

fn average(pool: &Pool, from: &[usize], out: &[usize]) -> Option<Matrix> {
    let (&[_, c, h, w], &[n, oc, oh, ow]) = (from, out) else {
        return None;
    };
    if oc != c {
        return None;
    }
    let mut rows = RowBuilder::new(element_count(from)?);
    for (b, o, oy, ox) in indices(n, c, oh, ow) {
        let window = |out: usize, axis: usize, size: usize| {
            let taps = (0..pool.kernel[axis])
                .filter_map(|k| tap(out, pool.strides[axis], k, 1, pool.pads[axis], size))
                .collect::<Vec<_>>();
            // A window that `ceil_mode` lets hang over the padding's end counts only up to that end.
            let end = size + pool.pads[axis] + pool.pads[axis + 2];
            let padded = pool.kernel[axis].min(end.saturating_sub(out * pool.strides[axis]));
            (taps, padded)
        };
        let ((ys, py), (xs, px)) = (window(oy, 0, h), window(ox, 1, w));
        let divisor = if pool.count_include_pad {
            py * px
        } else {
            ys.len() * xs.len()
        };
        for y in &ys {
            for x in &xs {
                rows.push(((b * c + o) * h + y) * w + x, 1.0 / divisor as f64);
            }
        }
        rows.end_row();
    }
    Some(rows.finish())
}
