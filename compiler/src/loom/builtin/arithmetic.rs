//! Functions of several values.

use super::{Arguments, Builtin, Lowering, Stop, Value};
use crate::broadcast::broadcast;
use cipherloom_ir::tensor::{Function, Op, Reduction};

pub(super) const ALL: &[Builtin] = &[
    Builtin::new("dot", "a b", dot),
    Builtin::new("weighted_sum", "values weights", weighted_sum),
    Builtin::new("polynomial", "x coefficients", polynomial),
    Builtin::new("max", "x y? axis? keep?", |l, a| {
        extremum(l, a, Op::Max, Reduction::Max)
    }),
    Builtin::new("min", "x y? axis? keep?", |l, a| {
        extremum(l, a, Op::Min, Reduction::Min)
    }),
    Builtin::new("where", "condition a b", select),
];

/// The sum of the products of two vectors.
fn dot(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let ((a, _), (b, _)) = (l.numbers(args, "a")?, l.numbers(args, "b")?);
    let (sa, sb) = (l.axes_of(&a), l.axes_of(&b));
    if sa.len() != 1 || sa != sb {
        let text = format!("`dot` takes two vectors of one length, not {sa:?} and {sb:?}");
        return Err(l.fail(args.span, text));
    }
    if matches!((&a, &b), (Value::Encrypted(_), Value::Encrypted(_))) {
        let product = l.times(&a, &b, args.span)?;
        return l.reduced(&product, Reduction::Sum, None, false, args.span);
    }
    l.matmul(&a, &b, args.span)
}

/// The sum of the elements along the first axis, each times its weight.
fn weighted_sum(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let ((values, _), (weights, at)) = (l.numbers(args, "values")?, l.numbers(args, "weights")?);
    let (sv, sw) = (l.axes_of(&values), l.axes_of(&weights));
    let (Some((count, inner)), [found]) = (sv.split_first(), &sw[..]) else {
        let text = format!(
            "`weighted_sum` takes values along an axis and a vector of weights, not {sv:?} and {sw:?}"
        );
        return Err(l.fail(args.span, text));
    };
    if count != found {
        return Err(l.fail(at, format!("{found} weights for {count} values")));
    }
    if inner.is_empty() {
        return l.matmul(&values, &weights, args.span);
    }
    // As columns of a matrix: one product of weights and matrix.
    let columns: usize = inner.iter().product();
    let matrix = l.reshaped(&values, &[*count, columns], args.span)?;
    let sum = l.matmul(&weights, &matrix, args.span)?;
    l.reshaped(&sum, inner, args.span)
}

/// `c[0] + c[1] x + c[2] x^2 + ...`.
fn polynomial(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, _) = l.numbers(args, "x")?;
    let coefficients = l.needed_constant(args, "coefficients")?;
    if coefficients.tensor.shape().len() != 1 {
        return Err(l.fail(args.span, "the coefficients are a list of numbers"));
    }
    let op = Op::Polynomial {
        coefficients: coefficients.tensor.data().to_vec(),
    };
    l.apply(args.span, &[x], op, &[], &[])
}

/// Of two values, or of the elements along axes.
fn extremum(
    l: &mut Lowering<'_>,
    args: &Arguments,
    op: Op,
    kind: Reduction,
) -> Result<Value, Stop> {
    let (x, _) = l.numbers(args, "x")?;
    if args.get("y").is_none() {
        return l.reduce_call(args, kind);
    }
    let (y, span) = l.numbers(args, "y")?;
    if broadcast(&l.axes_of(&x), &l.axes_of(&y)).is_err() {
        let text = format!(
            "the shapes {:?} and {:?} do not broadcast",
            l.axes_of(&x),
            l.axes_of(&y)
        );
        return Err(l.fail(span, text));
    }
    let larger = op == Op::Max;
    match (&x, &y) {
        (Value::Encrypted(_), Value::Encrypted(_)) | (Value::Constant(_), Value::Constant(_)) => {
            l.apply(args.span, &[x, y], op, &[], &[])
        }
        (v, Value::Constant(c)) | (Value::Constant(c), v)
            if c.tensor.len() == 1 && c.tensor.shape().is_empty() =>
        {
            let bound = c.tensor.data()[0];
            let function = match (larger, bound) {
                (true, 0.0) => Function::Relu,
                (true, lo) => Function::Clip {
                    lo,
                    hi: f64::INFINITY,
                },
                (false, hi) => Function::Clip {
                    lo: f64::NEG_INFINITY,
                    hi,
                },
            };
            l.function(function, v, args.span)
        }
        // max(a, b) = (a + b + |a - b|) / 2.
        _ => {
            let (sum, difference) = (l.plus(&x, &y, args.span)?, l.minus(&x, &y, args.span)?);
            let distance = l.function(Function::Abs, &difference, args.span)?;
            let twice = if larger {
                l.plus(&sum, &distance, args.span)?
            } else {
                l.minus(&sum, &distance, args.span)?
            };
            l.scaled(&twice, 0.5, args.span)
        }
    }
}

/// `a` where the condition is not 0, else `b`. With a condition of 0 and 1 this is `b + condition (a - b)`.
fn select(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (condition, _) = l.numbers(args, "condition")?;
    let ((a, _), (b, at)) = (l.numbers(args, "a")?, l.numbers(args, "b")?);
    let shapes = broadcast(&l.axes_of(&a), &l.axes_of(&b));
    if shapes
        .and_then(|s| broadcast(&s, &l.axes_of(&condition)))
        .is_err()
    {
        return Err(l.fail(at, "the shapes of the three values do not broadcast"));
    }
    let condition = match &condition {
        Value::Constant(c) => {
            let truth = crate::broadcast::map(&c.tensor, |v| f64::from(u8::from(v != 0.0)));
            l.new_constant(args.span, truth)?
        }
        _ if [&a, &b].iter().all(|v| matches!(v, Value::Encrypted(_))) => {
            return l.apply(args.span, &[condition, a, b], Op::Where, &[], &[]);
        }
        _ => condition,
    };
    let difference = l.minus(&a, &b, args.span)?;
    let chosen = l.times(&condition, &difference, args.span)?;
    l.plus(&b, &chosen, args.span)
}
