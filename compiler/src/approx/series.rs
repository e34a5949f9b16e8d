//! Chebyshev series over a domain.

use super::remez::golden;
use cipherloom_ir::Range;
use std::f64::consts::PI;

/// A polynomial `sum c_k T_k(t)` with `t = (2 x - lo - hi) / (hi - lo)` over the domain `[lo, hi]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The domain, of positive width.
    pub domain: Range,
    /// The coefficients of T_0, T_1, ...; at least one.
    pub coefficients: Vec<f64>,
}

impl Series {
    /// The polynomial that agrees with `f` at the `degree + 1` Chebyshev nodes (the roots of `T_{degree + 1}`).
    pub fn interpolate(f: &dyn Fn(f64) -> f64, domain: Range, degree: usize) -> Self {
        let centre = 0.5 * (domain.lo + domain.hi);
        let half = 0.5 * (domain.hi - domain.lo);
        Self {
            domain,
            coefficients: interpolate(&|t| f(centre + half * t), degree),
        }
    }

    /// The value at `x`, also outside of the domain.
    pub fn eval(&self, x: f64) -> f64 {
        clenshaw(&self.coefficients, self.unit(x))
    }

    /// Replaces every element by the polynomial's value at it, as [`Series::eval`] does up to rounding.
    pub fn eval_all(&self, data: &mut [f64]) {
        let odd = self.coefficients.iter().skip(3).step_by(2);
        if self.coefficients.len() < 4 || odd.clone().any(|c| *c != 0.0) {
            data.iter_mut().for_each(|x| *x = self.unit(*x));
            return clenshaw_all(&self.coefficients, data);
        }
        // T_{2k}(t) = T_k(2 t^2 - 1): half the work for a multiple of t and an even part.
        let even: Vec<f64> = self.coefficients.iter().step_by(2).copied().collect();
        let slope = self.coefficients[1];
        let units: Vec<f64> = data.iter().map(|x| self.unit(*x)).collect();
        for (x, t) in data.iter_mut().zip(&units) {
            *x = 2.0 * t * t - 1.0;
        }
        clenshaw_all(&even, data);
        data.iter_mut()
            .zip(units)
            .for_each(|(x, t)| *x += slope * t);
    }

    /// The variable on `[-1, 1]` that belongs to `x`.
    pub fn unit(&self, x: f64) -> f64 {
        let Range { lo, hi } = self.domain;
        (2.0 * x - lo - hi) / (hi - lo)
    }

    /// The highest power with a coefficient that is not zero; 0 for a constant.
    pub fn degree(&self) -> usize {
        let last = self.coefficients.iter().rposition(|c| *c != 0.0);
        last.unwrap_or(0)
    }

    /// Without the highest coefficients, as many as together add at most `tolerance` to the error on the domain.
    ///
    /// Coefficients of the size of rounding errors would do harm outside of the domain, where `T_k` grows fast.
    #[must_use]
    pub fn trimmed(mut self, tolerance: f64) -> Self {
        let mut dropped = 0.0;
        while let [_, .., last] = self.coefficients[..] {
            dropped += last.abs();
            if dropped > tolerance {
                break;
            }
            self.coefficients.pop();
        }
        self
    }

    /// The largest `|f - p|` over the domain: over a grid that is dense at its ends, refined at its largest values, and
    /// at 0.
    pub fn sup_error(&self, f: &dyn Fn(f64) -> f64) -> f64 {
        /// Maxima on the grid below this part of the largest one are taken as they are: between them and the next point
        /// the error does not double.
        const REFINED: f64 = 0.5;
        let points = 16 * self.coefficients.len().max(128);
        let centre = 0.5 * (self.domain.lo + self.domain.hi);
        let half = 0.5 * (self.domain.hi - self.domain.lo);
        let at = |angle: f64| centre + half * libm::cos(angle);
        let error = |x: f64| (f(x) - self.eval(x)).abs();
        let step = PI / points as f64;
        let grid: Vec<f64> = (0..=points).map(|i| error(at(i as f64 * step))).collect();
        let zero = self.domain.contains(0.0).then(|| error(0.0));
        let mut largest = grid.iter().copied().chain(zero).fold(0.0, worse);
        let least = REFINED * largest;
        for (i, three) in grid.windows(3).enumerate() {
            if three[1] >= least && three[1] >= three[0] && three[1] >= three[2] {
                let around = (i as f64 * step, (i + 2) as f64 * step);
                largest = worse(largest, golden(&|a| error(at(a)), around.0, around.1).1);
            }
        }
        largest
    }
}

/// The larger error; one that is not a number counts as infinite.
fn worse(a: f64, b: f64) -> f64 {
    a.max(if b.is_nan() { f64::INFINITY } else { b })
}

/// `sum c_k T_k(t)` by Clenshaw's recurrence.
pub fn clenshaw(coefficients: &[f64], t: f64) -> f64 {
    let (mut next, mut after) = (0.0, 0.0);
    for c in coefficients.iter().skip(1).rev() {
        (next, after) = (c + 2.0 * t * next - after, next);
    }
    coefficients.first().copied().unwrap_or(0.0) + t * next - after
}

/// Replaces every element by the series' value at it, as [`clenshaw`] does, several at a time.
pub fn clenshaw_all(coefficients: &[f64], data: &mut [f64]) {
    const LANES: usize = 8;
    let first = coefficients.first().copied().unwrap_or(0.0);
    let (blocks, rest) = data.as_chunks_mut::<LANES>();
    for block in blocks {
        let (mut next, mut after) = ([0.0; LANES], [0.0; LANES]);
        for c in coefficients.iter().skip(1).rev() {
            for lane in 0..LANES {
                let value = c + 2.0 * block[lane] * next[lane] - after[lane];
                after[lane] = next[lane];
                next[lane] = value;
            }
        }
        for lane in 0..LANES {
            block[lane] = first + block[lane] * next[lane] - after[lane];
        }
    }
    rest.iter_mut()
        .for_each(|t| *t = clenshaw(coefficients, *t));
}

/// The coefficients of the interpolant on `[-1, 1]` at the roots of `T_{degree + 1}`.
pub(super) fn interpolate(f: &dyn Fn(f64) -> f64, degree: usize) -> Vec<f64> {
    let count = degree + 1;
    // cos(pi j / (2 count)), of which all that is needed are signs and repetitions.
    let cosines: Vec<f64> = (0..4 * count)
        .map(|j| libm::cos(PI * j as f64 / (2 * count) as f64))
        .collect();
    let values: Vec<f64> = (0..count).map(|i| f(cosines[2 * i + 1])).collect();
    (0..count)
        .map(|k| {
            let terms = values.iter().enumerate();
            let sum: f64 = terms
                .map(|(i, v)| v * cosines[(2 * i + 1) * k % (4 * count)])
                .sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / count as f64
        })
        .collect()
}
