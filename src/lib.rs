//! cipherloom: from a neural network in ONNX form to a prediction on encrypted data.

pub mod check;
pub mod data;
mod error;
pub mod files;
pub mod metrics;
pub mod report;

pub use cipherloom_ckks::wire::keys_to_bytes;
pub use cipherloom_ckks::{CiphertextSet, Parameters, SeededEvaluationKeys};
pub use cipherloom_client::{
    Client, ClientError, PublicClient, PublicKey, SecretKey, round_for_sharing,
};
pub use cipherloom_compiler::onnx;
pub use cipherloom_ir::plan::{ClientPlan, client_plan_from_bytes, client_plan_to_bytes};
pub use cipherloom_ir::security::Security;
pub use cipherloom_ir::{Range, Tensor, Tensors};
pub use cipherloom_runtime::{Server, ServerError, ServerPlan, memory};
pub use error::Error;
