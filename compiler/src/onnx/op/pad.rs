//! Pad: elements of one value added before and after each axis; floating point.
//!
//! Opsets: 2 has `pads` and `value` as attributes; 11 has them as inputs; 18 adds the input `axes`; 19 adds
//! the mode wrap. Mode constant only; negative pads, which crop, are refused.

use crate::onnx::call::{Call, Outputs, Value, axis};
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let mode = call.string("mode", "constant")?;
    if mode != "constant" {
        return Err(Refusal::new(format!(
            "padding by copies of encrypted elements (mode {mode}) is not supported"
        ))
        .help("pad with a constant (`padding_mode='zeros'`)"));
    }
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
    let axes = call
        .optional_clear(3, "list of axes")?
        .map(|a| a.ints())
        .transpose()?;
    let x = call.encrypted(0)?;
    let rank = x.shape.len();
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
    if pads.iter().any(|p| *p < 0) {
        return Err("negative pads crop an encrypted value, which is not supported yet".into());
    }
    let (mut before, mut after) = (vec![0_usize; rank], vec![0_usize; rank]);
    let (first, last) = pads.split_at(axes.len());
    for (at, (first, last)) in axes.iter().zip(first.iter().zip(last)) {
        if before[*at] != 0 || after[*at] != 0 {
            return Err(format!("axis {at} is padded twice").into());
        }
        before[*at] = *first as usize;
        after[*at] = *last as usize;
    }
    if pads.iter().all(|p| *p == 0) {
        return Ok(vec![Value::Encrypted(x)]);
    }
    Ok(vec![Value::Encrypted(call.emit(
        Op::Pad {
            before,
            after,
            value,
        },
        &[&x],
        &[],
    )?)])
}
