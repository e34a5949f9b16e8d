//! Intervals of operations that are neither linear maps nor polynomials.

use super::{Interval, RangeError, apply};
use crate::approx::clenshaw;
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
        Op::TopK { values: true, .. } => {
            let range = x.range().ok_or_else(graph)?;
            Interval::between(&filled(range.lo)?, &filled(range.hi)?)
        }
        Op::TopK { axis, .. } => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Evidence;
    use crate::pass::{RangeError, measure};
    use cipherloom_ir::Tensors;
    use cipherloom_ir::tensor::{eval_all, parse, verify};
    use std::collections::BTreeMap;

    const EACH: &str = r#"
module "each" · from "test" · stage tensor
  shape            range | op
  [1,1,2,3]        -     | %0 = input "x"
  [1,1,2,3]        -     | %1 = mul_const %0, @w
  [1,1,2,3]        -     | %2 = silu %1
  [1,1,2,3]        -     | %3 = approximation %1 of "relu" domain [-2.0, 1.5] coefficients [0.4, -0.7, 0.3, 0.0, -0.2, 0.1]
  [1,1,2,3]        -     | %4 = softmax %1 axis 3
  [1,1,2,3]        -     | %5 = log_softmax %1 axis 2
  [1,1,4,3]        -     | %6 = concat %2, %3 axis 2
  [1,1,4,1]        -     | %7 = reduce_max %6 axes [3]
  [1,1,4,1]        -     | %8 = reduce_min %6 axes [3]
  [1,1,1,3]        -     | %9 = reduce_prod %6 axes [2]
  [1,1,4,1]        -     | %10 = reduce_mean %6 axes [3]
  [1,1,4,3]        -     | %11 = max %6, %9
  [1,1,4,3]        -     | %12 = min %6, %9
  [1,1,4,3]        -     | %13 = greater %6, %9
  [1,1,4,3]        -     | %14 = where %13, %6, %9
  [1,1,2,3]        -     | %15 = exp %0
  [1,1,2,3]        -     | %16 = div %1, %15
  [1,1,3,3]        -     | %17 = max_pool %6 kernel [2,2] strides [1,1] pads [0,0,0,1]
  [1,1,4,1]        -     | %18 = arg_max %6 axis 3
  [1,1,4,1]        -     | %19 = lookup %18, @labels
  [1,5]            -     | %20 = take %6, @index
  [1,1,2,3]        -     | %21 = pow %15 exponent -0.5
  [1,1,2,3]        -     | %22 = cos %1
input "x" = %0 · f64 · batched
output "y" = %0 · batched
const @w [] = [-1.5]
const @labels [3] = [4.0, -2.0, 1.0]
const @index [1,5] = [3.0, -1.0, 0.0, 11.0, 7.0]
"#;

    #[test]
    fn intervals_hold_the_values_of_each_operation() {
        let module = parse(EACH, &[]).unwrap();
        assert_eq!(verify(&module), []);
        let declared: BTreeMap<String, Range> =
            [("x".to_owned(), Range::new(-1.0, 1.75).unwrap())].into();
        let measured = measure(&module, Evidence::Declared(&declared)).unwrap();
        let mut state = 7_u64;
        for _ in 0..2000 {
            let mut next = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                // The ends and their neighbourhood come often.
                let unit = (state >> 33) as f64 / (1_u64 << 31) as f64;
                (3.0 * unit - 1.0).clamp(0.0, 1.0) * 2.75 - 1.0
            };
            let x = Tensor::new(vec![1, 1, 2, 3], (0..6).map(|_| next()).collect()).unwrap();
            for (id, value) in eval_all(&module, &Tensors::from([("x".to_owned(), x)])).unwrap() {
                let range = measured.ranges[&id];
                for v in value.data() {
                    let slack = 1e-12 * (1.0 + v.abs());
                    assert!(
                        range.lo - slack <= *v && *v <= range.hi + slack,
                        "{id}: {v} is not in {range}"
                    );
                }
            }
        }
        // A function of one operand is bounded closely.
        let exact = Range::new(-0.278_464_542_761_073_8, 1.5 / (1.0 + libm::exp(-1.5))).unwrap();
        let found = measured.ranges[&cipherloom_ir::NodeId::new(2)];
        assert!((found.lo - exact.lo).abs() < 1e-12 && (found.hi - exact.hi).abs() < 1e-12);
    }

    #[test]
    fn a_divisor_that_may_vanish_has_no_bound() {
        let text = EACH.replace("div %1, %15", "div %1, %0");
        let module = parse(&text, &[]).unwrap();
        let declared: BTreeMap<String, Range> =
            [("x".to_owned(), Range::new(-1.0, 1.0).unwrap())].into();
        let refused = measure(&module, Evidence::Declared(&declared)).unwrap_err();
        assert!(matches!(refused, RangeError::NotFinite { .. }), "{refused}");
    }

    #[test]
    fn bounds_of_chebyshev_sums_are_close() {
        let coefficients: Vec<f64> = (0..40)
            .map(|k| libm::cos(1.7 * k as f64) / (1.0 + k as f64))
            .collect();
        let domain = Range { lo: -3.0, hi: 5.0 };
        for interval in [
            domain,
            Range { lo: -1.0, hi: 0.5 },
            Range { lo: 4.9, hi: 5.1 },
            Range { lo: 2.0, hi: 2.0 },
        ] {
            let bound = chebyshev(interval, domain, &coefficients);
            let values = (0..=20_000).map(|i| {
                let x = interval.lo + (interval.hi - interval.lo) * f64::from(i) / 20_000.0;
                clenshaw(&coefficients, (2.0 * x - 2.0) / 8.0)
            });
            let seen = Range::of(values).unwrap();
            let slack = 1e-9 * (1.0 + seen.max_abs());
            assert!(
                bound.lo <= seen.lo + slack && seen.hi <= bound.hi + slack,
                "{seen} leaves {bound}"
            );
            assert!(
                bound.hi - bound.lo <= 1.05 * (seen.hi - seen.lo) + slack,
                "{bound} for {seen}"
            );
        }
    }
}
