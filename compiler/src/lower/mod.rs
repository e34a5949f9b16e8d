//! From the `tensor` stage to the `circuit` stage: matrices, packing, levels, scales, parameters, noise.

pub(crate) mod affine;
mod build;
mod error;
mod levels;
mod measured;
pub(crate) mod network;
mod noise;
mod packing;
mod params;
mod polynomial;
mod scales;
pub(crate) mod sparse;
mod statistics;
#[cfg(test)]
mod tests;

use crate::cost::CostModel;
use cipherloom_ir::circuit::Circuit;
use cipherloom_ir::security::Security;
use cipherloom_ir::tensor::Module;
use cipherloom_ir::value::{Range, Tensors};
pub use error::LowerError;
use std::collections::BTreeMap;

/// What lowering is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The security target.
    pub security: Security,
    /// The wanted precision of the outputs in bits: -log2 of the largest error over the largest output.
    pub precision: Option<f64>,
    /// The factor by which values may exceed their range.
    pub margin: f64,
    /// What operations cost, by which packings and parameters are chosen.
    pub cost: CostModel,
    /// How many samples one run packs.
    pub batch: Batch,
}

/// How many samples one run packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// At least so many, at the least time of a run; 1 for the lowest latency.
    Samples(usize),
    /// As many as give the most samples a second.
    Max,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            security: Security::Classical128,
            precision: None,
            margin: 2.0,
            cost: CostModel::built_in().clone(),
            batch: Batch::Samples(1),
        }
    }
}

/// What is known of the inputs.
#[derive(Clone, Copy, Debug)]
pub struct InputKnowledge<'a> {
    /// Calibration samples; none is fine if all ranges are declared.
    pub samples: &'a [Tensors],
    /// Declared ranges by input, which replace measured ones.
    pub ranges: &'a BTreeMap<String, Range>,
}

/// A lowered module.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The circuit.
    pub circuit: Circuit,
    /// Predicted precision of the outputs in bits: -log2 of the largest expected error over the largest value.
    pub output_bits: f64,
    /// Whether ranges were bounded by intervals, for want of samples.
    pub from_intervals: bool,
}

/// Lowers a module of affine and polynomial operations to a circuit.
pub fn lower(
    module: &Module,
    inputs: InputKnowledge<'_>,
    options: &Options,
) -> Result<Lowered, LowerError> {
    let mut network = network::build(module, options.margin)?;
    network::view_outputs(&mut network);
    network::fold_factors(&mut network);
    network::gains(&mut network);
    let levels = levels::assign(&mut network);
    let (statistics, from_intervals) = statistics::find(&network, inputs)?;
    let chosen = params::search(&network, &levels, &statistics, options, from_intervals)?;
    let circuit = build::circuit(
        module,
        &network,
        &levels,
        &statistics,
        inputs,
        options,
        &chosen,
    )?;
    Ok(Lowered {
        circuit,
        output_bits: chosen.bits,
        from_intervals,
    })
}
