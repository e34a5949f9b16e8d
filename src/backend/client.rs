//! The owner of the data, for either backend.

use super::{AnyCiphertexts, AnyClient, AnyClientPlan};
#[cfg(feature = "tfhe")]
use super::{mixed, no_public_key};
use crate::{Client, ClientError, Error, SecretKey, Tensors};
use cipherloom_ckks::CiphertextSet;
use cipherloom_ckks::wire::keys_to_bytes;
#[cfg(feature = "tfhe")]
use cipherloom_client::{TfheClient, TfheSecretKey};
use cipherloom_client::{finish, round_for_sharing};
#[cfg(feature = "tfhe")]
use cipherloom_lwe::LweSet;
use std::path::Path;

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
