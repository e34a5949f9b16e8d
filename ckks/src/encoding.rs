//! Encoding: slot vectors to plaintexts and back.
//!
//! A vector of n values, n a power of two dividing N/2, becomes a polynomial in X^(N/2n), so that all N/2 slots hold the
//! vector repeated with period n. Its coefficients are multiplied by the scale and rounded to integers, which leaves an error of variance
//! n/6/S^2 per slot: N/12/S^2 with full packing. (A real vector's error is real; a complex one's has half of it in each part.) Floating-point arithmetic is not constant-time in the encoded values.

mod crt;
mod fft;
mod quantize;
#[cfg(test)]
mod tests;

use crate::error::CkksError;
use crate::params::Parameters;
use crate::plaintext::{Complex64, PeriodicPoly, Plaintext};
use crate::poly::{Domain, Poly};
use cipherloom_ir::Scale;
use cipherloom_ir::security::log2_product;
use crt::CentredCrt;
use fft::SlotTransform;
pub(crate) use quantize::Coefficients;
use zeroize::Zeroizing;

/// Encodes and decodes for one set of parameters.
#[derive(Clone, Debug)]
pub struct Encoder {
    params: Parameters,
    transform: SlotTransform,
    crt: CentredCrt,
    /// log2(Q/2) for each level.
    log2_half: Vec<f64>,
}

impl Encoder {
    /// An encoder with its tables: about 16 N bytes.
    pub fn new(params: &Parameters) -> Self {
        let q = params.q();
        Self {
            params: params.clone(),
            transform: SlotTransform::new(params.slots()),
            crt: CentredCrt::new(q),
            log2_half: (0..q.len())
                .map(|l| log2_product(q[..=l].iter().copied()) - 1.0)
                .collect(),
        }
    }

    /// Encodes real values, repeated periodically over all slots.
    ///
    /// # Errors
    /// A number of values that is no power of two of at most N/2; a value that is not finite; a level that the parameters do not have; a
    /// coefficient that exceeds half the modulus at this level.
    pub fn encode(
        &self,
        values: &[f64],
        level: usize,
        scale: &Scale,
    ) -> Result<Plaintext, CkksError> {
        let coefficients = self.coefficients(values, level, scale)?;
        self.plaintext(&coefficients, values.len(), level, scale)
    }

    /// Encodes complex values, repeated periodically over all slots; errors as for [`Encoder::encode`].
    pub fn encode_complex(
        &self,
        values: &[Complex64],
        level: usize,
        scale: &Scale,
    ) -> Result<Plaintext, CkksError> {
        let coefficients = self.round(values.iter().copied(), level, scale)?;
        self.plaintext(&coefficients, values.len(), level, scale)
    }

    /// Encodes real values into the subring that holds vectors of their period; errors as for [`Encoder::encode`].
    ///
    /// Each limb has 2n words for n values. With `special`, the limbs of the special primes follow those of the chain.
    pub fn encode_periodic(
        &self,
        values: &[f64],
        level: usize,
        special: bool,
        scale: &Scale,
    ) -> Result<PeriodicPoly, CkksError> {
        let coefficients = self.coefficients(values, level, scale)?;
        let mut poly =
            PeriodicPoly::zero(&self.params, values.len(), level, special, scale.clone())?;
        for limb in 0..poly.limbs() {
            let words = poly.limb_mut(limb);
            coefficients.reduce_into(&self.params.limb(level, limb).modulus, 1, words);
            self.params.subring_ntt(level, limb, words)?;
        }
        Ok(poly)
    }

    /// The coefficients of the polynomial in `X^(N/2n)` that n real values are encoded as; errors as for [`Encoder::encode`].
    pub(crate) fn coefficients(
        &self,
        values: &[f64],
        level: usize,
        scale: &Scale,
    ) -> Result<Coefficients, CkksError> {
        let values = values.iter().map(|re| Complex64 { re: *re, im: 0.0 });
        self.round(values, level, scale)
    }

    /// The real parts of the first `count` slots.
    ///
    /// # Errors
    /// A `count` that is no power of two of at most N/2; a scale outside the range of `f64`; a plaintext of other parameters.
    pub fn decode(&self, plaintext: &Plaintext, count: usize) -> Result<Vec<f64>, CkksError> {
        let slots = self.all_slots(plaintext, count)?;
        Ok(slots.iter().take(count).map(|slot| slot.re).collect())
    }

    /// The real parts of a vector of period `count`: each the mean over all slots that should hold the same value.
    ///
    /// Random errors of these slots are independent, so that a share of `2 count / N` of their variance is left
    /// ([`NoiseModel::share`](cipherloom_ir::noise::NoiseModel::share)). The mean is the projection to the subring of `X^(N / 2 count)`: all other
    /// coefficients are left out.
    ///
    /// # Errors
    /// As for [`Encoder::decode`].
    pub fn decode_mean(&self, plaintext: &Plaintext, count: usize) -> Result<Vec<f64>, CkksError> {
        self.check_count(count)?;
        let slots = self.slots_of(plaintext, self.params.slots() / count)?;
        Ok(slots.iter().map(|slot| slot.re).collect())
    }

    /// The first `count` slots; errors as for [`Encoder::decode`].
    pub fn decode_complex(
        &self,
        plaintext: &Plaintext,
        count: usize,
    ) -> Result<Vec<Complex64>, CkksError> {
        Ok(self.all_slots(plaintext, count)?[..count].to_vec())
    }

    /// All slots, of which the first `count` are asked for.
    fn all_slots(
        &self,
        plaintext: &Plaintext,
        count: usize,
    ) -> Result<Zeroizing<Vec<Complex64>>, CkksError> {
        self.check_count(count)?;
        self.slots_of(plaintext, 1)
    }

    /// The slots of the polynomial of every `stride`-th coefficient. A decrypted plaintext tells about the secret key, so
    /// everything in between is wiped.
    fn slots_of(
        &self,
        plaintext: &Plaintext,
        stride: usize,
    ) -> Result<Zeroizing<Vec<Complex64>>, CkksError> {
        let scale = finite_scale(plaintext.scale())?;
        let poly = plaintext.poly();
        self.params.check_level(poly.level())?;
        if poly.limb(0).len() != self.params.n() {
            return Err(CkksError::Shape);
        }
        let mut poly = Zeroizing::new(poly.clone());
        poly.to_coefficients(&self.params);
        let kept = |i| poly.limb(i).iter().copied().step_by(stride).collect();
        let kept: Zeroizing<Vec<Vec<u64>>> = Zeroizing::new((0..=poly.level()).map(kept).collect());
        let limbs: Vec<&[u64]> = kept.iter().map(Vec::as_slice).collect();
        let coefficients = Zeroizing::new(self.crt.reconstruct(&limbs)?);
        let (re, im) = coefficients.split_at(self.params.slots() / stride);
        let pairs = re.iter().zip(im).map(|(re, im)| Complex64 {
            re: re / scale,
            im: im / scale,
        });
        let mut slots = Zeroizing::new(pairs.collect::<Vec<_>>());
        self.transform.to_slots(&mut slots);
        Ok(slots)
    }

    /// Checks everything and gives the 2n integer coefficients of the polynomial in X^(N/2n).
    fn round(
        &self,
        values: impl ExactSizeIterator<Item = Complex64>,
        level: usize,
        scale: &Scale,
    ) -> Result<Coefficients, CkksError> {
        self.check_count(values.len())?;
        self.params.check_level(level)?;
        let mut values: Vec<Complex64> = values.collect();
        if let Some(index) = values
            .iter()
            .position(|v| !(v.re.is_finite() && v.im.is_finite()))
        {
            return Err(CkksError::NotFinite { index });
        }
        self.transform.to_scaled_coefficients(&mut values);
        let factor = finite_scale(scale)? / values.len() as f64;
        Coefficients::round(&values, factor, self.log2_half[level])
    }

    fn plaintext(
        &self,
        coefficients: &Coefficients,
        count: usize,
        level: usize,
        scale: &Scale,
    ) -> Result<Plaintext, CkksError> {
        let mut poly = Poly::zero(&self.params, level, false, Domain::Coefficient);
        let stride = self.params.slots() / count;
        for i in 0..=level {
            let modulus = &self.params.limb_at(i).modulus;
            coefficients.reduce_into(modulus, stride, poly.limb_mut(i));
        }
        poly.to_ntt(&self.params);
        Plaintext::new(poly, scale.clone())
    }

    fn check_count(&self, count: usize) -> Result<(), CkksError> {
        let slots = self.params.slots();
        if count.is_power_of_two() && count <= slots {
            Ok(())
        } else {
            Err(CkksError::SlotCount { count, slots })
        }
    }
}

/// The scale as a number to multiply or divide by.
fn finite_scale(scale: &Scale) -> Result<f64, CkksError> {
    let value = scale.to_f64();
    if value.is_normal() {
        return Ok(value);
    }
    Err(CkksError::TooLarge {
        log_coefficient: scale.log2(),
        log_modulus: f64::from(f64::MAX_EXP),
    })
}
