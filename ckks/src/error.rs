//! What the scheme refuses.

use crate::poly::Domain;
use cipherloom_ir::container::ContainerError;
use cipherloom_ir::params::ParameterError;
use std::fmt;
use thiserror::Error;

/// An evaluation key, by what it switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyName {
    /// The relinearisation key.
    Relinearization,
    /// The key of a left rotation by so many slots.
    Rotation(u32),
    /// The key of the complex conjugation.
    Conjugation,
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyName::Relinearization => f.write_str("relinearisation key"),
            KeyName::Rotation(steps) => write!(f, "rotation key for {steps} slots"),
            KeyName::Conjugation => f.write_str("conjugation key"),
        }
    }
}

/// Why an operation is refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CkksError {
    /// The parameters are refused.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// A file is refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A file's content contradicts itself or the parameters.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Two operands have different levels.
    #[error("operands have levels {left} and {right}")]
    LevelMismatch {
        /// Level of the first.
        left: usize,
        /// Level of the second.
        right: usize,
    },
    /// Two operands have different scales.
    #[error("operands have scales 2^{left_bits:.6} and 2^{right_bits:.6}, which are not equal")]
    ScaleMismatch {
        /// log2 of the first operand's scale.
        left_bits: f64,
        /// log2 of the second operand's scale.
        right_bits: f64,
    },
    /// A level that the operation or the parameters do not have.
    #[error("level {level} is not between {min} and {max}")]
    Level {
        /// The level asked for.
        level: usize,
        /// The lowest allowed.
        min: usize,
        /// The highest allowed.
        max: usize,
    },
    /// A ring element is in the wrong domain.
    #[error("a ring element is in the {found:?} domain instead of the {expected:?} domain")]
    Domain {
        /// The domain found.
        found: Domain,
        /// The domain needed.
        expected: Domain,
    },
    /// Two ring elements differ in degree, level or special limbs.
    #[error("ring elements of different shapes")]
    Shape,
    /// A number of slots that is no power of two dividing the ring's slots.
    #[error("{count} values: the number must be a power of two and at most the {slots} slots")]
    SlotCount {
        /// The number found.
        count: usize,
        /// The ring's slots.
        slots: usize,
    },
    /// A value is not a finite number.
    #[error("value {index} is not finite")]
    NotFinite {
        /// Its index.
        index: usize,
    },
    /// A value times its scale leaves what the modulus at its level can hold.
    #[error(
        "a value of 2^{log_coefficient:.1} after scaling does not fit the modulus of 2^{log_modulus:.1}"
    )]
    TooLarge {
        /// log2 of the largest scaled coefficient.
        log_coefficient: f64,
        /// log2 of the modulus.
        log_modulus: f64,
    },
    /// A key is missing.
    #[error("the {name} is missing")]
    MissingKey {
        /// Which.
        name: KeyName,
    },
    /// A key is there, for lower levels alone.
    #[error("the {name} serves levels up to {available}, level {needed} is needed")]
    KeyLevel {
        /// Which.
        name: KeyName,
        /// The highest level it serves.
        available: usize,
        /// The level of the operand.
        needed: usize,
    },
    /// A linear transform's description contradicts itself or its operands.
    #[error("linear transform \"{name}\": {reason}")]
    Transform {
        /// The transform's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
}
