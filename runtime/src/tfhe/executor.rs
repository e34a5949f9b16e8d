//! Executes a plan's steps on registers. A register lives from the step that writes it to the last that reads it.

use super::linear;
use super::lookup::Bootstrapper;
use crate::ServerError;
use cipherloom_ir::integer::{IntegerPlan, Step, StepOp};
use cipherloom_ir::plan::Register;
use std::collections::BTreeMap;

/// What one execution reads; it holds no state of its own.
pub(super) struct Executor<'a> {
    pub(super) plan: &'a IntegerPlan,
    pub(super) bootstrapper: &'a Bootstrapper,
    /// How many samples each register holds, one after the other.
    pub(super) samples: usize,
}

impl Executor<'_> {
    /// Executes all steps on the words of the input ports and returns those of the output ports. `done` is told of each group of
    /// bootstraps that is done.
    pub(super) fn run(
        &self,
        inputs: Vec<Vec<u64>>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<u64>>, ServerError> {
        let mut registers: BTreeMap<Register, Vec<u64>> = BTreeMap::new();
        let ports = self.plan.inputs.iter().map(|port| port.register);
        registers.extend(ports.zip(inputs));
        for step in &self.plan.steps {
            let words = self.step(step, &registers, done)?;
            registers.insert(step.dst, words);
            for register in &step.free {
                registers.remove(register);
            }
        }
        let output = |register: Register| Ok(value(&registers, register)?.to_vec());
        let ports = self.plan.outputs.iter().map(|port| port.register);
        ports.map(output).collect()
    }

    fn step(
        &self,
        step: &Step,
        registers: &BTreeMap<Register, Vec<u64>>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<u64>, ServerError> {
        let words = self.plan.params.ciphertext_words();
        match &step.op {
            StepOp::Linear { src, matrix } => {
                let missing = || ServerError::Malformed(format!("there is no matrix {matrix}"));
                let matrix = self
                    .plan
                    .matrices
                    .get(*matrix as usize)
                    .ok_or_else(missing)?;
                let operands = src
                    .iter()
                    .map(|register| value(registers, *register))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(linear::apply(
                    matrix,
                    &operands,
                    self.samples,
                    words,
                    step.log_delta,
                ))
            }
            StepOp::Lookup {
                src, tables, reads, ..
            } => {
                let operand = value(registers, *src)?;
                self.bootstrapper
                    .lookup(operand, self.samples, tables, reads, step.log_delta, done)
            }
        }
    }
}

fn value(
    registers: &BTreeMap<Register, Vec<u64>>,
    register: Register,
) -> Result<&[u64], ServerError> {
    let empty = || ServerError::Malformed(format!("register {register} is read while it is empty"));
    registers
        .get(&register)
        .map(Vec::as_slice)
        .ok_or_else(empty)
}
