//! The TFHE backend's server: executes integer plans on LWE ciphertexts.
//!
//! Bootstraps use floating-point FFTs, so that the noise in the last bits of ciphertexts may differ between machines; the
//! integers that they decrypt to do not, but for the plan's failure probability. On one machine the same ciphertexts and keys give
//! the same result, whatever the number of threads.

mod executor;
mod keyswitch;
mod linear;
mod lookup;
mod rotation;

use crate::{ServerError, memory};
use cipherloom_ir::container::{KeyId, PlanId};
use cipherloom_ir::integer::{
    IntegerClientPlan, IntegerPlan, IntegerPort, TfheSet, estimates, integer_plan_from_bytes,
    integer_plan_to_bytes, live_bytes,
};
use cipherloom_lwe::{LweCiphertexts, LweSet, LweVector, ServerKeys};
use executor::Executor;
use lookup::Bootstrapper;
use std::sync::Arc;

/// Samples are executed together as long as their registers take no more than this.
const GROUP_BYTES: u64 = 1 << 29;

/// A verified plan of the TFHE backend and its id; cheap to clone.
#[derive(Clone, Debug)]
pub struct TfheServerPlan {
    plan: Arc<IntegerPlan>,
    id: PlanId,
}

impl TfheServerPlan {
    /// Reads and verifies the bytes of `server.plan`.
    ///
    /// # Errors
    /// [`ServerError::Plan`] for a file that is damaged, of another kind or version, or malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ServerError> {
        let (plan, id) = integer_plan_from_bytes(bytes)?;
        Ok(Self {
            plan: Arc::new(plan),
            id,
        })
    }

    /// A plan in memory; its id is computed.
    pub fn new(plan: IntegerPlan) -> Self {
        let id = plan.id();
        Self {
            plan: Arc::new(plan),
            id,
        }
    }

    /// The bytes of `server.plan`.
    pub fn to_bytes(&self) -> Vec<u8> {
        integer_plan_to_bytes(&self.plan).0
    }

    /// The plan.
    pub fn plan(&self) -> &IntegerPlan {
        &self.plan
    }

    /// Its id.
    pub fn id(&self) -> PlanId {
        self.id
    }

    /// What a client needs of it.
    pub fn client_plan(&self) -> IntegerClientPlan {
        self.plan.client_plan(self.id)
    }
}

/// Executes a plan of the TFHE backend on ciphertexts of one key.
pub struct TfheServer {
    plan: TfheServerPlan,
    bootstrapper: Bootstrapper,
    key_id: KeyId,
}

impl TfheServer {
    /// Expands the keys, on all threads of the current pool.
    ///
    /// # Errors
    /// Keys of another parameter set, or too little memory.
    pub fn new(plan: TfheServerPlan, keys: ServerKeys) -> Result<Self, ServerError> {
        Self::new_within(plan, keys, None)
    }

    /// [`Self::new`] with the bytes of `eval.key`, in at most `max_memory` bytes.
    ///
    /// # Errors
    /// As [`Self::new`], and a key file that is damaged or belongs to another plan.
    pub fn within(
        plan: TfheServerPlan,
        keys: &[u8],
        max_memory: Option<u64>,
    ) -> Result<Self, ServerError> {
        let keys = ServerKeys::from_bytes(&plan.plan.params, plan.id, keys)?;
        Self::new_within(plan, keys, max_memory)
    }

    /// [`Self::new`] in at most `max_memory` bytes.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn new_within(
        plan: TfheServerPlan,
        keys: ServerKeys,
        max_memory: Option<u64>,
    ) -> Result<Self, ServerError> {
        keys.check(&plan.plan.params)?;
        let needed = estimates(&plan.plan).run_bytes;
        let available = [memory::available(), max_memory];
        if let Some(available) = available.into_iter().flatten().min()
            && needed > available
        {
            return Err(ServerError::Memory { needed, available });
        }
        let key_id = keys.key_id;
        Ok(Self {
            bootstrapper: Bootstrapper::new(&plan.plan, keys),
            plan,
            key_id,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &TfheServerPlan {
        &self.plan
    }

    /// Reads the bytes of a ciphertext file of this server's plan and key.
    ///
    /// # Errors
    /// A file that is damaged, malformed, or of another plan or key.
    pub fn read(&self, bytes: &[u8]) -> Result<LweSet, ServerError> {
        let set = LweSet::from_bytes(&self.plan.plan.params, self.plan.id, bytes)?;
        self.check_owner(&set)?;
        Ok(set)
    }

    /// The bytes of a ciphertext file.
    ///
    /// # Errors
    /// Ciphertexts that are not alike; those that [`Self::run`] returns always are.
    pub fn write(&self, set: &LweSet) -> Result<Vec<u8>, ServerError> {
        Ok(set.to_bytes(&self.plan.plan.params)?)
    }

    /// Executes the plan on all samples.
    ///
    /// # Errors
    /// Ciphertexts of another plan or key, or that do not fit the plan's inputs.
    pub fn run(&self, inputs: &LweSet) -> Result<LweSet, ServerError> {
        self.run_with(inputs, &mut |_, _| ())
    }

    /// [`Self::run`]; `progress` is told how many bootstraps are done, out of how many.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with(
        &self,
        inputs: &LweSet,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<LweSet, ServerError> {
        self.check_owner(inputs)?;
        let plan = self.plan.plan();
        let matched = self.match_inputs(inputs)?;
        let total = (plan.bootstraps() as usize).saturating_mul(inputs.samples);
        let group = (GROUP_BYTES / live_bytes(plan).max(1)).clamp(1, 64) as usize;
        let mut ports: Vec<LweCiphertexts> = plan
            .outputs
            .iter()
            .map(|port| LweCiphertexts {
                name: port.name.clone(),
                samples: Vec::with_capacity(inputs.samples),
            })
            .collect();
        let mut done = 0;
        for first in (0..inputs.samples).step_by(group) {
            let samples = first..inputs.samples.min(first + group);
            let executor = Executor {
                plan,
                bootstrapper: &self.bootstrapper,
                samples: samples.len(),
            };
            let operands = matched
                .iter()
                .map(|given| expand(&plan.params, given.get(samples.clone()).unwrap_or_default()))
                .collect();
            let results = executor.run(operands, &mut |bootstraps| {
                done += bootstraps;
                progress(done, total);
            })?;
            for (port, result) in ports.iter_mut().zip(results) {
                let length = (result.len() / samples.len()).max(1);
                port.samples.extend(
                    result
                        .chunks(length)
                        .map(|words| LweVector::Full(words.to_vec())),
                );
            }
        }
        Ok(LweSet {
            plan_id: self.plan.id,
            key_id: self.key_id,
            samples: inputs.samples,
            ports,
        })
    }

    fn check_owner(&self, set: &LweSet) -> Result<(), ServerError> {
        ServerError::expect_owner((set.plan_id, set.key_id), (self.plan.id, self.key_id))
    }

    /// The vectors of each of the plan's inputs, once all of them are seen to fit.
    fn match_inputs<'a>(&self, set: &'a LweSet) -> Result<Vec<&'a [LweVector]>, ServerError> {
        let ports = &self.plan.plan.inputs;
        let known = |name: &str| ports.iter().any(|p| p.name == name);
        if let Some(extra) = set.ports.iter().find(|given| !known(&given.name)) {
            return Err(ServerError::input(
                &extra.name,
                "the plan has no such input",
            ));
        }
        let matched = |port: &IntegerPort| {
            let given = set.ports.iter().find(|given| given.name == port.name);
            let given = given
                .ok_or_else(|| ServerError::input(&port.name, "there are no ciphertexts of it"))?;
            let fits = |v: &LweVector| v.elements(&self.plan.plan.params) == Some(port.elements());
            if given.samples.len() != set.samples || !given.samples.iter().all(fits) {
                let reason = format!("not every sample has {} ciphertexts", port.elements());
                return Err(ServerError::input(&port.name, reason));
            }
            Ok(given.samples.as_slice())
        };
        ports.iter().map(matched).collect()
    }
}

/// The words of several samples' ciphertexts, one after the other.
fn expand(set: &TfheSet, vectors: &[LweVector]) -> Vec<u64> {
    let mut words = Vec::new();
    for vector in vectors {
        match vector {
            LweVector::Full(full) => words.extend_from_slice(full),
            LweVector::Seeded { seed, bodies } => {
                words.extend(lookup::expand_seeded(set, *seed, bodies.clone()));
            }
        }
    }
    words
}
