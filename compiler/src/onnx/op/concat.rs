//! Concat: the inputs one behind the other along `axis`. Constants may stand among encrypted values.
//!
//! Opsets: 4, 11 (negative axis), 13 (types).

use super::arithmetic::add_constant;
use crate::onnx::call::{Call, Encrypted, Outputs, Value, axis};
use crate::onnx::clear::{Clear, Elem, computed_count};
use crate::onnx::error::Refusal;
use crate::onnx::selection::{NOTHING, Picks, Selection};
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    let count = call.inputs.len();
    call.arity(1, count.max(1))?;
    if !call.has("axis") {
        return Err("axis is missing".into());
    }
    let at = call.int("axis", 0)?;
    let parts = (0..count)
        .map(|position| call.value(position))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(vec![join(call, &parts, at)?])
}

/// The values one behind the other along an axis that may count from the end.
pub(super) fn join(call: &mut Call<'_>, parts: &[Value], at: i64) -> Result<Value, Refusal> {
    let first = parts.first().ok_or("there is nothing to concatenate")?;
    let at = axis(at, first.shape().len())?;
    let mut shape = first.shape().to_vec();
    shape[at] = 0;
    for part in parts {
        let fits = part.elem() == first.elem()
            && part.shape().len() == shape.len()
            && part
                .shape()
                .iter()
                .zip(&shape)
                .enumerate()
                .all(|(i, (a, b))| i == at || a == b);
        if !fits {
            return Err(format!(
                "{}{:?} and {}{:?} do not fit",
                first.elem(),
                first.shape(),
                part.elem(),
                part.shape()
            )
            .into());
        }
        shape[at] = shape[at]
            .checked_add(part.shape()[at])
            .ok_or("the result's size overflows")?;
    }
    // A part without elements adds nothing.
    let parts: Vec<&Value> = parts.iter().filter(|p| p.shape()[at] != 0).collect();
    let encrypted: Vec<&Encrypted> = parts
        .iter()
        .filter_map(|p| match p {
            Value::Encrypted(x) => Some(x),
            Value::Clear(_) => None,
        })
        .collect();
    let clear: Vec<Option<&Clear>> = parts
        .iter()
        .map(|p| match p {
            Value::Encrypted(_) => None,
            Value::Clear(c) => Some(c),
        })
        .collect();
    let Some(alone) = encrypted.first() else {
        let sizes: Vec<usize> = parts.iter().map(|p| p.shape()[at]).collect();
        let tensor = joined(&shape, at, &clear, &sizes)?;
        let name = call.node.output.first().cloned().unwrap_or_default();
        return Ok(Value::Clear(Clear::new(&name, first.elem(), tensor)));
    };
    let x = match encrypted[..] {
        [_] => (*alone).clone(),
        _ => call.emit(Op::Concat { axis: at }, &encrypted, &[])?,
    };
    if clear.iter().all(Option::is_none) {
        return Ok(Value::Encrypted(x));
    }
    // Zeros in the constants' places, to which the constants are added.
    let sizes: Vec<usize> = parts.iter().map(|p| p.shape()[at]).collect();
    let mut picks = Picks::new();
    let mut next = 0;
    for (size, constant) in sizes.iter().zip(&clear) {
        for _ in 0..*size {
            picks.push(if constant.is_some() { NOTHING } else { next });
            next += i64::from(constant.is_none());
        }
    }
    let spread = Selection::along_axis(&x.shape, at, picks)?;
    let spread = call.take_encrypted(&x, spread)?;
    if clear
        .iter()
        .flatten()
        .all(|c| c.data().iter().all(|v| *v == 0.0))
    {
        return Ok(Value::Encrypted(spread));
    }
    let constants = joined(&shape, at, &clear, &sizes)?;
    let name = format!("{}.constants", call.label());
    let constants = Clear::new(&name, Elem::F64, constants);
    Ok(Value::Encrypted(add_constant(call, &spread, &constants)?))
}

/// Constants one behind the other, zeros in the place of the others.
fn joined(
    shape: &[usize],
    at: usize,
    parts: &[Option<&Clear>],
    sizes: &[usize],
) -> Result<Tensor, Refusal> {
    let mut data = Vec::with_capacity(computed_count(shape)?);
    let outer: usize = shape[..at].iter().product();
    let inner: usize = shape[at + 1..].iter().product();
    for row in 0..outer {
        for (part, size) in parts.iter().zip(sizes) {
            let run = size * inner;
            match part {
                Some(part) => data.extend(part.data().iter().skip(row * run).take(run)),
                None => data.extend(std::iter::repeat_n(0.0, run)),
            }
        }
    }
    Tensor::new(shape.to_vec(), data).ok_or_else(|| "the parts do not fill the result".into())
}
