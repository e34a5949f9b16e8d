//! The operations of the scheme.

mod combine;
#[cfg(test)]
mod combine_tests;
mod products;
mod rotations;
mod sums;
#[cfg(test)]
mod tests;

pub use combine::Combination;
pub(crate) use sums::round_scaled;

use crate::ciphertext::Ciphertext;
use crate::error::{CkksError, KeyName};
use crate::keys::{KeyStore, SwitchingKey};
use crate::params::Parameters;
use crate::poly::Poly;
use cipherloom_ir::Scale;

/// Evaluates operations on ciphertexts.
///
/// Levels and scales are exact: sums of different scales or levels are refused, a product has the product of the
/// scales, a rescale divides by the prime. Left rotation by k: slot p of the result holds slot p + k of the operand.
#[derive(Clone, Debug)]
pub struct Evaluator {
    params: Parameters,
}

impl Evaluator {
    /// An evaluator for the given parameters.
    pub fn new(params: &Parameters) -> Self {
        Self {
            params: params.clone(),
        }
    }

    /// The parameters.
    pub fn params(&self) -> &Parameters {
        &self.params
    }

    /// Refuses a ciphertext of other parameters.
    pub(crate) fn check(&self, a: &Ciphertext) -> Result<(), CkksError> {
        self.params.check_level(a.level())?;
        self.check_degree(&a.c0)
    }

    fn check_degree(&self, poly: &Poly) -> Result<(), CkksError> {
        if poly.limb(0).len() == self.params.n() {
            Ok(())
        } else {
            Err(CkksError::Shape)
        }
    }

    /// A key, which must serve the level and have been expanded for its automorphism.
    pub(crate) fn key<'k>(
        &self,
        keys: &'k dyn KeyStore,
        name: KeyName,
        level: usize,
    ) -> Result<&'k SwitchingKey, CkksError> {
        let key = match name {
            KeyName::Relinearization => keys.relinearization(level),
            KeyName::Rotation(steps) => keys.rotation(steps, level),
            KeyName::Conjugation => keys.conjugation(level),
        }?;
        if key.level() < level {
            return Err(CkksError::KeyLevel {
                name,
                available: key.level(),
                needed: level,
            });
        }
        if key.galois_element() != name.galois_element(&self.params) || !key.fits(&self.params) {
            return Err(CkksError::Shape);
        }
        Ok(key)
    }
}

/// Refuses operands of different levels.
pub(crate) fn same_level(left: usize, right: usize) -> Result<(), CkksError> {
    if left == right {
        Ok(())
    } else {
        Err(CkksError::LevelMismatch { left, right })
    }
}

/// Refuses operands of different scales.
pub(crate) fn same_scale(left: &Scale, right: &Scale) -> Result<(), CkksError> {
    if left == right {
        return Ok(());
    }
    Err(CkksError::ScaleMismatch {
        left_bits: left.log2(),
        right_bits: right.log2(),
    })
}
