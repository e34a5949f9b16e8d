//! Fits that keep the symmetry of a function.

use super::density::Density;
use super::least_squares::least_squares;
use super::remez::minimax;
use super::series::{Series, interpolate};
use cipherloom_ir::Range;

/// Relative to the largest value, what counts as zero when symmetry is looked for.
const ROUNDING: f64 = 1e-12;

/// The symmetry of a function over a domain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Structure {
    /// A multiple of x plus an even function: Relu, Silu, Gelu, Softplus, Abs.
    Even {
        /// The multiple.
        slope: f64,
    },
    /// A constant plus an odd function: Tanh, Sigmoid, Erf.
    Odd {
        /// The constant.
        centre: f64,
    },
    /// No symmetry about 0, or a domain that has none.
    General,
}

/// How a polynomial is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method<'a> {
    /// Equality at Chebyshev nodes.
    Interpolation,
    /// The least largest error over the domain.
    Minimax,
    /// The least mean square error over the density plus a floor.
    LeastSquares {
        /// The density of the values, over the fit's domain.
        density: &'a Density,
        /// The weight where no value was seen, relative to the largest density; about 1e-3.
        floor: f64,
    },
}

/// A fitted polynomial.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The polynomial; coefficients that symmetry makes zero are exactly zero.
    pub series: Series,
    /// The symmetry that was used.
    pub structure: Structure,
    /// The largest error over the domain.
    pub sup_error: f64,
}

/// The symmetry of `f` over a domain, found numerically.
pub fn structure(f: &dyn Fn(f64) -> f64, domain: Range) -> Structure {
    let bound = domain.hi;
    if domain.lo != -bound || bound <= 0.0 {
        return Structure::General;
    }
    let even = |x: f64| 0.5 * (f(x) + f(-x));
    let odd = |x: f64| 0.5 * (f(x) - f(-x));
    let points = || (0..=256).map(|i| bound * f64::from(i) / 256.0);
    let scale = points()
        .map(|x| f(x).abs().max(f(-x).abs()))
        .fold(0.0, f64::max);
    let (slope, centre) = (odd(bound) / bound, even(0.0));
    let none = |rest: &dyn Fn(f64) -> f64| points().all(|x| rest(x).abs() <= ROUNDING * scale);
    if none(&|x| odd(x) - slope * x) {
        Structure::Even { slope }
    } else if none(&|x| even(x) - centre) {
        Structure::Odd { centre }
    } else {
        Structure::General
    }
}

/// The highest degree that takes `depth` levels with this symmetry. An even polynomial is one of half the degree in
/// T_2, which takes a level itself.
pub fn degree_of_depth(structure: Structure, depth: u32) -> usize {
    let all = 1_usize << depth.min(16);
    match structure {
        Structure::Even { .. } => all.saturating_sub(2),
        Structure::Odd { .. } | Structure::General => all - 1,
    }
}

/// Fits `f` over a domain by a polynomial of at most a degree; `None` where `f` is not finite on the domain or the method
/// fails on it.
pub fn fit(
    f: &dyn Fn(f64) -> f64,
    domain: Range,
    degree: usize,
    method: Method<'_>,
) -> Option<Fit> {
    let structure = structure(f, domain);
    let (centre, half) = (0.5 * (domain.lo + domain.hi), 0.5 * (domain.hi - domain.lo));
    let at = |t: f64| centre + half * t;
    // s = 2 t^2 - 1 for symmetric functions, of which only t >= 0 is looked at; else s = t.
    let root = |s: f64| libm::sqrt(0.5 * (1.0 + s).max(0.0));
    let coefficients = match structure {
        Structure::General => {
            let weight =
                |angle: f64, w: &dyn Fn(f64) -> f64| w(at(libm::cos(angle))) * libm::sin(angle);
            solved(&|s| f(at(s)), &|_| 1.0, &weight, degree, method)?
        }
        Structure::Even { slope } => {
            let even = |s: f64| {
                let x = at(root(s));
                0.5 * (f(x) + f(-x))
            };
            let q = solved(&even, &|_| 1.0, &folded(&at), degree / 2, method)?;
            // T_k(2 t^2 - 1) = T_{2k}(t).
            let mut all = vec![0.0; (2 * q.len() - 1).max(2)];
            q.iter().enumerate().for_each(|(k, c)| all[2 * k] = *c);
            all[1] = slope * half;
            all
        }
        Structure::Odd { centre: constant } => {
            let odd = |s: f64| {
                let x = at(root(s));
                0.5 * (f(x) - f(-x))
            };
            let q = solved(
                &odd,
                &root,
                &folded(&at),
                degree.saturating_sub(1) / 2,
                method,
            )?;
            let mut all = times_t(&q);
            all[0] = constant;
            all
        }
    };
    let series = Series {
        domain,
        coefficients,
    };
    let sup_error = series.sup_error(f);
    sup_error.is_finite().then_some(Fit {
        series,
        structure,
        sup_error,
    })
}

/// `t q(2 t^2 - 1)` in the Chebyshev basis of t: `t T_{2k} = (T_{2k+1} + T_{|2k-1|}) / 2`.
pub(super) fn times_t(q: &[f64]) -> Vec<f64> {
    let mut all = vec![0.0; 2 * q.len()];
    for (k, c) in q.iter().enumerate() {
        all[2 * k + 1] += 0.5 * c;
        all[(2 * k).abs_diff(1)] += 0.5 * c;
    }
    all
}

/// The density over the angle of s = 2 t^2 - 1, from both sides of 0.
fn folded(at: &dyn Fn(f64) -> f64) -> impl Fn(f64, &dyn Fn(f64) -> f64) -> f64 + '_ {
    move |angle, w| {
        let t = libm::cos(0.5 * angle);
        0.5 * (w(at(t)) + w(at(-t))) * libm::sin(0.5 * angle)
    }
}

/// A density as a weight over the angle of s.
type OverAngle<'a> = &'a dyn Fn(f64, &dyn Fn(f64) -> f64) -> f64;

/// The coefficients of q in `g ~ m q`.
fn solved(
    g: &dyn Fn(f64) -> f64,
    m: &dyn Fn(f64) -> f64,
    over_angle: OverAngle<'_>,
    degree: usize,
    method: Method<'_>,
) -> Option<Vec<f64>> {
    // The quotient is not defined at a zero of m, which is at no node.
    let interpolated = || interpolate(&|s| g(s) / m(s), degree);
    let found = match method {
        Method::Interpolation => interpolated(),
        Method::Minimax => minimax(g, m, degree)?.coefficients,
        Method::LeastSquares { density, floor } => {
            let w = density.weight();
            // The floor is a Chebyshev weight: without values the fit would be near minimax.
            least_squares(g, m, &|angle| over_angle(angle, &w) + floor, degree)?
        }
    };
    found.iter().all(|c| c.is_finite()).then_some(found)
}
