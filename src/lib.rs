//! cipherloom: from a neural network in ONNX form to a prediction on encrypted data.

pub mod check;
mod compiler;
pub mod data;
mod error;
pub mod files;
pub mod metrics;
mod model;
pub mod report;

pub use cipherloom_ckks::wire::keys_to_bytes;
pub use cipherloom_ckks::{CiphertextSet, Parameters, SeededEvaluationKeys};
pub use cipherloom_client::{
    Client, ClientError, PublicClient, PublicKey, SecretKey, round_for_sharing,
};
pub use cipherloom_compiler::CompileError;
pub use cipherloom_compiler::compile::StepReport;
pub use cipherloom_compiler::onnx;
pub use cipherloom_ir::plan::{ClientPlan, client_plan_from_bytes, client_plan_to_bytes};
pub use cipherloom_ir::security::Security;
pub use cipherloom_ir::{Range, Tensor, Tensors};
pub use cipherloom_runtime::{Server, ServerError, ServerPlan, memory};
pub use compiler::{Compiled, Compiler, Stage, passes};
pub use error::Error;
pub use model::Model;
