//! What can be wrong with data that a user brings.

use thiserror::Error;

/// Why arrays are refused. Every text names the array and, where it applies, the index.
#[derive(Debug, Error)]
pub enum DataError {
    /// The file is neither `.npy` nor `.npz`.
    #[error("this is neither a .npy nor a .npz file")]
    NotNumpy,
    /// The archive cannot be read.
    #[error("the .npz archive is damaged: {0}")]
    Archive(String),
    /// An array's header is not that of NumPy's format.
    #[error("array {array:?}: {reason}")]
    Header {
        /// The array.
        array: String,
        /// What is wrong.
        reason: String,
    },
    /// An array of a type that no network takes.
    #[error(
        "array {array:?} has elements of type {found:?}; float16, float32, float64 and integers are supported"
    )]
    Type {
        /// The array.
        array: String,
        /// NumPy's name of the type.
        found: String,
    },
    /// An array holds more or fewer bytes than its header states.
    #[error(
        "array {array:?} is truncated or has grown: its header states {expected} bytes of elements"
    )]
    Length {
        /// The array.
        array: String,
        /// The bytes that its header states.
        expected: u64,
    },
    /// An array is larger than this machine can hold.
    #[error("array {array:?} needs {needed} bytes of memory; {available} are available")]
    TooLarge {
        /// The array.
        array: String,
        /// Bytes as `f64`.
        needed: u64,
        /// Bytes that the machine has left.
        available: u64,
    },
    /// No array carries the name of an input.
    #[error("input {input:?}: no array of this name; the file has {}", quoted(.found))]
    Missing {
        /// The input.
        input: String,
        /// The arrays that there are.
        found: Vec<String>,
    },
    /// An array's shape is not that of the input.
    #[error("input {input:?} has shape {found:?}; the network takes {expected}")]
    Shape {
        /// The input.
        input: String,
        /// The array's shape.
        found: Vec<usize>,
        /// The shapes that are accepted.
        expected: String,
    },
    /// No sample at all.
    #[error("input {input:?} holds no sample")]
    Empty {
        /// The input.
        input: String,
    },
    /// Inputs with different numbers of samples.
    #[error("input {input:?} holds {found} samples, input {other:?} holds {expected}")]
    Samples {
        /// The input.
        input: String,
        /// Its samples.
        found: usize,
        /// The input it is compared with.
        other: String,
        /// Samples of the other.
        expected: usize,
    },
    /// NaN or an infinity.
    #[error("input {input:?}, index {index:?}: {value} is not a finite number")]
    NotFinite {
        /// The input.
        input: String,
        /// The position in the array.
        index: Vec<usize>,
        /// The value.
        value: f64,
    },
    /// A value beyond what the plan accepts.
    #[error(
        "input {input:?}, index {index:?}: {value} is outside [{lo}, {hi}], the calibrated or declared range times the margin"
    )]
    OutOfRange {
        /// The input.
        input: String,
        /// The position in the array.
        index: Vec<usize>,
        /// The value.
        value: f64,
        /// The lower limit.
        lo: f64,
        /// The upper limit.
        hi: f64,
    },
    /// Labels that are not one whole number per sample.
    #[error("labels: {0}")]
    Labels(String),
}

fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names
        .iter()
        .map(|n| format!("{n:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}
