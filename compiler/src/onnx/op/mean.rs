//! Mean: `y = (x0 + x1 + ..) / n`, one or more, with NumPy broadcasting. Opsets: 8 (broadcasting), 13 (types).

use super::arithmetic::mul_constant;
use super::sum;
use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use cipherloom_ir::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let share = 1.0 / call.inputs.len().max(1) as f64;
    let mut totals = sum::import(call)?;
    Ok(match totals.pop() {
        Some(Value::Encrypted(total)) if share != 1.0 => {
            let share = Tensor::filled(vec![], share).ok_or("a scalar has one element")?;
            let name = format!("{}.share", call.label());
            let share = Clear::new(&name, Elem::F64, share);
            vec![Value::Encrypted(mul_constant(call, &total, &share)?)]
        }
        Some(Value::Clear(total)) => vec![Value::Clear(Clear {
            elem: total.elem,
            ..total.map(|v| total.elem.round(v * share))
        })],
        other => other.into_iter().collect(),
    })
}
