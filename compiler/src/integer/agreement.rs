//! Whether a plan decides as the network does: the largest output, or the side of the threshold of a single one.

use super::error::IntegerError;
use crate::pass::PassError;
use cipherloom_ir::integer::{IntegerPlan, IntegerSimulator};
use cipherloom_ir::tensor::{Function, Module, Op, eval};
use cipherloom_ir::{Tensor, Tensors};
use rayon::prelude::*;

/// Runs of the simulator, at least: few samples are run several times, with other noise.
const RUNS: usize = 256;

/// What the network decides on each sample, and by how much.
pub(super) struct Decisions {
    /// Of each sample and output: the decision, and its lead over the next.
    clear: Vec<Vec<(usize, f64)>>,
    /// For each output, by name, its threshold where it is single.
    thresholds: Vec<(String, f64)>,
}

/// How a plan decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// The share of the runs that decide alike.
    pub(super) share: f64,
    /// The share that is expected of further samples: leads are taken as the samples', errors as normal.
    pub(super) expected: f64,
}

impl Decisions {
    /// What a network decides, of its outputs up to where the client goes on.
    pub(super) fn of(body: &Module, samples: &[Tensors]) -> Result<Self, IntegerError> {
        let threshold = |output: &cipherloom_ir::tensor::Output| {
            let node = body.graph.get(output.node);
            // Probabilities are compared with one half, labels too.
            let half = node.is_some_and(|n| {
                matches!(
                    n.op,
                    Op::Function(Function::Sigmoid | Function::Step | Function::HardSigmoid { .. })
                        | Op::ArgMax { .. }
                        | Op::Lookup { .. }
                )
            });
            (output.name.clone(), if half { 0.5 } else { 0.0 })
        };
        let mut decisions = Self {
            clear: vec![],
            thresholds: body.outputs.iter().map(threshold).collect(),
        };
        for sample in samples {
            let outputs = eval(body, sample)
                .map_err(|error| PassError::from(crate::pass::RangeError::Eval(error)))?;
            let one = |(name, threshold): &(String, f64)| {
                let found = outputs.get(name).map(|t| decision(t, *threshold));
                found.unwrap_or((0, 0.0))
            };
            decisions
                .clear
                .push(decisions.thresholds.iter().map(one).collect());
        }
        Ok(decisions)
    }

    /// By how much each decision of a sample leads in a run.
    fn leads(&self, sample: usize, outputs: &Tensors) -> Option<Vec<f64>> {
        let clear = self.clear.get(sample)?;
        let one = |((name, threshold), (decision, _)): (&(String, f64), &(usize, f64))| {
            Some(lead(outputs.get(name)?, *threshold, *decision))
        };
        self.thresholds.iter().zip(clear).map(one).collect()
    }

    /// How a plan decides on the samples, simulated with noise.
    pub(super) fn kept(&self, plan: &IntegerPlan, samples: &[Tensors]) -> Kept {
        let simulator = IntegerSimulator::new(plan);
        let count = samples.len().max(1);
        let runs = count * RUNS.div_ceil(count);
        let found: Vec<Option<Vec<f64>>> = (0..runs)
            .into_par_iter()
            .map(|run| {
                let outputs = simulator.run(samples.get(run % count)?, Some(run as u64));
                self.leads(run % count, &outputs.ok()?)
            })
            .collect();
        let alike = |leads: &Option<Vec<f64>>| {
            leads
                .as_ref()
                .is_some_and(|l| l.iter().all(|lead| *lead > 0.0))
        };
        let share = found.iter().filter(|l| alike(l)).count() as f64 / runs as f64;
        let outputs = 0..self.thresholds.len();
        let expected = outputs
            .map(|o| self.expected(o, &found))
            .fold(1.0, f64::min);
        Kept { share, expected }
    }

    fn expected(&self, output: usize, found: &[Option<Vec<f64>>]) -> f64 {
        let clear: Vec<f64> = self.clear.iter().map(|c| c[output].1).collect();
        let errors = found.iter().enumerate().filter_map(|(run, leads)| {
            let lead = leads.as_ref()?.get(output)?;
            Some(lead - clear[run % clear.len()])
        });
        let squares: f64 = errors.map(|e| e * e).sum();
        let deviation = libm::sqrt(squares / found.len().max(1) as f64);
        if deviation <= 0.0 {
            return 1.0;
        }
        let holds = |lead: &f64| 0.5 * libm::erfc(-lead / (deviation * std::f64::consts::SQRT_2));
        clear.iter().map(holds).sum::<f64>() / clear.len().max(1) as f64
    }
}

/// The first largest element, or whether a single one lies above the threshold; and its lead.
fn decision(tensor: &Tensor, threshold: f64) -> (usize, f64) {
    let data = tensor.data();
    let found = match data {
        [only] => usize::from(*only > threshold),
        _ => (1..data.len()).fold(0, |best, i| if data[i] > data[best] { i } else { best }),
    };
    (found, lead(tensor, threshold, found))
}

/// By how much a decision leads: above 0 where it is the one.
fn lead(tensor: &Tensor, threshold: f64, decision: usize) -> f64 {
    let data = tensor.data();
    match data {
        [only] if decision == 1 => only - threshold,
        [only] => threshold - only,
        _ => {
            let others = data.iter().enumerate().filter(|(i, _)| *i != decision);
            let next = others.map(|(_, x)| *x).fold(f64::NEG_INFINITY, f64::max);
            data.get(decision).map_or(0.0, |x| x - next)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_the_largest_or_a_side() {
        let of = |data: &[f64], t| decision(&Tensor::from_vec(data.to_vec()), t);
        assert_eq!(of(&[1.0, 3.0, 2.5], 0.0), (1, 0.5));
        assert_eq!(of(&[3.0, 3.0], 0.0), (0, 0.0));
        assert_eq!((of(&[0.25], 0.5), of(&[0.75], 0.5)), ((0, 0.25), (1, 0.25)));
        let found = Tensor::from_vec(vec![1.0, 0.0, 2.0]);
        assert_eq!((lead(&found, 0.0, 2), lead(&found, 0.0, 0)), (1.0, -1.0));
    }
}
