//! Reshape: the same elements, row by row, in another shape. A 0 copies the size (unless `allowzero`), one
//! -1 takes what is left.
//!
//! The target is a constant. Opsets: 5 has it as an input; 14 adds `allowzero`; later ones add types. The
//! form before 5, an attribute `shape`, is read too, since some exporters still write it.

use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::MAX_RANK;
use crate::onnx::error::Refusal;
use cipherloom_ir::value::element_count;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let target = match call.ints("shape")? {
        Some(shape) => {
            call.arity(1, 1)?;
            shape
        }
        None => {
            call.arity(2, 2)?;
            call.clear(1, "target shape")?.ints()?
        }
    };
    let allow_zero = call.opset >= 14 && call.flag("allowzero", false)?;
    let x = call.value(0)?;
    let shape = resolve(x.shape(), &target, allow_zero)?;
    Ok(vec![match x {
        Value::Encrypted(x) => Value::Encrypted(call.reshape(&x, &shape)?),
        Value::Clear(x) => Value::Clear(x.reshaped(&shape)?),
    }])
}

fn resolve(from: &[usize], target: &[i64], allow_zero: bool) -> Result<Vec<usize>, Refusal> {
    let misfit = || {
        Refusal::new(format!(
            "{from:?} does not have as many elements as {target:?}"
        ))
    };
    if target.len() > MAX_RANK {
        return Err(format!("a target of {} axes is not supported", target.len()).into());
    }
    let mut shape = vec![];
    let mut open = None;
    for (axis, size) in target.iter().enumerate() {
        shape.push(match *size {
            -1 if open.is_some() => return Err(format!("{target:?} has two sizes of -1").into()),
            -1 => {
                open = Some(axis);
                1
            }
            0 if allow_zero => 0,
            0 => *from
                .get(axis)
                .ok_or_else(|| format!("{target:?} copies a size that {from:?} does not have"))?,
            size => usize::try_from(size).map_err(|_| format!("{target:?} has a negative size"))?,
        });
    }
    let count = element_count(from).ok_or_else(misfit)?;
    if let Some(axis) = open {
        let rest = element_count(&shape)
            .filter(|r| *r > 0 && count % r == 0)
            .ok_or_else(misfit)?;
        shape[axis] = count / rest;
    }
    if element_count(&shape) == Some(count) {
        Ok(shape)
    } else {
        Err(misfit())
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn targets_resolve_as_onnx_says() {
        assert_eq!(resolve(&[2, 3, 4], &[0, -1], false).unwrap(), [2, 12]);
        assert_eq!(resolve(&[2, 3, 4], &[-1], false).unwrap(), [24]);
        assert_eq!(resolve(&[0, 3], &[3, 0], true).unwrap(), [3, 0]);
        for bad in [
            &[5, -1][..],
            &[-1, -1],
            &[24, 0, 0, 0],
            &[-2, 12],
            &[i64::MAX, i64::MAX],
            &[23],
        ] {
            assert!(resolve(&[2, 3, 4], bad, false).is_err(), "{bad:?}");
        }
    }
}
