//! The reductions over axes: ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd, ReduceSumSquare (`sum x^2`),
//! ReduceL1 (`sum |x|`), ReduceL2 (`sqrt(sum x^2)`), ReduceLogSum (`log(sum x)`), ReduceLogSumExp (`log(sum exp(x))`).
//!
//! Without axes all are reduced, unless `noop_with_empty_axes`; reduced axes stay with size 1 if `keepdims`.
//! A product is a tree of multiplications. Opsets: 1, 11 (negative axes); the axes become an input in 13 for
//! ReduceSum and in 18 for the others.

use crate::onnx::call::{Call, Encrypted, Outputs, Value, axes};
use crate::onnx::error::Refusal;
use crate::onnx::selection::Selection;
use cipherloom_ir::tensor::{Function, Op, Reduction};

pub(super) fn sum(call: &mut Call<'_>) -> Outputs {
    reduce(call, 13, None, Reduction::Sum, None)
}

pub(super) fn mean(call: &mut Call<'_>) -> Outputs {
    reduce(call, 18, None, Reduction::Mean, None)
}

pub(super) fn max(call: &mut Call<'_>) -> Outputs {
    reduce(call, 18, None, Reduction::Max, None)
}

pub(super) fn min(call: &mut Call<'_>) -> Outputs {
    reduce(call, 18, None, Reduction::Min, None)
}

pub(super) fn prod(call: &mut Call<'_>) -> Outputs {
    reduce(call, 18, None, Reduction::Prod, None)
}

pub(super) fn sum_square(call: &mut Call<'_>) -> Outputs {
    reduce(call, 18, Some(square()), Reduction::Sum, None)
}

pub(super) fn l1(call: &mut Call<'_>) -> Outputs {
    let before = Op::Function(Function::Abs);
    reduce(call, 18, Some(before), Reduction::Sum, None)
}

pub(super) fn l2(call: &mut Call<'_>) -> Outputs {
    reduce(
        call,
        18,
        Some(square()),
        Reduction::Sum,
        Some(Function::Sqrt),
    )
}

pub(super) fn log_sum(call: &mut Call<'_>) -> Outputs {
    reduce(call, 18, None, Reduction::Sum, Some(Function::Log))
}

pub(super) fn log_sum_exp(call: &mut Call<'_>) -> Outputs {
    let before = Op::Function(Function::Exp);
    reduce(call, 18, Some(before), Reduction::Sum, Some(Function::Log))
}

fn square() -> Op {
    Op::Power { exponent: 2 }
}

/// Imports a reduction whose axes are an input since opset `input_since`, of the elements mapped by `before`; its
/// result is mapped by `after`.
fn reduce(
    call: &mut Call<'_>,
    input_since: i64,
    before: Option<Op>,
    kind: Reduction,
    after: Option<Function>,
) -> Outputs {
    let (named, noop) = if call.opset < input_since {
        call.arity(1, 1)?;
        (call.ints("axes")?, false)
    } else {
        call.arity(1, 2)?;
        (
            call.optional_ints(1, "list of axes")?,
            call.flag("noop_with_empty_axes", false)?,
        )
    };
    let keep = call.flag("keepdims", true)?;
    let x = call.encrypted(0)?;
    let rank = x.shape.len();
    let reduced = match named.filter(|n| !n.is_empty()) {
        Some(named) => axes(&named, rank)?,
        None if noop => vec![],
        None => (0..rank).collect(),
    };
    let x = match before {
        Some(before) => call.emit(before, &[&x], &[])?,
        None => x,
    };
    let y = over_axes(call, &x, kind, &reduced, keep)?;
    Ok(vec![Value::Encrypted(match after {
        Some(after) => call.emit(Op::Function(after), &[&y], &[])?,
        None => y,
    })])
}

/// The reduction of the named axes, which stay with size 1 if `keep`.
pub(super) fn over_axes(
    call: &mut Call<'_>,
    x: &Encrypted,
    kind: Reduction,
    reduced: &[usize],
    keep: bool,
) -> Result<Encrypted, Refusal> {
    let mut kept = x.shape.clone();
    let mut count = 1;
    for axis in reduced {
        let size = kept.get_mut(*axis).ok_or("the axis does not exist")?;
        count *= std::mem::replace(size, 1);
    }
    let y = match kind {
        _ if count == 1 => x.clone(),
        Reduction::Prod => product(call, x, reduced, count)?,
        kind => {
            let axes = reduced.to_vec();
            call.emit(Op::Reduce { kind, axes }, &[x], &[])?
        }
    };
    if !keep {
        let mut axis = 0..;
        kept.retain(|_| axis.next().is_none_or(|a| !reduced.contains(&a)));
    }
    call.reshape(&y, &kept)
}

/// The products over some axes of `count` elements together, as a tree.
fn product(
    call: &mut Call<'_>,
    x: &Encrypted,
    reduced: &[usize],
    count: usize,
) -> Result<Encrypted, Refusal> {
    let rank = x.shape.len();
    let others = (0..rank).filter(|a| !reduced.contains(a));
    let perm: Vec<usize> = reduced.iter().copied().chain(others).collect();
    let x = call.transpose(x, &perm)?;
    let row = x.shape.iter().product::<usize>() / count;
    let mut rows = call.reshape(&x, &[count, row])?;
    let mut odd = vec![];
    let mut left = count;
    while left > 1 {
        let half = left / 2;
        let mut part = |from: usize, to: usize| {
            let picks = (from as i64..to as i64).collect();
            let selection = Selection::along_axis(&rows.shape, 0, picks)?;
            call.take_encrypted(&rows, selection)
        };
        let (a, b) = (part(0, half)?, part(half, 2 * half)?);
        if left % 2 == 1 {
            odd.push(part(left - 1, left)?);
        }
        rows = call.emit(Op::Mul, &[&a, &b], &[])?;
        left = half;
    }
    // The rows left over were multiplied less often, the first of them least.
    let mut odd = odd.into_iter();
    if let Some(mut rest) = odd.next() {
        for next in odd {
            rest = call.emit(Op::Mul, &[&rest, &next], &[])?;
        }
        rows = call.emit(Op::Mul, &[&rows, &rest], &[])?;
    }
    Ok(rows)
}
