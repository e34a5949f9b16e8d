//! The secret keys of the TFHE backend.

use super::{expect_plan, key_words};
use crate::ClientError;
use crate::random::{SecretRng, WORDS, os_random};
use cipherloom_ir::container::{self, Container, KeyId, Kind, PlanId};
use cipherloom_ir::integer::{IntegerClientPlan, TfheSet};
use cipherloom_lwe::SetHeader;
use prost::Message;
use std::fmt;
use zeroize::Zeroizing;

const WHAT: &str = "secret key";

/// Two uniform binary keys of one plan, the small one and the large one; wiped from memory when dropped, and never shown.
pub struct TfheSecretKey {
    plan_id: PlanId,
    key_id: KeyId,
    set: TfheSet,
    /// 0 or 1 for each of the n and then the k N coefficients.
    bits: Zeroizing<Vec<u8>>,
}

fn malformed(reason: &str) -> ClientError {
    ClientError::Malformed {
        what: WHAT,
        reason: reason.to_owned(),
    }
}

impl TfheSecretKey {
    /// Fresh keys for a plan, from the operating system's randomness.
    ///
    /// # Errors
    /// [`ClientError::Randomness`] where the system gives none, [`ClientError::Plan`] for parameters that are not published.
    pub fn generate(plan: &IntegerClientPlan) -> Result<Self, ClientError> {
        plan.params
            .check()
            .map_err(|error| ClientError::Plan(error.to_string()))?;
        let mut rng = SecretRng::from_os()?;
        let mut key_id = KeyId::default();
        os_random(&mut key_id.0)?;
        let count = key_words(&plan.params);
        let mut bits = Zeroizing::new(Vec::with_capacity(count.next_multiple_of(64 * WORDS)));
        while bits.len() < count {
            for word in rng.words().iter() {
                bits.extend((0..64).map(|i| ((word >> i) & 1) as u8));
            }
        }
        bits.truncate(count);
        Ok(Self {
            plan_id: plan.plan_id,
            key_id,
            set: plan.params,
            bits,
        })
    }

    /// The key's random id, which all that was made with it carries.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The plan that the key belongs to.
    pub fn plan_id(&self) -> PlanId {
        self.plan_id
    }

    /// The bytes of `secret.key`, wiped when dropped.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let header = SetHeader::of(&self.set).encode_to_vec();
        let sections = [&header[..], &self.bits];
        Zeroizing::new(container::write(
            Kind::TfheSecretKey,
            self.plan_id,
            self.key_id,
            &sections,
        ))
    }

    /// Reads `secret.key`.
    ///
    /// # Errors
    /// [`ClientError::Container`] for a damaged file or one of another kind or plan, [`ClientError::Malformed`] where it
    /// contradicts the plan's parameters or holds no binary key.
    pub fn from_bytes(bytes: &[u8], plan: &IntegerClientPlan) -> Result<Self, ClientError> {
        let file = Container::read(bytes, Kind::TfheSecretKey)?;
        expect_plan(file.plan_id, plan.plan_id)?;
        let header = SetHeader::decode(file.section(0)?).map_err(|e| malformed(&e.to_string()))?;
        if header != SetHeader::of(&plan.params) {
            return Err(malformed("its parameters are not those of the plan"));
        }
        let body = file.section(1)?;
        if body.len() != key_words(&plan.params) {
            return Err(malformed("it has another number of coefficients"));
        }
        // All bytes are looked at, whatever they are.
        if body.iter().fold(0, |strange, byte| strange | (byte & !1)) != 0 {
            return Err(malformed("a coefficient is not 0 or 1"));
        }
        Ok(Self {
            plan_id: plan.plan_id,
            key_id: file.key_id,
            set: plan.params,
            bits: Zeroizing::new(body.to_vec()),
        })
    }

    /// Writes `secret.key` as [`crate::SecretKey::save`] does.
    ///
    /// # Errors
    /// [`ClientError::File`] where the file exists or cannot be written.
    #[cfg(not(target_family = "wasm"))]
    pub fn save(&self, path: &std::path::Path) -> Result<(), ClientError> {
        crate::file::save_private(path, &self.to_bytes())
    }

    /// Reads `secret.key`.
    ///
    /// # Errors
    /// [`ClientError::File`] where it cannot be read, else as for [`TfheSecretKey::from_bytes`].
    #[cfg(not(target_family = "wasm"))]
    pub fn load(path: &std::path::Path, plan: &IntegerClientPlan) -> Result<Self, ClientError> {
        Self::from_bytes(&crate::file::load_private(path)?, plan)
    }

    #[cfg(test)]
    pub(super) fn bits_for_tests(&self) -> &Zeroizing<Vec<u8>> {
        &self.bits
    }

    fn words(bits: &[u8]) -> Zeroizing<Vec<u64>> {
        Zeroizing::new(bits.iter().map(|b| u64::from(*b)).collect())
    }

    /// The small key, of dimension n.
    pub(super) fn small_words(&self) -> Zeroizing<Vec<u64>> {
        let n = self.set.lwe_dimension as usize;
        Self::words(self.bits.get(..n).unwrap_or_default())
    }

    /// The large key, of dimension k N.
    pub(super) fn big_words(&self) -> Zeroizing<Vec<u64>> {
        let n = self.set.lwe_dimension as usize;
        Self::words(self.bits.get(n..).unwrap_or_default())
    }
}

impl fmt::Debug for TfheSecretKey {
    /// The ids alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TfheSecretKey({}, plan {})", self.key_id, self.plan_id)
    }
}
