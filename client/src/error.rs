//! What the client refuses.

use cipherloom_ckks::CkksError;
use cipherloom_ir::container::ContainerError;
use cipherloom_ir::params::ParameterError;
use cipherloom_ir::tensor::EvalError;
use cipherloom_ir::value::Range;
use thiserror::Error;

/// Why a request to the client is refused.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(String),
    /// A file is refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The scheme refuses.
    #[error(transparent)]
    Ckks(#[from] CkksError),
    /// A key or ciphertext file of the TFHE backend is refused.
    #[error(transparent)]
    Lwe(#[from] cipherloom_lwe::LweError),
    /// The plan's parameters are refused.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// The plan contradicts itself.
    #[error("the plan is malformed: {0}")]
    Plan(String),
    /// A key or ciphertext file contradicts itself or the plan.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An input that the model does not have.
    #[error("the model has no input \"{name}\"; its inputs are {expected}")]
    UnknownInput {
        /// The name.
        name: String,
        /// The names it has.
        expected: String,
    },
    /// An input is missing.
    #[error("input \"{name}\" is missing")]
    MissingInput {
        /// Its name.
        name: String,
    },
    /// An input that the plan declares clear, which the data's owner has not agreed to.
    #[error(
        "the plan declares input \"{name}\" clear: it would be sent as it is, for anyone to read; if it may be, say so with \
         `--clear {name}` (`Client::allow_clear`)"
    )]
    Clear {
        /// The input.
        name: String,
    },
    /// An input has a shape that does not fit.
    #[error("input \"{name}\" has shape {found:?}; the model takes {expected}")]
    Shape {
        /// The input.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// What would fit, in words.
        expected: String,
    },
    /// Inputs hold different numbers of samples, or none.
    #[error("input \"{name}\" holds {found} samples, another one {expected}")]
    Samples {
        /// The input.
        name: String,
        /// Its number of samples.
        found: usize,
        /// That of the inputs before.
        expected: usize,
    },
    /// An input without samples.
    #[error("input \"{name}\" holds no samples")]
    NoSamples {
        /// The input.
        name: String,
    },
    /// A value that is no finite number.
    #[error("input \"{name}\", element {index:?} is {value}")]
    NotFinite {
        /// The input.
        name: String,
        /// The element's index.
        index: Vec<usize>,
        /// NaN or an infinity.
        value: f64,
    },
    /// A value outside the accepted range.
    #[error("input \"{name}\", element {index:?} is {value}, outside the accepted range {range}")]
    OutOfRange {
        /// The input.
        name: String,
        /// The element's index.
        index: Vec<usize>,
        /// The value.
        value: f64,
        /// The limits.
        range: Range,
    },
    /// Ciphertexts that are not the plan's outputs.
    #[error("the ciphertexts do not fit the plan's outputs: {0}")]
    Outputs(String),
    /// The plan's tail cannot be computed of the decrypted outputs.
    #[error("the decrypted outputs cannot be finished: {0}")]
    Tail(#[from] EvalError),
    /// More bits are asked for than may be shared.
    #[error(
        "--share {bits}: output \"{name}\" may be shared with at most {limit} bits, so that rounding hides the noise"
    )]
    Share {
        /// The bits asked for.
        bits: u32,
        /// The output.
        name: String,
        /// The largest number of bits.
        limit: i64,
    },
    /// A key file cannot be written or read.
    #[cfg(not(target_family = "wasm"))]
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
}
