//! Range: `start, start + delta, ..` before `limit`; all constants. Opsets: 11.

use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, MAX_COMPUTED};
use cipherloom_ir::Tensor;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(3, 3)?;
    let (start, limit, delta) = (
        call.clear(0, "start")?,
        call.clear(1, "limit")?,
        call.clear(2, "step")?,
    );
    let elem = start.elem;
    if limit.elem != elem || delta.elem != elem {
        return Err("start, limit and step differ in type".into());
    }
    let values = values(start.scalar()?, limit.scalar()?, delta.scalar()?)?;
    let name = call.node.output.first().cloned().unwrap_or_default();
    let values = values.into_iter().map(|v| elem.round(v)).collect();
    Ok(vec![Value::Clear(Clear::new(
        &name,
        elem,
        Tensor::from_vec(values),
    ))])
}

fn values(start: f64, limit: f64, delta: f64) -> Result<Vec<f64>, String> {
    let count = ((limit - start) / delta).ceil();
    // Also refuses a count that is no number.
    if !(f64::MIN..=MAX_COMPUTED as f64).contains(&count)
        || !start.is_finite()
        || !delta.is_finite()
    {
        return Err(format!(
            "a range from {start} to {limit} by {delta} is too long, or endless"
        ));
    }
    Ok((0..count.max(0.0) as usize)
        .map(|i| start + i as f64 * delta)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn ranges_stop_before_the_limit() {
        assert_eq!(values(1.0, 5.0, 2.0).unwrap(), [1.0, 3.0]);
        assert_eq!(values(10.0, 4.0, -2.0).unwrap(), [10.0, 8.0, 6.0]);
        assert!(values(1.0, 0.0, 1.0).unwrap().is_empty());
        for (limit, delta) in [(1e9, 1.0), (1.0, 0.0), (0.0, 0.0), (f64::INFINITY, 1.0)] {
            assert!(values(0.0, limit, delta).is_err(), "{limit} {delta}");
        }
    }
}
