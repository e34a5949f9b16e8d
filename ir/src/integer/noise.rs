//! Variances and failure probabilities of TFHE operations, for the sets of [`super::SETS`].
//!
//! All variances are of errors on the torus: a ciphertext's phase divided by q = 2^64. The formulas are those that
//! the crate `tfhe` publishes in `core_crypto::commons::noise_formulas`; their derivation is in Chillotti, Ligier,
//! Orfila and Tap, "Improved programmable bootstrapping with larger precision" (ASIACRYPT 2021, eprint 2021/729,
//! theorems 2 to 4) and Bergerat et al., "Parameter optimization and larger precision for (T)FHE" (eprint 2022/704,
//! section 3); the halved variance of the centred modulus switch in Bernard, Joye, Smart and Walter, "Drifting towards
//! better error probabilities in fully homomorphic encryption schemes" (eprint 2024/1718).
//!
//! Pattern of a lookup: sum of weighted values under the large key, keyswitch to the small key, modulus switch to 2N,
//! blind rotation. What decides is the variance in front of the rotation; what comes out has [`bootstrap`]'s.

use super::{SETS, TfheSet};

/// 2^-128.
pub const DEFAULT_LOG2_FAILURE: f64 = -128.0;

/// `2^-128`, the modulus squared and inverted.
fn inverse_square_modulus() -> f64 {
    libm::exp2(-128.0)
}

/// The variance of TUniform(b).
pub fn t_uniform(bound_log2: u32) -> f64 {
    (libm::exp2(2.0 * f64::from(bound_log2) + 1.0) + 1.0) / 6.0 * inverse_square_modulus()
}

/// The mean square of a rounding to `levels` digits of base `2^base_log`, times a uniform bit: per key coefficient.
fn decomposition(base_log: u32, levels: u32) -> f64 {
    inverse_square_modulus() / 48.0 + libm::exp2(-2.0 * f64::from(base_log * levels)) / 24.0
}

/// The mean square of a signed digit of base `2^base_log`.
fn digit(base_log: u32) -> f64 {
    libm::exp2(2.0 * f64::from(base_log)) / 12.0 + 1.0 / 6.0
}

/// A fresh encryption under the large key.
pub fn fresh(set: &TfheSet) -> f64 {
    t_uniform(set.glwe_noise)
}

/// What a bootstrap returns, whatever goes in.
pub fn bootstrap(set: &TfheSet) -> f64 {
    let (n, k) = (f64::from(set.lwe_dimension), f64::from(set.glwe_dimension));
    let (size, levels) = (set.polynomial_size() as f64, f64::from(set.pbs_level));
    // Floating point of 53 bits over words of 64: the exponent is 2 (64 - 53) + 2 log2 B - 2 * 64.
    let fourier = 0.00705
        * libm::exp2(22.0 + 2.0 * f64::from(set.pbs_base_log) - 128.0)
        * libm::pow(levels, 1.01827)
        * libm::pow(k, 1.22003)
        * libm::pow(size, 2.22003)
        * libm::pow(k + 1.0, 1.01827);
    let errors = levels * size * (k + 1.0) * t_uniform(set.glwe_noise) * digit(set.pbs_base_log);
    let base = libm::exp2(-2.0 * f64::from(set.pbs_base_log * set.pbs_level));
    let rounding = 0.5 * k * size * decomposition(set.pbs_base_log, set.pbs_level) + base / 24.0;
    n * (fourier + errors + rounding - inverse_square_modulus() / 24.0)
}

/// What a keyswitch from the large to the small key adds.
pub fn keyswitch(set: &TfheSet) -> f64 {
    let (size, levels) = (set.big_dimension() as f64, f64::from(set.ks_level));
    levels * size * t_uniform(set.lwe_noise) * digit(set.ks_base_log)
        + size * decomposition(set.ks_base_log, set.ks_level)
        + rounded_key(set)
}

/// The part of a keyswitch's variance that comes from rounding the key's words to multiples of `2^32`: an error of the variance
/// `2^64 / 12` each, of which those of a mask meet a binary secret, with the mean square 1/2.
fn rounded_key(set: &TfheSet) -> f64 {
    let word = libm::exp2(64.0) / 12.0 * inverse_square_modulus();
    let row = word * (1.0 + 0.5 * f64::from(set.lwe_dimension));
    set.seeded_keyswitch_words() as f64 * row * digit(set.ks_base_log)
}

/// What a centred modulus switch to 2N adds.
pub fn modulus_switch(set: &TfheSet) -> f64 {
    let positions = 2.0 * set.polynomial_size() as f64;
    f64::from(set.lwe_dimension)
        * (inverse_square_modulus() / 24.0 + 1.0 / (48.0 * positions * positions))
}

/// The variance that decides a lookup whose operand has the variance `operand`.
pub fn at_lookup(set: &TfheSet, operand: f64) -> f64 {
    operand + keyswitch(set) + modulus_switch(set)
}

/// log2 of the probability that a normal error of the given variance is larger than `distance` to either side, both on
/// the torus: erfc(z / sqrt 2) with z the distance in standard deviations.
pub fn log2_failure(distance: f64, variance: f64) -> f64 {
    if distance <= 0.0 {
        return 0.0;
    }
    if variance <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let x = distance / libm::sqrt(2.0 * variance);
    if x < 25.0 {
        return libm::log2(libm::erfc(x)).min(0.0);
    }
    // erfc(x) < exp(-x^2) / (x sqrt pi): the next term of the series is 1 / (2 x^2) of it.
    -x * x * std::f64::consts::LOG2_E - libm::log2(x * libm::sqrt(std::f64::consts::PI))
}

/// log2 of a sum of probabilities, of which each pair is a count and a log2.
pub fn log2_sum(parts: impl IntoIterator<Item = (u64, f64)> + Clone) -> f64 {
    let shifted = |(count, log2): (u64, f64)| libm::log2(count as f64) + log2;
    let most = parts
        .clone()
        .into_iter()
        .map(shifted)
        .fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    let sum: f64 = parts
        .into_iter()
        .map(|part| libm::exp2(shifted(part) - most))
        .sum();
    (most + libm::log2(sum)).min(0.0)
}

/// What a lookup asks of a set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LookupDemand {
    /// Index bits of the table, below the padding bit.
    pub table_bits: u32,
    /// The sum of squared weights of the bootstrapped values that are added up in front of it, each weight counted in
    /// units of the operand's phase: `weight * 2^(delta of the value - delta of the operand) ` is already in it where
    /// the two have one delta exponent.
    pub norm2: f64,
    /// The same of freshly encrypted inputs.
    pub input_norm2: f64,
    /// How far the operand is from the nearest border of its entry, in entries: one half where every value lies in the middle.
    pub distance: f64,
}

impl LookupDemand {
    /// log2 of the failure probability under a set; 0 where the table is too long for it.
    pub fn log2_failure(&self, set: &TfheSet) -> f64 {
        if self.table_bits > set.max_table_bits() {
            return 0.0;
        }
        let operand = self.norm2 * bootstrap(set) + self.input_norm2 * fresh(set);
        let entry = libm::exp2(-1.0 - f64::from(self.table_bits));
        log2_failure(self.distance * entry, at_lookup(set, operand))
    }
}

/// The cheapest set under which every lookup fails with at most the given probability.
pub fn smallest_set(demands: &[LookupDemand], log2_budget: f64) -> Option<TfheSet> {
    SETS.into_iter()
        .find(|set| demands.iter().all(|d| d.log2_failure(set) <= log2_budget))
}

#[cfg(test)]
mod tests {
    use super::super::params::LARGER;
    use super::*;

    fn demand(table_bits: u32, norm: f64) -> LookupDemand {
        LookupDemand {
            table_bits,
            norm2: norm * norm,
            input_norm2: 0.0,
            distance: 0.5,
        }
    }

    /// The failure probability with a keyswitching key of whole words, as the sets' makers count it.
    fn published(set: &TfheSet, norm: f64) -> f64 {
        let variance = at_lookup(set, norm * norm * bootstrap(set)) - rounded_key(set);
        log2_failure(libm::exp2(-2.0 - f64::from(set.bits)), variance)
    }

    #[test]
    fn the_published_failure_probabilities_come_out() {
        for set in SETS.into_iter().chain(LARGER) {
            let found = published(&set, f64::from(set.norm));
            assert!(
                (found - set.log2_failure).abs() < 5e-4,
                "{}: {found}",
                set.name
            );
        }
    }

    #[test]
    fn rounding_the_keyswitching_key_costs_nothing() {
        for set in SETS {
            let part = rounded_key(&set) / keyswitch(&set);
            assert!(part > 0.0 && part < 1e-5, "{}: {part}", set.name);
        }
    }

    #[test]
    fn the_largest_norms_are_those_of_a_bisection() {
        // From a separate calculation with 200-bit arithmetic: largest norms at 2^-128, 2^-64 and 2^-40.
        let known = [
            (SETS[0], [53.842_180, 170.600_675, 248.953_744]),
            (SETS[1], [6.327_605, 36.064_295, 53.684_024]),
            (LARGER[0], [45.016_582, 510.647_768, 765.067_412]),
            (LARGER[1], [63.583_294, 210.274_770, 307.586_846]),
        ];
        for (set, norms) in known {
            for (norm, budget) in norms.into_iter().zip([-128.0, -64.0, -40.0]) {
                let fails = |factor: f64| published(&set, factor * norm) > budget;
                assert!(!fails(0.999_999) && fails(1.000_001), "{} {norm}", set.name);
            }
        }
    }

    #[test]
    fn tails_are_continuous_and_monotone() {
        assert_eq!(log2_failure(0.0, 1.0), 0.0);
        assert_eq!(log2_failure(1.0, 0.0), f64::NEG_INFINITY);
        // P(|X| > 1.96) is 5 %.
        assert!((libm::exp2(log2_failure(1.959_964, 1.0)) - 0.05).abs() < 1e-6);
        let border = 25.0 * libm::sqrt(2.0);
        let (below, above) = (
            log2_failure(border * 0.999_999, 1.0),
            log2_failure(border, 1.0),
        );
        assert!((below - above).abs() < 0.01 && above < below);
        assert!(log2_failure(2.0 * border, 1.0) < 3.9 * above);
    }

    #[test]
    fn probabilities_add_up() {
        assert_eq!(log2_sum([]), f64::NEG_INFINITY);
        assert_eq!(log2_sum([(4, -130.0), (4, -130.0)]), -127.0);
        assert!((log2_sum([(1, -1.0), (1, -2.0)]) - libm::log2(0.75)).abs() < 1e-12);
        assert_eq!(log2_sum([(8, -1.0)]), 0.0);
    }

    #[test]
    fn the_cheapest_set_is_found() {
        let bits = |demands: &[LookupDemand]| smallest_set(demands, -128.0).map(|s| s.bits);
        assert_eq!(bits(&[]), Some(2));
        assert_eq!(bits(&[demand(2, 40.0)]), Some(2));
        assert_eq!(bits(&[demand(2, 40.0), demand(4, 5.0)]), Some(4));
        assert_eq!(bits(&[demand(4, 7.0)]), None);
        assert_eq!(bits(&[demand(6, 1.0)]), None);
        assert_eq!(
            smallest_set(&[demand(4, 30.0)], -64.0).map(|s| s.bits),
            Some(4)
        );
        // Inputs carry almost no noise.
        let inputs = LookupDemand {
            norm2: 0.0,
            input_norm2: 1e12,
            ..demand(4, 0.0)
        };
        assert_eq!(bits(&[inputs]), Some(4));
    }
}
