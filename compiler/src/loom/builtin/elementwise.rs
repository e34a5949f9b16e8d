//! Functions of one number, applied to each element.

use super::{Arguments, Builtin, Lowering, Stop, Value};
use cipherloom_ir::tensor::{Function, Op};

pub(super) const ALL: &[Builtin] = &[
    Builtin::new("relu", "x", plain),
    Builtin::new("leaky_relu", "x alpha?", plain),
    Builtin::new("clip", "x lo hi", plain),
    Builtin::new("sigmoid", "x", plain),
    Builtin::new("hard_sigmoid", "x alpha? beta?", plain),
    Builtin::new("tanh", "x", plain),
    Builtin::new("silu", "x", plain),
    Builtin::new("hard_swish", "x", plain),
    Builtin::new("gelu", "x", plain),
    Builtin::new("gelu_tanh", "x", plain),
    Builtin::new("elu", "x alpha?", plain),
    Builtin::new("selu", "x alpha? gamma?", plain),
    Builtin::new("celu", "x alpha?", plain),
    Builtin::new("mish", "x", plain),
    Builtin::new("softplus", "x", plain),
    Builtin::new("softsign", "x", plain),
    Builtin::new("thresholded_relu", "x alpha?", plain),
    Builtin::new("log_sigmoid", "x", plain),
    Builtin::new("erf", "x", plain),
    Builtin::new("exp", "x", plain),
    Builtin::new("log", "x", plain),
    Builtin::new("sqrt", "x", plain),
    Builtin::new("inverse", "x", plain),
    Builtin::new("abs", "x", plain),
    Builtin::new("sign", "x", plain),
    Builtin::new("sin", "x", plain),
    Builtin::new("cos", "x", plain),
    Builtin::new("floor", "x", plain),
    Builtin::new("ceil", "x", plain),
    Builtin::new("round", "x", plain),
    Builtin::new("trunc", "x", plain),
    Builtin::new("step", "x", plain),
    Builtin::new("softmax", "x axis?", |l, a| {
        along(l, a, |axis| Op::Softmax { axis })
    }),
    Builtin::new("log_softmax", "x axis?", |l, a| {
        along(l, a, |axis| Op::LogSoftmax { axis })
    }),
];

/// The values of parameters that are left out, those of ONNX.
fn default(function: &str, parameter: &str) -> f64 {
    match (function, parameter) {
        ("leaky_relu", _) => 0.01,
        ("hard_sigmoid", "alpha") => 0.2,
        ("hard_sigmoid", _) => 0.5,
        ("selu", "alpha") => 1.673_263_192_176_818_8,
        ("selu", _) => 1.050_701_022_148_132_3,
        _ => 1.0,
    }
}

fn plain(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, _) = l.numbers(args, "x")?;
    let name = match args.function {
        "inverse" => "reciprocal",
        name => name,
    };
    let mut parameters = Vec::new();
    for parameter in Function::parameter_names(name).unwrap_or_default() {
        parameters.push(l.number_or(args, parameter, default(name, parameter))?);
    }
    match Function::new(name, &parameters) {
        Some(function) => l.function(function, &x, args.span),
        None => Err(l.fail(args.span, format!("there is no function `{name}`"))),
    }
}

fn along(l: &mut Lowering<'_>, args: &Arguments, op: impl Fn(usize) -> Op) -> Result<Value, Stop> {
    let (x, span) = l.numbers(args, "x")?;
    let rank = l.axes_of(&x).len();
    let axis = l.whole_or(args, "axis", -1)?;
    let axis = l.axis(axis, rank, span)?;
    l.apply(args.span, &[x], op(axis), &[], &[])
}
