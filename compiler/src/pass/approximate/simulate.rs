//! The network on calibration samples, with some of its functions replaced by polynomials.
//!
//! The values of all nodes are kept for the replacements that were accepted last; an attempt computes only what depends on
//! a replacement that differs. Samples are independent of each other, so threads do not alter results.

use super::quality::{Judge, Quality};
use crate::approx::Series;
use cipherloom_ir::tensor::{EvalError, Module, Op, eval_node};
use cipherloom_ir::{NodeId, Tensor, Tensors};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which functions are replaced, and by what.
pub(super) type Assignment = BTreeMap<NodeId, Arc<Series>>;

/// One sample's values by position in the order of evaluation.
type Values = Vec<Option<Arc<Tensor>>>;

/// Samples and the values that they lead to.
pub(super) struct Simulation<'m> {
    module: &'m Module,
    samples: &'m [Tensors],
    order: Vec<NodeId>,
    position: BTreeMap<NodeId, usize>,
    kept: Assignment,
    values: Vec<Values>,
    judge: Judge,
}

/// What an assignment leads to.
pub(super) struct Attempt {
    /// How good the outputs are.
    pub(super) quality: Quality,
    assignment: Assignment,
    values: Vec<Values>,
}

impl<'m> Simulation<'m> {
    /// The exact network on the samples.
    pub(super) fn new(module: &'m Module, samples: &'m [Tensors]) -> Result<Self, EvalError> {
        let order = module.graph.topological().map_err(|_| EvalError::Graph)?;
        let position = order.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let mut simulation = Self {
            module,
            samples,
            order,
            position,
            kept: Assignment::new(),
            values: vec![vec![]; samples.len()],
            judge: Judge::default(),
        };
        let every = vec![true; simulation.order.len()];
        simulation.values = simulation.evaluate(&Assignment::new(), &every)?;
        let exact: Vec<Vec<Arc<Tensor>>> = (0..samples.len())
            .map(|s| simulation.outputs(&simulation.values[s], s))
            .collect::<Option<_>>()
            .ok_or(EvalError::Graph)?;
        simulation.judge = Judge::new(module, exact);
        Ok(simulation)
    }

    /// The samples.
    pub(super) fn samples(&self) -> usize {
        self.samples.len()
    }

    /// A node's kept value on each sample.
    pub(super) fn values_of(&self, id: NodeId) -> impl Iterator<Item = &[f64]> + '_ {
        let at = self.position.get(&id).copied();
        self.values
            .iter()
            .filter_map(move |values| Some(values.get(at?)?.as_ref()?.data()))
    }

    /// Evaluates what differs from the kept assignment.
    pub(super) fn attempt(&self, assignment: Assignment) -> Result<Attempt, EvalError> {
        let mut changed = vec![false; self.order.len()];
        for (i, id) in self.order.iter().enumerate() {
            let operands = self.module.graph.operands(*id);
            let below = operands
                .iter()
                .filter_map(|o| self.position.get(o))
                .any(|o| changed[*o]);
            changed[i] = below || self.kept.get(id) != assignment.get(id);
        }
        let values = self.evaluate(&assignment, &changed)?;
        let outputs: Vec<Vec<Arc<Tensor>>> = (0..self.samples.len())
            .map(|s| self.outputs(&values[s], s))
            .collect::<Option<_>>()
            .ok_or(EvalError::Graph)?;
        Ok(Attempt {
            quality: self.judge.judge(&outputs),
            assignment,
            values,
        })
    }

    /// Makes an attempt's values those that later attempts start from.
    pub(super) fn keep(&mut self, attempt: Attempt) {
        self.kept = attempt.assignment;
        for (own, new) in self.values.iter_mut().zip(attempt.values) {
            for (own, new) in own.iter_mut().zip(new) {
                if new.is_some() {
                    *own = new;
                }
            }
        }
    }

    /// The outputs of a sample, from new values or the kept ones.
    fn outputs(&self, new: &Values, sample: usize) -> Option<Vec<Arc<Tensor>>> {
        let one = |id: NodeId| {
            let at = *self.position.get(&id)?;
            let kept = || self.values.get(sample)?.get(at)?.clone();
            new.get(at)?.clone().or_else(kept)
        };
        self.module.outputs.iter().map(|o| one(o.node)).collect()
    }

    /// The values of the changed positions for every sample, on all threads.
    fn evaluate(
        &self,
        assignment: &Assignment,
        changed: &[bool],
    ) -> Result<Vec<Values>, EvalError> {
        (0..self.samples.len())
            .into_par_iter()
            .map(|s| self.sample(s, assignment, changed))
            .collect()
    }

    fn sample(
        &self,
        sample: usize,
        assignment: &Assignment,
        changed: &[bool],
    ) -> Result<Values, EvalError> {
        let mut new: Values = vec![None; self.order.len()];
        let inputs = self.samples.get(sample).ok_or(EvalError::Graph)?;
        for (i, id) in self.order.iter().enumerate().filter(|(i, _)| changed[*i]) {
            let operand = |o: &NodeId| {
                let at = *self.position.get(o)?;
                let kept = || self.values.get(sample)?.get(at)?.clone();
                new.get(at)?.clone().or_else(kept)
            };
            let operands: Vec<Arc<Tensor>> = self
                .module
                .graph
                .operands(*id)
                .iter()
                .map(operand)
                .collect::<Option<_>>()
                .ok_or(EvalError::Graph)?;
            let is_function = matches!(
                self.module.graph.get(*id).map(|n| &n.op),
                Some(Op::Function(_))
            );
            let value = match (assignment.get(id), operands.first()) {
                (Some(series), Some(operand)) if is_function => {
                    let mut value = operand.as_ref().clone();
                    series.eval_all(value.data_mut());
                    Arc::new(value)
                }
                _ => eval_node(self.module, *id, inputs, &operands)?,
            };
            new[i] = Some(value);
        }
        Ok(new)
    }
}
