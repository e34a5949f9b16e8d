//! Programs against Clenshaw's recurrence and the scheme's rules.

use super::*;
use cipherloom_ir::Scale;
use cipherloom_ir::params::ntt_primes_near;

struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 30) as f64 - 1.0
    }

    fn polynomial(&mut self, degree: usize, kept: impl Fn(usize) -> bool) -> Vec<f64> {
        let mut made: Vec<f64> = (0..=degree)
            .map(|k| if kept(k) { self.unit() } else { 0.0 })
            .collect();
        made[degree] = 0.5 + self.unit().abs();
        made
    }
}

fn log2_up(k: usize) -> usize {
    (0..).find(|n| 1 << n >= k).unwrap()
}

/// The sum of T_k by their definition, cos(k arccos t).
fn by_cosines(coefficients: &[f64], t: f64) -> f64 {
    let angle = t.acos();
    coefficients
        .iter()
        .enumerate()
        .map(|(k, c)| c * (k as f64 * angle).cos())
        .sum()
}

fn points() -> impl Iterator<Item = f64> {
    (0..=40).map(|i| f64::from(i - 20) / 20.0)
}

/// Values, depths and order of a program.
fn check(coefficients: &[f64]) -> Program {
    let degree = coefficients.len() - 1;
    let program = Program::new(coefficients);
    assert_eq!(program.depth(), log2_up(degree + 1), "degree {degree}");
    let depth = |v: usize| if v == 0 { 0 } else { program.sums[v - 1].depth };
    let mut blocks = vec![0; program.sums.len() + 1];
    for (i, sum) in program.sums.iter().enumerate() {
        assert!(sum.gain == 2 || sum.role == Role::Block);
        assert!(sum.depth >= 1 && sum.products.len() + sum.terms.len() > 0);
        let read = sum.products.iter().flat_map(|(a, b)| [*a, *b]);
        for v in read.chain(sum.terms.iter().map(|(v, _)| *v)) {
            assert!(v <= i && depth(v) < sum.depth, "degree {degree}: {sum:?}");
            blocks[v] += usize::from(v > 0 && program.sums[v - 1].role == Role::Block);
        }
    }
    // Every block is read once, the result by nobody.
    let last = program.sums.len();
    for (i, sum) in program.sums.iter().enumerate() {
        let expected = usize::from(sum.role == Role::Block && i + 1 < last);
        assert_eq!(blocks[i + 1], expected, "degree {degree}, value {}", i + 1);
    }
    for t in points() {
        let expected = by_cosines(coefficients, t);
        let tolerance = 1e-10 * (degree + 1) as f64;
        let found = *program.eval(t).last().unwrap();
        assert!(
            (found - expected).abs() < tolerance,
            "degree {degree} at {t}: {found} for {expected}"
        );
        assert!((clenshaw(coefficients, t) - expected).abs() < tolerance);
    }
    program
}

#[test]
fn every_degree_takes_the_levels_of_its_logarithm() {
    let mut random = Random(1);
    for degree in 1..=255 {
        check(&random.polynomial(degree, |_| true));
        check(&random.polynomial(degree, |k| k % 2 == degree % 2));
        // As for a ReLU: even, and a multiple of t.
        if degree % 2 == 0 {
            check(&random.polynomial(degree, |k| k % 2 == 0 || k == 1));
        }
    }
}

/// One for each sum with a product.
fn key_switches(program: &Program) -> usize {
    let sums = program.sums.iter();
    sums.filter(|s| !s.products.is_empty()).count()
}

#[test]
fn key_switches_are_few() {
    let mut random = Random(2);
    let mut general = |degree| key_switches(&Program::new(&random.polynomial(degree, |_| true)));
    for (degree, most) in [
        (1, 0),
        (3, 2),
        (7, 4),
        (15, 7),
        (31, 10),
        (63, 16),
        (127, 23),
    ] {
        assert!(general(degree) <= most, "{degree}: {}", general(degree));
    }
    let mut even = |degree| {
        key_switches(&Program::new(
            &random.polynomial(degree, |k| k % 2 == 0 || k == 1),
        ))
    };
    for (degree, most) in [(2, 1), (6, 3), (14, 5), (30, 8), (62, 11), (126, 17)] {
        assert!(even(degree) <= most, "{degree}: {}", even(degree));
    }
}

/// The scheme's own rules on exact scales: products of a sum have one scale, its own times the prime over its gain.
#[test]
fn scales_fit_exactly() {
    let mut random = Random(3);
    let primes: Vec<Scale> = ntt_primes_near(13, 30.0, 9, &[])
        .into_iter()
        .map(|q| Scale::from_u64(q).unwrap())
        .collect();
    for degree in 1..=127 {
        let program = Program::new(&random.polynomial(degree, |_| true));
        let (operand, result) = (Scale::pow2(31), Scale::from_u64(987_654_321).unwrap());
        let scales = program.scales(&operand, &result, |d| primes[d].clone());
        assert_eq!(scales.first(), Some(&operand));
        assert_eq!(scales.last(), Some(&result));
        for (i, sum) in program.sums.iter().enumerate() {
            let open = scales[i + 1].mul(&primes[sum.depth]);
            for (a, b) in &sum.products {
                let product = scales[*a].mul(&scales[*b]);
                assert_eq!(
                    product,
                    open.mul(&Scale::from_u64(u64::from(sum.gain)).unwrap())
                );
            }
        }
        let logs = program.scales(&LogScale(operand.log2()), &LogScale(result.log2()), |d| {
            LogScale(primes[d].log2())
        });
        for (log, exact) in logs.iter().zip(&scales) {
            assert!((log.0 - exact.log2()).abs() < 1e-6, "{log:?} for {exact:?}");
        }
    }
}

/// Chebyshev coefficients of the derivative.
fn derivative(coefficients: &[f64]) -> Vec<f64> {
    // c'_{k-1} = c'_{k+1} + 2 k c_k, and half of that for k = 1 (Mason and Handscomb, "Chebyshev Polynomials", 2.4.4).
    let n = coefficients.len();
    let mut d = vec![0.0; n + 1];
    for k in (1..n).rev() {
        d[k - 1] = d.get(k + 1).copied().unwrap_or(0.0) + 2.0 * k as f64 * coefficients[k];
    }
    d[0] /= 2.0;
    d.truncate(n.saturating_sub(1).max(1));
    d
}

#[test]
fn adjoints_are_derivatives() {
    let mut random = Random(4);
    for degree in [3, 7, 12, 31] {
        let program = Program::new(&random.polynomial(degree, |_| true));
        for t in [-0.9, -0.3, 0.2, 0.7] {
            let values = program.eval(t);
            let root = values.len() - 1;
            let adjoints = program.adjoints(&values, root);
            // An error of each value alone, by differences.
            for (v, adjoint) in adjoints.iter().enumerate() {
                let step = 1e-6;
                let moved = |delta: f64| {
                    let mut all = values.clone();
                    all[v] += delta;
                    for i in v..program.sums.len() {
                        let sum = &program.sums[i];
                        let products: f64 =
                            sum.products.iter().map(|(a, b)| all[*a] * all[*b]).sum();
                        let terms: f64 = sum.terms.iter().map(|(v, f)| f * all[*v]).sum();
                        all[i + 1] = f64::from(sum.gain) * products + terms + sum.constant;
                    }
                    all[root]
                };
                let expected = (moved(step) - moved(-step)) / (2.0 * step);
                assert!(
                    (adjoint - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                    "{adjoint} for {expected}"
                );
            }
            let slope = clenshaw(&derivative(&program.coefficients), t);
            assert!((adjoints[0] - slope).abs() < 1e-8 * (1.0 + slope.abs()));
        }
    }
}

#[test]
fn monomials_become_chebyshev_series() {
    let coefficients = [0.3, -1.0, 0.5, 0.0, 0.25, -0.125];
    let (lo, hi) = (-1.5, 4.0);
    let series = from_monomials(&coefficients, lo, hi);
    assert_eq!(series.len(), coefficients.len());
    for t in points() {
        let x: f64 = (lo + hi) / 2.0 + (hi - lo) / 2.0 * t;
        let expected: f64 = coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
        assert!((clenshaw(&series, t) - expected).abs() < 1e-9, "{t}");
    }
    assert_eq!(from_monomials(&[2.0], 0.0, 1.0), [2.0]);
}

#[test]
fn a_factor_scales_the_result() {
    let program = check(&[0.25, 1.0, -0.5, 0.125]);
    let scaled = program.scaled(-3.0);
    for t in points() {
        let (a, b) = (
            *program.eval(t).last().unwrap(),
            *scaled.eval(t).last().unwrap(),
        );
        assert!((b + 3.0 * a).abs() < 1e-12);
    }
}
