//! Ciphertexts and keys as files.

use crate::ciphertext::{Ciphertext, SeededCiphertext};
use crate::error::CkksError;
use crate::keys::SeededEvaluationKeys;
use crate::params::Parameters;
use cipherloom_ir::container::{KeyId, PlanId};

/// What a ciphertext file holds, by input or output name.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyCiphertext {
    /// Fresh, with its uniform part given by a seed.
    Seeded(SeededCiphertext),
    /// Written out.
    Full(Ciphertext),
}

/// The ciphertexts of one tensor of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedCiphertexts {
    /// The input's or output's name.
    pub name: String,
    /// Its ciphertexts, in order.
    pub ciphertexts: Vec<AnyCiphertext>,
}

/// The bytes of a ciphertext file.
pub fn ciphertexts_to_bytes(
    _params: &Parameters,
    _plan: PlanId,
    _key: KeyId,
    _tensors: &[NamedCiphertexts],
) -> Vec<u8> {
    vec![]
}

/// Reads a ciphertext file of the given plan; the key's id is returned for the caller to compare.
pub fn ciphertexts_from_bytes(
    _params: &Parameters,
    _plan: PlanId,
    _bytes: &[u8],
) -> Result<(Vec<NamedCiphertexts>, KeyId), CkksError> {
    Err(CkksError::Malformed {
        what: "ciphertext",
        reason: "not written".into(),
    })
}

/// The bytes of an evaluation key file; the keys' id goes into it.
pub fn keys_to_bytes(_params: &Parameters, _plan: PlanId, _keys: &SeededEvaluationKeys) -> Vec<u8> {
    vec![]
}

/// Reads an evaluation key file of the given plan.
pub fn keys_from_bytes(
    _params: &Parameters,
    _plan: PlanId,
    _bytes: &[u8],
) -> Result<SeededEvaluationKeys, CkksError> {
    Err(CkksError::Malformed {
        what: "evaluation key",
        reason: "not written".into(),
    })
}
