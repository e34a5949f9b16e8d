//! A network, as read from a file.

use crate::data::PortSpec;
use crate::{Error, onnx};
use cipherloom_ir::tensor::Module;
use std::path::Path;

/// A network that has been read and checked, ready to be compiled.
#[derive(Clone, Debug)]
pub struct Model {
    module: Module,
}

impl Model {
    /// Reads an ONNX model.
    ///
    /// # Errors
    /// [`Error::Import`] for a file that is missing, broken or no ONNX model, with all nodes that cannot be imported.
    pub fn from_onnx(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_onnx_with(path, &onnx::Options::default())
    }

    /// [`Self::from_onnx`] with options, such as other outputs.
    ///
    /// # Errors
    /// As [`Self::from_onnx`], and an output that the model does not have.
    pub fn from_onnx_with(path: impl AsRef<Path>, options: &onnx::Options) -> Result<Self, Error> {
        Ok(Self {
            module: onnx::import_file_with(path.as_ref(), options)?,
        })
    }

    /// The network at the tensor stage, unrewritten.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// What the network's inputs are, for [`crate::data::read_inputs`].
    pub fn inputs(&self) -> Vec<PortSpec> {
        PortSpec::of_module(&self.module)
    }
}
