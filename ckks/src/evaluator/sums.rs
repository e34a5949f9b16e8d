//! Operations without keys: sums, constants, rescale, level drop.

use super::{Evaluator, same_level, same_scale};
use crate::ciphertext::Ciphertext;
use crate::division::{Divisor, divide};
use crate::error::CkksError;
use crate::kernel;
use crate::plaintext::Plaintext;
use cipherloom_ir::Scale;
use num_bigint::{BigInt, Sign};
use num_traits::{Signed, ToPrimitive};

impl Evaluator {
    fn compatible(&self, a: &Ciphertext, b: &Ciphertext) -> Result<(), CkksError> {
        self.check(a)?;
        self.check(b)?;
        same_level(a.level(), b.level())?;
        same_scale(&a.scale, &b.scale)
    }

    fn compatible_plain(&self, a: &Ciphertext, p: &Plaintext) -> Result<(), CkksError> {
        self.check(a)?;
        self.check_degree(p.poly())?;
        same_level(a.level(), p.level())
    }

    /// `a + b`, of equal level and scale.
    pub fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.compatible(a, b)?;
        let mut sum = a.clone();
        sum.c0.add_assign(&b.c0, &self.params)?;
        sum.c1.add_assign(&b.c1, &self.params)?;
        Ok(sum)
    }

    /// `a - b`, of equal level and scale.
    pub fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.compatible(a, b)?;
        let mut difference = a.clone();
        difference.c0.sub_assign(&b.c0, &self.params)?;
        difference.c1.sub_assign(&b.c1, &self.params)?;
        Ok(difference)
    }

    /// `-a`.
    pub fn negate(&self, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let mut result = a.clone();
        result.c0.negate(&self.params)?;
        result.c1.negate(&self.params)?;
        Ok(result)
    }

    /// `a + p`, of equal level and scale.
    pub fn add_plain(&self, a: &Ciphertext, p: &Plaintext) -> Result<Ciphertext, CkksError> {
        self.compatible_plain(a, p)?;
        same_scale(&a.scale, p.scale())?;
        let mut sum = a.clone();
        sum.c0.add_assign(p.poly(), &self.params)?;
        Ok(sum)
    }

    /// `a - p`, of equal level and scale.
    pub fn sub_plain(&self, a: &Ciphertext, p: &Plaintext) -> Result<Ciphertext, CkksError> {
        self.compatible_plain(a, p)?;
        same_scale(&a.scale, p.scale())?;
        let mut difference = a.clone();
        difference.c0.sub_assign(p.poly(), &self.params)?;
        Ok(difference)
    }

    /// `a * p`, slot by slot, of equal level; the scales multiply.
    pub fn mul_plain(&self, a: &Ciphertext, p: &Plaintext) -> Result<Ciphertext, CkksError> {
        self.compatible_plain(a, p)?;
        let mut product = a.clone();
        product.c0.mul_assign(p.poly(), &self.params)?;
        product.c1.mul_assign(p.poly(), &self.params)?;
        product.scale = a.scale.mul(p.scale());
        Ok(product)
    }

    /// `a + value` in every slot, the value rounded at the scale of `a`.
    pub fn add_scalar(&self, a: &Ciphertext, value: f64) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let constant = round_scaled(value, &a.scale)?;
        let mut sum = a.clone();
        for (i, words) in sum.c0.limbs_mut().enumerate() {
            let modulus = &self.params.limb_at(i).modulus;
            kernel::add_scalar_assign(modulus, words, residue(&constant, modulus.p));
        }
        Ok(sum)
    }

    /// `a * value` in every slot, the value rounded at `scale`; the scales multiply.
    pub fn mul_scalar(
        &self,
        a: &Ciphertext,
        value: f64,
        scale: &Scale,
    ) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let constant = round_scaled(value, scale)?;
        let mut product = a.clone();
        for part in [&mut product.c0, &mut product.c1] {
            for (i, words) in part.limbs_mut().enumerate() {
                let modulus = &self.params.limb_at(i).modulus;
                kernel::mul_shoup_assign(
                    modulus,
                    words,
                    modulus.shoup(residue(&constant, modulus.p)),
                );
            }
        }
        product.scale = a.scale.mul(scale);
        Ok(product)
    }

    /// `a * factor` by reading `a` at another scale, of which `|factor|` is the exact quotient: level and error stay what they
    /// are, relative to the value. A negative factor negates the ciphertext.
    ///
    /// # Errors
    /// A factor that is zero or not finite.
    pub fn gain(&self, a: &Ciphertext, factor: f64) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let magnitude = Scale::from_f64(factor.abs()).ok_or_else(|| CkksError::Malformed {
            what: "gain",
            reason: format!("a factor of {factor}"),
        })?;
        let mut product = if factor < 0.0 {
            self.negate(a)?
        } else {
            a.clone()
        };
        product.scale = a.scale.div(&magnitude);
        Ok(product)
    }

    /// `a` divided by the last prime of its level, rounded: one level lower, the scale divided by the prime.
    pub fn rescale(&self, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let parts = divide(&self.params, &[&a.c0, &a.c1], Divisor::Last)?;
        self.assemble(parts, a.scale.div_prime(self.params.q()[a.level()]))
    }

    /// `a` at a level that is not higher.
    pub fn drop_level(&self, a: &Ciphertext, level: usize) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        if level > a.level() {
            return Err(CkksError::Level {
                level,
                min: 0,
                max: a.level(),
            });
        }
        Ok(Ciphertext {
            c0: a.c0.truncated(level),
            c1: a.c1.truncated(level),
            scale: a.scale.clone(),
        })
    }

    /// A ciphertext of two parts.
    pub(crate) fn assemble(
        &self,
        parts: Vec<crate::Poly>,
        scale: Scale,
    ) -> Result<Ciphertext, CkksError> {
        let [c0, c1] = <[crate::Poly; 2]>::try_from(parts).map_err(|_| CkksError::Shape)?;
        Ciphertext::new(c0, c1, scale)
    }
}

/// `round(value * scale)`, exactly, ties upwards.
pub(crate) fn round_scaled(value: f64, scale: &Scale) -> Result<BigInt, CkksError> {
    if !value.is_finite() {
        return Err(CkksError::NotFinite { index: 0 });
    }
    let Some(magnitude) = Scale::from_f64(value.abs()) else {
        return Ok(BigInt::ZERO);
    };
    let (numerator, denominator) = magnitude.mul(scale).to_parts();
    let numerator = BigInt::from_bytes_le(
        if value < 0.0 { Sign::Minus } else { Sign::Plus },
        &numerator,
    );
    let denominator = BigInt::from_bytes_le(Sign::Plus, &denominator);
    // floor(n/d + 1/2) = floor((2n + d) / 2d); the divisor is positive.
    let twice: BigInt = &numerator * 2 + &denominator;
    let divisor: BigInt = &denominator * 2;
    let quotient = &twice / &divisor;
    let truncated_up = twice.is_negative() && &quotient * &divisor != twice;
    Ok(if truncated_up { quotient - 1 } else { quotient })
}

/// A signed integer modulo a prime.
pub(super) fn residue(value: &BigInt, p: u64) -> u64 {
    let remainder: BigInt = value % BigInt::from(p);
    let positive = if remainder.is_negative() {
        remainder + p
    } else {
        remainder
    };
    positive.to_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_rounded_exactly() {
        let scale = Scale::from_u64(10).unwrap();
        let round = |v: f64| round_scaled(v, &scale).unwrap();
        assert_eq!(round(0.0), BigInt::ZERO);
        for (value, expected) in [
            (0.25, 3),
            (-0.25, -2),
            (1.0, 10),
            (-1.26, -13),
            (-1.24, -12),
            (0.04, 0),
            (-0.04, 0),
        ] {
            assert_eq!(round(value), BigInt::from(expected), "{value}");
        }
        assert!(round_scaled(f64::NAN, &scale).is_err());
        let third = Scale::from_parts(&[1], &[3]).unwrap();
        assert_eq!(round_scaled(7.0, &third).unwrap(), BigInt::from(2));
        assert_eq!(
            round_scaled(3.0, &Scale::pow2(200)).unwrap(),
            BigInt::from(3) << 200
        );
        assert_eq!(residue(&BigInt::from(-5), 17), 12);
        assert_eq!(residue(&BigInt::from(-17), 17), 0);
    }
}
