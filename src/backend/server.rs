//! A plan with a client's keys, for either backend.

#[cfg(feature = "tfhe")]
use super::mixed;
use super::{AnyCiphertexts, AnyClient, AnyServer, AnyServerPlan};
use crate::{Error, Server};
#[cfg(feature = "tfhe")]
use cipherloom_runtime::TfheServer;

impl AnyServer {
    /// A server with keys of this process.
    ///
    /// # Errors
    /// As [`Server::new_within`].
    pub fn new(
        plan: AnyServerPlan,
        client: &AnyClient,
        max_memory: Option<u64>,
    ) -> Result<Self, Error> {
        Ok(match (plan, client) {
            (AnyServerPlan::Ckks(plan), AnyClient::Ckks(client)) => {
                let keys = client.evaluation_key()?;
                Self::Ckks(Box::new(Server::new_within(plan, keys, max_memory)?))
            }
            #[cfg(feature = "tfhe")]
            (AnyServerPlan::Tfhe(plan), AnyClient::Tfhe(client)) => {
                let keys = client.server_keys()?;
                Self::Tfhe(Box::new(TfheServer::new_within(plan, keys, max_memory)?))
            }
            #[cfg(feature = "tfhe")]
            _ => return Err(mixed()),
        })
    }

    /// A server with the bytes of `eval.key`.
    ///
    /// # Errors
    /// As [`Server::within`].
    pub fn within(
        plan: AnyServerPlan,
        keys: &[u8],
        max_memory: Option<u64>,
    ) -> Result<Self, Error> {
        Ok(match plan {
            AnyServerPlan::Ckks(plan) => {
                Self::Ckks(Box::new(Server::within(plan, keys, max_memory)?))
            }
            #[cfg(feature = "tfhe")]
            AnyServerPlan::Tfhe(plan) => {
                Self::Tfhe(Box::new(TfheServer::within(plan, keys, max_memory)?))
            }
        })
    }

    /// Reads the bytes of a ciphertext file of this server's plan and key.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub fn read(&self, bytes: &[u8]) -> Result<AnyCiphertexts, Error> {
        Ok(match self {
            Self::Ckks(server) => AnyCiphertexts::Ckks(server.read(bytes)?),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(server) => AnyCiphertexts::Tfhe(server.read(bytes)?),
        })
    }

    /// The bytes of a ciphertext file.
    ///
    /// # Errors
    /// As [`Server::write`].
    pub fn write(&self, set: &AnyCiphertexts) -> Result<Vec<u8>, Error> {
        match (self, set) {
            (Self::Ckks(server), AnyCiphertexts::Ckks(set)) => Ok(server.write(set)?),
            #[cfg(feature = "tfhe")]
            (Self::Tfhe(server), AnyCiphertexts::Tfhe(set)) => Ok(server.write(set)?),
            #[cfg(feature = "tfhe")]
            _ => Err(mixed()),
        }
    }

    /// How many units of work a run is reported in: steps, or bootstraps.
    pub fn work(&self, inputs: &AnyCiphertexts) -> usize {
        match (self, inputs) {
            (Self::Ckks(server), AnyCiphertexts::Ckks(set)) => {
                server.plan().plan().steps.len() * set.runs()
            }
            #[cfg(feature = "tfhe")]
            (Self::Tfhe(server), AnyCiphertexts::Tfhe(set)) => {
                (server.plan().plan().bootstraps() as usize).saturating_mul(set.samples)
            }
            #[cfg(feature = "tfhe")]
            _ => 0,
        }
    }

    /// Executes the plan on all samples; `progress` is told how much is done, out of how much.
    ///
    /// # Errors
    /// As [`Server::run`].
    pub fn run_with(
        &self,
        inputs: &AnyCiphertexts,
        progress: &mut (dyn FnMut(usize, usize) + Send),
    ) -> Result<AnyCiphertexts, Error> {
        Ok(match (self, inputs) {
            (Self::Ckks(server), AnyCiphertexts::Ckks(set)) => {
                AnyCiphertexts::Ckks(server.run_with(set, progress)?)
            }
            #[cfg(feature = "tfhe")]
            (Self::Tfhe(server), AnyCiphertexts::Tfhe(set)) => {
                AnyCiphertexts::Tfhe(server.run_with(set, progress)?)
            }
            #[cfg(feature = "tfhe")]
            _ => return Err(mixed()),
        })
    }
}
