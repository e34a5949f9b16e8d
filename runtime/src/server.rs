//! The server: a plan, its expanded constants and a client's evaluation keys.

use crate::ServerError;
use crate::awake::while_awake;
use crate::constants::Constants;
use crate::executor::Executor;
use crate::memory;
use crate::register::Held;
use cipherloom_ckks::set::{CiphertextSet, PortCiphertexts};
use cipherloom_ckks::wire::{self, AnyCiphertext};
use cipherloom_ckks::{
    CkksError, EvaluationKeys, Evaluator, KeyName, KeyStore, Parameters, SeededEvaluationKeys,
};
use cipherloom_ir::container::{KeyId, PlanId};
use cipherloom_ir::plan::{self, ClientPlan, KeyRequest, Plan, PlanPort, Residency};
use rayon::prelude::*;
use std::sync::Arc;

/// A verified plan and its id; cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    plan: Arc<Plan>,
    id: PlanId,
}

impl ServerPlan {
    /// Reads and verifies the bytes of `server.plan`.
    ///
    /// # Errors
    /// [`ServerError::Plan`] for a file that is damaged, of another kind or version, or malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ServerError> {
        let (plan, id) = plan::plan_from_bytes(bytes)?;
        Ok(Self {
            plan: Arc::new(plan),
            id,
        })
    }

    /// A plan in memory; its id is computed.
    pub fn new(plan: Plan) -> Self {
        let (_, id) = plan::plan_to_bytes(&plan);
        Self {
            plan: Arc::new(plan),
            id,
        }
    }

    /// The bytes of `server.plan`.
    pub fn to_bytes(&self) -> Vec<u8> {
        plan::plan_to_bytes(&self.plan).0
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its id.
    pub fn id(&self) -> PlanId {
        self.id
    }

    /// What a client needs of it.
    pub fn client_plan(&self) -> ClientPlan {
        self.plan.client_plan(self.id)
    }
}

/// Executes a plan on ciphertexts of one key.
pub struct Server {
    plan: ServerPlan,
    evaluator: Evaluator,
    constants: Constants,
    keys: Box<dyn KeyStore + Send>,
    key_id: KeyId,
}

impl Server {
    /// Checks plan and keys, and expands the constants and keys on all threads of the current pool. Keys that the plan
    /// does not ask for are dropped.
    ///
    /// # Errors
    /// Parameters below the plan's security target, a malformed plan, a missing key, or too little memory.
    pub fn new(plan: ServerPlan, keys: SeededEvaluationKeys) -> Result<Self, ServerError> {
        Self::new_within(plan, keys, None)
    }

    /// [`Self::new`] in at most `max_memory` bytes, as [`Self::within`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn new_within(
        plan: ServerPlan,
        mut keys: SeededEvaluationKeys,
        max_memory: Option<u64>,
    ) -> Result<Self, ServerError> {
        let (params, held) = check_plan(&plan, max_memory)?;
        let request = &plan.plan().keys;
        keys.relinearization
            .take_if(|_| request.relinearization.is_none());
        keys.conjugation.take_if(|_| request.conjugation.is_none());
        keys.rotations
            .retain(|steps, _| request.rotations.iter().any(|spec| spec.steps == *steps));
        let keys = keys.expand(&params);
        Self::with_keys(plan, &params, keys, &held)
    }

    fn with_keys(
        plan: ServerPlan,
        params: &Parameters,
        keys: EvaluationKeys,
        held: &Residency,
    ) -> Result<Self, ServerError> {
        check_keys(&plan.plan().keys, &keys)?;
        Ok(Self {
            constants: Constants::new(plan.plan(), params, held)?,
            plan,
            evaluator: Evaluator::new(params),
            key_id: keys.key_id,
            keys: Box::new(keys),
        })
    }

    /// [`Self::new`] with the bytes of `eval.key`, whose keys are expanded one by one while they are read.
    ///
    /// # Errors
    /// As [`Self::new`], and a key file that is damaged, belongs to another plan, or holds a key for more levels than the
    /// plan asks for.
    pub fn with_key_bytes(plan: ServerPlan, keys: &[u8]) -> Result<Self, ServerError> {
        Self::within(plan, keys, None)
    }

    /// [`Self::with_key_bytes`] in at most `max_memory` bytes, so far as they are there: diagonals of transforms that there
    /// is no room for are expanded at use, which takes longer and gives the same results.
    ///
    /// # Errors
    /// As [`Self::with_key_bytes`].
    pub fn within(
        plan: ServerPlan,
        keys: &[u8],
        max_memory: Option<u64>,
    ) -> Result<Self, ServerError> {
        let (params, held) = check_plan(&plan, max_memory)?;
        let keys = wire::expanded_keys_from_bytes(&params, plan.id(), keys, &plan.plan().keys)?;
        Self::with_keys(plan, &params, keys, &held)
    }

    /// The plan.
    pub fn plan(&self) -> &ServerPlan {
        &self.plan
    }

    /// Reads the bytes of a ciphertext file of this server's plan and key.
    ///
    /// # Errors
    /// A file that is damaged, malformed, or of another plan or key.
    pub fn read(&self, bytes: &[u8]) -> Result<CiphertextSet, ServerError> {
        let set = CiphertextSet::from_bytes(self.evaluator.params(), self.plan.id, bytes)?;
        self.check_owner(&set)?;
        Ok(set)
    }

    /// The bytes of a ciphertext file.
    ///
    /// # Errors
    /// Ciphertexts that are not alike; those that [`Self::run`] returns always are.
    pub fn write(&self, set: &CiphertextSet) -> Result<Vec<u8>, ServerError> {
        Ok(set.to_bytes(self.evaluator.params())?)
    }

    /// Executes the plan on all samples.
    ///
    /// # Errors
    /// Ciphertexts of another plan or key, or that do not fit the plan's inputs.
    pub fn run(&self, inputs: &CiphertextSet) -> Result<CiphertextSet, ServerError> {
        self.run_with(inputs, &mut |_, _| ())
    }

    /// [`Self::run`]; `progress` is told how many steps are done, out of how many. It is executed by a thread of the current
    /// pool, as is what waits for each step: a thread outside would sleep and be woken at every one of them.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with(
        &self,
        inputs: &CiphertextSet,
        progress: &mut (dyn FnMut(usize, usize) + Send),
    ) -> Result<CiphertextSet, ServerError> {
        rayon::scope(|_| self.run_within_pool(inputs, progress))
    }

    fn run_within_pool(
        &self,
        inputs: &CiphertextSet,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<CiphertextSet, ServerError> {
        self.check_owner(inputs)?;
        let plan = self.plan.plan();
        let (runs, steps) = (inputs.runs(), plan.steps.len());
        let executor = Executor {
            plan,
            evaluator: &self.evaluator,
            constants: &self.constants,
            keys: &*self.keys,
        };
        let mut ports: Vec<PortCiphertexts> = plan
            .outputs
            .iter()
            .map(|port| PortCiphertexts {
                name: port.name.clone(),
                runs: Vec::with_capacity(runs),
            })
            .collect();
        // Every run is checked before the first one is executed.
        let matched = self.match_inputs(inputs)?;
        for run in 0..runs {
            let operands = matched
                .iter()
                .map(|(port, given)| {
                    self.operands(port, given.runs.get(run).map_or(&[], Vec::as_slice))
                })
                .collect::<Result<Vec<_>, _>>()?;
            let results = while_awake(|| {
                executor.run(operands, &mut |done| {
                    progress(run * steps + done, runs * steps)
                })
            })?;
            for (port, result) in ports.iter_mut().zip(results) {
                port.runs
                    .push(result.into_iter().map(AnyCiphertext::Full).collect());
            }
        }
        Ok(CiphertextSet {
            plan_id: self.plan.id,
            key_id: self.key_id,
            samples: inputs.samples,
            ports,
        })
    }

    fn check_owner(&self, set: &CiphertextSet) -> Result<(), ServerError> {
        ServerError::expect_owner((set.plan_id, set.key_id), (self.plan.id, self.key_id))
    }

    /// The ciphertexts of each of the plan's inputs, by name, once all of them are seen to fit.
    fn match_inputs<'a>(
        &'a self,
        set: &'a CiphertextSet,
    ) -> Result<Vec<(&'a PlanPort, &'a PortCiphertexts)>, ServerError> {
        let ports = &self.plan.plan().inputs;
        if let Some(extra) = set
            .ports
            .iter()
            .find(|given| ports.iter().all(|p| p.name != given.name))
        {
            return Err(ServerError::input(
                &extra.name,
                "the plan has no such input",
            ));
        }
        let mut matched = Vec::with_capacity(ports.len());
        for port in ports {
            let given = set.ports.iter().find(|given| given.name == port.name);
            let given = given
                .ok_or_else(|| ServerError::input(&port.name, "there are no ciphertexts of it"))?;
            if given.runs.len() != set.runs() {
                return Err(ServerError::input(
                    &port.name,
                    "inputs hold different numbers of runs",
                ));
            }
            for ciphertexts in &given.runs {
                check_operands(port, ciphertexts)?;
            }
            matched.push((port, given));
        }
        Ok(matched)
    }

    fn operands(&self, port: &PlanPort, given: &[AnyCiphertext]) -> Result<Vec<Held>, ServerError> {
        check_operands(port, given)?;
        let (params, compact) = (
            self.evaluator.params(),
            !self.plan.plan().weights.is_empty(),
        );
        let held = given
            .par_iter()
            .map(|c| Held::input(params, c, compact))
            .collect::<Result<_, CkksError>>()?;
        Ok(held)
    }
}

/// The ciphertexts of one run must be as many as the plan says, of its level and scale, and encrypted or not as it says.
fn check_operands(port: &PlanPort, given: &[AnyCiphertext]) -> Result<(), ServerError> {
    if given.len() != port.registers.len() {
        let reason = format!(
            "{} ciphertexts instead of {}",
            given.len(),
            port.registers.len()
        );
        return Err(ServerError::input(&port.name, reason));
    }
    for ciphertext in given {
        if ciphertext.is_clear() != port.clear {
            let reason = match port.clear {
                true => "it is declared clear, and what is given is encrypted",
                false => "it is not encrypted",
            };
            return Err(ServerError::input(&port.name, reason));
        }
        if ciphertext.level() != port.level {
            let reason = format!("level {} instead of {}", ciphertext.level(), port.level);
            return Err(ServerError::input(&port.name, reason));
        }
        if *ciphertext.scale() != port.scale {
            let (found, expected) = (ciphertext.scale().log2(), port.scale.log2());
            return Err(ServerError::input(
                &port.name,
                format!("scale 2^{found:.6} instead of 2^{expected:.6}"),
            ));
        }
    }
    Ok(())
}

/// The plan's parameters, frozen, and what is held of its transforms, where there is memory enough to execute it.
fn check_plan(
    plan: &ServerPlan,
    max_memory: Option<u64>,
) -> Result<(Parameters, Residency), ServerError> {
    let params = Parameters::new(&plan.plan().params)?;
    let available = [memory::available(), max_memory];
    let available = available.into_iter().flatten().min();
    let held = memory::residency(plan.plan(), max_memory);
    match available {
        Some(available) if held.bytes > available => Err(ServerError::Memory {
            needed: held.bytes,
            available,
        }),
        _ => Ok((params, held)),
    }
}

/// Every key that the plan asks for must be there, up to the level at which it is used.
fn check_keys(request: &KeyRequest, keys: &EvaluationKeys) -> Result<(), ServerError> {
    let rotations = request
        .rotations
        .iter()
        .map(|spec| (KeyName::Rotation(spec.steps), spec.level));
    let single = [
        (KeyName::Relinearization, request.relinearization),
        (KeyName::Conjugation, request.conjugation),
    ];
    let single = single
        .into_iter()
        .filter_map(|(name, level)| Some((name, level?)));
    for (name, level) in single.chain(rotations) {
        if keys.level(name).is_none_or(|found| found < level as usize) {
            return Err(ServerError::MissingKey { name, level });
        }
    }
    Ok(())
}
