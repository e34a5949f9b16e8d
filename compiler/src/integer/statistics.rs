//! What samples tell of the values of a network.

use super::error::IntegerError;
use super::network::{Kind, Network};
use crate::lower::network::pending::Pending;
use crate::lower::sparse;
use cipherloom_ir::Tensors;
use rayon::prelude::*;

/// The values of a sample: of each value of the network, its elements.
pub(super) type Sample = Vec<Vec<f64>>;

/// What is known of an element over all samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) lo: f64,
    pub(super) hi: f64,
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// What samples tell.
#[derive(Clone)]
pub(super) struct Statistics {
    pub(super) samples: Vec<Sample>,
    /// Of each value, its elements.
    pub(super) spreads: Vec<Vec<Spread>>,
    /// Of each value, what its lookups read; nothing for inputs.
    pub(super) sums: Vec<Vec<Spread>>,
    /// Of each output, its elements.
    pub(super) outputs: Vec<Vec<Spread>>,
}

/// An affine map of the values of a sample.
pub(super) fn apply(pending: &Pending, sample: &Sample) -> Vec<f64> {
    let mut sum = pending.bias.clone();
    for (value, matrix) in &pending.terms {
        let product = sparse::apply(matrix, &sample[*value]);
        sum.iter_mut().zip(product).for_each(|(s, p)| *s += p);
    }
    sum
}

impl Statistics {
    pub(super) fn measure(network: &Network, samples: &[Tensors]) -> Result<Self, IntegerError> {
        if samples.is_empty() {
            return Err(IntegerError::NoSample);
        }
        let each = samples.par_iter().map(|s| evaluate(network, s));
        let found: Option<Vec<Sample>> = each.collect();
        let Some(found) = found else {
            let bad = samples.iter().position(|s| evaluate(network, s).is_none());
            return Err(IntegerError::Sample {
                index: bad.unwrap_or(0),
            });
        };
        let spread = |v: usize| {
            let elements = 0..network.values[v].len;
            elements
                .map(|e| spread(found.iter().map(|s| s[v][e])))
                .collect()
        };
        let spreads = (0..network.values.len()).map(spread).collect();
        let live = network.live();
        let sums = network.values.iter().enumerate();
        let sums = sums.map(|(v, value)| match &value.kind {
            Kind::Lookup { operand, .. } if live[v] => of_sums(operand, &found),
            _ => vec![],
        });
        let outputs = network.outputs.iter();
        Ok(Self {
            sums: sums.collect(),
            outputs: outputs.map(|o| of_sums(&o.value, &found)).collect(),
            samples: found,
            spreads,
        })
    }

    /// Those of a network with twice the copies of a value.
    pub(super) fn doubled(&self, value: usize) -> Self {
        let mut samples = self.samples.clone();
        let (mut spreads, mut sums) = (self.spreads.clone(), self.sums.clone());
        samples
            .iter_mut()
            .for_each(|s| s[value].extend_from_within(..));
        spreads[value].extend_from_within(..);
        sums[value].extend_from_within(..);
        Self {
            samples,
            spreads,
            sums,
            outputs: self.outputs.clone(),
        }
    }
}

/// What the samples tell of each row of an affine map.
fn of_sums(pending: &Pending, samples: &[Sample]) -> Vec<Spread> {
    let sums: Vec<Vec<f64>> = samples.par_iter().map(|s| apply(pending, s)).collect();
    let row = |row: usize| spread(sums.iter().filter_map(|s| s.get(row).copied()));
    (0..pending.bias.len()).map(row).collect()
}

pub(super) fn spread(values: impl Iterator<Item = f64> + Clone) -> Spread {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares: f64 = values.clone().map(|x| (x - mean) * (x - mean)).sum();
    Spread {
        lo: values.clone().fold(f64::INFINITY, f64::min),
        hi: values.fold(f64::NEG_INFINITY, f64::max),
        mean,
        variance: squares / count,
    }
}

/// All values of a sample; `None` where an input does not fit or a value is not finite.
pub(super) fn evaluate(network: &Network, sample: &Tensors) -> Option<Sample> {
    let mut all: Sample = Vec::with_capacity(network.values.len());
    for value in &network.values {
        let elements: Vec<f64> = match &value.kind {
            Kind::Input(name) => {
                let tensor = sample.get(name).filter(|t| t.len() == value.len)?;
                let rounded = |x: &f64| value.grid.map_or(*x, |grid| grid.nearest(*x));
                tensor.data().iter().map(rounded).collect()
            }
            Kind::Lookup { operand, function } => {
                let x = apply(operand, &all);
                x.into_iter().map(|x| function.eval(x)).collect()
            }
        };
        if elements.iter().any(|x| !x.is_finite()) {
            return None;
        }
        all.push(elements);
    }
    Some(all)
}
