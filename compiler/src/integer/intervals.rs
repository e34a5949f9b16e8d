//! Clipping ranges: the interval that each element of a value may take.

use super::coding::Budget;
use super::grids::Grid;
use super::network::{Kind, Network};
use super::statistics::{Spread, Statistics};
use cipherloom_ir::value::Range;

/// How much noise may count beside what is cut off, which hits few samples, but these hard.
pub(super) const CAUTIONS: [f64; 5] = [0.25, 0.05, 1.0, 4.0, 16.0];
/// Clipping ranges that are tried, as parts of the whole.
pub(super) const CLIPS: [f64; 11] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2];

/// What a plan is tried with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// How much noise counts beside what is cut off.
    pub(super) caution: f64,
    /// Whether each element of a lookup's result has a range of its own, or all of them have one.
    pub(super) own: bool,
    /// Whether tables go on reflected ([`super::fold`]).
    pub(super) folded: bool,
    /// What one bootstrap may tell.
    pub(super) shared: Sharing,
}

/// Which sums one bootstrap compares with several thresholds ([`super::shared`]), or computes several functions of
/// ([`super::joint`]).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) enum Sharing {
    /// None.
    None,
    /// Sums of numbers.
    Comparisons,
    /// Sums of truth values too ([`super::siblings`]).
    Paths,
}

/// Ranges of single elements are wider than the samples' by this factor,
const OWN_ROOM: f64 = 1.1;
/// and have at least this part of the width of all of them.
const OWN_LEAST: f64 = 0.125;

/// Where all samples agree on an element of an input, so much of the widest one's range: other values are to be told from theirs
/// at all.
const LEAST_WIDTH: f64 = 1e-3;
/// Samples agree where they differ by no more than this part of their size.
const ROUNDING: f64 = 1e-9;

/// The interval of each element, after clipping.
pub(super) struct Intervals(Vec<Vec<(f64, f64)>>);

impl Intervals {
    /// Clipping ranges: the sum of what is cut off and of the noise that a wider range brings is smallest.
    ///
    /// Inputs that no lookup sees lose nothing by a wide range: theirs is the accepted one.
    pub(super) fn choose(
        network: &Network,
        statistics: &Statistics,
        budget: &Budget,
        margin: f64,
        wish: Wish,
    ) -> Self {
        let mut levels = super::levels::intervals(network, statistics, budget, wish);
        let lengths = row_lengths(network);
        let looked_up = looked_up(network);
        let mut of = |v: usize| {
            if let Some(found) = levels.remove(&v) {
                return found;
            }
            let value = &network.values[v];
            let noise = budget.usual_reach() / budget.deviations;
            let weight = wish.caution * lengths[v] * 4.0 * noise * noise;
            match &value.kind {
                _ if value.is_step() => vec![(0.0, 1.0)],
                // A sign.
                _ if value.is_comparison => vec![(-1.0, 1.0)],
                _ if value.grid.is_some() => {
                    let ends = |grid: &Grid| (grid.from * grid.unit, grid.to * grid.unit);
                    value.grid.iter().map(ends).collect()
                }
                Kind::Input(_) if !looked_up[v] => {
                    let wide = |s: &Spread| {
                        let range = Range { lo: s.lo, hi: s.hi }.widened(margin);
                        (range.lo, range.hi)
                    };
                    with_width(statistics.spreads[v].iter().map(wide).collect())
                }
                Kind::Input(_) => {
                    let best = best_clip(weight, |clip| {
                        let cut = |(e, s): (usize, &Spread)| {
                            let ends = clipped((s.lo, s.hi), s.mean, clip);
                            let own = statistics.samples.iter().map(|x| x[v][e]);
                            (cut_off(own, ends), ends.1 - ends.0)
                        };
                        statistics.spreads[v].iter().enumerate().map(cut).collect()
                    });
                    let of = |s: &Spread| clipped((s.lo, s.hi), s.mean, best);
                    with_width(statistics.spreads[v].iter().map(of).collect())
                }
                Kind::Lookup { .. } => of_lookup(v, statistics, weight, wish.own),
            }
        };
        Self((0..network.values.len()).map(&mut of).collect())
    }

    /// Other intervals for a value, one for each element.
    pub(super) fn replace(&mut self, value: usize, elements: Vec<(f64, f64)>) {
        if let Some(list) = self.0.get_mut(value) {
            *list = elements;
        }
    }

    /// The interval of an element of a value.
    pub(super) fn of(&self, value: usize, element: usize) -> (f64, f64) {
        let list = &self.0[value];
        let found = list.get(element).or(list.first());
        found.copied().unwrap_or((0.0, 1.0))
    }
}

/// The intervals of an input's elements, none of them empty: what reads them has gains for all that can be encrypted.
fn with_width(mut ends: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let widest = ends.iter().map(|(lo, hi)| hi - lo).fold(0.0, f64::max);
    for (lo, hi) in &mut ends {
        let rounding = ROUNDING * lo.abs().max(1e-6);
        if *hi - *lo <= rounding {
            *hi = *lo + (LEAST_WIDTH * widest).max(rounding);
        }
    }
    ends
}

/// The intervals of a lookup's results.
fn of_lookup(v: usize, statistics: &Statistics, weight: f64, own: bool) -> Vec<(f64, f64)> {
    let spreads = &statistics.spreads[v];
    let lo = spreads.iter().map(|s| s.lo).fold(f64::INFINITY, f64::min);
    let hi = spreads.iter().map(|s| s.hi).fold(lo, f64::max);
    let hi = if hi > lo {
        hi
    } else {
        lo + 1.0_f64.max(lo.abs())
    };
    if own {
        let of = |s: &Spread, clip| clipped(own_range(s, (lo, hi)), s.mean, clip);
        let best = best_clip(weight, |clip| {
            let cut = |(e, s): (usize, &Spread)| {
                let ends = of(s, clip);
                let own = statistics.samples.iter().map(|x| x[v][e]);
                (cut_off(own, ends), ends.1 - ends.0)
            };
            spreads.iter().enumerate().map(cut).collect()
        });
        return spreads.iter().map(|s| of(s, best)).collect();
    }
    let mean = spreads.iter().map(|s| s.mean).sum::<f64>() / spreads.len().max(1) as f64;
    let best = best_clip(weight, |clip| {
        let ends = clipped((lo, hi), mean, clip);
        let all = statistics.samples.iter().flat_map(|x| x[v].iter().copied());
        vec![(cut_off(all, ends), ends.1 - ends.0)]
    });
    vec![clipped((lo, hi), mean, best)]
}

/// The range of an element within that of all of them.
pub(super) fn own_range(s: &Spread, (lo, hi): (f64, f64)) -> (f64, f64) {
    let least = 0.5 * OWN_LEAST * (hi - lo);
    let (middle, half) = (
        0.5 * (s.lo + s.hi),
        (0.5 * OWN_ROOM * (s.hi - s.lo)).max(least),
    );
    ((middle - half).max(lo), (middle + half).min(hi))
}

/// Which values lookups read.
fn looked_up(network: &Network) -> Vec<bool> {
    let mut read = vec![false; network.values.len()];
    for value in &network.values {
        if let Kind::Lookup { operand, .. } = &value.kind {
            operand.terms.iter().for_each(|(v, _)| read[*v] = true);
        }
    }
    read
}

/// The mean number of entries of the rows that read each value.
fn row_lengths(network: &Network) -> Vec<f64> {
    let mut entries = vec![(0.0, 0.0); network.values.len()];
    let lookups = network.values.iter().filter_map(|v| match &v.kind {
        Kind::Lookup { operand, .. } => Some(operand),
        Kind::Input(_) => None,
    });
    for pending in lookups.chain(network.outputs.iter().map(|o| &o.value)) {
        for (v, matrix) in &pending.terms {
            entries[*v].0 += matrix.entries() as f64;
            entries[*v].1 += matrix.rows as f64;
        }
    }
    let mean = |(entries, rows): &(f64, f64)| (entries / rows.max(1.0)).max(1.0);
    entries.iter().map(mean).collect()
}

fn clipped((lo, hi): (f64, f64), middle: f64, part: f64) -> (f64, f64) {
    (middle - part * (middle - lo), middle + part * (hi - middle))
}

/// The mean square of what lies outside.
pub(super) fn cut_off(values: impl Iterator<Item = f64>, (lo, hi): (f64, f64)) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for x in values {
        let over = (x - hi).max(lo - x).max(0.0);
        sum += over * over;
        count += 1.0;
    }
    sum / f64::max(count, 1.0)
}

/// The clip of the smallest error; `of` gives for each element what is cut off and the width that is left.
fn best_clip(weight: f64, of: impl Fn(f64) -> Vec<(f64, f64)>) -> f64 {
    let error = |clip: f64| -> f64 {
        let parts = of(clip);
        let cost = |(cut, width): &(f64, f64)| cut + weight * width * width;
        parts.iter().map(cost).sum()
    };
    let mut best = (1.0, error(1.0));
    for clip in CLIPS {
        let found = error(clip);
        if found < best.1 {
            best = (clip, found);
        }
    }
    best.0
}
