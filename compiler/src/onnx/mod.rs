//! ONNX models as modules of the `tensor` stage.
//!
//! A file comes from elsewhere, so nothing in it is trusted: the bytes are walked before they are parsed
//! ([`scan`]), sizes are checked before memory is taken, paths of external data may not leave the model's
//! folder, and every fault is an [`ImportError`]; none panics. All faulty nodes are reported at once.
//!
//! The file is read as ONNX's specification says: nodes in topological order, each name written once, an
//! initializer that is also an input counted as a constant. Values that depend on no input of the model
//! (weights, shapes) are computed here; what depends on one becomes an operation of the `tensor` stage.
//! One file per operator lies in `op`.

mod call;
mod clear;
mod error;
mod external;
mod fold;
mod functions;
mod graph;
mod op;
mod ports;
mod prescan;
mod selection;
mod tensor;

pub use error::{ImportError, ModelError, ModelFault, NodeFault, Subject};
pub use op::{Computation, OperatorInfo, TableComputation, operators};
pub use prescan::{ScanError, scan};

use cipherloom_ir::tensor::Module;
use onnx_protobuf::{Message, ModelProto};
use std::path::{Path, PathBuf};

/// The versions of ONNX's operators that are read.
pub const OPSETS: std::ops::RangeInclusive<i64> = 7..=24;

/// The versions of ONNX's file format that are read.
pub const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=13;

/// Bytes of a file, at most: what a protobuf message can hold.
const MAX_FILE: u64 = 1 << 31;

/// What to import of a model.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Stop at these values instead of the model's outputs, if there are any here.
    pub outputs: Vec<String>,
}

/// Imports a model from the bytes of its file.
///
/// `dir` is the model's folder, for external data; `name` becomes the module's name; `source` says to
/// people what the bytes were read from.
///
/// # Errors
/// Bytes that are no ONNX model, and all faults of one that is.
pub fn import(
    bytes: &[u8],
    dir: Option<&Path>,
    name: &str,
    source: &str,
) -> Result<Module, ImportError> {
    import_with(bytes, dir, name, source, &Options::default())
}

/// [`import`], with options.
///
/// # Errors
/// As [`import`], and an output that the model does not have.
pub fn import_with(
    bytes: &[u8],
    dir: Option<&Path>,
    name: &str,
    source: &str,
    options: &Options,
) -> Result<Module, ImportError> {
    scan(bytes).map_err(|fault| ImportError::Scan {
        source_name: source.to_owned(),
        fault,
    })?;
    let model = ModelProto::parse_from_bytes(bytes).map_err(|e| ImportError::Parse {
        source_name: source.to_owned(),
        reason: e.to_string(),
    })?;
    graph::import(&model, dir, name, source, options).map_err(|e| ImportError::Model(Box::new(e)))
}

/// The files that hold a model: its own, and those with its external data, by their paths beside it.
///
/// # Errors
/// Bytes that are no ONNX model, and a file that cannot be read.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let bytes = file_bytes(path)?;
    let source = || path.display().to_string();
    scan(&bytes).map_err(|fault| ImportError::Scan {
        source_name: source(),
        fault,
    })?;
    let model = ModelProto::parse_from_bytes(&bytes).map_err(|e| ImportError::Parse {
        source_name: source(),
        reason: e.to_string(),
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let beside = external::locations(&model);
    let mut files = vec![path.to_owned()];
    files.extend(beside.iter().map(|location| folder.join(location)));
    Ok(files)
}

/// Imports a model from its file; the module is named after it.
///
/// # Errors
/// As [`import`], and a file that cannot be read.
pub fn import_file(path: &Path) -> Result<Module, ImportError> {
    import_file_with(path, &Options::default())
}

/// [`import_file`], with options.
///
/// # Errors
/// As [`import_file`], and an output that the model does not have.
pub fn import_file_with(path: &Path, options: &Options) -> Result<Module, ImportError> {
    let bytes = file_bytes(path)?;
    let text = |part: Option<&std::ffi::OsStr>| {
        part.map(|p| p.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let dir = path.parent().unwrap_or(Path::new(""));
    import_with(
        &bytes,
        Some(dir),
        &text(path.file_stem()),
        &text(path.file_name()),
        options,
    )
}

/// The bytes of a model's file.
fn file_bytes(path: &Path) -> Result<Vec<u8>, ImportError> {
    let fault = |reason: String| ImportError::File {
        path: path.to_owned(),
        reason,
    };
    let metadata = std::fs::metadata(path).map_err(|e| fault(e.to_string()))?;
    if !metadata.is_file() {
        return Err(fault("not a regular file".into()));
    }
    if metadata.len() > MAX_FILE {
        return Err(fault(
            "larger than 2 GiB, which no protobuf file is; keep the weights in external data"
                .into(),
        ));
    }
    std::fs::read(path).map_err(|e| fault(e.to_string()))
}
