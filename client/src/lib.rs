//! The data owner's side: secret and public keys, evaluation keys, encryption and decryption.
//!
//! This is the only crate in which a secret key exists. It needs no threads, files or CPU features to be correct; helpers for
//! files are left out on wasm. Secrets and errors are sampled and used without branches or addresses that depend on
//! them, and are wiped from memory afterwards. (Encoding a message is floating-point arithmetic, which makes no such promise.)
//!
//! With the feature `tfhe` there are keys and encryption for the TFHE backend too. The arithmetic on secrets that is written here
//! keeps to the rules above; the sampling of errors and of masks, and the making of server keys, is that of the crate `tfhe`.
//!
//! On wasm without an operating system, the embedding application chooses where randomness comes from, by a feature or
//! backend of the crate `getrandom` (in a browser: `wasm_js`).

mod client;
mod error;
#[cfg(not(target_family = "wasm"))]
mod file;
mod finish;
mod inputs;
mod keygen;
mod public;
mod random;
mod sampler;
mod secret;
pub mod share;
#[cfg(feature = "tfhe")]
mod tfhe;
mod verify;

#[cfg(test)]
mod tests;

#[cfg(feature = "tfhe")]
pub use self::tfhe::{TfheClient, TfheSecretKey};
pub use cipherloom_ckks::set::{CiphertextSet, PortCiphertexts};
pub use client::Client;
pub use error::ClientError;
pub use finish::finish;
pub use public::{PublicClient, PublicKey};
pub use secret::SecretKey;
pub use share::round_for_sharing;
