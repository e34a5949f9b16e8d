//! The one error of the library and the command line.

use crate::data::DataError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why something was refused or failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is missing or unreadable.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is wrong with a file's content.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<Error>,
    },
    /// Arrays do not fit.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A plan is refused.
    #[error(transparent)]
    Plan(#[from] cipherloom_ir::plan::PlanError),
    /// A model cannot be imported.
    #[error(transparent)]
    Import(#[from] cipherloom_compiler::onnx::ImportError),
    /// A program is faulty.
    #[error(transparent)]
    Loom(#[from] cipherloom_compiler::loom::LoomError),
    /// A model cannot be compiled.
    #[error(transparent)]
    Compile(cipherloom_compiler::CompileError),
    /// A model cannot be compiled for the TFHE backend.
    #[error(transparent)]
    CompileInteger(cipherloom_compiler::integer::IntegerError),
    /// A cost model cannot be read.
    #[error(transparent)]
    CostModel(#[from] cipherloom_compiler::cost::CostModelError),
    /// A plan would need more memory than is allowed.
    #[error(
        "running this plan needs {needed} bytes of memory, more than the {limit} of --max-memory"
    )]
    MaxMemory {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The client refuses.
    #[error(transparent)]
    Client(#[from] cipherloom_client::ClientError),
    /// The server refuses.
    #[error(transparent)]
    Server(#[from] cipherloom_runtime::ServerError),
    /// The scheme refuses.
    #[error(transparent)]
    Scheme(#[from] cipherloom_ckks::CkksError),
    /// Parameters are refused.
    #[error(transparent)]
    Parameters(#[from] cipherloom_ir::params::ParameterError),
    /// More memory is needed than there is.
    #[error("{what} needs {needed} bytes of memory; this machine has {available} left")]
    Memory {
        /// What needs it.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes available.
        available: u64,
    },
    /// A comparison exceeds its limits, each of which is told in words.
    #[error("{} limit(s) exceeded: {}", .0.len(), .0.join("; "))]
    Limits(Vec<String>),
    /// An option or a request that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The tool contradicts itself: a defect of cipherloom, not of the input.
    #[error("internal fault, please report it: {0}")]
    Internal(String),
}

impl Error {
    /// The same error with the file that it is about.
    #[must_use]
    pub fn at(self, path: impl Into<PathBuf>) -> Self {
        Self::File {
            path: path.into(),
            source: Box::new(self),
        }
    }

    /// The exit status of the command line: 1 where the input is wrong, 2 where the tool failed.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Write { .. } | Self::Internal(_) => 2,
            Self::File { source, .. } => source.exit_status(),
            _ => 1,
        }
    }
}
