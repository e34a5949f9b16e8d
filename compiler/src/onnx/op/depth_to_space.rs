//! DepthToSpace: `[N, C, H, W]` as `[N, C / b^2, H b, W b]`, with `b = blocksize`; SpaceToDepth: the way back.
//!
//! The channels count block rows, block columns, then channels (mode DCR; always in SpaceToDepth), or channels
//! first (CRD). Opsets: 1, 11 (`mode`), 13 (types).

use crate::onnx::call::{Call, Outputs};
use crate::onnx::error::Refusal;

fn image(shape: &[usize]) -> Result<[usize; 4], Refusal> {
    shape
        .try_into()
        .map_err(|_| format!("the operand of shape {shape:?} is not [N, C, H, W]").into())
}

fn block(call: &mut Call<'_>) -> Result<usize, Refusal> {
    let size = call.int("blocksize", 0)?;
    let fits = usize::try_from(size)
        .ok()
        .filter(|b| (1..=4096).contains(b));
    fits.ok_or_else(|| format!("blocksize is {size}").into())
}

pub(super) fn depth_to_space(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.value(0)?;
    let [n, c, h, w] = image(x.shape())?;
    let b = block(call)?;
    let mode = if call.opset >= 11 {
        call.string("mode", "DCR")?
    } else {
        "DCR".into()
    };
    if c % (b * b) != 0 {
        return Err(format!("{c} channels do not split into blocks of {b} by {b}").into());
    }
    let less = c / (b * b);
    let (split, perm) = match mode.as_str() {
        "DCR" => ([n, b, b, less, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, less, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        other => return Err(format!("mode is {other:?}, which ONNX does not define").into()),
    };
    let x = call.reshape_value(&x, &split)?;
    let x = call.transpose_value(&x, &perm)?;
    Ok(vec![call.reshape_value(&x, &[n, less, h * b, w * b])?])
}

pub(super) fn space_to_depth(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.value(0)?;
    let [n, c, h, w] = image(x.shape())?;
    let b = block(call)?;
    if h % b != 0 || w % b != 0 {
        return Err(format!("{h} by {w} elements do not split into blocks of {b} by {b}").into());
    }
    let x = call.reshape_value(&x, &[n, c, h / b, b, w / b, b])?;
    let x = call.transpose_value(&x, &[0, 3, 5, 1, 2, 4])?;
    Ok(vec![call.reshape_value(&x, &[n, c * b * b, h / b, w / b])?])
}
