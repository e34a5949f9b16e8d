//! Layers of networks.

use super::window::{conv2d, vector};
use super::{Arguments, Builtin, Lowering, Stop, Value, find, named};
use crate::loom::ast::Span;
use crate::loom::diagnostic::Diagnostic;
use cipherloom_ir::tensor::{ConstId, Op};

pub(super) const ALL: &[Builtin] = &[
    Builtin::new("dense", "x weight bias? activation?", dense),
    Builtin::new(
        "conv",
        "x weight bias? activation? stride? padding? dilation? groups?",
        |l, a| {
            let y = conv2d(l, a)?;
            activated(l, a, y)
        },
    ),
    Builtin::new(
        "batch_norm",
        "x scale shift mean variance epsilon? axis?",
        batch_norm,
    ),
    Builtin::new("activation", "x kind", |l, a| {
        let (x, _) = l.numbers(a, "x")?;
        apply_function(l, a, "kind", x)
    }),
    Builtin::new("residual", "x f", residual),
];

/// `x weight^T + bias`: the weight is `[out, in]`, as frameworks store it.
fn dense(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, _) = l.numbers(args, "x")?;
    let weight = l.needed_constant(args, "weight")?;
    let bias = l.constant_argument(args, "bias")?;
    let mut constants = vec![named(weight, "weight")];
    constants.extend(bias.map(|b| named(b, "bias")));
    let op = Op::Gemm {
        weight: ConstId(0),
        bias: (constants.len() > 1).then_some(ConstId(1)),
    };
    let y = l.apply(args.span, &[x], op, &constants, &[])?;
    activated(l, args, y)
}

fn activated(l: &mut Lowering<'_>, args: &Arguments, y: Value) -> Result<Value, Stop> {
    if args.get("activation").is_none() {
        return Ok(y);
    }
    apply_function(l, args, "activation", y)
}

/// A function given by itself or by its name.
fn apply_function(
    l: &mut Lowering<'_>,
    args: &Arguments,
    parameter: &str,
    x: Value,
) -> Result<Value, Stop> {
    let Some((function, span)) = args.get(parameter) else {
        return Err(l.fail(
            args.span,
            format!("`{}` needs `{parameter}`", args.function),
        ));
    };
    let function = match function {
        Value::Text(name) => match find(name) {
            Some(builtin) => Value::Builtin(builtin.name),
            None => return Err(l.unknown_function(name, span)),
        },
        other => other.clone(),
    };
    call(l, &function, x, span, args.span)
}

fn call(
    l: &mut Lowering<'_>,
    function: &Value,
    x: Value,
    at: Span,
    span: Span,
) -> Result<Value, Stop> {
    match function {
        Value::Function(_) | Value::Builtin(_) | Value::Model(_) => {
            l.call_with(function, vec![x], span)
        }
        other => {
            let text = format!("expected a function, found {}", l.describe(other));
            let fault = Diagnostic::new(at, text);
            Err(l.refuse(fault.help("name it: relu, or a function of the program")))
        }
    }
}

/// Batch normalization as it acts after training: `scale (x - mean) / sqrt(variance + epsilon) + shift` for each channel.
/// Channels are the axis before height and width, or the last axis of a vector or matrix.
fn batch_norm(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, span) = l.numbers(args, "x")?;
    let shape = l.axes_of(&x);
    let usual = if shape.len() >= 3 { -3 } else { -1 };
    let axis = l.whole_or(args, "axis", usual)?;
    let axis = l.axis(axis, shape.len(), span)?;
    let channels = shape[axis];
    let mut given = Vec::new();
    for name in ["scale", "shift", "mean", "variance"] {
        let constant = l.needed_constant(args, name)?;
        if constant.tensor.shape() != [channels] {
            let text = format!(
                "`{name}` has shape {:?} for {channels} channels",
                constant.tensor.shape()
            );
            let at = args.get(name).map_or(args.span, |(_, s)| s);
            return Err(l.fail(at, text));
        }
        given.push(constant.tensor);
    }
    let epsilon = l.number_or(args, "epsilon", 1e-5)?;
    let at = |i: usize, c: usize| given[i].data()[c];
    let factor = |c: usize| at(0, c) / libm::sqrt(at(3, c) + epsilon);
    let factors: Vec<f64> = (0..channels).map(factor).collect();
    let shifts = (0..channels)
        .map(|c| at(1, c) - at(2, c) * factors[c])
        .collect();
    let mut along = vec![1; shape.len() - axis];
    along[0] = channels;
    let factors = vector(l, factors, args.span)?;
    let factors = l.reshaped(&factors, &along, args.span)?;
    let shifts = vector(l, shifts, args.span)?;
    let shifts = l.reshaped(&shifts, &along, args.span)?;
    let scaled = l.times(&x, &factors, args.span)?;
    l.plus(&scaled, &shifts, args.span)
}

/// `x + f(x)`.
fn residual(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, _) = l.numbers(args, "x")?;
    let Some((function, at)) = args.get("f") else {
        return Err(l.fail(args.span, "`residual` needs `f`"));
    };
    let y = call(l, &function.clone(), x.clone(), at, args.span)?;
    let (sx, sy) = (l.shape(&x), l.shape(&y));
    if sx != sy {
        let text = format!("f turns {} into {}", l.describe(&x), l.describe(&y));
        let fault = Diagnostic::new(at, text);
        return Err(l.refuse(fault.help("the function of a residual keeps the shape")));
    }
    l.plus(&x, &y, args.span)
}
