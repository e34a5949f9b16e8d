//! How the elements of a value become integers, and how much of the torus they take.
//!
//! Of an element's amplitude - the part of the torus over which it ranges - everything follows: a large one makes the
//! integer weights that follow small and coarse, a small one makes them large, so that the noise of the element grows. The
//! amplitude is chosen where both errors together are smallest ([`Readers`]).

use super::amplitude::{Known, LEAST_OF_TRUTHS, Readers};
use super::grids::Grid;
use super::intervals::Intervals;
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
pub(super) const INPUT_AMPLITUDE: u32 = 24;

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
        let unit = |(lo, hi): &(f64, f64)| (hi - lo) / most as f64;
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

    /// Levels over intervals: from 0 on, or distances less half of as many levels as tables have entries.
    pub(super) fn levels(
        intervals: impl Iterator<Item = (f64, f64)>,
        (bits, distance): (u32, bool),
        log_delta: u32,
        variance: f64,
    ) -> Self {
        let top = (1_i64 << bits) - 1;
        let less = if distance { 1_i64 << (bits - 1) } else { 0 };
        let (mut unit, mut offset) = (vec![], vec![]);
        for (lo, hi) in intervals {
            let level = (hi - lo) / top as f64;
            unit.push(level);
            offset.push(lo + less as f64 * level);
        }
        Self {
            unit,
            offset,
            ends: vec![(-less, top - less)],
            log_delta,
            variance,
        }
    }

    /// What a lookup yields, by the interval and the amplitude of each element: integers from 0 on, or as many negative
    /// as positive ones where tables are read negated too.
    fn lookup(negacyclic: bool, elements: &[((f64, f64), f64)], variance: f64) -> Self {
        let (mut unit, mut offset, mut ends) = (vec![], vec![], vec![]);
        for ((lo, hi), amplitude) in elements {
            let half = libm::round(0.5 * amplitude * UNITS).max(1.0);
            // The largest number lies below half of the torus, also where an element takes all of it.
            let most = libm::round(amplitude * UNITS).clamp(1.0, 0.5 * UNITS - 1.0);
            if negacyclic {
                unit.push(0.5 * (hi - lo) / half);
                offset.push(0.5 * (lo + hi));
                ends.push((-half as i64, half as i64));
            } else {
                unit.push((hi - lo) / most);
                offset.push(*lo);
                ends.push((0, most as i64));
            }
        }
        Self {
            unit,
            offset,
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
        if let Some(levels) = &value.levels {
            let coding = super::levels::coding(network, v, levels, intervals, budget);
            codings.push(coding);
            continue;
        }
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
                    None => Readers::of(v, value.len, layers, intervals).amplitudes(
                        &statistics.spreads[v],
                        Known {
                            bootstrap: budget.bootstrap,
                            least: if value.is_step() {
                                LEAST_OF_TRUTHS
                            } else {
                                0.0
                            },
                            groups: &layers.together(v, value.len),
                        },
                    ),
                };
                let negacyclic = layers.iter().any(|l| l.makes(v) && l.is_negacyclic());
                let elements = amplitudes.into_iter().enumerate();
                let elements: Vec<_> = elements.map(|(e, a)| (intervals.of(v, e), a)).collect();
                Coding::lookup(negacyclic, &elements, budget.bootstrap)
            }
        });
    }
    codings
}
