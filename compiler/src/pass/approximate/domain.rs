//! The domain of an approximation, and functions that need none on it.

use crate::approx::{Structure, structure};
use cipherloom_ir::Range;
use cipherloom_ir::tensor::{Function, Pole};

/// A symmetric domain may be wider than needed by this factor: an even or odd polynomial of a degree takes as many
/// products as another of half the degree.
const SYMMETRY: f64 = 1.6;
/// Widths and values are told from 0 relative to this.
const ROUNDING: f64 = 1e-12;

/// The range, widened by the margin, on which a function is approximated; why there is none, in words.
///
/// A function that is defined above 0 alone gets a factor of the margin on both sides, so that positive values stay
/// positive. Where the function has a symmetry about 0 the domain is symmetric, unless that costs more than it gives.
pub(super) fn domain(function: &Function, seen: Range, margin: f64) -> Result<Range, String> {
    let widened = match function.pole() {
        Some(pole) => beside(pole, seen, margin).ok_or_else(|| {
            let formula = function.formula();
            format!(
                "{formula} has no value {}, and its operand takes values from {:.4} to {:.4}",
                place(pole),
                seen.lo,
                seen.hi
            )
        })?,
        None => seen.widened(margin),
    };
    let bound = widened.max_abs();
    if !bound.is_finite() {
        return Err("its operand's values are not bounded".into());
    }
    // One value alone leaves no width to fit on.
    let least = ROUNDING * bound.max(1e-30);
    let domain = if widened.hi - widened.lo > least {
        widened
    } else {
        let room = 1e-3 * bound.max(1e-3);
        Range {
            lo: widened.lo - room,
            hi: widened.hi + room,
        }
    };
    let symmetric = Range {
        lo: -domain.max_abs(),
        hi: domain.max_abs(),
    };
    let kept = domain.contains(0.0)
        && function.pole().is_none()
        && symmetric.hi - symmetric.lo <= SYMMETRY * (domain.hi - domain.lo);
    if kept && structure(&|x| function.eval(x), symmetric) != Structure::General {
        return Ok(symmetric);
    }
    Ok(domain)
}

/// Where a pole lies, in words.
pub(super) fn place(pole: Pole) -> &'static str {
    match pole {
        Pole::Negative => "below 0",
        Pole::NonPositive => "at 0 and below",
        Pole::Zero => "at 0",
    }
}

/// The range widened by the margin without reaching a pole; `None` where the values themselves reach it.
fn beside(pole: Pole, seen: Range, margin: f64) -> Option<Range> {
    if pole.lies_in(seen) {
        return None;
    }
    if seen.lo > 0.0 {
        return Some(Range {
            lo: seen.lo / margin,
            hi: seen.hi * margin,
        });
    }
    if seen.hi < 0.0 {
        return Some(Range {
            lo: seen.lo * margin,
            hi: seen.hi / margin,
        });
    }
    // A root of values from 0 on: nothing lies below.
    Some(Range {
        lo: 0.0,
        hi: seen.hi * margin,
    })
}

/// Slope and constant of a function that is a straight line on a domain: Relu above 0, a clip that never acts.
pub(super) fn straight(function: &Function, domain: Range) -> Option<(f64, f64)> {
    let (first, last) = (function.eval(domain.lo), function.eval(domain.hi));
    let width = domain.hi - domain.lo;
    let slope = (last - first) / width;
    let at = |i: i32| domain.lo + width * f64::from(i) / 1024.0;
    let scale = first
        .abs()
        .max(last.abs())
        .max(slope.abs() * domain.max_abs());
    let line = |x: f64| first + slope * (x - domain.lo);
    let all = (0..=1024).all(|i| (function.eval(at(i)) - line(at(i))).abs() <= ROUNDING * scale);
    if !all || !slope.is_finite() {
        return None;
    }
    // Slopes that people write are met exactly.
    let rounded = [0.0, 1.0, -1.0]
        .into_iter()
        .find(|s| (slope - s).abs() < 1e-9);
    let slope = rounded.unwrap_or(slope);
    let constant = function.eval(domain.lo) - slope * domain.lo;
    let constant = if constant.abs() <= ROUNDING * scale {
        0.0
    } else {
        constant
    };
    Some((slope, constant))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(lo: f64, hi: f64) -> Range {
        Range { lo, hi }
    }

    #[test]
    fn symmetric_functions_get_symmetric_domains() {
        let of = |f: Function, lo, hi| domain(&f, range(lo, hi), 2.0).unwrap();
        assert_eq!(of(Function::Relu, -3.0, 2.0), range(-5.5, 5.5));
        assert_eq!(of(Function::Tanh, -1.0, 1.0), range(-2.0, 2.0));
        assert_eq!(of(Function::Softplus, -1.0, 1.5), range(-2.75, 2.75));
        // No symmetry, or one that would cost too much.
        assert_eq!(of(Function::Exp, -1.0, 1.0), range(-2.0, 2.0));
        assert_eq!(of(Function::Exp, -1.0, 1.5), range(-2.25, 2.75));
        assert_eq!(of(Function::Sigmoid, 4.0, 8.0), range(2.0, 10.0));
        assert_eq!(of(Function::Sigmoid, 2.0, 8.0), range(-1.0, 11.0));
    }

    #[test]
    fn domains_keep_off_poles() {
        let of = |f: Function, lo, hi| domain(&f, range(lo, hi), 2.0);
        assert_eq!(of(Function::Log, 0.5, 4.0), Ok(range(0.25, 8.0)));
        assert_eq!(of(Function::Sqrt, 0.0, 4.0), Ok(range(0.0, 8.0)));
        assert_eq!(of(Function::Reciprocal, -4.0, -1.0), Ok(range(-8.0, -0.5)));
        assert_eq!(
            of(Function::Pow { exponent: -0.5 }, 1.0, 2.0),
            Ok(range(0.5, 4.0))
        );
        let refused = [
            (Function::Log, 0.0, 1.0),
            (Function::Sqrt, -0.1, 1.0),
            (Function::Reciprocal, -1.0, 1.0),
            (Function::Pow { exponent: 1.5 }, -1.0, 1.0),
        ];
        for (function, lo, hi) in refused {
            let error = of(function, lo, hi).unwrap_err();
            assert!(error.contains("has no value"), "{error}");
        }
    }

    #[test]
    fn a_point_gets_some_width() {
        let found = domain(&Function::Exp, range(1.0, 1.0), 2.0).unwrap();
        assert!(found.lo < 1.0 && found.hi > 1.0);
        let found = domain(&Function::Relu, range(0.0, 0.0), 2.0).unwrap();
        assert!(found.lo < 0.0 && found.hi > 0.0);
    }

    #[test]
    fn straight_pieces_are_seen() {
        let of = |f: Function, lo, hi| straight(&f, range(lo, hi));
        assert_eq!(of(Function::Relu, 0.0, 3.0), Some((1.0, 0.0)));
        assert_eq!(of(Function::Relu, -3.0, -0.5), Some((0.0, 0.0)));
        assert_eq!(of(Function::Relu, -1.0, 1.0), None);
        let clip = Function::Clip { lo: 0.0, hi: 6.0 };
        assert_eq!(of(clip.clone(), 1.0, 5.0), Some((1.0, 0.0)));
        assert_eq!(of(clip, 7.0, 9.0), Some((0.0, 6.0)));
        assert_eq!(of(Function::Abs, -3.0, -1.0), Some((-1.0, 0.0)));
        let (slope, _) = of(Function::LeakyRelu { alpha: 0.01 }, -3.0, -1.0).unwrap();
        assert!((slope - 0.01).abs() < 1e-15);
        let (slope, constant) = of(
            Function::HardSigmoid {
                alpha: 0.2,
                beta: 0.5,
            },
            -1.0,
            1.0,
        )
        .unwrap();
        assert!((slope - 0.2).abs() < 1e-15 && (constant - 0.5).abs() < 1e-15);
        assert_eq!(of(Function::Silu, 0.0, 3.0), None);
    }
}
