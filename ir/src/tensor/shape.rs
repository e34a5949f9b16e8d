//! Shape inference: NumPy broadcasting and ONNX window arithmetic, checked for overflow.

use super::{ConstId, Conv, MaxPool, Module, Op, Pool};
use crate::value::{Range, Tensor, element_count};

/// The largest number of elements of a value; 2 GiB of `f64`.
pub const MAX_ELEMENTS: usize = 1 << 28;
/// The largest number of axes.
pub const MAX_RANK: usize = 16;

/// The shape that an operation yields, or why it cannot be applied. `Reshape` and `Input` need theirs in `declared`.
///
/// # Errors
/// A sentence: the wrong number of operands, a missing constant, shapes that do not fit, an attribute out of its
/// bounds, a result without elements or with more than [`MAX_ELEMENTS`].
pub fn infer_shape(
    module: &Module,
    op: &Op,
    operands: &[&[usize]],
    declared: &[usize],
) -> Result<Vec<usize>, String> {
    if !op.takes(operands.len()) {
        let least = if op.takes(op.arity() + 1) {
            "at least "
        } else {
            ""
        };
        return Err(format!(
            "{} takes {least}{} operands, not {}",
            op.name(),
            op.arity(),
            operands.len()
        ));
    }
    for operand in operands {
        bounded(operand).map_err(|e| format!("operand: {e}"))?;
    }
    let tensor_of = |id: ConstId| {
        let constant = module
            .constant(id)
            .ok_or_else(|| format!("constant {} does not exist", id.0))?;
        bounded(constant.tensor.shape())
            .map_err(|e| format!("constant @{}: {e}", constant.name))?;
        Ok::<&Tensor, String>(&constant.tensor)
    };
    let shape_of = |id: ConstId| Ok::<&[usize], String>(tensor_of(id)?.shape());
    let x = operands.first().copied().unwrap_or_default();
    let y = operands.get(1).copied().unwrap_or_default();
    let within = |axis: usize| {
        if axis < x.len() {
            return Ok(());
        }
        Err(format!("axis {axis} of {} axes", x.len()))
    };
    let result = match op {
        Op::Input { .. } => declared.to_vec(),
        Op::Conv(conv) => {
            let bias = conv.bias.map(shape_of).transpose()?;
            conv_shape(conv, x, shape_of(conv.weight)?, bias)?
        }
        Op::Gemm { weight, bias } => {
            let &[out, inner] = shape_of(*weight)? else {
                return Err("the weight is not a matrix".into());
            };
            let Some((last, front)) = x.split_last() else {
                return Err("the operand has no axis".into());
            };
            if *last != inner {
                return Err(format!(
                    "the weight has {inner} columns, the operand's last axis {last}"
                ));
            }
            let mut result = front.to_vec();
            result.push(out);
            if let Some(bias) = bias {
                broadcast_onto(shape_of(*bias)?, &result).map_err(|e| format!("bias: {e}"))?;
            }
            result
        }
        Op::ConstMatMul { weight } => matmul_shape(shape_of(*weight)?, x)?,
        Op::MatMul => matmul_shape(x, y)?,
        Op::Affine { scale, shift } => {
            let channels = *x.get(1).ok_or("the operand has no channel axis")?;
            for (name, id) in [("scale", scale), ("shift", shift)] {
                let shape = shape_of(*id)?;
                if shape != [channels] {
                    return Err(format!(
                        "{name} has shape {shape:?}, the operand {channels} channels"
                    ));
                }
            }
            x.to_vec()
        }
        Op::AveragePool(pool) => pool_shape(pool, x)?,
        Op::Pad {
            before,
            after,
            value,
        } => {
            if before.len() != x.len() || after.len() != x.len() {
                return Err(format!(
                    "{} and {} paddings for {} axes",
                    before.len(),
                    after.len(),
                    x.len()
                ));
            }
            if !value.is_finite() {
                return Err("the padding's value is not finite".into());
            }
            let padded =
                |((d, b), a): ((&usize, &usize), &usize)| d.checked_add(*b)?.checked_add(*a);
            let padded: Option<Vec<_>> = x.iter().zip(before).zip(after).map(padded).collect();
            padded.ok_or("the padded shape overflows")?
        }
        Op::Reshape => {
            if element_count(x) != element_count(declared) {
                return Err(format!(
                    "{x:?} does not have as many elements as {declared:?}"
                ));
            }
            declared.to_vec()
        }
        Op::Transpose { perm } => {
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if sorted.len() != x.len() || sorted.iter().enumerate().any(|(i, p)| i != *p) {
                return Err(format!("{perm:?} is no permutation of {} axes", x.len()));
            }
            perm.iter().filter_map(|p| x.get(*p).copied()).collect()
        }
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Max | Op::Min | Op::Compare(_) => {
            broadcast(x, y)?
        }
        Op::Where => broadcast(
            x,
            &broadcast(y, operands.get(2).copied().unwrap_or_default())?,
        )?,
        Op::AddConst { value } | Op::MulConst { value } => broadcast(x, shape_of(*value)?)?,
        Op::Power { exponent } => {
            if *exponent == 0 {
                return Err("the exponent is 0".into());
            }
            x.to_vec()
        }
        Op::Polynomial { coefficients } => {
            if coefficients.is_empty() || coefficients.iter().any(|c| !c.is_finite()) {
                return Err("the polynomial has no coefficient, or one that is not finite".into());
            }
            x.to_vec()
        }
        Op::Function(function) => {
            function.check()?;
            x.to_vec()
        }
        Op::Approximation {
            function,
            domain,
            coefficients,
        } => {
            function.check()?;
            if Range::new(domain.lo, domain.hi).is_none_or(|d| d.lo == d.hi) {
                return Err(format!("the domain {domain} is empty or not finite"));
            }
            if coefficients.is_empty() || coefficients.iter().any(|c| !c.is_finite()) {
                return Err("the polynomial has no coefficient, or one that is not finite".into());
            }
            x.to_vec()
        }
        Op::Softmax { axis } | Op::LogSoftmax { axis } => {
            within(*axis)?;
            x.to_vec()
        }
        Op::Concat { axis } => {
            within(*axis)?;
            concat_shape(*axis, operands)?
        }
        Op::Take { index } => {
            let index = tensor_of(*index)?;
            let count = element_count(x).unwrap_or(0) as f64;
            let fits = |i: &f64| i.fract() == 0.0 && -1.0 <= *i && *i < count;
            if let Some(at) = index.data().iter().position(|i| !fits(i)) {
                let found = index.data().get(at).copied().unwrap_or(f64::NAN);
                return Err(format!(
                    "index {at} is {found}, which is no element of {x:?}"
                ));
            }
            index.shape().to_vec()
        }
        Op::Reduce { axes, .. } => {
            if axes.is_empty() || !axes.is_sorted_by(|a, b| a < b) {
                return Err(format!(
                    "the axes {axes:?} are not one or more in rising order"
                ));
            }
            axes.iter().try_for_each(|a| within(*a))?;
            let size = |(axis, size): (usize, &usize)| if axes.contains(&axis) { 1 } else { *size };
            x.iter().enumerate().map(size).collect()
        }
        Op::MaxPool(pool) => max_pool_shape(pool, x)?,
        Op::ArgMax { axis, .. } => {
            within(*axis)?;
            let size = |(i, size): (usize, &usize)| if i == *axis { 1 } else { *size };
            x.iter().enumerate().map(size).collect()
        }
        Op::TopK { axis, k, .. } => {
            within(*axis)?;
            let mut result = x.to_vec();
            if let Some(size) = result.get_mut(*axis) {
                if *k > *size {
                    return Err(format!("{k} of {size} elements along axis {axis}"));
                }
                *size = *k;
            }
            result
        }
        Op::Lookup { table } => {
            let table = shape_of(*table)?;
            if table.len() != 1 {
                return Err(format!("the table of shape {table:?} is no vector"));
            }
            x.to_vec()
        }
    };
    bounded(&result)?;
    Ok(result)
}

fn bounded(shape: &[usize]) -> Result<(), String> {
    if shape.len() > MAX_RANK {
        return Err(format!("{} axes are more than {MAX_RANK}", shape.len()));
    }
    match element_count(shape) {
        Some(0) => Err(format!("shape {shape:?} has no element")),
        Some(count) if count <= MAX_ELEMENTS => Ok(()),
        _ => Err(format!(
            "shape {shape:?} has more than {MAX_ELEMENTS} elements"
        )),
    }
}

/// The common shape of two operands by NumPy's rules.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| {
        (axis + shape.len())
            .checked_sub(rank)
            .and_then(|i| shape.get(i).copied())
            .unwrap_or(1)
    };
    (0..rank)
        .map(|axis| match (dim(a, axis), dim(b, axis)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(format!("{a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

fn broadcast_onto(from: &[usize], onto: &[usize]) -> Result<(), String> {
    if broadcast(from, onto)? == onto {
        Ok(())
    } else {
        Err(format!("{from:?} does not broadcast to {onto:?}"))
    }
}

/// The shape of a product of two stacks of matrices by NumPy's rules; a vector counts as a row on the left, as a
/// column on the right, and that axis is dropped from the result.
fn matmul_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let misfit = || format!("{a:?} times {b:?} has no product");
    let (stack_a, rows, inner_a) = match a {
        [stack @ .., rows, inner] => (stack, Some(*rows), *inner),
        [inner] => (&[][..], None, *inner),
        [] => return Err(misfit()),
    };
    let (stack_b, inner_b, cols) = match b {
        [stack @ .., inner, cols] => (stack, *inner, Some(*cols)),
        [inner] => (&[][..], *inner, None),
        [] => return Err(misfit()),
    };
    if inner_a != inner_b {
        return Err(misfit());
    }
    let mut result = broadcast(stack_a, stack_b)?;
    result.extend(rows);
    result.extend(cols);
    Ok(result)
}

fn conv_shape(
    conv: &Conv,
    x: &[usize],
    weight: &[usize],
    bias: Option<&[usize]>,
) -> Result<Vec<usize>, String> {
    let &[n, c, h, w] = x else {
        return Err(format!("the operand {x:?} is not [N, C, H, W]"));
    };
    let &[m, per_group, kh, kw] = weight else {
        return Err(format!("the weight {weight:?} is not [M, C/group, KH, KW]"));
    };
    if conv.group == 0 || per_group.checked_mul(conv.group) != Some(c) || m % conv.group != 0 {
        return Err(format!(
            "weight {weight:?} and {} groups do not fit {c} channels",
            conv.group
        ));
    }
    if let Some(bias) = bias.filter(|b| *b != [m]) {
        return Err(format!("the bias has shape {bias:?} for {m} channels"));
    }
    let window = |axis: usize, size, kernel| Window {
        size,
        kernel,
        stride: conv.strides[axis],
        dilation: conv.dilations[axis],
        before: conv.pads[axis],
        after: conv.pads[axis + 2],
    };
    Ok(vec![
        n,
        m,
        window(0, h, kh).count(false)?,
        window(1, w, kw).count(false)?,
    ])
}

fn pool_shape(pool: &Pool, x: &[usize]) -> Result<Vec<usize>, String> {
    let &[n, c, h, w] = x else {
        return Err(format!("the operand {x:?} is not [N, C, H, W]"));
    };
    let count = |axis: usize, size: usize| {
        let (kernel, before, after) = (pool.kernel[axis], pool.pads[axis], pool.pads[axis + 2]);
        // Every window must hold an element: the divisor may not become zero.
        if before >= kernel || after >= kernel {
            return Err(format!(
                "padding {before}, {after} is not smaller than the window {kernel}"
            ));
        }
        Window {
            size,
            kernel,
            stride: pool.strides[axis],
            dilation: 1,
            before,
            after,
        }
        .count(pool.ceil_mode)
    };
    Ok(vec![n, c, count(0, h)?, count(1, w)?])
}

fn max_pool_shape(pool: &MaxPool, x: &[usize]) -> Result<Vec<usize>, String> {
    let &[n, c, h, w] = x else {
        return Err(format!("the operand {x:?} is not [N, C, H, W]"));
    };
    let window = |axis: usize, size: usize| Window {
        size,
        kernel: pool.kernel[axis],
        stride: pool.strides[axis],
        dilation: pool.dilations[axis],
        before: pool.pads[axis],
        after: pool.pads[axis + 2],
    };
    let windows = [window(0, h), window(1, w)];
    let shape = vec![
        n,
        c,
        windows[0].count(pool.ceil_mode)?,
        windows[1].count(pool.ceil_mode)?,
    ];
    bounded(&shape)?;
    // Padding never wins, so every window must hold an element.
    for (window, count) in windows.iter().zip(&shape[2..]) {
        if let Some(at) = (0..*count).find(|at| !window.holds_an_element(*at)) {
            return Err(format!("window {at} lies in the padding alone"));
        }
    }
    Ok(shape)
}

/// The operands' sizes add up along the axis and are equal along all others.
fn concat_shape(axis: usize, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
    let mut result = operands.first().map(|s| s.to_vec()).unwrap_or_default();
    for other in operands.iter().skip(1) {
        let fits = other.len() == result.len()
            && (0..result.len()).all(|i| i == axis || other[i] == result[i]);
        if !fits {
            return Err(format!(
                "{other:?} does not continue {result:?} along axis {axis}"
            ));
        }
        result[axis] = result[axis]
            .checked_add(other[axis])
            .ok_or("the joined shape overflows")?;
    }
    Ok(result)
}

/// Windows along one axis.
struct Window {
    size: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
}

impl Window {
    /// Whether a tap of the window at a position of [`Window::count`] lies in the tensor.
    fn holds_an_element(&self, position: usize) -> bool {
        let start = position.saturating_mul(self.stride);
        let first_tap = self.before.saturating_sub(start).div_ceil(self.dilation);
        let element = first_tap
            .saturating_mul(self.dilation)
            .saturating_add(start)
            .saturating_sub(self.before);
        first_tap < self.kernel && element < self.size
    }

    /// The number of positions: `floor((size + pads - extent) / stride) + 1` (ONNX, Conv and AveragePool); rounded up
    /// with `ceil`, where a last window that would start in the padding behind is left out.
    fn count(&self, ceil: bool) -> Result<usize, String> {
        let Self {
            size,
            kernel,
            stride,
            dilation,
            before,
            after,
        } = *self;
        if kernel == 0 || stride == 0 || dilation == 0 {
            return Err("a kernel, stride or dilation is 0".into());
        }
        let extent = (kernel - 1)
            .checked_mul(dilation)
            .and_then(|e| e.checked_add(1));
        let padded = size.checked_add(before).and_then(|s| s.checked_add(after));
        let (Some(extent), Some(padded)) = (extent, padded) else {
            return Err("the window's arithmetic overflows".into());
        };
        let room = padded
            .checked_sub(extent)
            .ok_or_else(|| format!("a window of {extent} does not fit into {padded} elements"))?;
        if !ceil {
            return Ok(room / stride + 1);
        }
        let count = room.div_ceil(stride) + 1;
        let last_start = (count - 1)
            .checked_mul(stride)
            .ok_or("the window's arithmetic overflows")?;
        Ok(if last_start >= size.saturating_add(before) {
            count - 1
        } else {
            count
        })
    }
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
