//! From a network to an encrypted plan: frontends, passes over the `tensor` stage, lowering, emission.
//!
//! This crate knows ONNX and the stages of `cipherloom-ir`. It holds no key, and nothing encrypted is
//! executed here.

pub mod approx;
mod broadcast;
pub mod compile;
pub mod cost;
pub mod data;
pub mod emit;
pub mod integer;
pub mod loom;
pub mod lower;
pub mod onnx;
pub mod pass;
pub mod prefer;
pub mod report;
mod workload;

pub use compile::{CompileError, Compiled, Compiler};
pub use prefer::Preference;
