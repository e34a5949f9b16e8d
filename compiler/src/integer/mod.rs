//! From the `tensor` stage to the integer stage, for the TFHE backend: quantisation after training.
//!
//! Real numbers become integers by scales that samples tell. Inputs and the weights of a first layer are wide, since fresh
//! encryptions carry hardly any noise and sums cost no bootstrap; behind a lookup weights are as wide as the noise of
//! the bootstraps allows, row by row. A lookup computes requantisation, bias and function at once; it sees
//! the high bits of its operand, so that an index may be off by a few entries (`slack`, with the set's failure probability).
//! Sums of truth values, as of decision trees, are looked up exactly, and so are maxima and comparisons of what lookups or
//! inputs give, on few levels, where these keep the decisions.
//!
//! The parameter set, clipping ranges and the number of lookups per element are searched by ascending price, until the samples keep
//! their decisions in a simulation with noise. Where samples are few, more are made up between them.
//!
//! Sums never leave the torus, whatever the inputs are: their gains follow from the largest sum that can be.

mod agreement;
mod amplitude;
mod choice;
mod coding;
mod compared;
mod conjunctions;
mod constants;
mod copies;
mod emit;
mod entrants;
mod error;
mod fold;
mod grids;
mod intervals;
mod joint;
mod layers;
mod legal;
mod levels;
mod maxima;
mod network;
mod places;
mod rows;
mod samples;
mod scalar;
mod search;
mod select;
mod shared;
mod siblings;
mod squares;
mod statistics;
mod thresholds;

use crate::data;
use crate::pass::split_tail::split;
use crate::pass::{
    Decompose, Driver, FoldConstants, FoldScalings, FuseFunction, FusePolynomial, PassError,
    PrintAfter, TensorPass, measure,
};
use crate::workload::spread;
use agreement::Decisions;
use cipherloom_ir::Tensors;
use cipherloom_ir::integer::{IntegerPlan, noise};
use cipherloom_ir::tensor::Module;
use cipherloom_ir::value::Range;
pub use error::IntegerError;
use network::{Exactness, Known, Network};
use search::Search;
use statistics::Statistics;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Elements of all values over all samples that are kept at once, at most.
const MAX_KEPT: usize = 1 << 25;
/// Multiply-adds of the affine maps of all samples together, at most.
const MAX_WORK: usize = 1 << 31;
/// Samples from which scales are found, at most, and at least where there are so many.
const SAMPLES: (usize, usize) = (512, 32);

/// The share of samples that keep their decision, unless another one is asked for.
pub const DEFAULT_AGREEMENT: f64 = 0.99;

/// What the compilation to the integer stage is asked for.
#[derive(Clone, Debug)]
pub struct IntegerOptions {
    /// The share of samples that keep their decision: the largest output, or the side of the threshold of a single one.
    pub agreement: f64,
    /// log2 of the failure probability that each lookup and each decrypted element may have.
    pub log2_failure: f64,
    /// Bits of the inputs' integers, from 2 to 16.
    pub input_bits: u32,
    /// The factor by which inputs may exceed the range that samples show; beyond the samples they are clamped.
    pub margin: f64,
    /// Declared ranges by input, which replace measured ones where inputs are accepted.
    pub ranges: BTreeMap<String, Range>,
    /// Whether a last softmax, function or index of the largest element is compiled in, instead of leaving it to the client.
    pub keep_tail: bool,
    /// Whether maxima are exact where they can be, and keep the decisions; else indices of their lookups may be off.
    pub exact_maxima: bool,
    /// The same for comparisons of two values, positions of the largest and signs of differences.
    pub exact_comparisons: bool,
}

impl Default for IntegerOptions {
    fn default() -> Self {
        Self {
            agreement: DEFAULT_AGREEMENT,
            log2_failure: noise::DEFAULT_LOG2_FAILURE,
            input_bits: 12,
            margin: 2.0,
            ranges: BTreeMap::new(),
            keep_tail: false,
            exact_maxima: true,
            exact_comparisons: true,
        }
    }
}

/// Parameters that were tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// The name of the set.
    pub set: &'static str,
    /// Bootstraps of a run.
    pub bootstraps: u64,
    /// Estimated seconds of a run, on one thread.
    pub latency_s: f64,
    /// As [`IntegerCompiled::agreement`].
    pub agreement: f64,
    /// As [`IntegerCompiled::expected_agreement`].
    pub expected_agreement: f64,
}

impl Tried {
    fn of(compiled: &IntegerCompiled) -> Self {
        let plan = &compiled.plan;
        Self {
            set: plan.params.name,
            bootstraps: plan.estimates.bootstraps,
            latency_s: plan.estimates.latency_s,
            agreement: compiled.agreement,
            expected_agreement: compiled.expected_agreement,
        }
    }
}

/// What became of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// The operation: the origin's text.
    pub origin: String,
    /// What its lookups compute; nothing for an output.
    pub function: Option<String>,
    /// Its lookups, copies included: a bootstrap each; none where those of another layer compute this one too.
    pub lookups: usize,
    /// Lookups of each element, of which the mean is taken.
    pub copies: usize,
    /// Bits of its largest weight, with the sign.
    pub weight_bits: u32,
    /// Index bits of its tables.
    pub table_bits: u32,
    /// By how many entries an index, or by how many units an output, may be wrong.
    pub slack: u32,
    /// Bits of what its lookups yield.
    pub result_bits: u32,
    /// The range of its results, beyond which they are clamped; for an output, the range over the samples.
    pub range: Range,
    /// log2 of the largest probability that a lookup is further off than the slack, or an output.
    pub log2_failure: f64,
}

/// A plan, and what is known of it.
#[derive(Clone, Debug)]
pub struct IntegerCompiled {
    /// The plan.
    pub plan: IntegerPlan,
    /// The share of decisions on the samples that were kept, simulated with noise.
    pub agreement: f64,
    /// The share that is expected of further samples.
    pub expected_agreement: f64,
    /// Whether that is what was asked for.
    pub agrees: bool,
    /// What was tried, by ascending price.
    pub tried: Vec<Tried>,
    /// The layers in order, outputs last.
    pub layers: Vec<LayerReport>,
}

/// Compiles a module to an integer plan: the cheapest published parameter set with which the samples keep their decisions,
/// or the one that comes nearest.
///
/// # Errors
/// Options out of bounds, no samples or samples that do not fit, operations without a form at the integer stage, and
/// networks that no set of the wanted failure probability can compute.
pub fn compile_integer(
    module: &Module,
    samples: &[Tensors],
    options: &IntegerOptions,
) -> Result<IntegerCompiled, IntegerError> {
    check(options)?;
    if samples.is_empty() {
        return Err(IntegerError::NoSample);
    }
    let parts = if options.keep_tail {
        None
    } else {
        split(module)
    };
    let (body, tail) = match parts {
        Some(parts) => (parts.body, Some(parts.tail)),
        None => (module.clone(), None),
    };
    let rewritten = rewrite(&body)?;
    let measured =
        measure(&rewritten, data::Evidence::Samples(samples)).map_err(PassError::from)?;
    let source = Source {
        body: &body,
        tail: tail.as_ref(),
        samples,
        options,
    };
    let known = Known {
        ranges: measured.ranges,
        whole: levels::whole_inputs(samples, options.log2_failure),
    };
    let mut exact = Exactness {
        maxima: options.exact_maxima,
        comparisons: options.exact_comparisons,
    };
    let mut best: Option<Result<IntegerCompiled, IntegerError>> = None;
    loop {
        let network = network::build(&rewritten, &known, exact)?;
        let is_last = !network.has_levels();
        // Maxima that are put out decide nothing.
        let mut outputs = network.outputs.iter();
        let puts_out = !is_last && outputs.all(|o| network.is_of_levels(&o.value, None));
        // What loses decisions is given up, comparisons first.
        if network.has_comparisons() {
            exact.comparisons = false;
        } else {
            exact.maxima = false;
        }
        let found = source.compile(network);
        let is_enough = found.as_ref().is_ok_and(|f| f.agrees || puts_out);
        let found = better(best, found);
        if is_last || is_enough {
            return found;
        }
        best = Some(found);
    }
}

/// The plan with more that is exact, unless the other one keeps what was asked for, or much more.
fn better(
    exact: Option<Result<IntegerCompiled, IntegerError>>,
    other: Result<IntegerCompiled, IntegerError>,
) -> Result<IntegerCompiled, IntegerError> {
    match (exact, other) {
        (Some(Ok(mut exact)), Ok(other))
            if !other.agrees && other.agreement <= exact.agreement + search::GAIN =>
        {
            exact.tried.extend(other.tried);
            Ok(exact)
        }
        (Some(Ok(exact)), Err(_)) => Ok(exact),
        (_, other) => other,
    }
}

/// What a network is compiled from.
struct Source<'a> {
    /// The imported network up to the encrypted outputs.
    body: &'a Module,
    tail: Option<&'a Module>,
    samples: &'a [Tensors],
    options: &'a IntegerOptions,
}

impl Source<'_> {
    fn compile(&self, network: Network) -> Result<IntegerCompiled, IntegerError> {
        let elements: usize = network.values.iter().map(|v| v.len).sum();
        let most = (MAX_KEPT / elements.max(1)).min(MAX_WORK / network.entries().max(1));
        let count = most.clamp(SAMPLES.1, SAMPLES.0);
        let samples = spread(self.samples, count);
        let network = network.with_thresholds_between(&samples);
        let clear = clear(self.body, &samples, self.options)?;
        let samples = samples::with_made_up(samples, count, network.compares(), |sample| {
            statistics::evaluate(&network, sample).is_some()
        });
        let statistics = Statistics::measure(&network, &samples)?;
        let evidence = Evidence {
            clear,
            tail: self.tail.cloned(),
        };
        let search = Search {
            evidence: &evidence,
            decisions: &Decisions::of(self.body, &samples)?,
            samples: &samples,
            by_share: network.compares(),
            options: self.options,
            spent: Cell::default(),
        };
        search.run(&network, &statistics)
    }
}

/// What plans for all sets have in common.
struct Evidence {
    /// The imported network up to the encrypted outputs, with ranges.
    clear: Module,
    tail: Option<Module>,
}

fn check(options: &IntegerOptions) -> Result<(), IntegerError> {
    let within = |option, value: f64, lo: f64, hi: f64, reason| {
        if (lo..=hi).contains(&value) {
            Ok(())
        } else {
            Err(IntegerError::Option {
                option,
                value,
                reason,
            })
        }
    };
    let bits = f64::from(options.input_bits);
    within(
        "the agreement",
        options.agreement,
        0.0,
        1.0,
        "it must be a share from 0 to 1",
    )?;
    within(
        "the margin",
        options.margin,
        1.0,
        1e6,
        "it must be a number from 1 to 1000000",
    )?;
    within(
        "the number of input bits",
        bits,
        2.0,
        16.0,
        "it must be from 2 to 16",
    )?;
    within(
        "the failure probability's log2",
        options.log2_failure,
        -256.0,
        -5.0,
        "it must be from -256 to -5",
    )
}

/// The module after the passes that serve this backend too.
fn rewrite(module: &Module) -> Result<Module, PassError> {
    let mut rewritten = module.clone();
    let mut driver = Driver {
        print_after: PrintAfter::None,
        stop_after: None,
        verify_each: false,
        print: &mut |_, _| {},
    };
    let passes: &mut [&mut dyn TensorPass] = &mut [
        &mut FuseFunction,
        &mut Decompose {
            pairs: true,
            ..Decompose::default()
        },
        &mut FoldConstants,
        &mut FoldScalings,
        &mut FusePolynomial,
    ];
    driver.run(&mut rewritten, passes)?;
    Ok(rewritten)
}

/// The imported network with the range of each value.
fn clear(
    module: &Module,
    samples: &[Tensors],
    options: &IntegerOptions,
) -> Result<Module, PassError> {
    let measured = measure(module, data::Evidence::Samples(samples))?;
    let mut clear = module.clone();
    for (id, range) in measured.ranges {
        if let Some(node) = clear.graph.get_mut(id) {
            node.range = Some(range);
        }
    }
    for input in &module.inputs {
        let declared = options.ranges.get(&input.name);
        if let (Some(range), Some(node)) = (declared, clear.graph.get_mut(input.node)) {
            node.range = Some(*range);
        }
    }
    Ok(clear)
}
