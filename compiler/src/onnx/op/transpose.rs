//! Transpose: axis `i` of the result is axis `perm[i]` of the operand; by default the axes are reversed.
//!
//! Opsets: 1, later ones add types.

use crate::onnx::call::{Call, Outputs, Value};

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let x = call.value(0)?;
    let rank = x.shape().len();
    let perm: Vec<usize> = match call.sizes("perm", rank, 0)? {
        Some(perm) => perm,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted.iter().enumerate().any(|(i, p)| i != *p) {
        return Err(format!("{perm:?} is no permutation of {rank} axes").into());
    }
    Ok(vec![match x {
        Value::Encrypted(x) => Value::Encrypted(call.transpose(&x, &perm)?),
        Value::Clear(x) => Value::Clear(x.transposed(&perm)?),
    }])
}
