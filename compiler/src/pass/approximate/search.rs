//! The choice of degrees: the fewest levels with which the outputs stay good enough, by simulation on samples.

use super::layer::{Kind, Layer};
use super::quality::Quality;
use super::simulate::{Assignment, Attempt, Simulation};
use cipherloom_ir::tensor::EvalError;

/// The depths among which is chosen: degrees 2 or 3 to 254 or 255.
pub(super) const DEPTHS: std::ops::RangeInclusive<u32> = 2..=8;
/// From so many samples on, shares of them mean something.
const ENOUGH: usize = 32;
/// The part of the wanted precision that polynomials may take.
pub(super) const SHARE: f64 = 0.6;
/// Relative to the largest output, an error so small that decisions may be left out of account.
const NEGLIGIBLE: f64 = 1.0 / 4096.0;

/// When the outputs are good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Goal {
    /// Decisions are kept. The contract's 99 % are aimed at with room for samples that were not seen, which lie closer
    /// to the borders between classes than those that the network was trained on.
    Decisions {
        /// On so many samples; of a few, one alone with two classes nearly equal must not decide.
        samples: usize,
    },
    /// The root of the mean square error is at most this part of the largest output, and decisions are kept.
    Rms(f64),
    /// The largest error is at most this part of the largest output.
    Largest(f64),
}

impl Goal {
    /// The goal for a wanted precision in bits, or without one.
    pub(super) fn new(precision: Option<f64>, samples: usize) -> Self {
        match precision {
            // The rest is left to noise, and to samples that were not seen.
            Some(bits) => Goal::Largest(SHARE * libm::exp2(-bits)),
            None if samples >= ENOUGH => Goal::Decisions { samples },
            None => Goal::Rms(1.0 / 256.0),
        }
    }

    /// For a wanted precision, what the highest degrees must give where they do not meet [`Goal::new`].
    pub(super) fn least(bits: f64) -> Self {
        Goal::Largest(0.85 * libm::exp2(-bits))
    }

    pub(super) fn met(self, q: &Quality) -> bool {
        match self {
            Goal::Decisions { samples } => {
                let one = 1.0 / samples.max(1) as f64;
                let kept = q.expected <= f64::max(0.003, 0.5 * one) && q.disagreement <= 0.005;
                let near = q.rms <= 1.0 / 256.0 && q.disagreement <= f64::max(0.005, one);
                kept && q.rms <= 1.0 / 32.0 || near || q.rms <= NEGLIGIBLE
            }
            Goal::Rms(bound) => q.rms <= bound && (q.disagreement == 0.0 || q.rms <= NEGLIGIBLE),
            Goal::Largest(bound) => q.largest <= bound,
        }
    }
}

/// A depth and a kind of fit for every layer, and what they lead to.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) depths: Vec<u32>,
    pub(super) kinds: Vec<Kind>,
    pub(super) quality: Quality,
}

/// The cheapest choice that meets the goal; else the most precise one as an error.
pub(super) fn choose(
    layers: &mut [Layer],
    simulation: &mut Simulation<'_>,
    goal: Goal,
) -> Result<Result<Choice, Choice>, EvalError> {
    let mut best: Option<Choice> = None;
    for kind in [Kind::LeastSquares, Kind::Minimax] {
        let most = best.as_ref().map_or(*DEPTHS.end(), |b| {
            b.depths.iter().copied().max().unwrap_or(0) - 1
        });
        if let Some(found) = uniform(layers, simulation, goal, kind, most)? {
            best = Some(found);
        }
    }
    let Some(mut choice) = best else {
        let (depths, kinds) = all(layers, *DEPTHS.end(), Kind::Minimax);
        let attempt = attempt(layers, simulation, &depths, &kinds)?;
        return Ok(Err(Choice {
            depths,
            kinds,
            quality: attempt.quality,
        }));
    };
    let start = attempt(layers, simulation, &choice.depths, &choice.kinds)?;
    simulation.keep(start);
    loop {
        let mut lowered = false;
        // The last layers first: less depends on them, so they are tried sooner.
        for layer in (0..layers.len()).rev() {
            while lower(layers, simulation, goal, &mut choice, layer)? {
                lowered = true;
            }
        }
        if !lowered {
            return Ok(Ok(choice));
        }
    }
}

/// Takes a level from one layer if the goal stays met.
fn lower(
    layers: &mut [Layer],
    simulation: &mut Simulation<'_>,
    goal: Goal,
    choice: &mut Choice,
    layer: usize,
) -> Result<bool, EvalError> {
    if choice.depths[layer] <= *DEPTHS.start() {
        return Ok(false);
    }
    let mut depths = choice.depths.clone();
    depths[layer] -= 1;
    let found = attempt(layers, simulation, &depths, &choice.kinds)?;
    if !goal.met(&found.quality) {
        return Ok(false);
    }
    choice.depths = depths;
    choice.quality = found.quality;
    simulation.keep(found);
    Ok(true)
}

/// The least depth, at most `most`, that meets the goal in all layers alike.
fn uniform(
    layers: &mut [Layer],
    simulation: &Simulation<'_>,
    goal: Goal,
    kind: Kind,
    most: u32,
) -> Result<Option<Choice>, EvalError> {
    let (mut low, mut high) = (*DEPTHS.start(), most + 1);
    let mut found = None;
    while low < high {
        let depth = low + (high - low) / 2;
        let (depths, kinds) = all(layers, depth, kind);
        let quality = attempt(layers, simulation, &depths, &kinds)?.quality;
        if goal.met(&quality) {
            found = Some(Choice {
                depths,
                kinds,
                quality,
            });
            high = depth;
        } else {
            low = depth + 1;
        }
    }
    Ok(found)
}

fn all(layers: &[Layer], depth: u32, kind: Kind) -> (Vec<u32>, Vec<Kind>) {
    (vec![depth; layers.len()], vec![kind; layers.len()])
}

fn attempt(
    layers: &mut [Layer],
    simulation: &Simulation<'_>,
    depths: &[u32],
    kinds: &[Kind],
) -> Result<Attempt, EvalError> {
    let mut assignment = Assignment::new();
    for ((layer, depth), kind) in layers.iter_mut().zip(depths).zip(kinds) {
        if let Some(fit) = layer.fit(*depth, *kind) {
            assignment.insert(layer.node, fit.series);
        }
    }
    simulation.attempt(assignment)
}
