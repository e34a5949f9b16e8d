//! GatherND: the last axis of the indices names positions along the first axes of x (behind `batch_dims` axes
//! that both share); what is left of x is copied. Indices are constants.
//!
//! Opsets: 11, 12 adds `batch_dims`, 13 types.

use crate::onnx::call::{Call, Outputs};
use crate::onnx::selection::{Selection, resolved};
use cipherloom_ir::value::strides;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let indices = call.clear(1, "list of indices")?;
    let x = call.value(0)?;
    let shared = if call.opset >= 12 {
        call.int("batch_dims", 0)?
    } else {
        0
    };
    let shared = usize::try_from(shared).map_err(|_| format!("batch_dims is {shared}"))?;
    let (shape, index) = positions(x.shape(), indices.shape(), &indices.ints()?, shared)?;
    let selection = Selection::new(&shape, index)?;
    Ok(vec![call.take(&x, selection)?])
}

/// The result's shape, and the positions of its elements in a value of shape `from`.
fn positions(
    from: &[usize],
    shape: &[usize],
    indices: &[i64],
    shared: usize,
) -> Result<(Vec<usize>, Vec<i64>), String> {
    let misfit =
        || format!("indices of shape {shape:?} do not fit {from:?} with batch_dims {shared}");
    let (depth, places) = shape.split_last().ok_or_else(misfit)?;
    let last = shared.checked_add(*depth).ok_or_else(misfit)?;
    if *depth == 0 || last > from.len() || from.get(..shared) != places.get(..shared) {
        return Err(misfit());
    }
    let steps = strides(from);
    let run: usize = from[last..].iter().product();
    let batches: usize = from[..shared].iter().product();
    let result = [places, &from[last..]].concat();
    let count = super::super::clear::computed_count(&result)?;
    let tuples = indices.len() / depth;
    let mut index = Vec::with_capacity(count);
    for (number, tuple) in indices.chunks_exact(*depth).enumerate() {
        // The tuples of one batch follow each other.
        let batch = number / (tuples / batches.max(1)).max(1);
        let batch_step = if shared == 0 { 0 } else { steps[shared - 1] };
        let mut start = (batch * batch_step) as i64;
        for ((i, size), step) in tuple.iter().zip(&from[shared..]).zip(&steps[shared..]) {
            start += resolved(&[*i], *size)?[0] * *step as i64;
        }
        index.extend((0..run as i64).map(|i| start + i));
    }
    Ok((result, index))
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn tuples_name_elements_or_rows() {
        // The examples of ONNX's specification.
        let by = |from: &[usize], shape: &[usize], indices: &[i64], shared| {
            positions(from, shape, indices, shared).unwrap()
        };
        assert_eq!(
            by(&[2, 2], &[2, 2], &[0, 0, 1, 1], 0),
            (vec![2], vec![0, 3])
        );
        assert_eq!(
            by(&[2, 2], &[2, 1], &[1, 0], 0),
            (vec![2, 2], vec![2, 3, 0, 1])
        );
        assert_eq!(
            by(&[2, 2, 2], &[2, 1, 2], &[0, 1, 1, 0], 0),
            (vec![2, 1, 2], vec![2, 3, 4, 5])
        );
        assert_eq!(
            by(&[2, 2, 2], &[2, 1], &[1, -2], 1),
            (vec![2, 2], vec![2, 3, 4, 5])
        );
    }

    #[test]
    fn misfits_are_refused() {
        assert!(positions(&[2, 2], &[2, 3], &[0; 6], 0).is_err());
        assert!(positions(&[2, 2], &[3, 1], &[0; 3], 1).is_err());
        assert!(positions(&[2, 2], &[2, 1], &[2, 0], 0).is_err());
        assert!(positions(&[2, 2], &[], &[0], 0).is_err());
        assert!(positions(&[2, 2], &[1, 1], &[0], usize::MAX).is_err());
    }
}
