//! GatherElements: `y[i0, .., iN] = x[i0, .., indices[i0, .., iN], .., iN]`, the index standing at `axis`.
//! Indices are constants.
//!
//! Opsets: 11, 13 (types).

use crate::broadcast::for_each_index;
use crate::onnx::call::{Call, Outputs, axis};
use crate::onnx::clear::computed_count;
use crate::onnx::selection::{Selection, resolved};
use cipherloom_ir::value::strides;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let indices = call.clear(1, "list of indices")?;
    let x = call.value(0)?;
    let from = x.shape().to_vec();
    let at = axis(call.int("axis", 0)?, from.len())?;
    let picks = resolved(&indices.ints()?, from[at])?;
    let index = positions(&from, indices.shape(), at, &picks)?;
    let selection = Selection::new(indices.shape(), index)?;
    Ok(vec![call.take(&x, selection)?])
}

/// The positions of the elements that `picks`, of shape `shape`, name along axis `at` of a value of shape `from`.
pub(super) fn positions(
    from: &[usize],
    shape: &[usize],
    at: usize,
    picks: &[i64],
) -> Result<Vec<i64>, String> {
    let fits = shape.len() == from.len()
        && shape
            .iter()
            .zip(from)
            .enumerate()
            .all(|(axis, (s, f))| axis == at || s <= f);
    if !fits {
        return Err(format!("indices of shape {shape:?} do not fit {from:?}"));
    }
    let steps = strides(from);
    let mut index = Vec::with_capacity(computed_count(shape)?);
    let mut picked = picks.iter();
    for_each_index(shape, |place| {
        let others: usize = place
            .iter()
            .zip(&steps)
            .enumerate()
            .filter(|(axis, _)| *axis != at)
            .map(|(_, (i, s))| i * s)
            .sum();
        let along = picked.next().copied().unwrap_or(0);
        index.push(others as i64 + along * steps[at] as i64);
    });
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn elements_are_named_one_by_one() {
        // onnx: test_gather_elements_1: x [[1,2,3],[4,5,6],[7,8,9]], indices [[1,2,0],[2,0,0]], axis 0.
        let index = positions(&[3, 3], &[2, 3], 0, &[1, 2, 0, 2, 0, 0]).unwrap();
        assert_eq!(index, [3, 7, 2, 6, 1, 2]);
        // test_gather_elements_0: x [[1,2],[3,4]], indices [[0,0],[1,0]], axis 1.
        assert_eq!(
            positions(&[2, 2], &[2, 2], 1, &[0, 0, 1, 0]).unwrap(),
            [0, 0, 3, 2]
        );
        assert!(positions(&[2, 2], &[3, 2], 1, &[0; 6]).is_err());
        assert!(positions(&[2, 2], &[2], 0, &[0; 2]).is_err());
    }
}
