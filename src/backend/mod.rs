//! One face over the two backends: which of them a file is for, the file says.

mod client;
mod plan;
mod server;

use crate::{Client, ClientPlan, Error, Server, ServerPlan};
use cipherloom_ckks::CiphertextSet;
#[cfg(feature = "tfhe")]
use cipherloom_client::TfheClient;
use cipherloom_ir::container::Kind;
#[cfg(feature = "tfhe")]
use cipherloom_ir::integer::IntegerClientPlan;
#[cfg(feature = "tfhe")]
use cipherloom_lwe::LweSet;
#[cfg(feature = "tfhe")]
use cipherloom_runtime::{TfheServer, TfheServerPlan};

/// A client's plan of either backend.
#[derive(Clone, Debug)]
pub enum AnyClientPlan {
    /// Of the CKKS backend.
    Ckks(ClientPlan),
    /// Of the TFHE backend.
    #[cfg(feature = "tfhe")]
    Tfhe(IntegerClientPlan),
}

/// A server's plan of either backend.
#[derive(Clone, Debug)]
pub enum AnyServerPlan {
    /// Of the CKKS backend.
    Ckks(ServerPlan),
    /// Of the TFHE backend.
    #[cfg(feature = "tfhe")]
    Tfhe(TfheServerPlan),
}

/// The owner of the data, for a plan of either backend.
pub enum AnyClient {
    /// Of the CKKS backend.
    Ckks(Box<Client>),
    /// Of the TFHE backend.
    #[cfg(feature = "tfhe")]
    Tfhe(Box<TfheClient>),
}

/// A plan of either backend with a client's keys.
pub enum AnyServer {
    /// Of the CKKS backend.
    Ckks(Box<Server>),
    /// Of the TFHE backend.
    #[cfg(feature = "tfhe")]
    Tfhe(Box<TfheServer>),
}

/// Ciphertexts of either backend.
#[derive(Clone, Debug)]
pub enum AnyCiphertexts {
    /// Of the CKKS backend.
    Ckks(CiphertextSet),
    /// Of the TFHE backend.
    #[cfg(feature = "tfhe")]
    Tfhe(LweSet),
}

fn mixed() -> Error {
    Error::Usage("the files belong to different backends".into())
}

/// Whether a file is for the TFHE backend.
///
/// # Errors
/// A file of a backend that this build has not got.
fn is_tfhe(bytes: &[u8]) -> Result<bool, Error> {
    let tfhe = matches!(
        Kind::of(bytes),
        Some(
            Kind::TfheServerPlan
                | Kind::TfheClientPlan
                | Kind::TfheSecretKey
                | Kind::TfheEvaluationKey
                | Kind::TfheCiphertext
        )
    );
    if tfhe && !cfg!(feature = "tfhe") {
        let text = "the file is for the TFHE backend: build with the cargo feature `tfhe`";
        return Err(Error::Usage(text.into()));
    }
    Ok(tfhe)
}

/// Why there is no public key.
#[cfg(feature = "tfhe")]
fn no_public_key() -> Error {
    Error::Usage("the TFHE backend has no public keys: encrypt with --secret-key".into())
}

impl AnyCiphertexts {
    /// The number of samples.
    pub fn samples(&self) -> usize {
        match self {
            Self::Ckks(set) => set.samples,
            #[cfg(feature = "tfhe")]
            Self::Tfhe(set) => set.samples,
        }
    }
}
