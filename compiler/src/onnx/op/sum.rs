//! Sum: `y = x0 + x1 + ..`, one or more, with NumPy broadcasting. Opsets: 8 (broadcasting), 13 (types).

use super::arithmetic;
use crate::onnx::call::{Call, Outputs};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let count = call.inputs.len();
    call.arity(1, count.max(1))?;
    let mut total = call.value(0)?;
    for position in 1..count {
        let next = call.value(position)?;
        total = arithmetic::sum(call, &total, &next)?;
    }
    Ok(vec![total])
}
