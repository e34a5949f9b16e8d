//! Split: parts of x one behind the other along `axis`, one for each output.
//!
//! The sizes are those of `split`, or all the same. Opsets: 2 has `split` as an attribute, 11 allows a negative
//! axis, 13 has it as an input, 18 adds `num_outputs` (the last part may then be smaller).

use crate::onnx::call::{Call, Outputs, axis};
use crate::onnx::selection::Selection;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, if call.opset < 13 { 1 } else { 2 })?;
    let stated = if call.opset < 13 {
        call.ints("split")?
    } else {
        call.optional_ints(1, "list of sizes")?
    };
    let outputs = call.node.output.len();
    if call.opset >= 18 && call.has("num_outputs") {
        let count = call.int("num_outputs", 0)?;
        if usize::try_from(count) != Ok(outputs) {
            return Err(format!("num_outputs is {count} for {outputs} outputs").into());
        }
    }
    let x = call.value(0)?;
    let at = axis(call.int("axis", 0)?, x.shape().len())?;
    let sizes = sizes(x.shape()[at], outputs, stated.as_deref(), call.opset >= 18)?;
    let mut start = 0;
    let mut parts = vec![];
    for size in sizes {
        let picks = (start..start + size as i64).collect();
        start += size as i64;
        let selection = Selection::along_axis(x.shape(), at, picks)?;
        parts.push(call.take(&x, selection)?);
    }
    Ok(parts)
}

/// The parts' sizes.
fn sizes(
    size: usize,
    parts: usize,
    stated: Option<&[i64]>,
    uneven: bool,
) -> Result<Vec<usize>, String> {
    if let Some(stated) = stated {
        let sizes: Option<Vec<usize>> = stated.iter().map(|s| usize::try_from(*s).ok()).collect();
        let sizes = sizes.ok_or("a part has a negative size")?;
        let sum = sizes.iter().try_fold(0_usize, |sum, s| sum.checked_add(*s));
        if sizes.len() != parts || sum != Some(size) {
            return Err(format!(
                "sizes {stated:?} do not split {size} elements into {parts} parts"
            ));
        }
        return Ok(sizes);
    }
    if parts == 0 || (!uneven && !size.is_multiple_of(parts)) {
        return Err(format!(
            "{size} elements do not split into {parts} equal parts"
        ));
    }
    let each = size.div_ceil(parts);
    let sizes = (0..parts).map(|i| size.saturating_sub(i * each).min(each));
    Ok(sizes.collect())
}

#[cfg(test)]
mod tests {
    use super::sizes;

    #[test]
    fn parts_fill_the_axis() {
        assert_eq!(sizes(6, 3, None, false).unwrap(), [2, 2, 2]);
        assert_eq!(sizes(7, 3, None, true).unwrap(), [3, 3, 1]);
        assert_eq!(sizes(6, 2, Some(&[5, 1]), false).unwrap(), [5, 1]);
        for (parts, stated) in [(2, &[5, 2][..]), (2, &[7, -1]), (3, &[3, 3])] {
            assert!(sizes(6, parts, Some(stated), true).is_err(), "{stated:?}");
        }
        assert!(sizes(7, 3, None, false).is_err() && sizes(7, 0, None, true).is_err());
    }
}
