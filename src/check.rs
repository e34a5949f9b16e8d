//! The same samples in clear, simulated with noise, and encrypted.

use crate::backend::{AnyClient, AnyServer, AnyServerPlan};
use crate::data;
use crate::metrics::{Comparison, Decision, Excursion, NoiseRatio, RangeWatch, Results, median};
use crate::report::{error_bits, expected_maximum};
use crate::{Error, ServerPlan, Tensors};
use cipherloom_ir::graph::NodeId;
#[cfg(feature = "tfhe")]
use cipherloom_ir::integer::IntegerSimulator;
use cipherloom_ir::plan::{Plan, SimulateError, Simulator};
use cipherloom_ir::tensor::{EvalError, Module, eval_all};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// The seed of the simulation's noise; sample `i` takes this plus `i`.
const SEED: u64 = 0x636c_6f6f_6d00;

/// The object that `check --json` prints. What does not apply is null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckReport {
    /// Samples in clear and simulated.
    pub samples: usize,
    /// The imported network in double precision.
    pub clear: ClearReport,
    /// The plan's steps on clear values, with noise of the predicted size.
    pub simulated: SimulatedReport,
    /// The first samples, encrypted.
    pub encrypted: EncryptedReport,
}

/// Results of the clear network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClearReport {
    /// The share of samples that match their labels.
    pub accuracy: Option<f64>,
}

/// Results of the simulation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimulatedReport {
    /// The share of samples that match their labels.
    pub accuracy: Option<f64>,
    /// The share of samples that are classified as in clear.
    pub agreement: Option<f64>,
    /// The largest absolute error.
    pub max_abs_error: Option<f64>,
    /// -log2 of it over the largest absolute clear output; like all errors, of the encrypted outputs, before a tail.
    pub error_bits: Option<f64>,
}

/// Results under encryption.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncryptedReport {
    /// The samples that were encrypted.
    pub samples: usize,
    /// The share of them that match their labels.
    pub accuracy: Option<f64>,
    /// The share of them that are classified as in clear.
    pub agreement: Option<f64>,
    /// The largest absolute error.
    pub max_abs_error: Option<f64>,
    /// -log2 of it over the largest absolute clear output of these samples.
    pub error_bits: Option<f64>,
    /// The same without approximation error: against the network with its polynomials.
    pub noise_bits: Option<f64>,
    /// The noise's standard deviation over these samples as a multiple of the predicted one, the median over outputs.
    pub noise_ratio: Option<f64>,
    /// What is predicted of `error_bits` for these samples.
    pub predicted_error_bits: Option<f64>,
    /// Seconds of one evaluation, of all samples that a run packs, with plan and keys loaded and expanded.
    pub latency_s: Option<Latency>,
    /// The process's high-water mark in bytes.
    pub peak_rss_bytes: Option<u64>,
}

/// Seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// The median; of an even number, the mean of the middle two.
    pub median: f64,
    /// The least.
    pub min: f64,
}

/// One encrypted sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncryptedSample {
    /// The class in clear.
    pub clear: Option<usize>,
    /// The class under encryption.
    pub encrypted: Option<usize>,
    /// The label.
    pub label: Option<usize>,
    /// The largest absolute error.
    pub max_abs_error: f64,
    /// Seconds of the evaluation of its run.
    pub latency_s: f64,
}

/// All that a check finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The figures.
    pub report: CheckReport,
    /// Each encrypted sample.
    pub encrypted: Vec<EncryptedSample>,
    /// Values that left their range inside the network.
    pub excursions: Vec<Excursion>,
}

/// The clear and the simulated results of one sample.
struct Sample {
    clear: Results,
    simulated: Results,
}

/// Checks samples against the clear network that the plan carries: all of them in clear and simulated, the first
/// `encrypted` of them also encrypted, as many in a run as the plan packs, in at most `max_memory` bytes as
/// [`crate::Server::within`]. `progress` is told what is done, out of how many.
pub fn check(
    plan: &ServerPlan,
    samples: &[Tensors],
    labels: Option<&[usize]>,
    encrypted: usize,
    max_memory: Option<u64>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Check, Error> {
    let plan = AnyServerPlan::Ckks(plan.clone());
    check_any(&plan, samples, labels, encrypted, max_memory, progress)
}

/// [`check`] for a plan of either backend. For the TFHE backend, the exact network is the integer simulator's without noise:
/// `noise_bits` is none where every decrypted integer is the simulator's. `progress` counts bootstraps there.
pub fn check_any(
    plan: &AnyServerPlan,
    samples: &[Tensors],
    labels: Option<&[usize]>,
    encrypted: usize,
    max_memory: Option<u64>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Check, Error> {
    let encrypted = encrypted.min(samples.len());
    let rules = Decision::of(plan.tail().unwrap_or(plan.clear()));
    // Bootstraps take long enough to be counted one by one.
    let unit = plan.bootstraps().max(1);
    let total = samples.len() + encrypted * unit;
    let label = |i: usize| labels.and_then(|l| l.get(i)).copied();
    let simulator = AnySimulator::new(plan)?;
    let (results, excursions) = clear_and_simulated(plan, &simulator, samples, &|done| {
        progress(done, total);
    })?;

    let (mut clear, mut simulated) = (Comparison::default(), Comparison::default());
    for (i, sample) in results.iter().enumerate() {
        clear.add(&rules, &sample.clear, &sample.clear, label(i));
        simulated.add(&rules, &sample.clear, &sample.simulated, label(i));
    }
    let (mut hidden, mut noise, mut bias) = <(Comparison, Comparison, Comparison)>::default();
    let (mut shown, mut latencies, mut ratio) = (Vec::new(), Vec::new(), NoiseRatio::default());
    if encrypted > 0 {
        let client = AnyClient::of_own(plan.client_plan())?;
        let server = AnyServer::new(plan.clone(), &client, max_memory)?;
        let runs = samples[..encrypted].chunks(plan.samples());
        for (chunk, clear) in runs.zip(results.chunks(plan.samples())) {
            let before = samples.len() + shown.len() * unit;
            let (decrypted, latency_s) = evaluate(plan, &client, &server, chunk, &mut |done| {
                if unit > 1 {
                    progress(before + done, total);
                }
            })?;
            latencies.push(latency_s);
            for ((sample, result), found) in chunk.iter().zip(clear).zip(decrypted) {
                let i = shown.len();
                let polynomial = polynomial(plan, &simulator, sample)?;
                hidden.add(&rules, &result.clear, &found, label(i));
                noise.add(&rules, &polynomial, &found, None);
                if let AnyServerPlan::Ckks(plan) = plan {
                    ratio.add(plan.plan(), &polynomial.encrypted, &found.encrypted);
                }
                let predicted = match plan {
                    AnyServerPlan::Ckks(_) => &polynomial,
                    // Wrong indices are no independent noise: the simulation with noise predicts all of the error.
                    #[cfg(feature = "tfhe")]
                    AnyServerPlan::Tfhe(_) => &result.simulated,
                };
                bias.add(&rules, &result.clear, predicted, None);
                let mut one = Comparison::default();
                one.add(&rules, &result.clear, &found, None);
                let class =
                    |outputs: &Tensors| rules.first().and_then(|rule| rule.of_sample(outputs));
                shown.push(EncryptedSample {
                    clear: class(&result.clear.finished),
                    encrypted: class(&found.finished),
                    label: label(i),
                    max_abs_error: one.max_abs_error,
                    latency_s,
                });
                progress(samples.len() + (i + 1) * unit, total);
            }
        }
    }
    let labelled = |share: Option<f64>| share.filter(|_| labels.is_some());
    let report = CheckReport {
        samples: samples.len(),
        clear: ClearReport {
            accuracy: labelled(clear.accuracy()),
        },
        simulated: SimulatedReport {
            accuracy: labelled(simulated.accuracy()),
            agreement: simulated.agreement(),
            max_abs_error: finite(&simulated),
            error_bits: simulated.error_bits(),
        },
        encrypted: EncryptedReport {
            samples: encrypted,
            accuracy: labelled(hidden.accuracy()),
            agreement: hidden.agreement(),
            max_abs_error: finite(&hidden),
            error_bits: hidden.error_bits(),
            noise_bits: noise.error_bits(),
            noise_ratio: ratio.median(),
            predicted_error_bits: predicted_error_bits(plan, &hidden, &bias),
            latency_s: latency(latencies),
            peak_rss_bytes: cipherloom_runtime::memory::peak_rss(),
        },
    };
    Ok(Check {
        report,
        encrypted: shown,
        excursions,
    })
}

/// The simulator of either backend.
enum AnySimulator<'p> {
    Ckks(Simulator<'p>),
    #[cfg(feature = "tfhe")]
    Tfhe(IntegerSimulator<'p>),
}

impl<'p> AnySimulator<'p> {
    fn new(plan: &'p AnyServerPlan) -> Result<Self, Error> {
        Ok(match plan {
            AnyServerPlan::Ckks(plan) => Self::Ckks(ckks_simulator(plan.plan())?),
            #[cfg(feature = "tfhe")]
            AnyServerPlan::Tfhe(plan) => Self::Tfhe(IntegerSimulator::new(plan.plan())),
        })
    }

    fn run(&self, sample: &Tensors, seed: Option<u64>) -> Result<Tensors, Error> {
        let outputs = match self {
            Self::Ckks(simulator) => simulator.run(sample, seed),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(simulator) => simulator.run(sample, seed),
        };
        outputs.map_err(simulate_error)
    }
}

fn ckks_simulator(plan: &Plan) -> Result<Simulator<'_>, Error> {
    Simulator::new(plan).map_err(simulate_error)
}

/// Evaluates every sample in clear and simulated, and watches the ranges; on all threads of the current pool.
fn clear_and_simulated(
    plan: &AnyServerPlan,
    simulator: &AnySimulator<'_>,
    samples: &[Tensors],
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(Vec<Sample>, Vec<Excursion>), Error> {
    // Chunks bound what the watched values of all layers take.
    const CHUNK: usize = 64;
    let mut results = Vec::with_capacity(samples.len());
    let mut watch = RangeWatch::default();
    for (chunk, group) in samples.chunks(CHUNK).enumerate() {
        let evaluated: Vec<_> = group
            .par_iter()
            .enumerate()
            .map(|(i, sample)| {
                let seed = SEED.wrapping_add((chunk * CHUNK + i) as u64);
                let simulated = simulator.run(sample, Some(seed))?;
                let values = eval_all(plan.clear(), sample).map_err(eval_error)?;
                Ok((values, simulated))
            })
            .collect::<Result<_, Error>>()?;
        for (i, (values, simulated)) in evaluated.into_iter().enumerate() {
            watch.add(plan.clear(), plan.margin(), chunk * CHUNK + i, &values);
            let clear = clear_outputs(plan.clear(), &values);
            results.push(Sample {
                clear: Results::of(plan.tail(), clear).map_err(eval_error)?,
                simulated: Results::of(plan.tail(), simulated).map_err(eval_error)?,
            });
        }
        progress(results.len());
    }
    Ok((results, watch.excursions().collect()))
}

/// One run of at most as many samples as it packs: the results of each, and the seconds of the evaluation. `progress` is told
/// what is done of the run.
fn evaluate(
    plan: &AnyServerPlan,
    client: &AnyClient,
    server: &AnyServer,
    samples: &[Tensors],
    progress: &mut (dyn FnMut(usize) + Send),
) -> Result<(Vec<Results>, f64), Error> {
    let stacked = data::stack(samples, &plan.inputs());
    let stacked = stacked.ok_or_else(|| Error::Internal("samples cannot be stacked".into()))?;
    let ciphertexts = client.encrypt(&stacked)?;
    let start = Instant::now();
    let outputs = server.run_with(&ciphertexts, &mut |done, _| progress(done))?;
    let latency_s = start.elapsed().as_secs_f64();
    let decrypted = data::split(&client.decrypt_exact(&outputs)?, &plan.outputs());
    let decrypted = decrypted.filter(|found| found.len() == samples.len());
    let decrypted = decrypted.ok_or_else(|| Error::Internal("an output is missing".into()))?;
    let results = decrypted.into_iter().map(|o| Results::of(plan.tail(), o));
    let results = results.collect::<Result<_, _>>().map_err(eval_error)?;
    Ok((results, latency_s))
}

fn simulate_error(error: SimulateError) -> Error {
    Error::Internal(error.to_string())
}

fn eval_error(error: EvalError) -> Error {
    Error::Internal(format!("the clear network cannot be evaluated: {error}"))
}

/// The outputs of the clear network among the values of its nodes.
fn clear_outputs(clear: &Module, values: &BTreeMap<NodeId, cipherloom_ir::Tensor>) -> Tensors {
    let output =
        |o: &cipherloom_ir::tensor::Output| Some((o.name.clone(), values.get(&o.node)?.clone()));
    clear.outputs.iter().filter_map(output).collect()
}

/// The samples' results in clear, and the values that left their range.
pub fn clear_results(
    plan: &AnyServerPlan,
    samples: &[Tensors],
) -> Result<(Vec<Tensors>, Vec<Excursion>), Error> {
    let mut watch = RangeWatch::default();
    let mut results = Vec::with_capacity(samples.len());
    for (i, sample) in samples.iter().enumerate() {
        let values = eval_all(plan.clear(), sample).map_err(eval_error)?;
        watch.add(plan.clear(), plan.margin(), i, &values);
        results.push(clear_outputs(plan.clear(), &values));
    }
    Ok((results, watch.excursions().collect()))
}

/// The results of the network with its polynomials, without noise: the plan's steps on clear values.
fn polynomial(
    plan: &AnyServerPlan,
    simulator: &AnySimulator<'_>,
    sample: &Tensors,
) -> Result<Results, Error> {
    let outputs = simulator.run(sample, None)?;
    Results::of(plan.tail(), outputs).map_err(eval_error)
}

/// What is predicted of the largest error over all samples: what polynomials do to them is known without encrypting
/// (`bias`), and the outputs' noise is predicted; the two are independent.
fn predicted_error_bits(
    plan: &AnyServerPlan,
    compared: &Comparison,
    bias: &Comparison,
) -> Option<f64> {
    let error = |port: &cipherloom_ir::plan::PlanPort| {
        expected_maximum(port.noise, port.layout.len() * compared.samples)
    };
    let noise = match plan {
        AnyServerPlan::Ckks(plan) => plan.plan().outputs.iter().map(error).fold(0.0, f64::max),
        #[cfg(feature = "tfhe")]
        AnyServerPlan::Tfhe(_) => 0.0,
    };
    error_bits(noise.hypot(bias.max_abs_error), compared.max_abs_clear)
}

fn finite(compared: &Comparison) -> Option<f64> {
    (compared.samples > 0 && compared.max_abs_error.is_finite()).then_some(compared.max_abs_error)
}

fn latency(seconds: Vec<f64>) -> Option<Latency> {
    let min = seconds.iter().copied().min_by(f64::total_cmp)?;
    let median = median(seconds)?;
    Some(Latency { median, min })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_least() {
        assert_eq!(latency(vec![]), None);
        assert_eq!(
            latency(vec![3.0, 1.0, 2.0]),
            Some(Latency {
                median: 2.0,
                min: 1.0
            })
        );
        assert_eq!(
            latency(vec![4.0, 1.0, 2.0, 3.0]),
            Some(Latency {
                median: 2.5,
                min: 1.0
            })
        );
    }
}
