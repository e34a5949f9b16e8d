//! The report on a plan of the CKKS backend: what it is made of.

use super::{
    ApproximationReport, CostReport, LayerReport, ParameterReport, PortReport, Report,
    ResultReport, SecurityReport, StepReport, TailReport, ThreadLatency, error_bits,
    expected_maximum, graph,
};
use cipherloom_compiler::cost::{CostModel, step_seconds};
use cipherloom_ir::container::PlanId;
use cipherloom_ir::noise::NoiseModel;
use cipherloom_ir::plan::{Plan, PlanPort, StepOp, Transform, residency};
use cipherloom_ir::security::log2_product;

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
pub(super) fn tail_of(tail: Option<&cipherloom_ir::tensor::Module>) -> Vec<TailReport> {
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
        StepOp::Gain { .. } => "gain",
        StepOp::DropLevel { .. } => "drop level",
    }
}
