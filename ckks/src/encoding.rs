//! Slots to plaintexts and back.

use crate::error::CkksError;
use crate::params::Parameters;
use crate::plaintext::{Complex64, PeriodicPoly, Plaintext};
use cipherloom_ir::Scale;

/// The encoder.
#[derive(Clone, Debug)]
pub struct Encoder {
    params: Parameters,
}

impl Encoder {
    /// An encoder for the given parameters.
    pub fn new(params: &Parameters) -> Self {
        Self {
            params: params.clone(),
        }
    }

    /// Encodes values repeated periodically.
    pub fn encode(
        &self,
        values: &[f64],
        level: usize,
        scale: &Scale,
    ) -> Result<Plaintext, CkksError> {
        let values: Vec<_> = values
            .iter()
            .map(|re| Complex64 { re: *re, im: 0.0 })
            .collect();
        self.encode_complex(&values, level, scale)
    }

    /// Encodes complex values repeated periodically.
    pub fn encode_complex(
        &self,
        values: &[Complex64],
        _level: usize,
        _scale: &Scale,
    ) -> Result<Plaintext, CkksError> {
        Err(CkksError::SlotCount {
            count: values.len(),
            slots: self.params.slots(),
        })
    }

    /// The first `count` slots.
    pub fn decode(&self, plaintext: &Plaintext, count: usize) -> Result<Vec<f64>, CkksError> {
        Ok(self
            .decode_complex(plaintext, count)?
            .iter()
            .map(|z| z.re)
            .collect())
    }

    /// The first `count` slots, complex.
    pub fn decode_complex(
        &self,
        _plaintext: &Plaintext,
        count: usize,
    ) -> Result<Vec<Complex64>, CkksError> {
        Err(CkksError::SlotCount {
            count,
            slots: self.params.slots(),
        })
    }

    /// Encodes a vector compactly.
    pub fn encode_periodic(
        &self,
        values: &[f64],
        _level: usize,
        _special: bool,
        _scale: &Scale,
    ) -> Result<PeriodicPoly, CkksError> {
        Err(CkksError::SlotCount {
            count: values.len(),
            slots: self.params.slots(),
        })
    }
}
