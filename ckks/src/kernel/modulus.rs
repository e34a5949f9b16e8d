//! Arithmetic modulo one prime below 2^50, with Montgomery radix R = 2^52.
//!
//! The radix is the word of the AVX-512 IFMA multiplier; the portable code uses the same one, so that constants and
//! keys kept in Montgomery form serve both, and every reduced result is the same number in `[0, p)`.

/// log2 of the Montgomery radix.
pub(crate) const RADIX_BITS: u32 = 52;
/// The low bits of a word that the radix covers.
pub(crate) const MASK: u64 = (1 << RADIX_BITS) - 1;

/// At most so many products of residues may be summed up in a `u128` for [`Modulus::reduce_sum`]: beyond, the sum over
/// 2^52 might leave 64 bits.
pub(crate) const MAX_TERMS: usize = 1 << 16;

/// A factor with its Shoup quotient: `quotient = floor(value * 2^52 / p)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shoup {
    pub(crate) value: u64,
    pub(crate) quotient: u64,
}

/// A prime `2 < p < 2^50` and what reductions need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Modulus {
    /// The prime.
    pub(crate) p: u64,
    /// `p^-1 mod 2^52`.
    pub(crate) inverse: u64,
    /// `floor(2^52 / p)`, for Barrett's reduction of 52-bit words.
    pub(crate) barrett: u64,
    /// `2^52 mod p`, the number one in Montgomery form.
    pub(crate) one: u64,
    /// `2^104 mod p`, the factor that brings a plain number into Montgomery form.
    pub(crate) radix_squared: u64,
    /// So many products of residues may be summed as (high, low) halves before the high half leaves 52 bits or the low
    /// one 64.
    pub(crate) max_terms: usize,
}

impl Modulus {
    /// The tables of an odd prime below 2^50.
    pub(crate) fn new(p: u64) -> Self {
        debug_assert!(p > 2 && p < 1 << 50 && p % 2 == 1);
        let mut inverse = 1_u64;
        // Newton's iteration doubles the correct low bits: 1, 2, .. 64.
        for _ in 0..6 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(p.wrapping_mul(inverse)));
        }
        let one = (1_u64 << RADIX_BITS) % p;
        let radix_squared = (u128::from(one) * u128::from(one) % u128::from(p)) as u64;
        // Each product adds at most (p^2 >> 52) to the high half and less than 2^52 to the low half, whose 64 bits hold
        // 4096 of them; a carry out of the low half's 52 bits adds one per product. What a fold leaves behind is below 2p.
        let high = ((u128::from(p) * u128::from(p)) >> RADIX_BITS) as u64 + 1;
        let max_terms = (((MASK - 2 * p) / high).min(4000)) as usize;
        Self {
            p,
            inverse: inverse & MASK,
            barrett: (1 << RADIX_BITS) / p,
            one,
            radix_squared,
            max_terms,
        }
    }

    /// `x - p` if `x >= p`, for `x < 2p`, without a branch.
    pub(crate) fn correct(&self, x: u64) -> u64 {
        x.min(x.wrapping_sub(self.p))
    }

    pub(crate) fn add(&self, a: u64, b: u64) -> u64 {
        self.correct(a + b)
    }

    pub(crate) fn sub(&self, a: u64, b: u64) -> u64 {
        self.correct(a + self.p - b)
    }

    pub(crate) fn negate(&self, a: u64) -> u64 {
        self.correct(self.p - a)
    }

    /// `v * 2^-52 mod p` for `v < 2^52 p`.
    pub(crate) fn reduce(&self, v: u128) -> u64 {
        let q = (v as u64).wrapping_mul(self.inverse) & MASK;
        let high = ((u128::from(q) * u128::from(self.p)) >> RADIX_BITS) as u64;
        self.correct((v >> RADIX_BITS) as u64 + self.p - high)
    }

    /// `v * 2^-52 mod p` for any sum of at most [`MAX_TERMS`] products of residues: below 2^116, as primes are below 2^50.
    pub(crate) fn reduce_sum(&self, v: u128) -> u64 {
        let q = (v as u64).wrapping_mul(self.inverse) & MASK;
        let low = ((u128::from(q) * u128::from(self.p)) >> RADIX_BITS) as u64;
        let high = (v >> RADIX_BITS) as u64;
        let high = if high >= self.p { high % self.p } else { high };
        self.correct(high + self.p - low)
    }

    /// `a * b * 2^-52 mod p` for `a < 2^52`, `b < p`: the product, if one of them is in Montgomery form.
    pub(crate) fn mul_montgomery(&self, a: u64, b: u64) -> u64 {
        self.reduce(u128::from(a) * u128::from(b))
    }

    /// The Montgomery form of `a < 2^52`.
    pub(crate) fn montgomery(&self, a: u64) -> u64 {
        self.mul_montgomery(a, self.radix_squared)
    }

    /// `a * b mod p`.
    pub(crate) fn mul(&self, a: u64, b: u64) -> u64 {
        self.mul_montgomery(self.mul_montgomery(a, b), self.radix_squared)
    }

    /// `base^exponent mod p`.
    pub(crate) fn pow(&self, mut base: u64, mut exponent: u64) -> u64 {
        let mut result = 1;
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.mul(result, base);
            }
            base = self.mul(base, base);
            exponent >>= 1;
        }
        result
    }

    /// `a^-1 mod p` for `a` that is not a multiple of p.
    pub(crate) fn invert(&self, a: u64) -> u64 {
        self.pow(a % self.p, self.p - 2)
    }

    /// The product of `factors` modulo p.
    pub(crate) fn product(&self, factors: impl IntoIterator<Item = u64>) -> u64 {
        factors
            .into_iter()
            .fold(1, |product, factor| self.mul(product, factor % self.p))
    }

    /// A residue prepared as a constant factor.
    pub(crate) fn shoup(&self, value: u64) -> Shoup {
        Shoup {
            value,
            quotient: ((u128::from(value) << RADIX_BITS) / u128::from(self.p)) as u64,
        }
    }

    /// `x * w mod 2p` below 2p, for `x < 2^52`.
    pub(crate) fn mul_shoup_lazy(&self, x: u64, w: Shoup) -> u64 {
        let q = ((u128::from(x) * u128::from(w.quotient)) >> RADIX_BITS) as u64;
        x.wrapping_mul(w.value).wrapping_sub(q.wrapping_mul(self.p))
    }

    /// `x * w mod p` for `x < 2^52`.
    pub(crate) fn mul_shoup(&self, x: u64, w: Shoup) -> u64 {
        self.correct(self.mul_shoup_lazy(x, w))
    }

    /// A signed number modulo p, in time that does not depend on its value.
    pub(crate) fn signed_residue(&self, x: i64) -> u64 {
        // A multiple of p above 2^63 makes the sum positive.
        let offset = i128::from(self.p) * i128::from((1_u64 << 63) / self.p + 1);
        self.reduce_wide((i128::from(x) + offset) as u128)
    }

    /// `v mod p` for `v < 2^104`, in constant time.
    pub(crate) fn reduce_wide(&self, v: u128) -> u64 {
        // high * 2^52 + low: the radix is what the first product keeps of its factor.
        let high = self.mul_montgomery((v >> RADIX_BITS) as u64, self.radix_squared);
        let low = self.mul_montgomery(v as u64 & MASK, self.one);
        self.add(high, low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRIMES: [u64; 5] = [
        97,
        12289,
        268_369_921,
        17_179_672_577,
        1_125_899_906_629_633,
    ];

    proptest! {
        #[test]
        fn arithmetic_agrees_with_wide_integers(which in 0..5_usize, a: u64, b: u64, s: i64, w: u128) {
            let p = PRIMES[which];
            let m = Modulus::new(p);
            let (a, b) = (a % p, b % p);
            let wide = |x: u128| (x % u128::from(p)) as u64;
            prop_assert_eq!(m.mul(a, b), wide(u128::from(a) * u128::from(b)));
            prop_assert_eq!(m.add(a, b), (a + b) % p);
            prop_assert_eq!(m.sub(a, b), (a + p - b) % p);
            prop_assert_eq!(m.add(m.negate(a), a), 0);
            prop_assert_eq!(m.mul_shoup(a, m.shoup(b)), wide(u128::from(a) * u128::from(b)));
            prop_assert_eq!(m.mul_montgomery(a, m.montgomery(b)), wide(u128::from(a) * u128::from(b)));
            prop_assert_eq!(i128::from(m.signed_residue(s)), i128::from(s).rem_euclid(i128::from(p)));
            prop_assert_eq!(m.reduce_wide(w >> 24), wide(w >> 24));
            if a != 0 {
                prop_assert_eq!(m.mul(m.invert(a), a), 1);
            }
        }
    }

    #[test]
    fn the_largest_sum_is_reduced() {
        for p in PRIMES {
            let m = Modulus::new(p);
            let sum = u128::from(p - 1) * u128::from(p - 1) * MAX_TERMS as u128;
            let reduced = m.mul(m.reduce_sum(sum), (1 << RADIX_BITS) % p);
            assert_eq!(u128::from(reduced), sum % u128::from(p));
        }
    }

    #[test]
    fn extremes_of_signed_numbers() {
        for p in PRIMES {
            let m = Modulus::new(p);
            for s in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX] {
                assert_eq!(
                    i128::from(m.signed_residue(s)),
                    i128::from(s).rem_euclid(i128::from(p))
                );
            }
        }
    }
}
