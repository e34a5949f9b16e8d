//! The noise of every value, predicted from the rules of `cipherloom_ir::noise`.
//!
//! Values are real, so only the real part of a slot's error counts: half the variance of the rules, which are those of the
//! complex slot. An error in a plaintext that repeats with period n comes from 2n rounded coefficients instead of N.
//! Clients decrypt the mean over all slots that hold a value, so random errors count by their share in it
//! ([`NoiseModel::share`]).
//!
//! To first order the variance of an output is a sum over sources, each times a gain that depends on weights and
//! values alone. The gains are found once ([`Gains`]); then a set of parameters is judged by a few sums. For the values
//! before the outputs a forward pass keeps one variance per element, since the elements of a layer differ much, and takes
//! the errors of a layer's elements for independent.

mod edges;
mod gains;

use super::levels::{Levels, log_scales};
use super::network::{Kind, Network, Term};
use super::packing::Packing;
use super::polynomial::{LogScale, Program, Sum};
use super::statistics::Statistics;
use cipherloom_ir::noise::{NoiseModel, REAL_PART, TransformNoise};
pub(crate) use gains::Gains;
use gains::largest_error;

/// What an operation adds of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// The variance added to every element before the last rounding (encoding, key switches of giants and folds).
    pub(crate) inner: f64,
    /// The variance that rescale and bias add to every element.
    pub(crate) rounding: f64,
    /// For each term of a linear value, the variance added to its operand (hoisted key switches); for each sum of a
    /// polynomial but the last, its own variance.
    pub(crate) operand: Vec<f64>,
}

/// Parameters as far as noise is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// log2 of scale times largest value, for each free group.
    pub(crate) magnitude: Vec<f64>,
    /// log2 of the chain's primes.
    pub(crate) primes: Vec<f64>,
    /// The rest.
    pub(crate) model: NoiseModel,
}

/// The analysis of one network in one packing.
pub(crate) struct Analysis<'n> {
    pub(crate) network: &'n Network,
    pub(crate) levels: &'n Levels,
    pub(crate) statistics: &'n Statistics,
    pub(crate) packing: &'n Packing,
    pub(crate) group_max: Vec<f64>,
    /// For each value, in how many slots its errors reach the outputs apart from one another ([`spreads`]).
    spread: Vec<usize>,
}

/// In how many slots the errors of each value count apart: its period, or more where a matrix of a larger period reads
/// several copies of it into several rows. Whether copies meet again with one sign or with many is not looked at: with one
/// sign the errors are smaller than predicted.
fn spreads(network: &Network, packing: &Packing) -> Vec<usize> {
    let period = |v: usize| packing.layouts[packing.of[v]].period.max(1);
    let mut spread: Vec<usize> = (0..network.values.len()).map(period).collect();
    for (v, value) in network.values.iter().enumerate().rev() {
        let own = spread[v];
        let copies = own / period(v);
        let mut reach = |u: usize, slots: usize| spread[u] = spread[u].max(slots);
        match &value.kind {
            Kind::Input(_) => {}
            Kind::Fold(a, _) => reach(*a, period(*a) * copies),
            Kind::Square(a) | Kind::View(a, _) | Kind::Polynomial { operand: a, .. } => {
                reach(*a, own)
            }
            Kind::Mul(a, b) => [a, b].into_iter().for_each(|u| reach(*u, own)),
            Kind::Linear { terms, .. } => {
                for (t, (u, _)) in terms.iter().enumerate() {
                    let shape = packing.shapes.get(&(v, t));
                    reach(*u, shape.map_or(own, |s| s.period * copies));
                }
            }
        }
    }
    spread
}

impl<'n> Analysis<'n> {
    /// The analysis of a packing.
    pub(crate) fn new(
        network: &'n Network,
        levels: &'n Levels,
        statistics: &'n Statistics,
        packing: &'n Packing,
        group_max: Vec<f64>,
    ) -> Self {
        Self {
            network,
            levels,
            statistics,
            packing,
            group_max,
            spread: spreads(network, packing),
        }
    }

    /// The logarithms of all scales.
    pub(crate) fn log_scales(&self, candidate: &Candidate) -> Vec<f64> {
        log_scales(
            self.network,
            self.levels,
            &self.group_max,
            &candidate.magnitude,
            &candidate.primes,
        )
    }

    /// log2 of scale times largest value, before or after its bias, for each value.
    pub(crate) fn magnitudes(&self, logs: &[f64]) -> Vec<f64> {
        logs.iter()
            .enumerate()
            .map(|(v, log)| log + libm::log2(self.statistics.largest(v)))
            .collect()
    }

    /// The logarithms of the scales within polynomial `v`.
    pub(crate) fn inner_scales(
        &self,
        v: usize,
        operand: usize,
        program: &Program,
        candidate: &Candidate,
        logs: &[f64],
    ) -> Vec<LogScale> {
        let top = self.levels.level[v] + program.depth() + 1;
        let prime = |depth: usize| candidate.primes.get(top - depth).copied().unwrap_or(0.0);
        program.scales(&LogScale(logs[operand]), &LogScale(logs[v]), |d| {
            LogScale(prime(d))
        })
    }

    /// What each sum of polynomial `v` adds: before its last rounding, and with that.
    fn sum_sources(
        &self,
        v: usize,
        operand: usize,
        program: &Program,
        candidate: &Candidate,
        logs: &[f64],
    ) -> Vec<(f64, f64)> {
        let model = &candidate.model;
        let share = model.share(self.spread[v]);
        let scales = self.inner_scales(v, operand, program, candidate, logs);
        let squares = self
            .statistics
            .moments
            .get(&v)
            .map(|m| m.mean_squares.as_slice());
        let of = |(sum, scale): (&Sum, &LogScale)| {
            let level = self.levels.level[v] + program.depth() - sum.depth;
            let open = scale.0 + candidate.primes.get(level + 1).copied().unwrap_or(0.0);
            let switched = if sum.products.is_empty() {
                0.0
            } else {
                model.key_noise(level + 1, open)
            };
            let rounded = |(x, _): &(usize, f64)| {
                let step = libm::exp2(scales[*x].0 - open);
                let square = squares.and_then(|s| s.get(*x)).copied().unwrap_or(1.0);
                step * step / 12.0 * square / REAL_PART
            };
            let factors: f64 = sum.terms.iter().map(rounded).sum();
            (
                REAL_PART * (share * switched + factors),
                REAL_PART * share * model.rounding(scale.0),
            )
        };
        program
            .sums
            .iter()
            .zip(scales.iter().skip(1))
            .map(of)
            .collect()
    }

    /// What each value's operation adds.
    pub(crate) fn source(&self, v: usize, candidate: &Candidate, logs: &[f64]) -> Source {
        let model = &candidate.model;
        let layout = &self.packing.layouts[self.packing.of[v]];
        let level = self.levels.level[v];
        let prime = candidate.primes.get(level + 1).copied().unwrap_or(0.0);
        let share = model.share(self.spread[v]);
        let copies = self.spread[v] / layout.period.max(1);
        let mut source = Source::default();
        match &self.network.values[v].kind {
            Kind::Input(_) => source.inner = share * model.fresh_secret(logs[v]),
            Kind::View(..) => {}
            Kind::Fold(a, _) => {
                let from = &self.packing.layouts[self.packing.of[*a]];
                let folds = (from.period / layout.period.max(1)).max(1).ilog2();
                source.inner = model.fold_switches(from.period * copies, folds)
                    * model.key_switch(level, logs[v]);
            }
            Kind::Mul(a, b) => {
                source.inner = share * model.key_noise(level + 1, logs[*a] + logs[*b]);
                source.rounding = share * model.rounding(logs[v]);
            }
            // Made within a weighted sum.
            Kind::Square(_) if self.packing.squares.contains(&v) => {}
            Kind::Square(a) => {
                source.inner = share * model.key_noise(level + 1, 2.0 * logs[*a]);
                source.rounding = share * model.rounding(logs[v]);
            }
            Kind::Polynomial { operand, program } => {
                let mut sums = self.sum_sources(v, *operand, program, candidate, logs);
                let (inner, rounding) = sums.pop().unwrap_or_default();
                let operand = sums.into_iter().map(|(a, b)| a + b).collect();
                return Source {
                    inner,
                    rounding,
                    operand,
                };
            }
            Kind::Linear { terms, bias } => {
                let mut rescaled = false;
                for (t, (u, term)) in terms.iter().enumerate() {
                    let plain = logs[v] + prime - logs[*u];
                    let mut operand = 0.0;
                    match term {
                        Term::Gain(_) => {}
                        Term::Scalar(_) => {
                            rescaled = true;
                            let step = libm::exp2(-plain);
                            source.inner +=
                                step * step / 12.0 * self.statistics.mean_square(*u) / REAL_PART;
                        }
                        Term::Matrix(m) if self.packing.separate => {
                            rescaled = true;
                            // Entries are rounded to integers.
                            let (step, count) = (libm::exp2(-plain), m.entries() as f64);
                            source.inner += count / m.rows.max(1) as f64 * step * step / 12.0
                                * self.statistics.mean_square(*u)
                                / REAL_PART;
                            if self.packing.squares.contains(u) {
                                source.inner += share * model.key_noise(level + 1, logs[v] + prime);
                            }
                        }
                        Term::Matrix(_) => {
                            rescaled = true;
                            if let Some(shape) = self.packing.shapes.get(&(v, t)) {
                                let from = &self.packing.layouts[self.packing.of[*u]];
                                let occupied =
                                    from.len() as f64 / (from.period * from.ciphertexts) as f64;
                                let (inner, hoisted) = model.transform(&TransformNoise {
                                    level: level + 1,
                                    log_scale: logs[*u],
                                    log_plain_scale: plain,
                                    period: shape.period,
                                    copies,
                                    diagonals: shape.counts.diagonals as f64
                                        / layout.ciphertexts as f64,
                                    hoisted: shape.counts.babies > 0,
                                    giants: shape.counts.giants as f64,
                                    folds: shape.counts.folds as u32,
                                    mean_square: self.statistics.mean_square(*u) * occupied,
                                });
                                source.inner += inner;
                                operand = hoisted;
                            }
                        }
                    }
                    source.operand.push(REAL_PART * operand);
                }
                if rescaled {
                    source.rounding += share * model.rounding(logs[v]);
                }
                if !bias.is_empty() {
                    source.rounding += model.encode_periodic(logs[v], layout.period);
                }
            }
        }
        source.inner *= REAL_PART;
        source.rounding *= REAL_PART;
        source
    }

    /// The mean variance of the outputs, relative to the square of their largest value, to first order.
    pub(crate) fn output_variance(&self, candidate: &Candidate) -> f64 {
        let logs = self.log_scales(candidate);
        let source = |v| self.source(v, candidate, &logs);
        self.statistics.gains.mean_variance(source)
    }

    /// What the operations of all values add.
    pub(crate) fn sources(&self, candidate: &Candidate) -> Vec<Source> {
        let logs = self.log_scales(candidate);
        let values = 0..self.network.values.len();
        values.map(|v| self.source(v, candidate, &logs)).collect()
    }

    /// The variance of every element of every value.
    pub(crate) fn variances(&self, candidate: &Candidate) -> Vec<Vec<f64>> {
        let logs = self.log_scales(candidate);
        let mut all: Vec<Vec<f64>> = Vec::with_capacity(self.network.values.len());
        for (v, value) in self.network.values.iter().enumerate() {
            let source = self.source(v, candidate, &logs);
            let mut own = vec![source.inner + source.rounding; value.len()];
            let squares = &self.statistics.mean_squares;
            match &value.kind {
                Kind::Input(_) => {}
                Kind::Fold(a, fold) => {
                    for round in fold.rounds() {
                        for (o, member) in own.iter_mut().zip(round) {
                            *o += all[*a][*member as usize];
                        }
                    }
                }
                Kind::View(a, elements) => {
                    let pairs = own.iter_mut().zip(elements.iter());
                    pairs.for_each(|(o, e)| *o += all[*a][*e as usize]);
                }
                Kind::Square(a) => {
                    let pairs = squares[*a].iter().zip(&all[*a]);
                    own.iter_mut()
                        .zip(pairs)
                        .for_each(|(o, (m, v))| *o += NoiseModel::square(*m, *v));
                }
                Kind::Mul(a, b) => {
                    for (i, o) in own.iter_mut().enumerate() {
                        *o += NoiseModel::product(
                            squares[*a][i],
                            all[*a][i],
                            squares[*b][i],
                            all[*b][i],
                        );
                    }
                }
                Kind::Polynomial { operand, .. } => {
                    if let Some(moments) = self.statistics.moments.get(&v) {
                        for (i, o) in own.iter_mut().enumerate() {
                            if let Some((slope, inner)) = moments.adjoints(i).split_first() {
                                *o += slope * all[*operand][i];
                                let sums = inner.iter().zip(&source.operand);
                                *o += sums.map(|(a, s)| a * s).sum::<f64>();
                            }
                        }
                    }
                }
                Kind::Linear { terms, .. } => {
                    for ((u, term), extra) in terms.iter().zip(&source.operand) {
                        match term {
                            Term::Matrix(m) => {
                                for (r, o) in own.iter_mut().enumerate() {
                                    *o += m
                                        .row(r)
                                        .map(|(c, w)| w * w * (all[*u][c] + extra))
                                        .sum::<f64>();
                                }
                            }
                            Term::Scalar(f) | Term::Gain(f) => {
                                own.iter_mut()
                                    .zip(&all[*u])
                                    .for_each(|(o, v)| *o += f * f * v);
                            }
                        }
                    }
                }
            }
            all.push(own);
        }
        all
    }

    /// The precision of the worst output in bits: -log2 of the error that one in a thousand exceeds, over the largest value
    /// of a few samples, or over the bound of all values where there are no samples.
    ///
    /// The largest value of many samples would promise too much: errors of a few are then nearly as large, their
    /// outputs are not. Of checks with five samples about one in twenty finds less than this.
    ///
    /// The mean over slots has less noise than each slot, but what products make of the noise's square has one sign and
    /// remains: about d times the square, relative to the value, for a polynomial of degree d (its second derivative,
    /// where it bends most, over its largest value). Both are to be as precise as wished; the square is taken of the error
    /// that one in a thousand exceeds, ten times the mean square. Past the ends of its domain a polynomial of high degree
    /// leaves its function within little ([`Analysis::edge_bits`]).
    pub(crate) fn output_bits(&self, candidate: &Candidate) -> f64 {
        let bits = self.first_order_bits(candidate);
        let degree = self.network.values.iter().map(|v| match &v.kind {
            Kind::Polynomial { program, .. } => program.coefficients.len().saturating_sub(1),
            Kind::Mul(..) | Kind::Square(_) => 2,
            _ => 1,
        });
        match degree.max() {
            None | Some(0 | 1) => bits,
            Some(degree) => {
                let model = candidate.model.of_one_slot();
                let slot = Candidate {
                    model,
                    ..candidate.clone()
                };
                let squared = 2.0 * self.first_order_bits(&slot);
                let squared = squared - libm::log2(degree as f64);
                bits.min(squared).min(self.edge_bits(&slot))
            }
        }
    }

    fn first_order_bits(&self, candidate: &Candidate) -> f64 {
        let sources = self.sources(candidate);
        let gains = &self.statistics.gains;
        let outputs = self.network.outputs.iter().enumerate();
        let bits = outputs.map(|(i, o)| {
            -libm::log2(if self.statistics.from_intervals {
                largest_error(&gains.variances(i, &sources)) / self.statistics.max_abs(*o)
            } else {
                largest_error(&gains.relative_variances(i, &sources))
            })
        });
        bits.fold(f64::INFINITY, f64::min)
    }
}
