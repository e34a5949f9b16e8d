//! Noise that carries operands of polynomials past the ends of their ranges.
//!
//! T_d(1 + e) is cosh(d acosh(1 + e)), about 1 + d^2 e and soon far more: what a sign yields lies at the ends of the domain of
//! what reads it, and noise of 2^-6 in one slot turns T_63 there into thousands. The mean over slots does not help, as the
//! errors are large on one side alone.

use super::super::network::Kind;
use super::super::polynomial::clenshaw;
use super::{Analysis, Candidate};
use cipherloom_ir::value::Range;

/// Deviations that noise is off by in the worst of all slots.
const DEVIATIONS: f64 = 6.0;
/// Relative to the domain, the step of a difference that stands for a derivative.
const STEP: f64 = 1e-8;

impl Analysis<'_> {
    /// How many bits below its largest value the result of a polynomial is wrong, beyond first order, where noise of a slot
    /// carries its operand past an end of its range: the least of all polynomials.
    pub(super) fn edge_bits(&self, slot: &Candidate) -> f64 {
        let variances = self.variances(slot);
        let mut least = f64::INFINITY;
        for (v, value) in self.network.values.iter().enumerate() {
            let Kind::Polynomial { operand, program } = &value.kind else {
                continue;
            };
            let variance = variances[*operand].iter().copied().fold(0.0, f64::max);
            let error = beyond(
                |t| clenshaw(&program.coefficients, t),
                self.statistics.ranges[*operand],
                DEVIATIONS * libm::sqrt(variance),
            );
            let bits = -libm::log2(error / self.statistics.max_abs(v));
            least = least.min(if bits.is_nan() {
                f64::NEG_INFINITY
            } else {
                bits
            });
        }
        least
    }
}

/// What a function is off its tangents at the ends of a range, so far beyond them.
fn beyond(f: impl Fn(f64) -> f64, range: Range, far: f64) -> f64 {
    let off = |end: f64, side: f64| {
        let slope = (f(end) - f(end - side * STEP)) / STEP;
        (f(end + side * far) - f(end) - far * slope).abs()
    };
    off(range.lo, -1.0).max(off(range.hi, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chebyshev_polynomials_grow_past_the_ends() {
        let t63 = |t: f64| clenshaw(&[vec![0.0; 63], vec![1.0]].concat(), t);
        let range = Range { lo: -1.0, hi: 1.0 };
        // T_d(1 + e) = 1 + d^2 e + d^2 (d^2 - 1) e^2 / 6 + ..
        let second = 63.0_f64.powi(2) * (63.0_f64.powi(2) - 1.0) / 6.0;
        let e = 1e-5;
        let found = beyond(t63, range, e);
        assert!((found / (second * e * e) - 1.0).abs() < 0.05, "{found}");
        assert!(beyond(t63, range, 1.0 / 64.0) > 1e4);
        // Within a domain that leaves room nothing happens.
        assert!(beyond(t63, Range { lo: -0.5, hi: 0.5 }, 1e-5) < 1e-4);
        assert_eq!(beyond(|t| 3.0 * t, range, 0.0), 0.0);
    }
}
