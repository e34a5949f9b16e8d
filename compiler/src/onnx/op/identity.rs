//! Identity: `y = x`. Opsets: 1, later ones add types.

use crate::onnx::call::{Call, Outputs};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    Ok(vec![call.value(0)?])
}
