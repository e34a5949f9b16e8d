//! Pad: elements added before and after each axis, of one value (mode constant), copies of the border (edge),
//! mirrored without the border (reflect), or taken from the other end (wrap). Negative pads crop.
//!
//! Opsets: 2 has `pads` and `value` as attributes; 11 has them as inputs; 18 adds the input `axes`; 19 adds
//! the mode wrap.

use crate::onnx::call::{Call, Outputs, Value, axis};
use crate::onnx::clear::computed_count;
use crate::onnx::selection::{NOTHING, Picks, Selection};
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let mode = call.string("mode", "constant")?;
    let (pads, value) = if call.opset < 11 {
        call.arity(1, 1)?;
        (
            call.ints("pads")?.ok_or("pads are missing")?,
            call.float("value", 0.0)?,
        )
    } else {
        call.arity(2, if call.opset < 18 { 3 } else { 4 })?;
        let value = call
            .optional_clear(2, "padding value")?
            .map_or(Ok(0.0), |v| v.scalar())?;
        (call.clear(1, "list of pads")?.ints()?, value)
    };
    let axes = call.optional_ints(3, "list of axes")?;
    let x = call.value(0)?;
    let rank = x.shape().len();
    let axes = match axes {
        None => (0..rank).collect(),
        Some(axes) => axes
            .iter()
            .map(|a| axis(*a, rank))
            .collect::<Result<Vec<_>, _>>()?,
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("{} pads are given for {} axes", pads.len(), axes.len()).into());
    }
    let mut both = vec![(0_i64, 0_i64); rank];
    let (first, last) = pads.split_at(axes.len());
    for (at, (first, last)) in axes.iter().zip(first.iter().zip(last)) {
        if both[*at] != (0, 0) {
            return Err(format!("axis {at} is padded twice").into());
        }
        both[*at] = (*first, *last);
    }
    // A value is added behind the cropping; copies are taken together with it.
    let constant = mode == "constant";
    let sides = |pads: &(i64, i64)| {
        if constant {
            (pads.0.min(0), pads.1.min(0))
        } else {
            *pads
        }
    };
    let sizes: Option<Vec<usize>> = x
        .shape()
        .iter()
        .zip(&both)
        .map(|(size, pads)| extended(*size, sides(pads)))
        .collect();
    computed_count(&sizes.ok_or("the pads overflow or crop more than there is")?)?;
    let picks: Vec<Picks> = x
        .shape()
        .iter()
        .zip(&both)
        .map(|(size, pads)| positions(&mode, *size, sides(pads)))
        .collect::<Result<_, _>>()?;
    let selection = Selection::along_axes(x.shape(), &picks)?;
    let x = call.take(&x, selection)?;
    if !constant || pads.iter().all(|p| *p <= 0) {
        return Ok(vec![x]);
    }
    let x = match x {
        Value::Encrypted(x) => x,
        Value::Clear(x) => call.lifted(&x)?,
    };
    let before = both.iter().map(|(first, _)| (*first).max(0) as usize);
    let after = both.iter().map(|(_, last)| (*last).max(0) as usize);
    let op = Op::Pad {
        before: before.collect(),
        after: after.collect(),
        value,
    };
    Ok(vec![Value::Encrypted(call.emit(op, &[&x], &[])?)])
}

/// The size of an axis with pads.
fn extended(size: usize, (before, after): (i64, i64)) -> Option<usize> {
    let size = i64::try_from(size).ok()?;
    usize::try_from(size.checked_add(before)?.checked_add(after)?).ok()
}

/// The positions that a padded axis takes.
pub(super) fn positions(mode: &str, size: usize, pads: (i64, i64)) -> Result<Picks, String> {
    let (before, after) = pads;
    let last = size as i64 - 1;
    let outside = before > 0 || after > 0;
    let at: fn(i64, i64) -> i64 = match mode {
        "constant" => |i, last| if (0..=last).contains(&i) { i } else { NOTHING },
        "edge" => |i, last| i.clamp(0, last),
        // Back and forth, with a period of twice the steps between the borders.
        "reflect" => |i, last| match last {
            0 => 0,
            _ => last - (i.rem_euclid(2 * last) - last).abs(),
        },
        "wrap" => |i, last| i.rem_euclid(last + 1),
        other => return Err(format!("mode is {other:?}, which ONNX does not define")),
    };
    if size == 0 && outside && mode != "constant" {
        return Err("an axis without elements has nothing to copy".into());
    }
    Ok((-before..=last + after).map(|i| at(i, last)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_follow_numpy() {
        assert_eq!(positions("edge", 3, (2, 1)).unwrap(), [0, 0, 0, 1, 2, 2]);
        assert_eq!(
            positions("reflect", 3, (4, 3)).unwrap(),
            [0, 1, 2, 1, 0, 1, 2, 1, 0, 1]
        );
        assert_eq!(positions("reflect", 1, (2, 0)).unwrap(), [0, 0, 0]);
        assert_eq!(
            positions("wrap", 3, (2, 4)).unwrap(),
            [1, 2, 0, 1, 2, 0, 1, 2, 0]
        );
        assert_eq!(positions("constant", 4, (-1, -2)).unwrap(), [1]);
        assert_eq!(positions("wrap", 4, (-1, 2)).unwrap(), [1, 2, 3, 0, 1]);
        assert!(positions("sideways", 4, (0, 0)).is_err());
        assert!(positions("edge", 0, (1, 0)).is_err());
        assert_eq!(extended(3, (-2, -2)), None);
        assert_eq!(extended(3, (i64::MAX, i64::MAX)), None);
    }
}
