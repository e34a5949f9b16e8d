use super::composite::CompositeSign;
use super::remez::minimax;
use super::*;
use cipherloom_ir::Range;
use proptest::prelude::*;

fn around_zero(bound: f64) -> Range {
    Range {
        lo: -bound,
        hi: bound,
    }
}

fn relu(x: f64) -> f64 {
    x.max(0.0)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// A function, the end of its domain, and the largest errors at degrees 7, 15, 31, 63.
type Row = (fn(f64) -> f64, f64, [f64; 4]);

#[test]
fn interpolation_errs_as_the_poles_foretell() {
    // The errors fall by rho = pi/B + sqrt(1 + (pi/B)^2) per degree for poles at +-i pi; figures of the literature's size
    // computed independently.
    let rows: [Row; 8] = [
        (silu, 4.0, [1.2e-2, 3.9e-5, 4e-10, 0.0]),
        (silu, 8.0, [0.19, 8.7e-3, 1.9e-5, 9e-11]),
        (silu, 16.0, [0.85, 0.18, 7.8e-3, 1.5e-5]),
        (gelu, 8.0, [0.39, 4.5e-2, 9.2e-5, 0.0]),
        (sigmoid, 8.0, [3.0e-2, 1.4e-3, 3.0e-6, 0.0]),
        (sigmoid, 16.0, [0.11, 2.8e-2, 1.2e-3, 2.4e-6]),
        (libm::tanh, 4.0, [5.9e-2, 2.8e-3, 6e-6, 0.0]),
        (libm::tanh, 8.0, [0.22, 5.6e-2, 2.5e-3, 4.8e-6]),
    ];
    for (f, bound, expected) in rows {
        for (degree, expected) in [7, 15, 31, 63].into_iter().zip(expected) {
            let series = Series::interpolate(&f, around_zero(bound), degree);
            let error = series.sup_error(&f);
            if expected > 0.0 {
                assert!(
                    (0.8..1.25).contains(&(error / expected)),
                    "B = {bound}, degree {degree}: {error:.2e}, expected {expected:.2e}"
                );
            } else {
                assert!(error < 1e-9, "B = {bound}, degree {degree}: {error:.2e}");
            }
        }
    }
}

#[test]
fn minimax_of_relu_follows_bernsteins_constant() {
    // Bernstein 1914: d E_d(|x|) -> 0.28017; Relu has half of it.
    let expected = [
        (14, -6.65),
        (30, -7.74),
        (62, -8.79),
        (126, -9.81),
        (254, -10.82),
    ];
    for (degree, bits) in expected {
        let found = fit(&relu, around_zero(3.0), degree, Method::Minimax).unwrap();
        assert_eq!(found.structure, Structure::Even { slope: 0.5 });
        assert_eq!(found.series.degree(), degree);
        let odd = found.series.coefficients.iter().skip(3).step_by(2);
        assert!(odd.clone().count() == degree / 2 - 1 && odd.clone().all(|c| *c == 0.0));
        let error = found.sup_error / 3.0;
        assert!(
            (libm::log2(error) - bits).abs() < 0.01,
            "{degree}: {}",
            libm::log2(error)
        );
        let constant = 2.0 * error * degree as f64;
        assert!((constant - 0.28017).abs() < 0.01, "{degree}: {constant}");
    }
}

#[test]
fn remez_errors_alternate_at_equal_size() {
    let wave = |s: f64| libm::exp(s) + libm::sin(7.0 * s) + (s - 0.3).abs();
    let known = |s: f64| libm::exp(s);
    // E_3(exp) on [-1, 1], known to be 0.005528.
    let cubic = minimax(&known, &|_| 1.0, 3).unwrap();
    assert!(
        (cubic.largest - 0.005_528_37).abs() < 1e-7,
        "{}",
        cubic.largest
    );
    for degree in [1, 2, 5, 12, 40, 127, 255] {
        let found = minimax(&wave, &|_| 1.0, degree).unwrap();
        assert!(
            found.largest <= found.bound * 1.001,
            "{degree}: {} above the bound {}",
            found.largest,
            found.bound
        );
        // Independently of the exchange: count alternations of nearly full size on a fine grid.
        let (mut signs, mut last) = (0, 0.0);
        for i in 0..=200_000 {
            let s = libm::cos(std::f64::consts::PI * f64::from(i) / 200_000.0);
            let error = wave(s) - clenshaw(&found.coefficients, s);
            assert!(error.abs() <= found.largest * 1.0001);
            if error.abs() > 0.98 * found.largest && error * last <= 0.0 {
                (signs, last) = (signs + 1, error);
            }
        }
        assert!(signs >= degree + 2, "{degree}: {signs} alternations");
    }
}

#[test]
fn odd_and_general_functions_are_fitted_within_the_bound_of_their_poles() {
    let tanh = fit(&libm::tanh, around_zero(8.0), 63, Method::Minimax).unwrap();
    assert!(matches!(tanh.structure, Structure::Odd { centre: 0.0 }));
    assert!(
        tanh.series
            .coefficients
            .iter()
            .step_by(2)
            .all(|c| *c == 0.0)
    );
    assert!(tanh.sup_error < 4.8e-6, "{}", tanh.sup_error);
    let sigmoid = fit(&sigmoid, around_zero(8.0), 31, Method::Minimax).unwrap();
    assert!(matches!(sigmoid.structure, Structure::Odd { centre: 0.5 }));
    assert!(sigmoid.sup_error < 3.0e-6, "{}", sigmoid.sup_error);
    let log = fit(&libm::log, Range { lo: 0.5, hi: 4.0 }, 15, Method::Minimax).unwrap();
    assert_eq!(log.structure, Structure::General);
    assert!(log.sup_error < 2e-6, "{}", log.sup_error);
    // A domain that a pole lies in has no fit.
    assert_eq!(fit(&libm::log, around_zero(1.0), 15, Method::Minimax), None);
}

#[test]
fn a_polynomial_is_found_exactly() {
    let p = |x: f64| 1.0 - 2.0 * x + 0.5 * x * x * x;
    let domain = Range { lo: -1.5, hi: 4.0 };
    let mut density = Density::new(domain);
    density.add(&[0.0, 1.0, 1.5, 2.0]);
    let squares = Method::LeastSquares {
        density: &density,
        floor: 1e-3,
    };
    for method in [Method::Interpolation, Method::Minimax, squares] {
        let found = fit(&p, domain, 6, method).unwrap();
        assert!(found.sup_error < 1e-10, "{method:?}: {}", found.sup_error);
        let short = found.series.trimmed(1e-9);
        assert_eq!(
            (short.degree(), short.coefficients.len()),
            (3, 4),
            "{method:?}"
        );
    }
}

/// A fixed sample of a Gaussian, by quantiles of a sum of uniform numbers.
fn gaussian(sigma: f64) -> Vec<f64> {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let one = |_| sigma * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0);
    (0..50_000).map(one).collect()
}

#[test]
fn least_squares_beat_minimax_where_the_values_are() {
    let domain = around_zero(1.0);
    let mut density = Density::new(domain);
    density.add(&gaussian(1.0 / 6.0));
    let squares = Method::LeastSquares {
        density: &density,
        floor: 1e-3,
    };
    for degree in [14, 30, 62, 126] {
        let by_squares = fit(&relu, domain, degree, squares).unwrap();
        let least_sup = fit(&relu, domain, degree, Method::Minimax).unwrap();
        let rms = |fit: &Fit| density.rms(&|x| fit.series.eval(x) - relu(x));
        let gain = rms(&least_sup) / rms(&by_squares);
        assert!(gain > 1.3, "{degree}: {gain}");
        // The floor keeps the tails in reach: without one they err by 2^-3 to 2^-5.
        let tail = by_squares.sup_error / least_sup.sup_error;
        assert!((1.0..10.0).contains(&tail), "{degree}: {tail}");
    }
}

#[test]
fn without_values_least_squares_is_the_truncated_series() {
    let domain = around_zero(4.0);
    let empty = Density::new(domain);
    let method = Method::LeastSquares {
        density: &empty,
        floor: 1e-3,
    };
    let found = fit(&silu, domain, 14, method).unwrap();
    let best = fit(&silu, domain, 14, Method::Minimax).unwrap();
    assert!(found.sup_error < 4.0 * best.sup_error);
}

#[test]
fn compositions_reach_the_errors_of_the_literature() {
    // Degrees, gap 2^-a, and log2 of the largest error of Relu on [-1, 1].
    let rows: [(&[usize], i32, f64); 6] = [
        (&[15, 15], 5, -8.8),
        (&[15, 27], 6, -9.8),
        (&[7, 7, 15], 6, -10.0),
        (&[31, 31], 7, -10.9),
        (&[7, 15, 15], 7, -11.1),
        (&[15, 15, 27], 9, -13.1),
    ];
    for (degrees, a, bits) in rows {
        let sign = CompositeSign::new(degrees, f64::exp2(f64::from(-a))).unwrap();
        let (mut of_sign, mut of_relu) = (0.0_f64, 0.0_f64);
        for i in -20_000..=20_000 {
            let x = f64::from(i) / 20_000.0;
            if x.abs() >= sign.gap {
                of_sign = of_sign.max((sign.eval(x) - x.signum()).abs());
            }
            of_relu = of_relu.max((sign.relu(x) - relu(x)).abs());
        }
        assert!(
            of_sign <= sign.error * 1.001,
            "{degrees:?}: {of_sign} above {}",
            sign.error
        );
        assert!(
            (libm::log2(of_relu) - bits).abs() < 0.15,
            "{degrees:?}: {}",
            libm::log2(of_relu)
        );
    }
    let sign = CompositeSign::new(&[15, 15, 27], 2.0_f64.powi(-9)).unwrap();
    assert_eq!(sign.depth(), 13);
    assert_eq!(CompositeSign::new(&[14], 0.1), None);
    assert_eq!(CompositeSign::new(&[3], 0.0), None);
}

/// The error that is wanted, outside of the gap; no value beyond the domain of the polynomial that takes it; no fewer levels.
#[test]
fn compositions_meet_the_wanted_error_with_fewest_levels() {
    for (gap, error) in [(7, 8), (7, 13), (10, 10), (4, 20)] {
        let (gap, error) = (2.0_f64.powi(-gap), 2.0_f64.powi(-error));
        let sign = CompositeSign::cheapest(gap, error, 24).unwrap();
        let mut largest = 0.0_f64;
        for i in -20_000..=20_000 {
            let x = f64::from(i) / 20_000.0;
            let mut y = x;
            for stage in &sign.stages {
                assert!(y.abs() <= 1.0, "{y} at {x}");
                y = stage.eval(y);
            }
            if x.abs() >= gap {
                largest = largest.max((y - x.signum()).abs());
            }
        }
        assert!(largest <= sign.error * 1.001 + 1e-12 && sign.error <= error);
        assert_eq!(CompositeSign::cheapest(gap, error, sign.depth() - 1), None);
        println!("{gap} {error}: {} levels", sign.depth());
    }
    assert_eq!(CompositeSign::cheapest(1e-4, 1e-4, 6), None);
}

#[test]
fn degrees_fill_their_levels() {
    let even = Structure::Even { slope: 0.5 };
    let degrees = |s| (2..=8).map(|d| degree_of_depth(s, d)).collect::<Vec<_>>();
    assert_eq!(degrees(even), [2, 6, 14, 30, 62, 126, 254]);
    assert_eq!(degrees(Structure::General), [3, 7, 15, 31, 63, 127, 255]);
}

#[test]
fn symmetry_is_seen() {
    let of = |f: &dyn Fn(f64) -> f64| structure(f, around_zero(5.0));
    assert_eq!(of(&|x| x.max(0.1 * x)), Structure::Even { slope: 0.55 });
    assert_eq!(of(&|x| x.abs()), Structure::Even { slope: 0.0 });
    assert!(matches!(of(&silu), Structure::Even { slope } if (slope - 0.5).abs() < 1e-12));
    assert!(matches!(of(&gelu), Structure::Even { .. }));
    assert_eq!(of(&|x| x.clamp(0.0, 3.0)), Structure::General);
    assert_eq!(
        structure(&silu, Range { lo: -5.0, hi: 4.0 }),
        Structure::General
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn evaluation_agrees_with_the_cosines(
        coefficients in prop::collection::vec(-2.0_f64..2.0, 1..40),
        points in prop::collection::vec(-1.0_f64..1.0, 1..20),
    ) {
        let mut all = points.clone();
        clenshaw_all(&coefficients, &mut all);
        for (t, found) in points.iter().zip(all) {
            let terms = coefficients.iter().enumerate();
            let expected: f64 = terms.map(|(k, c)| c * libm::cos(k as f64 * libm::acos(*t))).sum();
            prop_assert!((found - expected).abs() < 1e-11);
            prop_assert_eq!(found, clenshaw(&coefficients, *t));
        }
    }

    #[test]
    fn even_series_are_evaluated_as_such(
        coefficients in prop::collection::vec(-2.0_f64..2.0, 4..40),
        points in prop::collection::vec(-3.0_f64..5.0, 1..20),
        even in any::<bool>(),
    ) {
        let mut coefficients = coefficients;
        if even {
            coefficients.iter_mut().skip(3).step_by(2).for_each(|c| *c = 0.0);
        }
        let series = Series { domain: Range { lo: -3.0, hi: 5.0 }, coefficients };
        let mut all = points.clone();
        series.eval_all(&mut all);
        for (x, found) in points.iter().zip(all) {
            prop_assert!((found - series.eval(*x)).abs() < 1e-10);
        }
    }

    #[test]
    fn no_other_method_errs_less_than_minimax(
        lo in -6.0_f64..-0.1,
        hi in 0.1_f64..6.0,
        frequency in 0.1_f64..2.0,
        degree in 1_usize..24,
    ) {
        let f = |x: f64| libm::sin(frequency * x) + (x - 0.2).abs();
        let domain = Range { lo, hi };
        let best = fit(&f, domain, degree, Method::Minimax).unwrap();
        let interpolated = fit(&f, domain, degree, Method::Interpolation).unwrap();
        prop_assert!(best.sup_error <= interpolated.sup_error * 1.0001 + 1e-12);
        // Peaks at a kink are met to a thousandth.
        let coarser = fit(&f, domain, degree - 1, Method::Minimax).unwrap();
        prop_assert!(best.sup_error <= coarser.sup_error * 1.002 + 1e-12);
    }

    /// Of an even function an odd degree gives nothing, of an odd one an even degree; nearly so, nearly nothing.
    #[test]
    fn no_degree_errs_more_than_the_one_below(
        bound in 0.5_f64..6.0,
        frequency in 0.1_f64..4.0,
        kink in 0.0_f64..1.0,
        bits in -45_i32..0,
        even in any::<bool>(),
        degree in 1_usize..40,
    ) {
        let rest = f64::exp2(f64::from(bits));
        let f = |x: f64| {
            let even_part = libm::cos(frequency * x) + kink * x.abs();
            let odd_part = libm::sin(frequency * x) + kink * x * x.abs();
            if even { even_part + rest * odd_part } else { odd_part + rest * even_part }
        };
        let degrees = [degree - 1, degree];
        let [coarser, best] = degrees.map(|d| fit(&f, around_zero(bound), d, Method::Minimax).unwrap());
        prop_assert!(best.sup_error <= coarser.sup_error * 1.002 + 1e-12, "{} after {}", best.sup_error, coarser.sup_error);
    }
}
