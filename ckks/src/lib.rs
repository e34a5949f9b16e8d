//! Leveled RNS-CKKS: parameters, ring, plaintexts, ciphertexts, evaluation keys, evaluator.
//!
//! This crate knows no network and has no secret key: what it does, a server may do. The scheme is that of Cheon,
//! Kim, Kim and Song (ASIACRYPT 2017) in residue number form (SAC 2018) with hybrid key switching (Han and Ki,
//! CT-RSA 2020). Values live in `Z_Q[X]/(X^N + 1)` as residues modulo primes below 2^50.
//!
//! - [`params`]: frozen parameters and their tables; [`poly`]: ring elements; [`plaintext`], [`ciphertext`];
//! - [`keys`]: switching keys, expanded and seeded; [`xof`]: their public halves from a seed;
//! - [`evaluator`]: the operations; [`transform`]: linear maps by diagonals; [`weighted`]: by numbers; [`encoding`]: slots;
//! - [`wire`], [`set`], [`packing`]: files.
//!
//! Every result has the same bits for any number of threads and on every CPU.

mod automorphism;
pub mod ciphertext;
pub mod compact;
mod division;
pub mod encoding;
pub mod error;
pub mod evaluator;
mod kernel;
pub mod keys;
mod ntt;
pub mod packing;
mod parallel;
pub mod params;
pub mod plaintext;
pub mod poly;
pub mod set;
mod switching;
#[cfg(test)]
mod testing;
pub mod transform;
pub mod weighted;
pub mod wire;
pub mod xof;

pub use ciphertext::Ciphertext;
pub use compact::CompactCiphertext;
pub use error::{CkksError, KeyName};
pub use evaluator::{Combination, Evaluator};
#[cfg(feature = "insecure-test-parameters")]
pub use kernel::use_portable_kernels;
pub use keys::{EvaluationKeys, KeyStore, SeededEvaluationKeys, SeededSwitchingKey, SwitchingKey};
pub use params::Parameters;
pub use plaintext::{Complex64, PeriodicPoly, Plaintext};
pub use poly::{Domain, Poly};
pub use set::{CiphertextSet, PortCiphertexts};
pub use transform::LinearTransform;
pub use weighted::{Summands, WeightedSums};
