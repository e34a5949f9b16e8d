//! The simulator: a plan's steps on clear slot vectors, with noise of the predicted variance.
//!
//! Every step does what its encrypted twin does, on vectors of one period: transforms go through their diagonals and
//! folds, so a fault of packing shows without cryptography. With a seed, each step adds Gaussian noise of the variance
//! that the rules of [`crate::noise`] give for this step alone; the sum over steps is the predicted error. The noise
//! comes from the simulator's own generator, so a seed gives the same figures on every machine.

mod combine;
mod spread;
pub(crate) mod state;
mod transform;
mod weighted;

use super::{Plan, PlanPort, Register, StepOp};
use crate::noise::{NoiseModel, REAL_PART};
use crate::value::{Tensor, Tensors};
use state::{Noise, State};
use thiserror::Error;
use transform::{Prepared, prepare};

/// Why a plan cannot be simulated on the given inputs.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SimulateError {
    /// An input is missing or has another shape.
    #[error("input {0:?} is missing or has another shape")]
    Input(String),
    /// The plan contradicts itself: it did not pass the verifier.
    #[error("the plan is malformed: {0}")]
    Malformed(String),
}

/// Runs one sample; with a seed, Gaussian noise of the predicted variance is injected at every step.
///
/// For many samples make one [`Simulator`].
pub fn simulate(
    plan: &Plan,
    inputs: &Tensors,
    seed: Option<u64>,
) -> Result<Tensors, SimulateError> {
    Simulator::new(plan)?.run(inputs, seed)
}

/// A plan that is prepared for simulation.
#[derive(Debug)]
pub struct Simulator<'p> {
    plan: &'p Plan,
    model: NoiseModel,
    transforms: Vec<Prepared>,
    /// For each matrix of weighted sums, its entries as integers over its scale.
    weights: Vec<Vec<f64>>,
    /// The logarithm of each register's scale and its level.
    known: Vec<Option<(f64, usize)>>,
    /// For each register, in how many slots its errors count apart: all that any later step reads as different slots.
    spread: Vec<usize>,
}

impl<'p> Simulator<'p> {
    /// Prepares a plan.
    pub fn new(plan: &'p Plan) -> Result<Self, SimulateError> {
        let mut known: Vec<Option<(f64, usize)>> = Vec::new();
        let mut note = |registers: &[Register], log: f64, level: usize| {
            for r in registers {
                let index = r.0 as usize;
                // Registers are numbered without gaps by the emitter; a plan from elsewhere may not be.
                if index >= 1 << 24 {
                    return Err(malformed("a register's number is too large"));
                }
                if known.len() <= index {
                    known.resize(index + 1, None);
                }
                known[index] = Some((log, level));
            }
            Ok(())
        };
        for port in &plan.inputs {
            note(&port.registers, port.scale.log2(), port.level)?;
        }
        for step in &plan.steps {
            note(&step.op.results(), step.scale.log2(), step.level)?;
        }
        let transforms = plan
            .transforms
            .iter()
            .map(prepare)
            .collect::<Result<_, _>>()?;
        let spread = spread::find(plan, known.len());
        Ok(Self {
            plan,
            model: NoiseModel::new(&plan.params).of_samples(plan.samples()),
            transforms,
            weights: plan.weights.iter().map(weighted::rounded).collect(),
            known,
            spread,
        })
    }

    /// Runs one sample; with a seed, noise is injected.
    pub fn run(&self, inputs: &Tensors, seed: Option<u64>) -> Result<Tensors, SimulateError> {
        let mut state = State {
            registers: vec![None; self.known.len()],
            noise: seed.map(Noise::new),
        };
        for port in &self.plan.inputs {
            self.input(port, inputs, &mut state)?;
        }
        for step in &self.plan.steps {
            self.step(&step.op, &mut state)?;
            for register in &step.free {
                if let Some(slot) = state.registers.get_mut(register.0 as usize) {
                    *slot = None;
                }
            }
        }
        let mut outputs = Tensors::new();
        for port in &self.plan.outputs {
            let slots = port
                .registers
                .iter()
                .map(|r| state.get(*r).map(|v| cycled(v, port.layout.period)))
                .collect::<Result<Vec<_>, _>>()?;
            let values = port.layout.unpack(&slots);
            let tensor = values.and_then(|v| Tensor::new(port.shape.clone(), v));
            let tensor = tensor.ok_or_else(|| malformed("an output's layout does not fit"))?;
            outputs.insert(port.name.clone(), tensor);
        }
        Ok(outputs)
    }

    fn input(
        &self,
        port: &PlanPort,
        inputs: &Tensors,
        state: &mut State,
    ) -> Result<(), SimulateError> {
        let refused = || SimulateError::Input(port.name.clone());
        let tensor = inputs.get(&port.name).ok_or_else(refused)?;
        let packed = port.layout.pack(tensor.data()).ok_or_else(refused)?;
        let variance = self.model.fresh_secret(port.scale.log2());
        for (register, values) in port.registers.iter().zip(packed) {
            let mut values = self.spread(*register, values);
            let share = self.model.share(values.len());
            state.add_noise(&mut values, REAL_PART * share * variance);
            state.set(*register, values)?;
        }
        Ok(())
    }

    fn facts(&self, register: Register) -> Result<(f64, usize), SimulateError> {
        let known = self.known.get(register.0 as usize).copied().flatten();
        known.ok_or_else(|| malformed("a register is read before it is written"))
    }

    fn vector(&self, index: u32) -> Result<&'p [f64], SimulateError> {
        let vector = self.plan.vectors.get(index as usize);
        let vector = vector.filter(|v| !v.values.is_empty());
        Ok(&vector
            .ok_or_else(|| malformed("a vector is missing"))?
            .values)
    }

    /// The rounding of a rescale to the scale of `dst`, if there is one, before its share in the mean.
    fn rounding(&self, dst: Register, rescale: bool) -> Result<f64, SimulateError> {
        Ok(if rescale {
            self.model.rounding(self.facts(dst)?.0)
        } else {
            0.0
        })
    }

    /// A result over as many slots as have errors of their own.
    fn spread(&self, register: Register, values: Vec<f64>) -> Vec<f64> {
        let length = self.spread.get(register.0 as usize).copied().unwrap_or(1);
        if length >= values.len() {
            return cycled(&values, length);
        }
        // Copies that no later step tells apart meet in the mean.
        let mut mean = vec![0.0; length];
        for copy in values.chunks_exact(length) {
            mean.iter_mut().zip(copy).for_each(|(m, v)| *m += v);
        }
        let copies = (values.len() / length) as f64;
        mean.iter_mut().for_each(|m| *m /= copies);
        mean
    }

    /// Stores a result; `random` is the variance of an error of each slot's own, `repeated` that of one that repeats as
    /// the plaintexts do. Both are those of the complex slot.
    fn finish(
        &self,
        state: &mut State,
        dst: Register,
        values: Vec<f64>,
        random: f64,
        repeated: f64,
    ) -> Result<(), SimulateError> {
        let mut values = self.spread(dst, values);
        let share = self.model.share(values.len());
        state.add_noise(&mut values, REAL_PART * (share * random + repeated));
        state.set(dst, values)
    }

    fn step(&self, op: &StepOp, state: &mut State) -> Result<(), SimulateError> {
        let model = &self.model;
        match op {
            StepOp::LinearTransform {
                transform,
                src,
                dst,
                rescale,
                bias,
            } => {
                let sums = self.transform(*transform, src, dst.len(), state)?;
                for (i, (dst, (mut sum, inner))) in dst.iter().zip(sums).enumerate() {
                    let (log, _) = self.facts(*dst)?;
                    let rounding = self.rounding(*dst, *rescale)?;
                    // The transform's own errors are stated as they are in the mean.
                    let mut stated = inner;
                    if let Some(bias) = bias.get(i) {
                        let vector = self.vector(*bias)?;
                        stated += model.encode_periodic(log, vector.len());
                        sum = zip(&sum, vector, |a, b| a + b);
                    }
                    self.finish(state, *dst, sum, rounding, stated)?;
                }
            }
            StepOp::Mul { dst, a, b, rescale } => {
                let values = zip(state.get(*a)?, state.get(*b)?, |a, b| a * b);
                let ((log_a, level), (log_b, _)) = (self.facts(*a)?, self.facts(*b)?);
                let variance =
                    model.key_noise(level, log_a + log_b) + self.rounding(*dst, *rescale)?;
                self.finish(state, *dst, values, variance, 0.0)?;
            }
            StepOp::Square { dst, a, rescale } => {
                let values = state.get(*a)?.iter().map(|a| a * a).collect();
                let (log, level) = self.facts(*a)?;
                let variance = model.key_noise(level, 2.0 * log) + self.rounding(*dst, *rescale)?;
                self.finish(state, *dst, values, variance, 0.0)?;
            }
            StepOp::Add { dst, a, b } => {
                let values = zip(state.get(*a)?, state.get(*b)?, |a, b| a + b);
                self.finish(state, *dst, values, 0.0, 0.0)?;
            }
            StepOp::Sub { dst, a, b } => {
                let values = zip(state.get(*a)?, state.get(*b)?, |a, b| a - b);
                self.finish(state, *dst, values, 0.0, 0.0)?;
            }
            StepOp::AddVector { dst, a, vector } => {
                let vector = self.vector(*vector)?;
                let values = zip(state.get(*a)?, vector, |a, b| a + b);
                let variance = model.encode_periodic(self.facts(*a)?.0, vector.len());
                self.finish(state, *dst, values, 0.0, variance)?;
            }
            StepOp::MulVector {
                dst,
                a,
                vector,
                plain_scale,
                rescale,
            } => {
                let (a, vector) = (state.get(*a)?, self.vector(*vector)?);
                let values = zip(a, vector, |a, b| a * b);
                let encoding = model.encode_periodic(plain_scale.log2(), vector.len());
                let encoding = mean_square(a) * encoding;
                let rounding = self.rounding(*dst, *rescale)?;
                self.finish(state, *dst, values, rounding, encoding)?;
            }
            StepOp::MulScalar {
                dst,
                a,
                value,
                plain_scale,
                rescale,
            } => {
                let factor = state.encoded(*value, plain_scale);
                let values = state.get(*a)?.iter().map(|a| a * factor).collect();
                let variance = self.rounding(*dst, *rescale)?;
                self.finish(state, *dst, values, variance, 0.0)?;
            }
            StepOp::Fold { dst, a, rotations } => {
                let mut values = state.get(*a)?.to_vec();
                let (log, level) = self.facts(*a)?;
                let length = values.len();
                for rotation in rotations {
                    let rotated = values.iter().cycle().skip(*rotation as usize % length);
                    values = values.iter().zip(rotated).map(|(a, b)| a + b).collect();
                }
                if spread::halves(length, rotations) {
                    values.truncate((length >> rotations.len()).max(1));
                }
                let switches = model.fold_switches(length, rotations.len() as u32);
                let variance = switches * model.key_switch(level, log);
                self.finish(state, *dst, values, 0.0, variance)?;
            }
            StepOp::Combine { .. } => self.combine(op, state)?,
            StepOp::WeightedSums { .. } => self.weighted_sums(op, state)?,
            StepOp::Rescale { dst, a } => {
                let values = state.get(*a)?.to_vec();
                let variance = self.rounding(*dst, true)?;
                self.finish(state, *dst, values, variance, 0.0)?;
            }
            StepOp::Gain { dst, a, factor } => {
                let values = state.get(*a)?.iter().map(|a| a * factor).collect();
                self.finish(state, *dst, values, 0.0, 0.0)?;
            }
            StepOp::DropLevel { dst, a, .. } => {
                let values = state.get(*a)?.to_vec();
                self.finish(state, *dst, values, 0.0, 0.0)?;
            }
        }
        Ok(())
    }
}

fn malformed(message: &str) -> SimulateError {
    SimulateError::Malformed(message.to_owned())
}

/// A periodic vector cut or repeated to a length.
fn cycled(values: &[f64], length: usize) -> Vec<f64> {
    values.iter().copied().cycle().take(length).collect()
}

/// A function of two periodic vectors, over the longer period.
fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let length = a.len().max(b.len());
    a.iter()
        .cycle()
        .zip(b.iter().cycle())
        .take(length)
        .map(|(a, b)| f(*a, *b))
        .collect()
}

fn mean_square(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>() / values.len().max(1) as f64
}
