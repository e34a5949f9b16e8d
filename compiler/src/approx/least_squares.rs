//! Weighted least squares in the Chebyshev basis, in the form `g(s) ~ m(s) q(s)` of [`super::remez`].

use super::linear::solve_positive;
use std::f64::consts::PI;

/// Grid points per coefficient, at least.
const DENSITY: usize = 16;
/// Grid points, at least.
const POINTS: usize = 2048;

/// The coefficients of the q of a degree that minimises `sum w (g - m q)^2` over a grid that is even in the angle of
/// `s = cos(angle)`; the weight is that of the angle. `None` where the weight leaves a coefficient undetermined.
pub(super) fn least_squares(
    g: &dyn Fn(f64) -> f64,
    m: &dyn Fn(f64) -> f64,
    weight: &dyn Fn(f64) -> f64,
    degree: usize,
) -> Option<Vec<f64>> {
    let points = POINTS.max(DENSITY * (degree + 1));
    // Products of basis functions are sums of two: T_j T_k = (T_{j+k} + T_{|j-k|}) / 2.
    let mut moments = vec![0.0; 2 * degree + 1];
    let mut values = vec![0.0; degree + 1];
    for i in 0..points {
        let angle = PI * (i as f64 + 0.5) / points as f64;
        let s = libm::cos(angle);
        let (w, factor) = (weight(angle), m(s));
        let (square, value) = (w * factor * factor, w * factor * g(s));
        let (mut previous, mut current) = (s, 1.0);
        for (k, moment) in moments.iter_mut().enumerate() {
            *moment += square * current;
            if let Some(sum) = values.get_mut(k) {
                *sum += value * current;
            }
            (previous, current) = (current, 2.0 * s * current - previous);
        }
    }
    let gram = (0..=degree)
        .map(|j| {
            (0..=j)
                .map(|k| 0.5 * (moments[j + k] + moments[j - k]))
                .collect()
        })
        .collect();
    solve_positive(gram, values)
}
