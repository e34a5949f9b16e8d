//! Sign by composition of odd minimax polynomials.
//!
//! The first polynomial takes `[a, 1]` into `[1 - e, 1 + e]` with the least e, the next one that interval (scaled by its
//! upper end) into a narrower one, and so on; all are odd, so negative numbers follow. For x in `[-a, a]` the result lies
//! between -1 and 1 or a little beyond, and `x` times the error stays small. For a given depth this is the best way to
//! approximate a jump sharply (E. Lee et al., IEEE TDSC 2021); where the error may exceed about 2^-11 of the range, one
//! minimax polynomial of |x| takes fewer levels.

use super::fit::times_t;
use super::remez::minimax;
use super::series::{Series, clenshaw, interpolate};
use cipherloom_ir::Range;

/// Levels of one polynomial of a composition: degrees 3, 7, 15 and 31.
const STAGE_LEVELS: std::ops::RangeInclusive<u32> = 2..=5;
/// By how much the domain of a polynomial exceeds the values of the one before.
const ROOM: f64 = 1.03;

/// A composition of odd polynomials that approximates the sign on `[-1, -a]` and `[a, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct CompositeSign {
    /// The polynomials, the first one first, each over `[-1, 1]`; each but the last is scaled so that it stays inside of the
    /// next one's domain.
    pub stages: Vec<Series>,
    /// The end of the gap.
    pub gap: f64,
    /// The largest error for `a <= |x| <= 1`.
    pub error: f64,
}

impl CompositeSign {
    /// The composition of odd polynomials with these degrees; `None` where a degree is even, `a` is not between 0 and 1, or
    /// an exchange fails.
    pub fn new(degrees: &[usize], a: f64) -> Option<Self> {
        Self::with_room(degrees, a, 1.0)
    }

    /// The composition of the fewest levels whose error is at most `error` for `a <= |x| <= 1`, and what it errs by; `None` where
    /// `most_levels` do not suffice. Between polynomials there is 3 % of room for noise and for what interval arithmetic adds.
    ///
    /// A smaller error of the polynomials up to one makes that of the next one smaller, so that the best composition of each
    /// number of levels begins with the best of fewer (E. Lee et al., algorithm 4).
    pub fn cheapest(a: f64, error: f64, most_levels: u32) -> Option<Self> {
        // By number of levels: the degrees and what they err by.
        let mut best: Vec<Option<(Vec<usize>, f64)>> = vec![Some((vec![], 1.0))];
        for levels in 1..=most_levels {
            let mut found: Option<(Vec<usize>, f64)> = None;
            for last in STAGE_LEVELS {
                let before = levels.checked_sub(last).and_then(|l| best.get(l as usize));
                let Some(Some((degrees, reached))) = before else {
                    continue;
                };
                let lo = if degrees.is_empty() {
                    a
                } else {
                    (1.0 - reached) / ((1.0 + reached) * ROOM)
                };
                if lo.is_nan() || lo <= 0.0 {
                    continue;
                }
                let degree = (1 << last) - 1;
                if let Some((_, reached)) = stage(degree, lo)
                    && found.as_ref().is_none_or(|(_, least)| reached < *least)
                {
                    found = Some(([&degrees[..], &[degree]].concat(), reached));
                }
            }
            if let Some((degrees, reached)) = &found
                && *reached <= error
            {
                return Self::with_room(degrees, a, ROOM);
            }
            best.push(found);
        }
        None
    }

    fn with_room(degrees: &[usize], a: f64, room: f64) -> Option<Self> {
        if a.is_nan() || a <= 0.0 || a >= 1.0 || degrees.iter().any(|d| d % 2 == 0) {
            return None;
        }
        let (mut lo, mut error) = (a, 1.0);
        let mut stages: Vec<Series> = Vec::new();
        for degree in degrees {
            let (coefficients, reached) = stage(*degree, lo)?;
            // The previous stage's values, up to 1 + error and what room there is to be, become the next one's [-1, 1].
            if let Some(previous) = stages.last_mut() {
                previous
                    .coefficients
                    .iter_mut()
                    .for_each(|c| *c /= (1.0 + error) * room);
            }
            stages.push(Series {
                domain: Range { lo: -1.0, hi: 1.0 },
                coefficients,
            });
            error = reached;
            lo = (1.0 - error) / ((1.0 + error) * room);
            if lo.is_nan() || lo <= 0.0 {
                return None;
            }
        }
        (!stages.is_empty()).then_some(Self {
            stages,
            gap: a,
            error,
        })
    }

    /// The approximate sign of x in `[-1, 1]`.
    pub fn eval(&self, x: f64) -> f64 {
        self.stages.iter().fold(x, |y, stage| stage.eval(y))
    }

    /// `max(x, 0)` as `x (1 + sign) / 2`.
    pub fn relu(&self, x: f64) -> f64 {
        0.5 * x * (1.0 + self.eval(x))
    }

    /// The levels of the composition: those of each polynomial.
    pub fn depth(&self) -> u32 {
        let levels = |s: &Series| (s.degree() + 1).next_power_of_two().ilog2();
        self.stages.iter().map(levels).sum()
    }
}

/// The odd minimax polynomial of 1 on `[lo, 1]` over `[-1, 1]`, and its error.
fn stage(degree: usize, lo: f64) -> Option<(Vec<f64>, f64)> {
    // p(t) = t q(s) with s affine in t^2, which takes [lo^2, 1] to [-1, 1].
    let (centre, half) = (0.5 * (1.0 + lo * lo), 0.5 * (1.0 - lo * lo));
    let root = |s: f64| libm::sqrt((centre + half * s).max(0.0));
    let fit = minimax(&|_| 1.0, &root, (degree - 1) / 2)?;
    // The same q over t^2 in [0, 1], where 2 t^2 - 1 is the variable.
    let whole = |u: f64| clenshaw(&fit.coefficients, (0.5 * (1.0 + u) - centre) / half);
    let q = interpolate(&whole, (degree - 1) / 2);
    Some((times_t(&q), fit.largest))
}
