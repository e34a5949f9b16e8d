//! How the elements of a value become integers, and how much of the torus they take.
//!
//! Of an element's amplitude - the part of the torus over which it ranges - everything follows: a large one makes the
//! integer weights that follow small and coarse, a small one makes them large, so that the noise of the element grows. The
//! amplitude is chosen where both errors together are smallest ([`Readers`]).

use super::amplitude::Readers;
use super::grids::Grid;
use super::layers::Layers;
use super::network::{Kind, Network};
use super::statistics::Statistics;
use cipherloom_ir::integer::{TfheSet, noise};
use cipherloom_ir::value::Range;

/// The delta exponent of what lookups yield: units of 2^-18, finer than a bootstrap's noise.
pub(super) const LOOKUP_DELTA: u32 = 46;
/// Units of the torus at that exponent.
const UNITS: f64 = (1_u64 << (64 - LOOKUP_DELTA)) as f64;
/// log2 of the part of the torus that an input takes. Its noise is so small that fine weights cost nothing.
const INPUT_AMPLITUDE: u32 = 24;
/// How much noise may count beside what is cut off, which hits few samples, but these hard.
pub(super) const CAUTIONS: [f64; 4] = [0.25, 0.05, 1.0, 4.0];
/// Clipping ranges that are tried, as parts of the whole.
const CLIPS: [f64; 11] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2];

/// The scheme's noise under a set and a failure budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) set: TfheSet,
    pub(super) log2_failure: f64,
    /// The variance of what a bootstrap yields.
    pub(super) bootstrap: f64,
    /// The variance of a fresh encryption.
    pub(super) fresh: f64,
    /// The variance that a lookup adds to its operand.
    pub(super) lookup: f64,
    /// Standard deviations that are exceeded with the budget's probability.
    pub(super) deviations: f64,
}

impl Budget {
    pub(super) fn new(set: TfheSet, log2_failure: f64) -> Self {
        let (mut lo, mut hi) = (0.0, 64.0);
        for _ in 0..60 {
            let mid = 0.5 * (lo + hi);
            if noise::log2_failure(mid, 1.0) > log2_failure {
                lo = mid;
            } else {
                hi = mid;
            }
        }
        Self {
            set,
            log2_failure,
            bootstrap: noise::bootstrap(&set),
            fresh: noise::fresh(&set),
            lookup: noise::at_lookup(&set, 0.0),
            // A little more, so that rounding here never exceeds the budget there.
            deviations: hi * 1.000_001,
        }
    }

    /// How far off a lookup's phase may be, for an operand of the given variance; part of the torus.
    pub(super) fn reach(&self, variance: f64) -> f64 {
        self.deviations * libm::sqrt(self.lookup + variance)
    }

    /// The same for an operand whose noise adds a fair part, before it is known.
    pub(super) fn usual_reach(&self) -> f64 {
        self.reach(0.5 * self.lookup)
    }
}

/// `x = offset + m unit`, for integers m between two ends.
#[derive(Clone, Debug)]
pub(super) struct Coding {
    /// One for all elements, or one for each.
    unit: Vec<f64>,
    offset: Vec<f64>,
    ends: Vec<(i64, i64)>,
    pub(super) log_delta: u32,
    /// The variance of an element's noise.
    pub(super) variance: f64,
}

impl Coding {
    pub(super) fn unit(&self, element: usize) -> f64 {
        at(&self.unit, element).unwrap_or(1.0)
    }

    pub(super) fn offset(&self, element: usize) -> f64 {
        at(&self.offset, element).unwrap_or(0.0)
    }

    /// The smallest and the largest integer.
    pub(super) fn ends(&self, element: usize) -> (i64, i64) {
        at(&self.ends, element).unwrap_or((0, 0))
    }

    /// The numbers that all elements can be.
    pub(super) fn range(&self) -> Range {
        let (lo, hi) = self.ends(0);
        let end = |m: i64| self.offset(0) + m as f64 * self.unit(0);
        Range {
            lo: end(lo),
            hi: end(hi),
        }
    }

    /// Bits of the integers of any element.
    pub(super) fn bits(&self) -> u32 {
        let bits = |(lo, hi): &(i64, i64)| (hi - lo + 1).checked_ilog2().unwrap_or(0);
        self.ends.iter().map(bits).max().unwrap_or(0)
    }

    /// The integer of a number; the smallest for NaN.
    pub(super) fn encode(&self, element: usize, x: f64) -> i64 {
        let (lo, hi) = self.ends(element);
        let m = libm::round((x - self.offset(element)) / self.unit(element));
        if m.is_nan() {
            lo
        } else {
            (m as i64).clamp(lo, hi)
        }
    }

    /// Scales and zero points of all elements.
    pub(super) fn quantisation(&self) -> (Vec<f64>, Vec<i64>) {
        let zero = |(unit, offset): (&f64, &f64)| libm::round(-offset / unit) as i64;
        let zeros = self.unit.iter().zip(&self.offset).map(zero).collect();
        (self.unit.clone(), zeros)
    }

    /// An input on a grid of the network's own.
    fn on_grid(grid: &Grid, fresh: f64) -> Self {
        let most = (grid.to - grid.from) as i64;
        let bits = most.checked_ilog2().unwrap_or(0) + 1;
        Self {
            unit: vec![grid.unit],
            offset: vec![grid.from * grid.unit],
            ends: vec![(0, most)],
            log_delta: 64 - INPUT_AMPLITUDE - bits,
            variance: fresh,
        }
    }

    /// An input of `bits` bits: each element over its own interval.
    fn input(intervals: &[(f64, f64)], bits: u32, fresh: f64) -> Self {
        let most = (1_i64 << bits) - 1;
        let widest = intervals.iter().map(|(lo, hi)| hi - lo).fold(0.0, f64::max);
        let unit = |(lo, hi): &(f64, f64)| {
            // Where all samples agree, other values are to be told from theirs at all.
            let width = if hi > lo { hi - lo } else { 1e-3 * widest };
            width.max(1e-9 * lo.abs().max(1e-6)) / most as f64
        };
        let units: Vec<f64> = intervals.iter().map(unit).collect();
        let ends = intervals.iter().zip(&units);
        let offset = ends
            .map(|((lo, _), unit)| libm::round(lo / unit) * unit)
            .collect();
        Self {
            unit: units,
            offset,
            ends: vec![(0, most)],
            log_delta: 64 - INPUT_AMPLITUDE - bits,
            variance: fresh,
        }
    }

    /// What a lookup yields, by the amplitude of each element: 0 and 1 as one negative and one positive integer, or an
    /// interval.
    fn lookup(step: bool, (lo, hi): (f64, f64), amplitudes: &[f64], variance: f64) -> Self {
        let one = |amplitude: &f64| {
            if step {
                let half = libm::round(0.5 * amplitude * UNITS).max(1.0);
                (0.5 / half, (-half as i64, half as i64))
            } else {
                let most = libm::round(amplitude * UNITS).max(1.0);
                ((hi - lo) / most, (0, most as i64))
            }
        };
        let (unit, ends) = amplitudes.iter().map(one).unzip();
        Self {
            unit,
            offset: vec![if step { 0.5 } else { lo }],
            ends,
            log_delta: LOOKUP_DELTA,
            variance,
        }
    }
}

/// The entry of an element in a list of one for all, or one for each.
fn at<T: Copy>(list: &[T], element: usize) -> Option<T> {
    list.get(element).or(list.first()).copied()
}

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
        (margin, caution): (f64, f64),
    ) -> Self {
        let lengths = row_lengths(network);
        let looked_up = looked_up(network);
        let of = |v: usize| {
            let value = &network.values[v];
            let noise = budget.usual_reach() / budget.deviations;
            let weight = caution * lengths[v] * 4.0 * noise * noise;
            match &value.kind {
                _ if value.is_step() => vec![(0.0, 1.0)],
                _ if value.grid.is_some() => {
                    let ends = |grid: &Grid| (grid.from * grid.unit, grid.to * grid.unit);
                    value.grid.iter().map(ends).collect()
                }
                Kind::Input(_) if !looked_up[v] => {
                    let wide = |s: &super::statistics::Spread| {
                        let range = Range { lo: s.lo, hi: s.hi }.widened(margin);
                        (range.lo, range.hi)
                    };
                    statistics.spreads[v].iter().map(wide).collect()
                }
                Kind::Input(_) => {
                    let best = best_clip(weight, |clip| {
                        let cut = |(e, s): (usize, &super::statistics::Spread)| {
                            let ends = clipped((s.lo, s.hi), s.mean, clip);
                            let own = statistics.samples.iter().map(|x| x[v][e]);
                            (cut_off(own, ends), ends.1 - ends.0)
                        };
                        statistics.spreads[v].iter().enumerate().map(cut).collect()
                    });
                    let spreads = statistics.spreads[v].iter();
                    spreads
                        .map(|s| clipped((s.lo, s.hi), s.mean, best))
                        .collect()
                }
                Kind::Lookup { .. } => {
                    let spreads = &statistics.spreads[v];
                    let lo = spreads.iter().map(|s| s.lo).fold(f64::INFINITY, f64::min);
                    let hi = spreads.iter().map(|s| s.hi).fold(lo, f64::max);
                    let hi = if hi > lo {
                        hi
                    } else {
                        lo + 1.0_f64.max(lo.abs())
                    };
                    let mean =
                        spreads.iter().map(|s| s.mean).sum::<f64>() / spreads.len().max(1) as f64;
                    let best = best_clip(weight, |clip| {
                        let ends = clipped((lo, hi), mean, clip);
                        let all = statistics.samples.iter().flat_map(|x| x[v].iter().copied());
                        vec![(cut_off(all, ends), ends.1 - ends.0)]
                    });
                    vec![clipped((lo, hi), mean, best)]
                }
            }
        };
        Self((0..network.values.len()).map(of).collect())
    }

    /// The interval of an element of a value.
    pub(super) fn of(&self, value: usize, element: usize) -> (f64, f64) {
        let list = &self.0[value];
        let found = list.get(element).or(list.first());
        found.copied().unwrap_or((0.0, 1.0))
    }
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
fn cut_off(values: impl Iterator<Item = f64>, (lo, hi): (f64, f64)) -> f64 {
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

/// The codings of all values.
pub(super) fn choose(
    network: &Network,
    layers: &Layers<'_>,
    intervals: &Intervals,
    statistics: &Statistics,
    budget: &Budget,
    input_bits: u32,
) -> Vec<Coding> {
    let mut codings = Vec::with_capacity(network.values.len());
    for (v, value) in network.values.iter().enumerate() {
        codings.push(match &value.kind {
            Kind::Input(_) => match &value.grid {
                Some(grid) => Coding::on_grid(grid, budget.fresh),
                None => {
                    let ends: Vec<_> = (0..value.len).map(|e| intervals.of(v, e)).collect();
                    Coding::input(&ends, input_bits, budget.fresh)
                }
            },
            Kind::Lookup { .. } => {
                let exact = layers.iter().filter(|l| l.reads(v));
                let exact = exact.filter_map(|l| l.exact.as_ref()).map(|e| e.unit());
                let amplitudes = match exact.reduce(f64::min) {
                    Some(amplitude) => vec![amplitude; value.len],
                    None => Readers::of(v, value.len, layers, intervals.of(v, 0))
                        .amplitudes(&statistics.spreads[v], budget.bootstrap),
                };
                Coding::lookup(
                    value.is_step(),
                    intervals.of(v, 0),
                    &amplitudes,
                    budget.bootstrap,
                )
            }
        });
    }
    codings
}
