//! cipherloom: from a neural network in ONNX form to a prediction on encrypted data.

pub mod data;
mod error;
pub mod files;
pub mod metrics;
pub mod report;

pub use cipherloom_ir::security::Security;
pub use cipherloom_ir::{Range, Tensor, Tensors};
pub use error::Error;
