//! The parameters: ring degree, primes, digits and the free scales, by predicted precision and cost.
//!
//! For a ring degree and a digit size, the sizes of all primes and the magnitude of every free scale are found by a
//! pattern search that lowers the output's variance within the security table's limit on log2(QP): steps of one
//! variable up or down, or one up and another down. The ring degree is the smallest that gives the wanted precision;
//! among digit sizes the cheapest that does.

use super::levels::{Levels, Statistics, group_max};
use super::network::{Kind, Network, Term};
use super::noise::{Analysis, Candidate};
use super::packing::{Packing, choose};
use super::{LowerError, Options};
use crate::cost::{Limbs, Work};
use cipherloom_ir::noise::NoiseModel;
use cipherloom_ir::params::{
    CkksLiteral, MAX_PRIME_BITS, MAX_PRIMES, SPECIAL_HEADROOM_BITS, ntt_primes_from,
    ntt_primes_near,
};
use cipherloom_ir::security::{MAX_LOG_N, MIN_LOG_N};

/// Outputs are taken as this many standard deviations off at worst: the largest of about a thousand normal values.
pub(crate) const WORST_DEVIATIONS: f64 = 3.3;
/// Bits of precision that are wanted without an explicit wish.
const DEFAULT_BITS: f64 = 12.0;
/// Bits that the prediction must lie above the wish.
const SLACK_BITS: f64 = 0.7;
/// A value at level 0 times its margin stays this many bits below half the first prime.
const HEADROOM_BITS: f64 = 0.25;
/// Chain primes are capped at these sizes, in this order: the first keeps words in 32 bits.
const CAPS: [f64; 3] = [31.0, 40.0, 49.0];
/// Digit sizes that are tried, each with as many special primes.
const DIGIT_SIZES: [usize; 3] = [1, 2, 3];

/// Up to this many variables, every pair of them is tried.
const MAX_PAIRED: usize = 24;

/// What was chosen.
pub(crate) struct Chosen {
    pub(crate) literal: CkksLiteral,
    pub(crate) packing: Packing,
    pub(crate) candidate: Candidate,
    /// Predicted bits of the outputs at [`WORST_DEVIATIONS`].
    pub(crate) bits: f64,
}

/// Chooses parameters and packing.
pub(crate) fn search(
    network: &Network,
    levels: &Levels,
    statistics: &Statistics,
    options: &Options,
    from_intervals: bool,
) -> Result<Chosen, LowerError> {
    let asked = options.precision.unwrap_or(DEFAULT_BITS);
    let wanted = asked + SLACK_BITS;
    let mut closest: Option<(f64, u32)> = None;
    for log_n in MIN_LOG_N..=MAX_LOG_N {
        let Some(limit) = options.security.max_log_qp(log_n) else {
            continue;
        };
        if levels.depth + 2 > MAX_PRIMES {
            break;
        }
        // A chain needs a prime a level, and no prime is smaller than the ring allows.
        if f64::from(limit) < (levels.depth + 2) as f64 * min_prime_bits(log_n) {
            continue;
        }
        let mut best: Option<(f64, Chosen)> = None;
        let packing = choose(network, &levels.level, log_n, 1, 1);
        for digit_size in DIGIT_SIZES {
            if digit_size > levels.depth + 1 {
                continue;
            }
            let mut found = None;
            for cap in CAPS {
                let space = Space {
                    network,
                    levels,
                    statistics,
                    packing: &packing,
                    options,
                    log_n,
                    digit_size,
                    cap,
                };
                let Some(chosen) = space.best(f64::from(limit), wanted) else {
                    continue;
                };
                if closest.is_none_or(|(bits, _)| chosen.bits > bits) {
                    closest = Some((chosen.bits, log_n));
                }
                if chosen.bits >= wanted {
                    found = Some(chosen);
                    break;
                }
            }
            if let Some(chosen) = found {
                let cost = cost(network, levels, &chosen).seconds(log_n);
                if best.as_ref().is_none_or(|(old, _)| cost < *old) {
                    best = Some((cost, chosen));
                }
            }
        }
        if let Some((_, chosen)) = best {
            return Ok(chosen);
        }
    }
    Err(LowerError::NoParameters {
        depth: levels.depth,
        wanted: asked,
        slack: SLACK_BITS,
        closest,
        security: options.security,
        from_intervals,
        levels: level_report(network, levels),
    })
}

/// For people: which layers take the levels and what for, from the top.
fn level_report(network: &Network, levels: &Levels) -> Vec<String> {
    let line = |level: usize| {
        let takes = |v: &usize| {
            levels.level[*v] == level && super::levels::consumes(&network.values[*v].kind)
        };
        let name = |v: usize| {
            let value = &network.values[v];
            let what = match &value.kind {
                Kind::Mul(..) => "product",
                Kind::Square(_) => "square",
                Kind::Linear { terms, .. }
                    if terms.iter().any(|(_, t)| matches!(t, Term::Matrix(_))) =>
                {
                    "matrix"
                }
                Kind::Linear { .. } | Kind::Fold(..) | Kind::Input(_) => "factor",
            };
            format!("{} ({what})", value.origin)
        };
        let names: Vec<String> = (0..network.values.len()).filter(takes).map(name).collect();
        format!("level {}: {}", level + 1, names.join("; "))
    };
    (0..levels.depth).rev().map(line).collect()
}

/// Primes below this are scarce: there must be a few that are 1 modulo 2N.
fn min_prime_bits(log_n: u32) -> f64 {
    f64::from(log_n) + 7.0
}

/// The work of all operations.
pub(crate) fn cost(network: &Network, levels: &Levels, chosen: &Chosen) -> Work {
    let mut work = Work::default();
    let literal = &chosen.literal;
    for (v, value) in network.values.iter().enumerate() {
        let limbs = Limbs {
            q: levels.level[v] as u64 + 2,
            p: literal.p.len() as u64,
            digit_size: literal.digit_size as u64,
        };
        let ciphertexts = chosen.packing.layouts[chosen.packing.of[v]].ciphertexts;
        match &value.kind {
            Kind::Mul(..) | Kind::Square(_) => {
                (0..ciphertexts).for_each(|_| work += limbs.multiply())
            }
            Kind::Linear { terms, .. } => {
                for t in 0..terms.len() {
                    if let Some(shape) = chosen.packing.shapes.get(&(v, t)) {
                        work += limbs.transform(shape.counts);
                    }
                }
            }
            Kind::Fold(a, _) => {
                let from = &chosen.packing.layouts[chosen.packing.of[*a]];
                let to = &chosen.packing.layouts[chosen.packing.of[v]];
                let rotations = (from.period / to.period.max(1)).max(1).ilog2() as usize;
                let limbs = Limbs {
                    q: levels.level[v] as u64 + 1,
                    ..limbs
                };
                (0..rotations * ciphertexts).for_each(|_| work += limbs.key_switch());
            }
            Kind::Input(_) => {}
        }
    }
    work
}

struct Space<'s> {
    network: &'s Network,
    levels: &'s Levels,
    statistics: &'s Statistics,
    packing: &'s Packing,
    options: &'s Options,
    log_n: u32,
    digit_size: usize,
    cap: f64,
}

impl Space<'_> {
    /// The most precise parameters of this space; `None` where none fit.
    ///
    /// Primes near a size are not of that size, so the limit is approached from below.
    fn best(&self, limit: f64, _wanted: f64) -> Option<Chosen> {
        let max = group_max(self.levels, self.statistics);
        let analysis = Analysis::new(
            self.network,
            self.levels,
            self.statistics,
            self.packing,
            max,
        );
        for spare in [0.1, 0.4, 1.0, 2.0, 4.0] {
            let point = self.optimise(&analysis, limit - spare)?;
            let mut candidate = self.candidate(&analysis, &point)?;
            let Some(literal) = self.literal(&candidate) else {
                continue;
            };
            if literal.check().is_err() {
                continue;
            }
            candidate.primes = literal.q.iter().map(|q| libm::log2(*q as f64)).collect();
            candidate.model = NoiseModel::new(&literal);
            let bits = analysis.output_bits(&analysis.variances(&candidate), WORST_DEVIATIONS);
            return Some(Chosen {
                literal,
                packing: self.packing.clone(),
                candidate,
                bits,
            });
        }
        None
    }

    /// The candidate at a point (magnitudes, then prime sizes from level 1); `None` where a value does not fit
    /// its modulus or a prime leaves its bounds.
    fn candidate(&self, analysis: &Analysis<'_>, point: &[f64]) -> Option<Candidate> {
        let (magnitude, upper) = point.split_at(self.levels.groups);
        let smallest = min_prime_bits(self.log_n);
        if upper.iter().any(|b| *b < smallest || *b > self.cap) {
            return None;
        }
        let mut primes = vec![0.0];
        primes.extend_from_slice(upper);
        let n = libm::exp2(f64::from(self.log_n));
        let model = NoiseModel {
            n,
            h: 2.0 * n / 3.0,
            log_p: 0.0,
            log_digits: vec![],
            digit_size: self.digit_size,
        };
        let mut candidate = Candidate {
            magnitude: magnitude.to_vec(),
            primes,
            model,
        };
        let logs = analysis.log_scales(&candidate);
        let room = libm::log2(self.options.margin.max(1.0)) + 1.0 + HEADROOM_BITS;
        let magnitudes = analysis.magnitudes(&logs);
        let at_zero = magnitudes
            .iter()
            .zip(&self.levels.level)
            .filter(|(_, l)| **l == 0)
            .map(|(m, _)| m + room);
        candidate.primes[0] = at_zero.fold(smallest, f64::max);
        // The first prime may exceed the cap by a little: it holds the outputs, whatever precision they have.
        if candidate.primes[0] > self.cap.max(31.0) + 0.5 {
            return None;
        }
        let mut modulus = Vec::with_capacity(candidate.primes.len());
        for p in &candidate.primes {
            modulus.push(p + modulus.last().copied().unwrap_or(0.0));
        }
        let fits = magnitudes
            .iter()
            .zip(&self.levels.level)
            .all(|(m, l)| m + room <= modulus[*l] + 1e-9);
        // A plaintext scale below a few bits would round the weights away.
        if !fits || logs.iter().any(|l| !l.is_finite()) {
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
        candidate.model.log_p = largest + f64::from(SPECIAL_HEADROOM_BITS) + 0.02;
        let special = candidate.model.log_p / self.digit_size as f64;
        (special <= f64::from(MAX_PRIME_BITS) - 0.01).then_some(candidate)
    }

    fn optimise(&self, analysis: &Analysis<'_>, budget: f64) -> Option<Vec<f64>> {
        let judge = |point: &[f64]| {
            let candidate = self.candidate(analysis, point)?;
            let total = candidate.primes.iter().sum::<f64>() + candidate.model.log_p;
            let variance = analysis.output_variance(&candidate);
            (total <= budget && variance.is_finite()).then_some(variance)
        };
        let start = min_prime_bits(self.log_n) + 0.5;
        let mut point = vec![start - 3.0; self.levels.groups];
        point.extend(vec![start; self.levels.depth]);
        let mut best = judge(&point)?;
        let mut step = 4.0;
        while step >= 0.125 {
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
                    if i != j && (point.len() <= MAX_PAIRED || i.abs_diff(j) <= 2) {
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

    /// The primes nearest to a candidate's sizes, and the smallest special primes that suffice for them.
    fn literal(&self, candidate: &Candidate) -> Option<CkksLiteral> {
        let mut q: Vec<u64> = Vec::new();
        for size in &candidate.primes {
            q.push(*ntt_primes_near(self.log_n, *size, 1, &q).first()?);
        }
        let digits = q
            .chunks(self.digit_size)
            .map(|d| d.iter().map(|q| libm::log2(*q as f64)).sum::<f64>());
        let log_p = digits.fold(0.0, f64::max) + f64::from(SPECIAL_HEADROOM_BITS);
        // Each is at least the root, so that their product is exactly enough whatever their gaps are.
        let root = log_p / self.digit_size as f64 + 1e-9;
        let p = ntt_primes_from(self.log_n, root, self.digit_size, &q);
        (p.len() == self.digit_size).then_some(())?;
        Some(CkksLiteral {
            log_n: self.log_n,
            q,
            p,
            digit_size: self.digit_size,
            security: self.options.security,
        })
    }
}
