//! approximate: every function becomes a polynomial in the Chebyshev basis over the range of its operand.
//!
//! The domain is the calibrated range widened by the margin, or what interval arithmetic gives from declared input
//! ranges. A function that is a straight line there is replaced by it. The degrees are chosen by what the outputs need
//! ([`search`]): on calibration samples the network is evaluated with polynomials until decisions (or the wanted
//! precision) are kept at the fewest levels. Without samples every layer is fitted to a fixed precision.
//!
//! Signs become compositions of polynomials where that is asked for ([`jump`]); other functions that jump have been refused.

mod domain;
mod error;
mod jump;
mod layer;
mod quality;
mod search;
mod simulate;
#[cfg(test)]
mod tests;

pub use error::ApproximationError;

use super::{PassError, RangeError, TensorPass, interval, measure};
use crate::data::Evidence;
use crate::workload::{Workload, spread};
use cipherloom_ir::tensor::{Function, Module, Node as TensorNode, Op, Patch};
use cipherloom_ir::{NodeId, Origin, Range, Tensor, Tensors};
use layer::{Fitted, Kind, Layer};
use search::{Choice, DEPTHS, Goal};
use simulate::Simulation;
use std::collections::BTreeMap;

/// Multiply-accumulates that one simulation may take.
const SIMULATION_WORK: f64 = 6e8;
/// Values that a simulation may keep.
const SIMULATION_VALUES: f64 = 3e7;
/// Samples of a simulation, whatever they cost, and at most.
const SIMULATED: (usize, usize) = (48, 512);
/// The precision of a layer, relative to its largest value, where there are no samples.
const WITHOUT_SAMPLES: f64 = 1.0 / 1024.0;
/// Without samples a degree is lowered within its levels while the error stays below this part of what it may be: inputs may make
/// use of a part of their ranges alone.
const ROOM: f64 = 2.0 / 3.0;
/// An error of a layer, relative to its largest value, from which on a polynomial says nothing of the function.
const USELESS: f64 = 1.0 / 8.0;
/// Bounds from intervals are widened by this: polynomials overshoot a little.
const OVERSHOOT: f64 = 1.02;

/// What is asked of approximations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// The factor by which values may exceed their range.
    pub margin: f64,
    /// The wanted precision of the outputs in bits; without it, decisions are kept.
    pub precision: Option<f64>,
    /// Whether maxima over windows and axes are multiplied out into maxima of two values, each of which takes a polynomial.
    pub maxima: bool,
    /// Whether comparisons, steps and selections become signs, and these compositions of polynomials.
    pub jumps: bool,
    /// The half width of what a sign leaves undecided around 0, relative to its domain's.
    pub dead_zone: f64,
}

/// A function that was replaced by a polynomial.
#[derive(Clone, Debug, PartialEq)]
pub struct Approximated {
    /// Where the function came from.
    pub origin: Origin,
    /// The function.
    pub function: Function,
    /// The range of its operand, without margin.
    pub seen: Range,
    /// The range on which the polynomial is close to it.
    pub domain: Range,
    /// The polynomial's degree.
    pub degree: usize,
    /// The levels that it takes.
    pub depth: u32,
    /// The largest error over the domain.
    pub sup_error: f64,
    /// The root of the mean square error over the values of the samples; 0 without samples.
    pub rms_error: f64,
    /// The Chebyshev coefficients of the polynomial over the domain; for a sign, those of each polynomial of the composition, the
    /// further ones over [-1, 1].
    pub stages: Vec<Vec<f64>>,
    /// For a sign: the largest magnitude at which it is undecided, where the error is larger. 0 for others.
    pub dead_zone: f64,
}

/// What the polynomials do to the outputs, on the samples of the simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputError {
    /// The samples.
    pub samples: usize,
    /// The share of them that keep their argmax, or side of the threshold.
    pub agreement: f64,
    /// The root of the mean square error, relative to the largest output.
    pub rms: f64,
    /// The largest error, relative to the largest output.
    pub largest: f64,
}

/// The pass; see the module's text.
#[derive(Debug)]
pub struct Approximate<'a> {
    evidence: Evidence<'a>,
    accuracy: Accuracy,
    /// What was replaced, once the pass has run.
    pub replaced: Vec<Approximated>,
    /// What that does to the outputs; `None` where nothing was replaced or there are no samples.
    pub outputs: Option<OutputError>,
}

impl<'a> Approximate<'a> {
    /// The pass over the given evidence.
    pub fn new(evidence: Evidence<'a>, accuracy: Accuracy) -> Self {
        Self {
            evidence,
            accuracy,
            replaced: Vec::new(),
            outputs: None,
        }
    }
}

impl TensorPass for Approximate<'_> {
    fn name(&self) -> &'static str {
        "approximate"
    }

    fn doc(&self) -> &'static str {
        "replace functions by polynomials over the ranges of their operands"
    }

    fn repeats(&self) -> bool {
        false
    }

    fn run(&mut self, module: &Module) -> Result<Option<Patch>, PassError> {
        let functions = functions(module, self.accuracy.jumps);
        if functions.is_empty() {
            return Ok(None);
        }
        let (seen, margin) = match self.evidence {
            Evidence::Samples(samples) => (sampled(module, samples)?, self.accuracy.margin),
            Evidence::Declared(ranges) => {
                (declared(module, ranges, self.accuracy.margin)?, OVERSHOOT)
            }
        };
        let mut patch = Patch::new(module);
        let mut layers = Vec::new();
        let mut faults = Vec::new();
        // What stands for functions that were replaced, for those that read them.
        let mut stand_ins: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        for (node, operand, function) in functions {
            let read = stand_ins.get(&operand).copied().unwrap_or(operand);
            let Some((found, seen)) = module.graph.get(node).zip(seen.get(&operand).copied())
            else {
                continue;
            };
            match domain::domain(function, seen, margin) {
                Err(reason) => faults.push((found.origin.clone(), function.name(), reason)),
                Ok(domain) => match domain::straight(function, domain) {
                    Some(line) => {
                        stand_ins
                            .insert(node, replace_by_line(&mut patch, node, found, read, line));
                    }
                    None if *function == Function::Sign => {
                        match jump::replace(
                            module,
                            &mut patch,
                            (node, read),
                            seen,
                            domain,
                            &self.accuracy,
                        ) {
                            Ok((last, replaced)) => {
                                stand_ins.insert(node, last);
                                self.replaced.push(replaced);
                            }
                            Err(reason) => {
                                faults.push((found.origin.clone(), function.name(), reason))
                            }
                        }
                    }
                    None => layers.push(Layer::new(
                        node,
                        function.clone(),
                        found.origin.clone(),
                        seen,
                        domain,
                    )),
                },
            }
        }
        if !faults.is_empty() {
            return Err(PassError::Approximation(ApproximationError::Domains {
                source: module.source.clone(),
                functions: faults,
            }));
        }
        let fits = match self.evidence {
            Evidence::Samples(samples) if !layers.is_empty() => {
                self.by_simulation(module, samples, &mut layers)?
            }
            _ => self.by_largest_error(module, &mut layers)?,
        };
        for (layer, fit) in layers.iter().zip(fits) {
            let series = fit.series.as_ref();
            self.replaced.push(approximated(layer, &fit));
            patch.set_op(
                layer.node,
                Op::Approximation {
                    function: layer.function.clone(),
                    domain: series.domain,
                    coefficients: series.coefficients.clone(),
                },
            );
        }
        Ok(Some(patch))
    }
}

impl Approximate<'_> {
    /// Degrees by simulation.
    fn by_simulation(
        &mut self,
        module: &Module,
        samples: &[Tensors],
        layers: &mut [Layer],
    ) -> Result<Vec<Fitted>, PassError> {
        let Workload { work, values } = Workload::of(module);
        let (least, most) = SIMULATED;
        let count = (SIMULATION_WORK / work).clamp(least as f64, most as f64);
        let count = count.min((SIMULATION_VALUES / values).max(4.0)) as usize;
        let samples = spread(samples, count);
        let mut simulation = Simulation::new(module, &samples).map_err(RangeError::from)?;
        for layer in layers.iter_mut() {
            let mut density = crate::approx::Density::new(layer.domain);
            if let [operand] = module.graph.operands(layer.node)[..] {
                simulation.values_of(operand).for_each(|v| density.add(v));
            }
            layer.density = Some(density);
        }
        let goal = Goal::new(self.accuracy.precision, simulation.samples());
        let mut choice = search::choose(layers, &mut simulation, goal).map_err(RangeError::from)?;
        if let (Err(best), Some(bits)) = (&choice, self.accuracy.precision)
            && Goal::least(bits).met(&best.quality)
        {
            choice = Ok(best.clone());
        }
        let fits = |layers: &mut [Layer], choice: &Choice| -> Vec<Fitted> {
            let each = layers.iter_mut().zip(&choice.depths).zip(&choice.kinds);
            each.filter_map(|((l, d), k)| l.fit(*d, *k)).collect()
        };
        match choice {
            Ok(choice) => {
                self.outputs = Some(OutputError {
                    samples: simulation.samples(),
                    agreement: 1.0 - choice.quality.disagreement,
                    rms: choice.quality.rms,
                    largest: choice.quality.largest,
                });
                Ok(fits(layers, &choice))
            }
            Err(choice) => {
                let fits = fits(layers, &choice);
                let layers = layers.iter().zip(&fits).map(|(l, f)| approximated(l, f));
                Err(PassError::Approximation(ApproximationError::OutOfReach {
                    source: module.source.clone(),
                    precision: self.accuracy.precision,
                    reached: -libm::log2(choice.quality.largest),
                    agreement: 1.0 - choice.quality.disagreement.max(choice.quality.expected),
                    layers: layers.collect(),
                }))
            }
        }
    }

    /// The lowest degrees whose largest error is small enough in each layer by itself; without a wanted precision the
    /// highest where none is.
    fn by_largest_error(
        &self,
        module: &Module,
        layers: &mut [Layer],
    ) -> Result<Vec<Fitted>, PassError> {
        let (wanted, wished) = match self.accuracy.precision {
            Some(bits) => (search::SHARE * libm::exp2(-bits), libm::exp2(-bits)),
            None => (WITHOUT_SAMPLES, f64::INFINITY),
        };
        let (mut fits, mut faults, mut imprecise) = (Vec::new(), Vec::new(), Vec::new());
        for layer in layers.iter_mut() {
            let bound = wanted * layer.largest();
            let mut last = None;
            for depth in DEPTHS {
                last = layer.fit(depth, Kind::Minimax).or(last);
                if last.as_ref().is_some_and(|fit| fit.sup_error <= bound) {
                    last = layer.least(depth, ROOM * bound).or(last);
                    break;
                }
            }
            let Range { lo, hi } = layer.domain;
            let reason = match last {
                Some(fit) if fit.sup_error > wished * layer.largest() => {
                    let reason = format!(
                        "a polynomial of degree {} on [{lo:.4}, {hi:.4}] errs by {:.2e}, {:.1} bits below the largest value",
                        fit.series.degree(),
                        fit.sup_error,
                        -libm::log2(fit.sup_error / layer.largest())
                    );
                    imprecise.push((layer.origin.clone(), layer.function.name(), reason));
                    continue;
                }
                Some(fit) if fit.sup_error <= USELESS * layer.largest() => {
                    fits.push(fit);
                    continue;
                }
                Some(fit) => format!(
                    "a polynomial of degree {} errs by {:.2e} on [{lo:.4}, {hi:.4}], which is too wide for it",
                    fit.series.degree(),
                    fit.sup_error
                ),
                None => format!("its values are not finite on [{lo}, {hi}]"),
            };
            faults.push((layer.origin.clone(), layer.function.name(), reason));
        }
        if !faults.is_empty() {
            return Err(PassError::Approximation(ApproximationError::Domains {
                source: module.source.clone(),
                functions: faults,
            }));
        }
        match self.accuracy.precision {
            Some(precision) if !imprecise.is_empty() => {
                Err(PassError::Approximation(ApproximationError::Imprecise {
                    source: module.source.clone(),
                    precision,
                    functions: imprecise,
                }))
            }
            _ => Ok(fits),
        }
    }
}

fn approximated(layer: &Layer, fit: &Fitted) -> Approximated {
    let degree = fit.series.degree();
    Approximated {
        origin: layer.origin.clone(),
        function: layer.function.clone(),
        seen: layer.seen,
        domain: layer.domain,
        degree,
        depth: (degree + 1).next_power_of_two().ilog2(),
        sup_error: fit.sup_error,
        rms_error: layer.rms_error(&fit.series),
        stages: vec![fit.series.coefficients.clone()],
        dead_zone: 0.0,
    }
}

/// The functions that polynomials can replace, signs among them with `jumps`: node, operand, function.
fn functions(module: &Module, jumps: bool) -> Vec<(NodeId, NodeId, &Function)> {
    let Ok(order) = module.graph.topological() else {
        return vec![];
    };
    let one = |id: NodeId| match (&module.graph.get(id)?.op, &module.graph.operands(id)[..]) {
        (Op::Function(function), [operand])
            if !function.is_step() || jumps && *function == Function::Sign =>
        {
            Some((id, *operand, function))
        }
        _ => None,
    };
    order.into_iter().filter_map(one).collect()
}

/// All values' ranges on the samples. A function that has no value on one of them is refused as such.
fn sampled(module: &Module, samples: &[Tensors]) -> Result<BTreeMap<NodeId, Range>, PassError> {
    let error = match measure(module, Evidence::Samples(samples)) {
        Ok(measured) => return Ok(measured.ranges),
        Err(error) => error,
    };
    if let RangeError::NotFinite { node, sample, .. } = &error
        && let Some(found) = module.graph.get(*node)
        && let Op::Function(function) = &found.op
        && let Some(pole) = function.pole()
    {
        let reason = format!(
            "{} has no value {}, where its operand lies on sample {}",
            function.formula(),
            domain::place(pole),
            sample.unwrap_or(0)
        );
        return Err(PassError::Approximation(ApproximationError::Domains {
            source: module.source.clone(),
            functions: vec![(found.origin.clone(), function.name(), reason)],
        }));
    }
    Err(error.into())
}

/// All values' bounds from the inputs' ranges, widened by the margin.
fn declared(
    module: &Module,
    ranges: &BTreeMap<String, Range>,
    margin: f64,
) -> Result<BTreeMap<NodeId, Range>, RangeError> {
    let widened = ranges
        .iter()
        .map(|(name, range)| (name.clone(), range.widened(margin)))
        .collect();
    let intervals = interval::propagate(module, &widened)?;
    let bound = |(id, interval): (NodeId, interval::Interval)| Some((id, interval.range()?));
    Ok(intervals.into_iter().filter_map(bound).collect())
}

/// Replaces a function by `slope x + constant`, which is returned.
fn replace_by_line(
    patch: &mut Patch,
    node: NodeId,
    found: &TensorNode,
    operand: NodeId,
    (slope, constant): (f64, f64),
) -> NodeId {
    let mut result = operand;
    let mut add = |patch: &mut Patch, op: Op| {
        let (shape, origin) = (found.shape.clone(), found.origin.clone());
        result = patch.add(op, &[result], shape, None, origin);
    };
    if slope != 1.0 {
        let value = patch.add_constant("slope", Tensor::from_vec(vec![slope]));
        add(patch, Op::MulConst { value });
    }
    if constant != 0.0 {
        let value = patch.add_constant("constant", Tensor::from_vec(vec![constant]));
        add(patch, Op::AddConst { value });
    }
    patch.replace(node, result);
    result
}
