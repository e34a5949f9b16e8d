//! Slice: elements `start`, `start + step`, .. before `end` along some axes.
//!
//! Opsets: 1 has starts, ends and axes as attributes; 10 has them as inputs and adds `steps`; 11 allows
//! negative axes. Starts and ends may count from the end and are clamped. All but the data are constants.

use crate::onnx::call::{Call, Outputs, axis};
use crate::onnx::selection::{Picks, Selection, whole};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let (starts, ends, axes, steps) = if call.opset < 10 {
        call.arity(1, 1)?;
        let starts = call.ints("starts")?.ok_or("starts are missing")?;
        (
            starts,
            call.ints("ends")?.ok_or("ends are missing")?,
            call.ints("axes")?,
            None,
        )
    } else {
        call.arity(3, 5)?;
        (
            call.clear(1, "list of starts")?.ints()?,
            call.clear(2, "list of ends")?.ints()?,
            call.optional_ints(3, "list of axes")?,
            call.optional_ints(4, "list of steps")?,
        )
    };
    let x = call.value(0)?;
    let count = starts.len();
    let axes = axes.unwrap_or_else(|| (0..count as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; count]);
    if ends.len() != count || axes.len() != count || steps.len() != count {
        return Err("starts, ends, axes and steps differ in number".into());
    }
    let mut picks: Vec<Picks> = x.shape().iter().map(|size| whole(*size)).collect();
    for (((start, end), at), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let at = axis(*at, picks.len())?;
        picks[at] = positions(x.shape()[at], *start, *end, *step)?;
    }
    let selection = Selection::along_axes(x.shape(), &picks)?;
    Ok(vec![call.take(&x, selection)?])
}

/// The positions that a slice of an axis of the given size takes.
fn positions(size: usize, start: i64, end: i64, step: i64) -> Result<Picks, String> {
    let size = size as i64;
    if step == 0 || step == i64::MIN {
        return Err(format!("a step is {step}"));
    }
    if size == 0 {
        return Ok(vec![]);
    }
    let from_start = |i: i64| if i < 0 { i.saturating_add(size) } else { i };
    let (start, end) = (from_start(start), from_start(end));
    // Backwards, the last element is the first one taken, and -1 stands for "before the first".
    Ok(if step > 0 {
        let span = start.clamp(0, size)..end.clamp(0, size);
        span.step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .collect()
    } else {
        let span = end.clamp(-1, size - 1) + 1..=start.clamp(0, size - 1);
        span.rev()
            .step_by(usize::try_from(-step).unwrap_or(usize::MAX))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn slices_follow_numpy() {
        assert_eq!(positions(5, 1, i64::MAX, 1).unwrap(), [1, 2, 3, 4]);
        assert_eq!(positions(5, -2, 100, 1).unwrap(), [3, 4]);
        assert_eq!(positions(5, 0, -1, 2).unwrap(), [0, 2]);
        assert_eq!(positions(5, -1, i64::MIN + 1, -1).unwrap(), [4, 3, 2, 1, 0]);
        assert_eq!(positions(5, 3, 0, -2).unwrap(), [3, 1]);
        assert_eq!(positions(5, 10, -10, -3).unwrap(), [4, 1]);
        assert!(positions(5, 3, 3, 1).unwrap().is_empty());
        assert!(positions(5, 1, 4, -1).unwrap().is_empty());
        assert!(positions(0, 0, 4, 1).unwrap().is_empty());
        assert_eq!(positions(5, 4, -1, i64::MAX).unwrap(), [] as [i64; 0]);
        assert_eq!(positions(5, 2, 5, i64::MAX).unwrap(), [2]);
        assert!(positions(5, 0, 5, 0).is_err());
    }
}
