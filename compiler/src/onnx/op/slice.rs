//! Slice: elements `start`, `start + step`, .. before `end` along some axes. Constants only: encrypted
//! values cannot be cut yet.
//!
//! Opsets: 1 has starts, ends and axes as attributes; 10 has them as inputs and adds `steps`; 11 allows
//! negative axes. Starts and ends may count from the end and are clamped.

use crate::onnx::call::{Call, Outputs, Value, axis};
use crate::onnx::error::Refusal;
use cipherloom_ir::value::strides;

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
        let axes = call
            .optional_clear(3, "list of axes")?
            .map(|a| a.ints())
            .transpose()?;
        let steps = call
            .optional_clear(4, "list of steps")?
            .map(|a| a.ints())
            .transpose()?;
        (
            call.clear(1, "list of starts")?.ints()?,
            call.clear(2, "list of ends")?.ints()?,
            axes,
            steps,
        )
    };
    let x = match call.value(0)? {
        Value::Clear(x) => x,
        Value::Encrypted(_) => {
            return Err(
                Refusal::new("parts of an encrypted value cannot be cut out yet")
                    .help("multiply with a constant selection matrix instead"),
            );
        }
    };
    let count = starts.len();
    let axes = axes.unwrap_or_else(|| (0..count as i64).collect());
    let cuts = steps.unwrap_or_else(|| vec![1; count]);
    if ends.len() != count || axes.len() != count || cuts.len() != count {
        return Err("starts, ends, axes and steps differ in number".into());
    }
    let mut shape = x.shape().to_vec();
    let own = strides(x.shape());
    let mut walk: Vec<(i64, i64)> = vec![(0, 1); shape.len()];
    for (((start, end), at), step) in starts.iter().zip(&ends).zip(&axes).zip(&cuts) {
        let at = axis(*at, shape.len())?;
        let size = x.shape()[at] as i64;
        if *step == 0 || *step == i64::MIN {
            return Err(format!("a step is {step}").into());
        }
        let from_start = |i: i64| if i < 0 { i.saturating_add(size) } else { i };
        // Backwards, the last element is the first one taken, and -1 stands for "before the first".
        let (start, end) = if *step > 0 {
            (
                from_start(*start).clamp(0, size),
                from_start(*end).clamp(0, size),
            )
        } else {
            (
                from_start(*start).clamp(0, size - 1),
                from_start(*end).clamp(-1, size - 1),
            )
        };
        let span = if *step > 0 { end - start } else { start - end };
        let taken = if span <= 0 {
            0
        } else {
            (span as u64).div_ceil(step.unsigned_abs())
        };
        shape[at] = usize::try_from(taken).map_err(|_| "a slice is too long")?;
        walk[at] = (start, *step);
    }
    let result = x.gathered(&shape, |index| {
        let at = |(i, (start, step)): (&usize, &(i64, i64))| (start + *i as i64 * step) as usize;
        index
            .iter()
            .zip(&walk)
            .map(at)
            .zip(&own)
            .map(|(i, s)| i * s)
            .sum()
    })?;
    Ok(vec![Value::Clear(result)])
}
