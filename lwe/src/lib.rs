//! What client and server of the TFHE backend exchange: ciphertexts and server keys as plain words, and their files.
//!
//! Nothing is computed here, and no secret key exists. Uniform parts are stored as the seeds of the generator that the crate
//! `tfhe` expands them with (AES-128 in counter mode).

mod header;
mod keys;
mod set;

pub use header::SetHeader;
pub use keys::ServerKeys;
pub use set::{LweCiphertexts, LweSet, LweVector};

use cipherloom_ir::container::ContainerError;
use thiserror::Error;

/// The seed of uniform words.
pub type Seed = [u8; 16];

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LweError {
    /// The container is bad.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The content contradicts itself or the plan.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Words, little endian.
fn put_words(words: &[u64], out: &mut Vec<u8>) {
    out.reserve(8 * words.len());
    out.extend(words.iter().flat_map(|w| w.to_le_bytes()));
}

/// The words of a section, whose length is a multiple of eight bytes.
fn get_words(bytes: &[u8]) -> Option<Vec<u64>> {
    let (words, rest) = bytes.as_chunks::<8>();
    rest.is_empty()
        .then(|| words.iter().map(|w| u64::from_le_bytes(*w)).collect())
}
