//! Sums of products and multiples: one relinearisation and one division for all of them.

use super::sums::{residue, round_scaled};
use super::{Evaluator, same_scale};
use crate::ciphertext::Ciphertext;
use crate::division::{Divisor, divide};
use crate::error::{CkksError, KeyName};
use crate::kernel::{self, MAX_TERMS, Sums};
use crate::keys::KeyStore;
use crate::parallel;
use crate::poly::Poly;
use crate::switching::{Extra, Switch, decompose, switch_all};
use cipherloom_ir::Scale;
use num_bigint::BigInt;

/// `gain * (sum of products) + sum of terms + constant`.
///
/// All products have one scale S, and the sum has the scale S / gain: the gain relabels. Each term's scale times that
/// of its number is the sum's scale, and the numbers and the constant are rounded to integers at their scales.
#[derive(Clone, Debug, Default)]
pub struct Combination<'a> {
    /// The factors of each product.
    pub products: Vec<(&'a Ciphertext, &'a Ciphertext)>,
    /// What the sum of products is multiplied with; 1 where there are none.
    pub gain: u32,
    /// Operands with the number that multiplies them and the number's scale.
    pub terms: Vec<(&'a Ciphertext, f64, &'a Scale)>,
    /// What is added to every slot.
    pub constant: f64,
}

impl Combination<'_> {
    fn operands(&self) -> impl Iterator<Item = &Ciphertext> {
        let factors = self.products.iter().flat_map(|(a, b)| [*a, *b]);
        factors.chain(self.terms.iter().map(|(y, _, _)| *y))
    }

    /// The scale of all products and terms.
    pub(super) fn scale(&self) -> Result<Scale, CkksError> {
        let malformed = |reason: &str| CkksError::Malformed {
            what: "sum",
            reason: reason.into(),
        };
        if self.products.is_empty() && self.gain != 1 {
            return Err(malformed("a gain without products"));
        }
        let gain = Scale::from_u64(u64::from(self.gain)).ok_or_else(|| malformed("a gain of 0"))?;
        let products = self.products.iter().map(|(a, b)| a.scale.mul(&b.scale));
        let terms = self.terms.iter().map(|(y, _, scale)| y.scale.mul(scale));
        let mut scales = products.map(|s| s.div(&gain)).chain(terms);
        let scale = scales.next().ok_or_else(|| malformed("no operand"))?;
        for other in scales {
            same_scale(&scale, &other)?;
        }
        Ok(scale)
    }
}

impl Evaluator {
    /// The sum at `level`, which no operand may be below: of higher operands the lower limbs are read. With `rescale`
    /// the result is one level lower, in one division with one rounding.
    ///
    /// There is one key switch for all products, and none without products.
    ///
    /// # Errors
    /// Operands of other parameters or below the level, scales that are not equal, numbers that are not finite, a missing key.
    pub fn combine(
        &self,
        sum: &Combination<'_>,
        level: usize,
        rescale: bool,
        keys: &dyn KeyStore,
    ) -> Result<Ciphertext, CkksError> {
        let params = &self.params;
        let (min, max) = (usize::from(rescale), params.max_level());
        for operand in sum.operands() {
            self.check(operand)?;
            let max = max.min(operand.level());
            if level < min || level > max {
                return Err(CkksError::Level { level, min, max });
            }
        }
        if 2 * sum.products.len() + sum.terms.len() > MAX_TERMS {
            return Err(CkksError::Malformed {
                what: "sum",
                reason: format!("more than {MAX_TERMS} operands"),
            });
        }
        let scale = sum.scale()?;
        let factors = sum
            .terms
            .iter()
            .map(|(_, value, scale)| round_scaled(*value, scale))
            .collect::<Result<Vec<BigInt>, _>>()?;
        let constant = round_scaled(sum.constant, &scale)?;
        let key = if sum.products.is_empty() {
            None
        } else {
            Some(self.key(keys, KeyName::Relinearization, level)?)
        };
        let divided = scale.div_prime(if rescale { params.q()[level] } else { 1 });
        let (d0, d1, d2) = self.sums(sum, level, &factors, &constant);
        // Without products there is nothing to switch, nor where each has a factor in clear, `(m, 0)`.
        let (Some(key), Some(d2)) = (key, d2.filter(|d2| !d2.is_zero())) else {
            return if rescale {
                self.assemble(divide(params, &[&d0, &d1], Divisor::Last)?, divided)
            } else {
                self.assemble(vec![d0, d1], divided)
            };
        };
        let switch = Switch {
            key,
            automorphism: None,
            extra: [&d0, &d1].map(|d| Some(Extra::TimesSpecial(d))),
        };
        let pairs: Vec<_> = decompose(params, &[&d2])
            .iter()
            .flat_map(|d| switch_all(params, d, &[switch]))
            .collect();
        let parts: Vec<&Poly> = pairs.iter().flatten().collect();
        let divisor = if rescale {
            Divisor::SpecialAndLast
        } else {
            Divisor::Special
        };
        self.assemble(divide(params, &parts, divisor)?, divided)
    }

    /// The sum as a polynomial in the secret key: of degree two with products, of degree one without.
    fn sums(
        &self,
        sum: &Combination<'_>,
        level: usize,
        factors: &[BigInt],
        constant: &BigInt,
    ) -> (Poly, Poly, Option<Poly>) {
        let part = || Poly::unwritten(&self.params, level, false);
        let (mut d0, mut d1) = (part(), part());
        let mut d2 = (!sum.products.is_empty()).then(part);
        let seconds: Vec<Option<&mut [u64]>> = match &mut d2 {
            Some(d2) => d2.limbs_mut().map(Some).collect(),
            None => (0..=level).map(|_| None).collect(),
        };
        let jobs = d0
            .limbs_mut()
            .zip(d1.limbs_mut())
            .zip(seconds)
            .enumerate()
            .collect();
        parallel::for_each(jobs, |(i, ((d0, d1), d2))| {
            let modulus = &self.params.limb_at(i).modulus;
            let products: Vec<_> = sum
                .products
                .iter()
                .map(|(a, b)| ([a.c0.limb(i), a.c1.limb(i)], [b.c0.limb(i), b.c1.limb(i)]))
                .collect();
            let terms: Vec<_> = sum
                .terms
                .iter()
                .zip(factors)
                .map(|((y, ..), factor)| {
                    let residue = residue(factor, modulus.p);
                    ([y.c0.limb(i), y.c1.limb(i)], residue)
                })
                .collect();
            let work = Sums {
                products: &products,
                terms: &terms,
                constant: residue(constant, modulus.p),
            };
            kernel::sums(modulus, [d0, d1], d2, &work);
        });
        (d0, d1, d2)
    }
}
