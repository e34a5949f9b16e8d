//! The parameters: ring degree, primes, digits and the free scales, by predicted precision and cost.
//!
//! For a ring degree and a digit size, the sizes of all primes and the magnitude of every free scale are found by a
//! pattern search that lowers the output's variance within the security table's limit on log2(QP): steps of one
//! variable up or down, or one up and another down. The ring degree is the smallest that gives the wanted precision, or the
//! next if that is cheaper for its larger digits; among digit sizes the cheapest that does.

mod space;

use super::levels::{Levels, consumes, group_max};
use super::network::{Kind, Network, Term};
use super::noise::{Analysis, Candidate};
use super::packing::{Packing, choose};
use super::statistics::Statistics;
use super::{Batch, LowerError, Options};
use crate::cost::{Limbs, Rates, Work};
use cipherloom_ir::params::{CkksLiteral, MAX_PRIME_BITS, MAX_PRIMES, SPECIAL_HEADROOM_BITS};
use cipherloom_ir::security::{MAX_LOG_N, MIN_LOG_N};
use space::Space;

/// How many standard deviations a normal error is off at worst, one of about a thousand.
const WORST_DEVIATIONS: f64 = 3.3;
/// Bits of precision that are wanted without an explicit wish.
const DEFAULT_BITS: f64 = 12.0;
/// Further bits where products or polynomials follow bounds of ranges: outputs are far below their bounds then.
const BOUND_BITS: f64 = 3.0;
/// Bits that the prediction must lie above the wish. Checks with five samples find less than the prediction in about one
/// case of twenty, and 0.3 bits less in one of a hundred (200 simulated checks of each of six networks, from 11.7 to 15.1
/// bits): the margin is for those. More would cost a step of digit sizes, a fifth of a run's time.
const SLACK_BITS: f64 = 0.2;
/// A value at level 0 times its margin stays this many bits below half the first prime.
const HEADROOM_BITS: f64 = 0.25;
/// Chain primes are capped at these sizes, in this order: the first keeps words in 32 bits.
const CAPS: [f64; 3] = [31.0, 40.0, 49.0];
/// The first cap where matrices are weighted sums: many products with residues of so many bits fit into 52 bits, which one
/// instruction multiplies and adds.
const SUM_CAP: f64 = 27.5;
/// Digits of up to so many primes are tried.
const MAX_DIGIT_SIZE: usize = 8;
/// What the special modulus is larger than the largest digit, in bits.
const SPECIAL_BITS: f64 = SPECIAL_HEADROOM_BITS as f64 + 0.02;
/// Networks of so many levels are searched with the least effort.
const DEEP: usize = 12;
/// Up to this factor above the cheapest digit size, a larger ring is not tried.
const ROOM: f64 = 1.5;

/// The most samples of one run: the slots of the largest ring.
pub(crate) const MAX_BATCH: usize = 1 << (MAX_LOG_N - 1);

impl Batch {
    /// The numbers of samples side by side that are tried in a ring of so many slots.
    fn candidates(self, slots: usize) -> Vec<usize> {
        let mut all = match self {
            Batch::Samples(1) => vec![1],
            Batch::Samples(samples) => vec![samples.next_power_of_two(), slots],
            Batch::Max => vec![1, (slots / 64).max(1), (slots / 8).max(1), slots],
        };
        all.retain(|samples| *samples <= slots);
        all.dedup();
        all
    }

    /// How many samples share the price of a run.
    fn shares(self, samples: usize) -> f64 {
        match self {
            Batch::Samples(_) => 1.0,
            Batch::Max => samples as f64,
        }
    }
}

/// Further bits for so many samples of a run: the wish holds for the worst of them as for one alone.
///
/// A rounding error is multiplied by the secret key, whose squared absolute value at a slot is exponentially distributed:
/// the noise of a sample is normal with a variance that is the mean of `r = slots / samples` such values. By Chernoff's
/// bound a variance of g times the expected one is as rare as `exp(-r (g - 1 - ln g))`, and an error of x deviations of
/// that as `exp(-x^2 / 2)`; the worst of all g is found, once for the samples and once for one alone. One run in ten may
/// exceed it, or one in a thousand where a run has fewer than a hundred samples.
fn worst_of(samples: usize, slots: usize) -> f64 {
    let worst = |samples: usize| {
        let (r, all) = (
            (slots / samples.max(1)).max(1) as f64,
            samples.max(1) as f64,
        );
        let rare = libm::log((10.0 * all).max(1000.0));
        let square = |g: f64| 2.0 * g * (rare - r * (g - 1.0 - libm::log(g)));
        let steps = (0..=200).map(|i| square(1.0 + 0.1 * f64::from(i)));
        steps.fold(0.0, f64::max)
    };
    0.5 * libm::log2(worst(samples) / worst(1))
}

/// What was chosen.
pub(crate) struct Chosen {
    pub(crate) literal: CkksLiteral,
    pub(crate) packing: Packing,
    pub(crate) candidate: Candidate,
    /// Predicted bits of the outputs: of the error that one in a thousand exceeds.
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
    let bends = |kind: &Kind| {
        matches!(
            kind,
            Kind::Polynomial { .. } | Kind::Square(_) | Kind::Mul(..)
        )
    };
    let spare = if from_intervals && network.values.iter().any(|v| bends(&v.kind)) {
        BOUND_BITS
    } else {
        0.0
    };
    if let Batch::Samples(samples) = options.batch
        && samples > MAX_BATCH
    {
        return Err(LowerError::Batch { samples });
    }
    let asked = options.precision.unwrap_or(DEFAULT_BITS + spare);
    let mut closest: Option<(f64, u32)> = None;
    let mut best: Option<(f64, Chosen)> = None;
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
        // Rotations are split as for about four digits.
        let digit_size = (levels.depth / 4).clamp(1, MAX_DIGIT_SIZE);
        let special = special_primes(digit_size as f64 * CAPS[0] + SPECIAL_BITS);
        // Most primes are below 2^32 where the precision lets them.
        let rates = options.cost.ring(log_n).narrow;
        let smaller = best.is_some();
        let (mut any, mut found, mut ideal) = (false, f64::INFINITY, f64::INFINITY);
        for samples in options.batch.candidates(1 << (log_n - 1)) {
            let (of, slots) = (&levels.level, samples);
            let packing = choose(network, of, log_n, digit_size, special, &rates, slots);
            let max = group_max(levels, statistics);
            let analysis = Analysis::new(network, levels, statistics, &packing, max);
            let ring = Ring {
                analysis: &analysis,
                options,
                rates,
                log_n,
                limit: f64::from(limit),
                wanted: asked + SLACK_BITS + worst_of(samples, 1 << (log_n - 1)),
            };
            // What is compared is the price of a run, or of a sample.
            let shared = options.batch.shares(samples);
            let sizes = ring.digit_sizes();
            ideal = sizes.first().map_or(0.0, |s| s.0 / shared).min(ideal);
            let below = best.as_ref().map_or(f64::INFINITY, |(price, _)| *price);
            if let Some((price, chosen)) = ring.cheapest(sizes, below * shared, &mut closest) {
                (any, found) = (true, found.min(price / shared));
                best = Some((price / shared, chosen));
            }
        }
        // A ring twice as large may be cheaper where this one has no room for large digits; for batches, a larger one still.
        let last = smaller && matches!(options.batch, Batch::Samples(_));
        if last || found < ROOM * ideal || best.is_some() && !any {
            break;
        }
    }
    best.map(|(_, chosen)| chosen)
        .ok_or_else(|| LowerError::NoParameters {
            depth: levels.depth,
            wanted: asked,
            slack: SLACK_BITS,
            closest,
            security: options.security,
            from_intervals,
            polynomials: network
                .values
                .iter()
                .any(|v| matches!(v.kind, Kind::Polynomial { .. })),
            levels: level_report(network, levels),
        })
}

/// One ring degree.
struct Ring<'r> {
    analysis: &'r Analysis<'r>,
    options: &'r Options,
    rates: Rates,
    log_n: u32,
    limit: f64,
    wanted: f64,
}

impl Ring<'_> {
    /// What each digit size costs, the cheapest first.
    fn digit_sizes(&self) -> Vec<(f64, usize)> {
        let Analysis {
            network,
            levels,
            packing,
            ..
        } = self.analysis;
        let price = |size: usize| {
            let special = special_primes(size as f64 * CAPS[0] + SPECIAL_BITS);
            let work = cost(network, levels, packing, special, size);
            self.rates.seconds(work)
        };
        let sizes = 1..=MAX_DIGIT_SIZE.min(levels.depth + 1);
        let mut sizes: Vec<(f64, usize)> = sizes.map(|size| (price(size), size)).collect();
        sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
        sizes
    }

    /// The cheapest parameters that are precise enough and cost less than `below`, with what they cost.
    fn cheapest(
        &self,
        mut sizes: Vec<(f64, usize)>,
        below: f64,
        closest: &mut Option<(f64, u32)>,
    ) -> Option<(f64, Chosen)> {
        // Small digits leave the most room to the chain: where they do not suffice, nothing does.
        if self.analysis.levels.depth >= DEEP {
            let smallest = sizes.iter().map(|(_, size)| *size).min()?;
            self.try_size(smallest, closest)?;
        }
        while !sizes.is_empty() {
            let (price, size) = sizes.remove(0);
            if price >= below {
                return None;
            }
            if let Some(chosen) = self.try_size(size, closest) {
                return Some((price, chosen));
            }
            // Larger digits leave less.
            sizes.retain(|(_, other)| *other < size);
        }
        None
    }

    /// Parameters of one digit size that are precise enough.
    fn try_size(&self, digit_size: usize, closest: &mut Option<(f64, u32)>) -> Option<Chosen> {
        let sums = self.analysis.packing.separate.then_some(SUM_CAP);
        for cap in sums.into_iter().chain(CAPS) {
            let space = Space::new(self.analysis, self.options, self.log_n, digit_size, cap);
            let Some(chosen) = space.best(self.limit, self.wanted) else {
                continue;
            };
            if closest.is_none_or(|(bits, _)| chosen.bits > bits) {
                *closest = Some((chosen.bits, self.log_n));
            }
            if chosen.bits >= self.wanted {
                return Some(chosen);
            }
            // Where no prime is near the cap, a larger one changes nothing.
            if chosen.candidate.primes.iter().all(|p| *p < cap - 1.0) {
                break;
            }
        }
        None
    }
}

/// For people: which layers take the levels and what for, from the top.
fn level_report(network: &Network, levels: &Levels) -> Vec<String> {
    let taken = |v: usize| {
        let kind = &network.values[v].kind;
        let depth = match kind {
            Kind::Polynomial { program, .. } => program.depth(),
            kind => usize::from(consumes(kind)),
        };
        levels.level[v]..levels.level[v] + depth
    };
    let name = |v: usize| {
        let value = &network.values[v];
        let what = match &value.kind {
            Kind::Mul(..) => "product".to_owned(),
            Kind::Square(_) => "square".to_owned(),
            Kind::Polynomial { program, .. } => {
                format!(
                    "polynomial of degree {}",
                    program.coefficients.len().saturating_sub(1)
                )
            }
            Kind::Linear { terms, .. }
                if terms.iter().any(|(_, t)| matches!(t, Term::Matrix(_))) =>
            {
                "matrix".to_owned()
            }
            Kind::Linear { .. } | Kind::Fold(..) | Kind::View(..) | Kind::Input(_) => {
                "factor".to_owned()
            }
        };
        format!("{} ({what})", value.origin)
    };
    let line = |level: usize| {
        let takers = (0..network.values.len()).filter(|v| taken(*v).contains(&level));
        takers.map(name).collect::<Vec<_>>().join("; ")
    };
    // Equal lines of consecutive levels are one: highest level, lowest level, text.
    let mut lines: Vec<(usize, usize, String)> = Vec::new();
    for level in (0..levels.depth).rev() {
        let text = line(level);
        match lines.last_mut() {
            Some((_, lowest, last)) if *last == text => *lowest = level + 1,
            _ => lines.push((level + 1, level + 1, text)),
        }
    }
    let shown = |(high, low, text): &(usize, usize, String)| match high == low {
        true => format!("level {high}: {text}"),
        false => format!("levels {high} to {low}: {text}"),
    };
    lines.iter().map(shown).collect()
}

/// Primes below this are scarce: there must be a few that are 1 modulo 2N.
fn min_prime_bits(log_n: u32) -> f64 {
    f64::from(log_n) + 7.0
}

/// Special primes for a special modulus of so many bits.
fn special_primes(log_p: f64) -> usize {
    libm::ceil(log_p / (f64::from(MAX_PRIME_BITS) - 0.1)).max(1.0) as usize
}

/// The work of all operations.
fn cost(
    network: &Network,
    levels: &Levels,
    packing: &Packing,
    special: usize,
    digit_size: usize,
) -> Work {
    let mut work = Work::default();
    for (v, value) in network.values.iter().enumerate() {
        let limbs = |level: usize| Limbs {
            q: level as u64 + 2,
            p: special as u64,
            digit_size: digit_size as u64,
        };
        let level = levels.level[v];
        let ciphertexts = packing.layouts[packing.of[v]].ciphertexts;
        match &value.kind {
            Kind::Square(_) if packing.squares.contains(&v) => {}
            Kind::Mul(..) | Kind::Square(_) => {
                (0..ciphertexts).for_each(|_| work += limbs(level).multiply(true));
            }
            Kind::Polynomial { program, .. } => {
                for sum in &program.sums {
                    let limbs = limbs(level + program.depth() - sum.depth);
                    let (products, terms) = (sum.products.len() as u64, sum.terms.len() as u64);
                    (0..ciphertexts).for_each(|_| work += limbs.combine(products, terms, true));
                }
            }
            Kind::Linear { terms, .. } if packing.separate => {
                for (u, term) in terms {
                    if let Term::Matrix(m) = term {
                        let squares = packing.squares.contains(u);
                        // Operands that are squared within the sum are one level higher.
                        let limbs = limbs(level + usize::from(squares));
                        let (entries, rows) = (m.entries() as u64, m.rows as u64);
                        work += limbs.weighted_sums(entries, rows, squares, true);
                    }
                }
            }
            Kind::Linear { terms, .. } => {
                for t in 0..terms.len() {
                    if let Some(shape) = packing.shapes.get(&(v, t)) {
                        work += limbs(level).transform(shape.counts);
                    }
                }
            }
            Kind::Fold(a, _) => {
                let from = &packing.layouts[packing.of[*a]];
                let to = &packing.layouts[packing.of[v]];
                let rotations = (from.period / to.period.max(1)).max(1).ilog2() as usize;
                let limbs = Limbs {
                    q: level as u64 + 1,
                    ..limbs(level)
                };
                (0..rotations * ciphertexts).for_each(|_| work += limbs.key_switch(false));
            }
            Kind::Input(_) | Kind::View(..) => {}
        }
    }
    work
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many deviations a share of errors exceeds whose variance is exponentially distributed, by integration.
    fn exact(share: f64) -> f64 {
        let beyond = |x: f64| {
            let steps = (0..40_000).map(|i| (f64::from(i) + 0.5) * 1e-3);
            steps
                .map(|g| 1e-3 * libm::exp(-g) * libm::erfc(x / libm::sqrt(2.0 * g)))
                .sum::<f64>()
        };
        let (mut lo, mut hi) = (0.0, 30.0);
        for _ in 0..40 {
            let middle = 0.5 * (lo + hi);
            if beyond(middle) > share {
                lo = middle;
            } else {
                hi = middle;
            }
        }
        hi
    }

    #[test]
    fn more_samples_take_more_bits() {
        assert!(worst_of(1, 4096) == 0.0 && worst_of(1024, 4096) > 0.1);
        for samples in [256, 4096, 32_768] {
            let bound = worst_of(samples, samples);
            let found = libm::log2(exact(0.1 / samples as f64) / WORST_DEVIATIONS);
            // Both of the bound's figures are bounds.
            assert!(
                (0.0..0.3).contains(&(bound - found)),
                "{samples}: {bound} for {found}"
            );
            // Samples that have many slots each take less.
            assert!(worst_of(samples / 64, samples) < bound - 0.5);
        }
    }
}
