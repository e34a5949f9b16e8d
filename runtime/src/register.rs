//! The live values of an execution.

use crate::ServerError;
use cipherloom_ckks::wire::AnyCiphertext;
use cipherloom_ckks::{Ciphertext, CkksError, CompactCiphertext, Parameters};
use cipherloom_ir::Scale;
use cipherloom_ir::plan::Register;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A ciphertext as it is kept between steps: compact where there are many of them at once, as between weighted sums.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    /// In full words.
    Full(Ciphertext),
    /// In words of the primes' size.
    Compact(CompactCiphertext),
}

impl Held {
    /// An input's ciphertext, its uniform part written out.
    pub(crate) fn input(
        params: &Parameters,
        given: &AnyCiphertext,
        compact: bool,
    ) -> Result<Self, CkksError> {
        Ok(match (given, compact) {
            (AnyCiphertext::Seeded(c), true) => {
                Held::Compact(CompactCiphertext::from_seeded(params, c)?)
            }
            (given, true) => Held::Compact(CompactCiphertext::new(params, &given.expand(params))?),
            (given, false) => Held::Full(given.expand(params).into_owned()),
        })
    }

    pub(crate) fn level(&self) -> usize {
        match self {
            Held::Full(c) => c.level(),
            Held::Compact(c) => c.level(),
        }
    }

    pub(crate) fn scale(&self) -> &Scale {
        match self {
            Held::Full(c) => c.scale(),
            Held::Compact(c) => c.scale(),
        }
    }

    /// In full words.
    pub(crate) fn full(&self, params: &Parameters) -> Cow<'_, Ciphertext> {
        match self {
            Held::Full(c) => Cow::Borrowed(c),
            Held::Compact(c) => Cow::Owned(c.expand(params)),
        }
    }

    /// In words of the primes' size.
    pub(crate) fn compact(
        &self,
        params: &Parameters,
    ) -> Result<Cow<'_, CompactCiphertext>, CkksError> {
        Ok(match self {
            Held::Full(c) => Cow::Owned(CompactCiphertext::new(params, c)?),
            Held::Compact(c) => Cow::Borrowed(c),
        })
    }
}

/// The live values by register.
#[derive(Default)]
pub(crate) struct Registers(BTreeMap<Register, Held>);

impl Registers {
    pub(crate) fn get(&self, register: Register) -> Result<&Held, ServerError> {
        let empty =
            || ServerError::Malformed(format!("register {register} is read while it is empty"));
        self.0.get(&register).ok_or_else(empty)
    }

    pub(crate) fn insert(&mut self, register: Register, value: Held) {
        self.0.insert(register, value);
    }

    pub(crate) fn remove(&mut self, register: Register) {
        self.0.remove(&register);
    }
}
