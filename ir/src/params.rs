//! Parameters of the scheme as plain numbers: what the compiler chooses, a plan stores and a loader checks.
//!
//! A literal is unchecked; [`CkksLiteral::check`] is the one gate that everything passes, and the crate
//! `cipherloom-ckks` freezes only what passed it.

use crate::security::{MAX_LOG_N, MIN_LOG_N, Security, log2_product};
use thiserror::Error;

/// The standard deviation of the error distribution.
pub const SIGMA: f64 = 3.2;

/// Every prime is below `2^MAX_PRIME_BITS`, so that the AVX-512 IFMA kernels apply.
pub const MAX_PRIME_BITS: u32 = 50;

/// The special modulus is at least `2^SPECIAL_HEADROOM_BITS` times the largest digit product, exactly: less would let
/// the rounding of key switching stand out above its noise.
pub const SPECIAL_HEADROOM_BITS: u32 = 3;

/// The largest number of primes of a chain, special ones included.
pub const MAX_PRIMES: usize = 128;

/// CKKS parameters, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CkksLiteral {
    /// The ring degree is `2^log_n`.
    pub log_n: u32,
    /// The primes of the chain, q_0 first: a value at level l lives modulo q_0 .. q_l.
    pub q: Vec<u64>,
    /// The special primes of key switching.
    pub p: Vec<u64>,
    /// The number of consecutive chain primes that form one key-switching digit.
    pub digit_size: usize,
    /// The security target.
    pub security: Security,
}

/// Why parameters are refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ParameterError {
    /// The ring degree is outside the table.
    #[error(
        "ring degree 2^{log_n} is outside the table of secure parameters (2^{MIN_LOG_N} to 2^{MAX_LOG_N}) for {security}-bit security"
    )]
    RingDegree {
        /// Its logarithm.
        log_n: u32,
        /// The target.
        security: Security,
    },
    /// The modulus is too large for the ring.
    #[error(
        "log2(QP) is {log_qp:.3} and exceeds {limit}, the limit for N = 2^{log_n} at {security}-bit security"
    )]
    TooLarge {
        /// The logarithm of the product of all primes.
        log_qp: f64,
        /// The table's limit.
        limit: u32,
        /// The ring degree's logarithm.
        log_n: u32,
        /// The target.
        security: Security,
    },
    /// A modulus is not a prime that the ring can use.
    #[error("modulus {modulus} is not a prime below 2^{MAX_PRIME_BITS} that is 1 modulo 2N")]
    NotAnNttPrime {
        /// The modulus.
        modulus: u64,
    },
    /// A prime occurs twice.
    #[error("prime {prime} occurs twice in the chain")]
    Repeated {
        /// The prime.
        prime: u64,
    },
    /// No chain prime, no special prime, or too many of them.
    #[error(
        "a chain needs at least one prime and one special prime, and at most {MAX_PRIMES} in all"
    )]
    Count,
    /// The digit size is zero or larger than the chain.
    #[error("the digit size {digit_size} is not between 1 and the {primes} primes of the chain")]
    DigitSize {
        /// The digit size.
        digit_size: usize,
        /// The number of chain primes.
        primes: usize,
    },
    /// The special modulus is too small for the digits.
    #[error(
        "the special modulus has {log_p:.6} bits; it must have {SPECIAL_HEADROOM_BITS} more than the largest digit product, which has {log_digit:.6}"
    )]
    SpecialModulus {
        /// The logarithm of the special modulus.
        log_p: f64,
        /// The logarithm of the largest digit product.
        log_digit: f64,
    },
}

impl CkksLiteral {
    /// The ring degree N.
    pub fn n(&self) -> usize {
        1 << self.log_n
    }

    /// The number of slots, N/2.
    pub fn slots(&self) -> usize {
        self.n() / 2
    }

    /// The highest level: the number of chain primes less one.
    pub fn max_level(&self) -> usize {
        self.q.len().saturating_sub(1)
    }

    /// The logarithm of the product of all primes, special ones included.
    pub fn log_qp(&self) -> f64 {
        log2_product(self.q.iter().chain(&self.p).copied())
    }

    /// The logarithm of the largest digit product.
    pub fn log_digit(&self) -> f64 {
        self.q
            .chunks(self.digit_size.max(1))
            .map(|d| log2_product(d.iter().copied()))
            .fold(0.0, f64::max)
    }

    /// Checks structure and security.
    pub fn check(&self) -> Result<(), ParameterError> {
        let refused = ParameterError::RingDegree {
            log_n: self.log_n,
            security: self.security,
        };
        let limit = self.security.max_log_qp(self.log_n).ok_or(refused)?;
        self.check_structure()?;
        let log_qp = self.log_qp();
        // The bound is exact up to the rounding of a sum of at most 128 logarithms.
        if log_qp > f64::from(limit) {
            return Err(ParameterError::TooLarge {
                log_qp,
                limit,
                log_n: self.log_n,
                security: self.security,
            });
        }
        Ok(())
    }

    /// Checks everything but security: primes, counts, digits, special modulus.
    pub fn check_structure(&self) -> Result<(), ParameterError> {
        if self.log_n < 2 || self.log_n > MAX_LOG_N {
            return Err(ParameterError::RingDegree {
                log_n: self.log_n,
                security: self.security,
            });
        }
        if self.q.is_empty() || self.p.is_empty() || self.q.len() + self.p.len() > MAX_PRIMES {
            return Err(ParameterError::Count);
        }
        if self.digit_size == 0 || self.digit_size > self.q.len() {
            return Err(ParameterError::DigitSize {
                digit_size: self.digit_size,
                primes: self.q.len(),
            });
        }
        let mut seen = std::collections::BTreeSet::new();
        for &prime in self.q.iter().chain(&self.p) {
            if prime >= 1 << MAX_PRIME_BITS || prime % (2 << self.log_n) != 1 || !is_prime(prime) {
                return Err(ParameterError::NotAnNttPrime { modulus: prime });
            }
            if !seen.insert(prime) {
                return Err(ParameterError::Repeated { prime });
            }
        }
        let special = product(self.p.iter().copied());
        let covers = |digit: &[u64]| {
            let headroom = std::iter::once(1 << SPECIAL_HEADROOM_BITS);
            at_least(&special, &product(digit.iter().copied().chain(headroom)))
        };
        if !self.q.chunks(self.digit_size).all(covers) {
            return Err(ParameterError::SpecialModulus {
                log_p: log2_product(self.p.iter().copied()),
                log_digit: self.log_digit(),
            });
        }
        Ok(())
    }
}

/// An exact product of non-zero factors: words, the lowest first, the highest not zero.
fn product(factors: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut words = vec![1];
    for factor in factors {
        let mut carry = 0;
        for word in &mut words {
            let wide = u128::from(*word) * u128::from(factor) + u128::from(carry);
            *word = wide as u64;
            carry = (wide >> 64) as u64;
        }
        if carry > 0 {
            words.push(carry);
        }
    }
    words
}

/// Whether one product of [`product`]'s form is at least another.
fn at_least(a: &[u64], b: &[u64]) -> bool {
    a.len()
        .cmp(&b.len())
        .then_with(|| a.iter().rev().cmp(b.iter().rev()))
        .is_ge()
}

fn mul_mod(a: u64, b: u64, m: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(m)) as u64
}

fn pow_mod(mut base: u64, mut exponent: u64, m: u64) -> u64 {
    let mut result = 1 % m;
    base %= m;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul_mod(result, base, m);
        }
        base = mul_mod(base, base, m);
        exponent >>= 1;
    }
    result
}

/// Whether a number is prime: Miller-Rabin with the first twelve primes as bases, which is exact below 2^64
/// (Sorenson and Webster, "Strong pseudoprimes to twelve prime bases", Math. Comp. 86, 2017).
pub fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    for base in BASES {
        if n.is_multiple_of(base) {
            return n == base;
        }
    }
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    'bases: for base in BASES {
        let mut x = pow_mod(base, odd, n);
        if x == 1 || x == n - 1 {
            continue;
        }
        for _ in 1..twos {
            x = mul_mod(x, x, n);
            if x == n - 1 {
                continue 'bases;
            }
        }
        return false;
    }
    true
}

/// Primes that are 1 modulo `2^(log_n + 1)`, in order of their distance from `2^log2_target`, without those in
/// `taken`; at most `count`, fewer where there are no more within a factor of two.
pub fn ntt_primes_near(log_n: u32, log2_target: f64, count: usize, taken: &[u64]) -> Vec<u64> {
    let step = 2_u64 << log_n;
    let target = libm::exp2(log2_target.clamp(1.0, f64::from(MAX_PRIME_BITS)));
    let (low, high) = (
        target / 2.0,
        (target * 2.0).min(libm::exp2(f64::from(MAX_PRIME_BITS))),
    );
    let mut below = (target as u64).saturating_sub(1) / step * step + 1;
    let mut above = below + step;
    let mut found = Vec::new();
    while found.len() < count {
        let below_open = below > step && below as f64 >= low;
        let above_open = (above as f64) < high;
        let take_below = match (below_open, above_open) {
            (false, false) => break,
            (open, false) | (false, open) if open => below_open,
            _ => target - below as f64 <= above as f64 - target,
        };
        let candidate = if take_below { below } else { above };
        if take_below {
            below -= step;
        } else {
            above += step;
        }
        if !taken.contains(&candidate) && is_prime(candidate) {
            found.push(candidate);
        }
    }
    found
}

/// The smallest primes that are 1 modulo `2^(log_n + 1)` and at least `2^log2_low`, without those in `taken`; at most
/// `count`, fewer where [`MAX_PRIME_BITS`] ends them.
pub fn ntt_primes_from(log_n: u32, log2_low: f64, count: usize, taken: &[u64]) -> Vec<u64> {
    let step = 2_u64 << log_n;
    let low = libm::exp2(log2_low.clamp(1.0, f64::from(MAX_PRIME_BITS))).ceil() as u64;
    let first = low.saturating_sub(1).div_ceil(step) * step + 1;
    (0..)
        .map(|i| first + i * step)
        .take_while(|candidate| *candidate < 1 << MAX_PRIME_BITS)
        .filter(|candidate| !taken.contains(candidate) && is_prime(*candidate))
        .take(count)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal() -> CkksLiteral {
        let q = ntt_primes_near(13, 28.0, 5, &[]);
        let p = ntt_primes_near(13, 34.0, 1, &q);
        CkksLiteral {
            log_n: 13,
            q,
            p,
            digit_size: 1,
            security: Security::Classical128,
        }
    }

    #[test]
    fn primality_agrees_with_trial_division() {
        for n in 0..5000_u64 {
            let naive = n > 1 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0);
            assert_eq!(is_prime(n), naive, "{n}");
        }
        assert!(!is_prime(3_825_123_056_546_413_051));
        assert!(is_prime(18_446_744_073_709_551_557));
    }

    #[test]
    fn primes_are_nearest_first_and_fit_the_ring() {
        let primes = ntt_primes_near(13, 24.0, 8, &[]);
        assert_eq!(primes.len(), 8);
        let distance = |p: u64| (p as f64 - (1 << 24) as f64).abs();
        assert!(primes.windows(2).all(|w| distance(w[0]) <= distance(w[1])));
        assert!(primes.iter().all(|p| p % (1 << 14) == 1 && is_prime(*p)));
        assert!(ntt_primes_near(17, 18.0, 50, &[]).len() < 50);
        assert!(
            ntt_primes_near(13, 50.0, 4, &[])
                .iter()
                .all(|p| *p < 1 << 50)
        );
    }

    #[test]
    fn primes_from_a_bound_are_the_smallest_above_it() {
        let found = ntt_primes_from(10, 20.0, 5, &[]);
        let naive = |n: &u64| {
            n % 2048 == 1
                && (2..)
                    .take_while(|d| d * d <= *n)
                    .all(|d| !n.is_multiple_of(d))
        };
        let expected: Vec<u64> = (1 << 20..).filter(naive).take(5).collect();
        assert_eq!(found, expected);
        assert_eq!(ntt_primes_from(10, 20.0, 4, &found[..1]), expected[1..]);
        assert!(ntt_primes_from(13, 50.0, 1, &[]).is_empty());
    }

    /// Cross-multiplied in 128 bits, the rule holds for one special prime of exactly the size that it needs.
    #[test]
    fn the_special_modulus_is_exactly_eight_times_a_digit() {
        let mut literal = literal();
        let largest = literal.q.iter().copied().max().unwrap_or(0);
        let below = (1..).map(|i| 8 * largest / 16384 * 16384 + 1 - 16384 * i);
        let below = below.into_iter().find(|p| is_prime(*p)).unwrap_or(0);
        let above = ntt_primes_from(13, libm::log2(8.0 * largest as f64), 1, &literal.q);
        assert!(below < 8 * largest && above[0] > 8 * largest);
        literal.p = above;
        assert_eq!(literal.check(), Ok(()));
        literal.p = vec![below];
        let refused = literal.check();
        assert!(
            matches!(refused, Err(ParameterError::SpecialModulus { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn products_are_exact() {
        let wide = product([u64::MAX, u64::MAX, 3].into_iter());
        // (2^64 - 1)^2 * 3 = 3 * 2^128 - 6 * 2^64 + 3.
        assert_eq!(wide, vec![3, u64::MAX - 5, 2]);
        assert!(at_least(&wide, &wide) && !at_least(&[4], &wide) && at_least(&wide, &[4]));
        assert!(at_least(&[0, 2], &[u64::MAX, 1]) && !at_least(&[u64::MAX, 1], &[0, 2]));
    }

    #[test]
    fn each_fault_is_refused() {
        assert_eq!(literal().check(), Ok(()));
        let too_small = CkksLiteral {
            log_n: 12,
            ..literal()
        };
        assert!(matches!(
            too_small.check(),
            Err(ParameterError::TooLarge { .. })
        ));
        let mut repeated = literal();
        repeated.q[1] = repeated.q[0];
        assert!(matches!(
            repeated.check(),
            Err(ParameterError::Repeated { .. })
        ));
        let mut composite = literal();
        composite.q[1] = 3 * 16384 + 1;
        assert!(matches!(
            composite.check(),
            Err(ParameterError::NotAnNttPrime { .. })
        ));
        assert!(matches!(
            CkksLiteral {
                digit_size: 2,
                ..literal()
            }
            .check(),
            Err(ParameterError::SpecialModulus { .. })
        ));
        assert!(matches!(
            CkksLiteral {
                digit_size: 0,
                ..literal()
            }
            .check(),
            Err(ParameterError::DigitSize { .. })
        ));
        assert!(matches!(
            CkksLiteral {
                p: vec![],
                ..literal()
            }
            .check(),
            Err(ParameterError::Count)
        ));
        assert!(matches!(
            CkksLiteral {
                log_n: 9,
                ..literal()
            }
            .check(),
            Err(ParameterError::RingDegree { .. })
        ));
    }
}
