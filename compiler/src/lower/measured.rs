//! Ranges and mean squares of a network's values over samples, on all threads.

use super::LowerError;
use super::network::Network;
use super::sparse::LANES;
use super::statistics::Picked;
use cipherloom_ir::value::{Range, Tensors};
use rayon::prelude::*;

/// Samples that one task evaluates: a fixed number, so that sums do not depend on threads.
const SAMPLES_A_TASK: usize = 4 * LANES;

/// What samples tell of each value.
pub(super) struct Measured {
    /// The range of its elements; `None` where one is not finite.
    pub(super) ranges: Vec<Option<Range>>,
    /// The same before its bias is added.
    pub(super) unbiased: Vec<Option<Range>>,
    /// The mean square of each element.
    pub(super) mean_squares: Vec<Vec<f64>>,
    /// For each polynomial, its operand's values in some of the samples.
    pub(super) picked: Vec<Picked>,
}

/// Evaluates a network on samples, of which there is one at least. `inputs` names its inputs, for errors.
pub(super) fn measure(
    network: &Network,
    samples: &[Tensors],
    inputs: &[&String],
) -> Result<Measured, LowerError> {
    let tasks = samples.par_chunks(SAMPLES_A_TASK);
    let picked = Picked::all(network, samples.len());
    let parts: Vec<Option<Sums>> = tasks
        .enumerate()
        .map(|(i, task)| Sums::of(network, &picked, i * SAMPLES_A_TASK, task))
        .collect();
    let mut sums = Sums::new(network, &picked);
    for (task, part) in parts.into_iter().enumerate() {
        sums.add(&part.ok_or_else(|| LowerError::Sample {
            index: task * SAMPLES_A_TASK,
            input: inputs.first().map_or(String::new(), |n| (*n).clone()),
        })?);
    }
    let count = samples.len() as f64;
    sums.squares.iter_mut().flatten().for_each(|s| *s /= count);
    let finite = |e: &Extremes| Range::new(e.lo, e.hi).filter(|_| e.finite);
    Ok(Measured {
        ranges: sums.ranges.iter().map(finite).collect(),
        unbiased: sums.unbiased.iter().map(finite).collect(),
        mean_squares: sums.squares,
        picked: sums.picked,
    })
}

/// The least and the largest of some numbers.
#[derive(Clone, Copy)]
struct Extremes {
    lo: f64,
    hi: f64,
    finite: bool,
}

impl Extremes {
    const NONE: Self = Self {
        lo: f64::INFINITY,
        hi: f64::NEG_INFINITY,
        finite: true,
    };

    fn take(&mut self, value: f64) {
        self.lo = self.lo.min(value);
        self.hi = self.hi.max(value);
        self.finite &= value.is_finite();
    }

    fn join(&mut self, other: &Self) {
        self.lo = self.lo.min(other.lo);
        self.hi = self.hi.max(other.hi);
        self.finite &= other.finite;
    }
}

/// What is gathered of each value.
struct Sums {
    ranges: Vec<Extremes>,
    unbiased: Vec<Extremes>,
    squares: Vec<Vec<f64>>,
    picked: Vec<Picked>,
}

impl Sums {
    fn new(network: &Network, picked: &[Picked]) -> Self {
        let count = network.values.len();
        Self {
            ranges: vec![Extremes::NONE; count],
            unbiased: vec![Extremes::NONE; count],
            squares: network.values.iter().map(|v| vec![0.0; v.len()]).collect(),
            picked: picked.to_vec(),
        }
    }

    /// Those of some samples, the first of which has the index `first`; `None` where an input does not fit.
    fn of(network: &Network, picked: &[Picked], first: usize, samples: &[Tensors]) -> Option<Self> {
        let mut sums = Self::new(network, picked);
        for (chunk, samples) in samples.chunks(LANES).enumerate() {
            // Lanes without a sample repeat the last one and count nowhere.
            let lane = |i: usize| samples.get(i).or(samples.last());
            let mut lanes = [samples.first()?; LANES];
            for (i, to) in lanes.iter_mut().enumerate() {
                *to = lane(i)?;
            }
            let all = network.eval(lanes)?;
            for lane in 0..samples.len() {
                let index = first + chunk * LANES + lane;
                sums.picked
                    .iter_mut()
                    .for_each(|p| p.pick(index, lane, &all));
            }
            for (v, data) in all.iter().enumerate() {
                let bias = network.values[v].bias();
                for (i, (values, square)) in data.iter().zip(&mut sums.squares[v]).enumerate() {
                    let bias = bias.get(i).copied().unwrap_or(0.0);
                    for value in &values[..samples.len()] {
                        sums.ranges[v].take(*value);
                        sums.unbiased[v].take(value - bias);
                        *square += value * value;
                    }
                }
            }
        }
        Some(sums)
    }

    fn add(&mut self, other: &Self) {
        let pairs = self.ranges.iter_mut().zip(&other.ranges);
        pairs.for_each(|(a, b)| a.join(b));
        let pairs = self.unbiased.iter_mut().zip(&other.unbiased);
        pairs.for_each(|(a, b)| a.join(b));
        for (sums, more) in self.squares.iter_mut().zip(&other.squares) {
            sums.iter_mut().zip(more).for_each(|(s, m)| *s += m);
        }
        for (all, more) in self.picked.iter_mut().zip(&other.picked) {
            all.data.extend_from_slice(&more.data);
        }
    }
}
