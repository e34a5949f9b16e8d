//! Intervals of operations that are neither linear maps nor polynomials.

use super::{Interval, RangeError, apply};
use cipherloom_ir::tensor::{EvalError, Module, Op, Reduction};
use cipherloom_ir::value::{Range, Tensor};

/// The interval of such an operation, whose operands are as many as it takes.
pub(super) fn nonlinear(
    module: &Module,
    op: &Op,
    shape: &[usize],
    operands: &[Interval],
) -> Result<Interval, RangeError> {
    let graph = || RangeError::Eval(EvalError::Graph);
    let x = operands.first().ok_or_else(graph)?;
    let y = operands.get(1);
    let lows: Vec<Tensor> = operands.iter().map(Interval::lo).collect();
    let highs: Vec<Tensor> = operands.iter().map(Interval::hi).collect();
    let at = |ends: &[Tensor]| apply(module, op, shape, ends);
    let filled = |value| Tensor::filled(shape.to_vec(), value).ok_or_else(graph);
    Ok(match op {
        Op::Function(function) => each(x, |range| function.range_over(range)),
        Op::Approximation {
            domain,
            coefficients,
            ..
        } => each(x, |range| Some(chebyshev(range, *domain, coefficients))),
        // These rise with each of their operands.
        Op::Concat { .. }
        | Op::Max
        | Op::Min
        | Op::MaxPool(_)
        | Op::Reduce {
            kind: Reduction::Max | Reduction::Min,
            ..
        } => Interval::between(&at(&lows)?, &at(&highs)?),
        Op::Softmax { .. } | Op::Compare(_) => Interval::between(&filled(0.0)?, &filled(1.0)?),
        // x_i - max - log(count) <= y_i <= 0.
        Op::LogSoftmax { axis } => {
            let count = x.centre.shape().get(*axis).copied().unwrap_or(1);
            let largest = x.range().ok_or_else(graph)?.hi;
            let shift = largest + libm::log(count as f64);
            let lo = lows.first().ok_or_else(graph)?;
            Interval::between(&crate::broadcast::map(lo, |l| l - shift), &filled(0.0)?)
        }
        // The product of the largest magnitudes bounds every product.
        Op::Reduce {
            kind: Reduction::Prod,
            ..
        } => Interval {
            centre: filled(0.0)?,
            radius: at(&[magnitudes(x)])?,
        },
        // x / y = x (1 / y).
        Op::Div => {
            let reciprocal = each(y.ok_or_else(graph)?, |range| {
                cipherloom_ir::tensor::Function::Reciprocal.range_over(range)
            });
            super::through(module, &Op::Mul, shape, &[x.clone(), reciprocal])?
        }
        Op::Where => {
            let (a, b) = (y.ok_or_else(graph)?, operands.get(2).ok_or_else(graph)?);
            let either = |op: Op, a: Tensor, b: Tensor| {
                // The condition only repeats them.
                let condition = crate::broadcast::map(&x.centre, |_| 1.0);
                let a = apply(
                    module,
                    &Op::Where,
                    shape,
                    &[condition.clone(), a.clone(), a],
                )?;
                let b = apply(module, &Op::Where, shape, &[condition, b.clone(), b])?;
                apply(module, &op, shape, &[a, b])
            };
            Interval::between(
                &either(Op::Min, a.lo(), b.lo())?,
                &either(Op::Max, a.hi(), b.hi())?,
            )
        }
        Op::ArgMax { axis, .. } => {
            let count = x.centre.shape().get(*axis).copied().unwrap_or(1);
            Interval::between(&filled(0.0)?, &filled(count.saturating_sub(1) as f64)?)
        }
        Op::Lookup { table } => {
            let table = module.tensor(*table).ok_or_else(graph)?;
            let range = Range::of(table.data().iter().copied()).ok_or_else(graph)?;
            Interval::between(&filled(range.lo)?, &filled(range.hi)?)
        }
        _ => return Err(graph()),
    })
}

fn magnitudes(x: &Interval) -> Tensor {
    let centre = crate::broadcast::map(&x.centre, f64::abs);
    super::join(&centre, &x.radius, |c, r| c + r)
}

/// The range of each element through `f`; where `f` has none, an infinite one, which [`Interval::range`] refuses.
fn each(x: &Interval, f: impl Fn(Range) -> Option<Range>) -> Interval {
    let (mut lo, mut hi) = (x.lo(), x.hi());
    for (l, h) in lo.data_mut().iter_mut().zip(hi.data_mut()) {
        (*l, *h) = match Range::new(*l, *h).and_then(&f) {
            Some(range) => (range.lo, range.hi),
            None => (f64::NEG_INFINITY, f64::INFINITY),
        };
    }
    Interval::between(&lo, &hi)
}

/// Bounds of `sum c_k T_k(t)` over an interval, from its values on a Chebyshev grid of it.
///
/// On `m` Chebyshev points a polynomial of degree n < m takes at least cos(pi n / (2 m)) of its largest magnitude on
/// the whole interval (Ehlich and Zeller, 1964). The rule is applied to the polynomial less the middle of its values.
pub(super) fn chebyshev(interval: Range, domain: Range, coefficients: &[f64]) -> Range {
    let degree = coefficients.len().saturating_sub(1).max(1);
    let points = 8 * degree;
    let (sum, width) = (domain.lo + domain.hi, domain.hi - domain.lo);
    let (centre, radius) = (
        0.5 * (interval.lo + interval.hi),
        0.5 * (interval.hi - interval.lo),
    );
    let angle = std::f64::consts::PI / points as f64;
    let values = (0..points).map(|i| {
        let x = centre + radius * libm::cos(angle * (i as f64 + 0.5));
        clenshaw(coefficients, (2.0 * x - sum) / width)
    });
    let Some(seen) = Range::of(values) else {
        return Range {
            lo: f64::NEG_INFINITY,
            hi: f64::INFINITY,
        };
    };
    let rest = 1.0 / libm::cos(0.5 * angle * degree as f64);
    seen.widened(rest)
}

fn clenshaw(coefficients: &[f64], t: f64) -> f64 {
    let (mut next, mut after) = (0.0, 0.0);
    for c in coefficients.iter().skip(1).rev() {
        (next, after) = (c + 2.0 * t * next - after, next);
    }
    coefficients.first().copied().unwrap_or(0.0) + t * next - after
}
