//! How far outputs with polynomials lie from the exact ones, and what that means for decisions.

use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{Function, Module, Op};
use std::sync::Arc;

/// The exact outputs of all samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Judge {
    /// By sample and output.
    exact: Vec<Vec<Arc<Tensor>>>,
    /// By output: the threshold of one with a single element.
    thresholds: Vec<f64>,
    /// By output: the largest absolute value.
    largest: Vec<f64>,
}

/// How good approximate outputs are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quality {
    /// The share of samples that are decided otherwise.
    pub(super) disagreement: f64,
    /// The share that is expected of other samples with such margins, if errors are Gaussian of the size seen.
    pub(super) expected: f64,
    /// The root of the mean square error, relative to the output's largest value.
    pub(super) rms: f64,
    /// The largest error, relative to the output's largest value.
    pub(super) largest: f64,
}

impl Judge {
    /// The judge of a network's outputs on all samples.
    pub(super) fn new(module: &Module, exact: Vec<Vec<Arc<Tensor>>>) -> Self {
        let sigmoid = |mut node| {
            while let Some(Op::Reshape) = module.graph.get(node).map(|n| &n.op) {
                let Some(operand) = module.graph.operands(node).first().copied() else {
                    break;
                };
                node = operand;
            }
            let op = module.graph.get(node).map(|n| &n.op);
            matches!(op, Some(Op::Function(Function::Sigmoid)))
        };
        let threshold = |o: &cipherloom_ir::tensor::Output| if sigmoid(o.node) { 0.5 } else { 0.0 };
        let largest = |o: usize| {
            let values = exact.iter().filter_map(|s| s.get(o)).flat_map(|t| t.data());
            values.fold(0.0_f64, |m, v| m.max(v.abs()))
        };
        Self {
            thresholds: module.outputs.iter().map(threshold).collect(),
            largest: (0..module.outputs.len()).map(largest).collect(),
            exact,
        }
    }

    /// Compares outputs with the exact ones.
    pub(super) fn judge(&self, found: &[Vec<Arc<Tensor>>]) -> Quality {
        let mut quality = Quality {
            disagreement: 0.0,
            expected: 0.0,
            rms: 0.0,
            largest: 0.0,
        };
        let mut differing = vec![false; self.exact.len()];
        for (o, (threshold, largest)) in self.thresholds.iter().zip(&self.largest).enumerate() {
            let pairs = || {
                let pair = |(e, f): (&Vec<Arc<Tensor>>, &Vec<Arc<Tensor>>)| {
                    Some((e.get(o)?.clone(), f.get(o)?.clone()))
                };
                self.exact.iter().zip(found).filter_map(pair)
            };
            let (mut squares, mut count, mut worst) = (0.0, 0.0, 0.0_f64);
            // Errors of what is compared: each element against the winner, or the one element itself.
            let (mut compared, mut comparisons) = (0.0, 0.0);
            for (s, (exact, found)) in pairs().enumerate() {
                let (exact, found) = (exact.data(), found.data());
                for (e, f) in exact.iter().zip(found) {
                    squares += (f - e) * (f - e);
                    worst = worst.max(if f.is_nan() {
                        f64::INFINITY
                    } else {
                        (f - e).abs()
                    });
                }
                count += exact.len() as f64;
                if decision(exact, *threshold) != decision(found, *threshold)
                    && let Some(differs) = differing.get_mut(s)
                {
                    *differs = true;
                }
                for (_, error) in margins(exact, found, *threshold) {
                    compared += error * error;
                    comparisons += 1.0;
                }
            }
            let scale = if *largest > 0.0 { *largest } else { 1.0 };
            let rms = libm::sqrt(squares / f64::max(count, 1.0)) / scale;
            quality.rms = worse(quality.rms, rms);
            quality.largest = worse(quality.largest, worst / scale);
            let deviation = libm::sqrt(compared / f64::max(comparisons, 1.0));
            let mut expected = 0.0;
            for (exact, found) in pairs() {
                let flips: f64 = margins(exact.data(), found.data(), *threshold)
                    .map(|(margin, _)| tail(margin, deviation))
                    .sum();
                // NaN counts as 1.
                expected += flips.min(1.0);
            }
            quality.expected += expected / self.exact.len().max(1) as f64;
        }
        let differing = differing.iter().filter(|d| **d).count();
        quality.disagreement = differing as f64 / self.exact.len().max(1) as f64;
        quality
    }
}

/// The larger error; NaN counts as infinite.
fn worse(a: f64, b: f64) -> f64 {
    a.max(if b.is_nan() { f64::INFINITY } else { b })
}

/// The probability that a Gaussian error exceeds a margin.
fn tail(margin: f64, deviation: f64) -> f64 {
    if deviation == 0.0 {
        return 0.0;
    }
    0.5 * libm::erfc(margin / deviation * std::f64::consts::FRAC_1_SQRT_2)
}

/// The first largest element, or the side of the threshold.
fn decision(values: &[f64], threshold: f64) -> usize {
    if let [value] = values {
        return usize::from(*value > threshold);
    }
    let mut best = (0, f64::NEG_INFINITY);
    for (i, value) in values.iter().enumerate() {
        if *value > best.1 {
            best = (i, *value);
        }
    }
    best.0
}

/// By how much the exact decision holds against each other element (or the threshold), and the error of that difference.
fn margins<'a>(
    exact: &'a [f64],
    found: &'a [f64],
    threshold: f64,
) -> impl Iterator<Item = (f64, f64)> + 'a {
    let best = decision(exact, threshold);
    let single = exact.len() == 1;
    let at = |values: &[f64], i: usize| values.get(i).copied().unwrap_or(f64::NAN);
    let (top, top_found) = if single {
        (threshold, threshold)
    } else {
        (at(exact, best), at(found, best))
    };
    exact
        .iter()
        .zip(found)
        .enumerate()
        .filter(move |(i, _)| single || *i != best)
        .map(move |(_, (e, f))| ((top - e).abs(), (top_found - f) - (top - e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(exact: &[&[f64]]) -> Judge {
        let all = exact
            .iter()
            .map(|v| vec![Arc::new(Tensor::from_vec(v.to_vec()))])
            .collect::<Vec<_>>();
        let largest = exact
            .iter()
            .flat_map(|v| v.iter())
            .fold(0.0, |m: f64, v| m.max(v.abs()));
        Judge {
            exact: all,
            thresholds: vec![0.0],
            largest: vec![largest],
        }
    }

    fn found(values: &[&[f64]]) -> Vec<Vec<Arc<Tensor>>> {
        values
            .iter()
            .map(|v| vec![Arc::new(Tensor::from_vec(v.to_vec()))])
            .collect()
    }

    #[test]
    fn decisions_and_errors_are_counted() {
        let judge = judge(&[&[1.0, 3.0, -4.0], &[2.0, 1.0, 0.0]]);
        let same = judge.judge(&found(&[&[1.0, 3.0, -4.0], &[2.0, 1.0, 0.0]]));
        assert_eq!(
            (same.disagreement, same.expected, same.rms, same.largest),
            (0.0, 0.0, 0.0, 0.0)
        );
        let other = judge.judge(&found(&[&[1.0, 3.0, -4.0], &[2.0, 2.5, 0.0]]));
        assert_eq!((other.disagreement, other.largest), (0.5, 1.5 / 4.0));
        assert!((other.rms - libm::sqrt(1.5 * 1.5 / 6.0) / 4.0).abs() < 1e-15);
        assert!(other.expected > 0.04 && other.expected < 1.0);
        let lost = judge.judge(&found(&[&[f64::NAN; 3], &[2.0, 1.0, 0.0]]));
        assert_eq!(
            (lost.rms, lost.largest, lost.expected),
            (f64::INFINITY, f64::INFINITY, 1.0)
        );
    }

    #[test]
    fn one_element_is_compared_with_the_threshold() {
        let judge = judge(&[&[1.0], &[-0.25], &[0.5]]);
        let other = judge.judge(&found(&[&[0.9], &[0.1], &[0.5]]));
        assert!((other.disagreement - 1.0 / 3.0).abs() < 1e-15);
        // Margins 1, 0.25, 0.5 against a deviation of sqrt((0.1^2 + 0.35^2) / 3).
        let deviation = libm::sqrt((0.01 + 0.1225) / 3.0);
        let expected: f64 = [1.0, 0.25, 0.5]
            .iter()
            .map(|m| tail(*m, deviation))
            .sum::<f64>()
            / 3.0;
        assert!((other.expected - expected).abs() < 1e-12);
        assert!((tail(1.0, 1.0) - 0.158_655).abs() < 1e-6);
    }
}
