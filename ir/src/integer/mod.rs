//! The integer stage: what the TFHE backend executes.
//!
//! A plan is straight-line steps on registers; a register is a vector of LWE ciphertexts of integers. Two kinds of
//! steps do everything: [`StepOp::Linear`], a sparse integer matrix, which costs no bootstrap, and [`StepOp::Lookup`],
//! one programmable bootstrap per element. An integer `m` in a register of delta exponent `d` is encrypted with the
//! phase `m * 2^d` modulo 2^64. All rules of ranges, variances and failure probabilities are here, so that compiler,
//! loader, simulator and report share them.

mod analyse;
mod build;
mod cost;
mod decode;
mod encode;
mod forms;
pub mod noise;
mod params;
mod proto;
mod read;
mod simulate;
#[cfg(test)]
mod test_plans;
mod text;
mod verify;
mod wire;

pub use analyse::{AnalyseError, StepFacts, analyse, complete};
pub use build::IntegerBuilder;
pub use cost::{estimates, linear_seconds, live_bytes, lookup_seconds};
pub use params::{SETS, SetError, TfheSet};
pub use simulate::{IntegerSimulator, dequantise, quantise};
pub use text::{parse, print};
pub use verify::{verify, verify_client};
pub use wire::{
    integer_client_plan_from_bytes, integer_client_plan_to_bytes, integer_plan_from_bytes,
    integer_plan_to_bytes,
};

use crate::container::PlanId;
use crate::plan::{Register, ResultPort, tail_results};
use crate::tensor;
use crate::value::{DType, Range};
use std::collections::BTreeSet;

/// A sparse integer matrix with a bias, by rows (CSR).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix {
    /// A name for people.
    pub name: String,
    /// The number of columns: the length of all operands together.
    pub columns: u32,
    /// Where the entries of each row start, and the number of all entries: one more than there are rows.
    pub starts: Vec<u32>,
    /// The column of each entry, ascending in each row.
    pub indices: Vec<u32>,
    /// The weight of each entry, below 2^53 in size. It multiplies the operand's words.
    pub weights: Vec<i64>,
    /// What is added to each row, in units of the result; below 2^53 in size.
    pub bias: Vec<i64>,
}

impl Matrix {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.bias.len()
    }

    /// A matrix from rows of (column, weight), in any order, and the biases; weights of one column are added up, zeros
    /// left out. `None` where a sum or a count overflows.
    pub fn from_rows(
        name: impl Into<String>,
        columns: u32,
        rows: impl IntoIterator<Item = (Vec<(u32, i64)>, i64)>,
    ) -> Option<Self> {
        let mut matrix = Matrix {
            name: name.into(),
            columns,
            starts: vec![0],
            ..Matrix::default()
        };
        for (mut row, bias) in rows {
            row.sort_unstable_by_key(|(column, _)| *column);
            for group in row.chunk_by(|a, b| a.0 == b.0) {
                let weight = group
                    .iter()
                    .try_fold(0_i64, |sum, (_, w)| sum.checked_add(*w))?;
                if let (Some((column, _)), true) = (group.first(), weight != 0) {
                    matrix.indices.push(*column);
                    matrix.weights.push(weight);
                }
            }
            matrix
                .starts
                .push(u32::try_from(matrix.indices.len()).ok()?);
            matrix.bias.push(bias);
        }
        Some(matrix)
    }

    /// The entries of a row: columns and weights. Nothing where the matrix contradicts itself.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, i64)> + '_ {
        let end = self.starts.get(row + 1).map_or(0, |end| *end as usize);
        let start = self.starts.get(row).map_or(end, |start| *start as usize);
        let indices = self.indices.get(start..end).unwrap_or_default();
        let weights = self.weights.get(start..end).unwrap_or_default();
        indices
            .iter()
            .map(|c| *c as usize)
            .zip(weights.iter().copied())
    }
}

/// What a lookup turns an index into: `2^t` integers at the result's delta exponent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// A name for people.
    pub name: String,
    /// The entries, a power of two of at least 2.
    pub entries: Vec<i64>,
}

impl Table {
    /// The bits `t` of an index.
    pub fn bits(&self) -> u32 {
        self.entries.len().checked_ilog2().unwrap_or(0)
    }

    /// What a bootstrap yields at an index from `-2^t` to `2^t - 1`: the entry, and at negative indices the negated
    /// entry `2^t` further on, since the table is a polynomial modulo X^N + 1.
    pub fn at(&self, index: i64) -> i64 {
        let size = self.entries.len() as i64;
        let entry = |i: i64| usize::try_from(i).ok().and_then(|i| self.entries.get(i));
        match index.rem_euclid(2 * size.max(1)) {
            i if i < size => entry(i).copied().unwrap_or(0),
            i => entry(i - size).map_or(0, |v| v.wrapping_neg()),
        }
    }
}

/// What a step does. A step writes one register that nothing has written before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOp {
    /// `dst = matrix * (src one after the other) + bias`, on words modulo 2^64.
    ///
    /// Words are multiplied as they are: where an operand's delta exponent is `e` above the result's, a weight of 1
    /// counts as `2^e` in the result. Operands' delta exponents are not below the result's.
    Linear {
        /// The operands.
        src: Vec<Register>,
        /// Index into [`IntegerPlan::matrices`].
        matrix: u32,
    },
    /// `dst[r * len + i] = table_i[index(src[i]) + reads[r]]`: a keyswitch, a modulus switch and a bootstrap per element.
    ///
    /// For a table of `t` bits the index is the phase divided by `2^(63-t)`, rounded to the nearest (halves upwards).
    /// With an operand of delta exponent `63 - t` it is the operand itself; with a smaller one it is its high bits
    /// (an approximate lookup).
    Lookup {
        /// The operand.
        src: Register,
        /// Indices into [`IntegerPlan::tables`]: one for all elements, or one for each. All have the same length.
        tables: Vec<u32>,
        /// What is added to the index for each output of a bootstrap, below the table's length; `[0]` for one output.
        reads: Vec<u32>,
        /// By how many entries the index may be wrong: 0 for an exact lookup. The failure probability is that of a
        /// larger error.
        slack: u32,
        /// Whether indices below zero may occur, where the table is read negated ([`Table::at`]).
        negacyclic: bool,
    },
}

impl StepOp {
    /// The registers that the step reads, in order.
    pub fn operands(&self) -> &[Register] {
        match self {
            StepOp::Linear { src, .. } => src,
            StepOp::Lookup { src, .. } => std::slice::from_ref(src),
        }
    }
}

/// One step, and what is known of the vector that it yields.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The register that is written.
    pub dst: Register,
    /// The operation.
    pub op: StepOp,
    /// The number of elements.
    pub length: u32,
    /// The delta exponent `d`: an integer `m` is the phase `m * 2^d`.
    pub log_delta: u32,
    /// The smallest integer of any element.
    pub lo: i64,
    /// The largest integer of any element.
    pub hi: i64,
    /// The largest variance of any element's error, on the torus.
    pub variance: f64,
    /// For lookups, log2 of the largest failure probability of any element; minus infinity for linear steps.
    pub log2_failure: f64,
    /// Registers that no later step reads, to be freed after this one.
    pub free: Vec<Register>,
    /// The layer, for people: the origin's text.
    pub origin: String,
}

/// How real numbers become integers: `m = clamp(round(x / scale) + zero_point)`, `x = (m - zero_point) * scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantisation {
    /// One number for all elements, or one for each.
    pub scale: Vec<f64>,
    /// One number for all elements, or one for each.
    pub zero_point: Vec<i64>,
    /// The smallest integer.
    pub lo: i64,
    /// The largest integer.
    pub hi: i64,
}

impl Quantisation {
    /// Scale and zero point of an element.
    pub fn at(&self, element: usize) -> (f64, i64) {
        fn pick<T: Copy>(list: &[T], element: usize, none: T) -> T {
            let found = list.get(element).or(list.first());
            found.copied().unwrap_or(none)
        }
        (
            pick(&self.scale, element, 1.0),
            pick(&self.zero_point, element, 0),
        )
    }
}

/// An input or output: how a tensor becomes a register and back.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerPort {
    /// The name in the model.
    pub name: String,
    /// The tensor's shape, batch axis included (1); element `i` in row-major order is element `i` of the register.
    pub shape: Vec<usize>,
    /// The declared element type.
    pub dtype: DType,
    /// Whether axis 0 counts samples.
    pub batched: bool,
    /// For inputs: the accepted range, margin included. For outputs: the expected range.
    pub range: Range,
    /// The register.
    pub register: Register,
    /// The register's delta exponent.
    pub log_delta: u32,
    /// From real numbers to integers and back. For outputs, `lo` and `hi` are the register's range.
    pub quantisation: Quantisation,
    /// For outputs: by how many units a decrypted integer may be wrong; 0 for exact ones. Inputs: 0.
    pub slack: u32,
    /// The largest variance of any element's error, on the torus.
    pub variance: f64,
    /// For outputs, log2 of the largest probability that an element decrypts to an integer further off than the slack.
    /// Minus infinity for inputs.
    pub log2_failure: f64,
}

impl IntegerPort {
    /// The number of elements; 0 where it overflows.
    pub fn elements(&self) -> usize {
        crate::value::element_count(&self.shape).unwrap_or(0)
    }
}

/// What a run is expected to cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IntegerEstimates {
    /// Bootstraps.
    pub bootstraps: u64,
    /// Multiply-accumulates of ciphertexts in linear steps, each of `k N + 1` words.
    pub macs: u64,
    /// Seconds on one thread, with the built-in cost figures.
    pub latency_s: f64,
    /// Bytes of the server's keys on disk.
    pub eval_key_bytes: u64,
    /// Bytes that `run` needs at its peak.
    pub run_bytes: u64,
    /// Why this backend was chosen, and what the other one would cost; empty where there was no choice.
    pub choice: String,
}

/// A runnable plan of the TFHE backend: what the server holds.
#[derive(Clone, Debug)]
pub struct IntegerPlan {
    /// The model's name.
    pub name: String,
    /// What it was compiled from.
    pub source: String,
    /// The scheme's parameters.
    pub params: TfheSet,
    /// log2 of the failure probability that each lookup and each decrypted element may have; [`noise::DEFAULT_LOG2_FAILURE`]
    /// unless it was loosened.
    pub log2_failure: f64,
    /// The inputs.
    pub inputs: Vec<IntegerPort>,
    /// The encrypted outputs.
    pub outputs: Vec<IntegerPort>,
    /// The matrices.
    pub matrices: Vec<Matrix>,
    /// The tables.
    pub tables: Vec<Table>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Expected costs.
    pub estimates: IntegerEstimates,
    /// The margin that was applied to ranges.
    pub margin: f64,
    /// The imported, unrewritten network up to the encrypted outputs, to compute clear results with.
    pub clear: tensor::Module,
    /// What the client computes of the decrypted outputs: from the encrypted outputs to the model's, unrewritten.
    pub tail: Option<tensor::Module>,
}

impl IntegerPlan {
    /// The model's outputs, as users get them.
    pub fn results(&self) -> Vec<ResultPort> {
        results(&self.outputs, self.tail.as_ref())
    }

    /// The bootstraps of one run.
    pub fn bootstraps(&self) -> u64 {
        let count = |step: &Step| match &step.op {
            StepOp::Lookup { reads, .. } => u64::from(step.length) / reads.len().max(1) as u64,
            StepOp::Linear { .. } => 0,
        };
        self.steps.iter().map(count).sum()
    }

    /// The steps from one on that run side by side, that one included: lookups that do not read each other.
    pub fn side_by_side(&self, first: usize) -> std::ops::Range<usize> {
        let from = |i: usize| self.steps.get(i..).unwrap_or_default();
        let mut written: BTreeSet<Register> = BTreeSet::new();
        let together = from(first).iter().take_while(|step| match &step.op {
            StepOp::Lookup { src, .. } => {
                let free = !written.contains(src);
                written.insert(step.dst);
                free
            }
            StepOp::Linear { .. } => false,
        });
        let count = together.count().max(1);
        first..(first + count).min(self.steps.len())
    }

    /// log2 of the probability that any lookup of a run or any decrypted element fails, at most (union bound).
    pub fn log2_failure_of_run(&self) -> f64 {
        let steps = self
            .steps
            .iter()
            .map(|s| (u64::from(s.length), s.log2_failure));
        let outputs = self
            .outputs
            .iter()
            .map(|o| (o.elements() as u64, o.log2_failure));
        noise::log2_sum(steps.chain(outputs))
    }
}

/// What a client needs, and nothing of the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerClientPlan {
    /// The id of the server's plan.
    pub plan_id: PlanId,
    /// The model's name.
    pub name: String,
    /// The scheme's parameters.
    pub params: TfheSet,
    /// As [`IntegerPlan::log2_failure`].
    pub log2_failure: f64,
    /// The inputs.
    pub inputs: Vec<IntegerPort>,
    /// The encrypted outputs.
    pub outputs: Vec<IntegerPort>,
    /// What the client computes of the decrypted outputs; without it they are the model's.
    pub tail: Option<tensor::Module>,
}

impl IntegerClientPlan {
    /// The model's outputs, as users get them.
    pub fn results(&self) -> Vec<ResultPort> {
        results(&self.outputs, self.tail.as_ref())
    }
}

fn results(outputs: &[IntegerPort], tail: Option<&tensor::Module>) -> Vec<ResultPort> {
    let plain = |port: &IntegerPort| ResultPort {
        name: port.name.clone(),
        shape: port.shape.clone(),
        dtype: port.dtype,
        batched: port.batched,
    };
    tail_results(outputs.iter().map(plain).collect(), tail)
}
