//! The explain report of a plan of the TFHE backend.

use super::graph::integer_graph;
use super::tables::{TableReport, tables};
use super::{GraphReport, ResultReport, SecurityReport, TailReport, ThreadLatency, tail_of};
use cipherloom_ir::container::PlanId;
use cipherloom_ir::integer::{IntegerPlan, IntegerPort, StepOp, linear_seconds, lookup_seconds};
use serde::Serialize;

/// The numbers of threads for which latencies are expected.
const THREADS: [usize; 4] = [2, 4, 8, 16];

/// All that `explain` tells of a plan of the TFHE backend. Noise and probabilities are logarithms to base 2, noise that of the
/// standard deviation on the torus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntegerReport {
    /// The model's name.
    pub name: String,
    /// What it was compiled from.
    pub source: String,
    /// The plan's id, in hexadecimal.
    pub plan_id: String,
    /// The scheme's parameters.
    pub parameters: SetReport,
    /// The security estimate.
    pub security: SecurityReport,
    /// Sizes and times.
    pub cost: IntegerCost,
    /// Failure probabilities.
    pub failure: FailureReport,
    /// The margin of ranges.
    pub margin: f64,
    /// Why this backend was chosen; null where there was no choice.
    pub choice: Option<String>,
    /// The inputs.
    pub inputs: Vec<IntegerPortReport>,
    /// The encrypted outputs.
    pub outputs: Vec<IntegerPortReport>,
    /// What the client computes of them in clear, operation by operation, in order; empty where there is nothing.
    pub tail: Vec<TailReport>,
    /// The outputs that the client is left with.
    pub results: Vec<ResultReport>,
    /// The steps, grouped by the layer that they come from, in order.
    pub layers: Vec<IntegerLayer>,
    /// Which of them uses which.
    pub graph: GraphReport,
    /// Tables of lookups, to be drawn.
    #[serde(skip)]
    pub tables: Vec<TableReport>,
}

/// A published parameter set of TFHE.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetReport {
    /// The scheme.
    pub scheme: &'static str,
    /// The set's name in the crate `tfhe`.
    pub set: &'static str,
    /// The bits that it is made for.
    pub bits: u32,
    /// The dimension of the small key.
    pub lwe_dimension: u32,
    /// The number of polynomials of the large key.
    pub glwe_dimension: u32,
    /// Their degree's logarithm.
    pub log_n: u32,
}

/// Sizes in bytes and times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntegerCost {
    /// Expected seconds of one run on one thread.
    pub latency_s: f64,
    /// The same on several.
    pub latency_by_threads: Vec<ThreadLatency>,
    /// Bootstraps of one run.
    pub bootstraps: u64,
    /// Expected seconds of one bootstrap, its keyswitch included.
    pub bootstrap_s: f64,
    /// Multiply-accumulates of ciphertexts.
    pub macs: u64,
    /// The server's keys on disk.
    pub eval_key_bytes: u64,
    /// The peak of `run`.
    pub run_bytes: u64,
    /// The plan itself, weights included; zero where unknown.
    pub plan_bytes: u64,
    /// All inputs of one run as ciphertexts.
    pub input_bytes: u64,
    /// All outputs of one run as ciphertexts.
    pub output_bytes: u64,
}

/// Logarithms to base 2 of failure probabilities; null where nothing can fail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailureReport {
    /// What each lookup and each decrypted number may have.
    pub limit: f64,
    /// The largest of any.
    pub largest: Option<f64>,
    /// That of a whole run, at most.
    pub run: Option<f64>,
}

/// An input or an output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntegerPortReport {
    /// The name.
    pub name: String,
    /// The shape of one sample.
    pub shape: Vec<usize>,
    /// Its numbers, each a ciphertext.
    pub ciphertexts: usize,
    /// The smallest and the largest integer.
    pub integers: [i64; 2],
    /// The accepted (inputs, margin included) or expected (outputs) range.
    pub range: [f64; 2],
    /// By how many units a decrypted integer may be wrong.
    pub slack: u32,
    /// Bits of the error's standard deviation.
    pub noise_bits: Option<f64>,
    /// The probability of a larger error.
    pub failure: Option<f64>,
}

/// Steps of one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntegerLayer {
    /// The layer, as the model names it.
    pub layer: String,
    /// Its steps.
    pub steps: Vec<IntegerStep>,
    /// Bootstraps in all steps.
    pub bootstraps: u64,
    /// Expected seconds on one thread.
    pub latency_s: f64,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntegerStep {
    /// The operation: `linear` or `lookup`.
    pub op: &'static str,
    /// What there is to say about it.
    pub detail: String,
    /// Elements of the result.
    pub length: u32,
    /// The phase of an integer 1 is 2 to this power, of 2^64.
    pub log_delta: u32,
    /// The smallest and the largest integer.
    pub integers: [i64; 2],
    /// Bits of the standard deviation of the result's error.
    pub noise_bits: Option<f64>,
    /// The largest failure probability of a lookup.
    pub failure: Option<f64>,
    /// Bootstraps.
    pub bootstraps: u64,
    /// Expected seconds on one thread.
    pub latency_s: f64,
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Bootstraps and seconds of a step on so many threads.
fn work(plan: &IntegerPlan, step: &cipherloom_ir::integer::Step, threads: u64) -> (u64, f64) {
    match &step.op {
        StepOp::Linear { matrix, .. } => {
            let found = plan.matrices.get(*matrix as usize);
            let entries = found.map_or(0, |m| m.indices.len() as u64);
            (0, linear_seconds(&plan.params, entries) / threads as f64)
        }
        StepOp::Lookup { reads, .. } => {
            let count = u64::from(step.length) / reads.len().max(1) as u64;
            let rounds = count.div_ceil(threads);
            (count, rounds as f64 * lookup_seconds(&plan.params))
        }
    }
}

/// Seconds that a run is expected to take on so many threads.
pub(crate) fn integer_seconds(plan: &IntegerPlan, threads: usize) -> f64 {
    let threads = threads.max(1) as u64;
    let (mut seconds, mut next) = (0.0, 0);
    while next < plan.steps.len() {
        let together = plan.side_by_side(next);
        next = together.end;
        let steps = plan.steps.get(together).unwrap_or_default();
        let count: u64 = steps.iter().map(|s| work(plan, s, threads).0).sum();
        seconds += match steps {
            [only] => work(plan, only, threads).1,
            _ => count.div_ceil(threads) as f64 * lookup_seconds(&plan.params),
        };
    }
    seconds
}

fn latency(plan: &IntegerPlan, threads: usize) -> ThreadLatency {
    ThreadLatency {
        threads,
        latency_s: integer_seconds(plan, threads),
    }
}

fn port(port: &IntegerPort) -> IntegerPortReport {
    IntegerPortReport {
        name: port.name.clone(),
        shape: port.shape.clone(),
        ciphertexts: port.elements(),
        integers: [port.quantisation.lo, port.quantisation.hi],
        range: [port.range.lo, port.range.hi],
        slack: port.slack,
        noise_bits: finite(0.5 * port.variance.log2()),
        failure: finite(port.log2_failure),
    }
}

impl IntegerReport {
    /// The report of a plan, with the built-in costs; `plan_bytes` is the size of its file, or zero.
    pub fn new(plan: &IntegerPlan, id: PlanId, plan_bytes: u64) -> Self {
        let (set, e) = (&plan.params, &plan.estimates);
        let elements = |ports: &[IntegerPort]| ports.iter().map(|p| p.elements() as u64).sum();
        let (inputs, outputs): (u64, u64) = (elements(&plan.inputs), elements(&plan.outputs));
        let failures = plan.steps.iter().map(|s| s.log2_failure);
        let failures = failures.chain(plan.outputs.iter().map(|p| p.log2_failure));
        Self {
            name: plan.name.clone(),
            source: plan.source.clone(),
            plan_id: id.to_string(),
            parameters: SetReport {
                scheme: "TFHE",
                set: set.name,
                bits: set.bits,
                lwe_dimension: set.lwe_dimension,
                glwe_dimension: set.glwe_dimension,
                log_n: set.log_polynomial_size,
            },
            security: SecurityReport {
                target: "classical 128".into(),
                bits: 128,
                quantum: false,
                log_qp: 64.0,
                limit: None,
                met: [128, 0],
            },
            cost: IntegerCost {
                latency_s: latency(plan, 1).latency_s,
                latency_by_threads: THREADS.map(|threads| latency(plan, threads)).to_vec(),
                bootstraps: plan.bootstraps(),
                bootstrap_s: lookup_seconds(set),
                macs: e.macs,
                eval_key_bytes: e.eval_key_bytes,
                run_bytes: e.run_bytes,
                plan_bytes,
                // Inputs are seeded: a word each.
                input_bytes: 8 * inputs + 16 * plan.inputs.len() as u64,
                output_bytes: 8 * outputs * set.ciphertext_words() as u64,
            },
            failure: FailureReport {
                limit: plan.log2_failure,
                largest: finite(failures.fold(f64::NEG_INFINITY, f64::max)),
                run: finite(plan.log2_failure_of_run()),
            },
            margin: plan.margin,
            choice: Some(e.choice.clone()).filter(|c| !c.is_empty()),
            inputs: plan.inputs.iter().map(port).collect(),
            outputs: plan.outputs.iter().map(port).collect(),
            tail: tail_of(plan.tail.as_ref()),
            results: plan.results().into_iter().map(ResultReport::from).collect(),
            layers: layers(plan),
            graph: integer_graph(plan),
            tables: tables(plan),
        }
    }
}

fn layers(plan: &IntegerPlan) -> Vec<IntegerLayer> {
    let mut layers: Vec<IntegerLayer> = Vec::new();
    for step in &plan.steps {
        let (bootstraps, latency_s) = work(plan, step, 1);
        let (op, detail) = match &step.op {
            StepOp::Linear { matrix, .. } => ("linear", matrix_detail(plan, *matrix)),
            StepOp::Lookup {
                tables,
                reads,
                slack,
                ..
            } => ("lookup", table_detail(plan, tables, reads.len(), *slack)),
        };
        let report = IntegerStep {
            op,
            detail,
            length: step.length,
            log_delta: step.log_delta,
            integers: [step.lo, step.hi],
            noise_bits: finite(0.5 * step.variance.log2()),
            failure: finite(step.log2_failure),
            bootstraps,
            latency_s,
        };
        match layers.last_mut().filter(|l| l.layer == step.origin) {
            Some(layer) => {
                layer.steps.push(report);
                layer.bootstraps += bootstraps;
                layer.latency_s += latency_s;
            }
            None => layers.push(IntegerLayer {
                layer: step.origin.clone(),
                steps: vec![report],
                bootstraps,
                latency_s,
            }),
        }
    }
    layers
}

fn matrix_detail(plan: &IntegerPlan, matrix: u32) -> String {
    let Some(m) = plan.matrices.get(matrix as usize) else {
        return String::new();
    };
    let most = m.weights.iter().map(|w| w.unsigned_abs()).max();
    format!(
        "{} rows, {} columns, {} entries up to {}",
        m.rows(),
        m.columns,
        m.indices.len(),
        most.unwrap_or(0)
    )
}

fn table_detail(plan: &IntegerPlan, tables: &[u32], reads: usize, slack: u32) -> String {
    let first = tables.first().and_then(|t| plan.tables.get(*t as usize));
    let Some(table) = first else {
        return String::new();
    };
    let count = match tables.len() {
        1 => "one table".to_owned(),
        n => format!("{n} tables"),
    };
    let several = match reads {
        1 => String::new(),
        n => format!(", {n} outputs each"),
    };
    let exact = match slack {
        0 => "exact".to_owned(),
        n => format!("index off by {n} at most"),
    };
    format!(
        "{}: {count} of {} bits, {exact}{several}",
        table.name,
        table.bits()
    )
}
