//! ZipMap: the columns of a matrix, named by the classes. There are no maps here: the matrix itself is the result.
//!
//! Version 1 of `ai.onnx.ml`.

use crate::onnx::call::{Call, Outputs};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    call.ints("classlabels_int64s")?;
    call.strings("classlabels_strings")?;
    Ok(vec![call.value(0)?])
}
