//! Executes a plan's steps on registers. A register lives from the step that writes it to the last that reads it.

use super::linear;
use super::lookup::{Bootstrapper, Lookup};
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
        let mut next = 0;
        while next < self.plan.steps.len() {
            let together = self.plan.side_by_side(next);
            next = together.end;
            let steps = self.plan.steps.get(together).unwrap_or_default();
            let results = self.steps(steps, &registers, done)?;
            registers.extend(steps.iter().map(|s| s.dst).zip(results));
            for register in steps.iter().flat_map(|s| &s.free) {
                registers.remove(register);
            }
        }
        let output = |register: Register| Ok(value(&registers, register)?.to_vec());
        let ports = self.plan.outputs.iter().map(|port| port.register);
        ports.map(output).collect()
    }

    /// The results of a linear step, or of lookups that run side by side.
    fn steps(
        &self,
        steps: &[Step],
        registers: &BTreeMap<Register, Vec<u64>>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<u64>>, ServerError> {
        let mut lookups = Vec::with_capacity(steps.len());
        for step in steps {
            match &step.op {
                StepOp::Linear { src, matrix } => {
                    return Ok(vec![self.linear(step, src, *matrix, registers)?]);
                }
                StepOp::Lookup {
                    src, tables, reads, ..
                } => lookups.push(Lookup {
                    operand: value(registers, *src)?,
                    tables,
                    reads,
                    log_delta: step.log_delta,
                }),
            }
        }
        self.bootstrapper.lookups(&lookups, self.samples, done)
    }

    fn linear(
        &self,
        step: &Step,
        src: &[Register],
        matrix: u32,
        registers: &BTreeMap<Register, Vec<u64>>,
    ) -> Result<Vec<u64>, ServerError> {
        let missing = || ServerError::Malformed(format!("there is no matrix {matrix}"));
        let found = self.plan.matrices.get(matrix as usize);
        let operands = src
            .iter()
            .map(|register| value(registers, *register))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(linear::apply(
            found.ok_or_else(missing)?,
            &operands,
            self.samples,
            self.plan.params.ciphertext_words(),
            step.log_delta,
        ))
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
