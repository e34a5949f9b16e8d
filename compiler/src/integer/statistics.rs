//! What samples tell of the values of a network.

use super::error::IntegerError;
use super::network::{Kind, Network};
use crate::lower::network::pending::Pending;
use crate::lower::sparse;
use cipherloom_ir::Tensors;
use rayon::prelude::*;
use std::sync::Arc;

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
    pub(super) samples: Arc<Vec<Sample>>,
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
        let each = samples.par_iter().map(|s| evaluated(network, s));
        let found: Option<Vec<Evaluated>> = each.collect();
        let Some(found) = found else {
            let bad = samples.iter().position(|s| evaluate(network, s).is_none());
            return Err(IntegerError::Sample {
                index: bad.unwrap_or(0),
            });
        };
        let over = |len: usize, of: &(dyn Fn(&Evaluated, usize) -> f64 + Sync)| -> Vec<Spread> {
            let elements = (0..len).into_par_iter();
            elements
                .map(|e| spread(found.iter().map(|s| of(s, e))))
                .collect()
        };
        let values = || network.values.iter().enumerate();
        let spreads = values().map(|(v, value)| over(value.len, &|s, e| s.values[v][e]));
        let live = network.live();
        let sums = values().map(|(v, value)| match &value.kind {
            Kind::Lookup { operand, .. } if live[v] => {
                over(operand.bias.len(), &|s, e| s.sums[v][e])
            }
            _ => vec![],
        });
        let outputs = network.outputs.iter().enumerate();
        let outputs = outputs.map(|(o, port)| over(port.value.bias.len(), &|s, e| s.outputs[o][e]));
        let (spreads, sums, outputs) = (spreads.collect(), sums.collect(), outputs.collect());
        let samples = found.into_iter().map(|s| s.values).collect();
        Ok(Self {
            samples: Arc::new(samples),
            spreads,
            sums,
            outputs,
        })
    }

    /// Those of a network in which some lookups, by ascending number, are others, and what all others read is the same.
    pub(super) fn renewed(&self, network: &Network, values: &[usize]) -> Self {
        let mut samples = Vec::clone(&self.samples);
        let (mut spreads, mut sums) = (self.spreads.clone(), self.sums.clone());
        for v in values {
            let Some(Kind::Lookup { operand, function }) = network.values.get(*v).map(|v| &v.kind)
            else {
                continue;
            };
            let found: Vec<Vec<f64>> = samples.par_iter().map(|s| apply(operand, s)).collect();
            let of = |value: &dyn Fn(f64) -> f64| -> Vec<Spread> {
                let elements = 0..operand.bias.len();
                let row = |e: usize| spread(found.iter().map(|x| value(x[e])));
                elements.map(row).collect()
            };
            sums[*v] = of(&|x| x);
            spreads[*v] = of(&|x| function.eval(x));
            for (sample, x) in samples.iter_mut().zip(&found) {
                sample[*v] = x.iter().map(|x| function.eval(*x)).collect();
            }
        }
        Self {
            samples: Arc::new(samples),
            spreads,
            sums,
            outputs: self.outputs.clone(),
        }
    }

    /// Those of a network with twice the copies of a value.
    pub(super) fn doubled(&self, value: usize) -> Self {
        let mut samples = Vec::clone(&self.samples);
        let (mut spreads, mut sums) = (self.spreads.clone(), self.sums.clone());
        samples
            .iter_mut()
            .for_each(|s| s[value].extend_from_within(..));
        spreads[value].extend_from_within(..);
        sums[value].extend_from_within(..);
        Self {
            samples: Arc::new(samples),
            spreads,
            sums,
            outputs: self.outputs.clone(),
        }
    }
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

/// What comes of a sample.
struct Evaluated {
    values: Sample,
    /// Of each value, what its lookups read; nothing for inputs.
    sums: Vec<Vec<f64>>,
    outputs: Vec<Vec<f64>>,
}

/// All values of a sample; `None` where an input does not fit or a value is not finite.
pub(super) fn evaluate(network: &Network, sample: &Tensors) -> Option<Sample> {
    evaluated(network, sample).map(|all| all.values)
}

fn evaluated(network: &Network, sample: &Tensors) -> Option<Evaluated> {
    let count = network.values.len();
    let (mut values, mut sums): (Sample, _) =
        (Vec::with_capacity(count), Vec::with_capacity(count));
    for value in &network.values {
        let (sum, elements): (Vec<f64>, Vec<f64>) = match &value.kind {
            Kind::Input(name) => {
                let tensor = sample.get(name).filter(|t| t.len() == value.len)?;
                let rounded = |x: &f64| value.grid.map_or(*x, |grid| grid.nearest(*x));
                (vec![], tensor.data().iter().map(rounded).collect())
            }
            Kind::Lookup { operand, function } => {
                let sum = apply(operand, &values);
                let found = sum.iter().map(|x| function.eval(*x)).collect();
                (sum, found)
            }
        };
        if elements.iter().any(|x| !x.is_finite()) {
            return None;
        }
        values.push(elements);
        sums.push(sum);
    }
    let outputs = network.outputs.iter();
    Some(Evaluated {
        outputs: outputs.map(|o| apply(&o.value, &values)).collect(),
        values,
        sums,
    })
}
