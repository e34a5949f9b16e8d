//! What is known of the values within a polynomial.
//!
//! An error of an inner value reaches the result times the derivative of the result by it. Means of squares of these
//! derivatives are taken over the values that the operand has, so the many ways on which an error may go are added as
//! what they are: coherent.

use super::super::network::{Kind, Network, Value};
use super::super::polynomial::Program;
use super::super::sparse::LANES;
use cipherloom_ir::value::Range;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Evaluations of a polynomial that samples are thinned out to.
const MAX_EVALUATIONS: usize = 1 << 19;

/// Samples that are used whatever that takes.
const MIN_SAMPLES: usize = 8;

/// Operand values that stand for all of them where the order of the elements plays no part.
const TYPICAL: usize = 256;

/// Points of a declared range.
const POINTS: usize = 8;

/// Points of the domain at which inner ranges are found.
const GRID: usize = 256;

/// The values of a program over what its operand is; value 0 is the operand.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    /// The number of values.
    pub(crate) values: usize,
    /// The range of each value over the domain and the operand's range.
    pub(crate) ranges: Vec<Range>,
    /// The mean square of each value.
    pub(crate) mean_squares: Vec<f64>,
    /// For each value, the mean squared derivative by each value that it is made of.
    pub(crate) inner: Vec<Vec<f64>>,
    /// For each element, the mean squared derivative of the result by each value.
    adjoints: Vec<f64>,
}

impl Moments {
    /// Those of an operand of `len` elements in the given range: `data` holds all elements of one sample after another.
    pub(crate) fn new(program: &Program, len: usize, range: Range, data: &[f64]) -> Self {
        let count = program.sums.len() + 1;
        let mut adjoints = vec![0.0; len * count];
        let share = len.max(1) as f64 / data.len().max(1) as f64;
        for sample in data.chunks_exact(len.max(1)) {
            for (sums, t) in adjoints.chunks_mut(count).zip(sample) {
                let values = program.eval(*t);
                let found = program.adjoints(&values, count - 1);
                sums.iter_mut()
                    .zip(found)
                    .for_each(|(s, a)| *s += share * a * a);
            }
        }
        let range = range.union(Range { lo: -1.0, hi: 1.0 });
        let width = range.hi - range.lo;
        let mut ranges = vec![
            Range {
                lo: f64::INFINITY,
                hi: f64::NEG_INFINITY
            };
            count
        ];
        for i in 0..=GRID {
            let values = program.eval(range.lo + width * i as f64 / GRID as f64);
            for (range, x) in ranges.iter_mut().zip(values) {
                *range = Range {
                    lo: range.lo.min(x),
                    hi: range.hi.max(x),
                };
            }
        }
        let mut mean_squares = vec![0.0; count];
        let mut inner: Vec<Vec<f64>> = (1..=count).map(|n| vec![0.0; n]).collect();
        let step = data.len().div_ceil(TYPICAL).max(1);
        // Steps of uneven length, so that they do not meet the same elements of each sample.
        let picked = (0..data.len() / step).map(|i| i * step + i * 31 % step);
        let typical: Vec<f64> = picked.filter_map(|i| data.get(i).copied()).collect();
        let share = 1.0 / typical.len().max(1) as f64;
        for t in typical {
            let values = program.eval(t);
            for (j, x) in values.iter().enumerate() {
                mean_squares[j] += share * x * x;
                for (sum, a) in inner[j].iter_mut().zip(program.adjoints(&values, j)) {
                    *sum += share * a * a;
                }
            }
        }
        Self {
            values: count,
            ranges,
            mean_squares,
            inner,
            adjoints,
        }
    }

    /// For one element, the mean squared derivative of the result by each value.
    pub(crate) fn adjoints(&self, element: usize) -> &[f64] {
        let start = element * self.values;
        self.adjoints
            .get(start..start + self.values)
            .unwrap_or_default()
    }
}

/// A polynomial's operand in every so many samples.
#[derive(Clone, Debug)]
pub(crate) struct Picked {
    /// The polynomial.
    pub(crate) value: usize,
    /// Its operand.
    pub(crate) operand: usize,
    pub(crate) program: Arc<Program>,
    /// The number of elements.
    pub(crate) len: usize,
    /// Every how many samples one is picked.
    stride: usize,
    /// All elements of one sample after another.
    pub(crate) data: Vec<f64>,
}

impl Picked {
    /// One for each polynomial of the network, empty.
    pub(crate) fn all(network: &Network, samples: usize) -> Vec<Self> {
        let of = |(value, v): (usize, &Value)| match &v.kind {
            Kind::Polynomial { operand, program } => {
                let most = (MAX_EVALUATIONS / v.len().max(1)).max(MIN_SAMPLES);
                Some(Self {
                    value,
                    operand: *operand,
                    program: program.clone(),
                    len: v.len(),
                    stride: samples.div_ceil(most).max(1),
                    data: Vec::new(),
                })
            }
            _ => None,
        };
        network.values.iter().enumerate().filter_map(of).collect()
    }

    /// Takes the sample in a lane, whose index decides whether it is one of them.
    pub(crate) fn pick(&mut self, index: usize, lane: usize, all: &[Vec<[f64; LANES]>]) {
        if index.is_multiple_of(self.stride)
            && let Some(operand) = all.get(self.operand)
        {
            self.data.extend(operand.iter().map(|x| x[lane]));
        }
    }
}

/// As if operands were spread evenly over their ranges.
pub(super) fn uniform(network: &Network, ranges: &[Vec<Range>]) -> BTreeMap<usize, Moments> {
    let of = |picked: Picked| {
        let operands = &ranges[picked.operand];
        let at = |point: usize| {
            let share = (point as f64 + 0.5) / POINTS as f64;
            operands.iter().map(move |r| r.lo + (r.hi - r.lo) * share)
        };
        let data: Vec<f64> = (0..POINTS).flat_map(at).collect();
        let all = operands.iter().copied().reduce(Range::union);
        let all = all.unwrap_or(Range { lo: -1.0, hi: 1.0 });
        (
            picked.value,
            Moments::new(&picked.program, picked.len, all, &data),
        )
    };
    Picked::all(network, 1).into_iter().map(of).collect()
}
