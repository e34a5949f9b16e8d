//! Seeds of the crate `tfhe`'s generators, from the operating system.

use crate::ClientError;
use crate::random::os_random;
use ::tfhe::core_crypto::commons::math::random::{Seed, Seeder};

/// Sixteen fresh bytes.
pub(super) fn fresh() -> Result<cipherloom_lwe::Seed, ClientError> {
    let mut seed = cipherloom_lwe::Seed::default();
    os_random(&mut seed)?;
    Ok(seed)
}

/// A stored seed, as the crate takes it.
pub(super) fn seed(bytes: cipherloom_lwe::Seed) -> Seed {
    Seed(u128::from_le_bytes(bytes))
}

/// Gives seeds of errors, each used once. The trait knows no failure: whoever used a seeder asks it afterwards, and throws away
/// what was made with seeds that it could not get.
#[derive(Default)]
pub(super) struct OsSeeder {
    failed: Option<ClientError>,
}

impl OsSeeder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Whether all seeds were fresh.
    pub(super) fn finish(self) -> Result<(), ClientError> {
        self.failed.map_or(Ok(()), Err)
    }
}

impl Seeder for OsSeeder {
    fn seed(&mut self) -> Seed {
        match fresh() {
            Ok(bytes) => seed(bytes),
            Err(error) => {
                self.failed = Some(error);
                Seed(0)
            }
        }
    }

    fn is_available() -> bool {
        true
    }
}
