//! cipherloom: from a neural network in ONNX form to a prediction on encrypted data.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use cipherloom::data::{read_inputs, split};
//! # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
//! # let dir = tempfile::tempdir()?;
//! use cipherloom::{Client, Security, Server};
//!
//! # let path = data.join("models/lola.onnx");
//! let model = cipherloom::Model::from_onnx(path)?;
//! # let stacked = read_inputs(&std::fs::read(data.join("images/mnist-calib.npz"))?, &model.inputs(), false)?;
//! # let samples = split(&stacked, &model.inputs()).ok_or("no samples")?;
//! # let inputs = samples[0].clone();
//! # let lenet = dir.path().join("lenet");
//! let compiled = cipherloom::Compiler::new()
//!     .security(Security::Classical128)
//!     .calibrate(&samples)
//!     .compile(&model)?;
//! compiled.save(&lenet)?;                                    // server.plan and client.plan
//!
//! let client = Client::new(compiled.client_plan())?;         // makes the secret key
//! let server = Server::new(compiled.server_plan(), client.evaluation_key()?)?;
//! let scores = client.decrypt(&server.run(&client.encrypt(&inputs)?)?)?;
//! # assert!(lenet.join("server.plan").exists() && lenet.join("client.plan").exists());
//! # assert_eq!(scores["output"].shape(), [1, 10]);
//! # Ok(())
//! # }
//! ```
//!
//! Data is NumPy's ([`data`]); plans, keys and ciphertexts are bytes that each side may store and send. The command
//! line is written over this library.

pub mod backend;
pub mod bench;
pub mod build;
pub mod calibrate;
pub mod check;
mod choice;
mod compiler;
pub mod data;
mod error;
pub mod files;
pub mod metrics;
mod model;
pub mod report;

#[cfg(feature = "tfhe")]
pub use choice::TfheCompiled;
pub use choice::{AnyCompiled, Backend};
pub use cipherloom_ckks::wire::keys_to_bytes;
pub use cipherloom_ckks::{CiphertextSet, Parameters, SeededEvaluationKeys};
pub use cipherloom_client::{
    Client, ClientError, PublicClient, PublicKey, SecretKey, finish, round_for_sharing,
};
pub use cipherloom_compiler::compile::StepReport;
pub use cipherloom_compiler::cost::{CostModel, CostModelError};
pub use cipherloom_compiler::lower::Batch;
pub use cipherloom_compiler::{CompileError, Preference};
pub use cipherloom_compiler::{loom, onnx};
pub use cipherloom_ir::plan::{ClientPlan, client_plan_from_bytes, client_plan_to_bytes};
pub use cipherloom_ir::security::Security;
pub use cipherloom_ir::{DType, Range, Tensor, Tensors};
pub use cipherloom_runtime::{Server, ServerError, ServerPlan, memory};
pub use compiler::{Compiled, Compiler, Stage, passes};
pub use error::Error;
pub use model::{Model, read_program};
