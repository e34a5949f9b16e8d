//! Whether a plan decides as the network does: the largest output, the side of the threshold of a single one, or the
//! whole numbers that labels, positions, truth values and signs are.

use super::error::IntegerError;
use super::network::Network;
use crate::pass::PassError;
use cipherloom_ir::integer::{IntegerPlan, IntegerSimulator};
use cipherloom_ir::tensor::{Function, Module, Op, Output, eval};
use cipherloom_ir::{Tensor, Tensors};
use rayon::prelude::*;

/// Runs of the simulator, at least: few samples are run several times, with other noise.
const RUNS: usize = 256;

/// What the network decides on each sample, and by how much.
pub(super) struct Decisions {
    /// Of each sample and output: the decision, and its lead over the next.
    clear: Vec<Vec<(Decision, f64)>>,
    /// For each output, by name, how it decides.
    rules: Vec<(String, Rule)>,
}

/// How an output decides.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// By its largest element; a single one by the side of this threshold.
    Largest(f64),
    /// By the nearest whole numbers.
    Whole,
}

/// What an output decides.
#[derive(Clone, Debug, PartialEq)]
enum Decision {
    Largest(usize),
    Whole(Vec<f64>),
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
        let rule = |output: &Output| (output.name.clone(), rule(body, output));
        let mut decisions = Self {
            clear: vec![],
            rules: body.outputs.iter().map(rule).collect(),
        };
        for sample in samples {
            let outputs = eval(body, sample)
                .map_err(|error| PassError::from(crate::pass::RangeError::Eval(error)))?;
            let one = |(name, rule): &(String, Rule)| {
                let found = outputs.get(name).map(|t| decision(t, *rule));
                found.unwrap_or((Decision::Largest(0), 0.0))
            };
            decisions
                .clear
                .push(decisions.rules.iter().map(one).collect());
        }
        Ok(decisions)
    }

    /// Whether a network puts out a single number as it is, of which the decision is the sign alone.
    pub(super) fn are_of_number(&self, network: &Network) -> bool {
        let mut outputs = self.rules.iter().zip(&network.outputs);
        outputs.any(|((_, rule), o)| *rule == Rule::Largest(0.0) && o.value.bias.len() == 1)
    }

    /// By how much each decision of a sample leads in a run.
    fn leads(&self, sample: usize, outputs: &Tensors) -> Option<Vec<f64>> {
        let clear = self.clear.get(sample)?;
        let one = |((name, rule), (decision, _)): (&(String, Rule), &(Decision, f64))| {
            Some(lead(outputs.get(name)?, *rule, decision))
        };
        self.rules.iter().zip(clear).map(one).collect()
    }

    /// How a plan decides on the samples, simulated with noise: few of them several times, if `again` is set.
    pub(super) fn kept(&self, plan: &IntegerPlan, samples: &[Tensors], again: bool) -> Kept {
        let simulator = IntegerSimulator::new(plan);
        let count = samples.len().max(1);
        let runs = if again {
            count * RUNS.div_ceil(count)
        } else {
            count
        };
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
        let outputs = 0..self.rules.len();
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

/// How an output decides: labels, positions, truth values and signs are whole numbers, however they are laid out;
/// probabilities are compared with one half.
fn rule(body: &Module, output: &Output) -> Rule {
    let mut id = output.node;
    loop {
        let Some(node) = body.graph.get(id) else {
            return Rule::Largest(0.0);
        };
        match (&node.op, body.graph.operands(id).as_slice()) {
            (Op::Reshape | Op::Take { .. }, [operand]) => id = *operand,
            (Op::ArgMax { .. } | Op::TopK { values: false, .. } | Op::Lookup { .. }, _)
            | (Op::Compare(_) | Op::Function(Function::Step | Function::Sign), _) => {
                return Rule::Whole;
            }
            (Op::Function(Function::Sigmoid | Function::HardSigmoid { .. }), _) => {
                return Rule::Largest(0.5);
            }
            _ => return Rule::Largest(0.0),
        }
    }
}

/// The first largest element, whether a single one lies above the threshold, or the whole numbers; and the lead.
fn decision(tensor: &Tensor, rule: Rule) -> (Decision, f64) {
    let data = tensor.data();
    let found = match (rule, data) {
        (Rule::Whole, _) => Decision::Whole(data.to_vec()),
        (Rule::Largest(threshold), [only]) => Decision::Largest(usize::from(*only > threshold)),
        _ => {
            let best = |best, i| if data[i] > data[best] { i } else { best };
            Decision::Largest((1..data.len()).fold(0, best))
        }
    };
    let lead = lead(tensor, rule, &found);
    (found, lead)
}

/// By how much a decision leads: above 0 where it is the one.
fn lead(tensor: &Tensor, rule: Rule, decision: &Decision) -> f64 {
    let data = tensor.data();
    let threshold = match rule {
        Rule::Largest(threshold) => threshold,
        Rule::Whole => 0.0,
    };
    match (decision, data) {
        (Decision::Whole(numbers), _) => {
            let apart = numbers.iter().zip(data).map(|(a, b)| (a - b).abs());
            0.5 - apart.fold(0.0, f64::max)
        }
        (Decision::Largest(1), [only]) => only - threshold,
        (Decision::Largest(_), [only]) => threshold - only,
        (Decision::Largest(decision), _) => {
            let others = data.iter().enumerate().filter(|(i, _)| i != decision);
            let next = others.map(|(_, x)| *x).fold(f64::NEG_INFINITY, f64::max);
            data.get(*decision).map_or(0.0, |x| x - next)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[test]
    fn decisions_are_the_largest_or_a_side() {
        let of =
            |data: &[f64], t| match decision(&Tensor::from_vec(data.to_vec()), Rule::Largest(t)) {
                (Decision::Largest(found), lead) => (found, lead),
                other => panic!("{other:?}"),
            };
        assert_eq!(of(&[1.0, 3.0, 2.5], 0.0), (1, 0.5));
        assert_eq!(of(&[3.0, 3.0], 0.0), (0, 0.0));
        assert_eq!((of(&[0.25], 0.5), of(&[0.75], 0.5)), ((0, 0.25), (1, 0.25)));
        let found = Tensor::from_vec(vec![1.0, 0.0, 2.0]);
        let lead_of = |i| lead(&found, Rule::Largest(0.0), &Decision::Largest(i));
        assert_eq!((lead_of(2), lead_of(0)), (1.0, -1.0));
        let (labels, own) = decision(&found, Rule::Whole);
        let noisy = Tensor::from_vec(vec![1.25, 0.0, 2.0]);
        let wrong = Tensor::from_vec(vec![1.25, 0.75, 2.0]);
        let lead_in = |t| lead(t, Rule::Whole, &labels);
        assert_eq!((own, lead_in(&noisy), lead_in(&wrong)), (0.5, 0.25, -0.25));
    }
}
