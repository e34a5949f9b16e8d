//! Products of ciphertexts, relinearised.

use super::{Evaluator, same_level};
use crate::ciphertext::Ciphertext;
use crate::division::{Divisor, divide};
use crate::error::{CkksError, KeyName};
use crate::kernel;
use crate::keys::KeyStore;
use crate::parallel;
use crate::poly::Poly;
use crate::switching::{Extra, Switch, decompose, switch_all};

impl Evaluator {
    /// `a * b`, relinearised; the scales multiply.
    pub fn mul(
        &self,
        a: &Ciphertext,
        b: &Ciphertext,
        keys: &dyn KeyStore,
    ) -> Result<Ciphertext, CkksError> {
        self.product(a, b, keys, false)
    }

    /// [`Self::mul`] and [`Self::rescale`] in one division, with one rounding.
    pub fn mul_rescaled(
        &self,
        a: &Ciphertext,
        b: &Ciphertext,
        keys: &dyn KeyStore,
    ) -> Result<Ciphertext, CkksError> {
        self.product(a, b, keys, true)
    }

    /// `a^2`, relinearised; the scale is squared.
    pub fn square(&self, a: &Ciphertext, keys: &dyn KeyStore) -> Result<Ciphertext, CkksError> {
        self.product(a, a, keys, false)
    }

    /// [`Self::square`] and [`Self::rescale`] in one division, with one rounding.
    pub fn square_rescaled(
        &self,
        a: &Ciphertext,
        keys: &dyn KeyStore,
    ) -> Result<Ciphertext, CkksError> {
        self.product(a, a, keys, true)
    }

    fn product(
        &self,
        a: &Ciphertext,
        b: &Ciphertext,
        keys: &dyn KeyStore,
        rescale: bool,
    ) -> Result<Ciphertext, CkksError> {
        let params = &self.params;
        self.check(a)?;
        self.check(b)?;
        same_level(a.level(), b.level())?;
        let level = a.level();
        if rescale && level == 0 {
            return Err(CkksError::Level {
                level,
                min: 1,
                max: params.max_level(),
            });
        }
        let key = self.key(keys, KeyName::Relinearization, level)?;
        let [d0, d1, d2] = self.tensor(a, b);
        let scale = a.scale.mul(&b.scale);
        if d2.is_zero() {
            // One factor is an input in clear, `(m, 0)`: nothing is to be switched.
            return if rescale {
                let divided = divide(params, &[&d0, &d1], Divisor::Last)?;
                self.assemble(divided, scale.div_prime(params.q()[level]))
            } else {
                self.assemble(vec![d0, d1], scale)
            };
        }
        let decomposition = decompose(params, &[&d2]);
        let extra = [&d0, &d1].map(|d| Some(Extra::TimesSpecial(d)));
        let switch = Switch {
            key,
            automorphism: None,
            extra,
        };
        let pairs: Vec<_> = decomposition
            .iter()
            .flat_map(|d| switch_all(params, d, &[switch]))
            .collect();
        let parts: Vec<&Poly> = pairs.iter().flatten().collect();
        if rescale {
            self.assemble(
                divide(params, &parts, Divisor::SpecialAndLast)?,
                scale.div_prime(params.q()[level]),
            )
        } else {
            self.assemble(divide(params, &parts, Divisor::Special)?, scale)
        }
    }

    /// The product as a polynomial of degree two in the secret key.
    fn tensor(&self, a: &Ciphertext, b: &Ciphertext) -> [Poly; 3] {
        let mut result = [0, 1, 2].map(|_| Poly::unwritten(&self.params, a.level(), false));
        let [d0, d1, d2] = &mut result;
        let jobs = d0
            .limbs_mut()
            .zip(d1.limbs_mut())
            .zip(d2.limbs_mut())
            .enumerate()
            .collect();
        parallel::for_each(jobs, |(i, ((d0, d1), d2))| {
            let modulus = &self.params.limb_at(i).modulus;
            kernel::tensor(
                modulus,
                [d0, d1, d2],
                [a.c0.limb(i), a.c1.limb(i)],
                [b.c0.limb(i), b.c1.limb(i)],
            );
        });
        result
    }
}
