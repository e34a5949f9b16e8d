//! The server's side of cipherloom: executes a plan on ciphertexts.
//!
//! This crate knows plans and the scheme. It cannot name a secret key: that type exists in the client's crate alone.

mod awake;
mod constants;
mod error;
mod executor;
pub mod memory;
mod register;
mod server;
#[cfg(feature = "tfhe")]
mod tfhe;

#[cfg(feature = "tfhe")]
pub use self::tfhe::{TfheServer, TfheServerPlan};
pub use error::ServerError;
pub use server::{Server, ServerPlan};
