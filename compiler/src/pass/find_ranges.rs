//! find-ranges: the range of every value's elements, from calibration samples or from declared input ranges.
//!
//! From samples the range is what was seen; from declared ranges it is what is certain ([`super::interval`]). The
//! pass sets each node's range, without margin, and keeps [`Statistics`]; ids are the module's, so it runs last, on
//! the rewritten module. [`measure`] does the same for a module that is not to be changed.

use super::{PassError, TensorPass, interval};
use crate::data::Evidence;
use cipherloom_ir::tensor::{EvalError, Module, Patch, eval_all};
use cipherloom_ir::{NodeId, Range, Tensors};
use rayon::prelude::*;
use std::collections::BTreeMap;
use thiserror::Error;

/// Samples that are evaluated before their results are joined.
const SAMPLES_AT_ONCE: usize = 64;

/// What to do where bounds from declared ranges grow without end.
const BOUNDS: &str = " within bounds from the declared ranges\n   = help: give samples (--calibrate DATA.npz), narrower ranges \
                      (--input-range NAME=LO,HI), or ask for more precision (--precision BITS)";

/// Why ranges cannot be found.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum RangeError {
    /// No sample to measure on.
    #[error("there is no calibration sample to find value ranges from")]
    NoSample,
    /// No range of an input.
    #[error("the range of input {0:?} is not declared")]
    MissingInput(String),
    /// A declared range of an input that the model does not have.
    #[error("a range is declared for {0:?}, which is no input of the model")]
    UnknownInput(String),
    /// A sample that the module cannot be evaluated on.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// A value that is not finite.
    #[error("{node} ({origin}) becomes infinite or NaN{}", sample.map_or_else(|| BOUNDS.to_owned(), |s| format!(" on sample {s}")))]
    NotFinite {
        /// The node.
        node: NodeId,
        /// Where it came from.
        origin: String,
        /// The sample, from 0; none where the range was computed from declared ones.
        sample: Option<usize>,
    },
}

/// What is known of each node's value besides its range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// The mean of the squares of all elements over all samples. For declared ranges an estimate: as if every
    /// element were uniform over its interval.
    pub mean_square: BTreeMap<NodeId, f64>,
}

/// Ranges and statistics of each node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// The range of each node's elements.
    pub ranges: BTreeMap<NodeId, Range>,
    /// The rest.
    pub statistics: Statistics,
}

/// Measures a module without changing it.
///
/// # Errors
/// No evidence, evidence that does not fit the module's inputs, values that are not finite.
pub fn measure(module: &Module, evidence: Evidence<'_>) -> Result<Measured, RangeError> {
    match evidence {
        Evidence::Samples(samples) => sampled(module, samples),
        Evidence::Declared(ranges) => declared(module, ranges),
    }
}

fn sampled(module: &Module, samples: &[Tensors]) -> Result<Measured, RangeError> {
    if samples.is_empty() {
        return Err(RangeError::NoSample);
    }
    let mut measured = Measured::default();
    let mut counts: BTreeMap<NodeId, usize> = BTreeMap::new();
    let sums = &mut measured.statistics.mean_square;
    // A bounded number of samples at a time; sums are taken in the order of samples, whatever the threads do.
    for (task, samples) in samples.chunks(SAMPLES_AT_ONCE).enumerate() {
        let found: Vec<_> = samples
            .par_iter()
            .map(|sample| of_sample(module, sample))
            .collect();
        for (index, found) in found.into_iter().enumerate() {
            for (id, (range, squares, count)) in found? {
                let sample = Some(task * SAMPLES_AT_ONCE + index);
                let range = range.ok_or_else(|| not_finite(module, id, sample))?;
                measured
                    .ranges
                    .entry(id)
                    .and_modify(|r| *r = r.union(range))
                    .or_insert(range);
                *sums.entry(id).or_default() += squares;
                *counts.entry(id).or_default() += count;
            }
        }
    }
    for (id, sum) in sums.iter_mut() {
        *sum /= counts.get(id).copied().unwrap_or(1) as f64;
    }
    Ok(measured)
}

/// For each node, the range of its elements on one sample (`None` where one is not finite), the sum of their squares,
/// and their number.
type Found = BTreeMap<NodeId, (Option<Range>, f64, usize)>;

fn of_sample(module: &Module, sample: &Tensors) -> Result<Found, EvalError> {
    let values = eval_all(module, sample)?.into_iter();
    let found = values.map(|(id, value)| {
        let squares = value.data().iter().map(|x| x * x).sum::<f64>();
        let range = Range::of(value.data().iter().copied());
        (id, (range, squares, value.len()))
    });
    Ok(found.collect())
}

fn declared(module: &Module, ranges: &BTreeMap<String, Range>) -> Result<Measured, RangeError> {
    if let Some(name) = ranges
        .keys()
        .find(|n| !module.inputs.iter().any(|i| i.name == **n))
    {
        return Err(RangeError::UnknownInput(name.clone()));
    }
    let mut measured = Measured::default();
    for (id, interval) in interval::propagate(module, ranges)? {
        let range = interval
            .range()
            .ok_or_else(|| not_finite(module, id, None))?;
        measured.ranges.insert(id, range);
        // The mean square of a uniform variable: centre^2 + radius^2 / 3.
        let elements = interval.centre.data().iter().zip(interval.radius.data());
        let sum: f64 = elements.map(|(c, r)| c * c + r * r / 3.0).sum();
        measured
            .statistics
            .mean_square
            .insert(id, sum / interval.centre.len().max(1) as f64);
    }
    Ok(measured)
}

fn not_finite(module: &Module, node: NodeId, sample: Option<usize>) -> RangeError {
    let origin = module
        .graph
        .get(node)
        .map_or(String::new(), |n| n.origin.to_string());
    RangeError::NotFinite {
        node,
        origin,
        sample,
    }
}

/// The pass; see the module's text.
#[derive(Debug)]
pub struct FindRanges<'a> {
    evidence: Evidence<'a>,
    /// What was measured, once the pass has run.
    pub statistics: Statistics,
}

impl<'a> FindRanges<'a> {
    /// The pass over the given evidence.
    pub fn new(evidence: Evidence<'a>) -> Self {
        Self {
            evidence,
            statistics: Statistics::default(),
        }
    }
}

impl TensorPass for FindRanges<'_> {
    fn name(&self) -> &'static str {
        "find-ranges"
    }

    fn doc(&self) -> &'static str {
        "find the range of every value from calibration samples or declared input ranges"
    }

    fn repeats(&self) -> bool {
        false
    }

    fn run(&mut self, module: &Module) -> Result<Option<Patch>, PassError> {
        let measured = measure(module, self.evidence)?;
        self.statistics = measured.statistics;
        let mut patch = Patch::new(module);
        for (id, range) in measured.ranges {
            if module.graph.get(id).is_some_and(|n| n.range != Some(range)) {
                patch.set_range(id, Some(range));
            }
        }
        Ok(Some(patch))
    }
}
