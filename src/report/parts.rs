//! The parts of a report on a plan of the CKKS backend.

use super::{GraphReport, Sampled, fits};
use cipherloom_ir::plan::PlanApproximation;
use cipherloom_ir::tensor::Function;
use serde::Serialize;

/// All that `explain` tells of a plan of the CKKS backend. Levels count the rescales that are left; scales, noise and precision are in
/// bits (logarithms to base 2).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The model's name.
    pub name: String,
    /// What it was compiled from.
    pub source: String,
    /// The plan's id, in hexadecimal.
    pub plan_id: String,
    /// The scheme's parameters.
    pub parameters: ParameterReport,
    /// The security estimate.
    pub security: SecurityReport,
    /// Sizes and times.
    pub cost: CostReport,
    /// The margin of ranges.
    pub margin: f64,
    /// Why this backend was chosen; null where there was no choice.
    pub choice: Option<String>,
    /// The inputs.
    pub inputs: Vec<PortReport>,
    /// The encrypted outputs.
    pub outputs: Vec<PortReport>,
    /// What the client computes of them in clear, operation by operation, in order; empty where there is nothing.
    pub tail: Vec<TailReport>,
    /// The outputs that the client is left with.
    pub results: Vec<ResultReport>,
    /// The functions that polynomials stand for.
    pub approximations: Vec<ApproximationReport>,
    /// The steps, grouped by the layer that they come from, in order.
    pub layers: Vec<LayerReport>,
    /// Which of them uses which.
    pub graph: GraphReport,
}

/// Parameters of RNS-CKKS.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParameterReport {
    /// The scheme.
    pub scheme: &'static str,
    /// The ring degree's logarithm.
    pub log_n: u32,
    /// The number of slots.
    pub slots: usize,
    /// The highest level.
    pub levels: usize,
    /// Bits of each prime of the chain.
    pub log_q: Vec<f64>,
    /// Bits of each special prime.
    pub log_p: Vec<f64>,
    /// Primes per key-switching digit.
    pub digit_size: usize,
}

/// Where the parameters stand in the security table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SecurityReport {
    /// The target, such as `classical 128`.
    pub target: String,
    /// The target's bits.
    pub bits: u32,
    /// Whether the target is against quantum attacks.
    pub quantum: bool,
    /// Bits of the product of all primes, special ones included.
    pub log_qp: f64,
    /// The table's limit for it.
    pub limit: Option<u32>,
    /// The highest target of the table that these parameters meet, classical and quantum, in bits.
    pub met: [u32; 2],
}

/// Sizes in bytes and times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostReport {
    /// Expected seconds of one run on one thread.
    pub latency_s: f64,
    /// The same on several.
    pub latency_by_threads: Vec<ThreadLatency>,
    /// The samples that one run takes.
    pub samples: usize,
    /// Samples a second that are expected of full runs on one thread.
    pub samples_per_s: f64,
    /// Bytes of ciphertexts that go to the server for each sample of a full run.
    pub input_bytes_per_sample: u64,
    /// Bytes of ciphertexts that come back for each sample of a full run.
    pub output_bytes_per_sample: u64,
    /// NTTs of one limb.
    pub ntts: u64,
    /// Multiply-accumulates over one limb.
    pub limb_macs: u64,
    /// The evaluation keys on disk.
    pub eval_key_bytes: u64,
    /// Rotation keys.
    pub rotation_keys: usize,
    /// The peak of `run` with everything held expanded.
    pub run_bytes: u64,
    /// The least that `run --max-memory` can do with.
    pub least_run_bytes: u64,
    /// The plan itself, weights included; zero where unknown.
    pub plan_bytes: u64,
    /// All inputs of one run as ciphertexts.
    pub input_bytes: u64,
    /// All outputs of one run as ciphertexts.
    pub output_bytes: u64,
}

/// An expected latency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ThreadLatency {
    /// Threads.
    pub threads: usize,
    /// Seconds of one run.
    pub latency_s: f64,
}

/// An input or an output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PortReport {
    /// The name.
    pub name: String,
    /// For inputs: whether it is given in clear.
    pub clear: bool,
    /// The shape of one sample.
    pub shape: Vec<usize>,
    /// Ciphertexts.
    pub ciphertexts: usize,
    /// The slots of one period.
    pub period: usize,
    /// The level at which it is encrypted or arrives.
    pub level: usize,
    /// Its scale's bits.
    pub log_scale: f64,
    /// The accepted (inputs, margin included) or expected (outputs) range.
    pub range: [f64; 2],
    /// Bits of the error's standard deviation.
    pub noise_bits: Option<f64>,
    /// Bits of the expected largest error below the range's largest value.
    pub precision_bits: Option<f64>,
}

/// An operation that the client computes in clear.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TailReport {
    /// The operation.
    pub op: &'static str,
    /// The layer, as the model names it.
    pub layer: String,
    /// The shape of its result.
    pub shape: Vec<usize>,
}

/// An output as users get it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResultReport {
    /// The name.
    pub name: String,
    /// The shape of one sample.
    pub shape: Vec<usize>,
    /// The element type.
    pub dtype: &'static str,
}

/// A function that a polynomial stands for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApproximationReport {
    /// The layer, as the model names it.
    pub layer: String,
    /// The function.
    pub function: String,
    /// The range on which the polynomial is close to it, margin included.
    pub domain: [f64; 2],
    /// The polynomial's degree.
    pub degree: u32,
    /// The largest error over the domain.
    pub sup_error: f64,
    /// The root of the mean square error over the calibration samples; null without samples.
    pub rms_error: Option<f64>,
    /// The magnitude of the operand below which a sign is undecided; null for other functions.
    pub dead_zone: Option<f64>,
    /// The function as a formula; null where the plan is from before polynomials were kept in it. What follows is null or empty
    /// then.
    pub formula: Option<&'static str>,
    /// The formula's parameters: name and value.
    pub parameters: Vec<(&'static str, f64)>,
    /// The range of the operand, without margin.
    pub seen: Option<[f64; 2]>,
    /// The Chebyshev coefficients of the polynomial over the domain; a sign has several polynomials, the further ones over
    /// [-1, 1], each of the values of the one before.
    pub polynomials: Vec<Vec<f64>>,
    /// Points of both, to be drawn.
    #[serde(skip)]
    pub sampled: Sampled,
}

impl From<&PlanApproximation> for ApproximationReport {
    fn from(a: &PlanApproximation) -> Self {
        let (exact, fit) = (a.exact(), a.fit.as_ref());
        let names = exact
            .as_ref()
            .and_then(|f| Function::parameter_names(f.name()));
        let values = fit.map_or(&[][..], |f| &f.parameters);
        Self {
            layer: a.origin.clone(),
            function: a.function.clone(),
            domain: [a.domain.lo, a.domain.hi],
            degree: a.degree,
            sup_error: a.sup_error,
            rms_error: (a.rms_error > 0.0).then_some(a.rms_error),
            dead_zone: (a.dead_zone > 0.0).then_some(a.dead_zone),
            formula: exact.as_ref().map(Function::formula),
            parameters: names
                .unwrap_or_default()
                .iter()
                .copied()
                .zip(values.iter().copied())
                .collect(),
            seen: fit.map(|f| [f.seen.lo, f.seen.hi]),
            polynomials: fit.map_or_else(Vec::new, |f| f.stages.clone()),
            sampled: fits::sample(a),
        }
    }
}

/// Steps of one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// The layer, as the model names it.
    pub layer: String,
    /// Its steps.
    pub steps: Vec<StepReport>,
    /// Rotations in all steps.
    pub rotations: usize,
    /// Products of ciphertexts in all steps.
    pub products: usize,
    /// Expected seconds on one thread.
    pub latency_s: f64,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The operation.
    pub op: &'static str,
    /// What there is to say about it.
    pub detail: String,
    /// The result's level.
    pub level: usize,
    /// The result's scale in bits.
    pub log_scale: f64,
    /// Bits of the standard deviation of the result's error.
    pub noise_bits: Option<f64>,
    /// Bits of the root of the mean square error that polynomials in place of functions cause, on the calibration samples;
    /// none where there is no error, or it is not known.
    pub approximation_bits: Option<f64>,
    /// The result's range, without margin.
    pub range: [f64; 2],
    /// Rotations.
    pub rotations: usize,
    /// Expected seconds on one thread.
    pub latency_s: f64,
}
