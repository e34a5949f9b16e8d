//! The explain report: what a plan costs and why, layer by layer.

mod charts;
mod diff;
mod fits;
mod graph;
mod html;
mod integer;
mod integer_text;
mod page;
mod plot;
mod tables;
mod text;

pub use diff::{
    ApproximationChange, Change, Diff, LayerChange, LayerSummary, Limit, Quantity, Side, Summary,
};
pub use fits::Sampled;
pub use graph::{GraphNode, GraphReport};
pub use html::html;
pub(crate) use integer::integer_seconds;
pub use integer::{
    FailureReport, IntegerCost, IntegerLayer, IntegerPortReport, IntegerReport, IntegerStep,
    SetReport,
};
pub use integer_text::{integer_html, integer_text};
pub use tables::TableReport;
pub use text::text;

use crate::backend::AnyServerPlan;
use cipherloom_compiler::cost::{CostModel, step_seconds};
use cipherloom_ir::container::PlanId;
use cipherloom_ir::noise::NoiseModel;
use cipherloom_ir::plan::{Plan, PlanApproximation, PlanPort, StepOp, Transform, residency};
use cipherloom_ir::security::log2_product;
use cipherloom_ir::tensor::Function;
use serde::Serialize;

/// Something said of a plan as a whole.
struct Fact {
    /// What it is about, in a word.
    label: &'static str,
    value: String,
}

impl Fact {
    fn new(label: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        Self { label, value }
    }
}

/// The report of a plan of either backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AnyReport {
    /// Of the CKKS backend.
    Ckks(Box<Report>),
    /// Of the TFHE backend.
    Tfhe(Box<IntegerReport>),
}

impl AnyReport {
    /// The report of a plan; `plan_bytes` is the size of its file, or zero. The costs are of CKKS.
    pub fn new(plan: &AnyServerPlan, plan_bytes: u64, costs: &CostModel) -> Self {
        match plan {
            AnyServerPlan::Ckks(plan) => {
                let report = Report::with_costs(plan.plan(), plan.id(), plan_bytes, costs);
                Self::Ckks(Box::new(report))
            }
            #[cfg(feature = "tfhe")]
            AnyServerPlan::Tfhe(plan) => {
                let report = IntegerReport::new(plan.plan(), plan.id(), plan_bytes);
                Self::Tfhe(Box::new(report))
            }
        }
    }

    /// The report for a terminal.
    pub fn text(&self) -> String {
        match self {
            Self::Ckks(report) => text(report),
            Self::Tfhe(report) => integer_text(report),
        }
    }

    /// The report as a page that needs no other file.
    pub fn html(&self) -> String {
        match self {
            Self::Ckks(report) => html(report),
            Self::Tfhe(report) => integer_html(report),
        }
    }
}

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

impl Report {
    /// The report of a plan, with the built-in costs; `plan_bytes` is the size of its file, or zero.
    pub fn new(plan: &Plan, id: PlanId, plan_bytes: u64) -> Self {
        Self::with_costs(plan, id, plan_bytes, CostModel::built_in())
    }

    /// The report of a plan with the costs of some machine.
    pub fn with_costs(plan: &Plan, id: PlanId, plan_bytes: u64, costs: &CostModel) -> Self {
        let seconds = step_seconds(plan, costs, 1);
        let params = &plan.params;
        let bits = |primes: &[u64]| primes.iter().map(|p| libm_log2(*p)).collect();
        let met = |quantum: bool| {
            let meets = |s: &cipherloom_ir::security::Security| {
                s.is_quantum() == quantum
                    && s.max_log_qp(params.log_n)
                        .is_some_and(|limit| params.log_qp() <= f64::from(limit))
            };
            let all = cipherloom_ir::security::Security::ALL;
            all.iter()
                .filter(|s| meets(s))
                .map(|s| s.bits())
                .max()
                .unwrap_or(0)
        };
        let samples = plan.samples();
        let bytes = |ports: &[PlanPort], elements| {
            let of = |p: &PlanPort| ciphertext_bytes(plan, p, elements);
            ports.iter().map(of).sum::<u64>()
        };
        let (input_bytes, output_bytes) = (bytes(&plan.inputs, 1), bytes(&plan.outputs, 2));
        Self {
            name: plan.name.clone(),
            source: plan.source.clone(),
            plan_id: id.to_string(),
            parameters: ParameterReport {
                scheme: "RNS-CKKS",
                log_n: params.log_n,
                slots: params.slots(),
                levels: params.max_level(),
                log_q: bits(&params.q),
                log_p: bits(&params.p),
                digit_size: params.digit_size,
            },
            security: SecurityReport {
                target: params.security.to_string(),
                bits: params.security.bits(),
                quantum: params.security.is_quantum(),
                log_qp: params.log_qp(),
                limit: params.security.max_log_qp(params.log_n),
                met: [met(false), met(true)],
            },
            cost: CostReport {
                latency_s: seconds.iter().sum(),
                latency_by_threads: THREADS
                    .map(|threads| latency(plan, costs, threads))
                    .to_vec(),
                ntts: plan.estimates.ntts,
                limb_macs: plan.estimates.limb_macs,
                eval_key_bytes: plan.estimates.eval_key_bytes,
                rotation_keys: plan.keys.rotations.len(),
                run_bytes: plan.estimates.run_bytes,
                least_run_bytes: residency(plan, Some(0)).bytes,
                plan_bytes,
                samples,
                samples_per_s: samples as f64 / plan.estimates.latency_s.max(f64::MIN_POSITIVE),
                input_bytes,
                output_bytes,
                input_bytes_per_sample: input_bytes.div_ceil(samples as u64),
                output_bytes_per_sample: output_bytes.div_ceil(samples as u64),
            },
            margin: plan.margin,
            choice: Some(plan.estimates.choice.clone()).filter(|c| !c.is_empty()),
            inputs: plan
                .inputs
                .iter()
                .map(|p| {
                    let model = NoiseModel::new(params).of_samples(samples);
                    let share = model.share(p.layout.period);
                    port(p, share * model.fresh_secret(p.scale.log2()))
                })
                .collect(),
            outputs: plan.outputs.iter().map(|p| port(p, p.noise)).collect(),
            tail: tail_of(plan.tail.as_ref()),
            results: plan.results().into_iter().map(ResultReport::from).collect(),
            approximations: plan
                .approximations
                .iter()
                .map(ApproximationReport::from)
                .collect(),
            layers: layers(plan, &seconds),
            graph: graph::graph(plan),
        }
    }
}

/// The numbers of threads for which latencies are expected.
const THREADS: [usize; 4] = [2, 4, 8, 16];

fn latency(plan: &Plan, costs: &CostModel, threads: usize) -> ThreadLatency {
    ThreadLatency {
        threads,
        latency_s: costs.seconds(plan, threads),
    }
}

impl From<cipherloom_ir::plan::ResultPort> for ResultReport {
    fn from(port: cipherloom_ir::plan::ResultPort) -> Self {
        Self {
            name: port.name,
            shape: port.shape,
            dtype: port.dtype.name(),
        }
    }
}

/// The operations of a plan's tail.
fn tail_of(tail: Option<&cipherloom_ir::tensor::Module>) -> Vec<TailReport> {
    let Some(tail) = tail else {
        return vec![];
    };
    let operation = |id| {
        let node = tail.graph.get(id)?;
        let given = matches!(node.op, cipherloom_ir::tensor::Op::Input { .. });
        (!given).then(|| TailReport {
            op: node.op.name(),
            layer: node.origin.to_string(),
            shape: node.shape.clone(),
        })
    };
    let order = tail.graph.topological().unwrap_or_default();
    order.into_iter().filter_map(operation).collect()
}

/// Bytes of a port's ciphertexts with so many ring elements each; a seeded one stores one element.
fn ciphertext_bytes(plan: &Plan, port: &PlanPort, elements: u64) -> u64 {
    let bits: u32 = plan
        .params
        .q
        .iter()
        .take(port.level + 1)
        .map(|q| 64 - q.leading_zeros())
        .sum();
    port.layout.ciphertexts as u64 * elements * u64::from(bits) * plan.params.n() as u64 / 8
}

fn port(port: &PlanPort, noise: f64) -> PortReport {
    PortReport {
        name: port.name.clone(),
        clear: port.clear,
        shape: port.shape.clone(),
        ciphertexts: port.layout.ciphertexts,
        period: port.layout.period,
        level: port.level,
        log_scale: port.scale.log2(),
        range: [port.range.lo, port.range.hi],
        noise_bits: noise_bits(noise),
        precision_bits: error_bits(
            expected_maximum(noise, port.layout.len()),
            port.range.max_abs(),
        ),
    }
}

/// The largest absolute value that is expected of so many independent Gaussian errors of the given variance:
/// sigma * sqrt(2 ln(count)), and sigma where that is less.
pub fn expected_maximum(variance: f64, count: usize) -> f64 {
    variance.sqrt() * (2.0 * (count.max(1) as f64).ln()).sqrt().max(1.0)
}

/// -log2 of an error over the largest value; `None` where there is no error or no value.
pub fn error_bits(error: f64, largest: f64) -> Option<f64> {
    let bits = -(error / largest).log2();
    (error > 0.0 && largest > 0.0 && bits.is_finite()).then_some(bits)
}

fn noise_bits(variance: f64) -> Option<f64> {
    let bits = 0.5 * variance.log2();
    bits.is_finite().then_some(bits)
}

fn libm_log2(prime: u64) -> f64 {
    log2_product([prime])
}

fn layers(plan: &Plan, seconds: &[f64]) -> Vec<LayerReport> {
    let mut layers: Vec<LayerReport> = Vec::new();
    for (step, latency_s) in plan.steps.iter().zip(seconds.iter().copied()) {
        let transform = match &step.op {
            StepOp::LinearTransform { transform, .. } => plan.transforms.get(*transform as usize),
            _ => None,
        };
        let rotations = match &step.op {
            StepOp::Fold { rotations, .. } => rotations.len(),
            _ => transform.map_or(0, rotations),
        };
        let report = StepReport {
            op: name(&step.op),
            detail: match &step.op {
                StepOp::WeightedSums { weights, .. } => weighted(plan, *weights),
                _ => transform.map(detail).unwrap_or_default(),
            },
            level: step.level,
            log_scale: step.scale.log2(),
            noise_bits: noise_bits(step.noise),
            approximation_bits: step.approximation.and_then(noise_bits),
            range: [step.range.lo, step.range.hi],
            rotations,
            latency_s,
        };
        let product = match &step.op {
            StepOp::Mul { .. } | StepOp::Square { .. } => 1,
            StepOp::WeightedSums {
                src, squares: true, ..
            } => src.len(),
            _ => 0,
        };
        match layers.last_mut().filter(|layer| layer.layer == step.origin) {
            Some(layer) => {
                layer.steps.push(report);
                layer.rotations += rotations;
                layer.products += product;
                layer.latency_s += latency_s;
            }
            None => layers.push(LayerReport {
                layer: step.origin.clone(),
                steps: vec![report],
                rotations,
                products: product,
                latency_s,
            }),
        }
    }
    layers
}

/// Key switches by rotation: baby steps of each operand, giant steps of each result, folds.
fn rotations(transform: &Transform) -> usize {
    let count = |index: fn(&cipherloom_ir::plan::Block) -> u32| {
        transform
            .blocks
            .iter()
            .map(index)
            .max()
            .map_or(0, |last| last as usize + 1)
    };
    transform.baby_rotations().len() * count(|b| b.col)
        + (transform.giant_rotations().len() + transform.folds.len()) * count(|b| b.row)
}

fn weighted(plan: &Plan, weights: u32) -> String {
    let describe = |w: &cipherloom_ir::plan::Weights| {
        format!(
            "{}: {} results of {} ciphertexts, {} products with integers at 2^{:.2}",
            w.matrix.name,
            w.matrix.rows,
            w.matrix.cols,
            w.matrix.entries(),
            w.plain_scale.log2()
        )
    };
    let found = plan.weights.get(weights as usize);
    found.map(describe).unwrap_or_default()
}

fn detail(transform: &Transform) -> String {
    let diagonals: usize = transform.blocks.iter().map(|b| b.diagonals.len()).sum();
    format!(
        "{}: {diagonals} diagonals of period {}, {} baby and {} giant steps, {} folds, weights at 2^{:.2}",
        transform.name,
        transform.period,
        transform.baby_rotations().len(),
        transform.giant_rotations().len(),
        transform.folds.len(),
        transform.plain_scale.log2()
    )
}

/// The name of an operation.
pub fn name(op: &StepOp) -> &'static str {
    match op {
        StepOp::LinearTransform { .. } => "linear transform",
        StepOp::WeightedSums { squares: false, .. } => "weighted sums",
        StepOp::WeightedSums { squares: true, .. } => "weighted sums of squares",
        StepOp::Mul { .. } => "mul",
        StepOp::Square { .. } => "square",
        StepOp::Fold { .. } => "fold",
        StepOp::Add { .. } => "add",
        StepOp::Sub { .. } => "sub",
        StepOp::AddVector { .. } => "add vector",
        StepOp::MulVector { .. } => "mul vector",
        StepOp::MulScalar { .. } => "mul scalar",
        StepOp::Combine { .. } => "combine",
        StepOp::Rescale { .. } => "rescale",
        StepOp::DropLevel { .. } => "drop level",
    }
}

/// A number of bytes for people.
pub fn human_bytes(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_for_people() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(1_540), "1.5 kB");
        assert_eq!(human_bytes(60_000_000), "60.0 MB");
        assert_eq!(human_bytes(u64::MAX), "18446744.1 TB");
    }

    #[test]
    fn no_error_has_no_bits() {
        assert_eq!(error_bits(0.0, 1.0), None);
        assert_eq!(error_bits(0.25, 1.0), Some(2.0));
        assert_eq!(error_bits(f64::NAN, 1.0), None);
        assert_eq!(expected_maximum(4.0, 1), 2.0);
        assert!((expected_maximum(1.0, 10) - 2.1459).abs() < 1e-3);
    }
}
