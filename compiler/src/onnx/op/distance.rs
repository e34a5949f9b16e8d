//! Distances of encrypted rows to constant ones: `y[i, j] = sum over k of (x[i, k] - c[j, k])^2`.
//!
//! | operator | form |
//! |---|---|
//! | Scan (8, 9, 11) | the loop over the rows of a constant that skl2onnx writes for nearest neighbours, and no other: its body hands its state on as it is and yields `ReduceSumSquare(state - row)` or `ReduceSum(Abs(state - row))` over axis 1; the result has a row for each constant row |
//! | com.microsoft.CDist | `metric` sqeuclidean, or euclidean: the roots |

use super::activation::apply;
use super::arithmetic::difference;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::Clear;
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::{Function, Op, Reduction};
use onnx_protobuf::{GraphProto, NodeProto};

/// How the distances of elements are summed.
#[derive(Clone, Copy)]
enum Metric {
    Squares,
    Absolute,
}

pub(super) fn scan(call: &mut Call<'_>) -> Outputs {
    let refused = || {
        Refusal::new(
            "its body is none that computes distances to constant rows, the only loop that is read",
        )
        .help("export with loops unrolled, or with distances as MatMul and Add")
    };
    call.arity(2, 2)?;
    let scanned = call.int("num_scan_inputs", 0)?;
    let plain = [
        "scan_input_axes",
        "scan_input_directions",
        "scan_output_axes",
        "scan_output_directions",
    ];
    for name in plain {
        if call
            .ints(name)?
            .is_some_and(|given| given.iter().any(|i| *i != 0))
        {
            return Err(refused());
        }
    }
    let body = call.graph("body")?.ok_or("it has no body")?;
    let metric = distances_in(body)
        .filter(|_| scanned == 1)
        .ok_or_else(refused)?;
    let x = call.encrypted(0)?;
    let rows = call.clear(1, "list of rows")?;
    let y = distances(call, &x, &rows, metric)?;
    let y = call.transpose(&y, &[1, 0])?;
    Ok([x, y].map(Value::Encrypted).to_vec())
}

pub(super) fn cdist(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let metric = call.string("metric", "sqeuclidean")?;
    let x = call.encrypted(0)?;
    let rows = call.clear(1, "second matrix")?;
    let y = distances(call, &x, &rows, Metric::Squares)?;
    let y = match metric.as_str() {
        "sqeuclidean" => y,
        "euclidean" => apply(call, Function::Sqrt, &y)?,
        other => return Err(format!("the metric {other:?} is not known").into()),
    };
    Ok(vec![Value::Encrypted(y)])
}

/// The distances `[N, rows]`.
fn distances(
    call: &mut Call<'_>,
    x: &Encrypted,
    rows: &Clear,
    metric: Metric,
) -> Result<Encrypted, Refusal> {
    let (&[count, width], &[constants, other]) = (&x.shape[..], rows.shape()) else {
        return Err(format!(
            "distances are those of rows of matrices, not of {:?} and {:?}",
            x.shape,
            rows.shape()
        )
        .into());
    };
    if width != other {
        return Err(format!("rows of {width} and of {other} elements have no distance").into());
    }
    let spread = call.reshape(x, &[count, 1, width])?;
    let apart = difference(call, &Value::Encrypted(spread), &Value::Clear(rows.clone()))?;
    let Value::Encrypted(apart) = apart else {
        return Err("its result depends on no input".into());
    };
    let each = match metric {
        Metric::Squares => call.emit(Op::Power { exponent: 2 }, &[&apart], &[])?,
        Metric::Absolute => apply(call, Function::Abs, &apart)?,
    };
    let op = Op::Reduce {
        kind: Reduction::Sum,
        axes: vec![2],
    };
    let sums = call.emit(op, &[&each], &[])?;
    call.reshape(&sums, &[count, constants])
}

/// What a loop's body sums, if it hands its state on and yields distances of the state's rows to the scanned row.
fn distances_in(body: &GraphProto) -> Option<Metric> {
    let name = |infos: &[onnx_protobuf::ValueInfoProto], i: usize| Some(infos.get(i)?.name.clone());
    let (state, row) = (name(&body.input, 0)?, name(&body.input, 1)?);
    let (next, found) = (name(&body.output, 0)?, name(&body.output, 1)?);
    if (body.input.len(), body.output.len()) != (2, 2) {
        return None;
    }
    let writer = |name: &str| {
        body.node
            .iter()
            .find(|n| n.output.iter().any(|o| o == name))
    };
    let is = |node: &NodeProto, op: &str| node.op_type == op && node.domain.is_empty();
    let handed = writer(&next)?;
    if next != state && !(is(handed, "Identity") && handed.input.first() == Some(&state)) {
        return None;
    }
    let sum = writer(&found)?;
    let summed = writer(sum.input.first()?)?;
    let (metric, apart) = if is(sum, "ReduceSumSquare") {
        (Metric::Squares, summed)
    } else if is(sum, "ReduceSum") && is(summed, "Abs") {
        (Metric::Absolute, writer(summed.input.first()?)?)
    } else {
        return None;
    };
    let pair = [&state, &row];
    let reads: Vec<&String> = apart.input.iter().collect();
    let both = reads == pair || reads == [pair[1], pair[0]];
    let keeps = sum.attribute.iter().find(|a| a.name == "keepdims");
    let fits = is(apart, "Sub") && both && keeps.is_some_and(|a| a.i == 0);
    (fits && axes_of(body, sum)? == [1]).then_some(metric)
}

/// The axes of a reduction: an attribute, or an input that is a constant of the body.
fn axes_of(body: &GraphProto, node: &NodeProto) -> Option<Vec<i64>> {
    if let Some(axes) = node.attribute.iter().find(|a| a.name == "axes") {
        return Some(axes.ints.clone());
    }
    let name = node.input.get(1)?;
    let stored = body.initializer.iter().find(|t| t.name == *name);
    let written = || {
        let constant = body.node.iter().find(|n| n.output.first() == Some(name))?;
        constant
            .attribute
            .iter()
            .find(|a| a.name == "value")?
            .t
            .as_ref()
    };
    let decoded = crate::onnx::tensor::decode(stored.or_else(written)?, None).ok()?;
    decoded.ints().ok()
}
