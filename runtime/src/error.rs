//! Why the server refuses.

use cipherloom_ckks::{CkksError, KeyName};
use cipherloom_ir::container::{ContainerError, KeyId, PlanId};
use cipherloom_ir::params::ParameterError;
use cipherloom_ir::plan::PlanError;
use thiserror::Error;

/// Why the server refuses a plan, a key or ciphertexts.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The plan's file is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan's parameters are refused.
    #[error("the plan's parameters are refused: {0}")]
    Parameters(#[from] ParameterError),
    /// A file is refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The scheme refuses a key or a ciphertext.
    #[error(transparent)]
    Ckks(#[from] CkksError),
    /// A key or ciphertext file of the TFHE backend is refused.
    #[error(transparent)]
    Lwe(#[from] cipherloom_lwe::LweError),
    /// The plan contradicts itself.
    #[error("the plan is malformed: {0}")]
    Malformed(String),
    /// A step of the plan cannot be executed.
    #[error("step {step} ({origin}): {source}")]
    Step {
        /// Its position.
        step: usize,
        /// The layer.
        origin: String,
        /// Why.
        source: CkksError,
    },
    /// A key that the plan needs is missing.
    #[error("the evaluation key lacks the {name}, which the plan needs up to level {level}")]
    MissingKey {
        /// Which.
        name: KeyName,
        /// The highest level at which the plan uses it.
        level: u32,
    },
    /// Ciphertexts of another plan.
    #[error("the ciphertexts belong to plan {found}, not to plan {expected}")]
    OtherPlan {
        /// Their plan.
        found: PlanId,
        /// The server's.
        expected: PlanId,
    },
    /// Ciphertexts of another key.
    #[error("the ciphertexts belong to key {found}, not to key {expected}")]
    OtherKey {
        /// Their key.
        found: KeyId,
        /// That of the evaluation keys.
        expected: KeyId,
    },
    /// An input is missing or does not fit.
    #[error("input {name:?}: {reason}")]
    Input {
        /// The input.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The machine has too little memory.
    #[error(
        "running this plan needs {needed} bytes of memory, even with its matrices expanded at use; {available} are left or allowed"
    )]
    Memory {
        /// Bytes that the plan needs.
        needed: u64,
        /// Bytes that are left.
        available: u64,
    },
}

impl ServerError {
    /// An input that is missing or does not fit.
    pub(crate) fn input(name: &str, reason: impl Into<String>) -> Self {
        Self::Input {
            name: name.to_owned(),
            reason: reason.into(),
        }
    }

    /// Refuses ciphertexts of another plan or key.
    pub(crate) fn expect_owner(
        found: (PlanId, KeyId),
        expected: (PlanId, KeyId),
    ) -> Result<(), Self> {
        if found.0 != expected.0 {
            return Err(Self::OtherPlan {
                found: found.0,
                expected: expected.0,
            });
        }
        if found.1 != expected.1 {
            return Err(Self::OtherKey {
                found: found.1,
                expected: expected.1,
            });
        }
        Ok(())
    }
}
