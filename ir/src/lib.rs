//! The intermediate representation of cipherloom: its stages, and the key-free rules that the
//! compiler, the simulator and the explain report share.
//!
//! - [`tensor`]: shapes, value ranges, layers, as the user's model wrote them;
//! - [`circuit`]: packed ciphertext values with level, scale, noise and layout;
//! - [`plan`]: straight-line steps that the runtime executes;
//! - [`integer`]: the same for the TFHE backend, on encrypted integers.
//!
//! This crate knows neither ONNX nor cryptography: no key, no ciphertext, no ring element exists here.

pub mod circuit;
pub mod container;
pub mod fault;
pub mod graph;
pub mod integer;
pub mod layout;
pub mod noise;
pub mod origin;
pub mod params;
pub mod plan;
pub mod scale;
pub mod security;
pub mod tensor;
mod text;
pub mod value;

pub use graph::{Dag, NodeId};
pub use origin::Origin;
pub use scale::Scale;
pub use text::ParseError;
pub use value::{DType, Range, Tensor, Tensors};
