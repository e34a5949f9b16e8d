//! A plan step by step: registers are numbered, lengths follow, and what can be computed is.

use super::{
    AnalyseError, IntegerEstimates, IntegerPlan, IntegerPort, Matrix, Quantisation, Step, StepOp,
    Table, TfheSet, complete, noise,
};
use crate::plan::Register;
use crate::tensor::Module;
use crate::value::{DType, Range};
use std::collections::BTreeMap;

/// Collects steps; [`IntegerBuilder::finish`] computes ranges, variances, failure probabilities and costs.
#[derive(Debug)]
pub struct IntegerBuilder {
    plan: IntegerPlan,
    lengths: BTreeMap<Register, u32>,
    /// The tables by their entries.
    tables: BTreeMap<Vec<i64>, u32>,
}

impl IntegerBuilder {
    /// A plan without inputs and steps.
    pub fn new(name: &str, source: &str, params: TfheSet) -> Self {
        Self {
            plan: IntegerPlan {
                name: name.to_owned(),
                source: source.to_owned(),
                params,
                log2_failure: noise::DEFAULT_LOG2_FAILURE,
                inputs: vec![],
                outputs: vec![],
                matrices: vec![],
                tables: vec![],
                steps: vec![],
                estimates: IntegerEstimates::default(),
                margin: 1.0,
                clear: Module::default(),
                tail: None,
            },
            lengths: BTreeMap::new(),
            tables: BTreeMap::new(),
        }
    }

    /// The plan so far, to set what has no method of its own: budget, margin, networks.
    pub fn plan_mut(&mut self) -> &mut IntegerPlan {
        &mut self.plan
    }

    fn register(&mut self, length: usize) -> Register {
        let register = Register(self.lengths.len() as u32);
        self.lengths
            .insert(register, u32::try_from(length).unwrap_or(u32::MAX));
        register
    }

    /// An input of one sample; type and names of the port can be changed by [`IntegerBuilder::plan_mut`].
    pub fn input(
        &mut self,
        name: &str,
        shape: &[usize],
        range: Range,
        log_delta: u32,
        quantisation: Quantisation,
    ) -> Register {
        let mut port = port(name, shape, range, log_delta, quantisation);
        port.register = self.register(port.elements());
        let register = port.register;
        self.plan.inputs.push(port);
        register
    }

    /// A matrix, to be used by any number of steps.
    pub fn matrix(&mut self, matrix: Matrix) -> u32 {
        self.plan.matrices.push(matrix);
        (self.plan.matrices.len() - 1) as u32
    }

    /// A table, to be used by any number of steps; one with the same entries is used again.
    pub fn table(&mut self, table: Table) -> u32 {
        if let Some(found) = self.tables.get(&table.entries) {
            return *found;
        }
        let index = self.plan.tables.len() as u32;
        self.tables.insert(table.entries.clone(), index);
        self.plan.tables.push(table);
        index
    }

    /// A linear step.
    pub fn linear(
        &mut self,
        src: &[Register],
        matrix: u32,
        log_delta: u32,
        origin: &str,
    ) -> Register {
        let rows = self
            .plan
            .matrices
            .get(matrix as usize)
            .map_or(0, Matrix::rows);
        let src = src.to_vec();
        self.step(StepOp::Linear { src, matrix }, rows, log_delta, origin)
    }

    /// An exact lookup with one output and one table for all elements, or one for each.
    pub fn lookup(
        &mut self,
        src: Register,
        tables: &[u32],
        log_delta: u32,
        origin: &str,
    ) -> Register {
        let op = StepOp::Lookup {
            src,
            tables: tables.to_vec(),
            reads: vec![0],
            slack: 0,
            negacyclic: false,
        };
        self.push(op, log_delta, origin)
    }

    /// Any step.
    pub fn push(&mut self, op: StepOp, log_delta: u32, origin: &str) -> Register {
        let length = match &op {
            StepOp::Linear { matrix, .. } => self
                .plan
                .matrices
                .get(*matrix as usize)
                .map_or(0, Matrix::rows),
            StepOp::Lookup { src, reads, .. } => {
                let length = self.lengths.get(src).copied().unwrap_or(0) as usize;
                length.saturating_mul(reads.len())
            }
        };
        self.step(op, length, log_delta, origin)
    }

    fn step(&mut self, op: StepOp, length: usize, log_delta: u32, origin: &str) -> Register {
        let dst = self.register(length);
        self.plan.steps.push(Step {
            dst,
            op,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            log_delta,
            lo: 0,
            hi: 0,
            variance: 0.0,
            log2_failure: f64::NEG_INFINITY,
            free: vec![],
            origin: origin.to_owned(),
        });
        dst
    }

    /// An output: a register and what its integers stand for; `lo` and `hi` of the quantisation are filled in.
    pub fn output(
        &mut self,
        name: &str,
        shape: &[usize],
        range: Range,
        register: Register,
        quantisation: Quantisation,
    ) {
        let steps = self.plan.steps.iter().map(|s| (s.dst, s.log_delta));
        let inputs = self.plan.inputs.iter().map(|p| (p.register, p.log_delta));
        let known: BTreeMap<Register, u32> = steps.chain(inputs).collect();
        let log_delta = known.get(&register).copied().unwrap_or(0);
        let mut port = port(name, shape, range, log_delta, quantisation);
        port.register = register;
        self.plan.outputs.push(port);
    }

    /// The plan, completed.
    ///
    /// # Errors
    /// All faults of structure, ranges and failure probabilities.
    pub fn finish(mut self) -> Result<IntegerPlan, AnalyseError> {
        complete(&mut self.plan)?;
        Ok(self.plan)
    }
}

fn port(
    name: &str,
    shape: &[usize],
    range: Range,
    log_delta: u32,
    quantisation: Quantisation,
) -> IntegerPort {
    IntegerPort {
        name: name.to_owned(),
        shape: shape.to_vec(),
        dtype: DType::F32,
        batched: shape.first() == Some(&1),
        range,
        register: Register(0),
        log_delta,
        quantisation,
        slack: 0,
        variance: 0.0,
        log2_failure: f64::NEG_INFINITY,
    }
}
