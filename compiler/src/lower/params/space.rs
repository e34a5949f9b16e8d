//! The space of parameters for one ring degree, digit size and largest prime, and the search through it.

mod primes;

use super::super::Options;
use super::super::levels::{Pivot, log_scales};
use super::super::network::Kind;
use super::super::noise::{Analysis, Candidate};
use super::{
    Chosen, HEADROOM_BITS, SPECIAL_BITS, WORST_DEVIATIONS, min_prime_bits, special_primes,
};
use cipherloom_ir::noise::NoiseModel;
use cipherloom_ir::params::MAX_PRIME_BITS;

/// Up to this many variables, every pair of them is tried; neighbours by level in any case.
const MAX_PAIRED: usize = 24;
/// How far apart in their order variables are tried in pairs where there are many.
const NEIGHBOURS: usize = 3;
/// With polynomials, the search ends so many bits above the wish.
const ENOUGH_BITS: f64 = 3.0;

/// What the search leaves to primes that are not quite of the sizes that were found.
const SETTLING_BITS: f64 = 0.25;

/// What a number of a point means.
#[derive(Clone, Debug)]
enum Variable<'v> {
    /// log2 of scale times largest value of a group.
    Magnitude(usize),
    /// How far the scale's log2 of a polynomial's operand lies from where T_2, T_4, .. keep it: one bit above that prime's
    /// size. The operand is a member of the group.
    Offset {
        group: usize,
        prime: usize,
        operand: usize,
    },
    /// The same for an operand whose scale follows from the group's.
    Pivot { prime: usize, pivot: &'v Pivot },
    /// The size of one prime, or of all within a polynomial.
    Primes(Vec<usize>),
}

pub(super) struct Space<'s> {
    analysis: &'s Analysis<'s>,
    options: &'s Options,
    log_n: u32,
    digit_size: usize,
    cap: f64,
    variables: Vec<Variable<'s>>,
}

impl<'s> Space<'s> {
    pub(super) fn new(
        analysis: &'s Analysis<'s>,
        options: &'s Options,
        log_n: u32,
        digit_size: usize,
        cap: f64,
    ) -> Self {
        let variables = variables(analysis);
        Self {
            analysis,
            options,
            log_n,
            digit_size,
            cap,
            variables,
        }
    }

    /// The most precise parameters of this space, or with polynomials some that are precise enough; `None` where none
    /// fit.
    ///
    /// Primes near a size are not of that size, so the limit is approached from below.
    pub(super) fn best(&self, limit: f64, wanted: f64) -> Option<Chosen> {
        for spare in [0.1, 0.4, 1.0, 2.0, 4.0] {
            let point = self.optimise(limit - spare, wanted)?;
            let mut candidate = self.candidate(&point)?;
            let Some(literal) = self.fitting(&mut candidate) else {
                continue;
            };
            if literal.check().is_err() {
                continue;
            }
            candidate.model = NoiseModel::new(&literal).of_samples(self.analysis.packing.samples());
            let bits = self.analysis.output_bits(&candidate);
            return Some(Chosen {
                literal,
                packing: self.analysis.packing.clone(),
                candidate,
                bits,
            });
        }
        None
    }

    /// The candidate at a point; `None` where a value does not fit its modulus or a prime leaves its bounds.
    fn candidate(&self, point: &[f64]) -> Option<Candidate> {
        let levels = self.analysis.levels;
        let smallest = min_prime_bits(self.log_n);
        let mut primes = vec![0.0; levels.depth + 1];
        for (variable, x) in self.variables.iter().zip(point) {
            if let Variable::Primes(which) = variable {
                if *x < smallest || *x > self.cap {
                    return None;
                }
                which.iter().for_each(|i| primes[*i] = *x);
            }
        }
        let mut magnitude = vec![0.0; levels.groups];
        for (variable, x) in self.variables.iter().zip(point) {
            match variable {
                Variable::Magnitude(g) => magnitude[*g] = *x,
                Variable::Offset {
                    group,
                    prime,
                    operand,
                } => {
                    let scale = primes[*prime] + 1.0 + x - levels.log_ratio[*operand];
                    magnitude[*group] = scale + libm::log2(self.analysis.group_max[*group]);
                }
                Variable::Primes(_) | Variable::Pivot { .. } => {}
            }
        }
        self.set_pivots(point, &mut magnitude, &primes);
        let n = libm::exp2(f64::from(self.log_n));
        let model = NoiseModel {
            n,
            h: 2.0 * n / 3.0,
            log_p: 0.0,
            log_digits: vec![],
            digit_size: self.digit_size,
            averaged: true,
            samples: self.analysis.packing.samples(),
        };
        let mut candidate = Candidate {
            magnitude,
            primes,
            model,
        };
        let logs = self.analysis.log_scales(&candidate);
        let needs = self.needs(&candidate, &logs)?;
        let at_zero = needs.iter().filter(|(_, l)| *l == 0).map(|(m, _)| *m);
        candidate.primes[0] = at_zero.fold(smallest, f64::max);
        // The first prime may exceed the cap by a little: it holds the outputs, whatever precision they have.
        if candidate.primes[0] > self.cap.max(31.0) + 0.5 {
            return None;
        }
        let modulus = moduli(&candidate.primes);
        let all_fit = needs.iter().all(|(m, l)| *m <= modulus[*l] + 1e-9);
        if !all_fit || logs.iter().any(|l| !l.is_finite()) {
            return None;
        }
        candidate.model.log_digits = candidate
            .primes
            .chunks(self.digit_size)
            .map(|d| d.iter().sum())
            .collect();
        let largest = candidate
            .model
            .log_digits
            .iter()
            .copied()
            .fold(0.0, f64::max);
        candidate.model.log_p = largest + SPECIAL_BITS;
        let special = candidate.model.log_p / special_primes(candidate.model.log_p) as f64;
        (special <= f64::from(MAX_PRIME_BITS) - 0.01).then_some(candidate)
    }

    /// Modulus bits that each value takes, and its level.
    fn needs(&self, candidate: &Candidate, logs: &[f64]) -> Option<Vec<(f64, usize)>> {
        let levels = self.analysis.levels;
        let room = libm::log2(self.options.margin.max(1.0)) + 1.0 + HEADROOM_BITS;
        let magnitudes = self.analysis.magnitudes(logs);
        let mut needs: Vec<(f64, usize)> = magnitudes
            .iter()
            .zip(&levels.level)
            .map(|(m, l)| (m + room, *l))
            .collect();
        let values = &self.analysis.network.values;
        for (value, level) in values.iter().zip(&levels.level) {
            // Summands are dropped to the level of the sum, which may be smaller than they are.
            let Kind::Linear { terms, .. } = &value.kind else {
                continue;
            };
            for (u, term) in terms {
                let read_at = level + usize::from(!term.is_free());
                if read_at < levels.level[*u] {
                    needs.push((magnitudes[*u] + room, read_at));
                }
            }
        }
        self.inner_needs(candidate, logs, &mut needs)?;
        Some(needs)
    }

    /// How many bits the modulus falls short of what values take with exactly these primes, headroom left out.
    fn missing(&self, candidate: &Candidate) -> Option<f64> {
        let needs = self.needs(candidate, &self.analysis.log_scales(candidate))?;
        let modulus = moduli(&candidate.primes);
        let short = |(bits, level): &(f64, usize)| bits - HEADROOM_BITS - modulus[*level];
        Some(needs.iter().map(short).fold(0.0, f64::max))
    }

    /// Sets the magnitudes of the groups from which the scales of polynomials' operands follow.
    fn set_pivots(&self, point: &[f64], magnitude: &mut [f64], primes: &[f64]) {
        let Analysis {
            network,
            levels,
            group_max,
            ..
        } = self.analysis;
        for wanted in &levels.pivots {
            let found = self.variables.iter().zip(point).find_map(|(v, x)| match v {
                Variable::Pivot { prime, pivot } if pivot.operand == wanted.operand => {
                    Some(primes[*prime] + 1.0 + x)
                }
                _ => None,
            });
            if let (Some(scale), Some(group)) = (found, levels.group[wanted.free]) {
                magnitude[group] = 0.0;
                let logs = log_scales(network, levels, group_max, magnitude, primes);
                magnitude[group] = (scale - logs[wanted.operand]) / wanted.power;
            }
        }
    }

    /// Modulus bits that the sums of polynomials take over their whole domain, which holds the margin already.
    fn inner_needs(
        &self,
        candidate: &Candidate,
        logs: &[f64],
        needs: &mut Vec<(f64, usize)>,
    ) -> Option<()> {
        for (v, value) in self.analysis.network.values.iter().enumerate() {
            let Kind::Polynomial { operand, program } = &value.kind else {
                continue;
            };
            let scales = self
                .analysis
                .inner_scales(v, *operand, program, candidate, logs);
            let ranges = &self.analysis.statistics.moments.get(&v)?.ranges;
            for (i, sum) in program.sums.iter().enumerate() {
                let level = self.analysis.levels.level[v] + program.depth() - sum.depth;
                let largest = ranges.get(i + 1)?.max_abs().max(f64::MIN_POSITIVE);
                let bits = scales.get(i + 1)?.0 + libm::log2(largest);
                needs.push((bits + 1.0 + HEADROOM_BITS, level));
            }
        }
        Some(())
    }

    fn optimise(&self, budget: f64, wanted: f64) -> Option<Vec<f64>> {
        let judge = |point: &[f64]| {
            let candidate = self.candidate(point)?;
            let total = candidate.primes.iter().sum::<f64>() + candidate.model.log_p;
            if total > budget {
                return None;
            }
            let variance = self.analysis.output_variance(&candidate);
            variance.is_finite().then_some(variance)
        };
        let start = min_prime_bits(self.log_n) + 0.5;
        let first = |variable: &Variable| match variable {
            Variable::Magnitude(_) => start - 3.0,
            Variable::Offset { .. } | Variable::Pivot { .. } => 0.0,
            Variable::Primes(_) => start,
        };
        let mut point: Vec<f64> = self.variables.iter().map(first).collect();
        let mut best = judge(&point)?;
        let deep = self.is_deep();
        let enough = if deep {
            libm::exp2(-2.0 * (wanted + ENOUGH_BITS)) / (WORST_DEVIATIONS * WORST_DEVIATIONS)
        } else {
            0.0
        };
        // What the squares of errors make, and the worst output, may be less precise than the mean.
        let precise = |point: &[f64]| {
            let bits = self.candidate(point).map(|c| self.analysis.output_bits(&c));
            bits.is_some_and(|bits| bits >= wanted + SETTLING_BITS)
        };
        let mut step = 4.0;
        while step >= 0.125 && !(best <= enough && precise(&point)) {
            let mut improved = false;
            let mut attempt = |point: &mut Vec<f64>, moves: &[(usize, f64)]| {
                moves.iter().for_each(|(i, d)| point[*i] += d);
                // Gains below a ten-thousandth are not worth a step.
                match judge(point) {
                    Some(variance) if variance < best * 0.9999 => {
                        best = variance;
                        improved = true;
                    }
                    _ => moves.iter().for_each(|(i, d)| point[*i] -= d),
                }
            };
            for i in 0..point.len() {
                attempt(&mut point, &[(i, step)]);
                attempt(&mut point, &[(i, -step)]);
            }
            for i in 0..point.len() {
                for j in 0..point.len() {
                    // Deep networks have many pairs; neighbours do there.
                    let near = i.abs_diff(j) <= if deep { NEIGHBOURS } else { 2 };
                    if i != j && (near || !deep && point.len() <= MAX_PAIRED) {
                        attempt(&mut point, &[(i, step), (j, -step)]);
                        attempt(&mut point, &[(i, step), (j, step)]);
                    }
                }
            }
            if !improved {
                step /= 2.0;
            }
        }
        Some(point)
    }

    /// Whether there are polynomials.
    fn is_deep(&self) -> bool {
        let tied = |v: &Variable| matches!(v, Variable::Primes(which) if which.len() > 1);
        self.variables.iter().any(tied)
    }
}

/// The sums of the first logarithms.
fn moduli(primes: &[f64]) -> Vec<f64> {
    let sum = |sum: &mut f64, p: &f64| {
        *sum += p;
        Some(*sum)
    };
    primes.iter().scan(0.0, sum).collect()
}

/// The variables of a network: those of polynomials first tied together, in the order of levels if there are any.
fn variables<'s>(analysis: &'s Analysis<'_>) -> Vec<Variable<'s>> {
    let levels = analysis.levels;
    let mut class: Vec<usize> = (0..=levels.depth).collect();
    let mut offsets: Vec<Option<Variable<'s>>> = vec![None; levels.groups];
    let mut deep = false;
    for (v, value) in analysis.network.values.iter().enumerate() {
        let Kind::Polynomial { operand, program } = &value.kind else {
            continue;
        };
        deep = true;
        let (low, high) = (levels.level[v] + 1, levels.level[v] + program.depth());
        let joined = class[low..=high].to_vec();
        let first = joined.iter().copied().min().unwrap_or(low);
        class
            .iter_mut()
            .filter(|c| joined.contains(c))
            .for_each(|c| *c = first);
        if let Some(group) = levels.group[*operand] {
            offsets[group].get_or_insert(Variable::Offset {
                group,
                prime: high,
                operand: *operand,
            });
        }
        let pivot = levels.pivots.iter().find(|p| p.operand == *operand);
        if let Some((pivot, group)) = pivot.and_then(|p| Some((p, levels.group[p.free]?))) {
            offsets[group].get_or_insert(Variable::Pivot { prime: high, pivot });
        }
    }
    let of_group = |g: usize| offsets[g].clone().unwrap_or(Variable::Magnitude(g));
    let mut made: Vec<(usize, Variable)> = Vec::new();
    for g in 0..levels.groups {
        let members = (0..levels.group.len()).filter(|v| levels.group[*v] == Some(g));
        let level = members.map(|v| levels.level[v]).max().unwrap_or(0);
        made.push((2 * level + 1, of_group(g)));
    }
    for first in 1..=levels.depth {
        let which: Vec<usize> = (1..=levels.depth).filter(|i| class[*i] == first).collect();
        if let Some(last) = which.last() {
            made.push((2 * last, Variable::Primes(which.clone())));
        }
    }
    if deep {
        made.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    }
    made.into_iter().map(|(_, variable)| variable).collect()
}
