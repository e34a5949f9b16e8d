//! The integer simulator: a plan's steps on clear phases, exactly as the runtime computes them under encryption.
//!
//! Without a seed, results are the exact ones. With a seed, every input and every bootstrap's output carries normal noise of
//! the predicted variance, and so does every index: what keyswitch and modulus switch add. The noise comes from the
//! simulator's own generator, so a seed gives the same figures on every machine.

use super::analyse::index;
use super::{IntegerPlan, IntegerPort, Step, StepOp, noise};
use crate::plan::simulate::state::Noise;
use crate::plan::{Register, SimulateError};
use crate::value::{Tensor, Tensors};
use std::collections::BTreeMap;

/// The integers of real numbers, element by element; halves are rounded to even, what lies outside is clamped.
pub fn quantise(port: &IntegerPort, values: &[f64]) -> Vec<i64> {
    let q = &port.quantisation;
    let one = |(i, x): (usize, &f64)| {
        let (scale, zero) = q.at(i);
        // A conversion saturates.
        let rounded = (x / scale).round_ties_even() as i64;
        rounded.saturating_add(zero).clamp(q.lo, q.hi)
    };
    values.iter().enumerate().map(one).collect()
}

/// The real numbers that integers stand for, element by element.
pub fn dequantise(port: &IntegerPort, integers: &[i64]) -> Vec<f64> {
    let one = |(i, m): (usize, &i64)| {
        let (scale, zero) = port.quantisation.at(i);
        (i128::from(*m) - i128::from(zero)) as f64 * scale
    };
    integers.iter().enumerate().map(one).collect()
}

/// A plan to be simulated.
#[derive(Debug)]
pub struct IntegerSimulator<'p> {
    plan: &'p IntegerPlan,
}

impl<'p> IntegerSimulator<'p> {
    /// A simulator of a verified plan.
    pub fn new(plan: &'p IntegerPlan) -> Self {
        Self { plan }
    }

    /// Runs one sample of real numbers.
    ///
    /// # Errors
    /// An input that is missing or has another number of elements; a plan that did not pass the verifier.
    pub fn run(&self, inputs: &Tensors, seed: Option<u64>) -> Result<Tensors, SimulateError> {
        let mut integers = Vec::with_capacity(self.plan.inputs.len());
        for port in &self.plan.inputs {
            let tensor = inputs
                .get(&port.name)
                .filter(|t| t.len() == port.elements());
            let tensor = tensor.ok_or_else(|| SimulateError::Input(port.name.clone()))?;
            integers.push(quantise(port, tensor.data()));
        }
        let outputs = self.run_integers(&integers, seed)?;
        let mut tensors = Tensors::new();
        for (port, integers) in self.plan.outputs.iter().zip(outputs) {
            let tensor = Tensor::new(port.shape.clone(), dequantise(port, &integers));
            let tensor = tensor.ok_or_else(|| malformed("an output has another shape"))?;
            tensors.insert(port.name.clone(), tensor);
        }
        Ok(tensors)
    }

    /// Runs one sample of integers, a vector for each input port; yields one for each output port.
    ///
    /// # Errors
    /// As [`IntegerSimulator::run`].
    pub fn run_integers(
        &self,
        inputs: &[Vec<i64>],
        seed: Option<u64>,
    ) -> Result<Vec<Vec<i64>>, SimulateError> {
        let (plan, mut noise) = (self.plan, seed.map(Noise::new));
        let mut registers: BTreeMap<Register, Vec<u64>> = BTreeMap::new();
        for (i, port) in plan.inputs.iter().enumerate() {
            let given = inputs.get(i).filter(|v| v.len() == port.elements());
            let given = given.ok_or_else(|| SimulateError::Input(port.name.clone()))?;
            let mut phases: Vec<u64> = given
                .iter()
                .map(|m| (*m as u64) << port.log_delta)
                .collect();
            add_noise(&mut phases, &mut noise, noise::fresh(&plan.params));
            registers.insert(port.register, phases);
        }
        for step in &plan.steps {
            let phases = match &step.op {
                StepOp::Linear { src, matrix } => self.linear(step, src, *matrix, &registers)?,
                StepOp::Lookup { .. } => self.lookup(step, &registers, &mut noise)?,
            };
            registers.insert(step.dst, phases);
            for register in &step.free {
                registers.remove(register);
            }
        }
        let output =
            |port: &IntegerPort| Ok(decoded(get(&registers, port.register)?, port.log_delta));
        plan.outputs.iter().map(output).collect()
    }

    fn linear(
        &self,
        step: &Step,
        src: &[Register],
        matrix: u32,
        registers: &BTreeMap<Register, Vec<u64>>,
    ) -> Result<Vec<u64>, SimulateError> {
        let matrix = self.plan.matrices.get(matrix as usize);
        let matrix = matrix.ok_or_else(|| malformed("a matrix is missing"))?;
        let mut operand = Vec::with_capacity(matrix.columns as usize);
        for register in src {
            operand.extend_from_slice(get(registers, *register)?);
        }
        let row = |row: usize| {
            let bias = matrix.bias.get(row).copied().unwrap_or(0);
            let start = (bias as u64) << step.log_delta;
            matrix.row(row).fold(start, |sum, (column, weight)| {
                let word = operand.get(column).copied().unwrap_or(0);
                sum.wrapping_add(word.wrapping_mul(weight as u64))
            })
        };
        Ok((0..matrix.rows()).map(row).collect())
    }

    fn lookup(
        &self,
        step: &Step,
        registers: &BTreeMap<Register, Vec<u64>>,
        noise: &mut Option<Noise>,
    ) -> Result<Vec<u64>, SimulateError> {
        let StepOp::Lookup {
            src, tables, reads, ..
        } = &step.op
        else {
            return Err(malformed("a step is no lookup"));
        };
        let mut phases = get(registers, *src)?.to_vec();
        let params = &self.plan.params;
        add_noise(&mut phases, noise, noise::at_lookup(params, 0.0));
        let mut values = Vec::with_capacity(phases.len() * reads.len());
        for read in reads {
            for (i, phase) in phases.iter().enumerate() {
                let number = tables.get(i).or(tables.first()).copied().unwrap_or(0);
                let table = self.plan.tables.get(number as usize);
                let table = table.ok_or_else(|| malformed("a table is missing"))?;
                let at = index(i128::from(*phase as i64), 63 - table.bits());
                values.push((table.at(at + i64::from(*read)) as u64) << step.log_delta);
            }
        }
        add_noise(&mut values, noise, noise::bootstrap(params));
        Ok(values)
    }
}

fn malformed(what: &str) -> SimulateError {
    SimulateError::Malformed(what.to_owned())
}

fn get(
    registers: &BTreeMap<Register, Vec<u64>>,
    register: Register,
) -> Result<&[u64], SimulateError> {
    let found = registers.get(&register).map(Vec::as_slice);
    found.ok_or_else(|| malformed("a register is read that holds nothing"))
}

/// The integers nearest to phases.
fn decoded(phases: &[u64], log_delta: u32) -> Vec<i64> {
    let one = |phase: &u64| {
        let half = (1_u64 << log_delta) >> 1;
        (phase.wrapping_add(half) as i64) >> log_delta
    };
    phases.iter().map(one).collect()
}

fn add_noise(phases: &mut [u64], noise: &mut Option<Noise>, variance: f64) {
    let Some(noise) = noise else {
        return;
    };
    let deviation = libm::sqrt(variance) * libm::exp2(64.0);
    for phase in phases {
        let error = libm::round(deviation * noise.normal()) as i64;
        *phase = phase.wrapping_add(error as u64);
    }
}

#[cfg(test)]
#[path = "simulate_tests.rs"]
mod tests;
