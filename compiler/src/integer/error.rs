//! Why a module has no integer plan, in words that a person can act on.

use crate::pass::{IllegalNodes, PassError};
use cipherloom_ir::Origin;
use cipherloom_ir::integer::AnalyseError;
use thiserror::Error;

/// Why a module cannot be compiled to the integer stage.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum IntegerError {
    /// An option is out of its bounds.
    #[error("{option} is {value}: {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What was given.
        value: f64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no sample to find scales from.
    #[error(
        "whole numbers take the place of real ones, and their scales come from samples\n   = help: give samples \
         (--calibrate DATA.npz), some hundred of the training data"
    )]
    NoSample,
    /// A calibration sample lacks an input, or has it in another shape, or leads to values that are not finite.
    #[error(
        "calibration sample {index}: an input is missing, has another shape, or leads to NaN or infinity"
    )]
    Sample {
        /// The sample.
        index: usize,
    },
    /// Operations without a form at the integer stage.
    #[error("{0}")]
    Unsupported(IllegalNodes),
    /// The module contradicts itself.
    #[error("{0}")]
    Malformed(String),
    /// A value does not depend on any input.
    #[error(
        "{0}: the value is the same whatever the inputs are, so there is nothing to encrypt\n   = help: its weights may \
         be zero by mistake; else compute it in clear and take it out of the model"
    )]
    Constant(Origin),
    /// The network takes too many lookups.
    #[error(
        "{0}: the network takes more than a million table lookups\n   = help: smaller layers, or the backend ckks"
    )]
    TooLarge(Origin),
    /// A pass refused the module.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// No published parameter set meets the failure probability.
    #[error(
        "no published parameter set gives a failure probability of 2^{log2_failure} per lookup: {reason}\n   = help: \
         smaller layers, or a looser budget (--failure-probability)"
    )]
    NoParameters {
        /// log2 of the wanted probability.
        log2_failure: f64,
        /// What the last set that was tried lacks.
        reason: AnalyseError,
    },
}

impl IntegerError {
    /// Whether the compiler is at fault, not its input.
    pub fn is_internal(&self) -> bool {
        matches!(
            self,
            IntegerError::Pass(
                PassError::Patch { .. } | PassError::Faults { .. } | PassError::Restless { .. }
            )
        )
    }
}
