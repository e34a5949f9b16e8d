//! The operations of the scheme.

use crate::ciphertext::Ciphertext;
use crate::error::CkksError;
use crate::keys::KeyStore;
use crate::params::Parameters;
use crate::plaintext::Plaintext;
use crate::transform::LinearTransform;
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

    /// `a + b`, of equal level and scale.
    pub fn add(&self, _a: &Ciphertext, _b: &Ciphertext) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a - b`, of equal level and scale.
    pub fn sub(&self, _a: &Ciphertext, _b: &Ciphertext) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `-a`.
    pub fn negate(&self, _a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a + p`, of equal level and scale.
    pub fn add_plain(&self, _a: &Ciphertext, _p: &Plaintext) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a - p`, of equal level and scale.
    pub fn sub_plain(&self, _a: &Ciphertext, _p: &Plaintext) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a * p`, slot by slot, of equal level; the scales multiply.
    pub fn mul_plain(&self, _a: &Ciphertext, _p: &Plaintext) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a + value` in every slot, the value rounded at the scale of `a`.
    pub fn add_scalar(&self, _a: &Ciphertext, _value: f64) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a * value` in every slot, the value rounded at `scale`; the scales multiply.
    pub fn mul_scalar(
        &self,
        _a: &Ciphertext,
        _value: f64,
        _scale: &Scale,
    ) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a * b`, relinearised; the scales multiply.
    pub fn mul(
        &self,
        _a: &Ciphertext,
        _b: &Ciphertext,
        _keys: &dyn KeyStore,
    ) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// [`Self::mul`] and [`Self::rescale`] in one division, with one rounding.
    pub fn mul_rescaled(
        &self,
        _a: &Ciphertext,
        _b: &Ciphertext,
        _keys: &dyn KeyStore,
    ) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a^2`, relinearised; the scale is squared.
    pub fn square(&self, _a: &Ciphertext, _keys: &dyn KeyStore) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// [`Self::square`] and [`Self::rescale`] in one division, with one rounding.
    pub fn square_rescaled(
        &self,
        _a: &Ciphertext,
        _keys: &dyn KeyStore,
    ) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a` divided by the last prime of its level, rounded: one level lower, the scale divided by the prime.
    pub fn rescale(&self, _a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a` at a level that is not higher.
    pub fn drop_level(&self, _a: &Ciphertext, _level: usize) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a` rotated left by `steps` slots.
    pub fn rotate(
        &self,
        _a: &Ciphertext,
        _steps: u32,
        _keys: &dyn KeyStore,
    ) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a` with every slot conjugated.
    pub fn conjugate(
        &self,
        _a: &Ciphertext,
        _keys: &dyn KeyStore,
    ) -> Result<Ciphertext, CkksError> {
        Err(CkksError::Shape)
    }

    /// `a` rotated by each of `steps`, decomposed once.
    pub fn rotate_hoisted(
        &self,
        _a: &Ciphertext,
        _steps: &[u32],
        _keys: &dyn KeyStore,
    ) -> Result<Vec<Ciphertext>, CkksError> {
        Err(CkksError::Shape)
    }

    /// A linear transform: one operand per column of blocks, one result per row; rescaled in the last division if asked for.
    pub fn linear_transform(
        &self,
        _transform: &LinearTransform,
        _operands: &[&Ciphertext],
        _keys: &dyn KeyStore,
        _rescale: bool,
    ) -> Result<Vec<Ciphertext>, CkksError> {
        Err(CkksError::Shape)
    }
}
