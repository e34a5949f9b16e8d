//! NumPy broadcasting of clear tensors.

use cipherloom_ir::Tensor;
use cipherloom_ir::value::{element_count, strides};

/// The shape of an elementwise operation on two shapes.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let dim = |s: &[usize], axis: usize| {
        let from_start = (axis + s.len()).checked_sub(rank);
        from_start.and_then(|i| s.get(i).copied()).unwrap_or(1)
    };
    (0..rank)
        .map(|axis| match (dim(a, axis), dim(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(format!("the shapes {a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

/// Steps through the elements of `from` along the axes of `to`, to which it broadcasts; 0 where an axis is repeated.
pub(crate) fn broadcast_steps(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(from);
    (0..to.len())
        .map(|axis| match (axis + from.len()).checked_sub(to.len()) {
            Some(i) if from.get(i).is_some_and(|d| *d != 1) => own.get(i).copied().unwrap_or(0),
            _ => 0,
        })
        .collect()
}

/// Calls `f` with every index of a shape, in row-major order.
pub(crate) fn for_each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        f(&index);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// `f` of both tensors elementwise; `None` where they do not broadcast.
pub(crate) fn zip(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Option<Tensor> {
    let shape = broadcast(a.shape(), b.shape()).ok()?;
    let mut data = Vec::with_capacity(element_count(&shape)?);
    let (steps_a, steps_b) = (
        broadcast_steps(a.shape(), &shape),
        broadcast_steps(b.shape(), &shape),
    );
    let at = |steps: &[usize], index: &[usize]| -> usize {
        index.iter().zip(steps).map(|(i, s)| i * s).sum()
    };
    for_each_index(&shape, |index| {
        data.push(f(
            a.data()[at(&steps_a, index)],
            b.data()[at(&steps_b, index)],
        ));
    });
    Tensor::new(shape, data)
}

/// Each element mapped.
pub(crate) fn map(a: &Tensor, f: impl Fn(f64) -> f64) -> Tensor {
    let mut result = a.clone();
    result.data_mut().iter_mut().for_each(|x| *x = f(*x));
    result
}
