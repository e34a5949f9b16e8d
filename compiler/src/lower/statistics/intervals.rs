//! Interval bounds of all values, where there are no samples.

use super::super::LowerError;
use super::super::network::{Kind, Network, Term, Value};
use super::super::polynomial::{Program, clenshaw};
use super::{Gains, Statistics, moments};
use cipherloom_ir::value::Range;

/// Interval bounds of all values; mean squares as if values were uniform within them.
pub(super) fn intervals(
    network: &Network,
    declared: &dyn Fn(&str) -> Option<Range>,
) -> Result<Statistics, LowerError> {
    let mut all: Vec<Vec<Range>> = Vec::with_capacity(network.values.len());
    for value in &network.values {
        let bounds: Vec<Range> = match &value.kind {
            Kind::Input(name) => {
                let range = declared(name).ok_or_else(|| LowerError::NoRange(name.clone()))?;
                vec![range; value.len()]
            }
            Kind::Square(a) => all[*a].iter().map(|r| square_bound(*r)).collect(),
            Kind::Fold(a, fold) => {
                let mut sums = vec![Range { lo: 0.0, hi: 0.0 }; value.len()];
                for round in fold.rounds() {
                    for (sum, member) in sums.iter_mut().zip(round) {
                        let part = all[*a][*member as usize];
                        (sum.lo, sum.hi) = (sum.lo + part.lo, sum.hi + part.hi);
                    }
                }
                sums
            }
            Kind::View(a, elements) => elements.iter().map(|e| all[*a][*e as usize]).collect(),
            Kind::Polynomial { operand, program } => {
                let bound = PolynomialBound::new(program, &all[*operand]);
                all[*operand].iter().map(|r| bound.over(*r)).collect()
            }
            Kind::Mul(a, b) => all[*a]
                .iter()
                .zip(&all[*b])
                .map(|(a, b)| product_bound(*a, *b))
                .collect(),
            Kind::Linear { terms, bias } => {
                let start = |i: usize| bias.get(i).copied().unwrap_or(0.0);
                let mut sums: Vec<Range> = (0..value.len())
                    .map(|i| Range {
                        lo: start(i),
                        hi: start(i),
                    })
                    .collect();
                for (u, term) in terms {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let mut add = |factor: f64, r: Range| {
                            sum.lo += (factor * r.lo).min(factor * r.hi);
                            sum.hi += (factor * r.lo).max(factor * r.hi);
                        };
                        match term {
                            Term::Gain(f) | Term::Scalar(f) => add(*f, all[*u][i]),
                            Term::Matrix(m) => m.row(i).for_each(|(c, w)| add(w, all[*u][c])),
                        }
                    }
                }
                sums
            }
        };
        if bounds
            .iter()
            .any(|r| !r.lo.is_finite() || !r.hi.is_finite())
        {
            return Err(LowerError::Unbounded(value.origin.clone()));
        }
        all.push(bounds);
    }
    let union = |bounds: &Vec<Range>| {
        bounds
            .iter()
            .copied()
            .reduce(Range::union)
            .unwrap_or(Range { lo: 0.0, hi: 0.0 })
    };
    let ranges = all.iter().map(union).collect();
    let before = |(bounds, value): (&Vec<Range>, &Value)| {
        let bias = value.bias().iter().copied().chain(std::iter::repeat(0.0));
        union(
            &bounds
                .iter()
                .zip(bias)
                .map(|(r, b)| Range {
                    lo: r.lo - b,
                    hi: r.hi - b,
                })
                .collect(),
        )
    };
    let unbiased = all.iter().zip(&network.values).map(before).collect();
    let mean = |r: &Range| (r.lo * r.lo + r.lo * r.hi + r.hi * r.hi) / 3.0;
    let mean_squares = all
        .iter()
        .map(|bounds| bounds.iter().map(mean).collect())
        .collect();
    let moments = moments::uniform(network, &all);
    Ok(Statistics {
        ranges,
        unbiased,
        mean_squares,
        approximations: None,
        moments,
        gains: Gains::default(),
        from_intervals: true,
    })
}

fn square_bound(r: Range) -> Range {
    let (a, b) = (r.lo * r.lo, r.hi * r.hi);
    Range {
        lo: if r.contains(0.0) { 0.0 } else { a.min(b) },
        hi: a.max(b),
    }
}

fn product_bound(a: Range, b: Range) -> Range {
    let corners = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi];
    corners.iter().skip(1).fold(
        Range {
            lo: corners[0],
            hi: corners[0],
        },
        |r, c| Range {
            lo: r.lo.min(*c),
            hi: r.hi.max(*c),
        },
    )
}

/// Points at which a polynomial is computed to bound it.
const POINTS: usize = 1024;

/// A polynomial at evenly spaced points of all that its operands may be.
struct PolynomialBound<'p> {
    program: &'p Program,
    lo: f64,
    step: f64,
    values: Vec<f64>,
    /// What a value between two points may lie beyond both.
    between: f64,
}

impl<'p> PolynomialBound<'p> {
    fn new(program: &'p Program, operands: &[Range]) -> Self {
        let all = operands.iter().copied().reduce(Range::union);
        let all = all.unwrap_or(Range { lo: -1.0, hi: 1.0 });
        let step = (all.hi - all.lo) / POINTS as f64;
        let at = |i: usize| clenshaw(&program.coefficients, all.lo + step * i as f64);
        let values: Vec<f64> = (0..=POINTS).map(at).collect();
        // Between two points a function leaves their values by h^2/8 of its second derivative at most; twice the
        // largest second difference over 8 leaves room for what that changes between points.
        let curvature = values.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs());
        let between = curvature.fold(0.0, f64::max) / 4.0;
        Self {
            program,
            lo: all.lo,
            step,
            values,
            between,
        }
    }

    fn over(&self, r: Range) -> Range {
        let ends = [r.lo, r.hi].map(|t| clenshaw(&self.program.coefficients, t));
        let mut bound = Range {
            lo: ends[0].min(ends[1]),
            hi: ends[0].max(ends[1]),
        };
        if self.step > 0.0 {
            let first = libm::floor((r.lo - self.lo) / self.step).max(0.0) as usize;
            let last = libm::ceil((r.hi - self.lo) / self.step).max(0.0) as usize;
            for value in self.values.iter().take(last + 1).skip(first) {
                bound = bound.union(Range {
                    lo: *value,
                    hi: *value,
                });
            }
        }
        Range {
            lo: bound.lo - self.between,
            hi: bound.hi + self.between,
        }
    }
}
