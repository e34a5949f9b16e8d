//! The client: everything that the owner of the data does.

use crate::ClientError;
use crate::inputs::{CheckedInputs, stack};
use crate::keygen::{evaluation_keys, fresh_seed, masked_zero};
use crate::public::PublicKey;
use crate::random::SecretRng;
use crate::secret::{SecretKey, SecretPoly};
use crate::verify::verify;
use cipherloom_ckks::ciphertext::SeededCiphertext;
use cipherloom_ckks::encoding::Encoder;
use cipherloom_ckks::set::{CiphertextSet, PortCiphertexts};
use cipherloom_ckks::wire::AnyCiphertext;
use cipherloom_ckks::{Ciphertext, Parameters, Plaintext, SeededEvaluationKeys};
use cipherloom_ir::container::{ContainerError, KeyId};
use cipherloom_ir::plan::{ClientPlan, PlanPort};
use cipherloom_ir::value::{Tensor, Tensors};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// What encryption needs of a plan, with either key.
pub(crate) struct Encryptor {
    plan: ClientPlan,
    params: Parameters,
    encoder: Encoder,
    /// The inputs that may be sent in clear.
    clear: BTreeSet<String>,
}

impl Encryptor {
    /// Checks the plan against the parameters frozen from it.
    pub(crate) fn new(plan: ClientPlan, params: Parameters) -> Result<Self, ClientError> {
        verify(&plan)?;
        let encoder = Encoder::new(&params);
        Ok(Self {
            plan,
            params,
            encoder,
            clear: BTreeSet::new(),
        })
    }

    pub(crate) fn allow_clear(&mut self, name: &str) {
        self.clear.insert(name.to_owned());
    }

    /// Whether an input is sent in clear: the plan alone cannot make it so.
    fn in_clear(&self, port: &PlanPort) -> Result<bool, ClientError> {
        if port.clear && !self.clear.contains(&port.name) {
            let name = port.name.clone();
            return Err(ClientError::Clear { name });
        }
        Ok(port.clear)
    }

    pub(crate) fn plan(&self) -> &ClientPlan {
        &self.plan
    }

    pub(crate) fn params(&self) -> &Parameters {
        &self.params
    }

    /// Checks, packs, encodes, and encrypts each plaintext with `encrypt`, but for inputs in clear.
    pub(crate) fn encrypt(
        &self,
        inputs: &Tensors,
        key_id: KeyId,
        mut encrypt: impl FnMut(&Plaintext) -> Result<AnyCiphertext, ClientError>,
    ) -> Result<CiphertextSet, ClientError> {
        let checked = CheckedInputs::new(&self.plan.inputs, inputs)?;
        let mut ports = Vec::with_capacity(self.plan.inputs.len());
        for (port, runs) in checked.runs() {
            let in_clear = self.in_clear(port)?;
            let mut encrypted = Vec::new();
            for run in runs {
                let encrypt_slots = |slots: &Vec<f64>| {
                    let plaintext = self.encoder.encode(slots, port.level, &port.scale)?;
                    if in_clear {
                        return Ok(AnyCiphertext::Clear(plaintext));
                    }
                    encrypt(&Zeroizing::new(plaintext))
                };
                let ciphertexts = run?.iter().map(encrypt_slots).collect::<Result<_, _>>()?;
                encrypted.push(ciphertexts);
            }
            ports.push(PortCiphertexts {
                name: port.name.clone(),
                runs: encrypted,
            });
        }
        Ok(CiphertextSet {
            plan_id: self.plan.plan_id,
            key_id,
            samples: checked.samples,
            ports,
        })
    }
}

/// The owner of the data and of the secret key.
pub struct Client {
    encryptor: Encryptor,
    secret: SecretKey,
    /// The secret key as a ring element at the highest level, with special limbs.
    element: SecretPoly,
}

impl Client {
    /// A client with a fresh secret key.
    ///
    /// # Errors
    /// [`ClientError::Parameters`] for parameters that the security table refuses, [`ClientError::Plan`] for a plan that contradicts
    /// itself, [`ClientError::Randomness`] where the operating system gives none.
    pub fn new(plan: ClientPlan) -> Result<Self, ClientError> {
        let params = Parameters::new(&plan.params)?;
        let secret = SecretKey::generate(&plan)?;
        Self::with_parameters(plan, params, secret)
    }

    /// A client with a secret key that was made before.
    ///
    /// # Errors
    /// As for [`Client::new`], and [`ClientError::Container`] or [`ClientError::Malformed`] for the key of another plan or
    /// of other parameters.
    pub fn with_secret_key(plan: ClientPlan, secret: SecretKey) -> Result<Self, ClientError> {
        let params = Parameters::new(&plan.params)?;
        Self::with_parameters(plan, params, secret)
    }

    /// A client whose parameters need not be secure, for tests of small rings.
    ///
    /// # Errors
    /// As for [`Client::new`], security left out.
    #[cfg(any(test, feature = "insecure-test-parameters"))]
    pub fn insecure_for_tests(plan: ClientPlan) -> Result<Self, ClientError> {
        let params = Parameters::insecure_for_tests(&plan.params)?;
        let secret = SecretKey::generate(&plan)?;
        Self::with_parameters(plan, params, secret)
    }

    pub(crate) fn with_parameters(
        plan: ClientPlan,
        params: Parameters,
        secret: SecretKey,
    ) -> Result<Self, ClientError> {
        if secret.plan_id() != plan.plan_id {
            let (found, expected) = (secret.plan_id(), plan.plan_id);
            return Err(ContainerError::OtherPlan { found, expected }.into());
        }
        let element = secret.element(&params, params.max_level(), true)?;
        Ok(Self {
            encryptor: Encryptor::new(plan, params)?,
            secret,
            element,
        })
    }

    /// Lets an input that the plan declares clear be sent without encryption. Whoever made the plan declared it; that the data's
    /// owner agrees is said here.
    pub fn allow_clear(&mut self, input: &str) {
        self.encryptor.allow_clear(input);
    }

    /// The plan.
    pub fn plan(&self) -> &ClientPlan {
        &self.encryptor.plan
    }

    /// The plan's parameters, frozen.
    pub fn params(&self) -> &Parameters {
        &self.encryptor.params
    }

    /// The secret key, to store it.
    pub fn secret_key(&self) -> &SecretKey {
        &self.secret
    }

    /// The evaluation keys that the plan asks for, in the form in which they are sent to the server. Each call makes new ones.
    ///
    /// # Errors
    /// [`ClientError::Randomness`] where the operating system gives none.
    pub fn evaluation_key(&self) -> Result<SeededEvaluationKeys, ClientError> {
        let Encryptor { plan, params, .. } = &self.encryptor;
        evaluation_keys(params, &plan.keys, &self.element, self.secret.key_id())
    }

    /// A public key, with which others can encrypt for this client. Each call makes a new one.
    ///
    /// # Errors
    /// [`ClientError::Randomness`] where the operating system gives none.
    pub fn public_key(&self) -> Result<PublicKey, ClientError> {
        let Encryptor { plan, params, .. } = &self.encryptor;
        PublicKey::generate(params, plan.plan_id, self.secret.key_id(), &self.element)
    }

    /// Encrypts samples under the secret key: half the size and less noise than under the public one.
    ///
    /// The tensors are named as the model's inputs. Where the model's first dimension counts samples, axis 0 of each tensor does; otherwise a
    /// tensor has the model's shape, or that shape with one more leading axis of samples.
    ///
    /// # Errors
    /// A name, shape or number of samples that does not fit; a value that is not finite or outside the input's range.
    pub fn encrypt(&self, inputs: &Tensors) -> Result<CiphertextSet, ClientError> {
        let params = &self.encryptor.params;
        let mut rng = SecretRng::from_os()?;
        self.encryptor
            .encrypt(inputs, self.secret.key_id(), |plaintext| {
                let seed = fresh_seed()?;
                let level = plaintext.level();
                let uniform = SeededCiphertext::uniform_part(params, &seed, level);
                let secret = self.element.restricted(params, level, false);
                let mut c0 = masked_zero(params, &mut rng, &secret, &uniform)?;
                c0.add_assign(plaintext.poly(), params)?;
                let scale = plaintext.scale().clone();
                Ok(AnyCiphertext::Seeded(SeededCiphertext::new(
                    c0, seed, scale,
                )?))
            })
    }

    /// Decrypts the outputs of a run and computes the model's from them ([`crate::finish`]); axis 0 counts samples as
    /// in [`Client::encrypt`].
    ///
    /// The values carry the noise of their ciphertexts, which depends on the secret key: see [`crate::share`] before handing them on.
    ///
    /// # Errors
    /// As for [`Client::decrypt_exact`], and [`ClientError::Tail`].
    pub fn decrypt(&self, outputs: &CiphertextSet) -> Result<Tensors, ClientError> {
        crate::finish(self.plan(), &self.decrypt_exact(outputs)?)
    }

    /// Decrypts the outputs of a run as they were encrypted, without the plan's tail: what is to be rounded for
    /// sharing is rounded here, before [`crate::finish`].
    ///
    /// # Errors
    /// [`ClientError::Container`] for ciphertexts of another plan or key, [`ClientError::Outputs`] for such that are not the plan's outputs.
    pub fn decrypt_exact(&self, outputs: &CiphertextSet) -> Result<Tensors, ClientError> {
        self.decrypt_ports(&self.encryptor.plan.outputs, outputs)
    }

    /// Decrypts what [`Client::encrypt`] made, to check it.
    ///
    /// # Errors
    /// As for [`Client::decrypt`].
    pub fn decrypt_inputs(&self, inputs: &CiphertextSet) -> Result<Tensors, ClientError> {
        self.decrypt_ports(&self.encryptor.plan.inputs, inputs)
    }

    fn decrypt_ports(
        &self,
        ports: &[PlanPort],
        set: &CiphertextSet,
    ) -> Result<Tensors, ClientError> {
        let plan_id = self.encryptor.plan.plan_id;
        if set.plan_id != plan_id {
            return Err(ContainerError::OtherPlan {
                found: set.plan_id,
                expected: plan_id,
            }
            .into());
        }
        let key_id = self.secret.key_id();
        if set.key_id != key_id {
            return Err(ContainerError::OtherKey {
                found: set.key_id,
                expected: key_id,
            }
            .into());
        }
        if set.ports.len() != ports.len() {
            let (found, expected) = (set.ports.len(), ports.len());
            return Err(ClientError::Outputs(format!(
                "{found} tensors instead of {expected}"
            )));
        }
        let mut tensors = Tensors::new();
        for port in ports {
            let missing = || ClientError::Outputs(format!("\"{}\" is missing", port.name));
            let found = set
                .ports
                .iter()
                .find(|p| p.name == port.name)
                .ok_or_else(missing)?;
            tensors.insert(
                port.name.clone(),
                self.decrypt_port(port, found, set.samples)?,
            );
        }
        Ok(tensors)
    }

    fn decrypt_port(
        &self,
        port: &PlanPort,
        found: &PortCiphertexts,
        samples: usize,
    ) -> Result<Tensor, ClientError> {
        let misfit = |reason: String| ClientError::Outputs(format!("\"{}\": {reason}", port.name));
        let (runs, needed) = (
            found.runs.len(),
            samples.div_ceil(port.layout.samples.max(1)),
        );
        if samples == 0 || runs != needed {
            return Err(misfit(format!("{runs} runs for {samples} samples")));
        }
        let mut values = Vec::with_capacity(runs);
        for run in &found.runs {
            if run.len() != port.layout.ciphertexts {
                let (found, expected) = (run.len(), port.layout.ciphertexts);
                return Err(misfit(format!("{found} ciphertexts instead of {expected}")));
            }
            let mut slots = Zeroizing::new(Vec::with_capacity(run.len()));
            for ciphertext in run {
                if ciphertext.level() != port.level || *ciphertext.scale() != port.scale {
                    return Err(misfit("a ciphertext has another level or scale".into()));
                }
                let plaintext = self.decrypt_one(&ciphertext.expand(self.params()))?;
                slots.push(
                    self.encryptor
                        .encoder
                        .decode_mean(&plaintext, port.layout.period * port.layout.samples)?,
                );
            }
            let unpacked = port.layout.unpack_all(&slots);
            values.push(unpacked.ok_or_else(|| misfit("the layout does not fit".into()))?);
        }
        stack(&port.name, &port.shape, port.batched, samples, values)
    }

    /// `c0 + c1 s`, wiped when dropped: together with the ciphertext it gives the secret key away.
    pub(crate) fn decrypt_one(
        &self,
        ciphertext: &Ciphertext,
    ) -> Result<Zeroizing<Plaintext>, ClientError> {
        let params = self.params();
        let secret = self.element.restricted(params, ciphertext.level(), false);
        // A ciphertext's halves are alike, so that nothing below is refused once the secret has gone in.
        let mut message = ciphertext.c1().clone();
        message.mul_assign(&secret, params)?;
        message.add_assign(ciphertext.c0(), params)?;
        let plaintext = Plaintext::new(message, ciphertext.scale().clone())?;
        Ok(Zeroizing::new(plaintext))
    }
}
