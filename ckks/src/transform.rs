//! Linear transforms by diagonals.

use crate::encoding::Encoder;
use crate::error::CkksError;
use crate::params::Parameters;
use cipherloom_ir::plan::Transform;

/// A linear transform, its diagonals encoded compactly.
pub struct LinearTransform {
    name: String,
}

impl LinearTransform {
    /// Encodes the diagonals of a transform.
    pub fn new(
        _params: &Parameters,
        _encoder: &Encoder,
        transform: &Transform,
    ) -> Result<Self, CkksError> {
        Err(CkksError::Transform {
            name: transform.name.clone(),
            reason: "not written".into(),
        })
    }

    /// The transform's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes that the diagonals take in memory.
    pub fn bytes(&self) -> usize {
        0
    }
}
