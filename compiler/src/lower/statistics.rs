//! What samples, or intervals in their place, tell of the values of a network.

mod approximation;
mod intervals;
mod moments;

use super::measured::measure;
use super::network::{Kind, Network};
use super::noise::Gains;
use super::{InputKnowledge, LowerError};
use cipherloom_ir::Tensor;
use cipherloom_ir::value::{Range, Tensors};
pub(crate) use moments::{Moments, Picked};
use std::collections::BTreeMap;

/// What is known of each value.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    /// The range of each value's elements.
    pub(crate) ranges: Vec<Range>,
    /// The range of each value's elements before its bias is added.
    pub(crate) unbiased: Vec<Range>,
    /// The mean square of each element of each value.
    pub(crate) mean_squares: Vec<Vec<f64>>,
    /// For each polynomial, what is known of the values within.
    pub(crate) moments: BTreeMap<usize, Moments>,
    /// The mean square error of each value that approximations cause, where it is known.
    pub(crate) approximations: Option<Vec<f64>>,
    /// What errors of each value do to the outputs.
    pub(crate) gains: Gains,
    /// Whether ranges were bounded by intervals, for want of samples.
    pub(crate) from_intervals: bool,
}

impl Statistics {
    /// The largest absolute value of an element of `v`; 1 where all are zero.
    pub(crate) fn max_abs(&self, v: usize) -> f64 {
        let max = self.ranges[v].max_abs();
        if max > 0.0 { max } else { 1.0 }
    }

    /// The largest absolute value of an element of `v`, before or after its bias is added.
    pub(crate) fn largest(&self, v: usize) -> f64 {
        self.max_abs(v).max(self.unbiased[v].max_abs())
    }

    /// The mean square over the elements of `v`.
    pub(crate) fn mean_square(&self, v: usize) -> f64 {
        let squares = &self.mean_squares[v];
        squares.iter().sum::<f64>() / squares.len().max(1) as f64
    }
}

/// Made-up samples where there are none.
const MADE_UP: usize = 16;
/// How large they are, of all that the ranges allow: declared ranges are often far wider than the values that occur, and
/// where a function is flat at their ends but steep at zero, small samples have the larger errors. An error of T_2 grows most
/// of all next to zero, where T_2 is -1 and those that are made of it are steepest.
const MADE_UP_SIZES: [f64; 4] = [1.0, 0.25, 0.0625, 0.015_625];

/// What is known of all values, and whether ranges were bounded by intervals for want of samples.
pub(crate) fn find(
    network: &Network,
    inputs: InputKnowledge<'_>,
) -> Result<(Statistics, bool), LowerError> {
    let (mut statistics, from_intervals) = find_values(network, inputs)?;
    let outputs = network.outputs.iter().map(|o| statistics.max_abs(*o));
    let largest: Vec<f64> = outputs.collect();
    let gains = if from_intervals {
        let made_up = |size: &f64| make_up(network, &statistics.ranges, *size);
        let made_up: Vec<Vec<Tensors>> = MADE_UP_SIZES.iter().map(made_up).collect();
        let sets: Vec<Vec<&Tensors>> = made_up.iter().map(|set| set.iter().collect()).collect();
        Gains::find(network, &sets, &largest)
    } else {
        Gains::find(network, &[inputs.samples.iter().collect()], &largest)
    };
    statistics.gains = gains.ok_or_else(|| LowerError::Sample {
        index: 0,
        input: String::new(),
    })?;
    Ok((statistics, from_intervals))
}

/// Samples whose elements are spread evenly over their ranges, independent of each other, times a number up to 1.
fn make_up(network: &Network, ranges: &[Range], size: f64) -> Vec<Tensors> {
    // The linear congruential generator of Knuth's MMIX.
    let mut state = 1_u64;
    let mut unit = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 * libm::exp2(-53.0)
    };
    let mut sample = || {
        let mut tensors = Tensors::new();
        for (value, range) in network.values.iter().zip(ranges) {
            if let Kind::Input(name) = &value.kind {
                let mut next = |_| {
                    let value = range.lo + (range.hi - range.lo) * unit();
                    (size * value).clamp(range.lo, range.hi)
                };
                let data = (0..value.len()).map(&mut next).collect();
                tensors.insert(name.clone(), Tensor::from_vec(data));
            }
        }
        tensors
    };
    (0..MADE_UP).map(|_| sample()).collect()
}

/// Ranges and mean squares of all values: measured, or bounded by intervals where there are no samples.
fn find_values(
    network: &Network,
    inputs: InputKnowledge<'_>,
) -> Result<(Statistics, bool), LowerError> {
    let declared = |name: &str| inputs.ranges.get(name).copied();
    let named: Vec<&String> = network
        .values
        .iter()
        .filter_map(|v| {
            if let Kind::Input(n) = &v.kind {
                Some(n)
            } else {
                None
            }
        })
        .collect();
    if inputs.samples.is_empty() {
        if let Some(unknown) = named.iter().find(|n| declared(n).is_none()) {
            return Err(LowerError::NoRange((*unknown).clone()));
        }
        return intervals::intervals(network, &declared).map(|s| (s, true));
    }
    for (index, sample) in inputs.samples.iter().enumerate() {
        for name in &named {
            let finite = |t: &Tensor| t.data().iter().all(|v| v.is_finite());
            if !sample.get(*name).is_some_and(finite) {
                return Err(LowerError::Sample {
                    index,
                    input: (*name).clone(),
                });
            }
        }
    }
    let measured = measure(network, inputs.samples, &named)?;
    let (mut found, mut found_unbiased) = (Vec::new(), Vec::new());
    for ((value, range), before) in network
        .values
        .iter()
        .zip(measured.ranges)
        .zip(measured.unbiased)
    {
        let known = if let Kind::Input(name) = &value.kind {
            declared(name).or(range)
        } else {
            range
        };
        let known = known.ok_or_else(|| LowerError::Unbounded(value.origin.clone()))?;
        found.push(known);
        found_unbiased.push(before.unwrap_or(known));
    }
    let moments = measured
        .picked
        .iter()
        .map(|p| {
            (
                p.value,
                Moments::new(&p.program, p.len, found[p.operand], &p.data),
            )
        })
        .collect();
    Ok((
        Statistics {
            ranges: found,
            unbiased: found_unbiased,
            mean_squares: measured.mean_squares,
            moments,
            approximations: approximation::errors(network, inputs.samples),
            gains: Gains::default(),
            from_intervals: false,
        },
        false,
    ))
}
