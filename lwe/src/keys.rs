//! The server's keys as `eval.key` holds them: without their uniform parts.
//!
//! ```text
//! section 0   protobuf: name and numbers of the parameter set
//! section 1   seed of the bootstrapping key's masks, and its bodies: n (k+1) l polynomials of N words
//! section 2   seed of the keyswitching key's masks, and its bodies: k N l words
//! ```

use crate::{LweError, Seed, SetHeader, get_words, put_words};
use cipherloom_ir::container::{self, Container, KeyId, Kind, PlanId};
use cipherloom_ir::integer::TfheSet;
use prost::Message;

const WHAT: &str = "evaluation key";

/// The server's keys, in the order of words of the crate `tfhe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKeys {
    /// The secret key that they were made with.
    pub key_id: KeyId,
    /// The seed of the bootstrapping key's masks.
    pub bootstrap_seed: Seed,
    /// The bootstrapping key's bodies.
    pub bootstrap: Vec<u64>,
    /// The seed of the keyswitching key's masks.
    pub keyswitch_seed: Seed,
    /// The keyswitching key's bodies.
    pub keyswitch: Vec<u64>,
}

fn malformed(reason: impl Into<String>) -> LweError {
    LweError::Malformed {
        what: WHAT,
        reason: reason.into(),
    }
}

impl ServerKeys {
    /// Refuses keys whose lengths are not those of a set.
    ///
    /// # Errors
    /// [`LweError::Malformed`].
    pub fn check(&self, set: &TfheSet) -> Result<(), LweError> {
        let lengths = [
            (
                self.bootstrap.len(),
                set.seeded_bootstrap_words(),
                "bootstrapping",
            ),
            (
                self.keyswitch.len(),
                set.seeded_keyswitch_words(),
                "keyswitching",
            ),
        ];
        for (found, expected, name) in lengths {
            if found != expected {
                return Err(malformed(format!(
                    "the {name} key has {found} words instead of {expected}"
                )));
            }
        }
        Ok(())
    }

    /// The bytes of `eval.key`.
    ///
    /// # Errors
    /// As [`ServerKeys::check`].
    pub fn to_bytes(&self, set: &TfheSet, plan_id: PlanId) -> Result<Vec<u8>, LweError> {
        self.check(set)?;
        let header = SetHeader::of(set).encode_to_vec();
        let section = |seed: &Seed, words: &[u64]| {
            let mut out = Vec::with_capacity(seed.len() + 8 * words.len());
            out.extend_from_slice(seed);
            put_words(words, &mut out);
            out
        };
        let bootstrap = section(&self.bootstrap_seed, &self.bootstrap);
        let keyswitch = section(&self.keyswitch_seed, &self.keyswitch);
        let sections = [&header[..], &bootstrap, &keyswitch];
        Ok(container::write(
            Kind::TfheEvaluationKey,
            plan_id,
            self.key_id,
            &sections,
        ))
    }

    /// Reads `eval.key` of the given plan.
    ///
    /// # Errors
    /// [`LweError::Container`] for a damaged file or one of another kind or plan, [`LweError::Malformed`] for one of another
    /// parameter set or other lengths.
    pub fn from_bytes(set: &TfheSet, plan_id: PlanId, bytes: &[u8]) -> Result<Self, LweError> {
        let file = Container::read(bytes, Kind::TfheEvaluationKey)?;
        file.expect_plan(plan_id)?;
        let header = SetHeader::decode(file.section(0)?).map_err(|e| malformed(e.to_string()))?;
        if header != SetHeader::of(set) {
            return Err(malformed("its parameter set is not that of the plan"));
        }
        let section = |index: usize| -> Result<(Seed, Vec<u64>), LweError> {
            let (seed, words) = file
                .section(index)?
                .split_first_chunk()
                .ok_or_else(|| malformed("a seed is missing"))?;
            let words = get_words(words).ok_or_else(|| malformed("a key has no whole words"))?;
            Ok((*seed, words))
        };
        let ((bootstrap_seed, bootstrap), (keyswitch_seed, keyswitch)) = (section(1)?, section(2)?);
        let keys = Self {
            key_id: file.key_id,
            bootstrap_seed,
            bootstrap,
            keyswitch_seed,
            keyswitch,
        };
        keys.check(set)?;
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherloom_ir::integer::SETS;

    #[test]
    fn keys_come_back_and_their_sizes_are_those_that_are_predicted() {
        let set = SETS[0];
        let keys = ServerKeys {
            key_id: KeyId([1; 16]),
            bootstrap_seed: [2; 16],
            bootstrap: (0..set.seeded_bootstrap_words() as u64).collect(),
            keyswitch_seed: [3; 16],
            keyswitch: vec![5; set.seeded_keyswitch_words()],
        };
        let bytes = keys.to_bytes(&set, PlanId([7; 32])).unwrap();
        assert!((bytes.len() as u64).abs_diff(set.key_bytes()) < 1024);
        let read = |set: &TfheSet, plan: u8, bytes: &[u8]| {
            ServerKeys::from_bytes(set, PlanId([plan; 32]), bytes)
        };
        assert_eq!(read(&set, 7, &bytes), Ok(keys.clone()));
        assert!(matches!(read(&set, 8, &bytes), Err(LweError::Container(_))));
        assert!(matches!(
            read(&SETS[1], 7, &bytes),
            Err(LweError::Malformed { .. })
        ));
        assert!(read(&set, 7, &bytes[..bytes.len() - 1]).is_err());
        let short = ServerKeys {
            keyswitch: vec![],
            ..keys
        };
        assert!(short.to_bytes(&set, PlanId::default()).is_err());
        // A file whose checksum fits, but not its content.
        let header = SetHeader::of(&set).encode_to_vec();
        for sections in [
            vec![&header[..]],
            vec![&header, b"seed", b""],
            vec![&header, &[0; 17], &[0; 16]],
        ] {
            let file = container::write(
                Kind::TfheEvaluationKey,
                PlanId([7; 32]),
                KeyId::default(),
                &sections,
            );
            assert!(read(&set, 7, &file).is_err());
        }
    }
}
