//! Fresh secret randomness.

use crate::ClientError;
use chacha20::cipher::StreamCipher;
use chacha20::{ChaCha20, KeyIvInit};
use zeroize::Zeroizing;

/// Words made at a time by [`SecretRng::words`].
pub(crate) const WORDS: usize = 64;

/// A ChaCha20 generator keyed by the operating system, for the secrets and errors of one object.
///
/// Its key is never stored, and the generator is wiped when dropped. Each object gets a generator of its own, so that no error is ever drawn twice.
pub(crate) struct SecretRng(ChaCha20);

impl SecretRng {
    /// A generator with a fresh key of the operating system.
    pub(crate) fn from_os() -> Result<Self, ClientError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        os_random(key.as_mut())?;
        Ok(Self::from_key(&key))
    }

    /// A generator with a given key.
    fn from_key(key: &[u8; 32]) -> Self {
        // Every key is used once, so the nonce may be constant.
        Self(ChaCha20::new(key.into(), &[0; 12].into()))
    }

    /// A generator that a test can repeat.
    #[cfg(test)]
    pub(crate) fn for_tests(seed: u8) -> Self {
        Self::from_key(&[seed; 32])
    }

    /// Fills a buffer with uniform bytes.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
        self.0.apply_keystream(buffer);
    }

    /// Uniform 64-bit words.
    pub(crate) fn words(&mut self) -> Zeroizing<[u64; WORDS]> {
        let mut words = Zeroizing::new([0_u64; WORDS]);
        let mut bytes = Zeroizing::new([0_u8; 8 * WORDS]);
        self.fill(bytes.as_mut());
        let (parts, _) = bytes.as_chunks::<8>();
        for (word, part) in words.iter_mut().zip(parts) {
            *word = u64::from_le_bytes(*part);
        }
        words
    }
}

/// Bytes straight from the operating system.
pub(crate) fn os_random(buffer: &mut [u8]) -> Result<(), ClientError> {
    getrandom::fill(buffer).map_err(|error| ClientError::Randomness(error.to_string()))
}
