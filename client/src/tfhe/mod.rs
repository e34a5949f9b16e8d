//! The TFHE backend's client: exact integers under LWE encryption.

mod secret;
mod seeder;
#[cfg(test)]
mod tests;

pub use secret::TfheSecretKey;

use crate::ClientError;
use crate::finish::finish_ports;
use crate::inputs::{CheckedInputs, stack};
use ::tfhe::core_crypto::prelude::*;
use cipherloom_ir::container::{ContainerError, KeyId, PlanId};
use cipherloom_ir::integer::{
    IntegerClientPlan, IntegerPort, TfheSet, dequantise, quantise, verify_client,
};
use cipherloom_ir::value::Tensors;
use cipherloom_lwe::{LweCiphertexts, LweSet, LweVector, ServerKeys};
use seeder::OsSeeder;
use zeroize::Zeroizing;

/// The owner of the data and of the secret key, for a plan of the TFHE backend.
pub struct TfheClient {
    plan: IntegerClientPlan,
    secret: TfheSecretKey,
}

fn native() -> CiphertextModulus<u64> {
    CiphertextModulus::new_native()
}

impl TfheClient {
    /// A client with a fresh secret key.
    ///
    /// # Errors
    /// [`ClientError::Plan`] for a plan that contradicts itself, [`ClientError::Randomness`] where the operating system
    /// gives none.
    pub fn new(plan: IntegerClientPlan) -> Result<Self, ClientError> {
        let secret = TfheSecretKey::generate(&plan)?;
        Self::with_secret_key(plan, secret)
    }

    /// A client with a secret key that was made before.
    ///
    /// # Errors
    /// As for [`TfheClient::new`], and [`ClientError::Container`] for the key of another plan.
    pub fn with_secret_key(
        plan: IntegerClientPlan,
        secret: TfheSecretKey,
    ) -> Result<Self, ClientError> {
        if let Some(fault) = verify_client(&plan).first() {
            return Err(ClientError::Plan(fault.to_string()));
        }
        expect_plan(secret.plan_id(), plan.plan_id)?;
        Ok(Self { plan, secret })
    }

    /// The plan.
    pub fn plan(&self) -> &IntegerClientPlan {
        &self.plan
    }

    /// The secret key, to store it.
    pub fn secret_key(&self) -> &TfheSecretKey {
        &self.secret
    }

    /// The bootstrapping and keyswitching keys in the form in which they are sent to the server. Each call makes new ones,
    /// on all threads of the current pool.
    ///
    /// # Errors
    /// [`ClientError::Randomness`] where the operating system gives none.
    pub fn server_keys(&self) -> Result<ServerKeys, ClientError> {
        let set = &self.plan.params;
        let (big, small) = (self.secret.big_words(), self.secret.small_words());
        let small = LweSecretKey::from_container(&small[..]);
        let glwe = GlweSecretKey::from_container(&big[..], PolynomialSize(set.polynomial_size()));
        let (mut seeder, seeds) = (OsSeeder::new(), [seeder::fresh()?, seeder::fresh()?]);
        let mut bootstrap = SeededLweBootstrapKey::new(
            0_u64,
            GlweDimension(set.glwe_dimension as usize).to_glwe_size(),
            PolynomialSize(set.polynomial_size()),
            DecompositionBaseLog(set.pbs_base_log as usize),
            DecompositionLevelCount(set.pbs_level as usize),
            LweDimension(set.lwe_dimension as usize),
            seeder::seed(seeds[0]).into(),
            native(),
        );
        par_generate_seeded_lwe_bootstrap_key(
            &small,
            &glwe,
            &mut bootstrap,
            DynamicDistribution::<u64>::new_t_uniform(set.glwe_noise),
            &mut seeder,
        );
        let mut keyswitch = SeededLweKeyswitchKey::new(
            0_u64,
            DecompositionBaseLog(set.ks_base_log as usize),
            DecompositionLevelCount(set.ks_level as usize),
            LweDimension(set.big_dimension()),
            LweDimension(set.lwe_dimension as usize),
            seeder::seed(seeds[1]).into(),
            native(),
        );
        generate_seeded_lwe_keyswitch_key(
            &glwe.as_lwe_secret_key(),
            &small,
            &mut keyswitch,
            DynamicDistribution::<u64>::new_t_uniform(set.lwe_noise),
            &mut seeder,
        );
        seeder.finish()?;
        Ok(ServerKeys {
            key_id: self.secret.key_id(),
            bootstrap_seed: seeds[0],
            bootstrap: bootstrap.into_container(),
            keyswitch_seed: seeds[1],
            keyswitch: keyswitch.into_container(),
        })
    }

    /// Quantises and encrypts samples. Names, shapes and ranges are those of [`crate::Client::encrypt`].
    ///
    /// # Errors
    /// As for [`crate::Client::encrypt`].
    pub fn encrypt(&self, inputs: &Tensors) -> Result<LweSet, ClientError> {
        let checked = CheckedInputs::new(&self.plan.inputs, inputs)?;
        let mut ports = Vec::with_capacity(checked.ports.len());
        for (port, tensor) in &checked.ports {
            let samples = tensor.data().chunks(port.elements().max(1));
            let vectors =
                samples.map(|sample| self.encrypt_integers(port, &quantise(port, sample)));
            ports.push(LweCiphertexts {
                name: port.name.clone(),
                samples: vectors.collect::<Result<_, _>>()?,
            });
        }
        Ok(LweSet {
            plan_id: self.plan.plan_id,
            key_id: self.secret.key_id(),
            samples: checked.samples,
            ports,
        })
    }

    fn encrypt_integers(
        &self,
        port: &IntegerPort,
        integers: &[i64],
    ) -> Result<LweVector, ClientError> {
        let set = &self.plan.params;
        let phases: Zeroizing<Vec<u64>> = Zeroizing::new(
            integers
                .iter()
                .map(|m| (*m as u64) << port.log_delta)
                .collect(),
        );
        let (mut seeder, seed) = (OsSeeder::new(), seeder::fresh()?);
        let mut list = SeededLweCiphertextList::new(
            0_u64,
            LweDimension(set.big_dimension()).to_lwe_size(),
            LweCiphertextCount(phases.len()),
            seeder::seed(seed).into(),
            native(),
        );
        let key = self.secret.big_words();
        encrypt_seeded_lwe_ciphertext_list(
            &LweSecretKey::from_container(&key[..]),
            &mut list,
            &PlaintextList::from_container(&phases[..]),
            DynamicDistribution::<u64>::new_t_uniform(set.glwe_noise),
            &mut seeder,
        );
        seeder.finish()?;
        Ok(LweVector::Seeded {
            seed,
            bodies: list.into_container(),
        })
    }

    /// Decrypts the outputs of a run and computes the model's from them; axis 0 counts samples as in
    /// [`crate::Client::encrypt`]. Integers are exact but for the plan's failure probability, so that they carry no noise.
    ///
    /// # Errors
    /// As for [`TfheClient::decrypt_exact`], and [`ClientError::Tail`].
    pub fn decrypt(&self, outputs: &LweSet) -> Result<Tensors, ClientError> {
        self.finish(&self.decrypt_exact(outputs)?)
    }

    /// The model's outputs from the decrypted ones.
    ///
    /// # Errors
    /// As [`crate::finish`].
    pub fn finish(&self, outputs: &Tensors) -> Result<Tensors, ClientError> {
        let plan = &self.plan;
        finish_ports(&plan.outputs, plan.tail.as_ref(), plan.results(), outputs)
    }

    /// Decrypts the outputs of a run as they were encrypted, without the plan's tail.
    ///
    /// # Errors
    /// [`ClientError::Container`] for ciphertexts of another plan or key, [`ClientError::Outputs`] for such that are not
    /// the plan's outputs.
    pub fn decrypt_exact(&self, outputs: &LweSet) -> Result<Tensors, ClientError> {
        let mut tensors = Tensors::new();
        for (port, integers) in self
            .plan
            .outputs
            .iter()
            .zip(self.decrypt_integers(outputs)?)
        {
            let runs = integers
                .iter()
                .map(|sample| dequantise(port, sample))
                .collect();
            let tensor = stack(&port.name, &port.shape, port.batched, outputs.samples, runs)?;
            tensors.insert(port.name.clone(), tensor);
        }
        Ok(tensors)
    }

    /// The integers of the plan's outputs: for each port, for each sample, its elements.
    ///
    /// # Errors
    /// As for [`TfheClient::decrypt_exact`].
    pub fn decrypt_integers(&self, outputs: &LweSet) -> Result<Vec<Vec<Vec<i64>>>, ClientError> {
        let decode = |phase: u64, port: &IntegerPort| {
            let half = (1_u64 << port.log_delta) >> 1;
            (phase.wrapping_add(half) as i64) >> port.log_delta
        };
        let decoded = |port: &IntegerPort| {
            let phases = self.decrypt_phases(port, outputs)?;
            let sample = |s: &Zeroizing<Vec<u64>>| s.iter().map(|p| decode(*p, port)).collect();
            Ok(phases.iter().map(sample).collect())
        };
        self.plan.outputs.iter().map(decoded).collect()
    }

    /// The phases of an output's ciphertexts, with their noise: together with the ciphertexts they give the secret key away.
    fn decrypt_phases(
        &self,
        port: &IntegerPort,
        outputs: &LweSet,
    ) -> Result<Vec<Zeroizing<Vec<u64>>>, ClientError> {
        let (plan, set) = (&self.plan, &self.plan.params);
        expect_plan(outputs.plan_id, plan.plan_id)?;
        expect_key(outputs.key_id, self.secret.key_id())?;
        let misfit = |reason: &str| ClientError::Outputs(format!("\"{}\": {reason}", port.name));
        let found = outputs.ports.iter().find(|p| p.name == port.name);
        let found = found.ok_or_else(|| misfit("it is missing"))?;
        if outputs.ports.len() != plan.outputs.len() || found.samples.len() != outputs.samples {
            return Err(misfit("there are other tensors, or other samples"));
        }
        let key = self.secret.big_words();
        let phases = |vector: &LweVector| match vector {
            LweVector::Full(words) if vector.elements(set) == Some(port.elements()) => {
                let elements = words.chunks_exact(set.ciphertext_words());
                Ok(Zeroizing::new(elements.map(|c| phase(c, &key)).collect()))
            }
            _ => Err(misfit("its ciphertexts are too few, too many or seeded")),
        };
        found.samples.iter().map(phases).collect()
    }
}

/// The body minus the mask times the key, without a branch on either.
fn phase(ciphertext: &[u64], key: &[u64]) -> u64 {
    let body = ciphertext.last().copied().unwrap_or(0);
    let product = ciphertext.iter().zip(key);
    product.fold(body, |sum, (a, s)| sum.wrapping_sub(a.wrapping_mul(*s)))
}

fn expect_plan(found: PlanId, expected: PlanId) -> Result<(), ClientError> {
    if found == expected {
        return Ok(());
    }
    Err(ContainerError::OtherPlan { found, expected }.into())
}

fn expect_key(found: KeyId, expected: KeyId) -> Result<(), ClientError> {
    if found == expected {
        return Ok(());
    }
    Err(ContainerError::OtherKey { found, expected }.into())
}

/// Words of both keys.
fn key_words(set: &TfheSet) -> usize {
    set.lwe_dimension as usize + set.big_dimension()
}
