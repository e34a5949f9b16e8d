//! Minimax fits by multi-point Remez exchange, in the Chebyshev basis.
//!
//! The problem is solved in the form `g(s) ~ m(s) q(s)` on `[-1, 1]`, with a multiplier m that does not change its
//! sign, so that one algorithm serves full, even (`s = 2 t^2 - 1`) and odd (`m = t`) polynomials, and odd ones on
//! `[a, 1]`. All of these are Haar systems, in which the best fit's error takes its largest value with alternating signs
//! at `degree + 2` points (Chebyshev).

use super::linear::solve;
use super::series::clenshaw;
use std::f64::consts::PI;

/// Exchanges before the best fit so far is taken.
const MAX_EXCHANGES: usize = 40;
/// The exchange ends when the largest error exceeds the levelled one by less than this share.
const LEVEL: f64 = 1e-4;
/// Errors below this part of the largest value are rounding.
const ROUNDING: f64 = 1e-14;
/// Grid points per degree among which extrema are looked for.
const DENSITY: usize = 24;

/// A minimax fit.
#[derive(Clone, Debug)]
pub(super) struct Minimax {
    /// The coefficients of q in the Chebyshev basis.
    pub(super) coefficients: Vec<f64>,
    /// The largest error.
    pub(super) largest: f64,
    /// The levelled error of the last reference: no polynomial of this degree has a smaller largest error (de la Vallee
    /// Poussin).
    pub(super) bound: f64,
    /// Errors below this are rounding.
    rounding: f64,
}

/// A point `s = cos(angle)` with what is given there.
#[derive(Clone, Copy, Debug)]
struct Sample {
    angle: f64,
    s: f64,
    g: f64,
    m: f64,
}

/// The minimax fit of `g` by `m q` with q of a degree; `None` where no exchange gave a polynomial.
///
/// Where a degree gives nothing, or nearly nothing (an odd one, of a nearly even function), the exchange may find no better
/// reference: then the fit of one degree less is as good as any, and is taken if it is better.
pub(super) fn minimax(
    g: &dyn Fn(f64) -> f64,
    m: &dyn Fn(f64) -> f64,
    degree: usize,
) -> Option<Minimax> {
    let found = exchange(g, m, degree);
    let levelled = |fit: &Minimax| fit.largest <= fit.bound * (1.0 + LEVEL) + fit.rounding;
    if degree == 0 || found.as_ref().is_some_and(levelled) {
        return found;
    }
    let Some(below) = minimax(g, m, degree - 1) else {
        return found;
    };
    match found {
        Some(found) if found.largest <= below.largest => Some(found),
        _ => Some(below),
    }
}

/// The best fit that exchanges of the reference lead to.
fn exchange(g: &dyn Fn(f64) -> f64, m: &dyn Fn(f64) -> f64, degree: usize) -> Option<Minimax> {
    let count = degree + 2;
    let steps = DENSITY * count.max(6);
    let sample = |angle: f64| {
        let s = libm::cos(angle);
        Sample {
            angle,
            s,
            g: g(s),
            m: m(s),
        }
    };
    let grid: Vec<Sample> = (0..=steps)
        .map(|i| sample(PI * i as f64 / steps as f64))
        .collect();
    let rounding = ROUNDING * grid.iter().map(|p| p.g.abs()).fold(0.0, f64::max);
    let mut reference: Vec<Sample> = (0..count)
        .map(|i| sample(PI * (2 * i + 1) as f64 / (2 * count) as f64))
        .collect();
    let mut best: Option<Minimax> = None;
    let mut bound: f64 = 0.0;
    for _ in 0..MAX_EXCHANGES {
        let Some((coefficients, level)) = levelled(&reference, degree) else {
            break;
        };
        bound = bound.max(level.abs());
        let error = |p: &Sample| p.g - p.m * clenshaw(&coefficients, p.s);
        // The reference may be finer than the grid; with it no alternation is missed.
        let mut points: Vec<Sample> = grid.iter().chain(&reference).copied().collect();
        points.sort_by(|a, b| a.angle.total_cmp(&b.angle));
        let errors: Vec<(f64, f64)> = points.iter().map(|p| (p.angle, error(p))).collect();
        let extrema = extrema(&errors, &|angle| error(&sample(angle)));
        let largest = extrema.iter().map(|(_, e)| e.abs()).fold(0.0, f64::max);
        if best.as_ref().is_none_or(|b| largest < b.largest) {
            best = Some(Minimax {
                coefficients,
                largest,
                bound,
                rounding,
            });
        }
        if largest <= level.abs() * (1.0 + LEVEL) + rounding || extrema.len() < count {
            break;
        }
        reference = alternating(extrema, count)
            .into_iter()
            .map(sample)
            .collect();
    }
    if let Some(best) = &mut best {
        best.bound = bound.min(best.largest);
    }
    best
}

/// The polynomial whose error alternates with equal size on the reference, and that size.
fn levelled(reference: &[Sample], degree: usize) -> Option<(Vec<f64>, f64)> {
    let mut rows = Vec::with_capacity(reference.len());
    let mut values = Vec::with_capacity(reference.len());
    for (i, p) in reference.iter().enumerate() {
        let mut row: Vec<f64> = (0..=degree)
            .map(|k| p.m * libm::cos(k as f64 * p.angle))
            .collect();
        row.push(if i % 2 == 0 { 1.0 } else { -1.0 });
        rows.push(row);
        values.push(p.g);
    }
    let mut solution = solve(rows, values)?;
    let level = solution.pop()?;
    Some((solution, level))
}

/// The largest error of each stretch of one sign: angle and value, in order of the angle.
///
/// Every maximum on the grid is refined before they are compared: at a kink of the function the error has a peak that the
/// grid may cut off, beside a smooth maximum that it shows in full.
fn extrema(errors: &[(f64, f64)], error: &dyn Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let mut found: Vec<(f64, f64)> = Vec::new();
    for (i, (angle, e)) in errors.iter().enumerate().filter(|(_, (_, e))| *e != 0.0) {
        let (lo, hi) = (i.saturating_sub(1), (i + 1).min(errors.len() - 1));
        let beside = |j: usize| errors[j].1 * e.signum();
        let maximum = e.abs() >= beside(lo) && e.abs() >= beside(hi);
        let candidate = if maximum {
            refined(error, (errors[lo].0, errors[hi].0), (*angle, *e))
        } else {
            (*angle, *e)
        };
        match found.last_mut() {
            Some(last) if (last.1 > 0.0) == (*e > 0.0) => {
                if candidate.1.abs() > last.1.abs() {
                    *last = candidate;
                }
            }
            _ => found.push(candidate),
        }
    }
    found
}

/// The maximum of `|error|` near a point of the grid: argument and error there.
fn refined(error: &dyn Fn(f64) -> f64, around: (f64, f64), at: (f64, f64)) -> (f64, f64) {
    let (angle, size) = golden(&|x| at.1.signum() * error(x), around.0, around.1);
    // Between the grid's points lies the maximum, unless it is at an end.
    if size > at.1.abs() {
        (angle, size * at.1.signum())
    } else {
        at
    }
}

/// The largest value of `f` between two arguments by golden section: argument and value.
pub(super) fn golden(f: &dyn Fn(f64) -> f64, mut lo: f64, mut hi: f64) -> (f64, f64) {
    const RATIO: f64 = 0.618_033_988_749_894_9;
    /// Leaves 1e-5 of the interval: at a kink the error falls linearly from its peak.
    const STEPS: usize = 24;
    let (mut a, mut b) = (hi - RATIO * (hi - lo), lo + RATIO * (hi - lo));
    let (mut fa, mut fb) = (f(a), f(b));
    for _ in 0..STEPS {
        if fa > fb {
            (hi, b, fb) = (b, a, fa);
            a = hi - RATIO * (hi - lo);
            fa = f(a);
        } else {
            (lo, a, fa) = (a, b, fb);
            b = lo + RATIO * (hi - lo);
            fb = f(b);
        }
    }
    if fa > fb { (a, fa) } else { (b, fb) }
}

/// `count` of the alternating extrema, the small ones dropped so that signs go on alternating.
fn alternating(mut extrema: Vec<(f64, f64)>, count: usize) -> Vec<f64> {
    while extrema.len() > count {
        let size = |i: usize| extrema[i].1.abs();
        let last = extrema.len() - 1;
        if extrema.len() == count + 1 {
            extrema.remove(if size(0) < size(last) { 0 } else { last });
            continue;
        }
        let smallest = (0..=last)
            .min_by(|i, j| size(*i).total_cmp(&size(*j)))
            .unwrap_or(0);
        if smallest == 0 || smallest == last {
            extrema.remove(smallest);
        } else {
            // Its neighbours have one sign; the larger of them stays.
            let other = if size(smallest - 1) < size(smallest + 1) {
                smallest - 1
            } else {
                smallest + 1
            };
            extrema.remove(smallest.max(other));
            extrema.remove(smallest.min(other));
        }
    }
    extrema.into_iter().map(|(angle, _)| angle).collect()
}
