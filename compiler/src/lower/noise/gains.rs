//! What an error of each value does to the outputs: exact derivatives, sample by sample.
//!
//! An error that enters at a value reaches an output on many ways at once, and adds up on them as what it is, one error:
//! windows that overlap see the same pixel, units of a layer the same value. So the ways are added before they are
//! squared: to first order the variance of an output is a sum over sources, each times the sum over its elements of
//! (d output / d element)^2. Derivatives are found backwards from each output, for some samples, since products make errors
//! as large as the values they meet: over samples the error is no normal variable but a mixture of them, whose largest
//! values come from few samples.

use super::super::network::{Fold, Kind, Network, Term};
use super::super::polynomial::Program;
use super::super::sparse::LANES;
use super::Source;
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::value::Tensors;
use rayon::prelude::*;

/// Samples, as a multiple of the lanes; fewer in large networks.
const BATCHES: usize = 4;
/// Elements of one output, evenly spread, for which derivatives are found.
const ELEMENTS: usize = 16;
/// Multiplications that all derivatives may take; those of one element and one batch are always found.
const WORK: usize = 1 << 29;
/// The share of outputs that may err by more than the largest expected error: one in a thousand.
const TAIL: f64 = 0.001;
/// The share of samples whose outputs are all smaller than the largest of a few samples.
const SMALL: f64 = 0.75;

/// A number for each sample of a batch.
type Lane = [f64; LANES];

/// What the errors of one value do to one element of an output.
#[derive(Clone, Debug, Default)]
struct Gain {
    /// The sum over the value's elements of the squared derivative.
    own: f64,
    /// For each term of a linear value, the same for an error of that term's operand alone, another for every entry of the
    /// matrix; for each sum of a polynomial but the last, the same for an error of that sum.
    parts: Vec<f64>,
}

impl Gain {
    fn variance(&self, source: &Source) -> f64 {
        let parts = source.operand.iter().zip(&self.parts);
        self.own * (source.inner + source.rounding) + parts.map(|(s, g)| s * g).sum::<f64>()
    }
}

/// The gains of all values, for one or several sets of samples: what is asked is that of the set with the largest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gains {
    sets: Vec<Set>,
}

/// The gains of all values over one set of samples.
#[derive(Clone, Debug, Default)]
struct Set {
    /// For each output, and each of its elements and samples that were looked at: the sample, and the gain of each value.
    outputs: Vec<Vec<(usize, Vec<Gain>)>>,
    /// For each value, its gain in the mean over all outputs, relative to the square of their largest values.
    mean: Vec<Gain>,
    /// For each output, the largest absolute value of each sample.
    largest: Vec<Vec<f64>>,
}

impl Gains {
    /// Those of a network; `sets` are its inputs, `largest` each output's largest value. `None` where a set has no sample or
    /// an input does not fit.
    pub(crate) fn find(network: &Network, sets: &[Vec<&Tensors>], largest: &[f64]) -> Option<Self> {
        let found = sets.iter().map(|set| Set::find(network, set, largest));
        Some(Self {
            sets: found.collect::<Option<_>>()?,
        })
    }

    /// The mean variance of all outputs, relative to the squares of their largest values.
    pub(crate) fn mean_variance(&self, source: impl Fn(usize) -> Source) -> f64 {
        let count = self.sets.iter().map(|set| set.mean.len()).max();
        let sources: Vec<Source> = (0..count.unwrap_or(0)).map(source).collect();
        let means = self.sets.iter().map(|set| set.mean_variance(&sources));
        means.fold(0.0, f64::max)
    }

    /// For an output, the variances of its elements in the samples, relative to the square of the largest value that few
    /// samples have: that of the sample itself, or what [`SMALL`] of all samples stay below if that is more.
    pub(crate) fn relative_variances(&self, output: usize, sources: &[Source]) -> Vec<f64> {
        self.largest_of(|set| set.relative_variances(output, sources))
    }

    /// For an output, the variances of its elements in the samples.
    pub(crate) fn variances(&self, output: usize, sources: &[Source]) -> Vec<f64> {
        self.largest_of(|set| set.variances(output, sources))
    }

    /// The variances of the set whose mean is largest.
    fn largest_of(&self, variances: impl Fn(&Set) -> Vec<f64>) -> Vec<f64> {
        let mean = |all: &Vec<f64>| all.iter().sum::<f64>() / all.len().max(1) as f64;
        let all = self.sets.iter().map(variances);
        all.max_by(|a, b| mean(a).total_cmp(&mean(b)))
            .unwrap_or_default()
    }
}

impl Set {
    fn find(network: &Network, samples: &[&Tensors], largest: &[f64]) -> Option<Self> {
        let outputs = network.outputs.iter().map(|o| {
            let len = network.values[*o].len();
            let count = len.min(ELEMENTS);
            (*o, (0..count).map(|i| i * len / count).collect::<Vec<_>>())
        });
        let outputs: Vec<(usize, Vec<usize>)> = outputs.collect();
        let elements: usize = outputs.iter().map(|(_, e)| e.len()).sum();
        let batches = (WORK / (LANES * cost(network) * elements).max(1)).clamp(1, BATCHES);
        // The samples that are looked at lie evenly among all; with few of them, some lanes repeat some.
        let count = samples.len().min(batches * LANES);
        let picked: Vec<&Tensors> = (0..count)
            .map(|i| samples[i * samples.len() / count])
            .collect();
        let mut found: Vec<Vec<(usize, Vec<Gain>)>> = vec![vec![]; outputs.len()];
        let mut largest_of: Vec<Vec<f64>> = vec![vec![]; outputs.len()];
        for (i, batch) in picked.chunks(LANES).enumerate() {
            let mut lanes = [*batch.first()?; LANES];
            lanes.iter_mut().zip(batch).for_each(|(to, s)| *to = s);
            let walk = Walk::new(network, network.eval(lanes)?);
            for ((output, _), to) in outputs.iter().zip(&mut largest_of) {
                let values = &walk.values[*output];
                let max = |lane: usize| values.iter().map(|x| x[lane].abs()).fold(0.0, f64::max);
                to.extend((0..batch.len()).map(max));
            }
            for ((output, elements), to) in outputs.iter().zip(&mut found) {
                let walks: Vec<Vec<Vec<Gain>>> = elements
                    .par_iter()
                    .map(|element| walk.back(*output, *element, batch.len()))
                    .collect();
                for gains in walks {
                    to.extend((i * LANES..).zip(gains));
                }
            }
        }
        let mean = mean(network, &found, largest);
        Some(Self {
            outputs: found,
            mean,
            largest: largest_of,
        })
    }

    fn mean_variance(&self, sources: &[Source]) -> f64 {
        let pairs = self.mean.iter().zip(sources);
        pairs.map(|(gain, source)| gain.variance(source)).sum()
    }

    fn relative_variances(&self, output: usize, sources: &[Source]) -> Vec<f64> {
        let Some(largest) = self.largest.get(output).filter(|l| !l.is_empty()) else {
            return vec![];
        };
        let mut sorted = largest.clone();
        sorted.sort_by(f64::total_cmp);
        let common = sorted[((SMALL * sorted.len() as f64) as usize).min(sorted.len() - 1)];
        let variances = self.variances(output, sources);
        let of = |((sample, _), variance): (&(usize, Vec<Gain>), f64)| {
            let scale = largest[*sample].max(common);
            // Where all outputs are zero, errors are absolute.
            variance / if scale > 0.0 { scale * scale } else { 1.0 }
        };
        self.outputs[output].iter().zip(variances).map(of).collect()
    }

    fn variances(&self, output: usize, sources: &[Source]) -> Vec<f64> {
        let of = |(_, gains): &(usize, Vec<Gain>)| {
            let pairs = gains.iter().zip(sources);
            pairs.map(|(g, s)| g.variance(s)).sum()
        };
        let all = self.outputs.get(output);
        all.map_or_else(Vec::new, |all| all.iter().map(of).collect())
    }
}

/// The error that a share [`TAIL`] of normal errors exceeds, where each of the given variances is equally likely.
pub(crate) fn largest_error(variances: &[f64]) -> f64 {
    let worst = libm::sqrt(variances.iter().copied().fold(0.0, f64::max));
    let beyond = |x: f64| {
        let tails = variances.iter().filter(|v| **v > 0.0);
        let sum: f64 = tails.map(|v| libm::erfc(x / libm::sqrt(2.0 * v))).sum();
        sum / variances.len().max(1) as f64
    };
    let (mut lo, mut hi) = (0.0, 4.0 * worst);
    for _ in 0..40 {
        let middle = 0.5 * (lo + hi);
        if beyond(middle) > TAIL {
            lo = middle;
        } else {
            hi = middle;
        }
    }
    hi
}

/// The multiplications of one walk with one sample.
fn cost(network: &Network) -> usize {
    let of = |kind: &Kind| match kind {
        Kind::Linear { terms, .. } => terms
            .iter()
            .map(|(_, t)| match t {
                Term::Matrix(m) => m.entries(),
                Term::Scalar(_) | Term::Gain(_) => 1,
            })
            .sum(),
        _ => 1,
    };
    let values = network.values.iter();
    values.map(|v| v.len() + of(&v.kind)).sum()
}

/// Means over elements and samples, then over outputs.
fn mean(network: &Network, outputs: &[Vec<(usize, Vec<Gain>)>], largest: &[f64]) -> Vec<Gain> {
    let mut mean = vec![Gain::default(); network.values.len()];
    for (found, largest) in outputs.iter().zip(largest) {
        let share = 1.0 / (largest * largest * (found.len() * outputs.len()).max(1) as f64);
        let pairs = found.iter().flat_map(|(_, all)| all.iter().enumerate());
        for (v, gain) in pairs {
            let to = &mut mean[v];
            if gain.own == 0.0 {
                continue;
            }
            to.own += share * gain.own;
            to.parts.resize(gain.parts.len(), 0.0);
            let parts = to.parts.iter_mut().zip(&gain.parts);
            parts.for_each(|(s, g)| *s += share * g);
        }
    }
    mean
}

/// The derivatives of a polynomial's result for each element: by the operand, and squared by each sum but the last.
struct Slopes {
    operand: Vec<Lane>,
    sums: Vec<Vec<Lane>>,
}

impl Slopes {
    fn new(program: &Program, operand: &[Lane]) -> Self {
        let inner = program.sums.len().saturating_sub(1);
        let mut slopes = Self {
            operand: vec![[0.0; LANES]; operand.len()],
            sums: vec![vec![[0.0; LANES]; operand.len()]; inner],
        };
        for (i, operand) in operand.iter().enumerate() {
            for (lane, t) in operand.iter().enumerate() {
                let values = program.eval(*t);
                let adjoints = program.adjoints(&values, program.sums.len());
                slopes.operand[i][lane] = adjoints[0];
                for (to, a) in slopes.sums.iter_mut().zip(adjoints.iter().skip(1)) {
                    to[i][lane] = a * a;
                }
            }
        }
        slopes
    }
}

/// A batch of samples, ready for walks backwards.
struct Walk<'n> {
    network: &'n Network,
    values: Vec<Vec<Lane>>,
    /// Those of polynomials.
    slopes: Vec<Option<Slopes>>,
    /// For each term of linear values that is a matrix, the sums of squares of its rows.
    rows: Vec<Vec<Vec<f64>>>,
}

impl<'n> Walk<'n> {
    fn new(network: &'n Network, values: Vec<Vec<Lane>>) -> Self {
        let slopes = network.values.par_iter().map(|value| match &value.kind {
            Kind::Polynomial { operand, program } => Some(Slopes::new(program, &values[*operand])),
            _ => None,
        });
        let rows = network.values.iter().map(|value| match &value.kind {
            Kind::Linear { terms, .. } => terms.iter().map(|(_, term)| row_squares(term)).collect(),
            _ => vec![],
        });
        Self {
            network,
            slopes: slopes.collect(),
            rows: rows.collect(),
            values,
        }
    }

    /// The gains for one element of a value, in each of the first samples.
    fn back(&self, output: usize, element: usize, samples: usize) -> Vec<Vec<Gain>> {
        let count = self.network.values.len();
        let mut slopes: Vec<Vec<Lane>> = vec![vec![]; count];
        slopes[output] = vec![[0.0; LANES]; self.network.values[output].len()];
        slopes[output][element] = [1.0; LANES];
        let mut gains = vec![vec![Gain::default(); count]; samples];
        for v in (0..count).rev() {
            let own = std::mem::take(&mut slopes[v]);
            // What does not lead to the output has no slopes.
            if own.is_empty() {
                continue;
            }
            let sums = std::iter::once(weighted_square_sum(&own, |_, _| 1.0)).chain(self.step(
                v,
                &own,
                &mut slopes,
            ));
            for (i, sum) in sums.enumerate() {
                for (gains, sum) in gains.iter_mut().zip(sum) {
                    match i {
                        0 => gains[v].own = sum,
                        _ => gains[v].parts.push(sum),
                    }
                }
            }
        }
        gains
    }

    /// Adds to the slopes of what value `v` is made of; the gains of its parts.
    fn step(&self, v: usize, own: &[Lane], slopes: &mut [Vec<Lane>]) -> Vec<Lane> {
        let mut of = |u: usize, add: &dyn Fn(&mut [Lane])| {
            slopes[u].resize(self.network.values[u].len(), [0.0; LANES]);
            add(&mut slopes[u]);
        };
        match &self.network.values[v].kind {
            Kind::Input(_) => vec![],
            Kind::Fold(a, fold) => {
                of(*a, &|sum| fold_back(fold, own, sum));
                vec![]
            }
            Kind::View(a, elements) => {
                of(*a, &|sum| {
                    for (element, own) in elements.iter().zip(own) {
                        let to = &mut sum[*element as usize];
                        (0..LANES).for_each(|lane| to[lane] += own[lane]);
                    }
                });
                vec![]
            }
            Kind::Square(a) => {
                of(*a, &|sum| add_products(sum, 2.0, own, &self.values[*a]));
                vec![]
            }
            Kind::Mul(a, b) => {
                of(*a, &|sum| add_products(sum, 1.0, own, &self.values[*b]));
                of(*b, &|sum| add_products(sum, 1.0, own, &self.values[*a]));
                vec![]
            }
            Kind::Polynomial { operand, .. } => {
                let Some(inner) = &self.slopes[v] else {
                    return vec![];
                };
                of(*operand, &|sum| add_products(sum, 1.0, own, &inner.operand));
                let sums = inner.sums.iter();
                sums.map(|squares| weighted_square_sum(own, |i, lane| squares[i][lane]))
                    .collect()
            }
            Kind::Linear { terms, .. } => {
                let term = |(t, (u, term)): (usize, &(usize, Term))| {
                    let rows = &self.rows[v][t];
                    of(*u, &|sum| match term {
                        Term::Matrix(m) => matrix_back(m, own, sum),
                        Term::Scalar(f) | Term::Gain(f) => add_scaled(sum, *f, own),
                    });
                    weighted_square_sum(own, |r, _| rows.get(r).copied().unwrap_or(0.0))
                };
                terms.iter().enumerate().map(term).collect()
            }
        }
    }
}

/// The sums of squares of a matrix's rows; empty for what is no matrix, whose operand gets no errors of its own.
fn row_squares(term: &Term) -> Vec<f64> {
    match term {
        Term::Matrix(m) => (0..m.rows)
            .map(|r| m.row(r).map(|(_, w)| w * w).sum())
            .collect(),
        Term::Scalar(_) | Term::Gain(_) => vec![],
    }
}

fn weighted_square_sum(own: &[Lane], weight: impl Fn(usize, usize) -> f64) -> Lane {
    let mut sum = [0.0; LANES];
    for (i, slope) in own.iter().enumerate() {
        for lane in 0..LANES {
            sum[lane] += slope[lane] * slope[lane] * weight(i, lane);
        }
    }
    sum
}

fn add_products(sum: &mut [Lane], factor: f64, a: &[Lane], b: &[Lane]) {
    for (sum, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
        for lane in 0..LANES {
            sum[lane] += factor * a[lane] * b[lane];
        }
    }
}

fn add_scaled(sum: &mut [Lane], factor: f64, own: &[Lane]) {
    for (sum, own) in sum.iter_mut().zip(own) {
        add_lane(sum, factor, own);
    }
}

fn add_lane(sum: &mut Lane, factor: f64, own: &Lane) {
    for lane in 0..LANES {
        sum[lane] += factor * own[lane];
    }
}

fn matrix_back(m: &Matrix, own: &[Lane], sum: &mut [Lane]) {
    for (r, own) in own.iter().enumerate() {
        for (column, weight) in m.row(r) {
            add_lane(&mut sum[column], weight, own);
        }
    }
}

fn fold_back(fold: &Fold, own: &[Lane], sum: &mut [Lane]) {
    for round in fold.rounds() {
        for (member, own) in round.iter().zip(own) {
            add_lane(&mut sum[*member as usize], 1.0, own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_thousand_exceeds_the_largest_error() {
        // Of one normal distribution, 3.29 deviations.
        assert!((largest_error(&[4.0; 7]) - 2.0 * 3.2905).abs() < 1e-3);
        // A tenth of all samples err ten times as much: one in a hundred of those, 2.576 deviations.
        let mut mixed = vec![1e-2; 9];
        mixed.push(1.0);
        assert!((largest_error(&mixed) - 2.5758).abs() < 1e-3);
        // Where half of all errors are zero, the others hold all that exceed.
        assert!((largest_error(&[0.0, 1.0]) - 3.0902).abs() < 1e-3);
        assert_eq!(largest_error(&[0.0]), 0.0);
        assert_eq!(largest_error(&[]), 0.0);
    }
}
