//! Exact scales.
//!
//! A CKKS plaintext holds `scale * message`, rounded. Scales multiply and are divided by the primes of the
//! chain, so they are kept as exact rationals: two values may be added only if their scales are *equal*.

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::fmt;

/// A positive rational scale, exact.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scale(BigRational);

/// The largest number of bits of a numerator or denominator in a file. T_128 of a value whose scale has 73 bits takes about
/// 2^14 with the primes that divided it.
pub const MAX_SCALE_BITS: u64 = 1 << 15;

impl Scale {
    /// The scale 1.
    pub fn one() -> Self {
        Self(BigRational::one())
    }

    /// The scale `2^bits`.
    pub fn pow2(bits: u32) -> Self {
        Self(BigRational::from_integer(BigInt::one() << bits))
    }

    /// The scale of an integer, or `None` for zero.
    pub fn from_u64(value: u64) -> Option<Self> {
        (value > 0).then(|| Self(BigRational::from_integer(BigInt::from(value))))
    }

    /// The scale that is exactly this floating-point number, or `None` unless it is finite and positive.
    pub fn from_f64(value: f64) -> Option<Self> {
        BigRational::from_float(value)
            .filter(Signed::is_positive)
            .map(Self)
    }

    /// A scale of a numerator and a denominator, little endian; `None` where one is zero or longer than
    /// [`MAX_SCALE_BITS`].
    pub fn from_parts(numerator: &[u8], denominator: &[u8]) -> Option<Self> {
        let part = |bytes: &[u8]| {
            let n = BigInt::from_bytes_le(Sign::Plus, bytes);
            (!n.is_zero() && n.bits() <= MAX_SCALE_BITS).then_some(n)
        };
        if numerator.len() as u64 > MAX_SCALE_BITS || denominator.len() as u64 > MAX_SCALE_BITS {
            return None;
        }
        Some(Self(BigRational::new(part(numerator)?, part(denominator)?)))
    }

    /// Whether neither numerator nor denominator is longer than [`MAX_SCALE_BITS`].
    pub fn is_storable(&self) -> bool {
        self.0.numer().bits() <= MAX_SCALE_BITS && self.0.denom().bits() <= MAX_SCALE_BITS
    }

    /// Numerator and denominator, little endian.
    pub fn to_parts(&self) -> (Vec<u8>, Vec<u8>) {
        (
            self.0.numer().to_bytes_le().1,
            self.0.denom().to_bytes_le().1,
        )
    }

    /// The product of two scales.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        Self(&self.0 * &other.0)
    }

    /// The quotient of two scales.
    #[must_use]
    pub fn div(&self, other: &Self) -> Self {
        Self(&self.0 / &other.0)
    }

    /// The scale after a rescale by `prime`, which must not be zero.
    #[must_use]
    pub fn div_prime(&self, prime: u64) -> Self {
        Self(&self.0 / BigInt::from(prime.max(1)))
    }

    /// The nearest `f64`, at most one unit in the last place off; infinite or zero where it leaves the type's range.
    pub fn to_f64(&self) -> f64 {
        let (n, d) = (self.0.numer(), self.0.denom());
        // Both parts are cut to 96 bits, so that the quotient's relative error stays near 2^-53.
        let (ns, ds) = (n.bits().saturating_sub(96), d.bits().saturating_sub(96));
        let quotient = (n >> ns).to_f64().unwrap_or(f64::INFINITY)
            / (d >> ds).to_f64().unwrap_or(f64::INFINITY);
        quotient * libm::exp2(ns as f64 - ds as f64)
    }

    /// The size of the error that rounding `value * self` to an integer leaves in `value`; zero for what is not finite.
    pub fn rounding_error(&self, value: f64) -> f64 {
        let Some(exact) = BigRational::from_float(value) else {
            return 0.0;
        };
        let scaled = &exact * &self.0;
        let error = ((scaled.round() - &scaled) / &self.0).abs();
        if error.is_zero() {
            0.0
        } else {
            Self(error).to_f64()
        }
    }

    /// The logarithm to base 2.
    pub fn log2(&self) -> f64 {
        let (n, d) = (self.0.numer(), self.0.denom());
        let (ns, ds) = (n.bits().saturating_sub(96), d.bits().saturating_sub(96));
        let part = |v: BigInt| libm::log2(v.to_f64().unwrap_or(f64::INFINITY));
        part(n >> ns) - part(d >> ds) + (ns as f64 - ds as f64)
    }
}

impl fmt::Display for Scale {
    /// The exact fraction, `numerator` or `numerator/denominator`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2^{:.4}", self.log2())
    }
}

impl std::str::FromStr for Scale {
    type Err = ();

    /// Reads the fraction that [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        // Three decimal digits take less than ten bits.
        if text.len() as u64 > 2 * MAX_SCALE_BITS / 3 {
            return Err(());
        }
        let value: BigRational = text.parse().map_err(|_| ())?;
        if value.is_positive() {
            Ok(Self(value))
        } else {
            Err(())
        }
    }
}
