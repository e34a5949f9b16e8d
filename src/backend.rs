//! One face over the two backends: which of them a file is for, the file says.

use crate::data::PortSpec;
use crate::{
    Client, ClientError, ClientPlan, CostModel, Error, SecretKey, Server, ServerPlan, Tensors,
};
use cipherloom_ckks::CiphertextSet;
use cipherloom_ckks::wire::keys_to_bytes;
#[cfg(feature = "tfhe")]
use cipherloom_client::{TfheClient, TfheSecretKey};
use cipherloom_client::{finish, round_for_sharing};
use cipherloom_ir::container::Kind;
#[cfg(feature = "tfhe")]
use cipherloom_ir::integer::{
    IntegerClientPlan, integer_client_plan_from_bytes, integer_client_plan_to_bytes,
};
use cipherloom_ir::plan::{client_plan_from_bytes, client_plan_to_bytes};
use cipherloom_ir::tensor::Module;
#[cfg(feature = "tfhe")]
use cipherloom_lwe::LweSet;
#[cfg(feature = "tfhe")]
use cipherloom_runtime::{TfheServer, TfheServerPlan};
use std::path::Path;

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

impl AnyClientPlan {
    /// Reads and verifies the bytes of `client.plan`.
    ///
    /// # Errors
    /// A file that is damaged, of another kind, or malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        #[cfg(feature = "tfhe")]
        if is_tfhe(bytes)? {
            return Ok(Self::Tfhe(integer_client_plan_from_bytes(bytes)?));
        }
        is_tfhe(bytes)?;
        Ok(Self::Ckks(client_plan_from_bytes(bytes)?))
    }

    /// The bytes of `client.plan`.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ckks(plan) => client_plan_to_bytes(plan),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => integer_client_plan_to_bytes(plan),
        }
    }

    /// The inputs.
    pub fn inputs(&self) -> Vec<PortSpec> {
        match self {
            Self::Ckks(plan) => plan.inputs.iter().map(PortSpec::from).collect(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.inputs.iter().map(PortSpec::from).collect(),
        }
    }

    /// The names of the inputs that are given in clear.
    pub fn clear_inputs(&self) -> Vec<&str> {
        match self {
            Self::Ckks(plan) => {
                let clear = plan.inputs.iter().filter(|port| port.clear);
                clear.map(|port| port.name.as_str()).collect()
            }
            #[cfg(feature = "tfhe")]
            Self::Tfhe(_) => vec![],
        }
    }

    /// The model's outputs.
    pub fn results(&self) -> Vec<PortSpec> {
        let results = match self {
            Self::Ckks(plan) => plan.results(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.results(),
        };
        results.iter().map(PortSpec::from).collect()
    }

    /// The plan, for encryption with a public key.
    ///
    /// # Errors
    /// A plan of the TFHE backend, which has no public keys.
    pub fn for_public_key(self) -> Result<ClientPlan, Error> {
        match self {
            Self::Ckks(plan) => Ok(plan),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(_) => Err(no_public_key()),
        }
    }

    /// The id of the server's plan.
    pub fn plan_id(&self) -> String {
        match self {
            Self::Ckks(plan) => plan.plan_id.to_string(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan_id.to_string(),
        }
    }
}

impl AnyServerPlan {
    /// Reads and verifies the bytes of `server.plan`.
    ///
    /// # Errors
    /// A file that is damaged, of another kind, or malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        #[cfg(feature = "tfhe")]
        if is_tfhe(bytes)? {
            return Ok(Self::Tfhe(TfheServerPlan::from_bytes(bytes)?));
        }
        is_tfhe(bytes)?;
        Ok(Self::Ckks(ServerPlan::from_bytes(bytes)?))
    }

    /// The bytes of `server.plan`.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ckks(plan) => plan.to_bytes(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.to_bytes(),
        }
    }

    /// The bootstraps of one sample; none with the CKKS backend.
    pub fn bootstraps(&self) -> usize {
        match self {
            Self::Ckks(_) => 0,
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().bootstraps() as usize,
        }
    }

    /// The inputs.
    pub fn inputs(&self) -> Vec<PortSpec> {
        match self {
            Self::Ckks(plan) => plan.plan().inputs.iter().map(PortSpec::from).collect(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().inputs.iter().map(PortSpec::from).collect(),
        }
    }

    /// The model's outputs.
    pub fn results(&self) -> Vec<PortSpec> {
        let results = match self {
            Self::Ckks(plan) => plan.plan().results(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().results(),
        };
        results.iter().map(PortSpec::from).collect()
    }

    /// The encrypted outputs.
    pub(crate) fn outputs(&self) -> Vec<PortSpec> {
        match self {
            Self::Ckks(plan) => plan.plan().outputs.iter().map(PortSpec::from).collect(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().outputs.iter().map(PortSpec::from).collect(),
        }
    }

    /// How many samples one run takes.
    pub fn samples(&self) -> usize {
        match self {
            Self::Ckks(plan) => plan.plan().samples(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(_) => 1,
        }
    }

    /// The imported network up to the encrypted outputs.
    pub fn clear(&self) -> &Module {
        match self {
            Self::Ckks(plan) => &plan.plan().clear,
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => &plan.plan().clear,
        }
    }

    /// What the client computes of the decrypted outputs.
    pub fn tail(&self) -> Option<&Module> {
        match self {
            Self::Ckks(plan) => plan.plan().tail.as_ref(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().tail.as_ref(),
        }
    }

    /// The margin that was applied to ranges.
    pub fn margin(&self) -> f64 {
        match self {
            Self::Ckks(plan) => plan.plan().margin,
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().margin,
        }
    }

    /// Seconds that a run is expected to take on so many threads; the costs are of CKKS.
    pub fn expected_seconds(&self, costs: &CostModel, threads: usize) -> f64 {
        match self {
            Self::Ckks(plan) => costs.seconds(plan.plan(), threads),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => crate::report::integer_seconds(plan.plan(), threads),
        }
    }

    /// What a client needs of it.
    pub fn client_plan(&self) -> AnyClientPlan {
        match self {
            Self::Ckks(plan) => AnyClientPlan::Ckks(plan.client_plan()),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => AnyClientPlan::Tfhe(plan.client_plan()),
        }
    }
}

impl AnyClient {
    /// A client with a fresh secret key.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn new(plan: AnyClientPlan) -> Result<Self, Error> {
        Ok(match plan {
            AnyClientPlan::Ckks(plan) => Self::Ckks(Box::new(Client::new(plan)?)),
            #[cfg(feature = "tfhe")]
            AnyClientPlan::Tfhe(plan) => Self::Tfhe(Box::new(TfheClient::new(plan)?)),
        })
    }

    /// A client with the secret key of a file.
    ///
    /// # Errors
    /// As [`SecretKey::load`] and [`Client::with_secret_key`].
    pub fn load(plan: AnyClientPlan, path: &Path) -> Result<Self, Error> {
        let fault = |error: ClientError| match error {
            ClientError::File { path, source } => Error::Read { path, source },
            other => Error::from(other).at(path),
        };
        Ok(match plan {
            AnyClientPlan::Ckks(plan) => {
                let secret = SecretKey::load(path, &plan).map_err(fault)?;
                Self::Ckks(Box::new(Client::with_secret_key(plan, secret)?))
            }
            #[cfg(feature = "tfhe")]
            AnyClientPlan::Tfhe(plan) => {
                let secret = TfheSecretKey::load(path, &plan).map_err(fault)?;
                Self::Tfhe(Box::new(TfheClient::with_secret_key(plan, secret)?))
            }
        })
    }

    /// Writes the secret key to a new file; yields its length in bytes.
    ///
    /// # Errors
    /// As [`SecretKey::save`].
    pub fn save_secret(&self, path: &Path) -> Result<u64, ClientError> {
        let length = match self {
            Self::Ckks(client) => {
                client.secret_key().save(path)?;
                client.secret_key().to_bytes().len()
            }
            #[cfg(feature = "tfhe")]
            Self::Tfhe(client) => {
                client.secret_key().save(path)?;
                client.secret_key().to_bytes().len()
            }
        };
        Ok(length as u64)
    }

    /// The secret key's id.
    pub fn key_id(&self) -> String {
        match self {
            Self::Ckks(client) => client.secret_key().key_id().to_string(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(client) => client.secret_key().key_id().to_string(),
        }
    }

    /// New evaluation keys: the bytes of `eval.key`.
    ///
    /// # Errors
    /// Where the operating system gives no randomness.
    pub fn evaluation_key_bytes(&self) -> Result<Vec<u8>, Error> {
        Ok(match self {
            Self::Ckks(client) => {
                let plan_id = client.plan().plan_id;
                keys_to_bytes(client.params(), plan_id, &client.evaluation_key()?)?
            }
            #[cfg(feature = "tfhe")]
            Self::Tfhe(client) => {
                let plan = client.plan();
                let keys = client.server_keys()?.to_bytes(&plan.params, plan.plan_id);
                keys.map_err(ClientError::from)?
            }
        })
    }

    /// A new public key: its bytes.
    ///
    /// # Errors
    /// Where the operating system gives no randomness; for the TFHE backend, which has none.
    pub fn public_key_bytes(&self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Ckks(client) => Ok(client.public_key()?.to_bytes(client.params())?),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(_) => Err(no_public_key()),
        }
    }

    /// As [`Client::allow_clear`].
    pub fn allow_clear(&mut self, input: &str) {
        match self {
            Self::Ckks(client) => client.allow_clear(input),
            // There are no such inputs.
            #[cfg(feature = "tfhe")]
            Self::Tfhe(_) => (),
        }
    }

    /// A client with a fresh secret key, which may send all inputs in clear that the plan declares so: for plans of one's own, whose
    /// requests stay in this process.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_own(plan: AnyClientPlan) -> Result<Self, Error> {
        let clear: Vec<String> = plan.clear_inputs().into_iter().map(String::from).collect();
        let mut client = Self::new(plan)?;
        clear.iter().for_each(|name| client.allow_clear(name));
        Ok(client)
    }

    /// Encrypts samples.
    ///
    /// # Errors
    /// As [`Client::encrypt`].
    pub fn encrypt(&self, inputs: &Tensors) -> Result<AnyCiphertexts, Error> {
        Ok(match self {
            Self::Ckks(client) => AnyCiphertexts::Ckks(client.encrypt(inputs)?),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(client) => AnyCiphertexts::Tfhe(client.encrypt(inputs)?),
        })
    }

    /// Reads the bytes of a ciphertext file of the client's plan.
    ///
    /// # Errors
    /// A file that is damaged, of another kind or plan, or malformed.
    pub fn read(&self, bytes: &[u8]) -> Result<AnyCiphertexts, Error> {
        Ok(match self {
            Self::Ckks(client) => {
                let plan_id = client.plan().plan_id;
                AnyCiphertexts::Ckks(CiphertextSet::from_bytes(client.params(), plan_id, bytes)?)
            }
            #[cfg(feature = "tfhe")]
            Self::Tfhe(client) => {
                let plan = client.plan();
                let set = LweSet::from_bytes(&plan.params, plan.plan_id, bytes);
                AnyCiphertexts::Tfhe(set.map_err(ClientError::from)?)
            }
        })
    }

    /// The bytes of a ciphertext file.
    ///
    /// # Errors
    /// Ciphertexts of another backend, or that are not alike.
    pub fn write(&self, set: &AnyCiphertexts) -> Result<Vec<u8>, Error> {
        match (self, set) {
            (Self::Ckks(client), AnyCiphertexts::Ckks(set)) => Ok(set.to_bytes(client.params())?),
            #[cfg(feature = "tfhe")]
            (Self::Tfhe(client), AnyCiphertexts::Tfhe(set)) => {
                let bytes = set.to_bytes(&client.plan().params);
                Ok(bytes.map_err(ClientError::from)?)
            }
            #[cfg(feature = "tfhe")]
            _ => Err(mixed()),
        }
    }

    /// Decrypts the outputs of a run as they were encrypted, without the plan's tail.
    ///
    /// # Errors
    /// As [`Client::decrypt_exact`].
    pub fn decrypt_exact(&self, outputs: &AnyCiphertexts) -> Result<Tensors, Error> {
        match (self, outputs) {
            (Self::Ckks(client), AnyCiphertexts::Ckks(set)) => Ok(client.decrypt_exact(set)?),
            #[cfg(feature = "tfhe")]
            (Self::Tfhe(client), AnyCiphertexts::Tfhe(set)) => Ok(client.decrypt_exact(set)?),
            #[cfg(feature = "tfhe")]
            _ => Err(mixed()),
        }
    }

    /// Decrypts the outputs of a run and computes the model's from them; with `share`, of values rounded to so many bits.
    ///
    /// # Errors
    /// As [`Client::decrypt`] and [`round_for_sharing`]; `share` for the TFHE backend, whose integers carry no noise.
    pub fn decrypt(&self, outputs: &AnyCiphertexts, share: Option<u32>) -> Result<Tensors, Error> {
        let mut exact = self.decrypt_exact(outputs)?;
        match self {
            Self::Ckks(client) => {
                if let Some(bits) = share {
                    round_for_sharing(client.plan(), &mut exact, bits)?;
                }
                // What is shared is a function of the rounded values.
                Ok(finish(client.plan(), &exact)?)
            }
            #[cfg(feature = "tfhe")]
            Self::Tfhe(client) => {
                if share.is_some() {
                    let text = "--share rounds noise away; results of the TFHE backend are exact integers without any";
                    return Err(Error::Usage(text.into()));
                }
                Ok(client.finish(&exact)?)
            }
        }
    }
}

/// Why there is no public key.
#[cfg(feature = "tfhe")]
fn no_public_key() -> Error {
    Error::Usage("the TFHE backend has no public keys: encrypt with --secret-key".into())
}

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
