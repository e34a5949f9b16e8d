//! From the `tensor` stage to the `circuit` stage: matrices, packing, levels, scales, parameters, noise.

mod affine;
mod build;
mod error;
mod levels;
mod measured;
mod network;
mod noise;
mod packing;
mod params;
mod sparse;
#[cfg(test)]
mod tests;

use cipherloom_ir::Tensor;
use cipherloom_ir::circuit::Circuit;
use cipherloom_ir::security::Security;
use cipherloom_ir::tensor::Module;
use cipherloom_ir::value::{Range, Tensors};
pub use error::LowerError;
use levels::Statistics;
use network::{Kind, Network, Term};
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            security: Security::Classical128,
            precision: None,
            margin: 2.0,
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
    let mut network = network::build(module)?;
    let levels = levels::assign(&mut network);
    let (statistics, from_intervals) = statistics(&network, inputs)?;
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

/// Ranges and mean squares of all values: measured, or bounded by intervals where there are no samples.
fn statistics(
    network: &Network,
    inputs: InputKnowledge<'_>,
) -> Result<(Statistics, bool), LowerError> {
    let declared = |name: &str| inputs.ranges.get(name).copied();
    let named: Vec<&String> = network
        .values
        .iter()
        .filter_map(|v| {
            if let Kind::Input(n) = &v.kind {
                Some(n)
            } else {
                None
            }
        })
        .collect();
    if inputs.samples.is_empty() {
        if let Some(unknown) = named.iter().find(|n| declared(n).is_none()) {
            return Err(LowerError::NoRange((*unknown).clone()));
        }
        return intervals(network, &declared).map(|s| (s, true));
    }
    for (index, sample) in inputs.samples.iter().enumerate() {
        for name in &named {
            let finite = |t: &Tensor| t.data().iter().all(|v| v.is_finite());
            if !sample.get(*name).is_some_and(finite) {
                return Err(LowerError::Sample {
                    index,
                    input: (*name).clone(),
                });
            }
        }
    }
    let measured = measured::measure(network, inputs.samples, &named)?;
    let (mut found, mut found_unbiased) = (Vec::new(), Vec::new());
    for ((value, range), before) in network
        .values
        .iter()
        .zip(measured.ranges)
        .zip(measured.unbiased)
    {
        let known = if let Kind::Input(name) = &value.kind {
            declared(name).or(range)
        } else {
            range
        };
        let known = known.ok_or_else(|| LowerError::Unbounded(value.origin.clone()))?;
        found.push(known);
        found_unbiased.push(before.unwrap_or(known));
    }
    Ok((
        Statistics {
            ranges: found,
            unbiased: found_unbiased,
            mean_squares: measured.mean_squares,
        },
        false,
    ))
}

/// Interval bounds of all values; mean squares as if values were uniform within them.
fn intervals(
    network: &Network,
    declared: &dyn Fn(&str) -> Option<Range>,
) -> Result<Statistics, LowerError> {
    let mut all: Vec<Vec<Range>> = Vec::with_capacity(network.values.len());
    for value in &network.values {
        let bounds: Vec<Range> = match &value.kind {
            Kind::Input(name) => {
                let range = declared(name).ok_or_else(|| LowerError::NoRange(name.clone()))?;
                vec![range; value.len()]
            }
            Kind::Square(a) => all[*a].iter().map(|r| square_bound(*r)).collect(),
            Kind::Fold(a, fold) => {
                let mut sums = vec![Range { lo: 0.0, hi: 0.0 }; value.len()];
                for round in fold.rounds() {
                    for (sum, member) in sums.iter_mut().zip(round) {
                        let part = all[*a][*member as usize];
                        (sum.lo, sum.hi) = (sum.lo + part.lo, sum.hi + part.hi);
                    }
                }
                sums
            }
            Kind::Mul(a, b) => all[*a]
                .iter()
                .zip(&all[*b])
                .map(|(a, b)| product_bound(*a, *b))
                .collect(),
            Kind::Linear { terms, bias } => {
                let start = |i: usize| bias.get(i).copied().unwrap_or(0.0);
                let mut sums: Vec<Range> = (0..value.len())
                    .map(|i| Range {
                        lo: start(i),
                        hi: start(i),
                    })
                    .collect();
                for (u, term) in terms {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let mut add = |factor: f64, r: Range| {
                            sum.lo += (factor * r.lo).min(factor * r.hi);
                            sum.hi += (factor * r.lo).max(factor * r.hi);
                        };
                        match term {
                            Term::Identity => add(1.0, all[*u][i]),
                            Term::Scalar(f) => add(*f, all[*u][i]),
                            Term::Matrix(m) => m.row(i).for_each(|(c, w)| add(w, all[*u][c])),
                        }
                    }
                }
                sums
            }
        };
        if bounds
            .iter()
            .any(|r| !r.lo.is_finite() || !r.hi.is_finite())
        {
            return Err(LowerError::Unbounded(value.origin.clone()));
        }
        all.push(bounds);
    }
    let union = |bounds: &Vec<Range>| {
        bounds
            .iter()
            .copied()
            .reduce(Range::union)
            .unwrap_or(Range { lo: 0.0, hi: 0.0 })
    };
    let ranges = all.iter().map(union).collect();
    let before = |(bounds, value): (&Vec<Range>, &network::Value)| {
        let bias = value.bias().iter().copied().chain(std::iter::repeat(0.0));
        union(
            &bounds
                .iter()
                .zip(bias)
                .map(|(r, b)| Range {
                    lo: r.lo - b,
                    hi: r.hi - b,
                })
                .collect(),
        )
    };
    let unbiased = all.iter().zip(&network.values).map(before).collect();
    let mean = |r: &Range| (r.lo * r.lo + r.lo * r.hi + r.hi * r.hi) / 3.0;
    let mean_squares = all
        .iter()
        .map(|bounds| bounds.iter().map(mean).collect())
        .collect();
    Ok(Statistics {
        ranges,
        unbiased,
        mean_squares,
    })
}

fn square_bound(r: Range) -> Range {
    let (a, b) = (r.lo * r.lo, r.hi * r.hi);
    Range {
        lo: if r.contains(0.0) { 0.0 } else { a.min(b) },
        hi: a.max(b),
    }
}

fn product_bound(a: Range, b: Range) -> Range {
    let corners = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi];
    corners.iter().skip(1).fold(
        Range {
            lo: corners[0],
            hi: corners[0],
        },
        |r, c| Range {
            lo: r.lo.min(*c),
            hi: r.hi.max(*c),
        },
    )
}
