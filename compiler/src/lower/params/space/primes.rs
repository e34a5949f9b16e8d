//! From sizes of primes to primes, which are nearly of these sizes.

use super::super::super::network::Kind;
use super::super::super::noise::Candidate;
use super::super::super::polynomial::LogScale;
use super::super::{SPECIAL_BITS, special_primes};
use super::{Space, Variable};
use cipherloom_ir::params::{CkksLiteral, ntt_primes_from, ntt_primes_near};

/// How often the first prime is enlarged, and by how much more than is missing.
const FITTINGS: usize = 4;
const SPARE_BITS: f64 = 0.05;

impl Space<'_> {
    /// The primes nearest to a candidate's sizes, which become exactly theirs. Scales that follow from the primes may then take
    /// more bits than planned, which the first prime makes up for.
    pub(super) fn fitting(&self, candidate: &mut Candidate) -> Option<CkksLiteral> {
        for _ in 0..FITTINGS {
            let literal = self.literal(candidate)?;
            let primes: Vec<f64> = literal.q.iter().map(|q| libm::log2(*q as f64)).collect();
            let exact = Candidate {
                magnitude: self.settled(candidate, &primes),
                primes,
                ..candidate.clone()
            };
            let missing = self.missing(&exact)?;
            if missing <= 0.0 {
                *candidate = exact;
                return Some(literal);
            }
            candidate.primes[0] += missing + SPARE_BITS;
        }
        None
    }

    /// The magnitudes with which the last T_k of each polynomial has its planned scale under exact primes. Each T_2k has
    /// twice the error of T_k's scale, so that primes that were chosen for one polynomial's lead those of another astray:
    /// backwards the errors halve.
    fn settled(&self, planned: &Candidate, primes: &[f64]) -> Vec<f64> {
        let logs = self.analysis.log_scales(planned);
        let levels = self.analysis.levels;
        let mut magnitude = planned.magnitude.clone();
        for (v, value) in self.analysis.network.values.iter().enumerate() {
            let Kind::Polynomial { operand, program } = &value.kind else {
                continue;
            };
            let (below, top) = (levels.level[v], levels.level[v] + program.depth());
            let decides = |variable: &Variable| match variable {
                Variable::Offset {
                    group,
                    prime,
                    operand: of,
                } if of == operand && *prime == top => Some(*group),
                _ => None,
            };
            let Some(group) = self.variables.iter().find_map(decides) else {
                continue;
            };
            let sizes = planned.primes[below + 1..=top].iter().rev();
            let last = sizes.fold(logs[*operand], |scale, prime| 2.0 * scale - 1.0 - prime);
            let sizes = primes[below + 1..=top].iter();
            let first = sizes.fold(last, |scale, prime| 0.5 * (scale + 1.0 + prime));
            magnitude[group] = planned.magnitude[group] + first - logs[*operand];
        }
        magnitude
    }

    /// The primes nearest to a candidate's sizes, and the smallest special primes that suffice for them.
    fn literal(&self, candidate: &Candidate) -> Option<CkksLiteral> {
        let mut q: Vec<Option<u64>> = vec![None; candidate.primes.len()];
        let mut taken: Vec<u64> = Vec::new();
        let take = |taken: &mut Vec<u64>, size: f64| {
            let prime = *ntt_primes_near(self.log_n, size, 1, taken).first()?;
            taken.push(prime);
            Some(prime)
        };
        let within = self.polynomial_primes(candidate);
        for (i, size) in candidate.primes.iter().enumerate() {
            if !within.iter().any(|(_, target, _)| *target == i) {
                q[i] = Some(take(&mut taken, *size)?);
            }
        }
        // Each square of T_k doubles what its scale is off, so that every prime makes up for those above.
        let mut scale = 0.0;
        for (top, i, planned) in within {
            if let Some(operand) = top {
                scale = operand;
            }
            let prime = take(&mut taken, 2.0 * scale - 1.0 - planned)?;
            scale = 2.0 * scale - 1.0 - libm::log2(prime as f64);
            q[i] = Some(prime);
        }
        let q: Vec<u64> = q.into_iter().collect::<Option<_>>()?;
        let digits = q
            .chunks(self.digit_size)
            .map(|d| d.iter().map(|q| libm::log2(*q as f64)).sum::<f64>());
        let log_p = digits.fold(0.0, f64::max) + SPECIAL_BITS - 0.02;
        // Each is at least the root, so that their product is exactly enough whatever their gaps are.
        let count = special_primes(log_p);
        let root = log_p / count as f64 + 1e-9;
        let p = ntt_primes_from(self.log_n, root, count, &q);
        (p.len() == count).then_some(())?;
        Some(CkksLiteral {
            log_n: self.log_n,
            q,
            p,
            digit_size: self.digit_size,
            security: self.options.security,
        })
    }

    /// The primes by which T_2, T_4, .. are divided, in that order for each polynomial whose primes no other has: the
    /// scale's log2 of the operand before the first of them, the prime, and that of the T_k.
    fn polynomial_primes(&self, candidate: &Candidate) -> Vec<(Option<f64>, usize, f64)> {
        let mut found: Vec<(Option<f64>, usize, f64)> = Vec::new();
        let logs = self.analysis.log_scales(candidate);
        for (v, value) in self.analysis.network.values.iter().enumerate() {
            let Kind::Polynomial { operand, program } = &value.kind else {
                continue;
            };
            let top = self.analysis.levels.level[v] + program.depth();
            let mut chain = Vec::new();
            let mut scale = LogScale(logs[*operand]);
            for depth in 1..=program.depth() {
                let prime = top + 1 - depth;
                if found.iter().any(|(_, i, _)| *i == prime) {
                    break;
                }
                let before = (depth == 1).then_some(scale.0);
                scale = LogScale(2.0 * scale.0 - 1.0 - candidate.primes[prime]);
                chain.push((before, prime, scale.0));
            }
            found.append(&mut chain);
        }
        found
    }
}
