//! Levels: numbers of a few steps, which are compared exactly.
//!
//! `max(a, b) = (a + b + |a - b|) / 2` holds for whole numbers as it does for real ones, if every lookup meets its index. So what
//! is compared takes as many levels as a lookup tells apart under the failure budget, from 0 to `2^t - 1`; differences of
//! two are from `-(2^t - 1)` on, and a table of `2^t` entries serves them all, since it is read negated below 0: it holds
//! `d - 2^(t-1)`, the distance less a constant.
//!
//! A sum under encryption cannot be halved. Instead a level takes a part `2^-h` of an entry, so that h rounds of maxima
//! bring it up to a whole one: after the first round, twice the maximum is `a + b + |a - b|`, and the distances of the next round
//! count double. Weights of differences are `2^h` then, which the noise of the bootstraps bounds: after [`HALVINGS`] rounds a
//! lookup makes levels anew. What is compared alone takes whole entries, and inputs a far smaller part, which their noise allows.

use super::coding::{Budget, Coding, INPUT_AMPLITUDE};
use super::intervals::{self, Intervals, Wish};
use super::layers::{Exact, Layer, Reader};
use super::network::{Kind, Network};
use super::statistics::{Spread, Statistics};
use cipherloom_ir::Tensors;
use cipherloom_ir::integer::SETS;
use std::collections::{BTreeMap, BTreeSet};

/// Rounds of maxima between lookups that make levels anew.
pub(super) const HALVINGS: u32 = 2;
/// Index bits of the tables, at least: fewer levels tell too little.
const LEAST_BITS: u32 = 3;
/// The squared norm of a difference: two elements, each with the weight `2^HALVINGS`.
const NORM2: f64 = (2 << (2 * HALVINGS)) as f64;

/// What is known of a value whose elements are levels.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// The maxima or comparisons that the value belongs to.
    pub(super) group: usize,
    /// For each element its class: those of one class may meet, so that their levels are the same numbers.
    pub(super) classes: Vec<usize>,
    /// A level takes an entry divided by 2 to this power.
    pub(super) halvings: u32,
    /// Whether elements are distances of two.
    pub(super) distance: bool,
    /// Whether it is an input of whole numbers that are no more than levels, which anything may read.
    pub(super) whole: bool,
}

/// Index bits of the tables of exact maxima: as many as the noise allows; `None` where these are too few.
pub(super) fn bits(budget: &Budget) -> Option<u32> {
    let fits = |bits: &u32| {
        let entry = libm::exp2(-1.0 - f64::from(*bits));
        0.5 * entry >= budget.reach(NORM2 * budget.bootstrap)
    };
    (LEAST_BITS..=budget.set.max_table_bits()).rev().find(fits)
}

/// The largest level.
pub(super) fn top(budget: &Budget) -> f64 {
    libm::exp2(f64::from(bits(budget).unwrap_or(LEAST_BITS))) - 1.0
}

/// The inputs whose elements are whole numbers, no more than levels, over all samples.
pub(super) fn whole_inputs(samples: &[Tensors], log2_failure: f64) -> BTreeSet<String> {
    let tops = SETS.iter().map(|set| top(&Budget::new(*set, log2_failure)));
    let most = tops.fold(0.0, f64::max);
    let first = samples.first().into_iter().flat_map(Tensors::keys);
    let is_whole = |name: &&String| {
        let numbers = samples.iter().filter_map(|s| s.get(*name));
        let numbers = numbers.flat_map(|t| t.data().iter().copied());
        let spread = super::statistics::spread(numbers.clone());
        spread.hi - spread.lo <= most && numbers.clone().all(|x| x == libm::rint(x))
    };
    first.filter(is_whole).cloned().collect()
}

/// What all samples tell of a class, or of all of them.
struct Member {
    spread: Spread,
    numbers: Vec<f64>,
}

/// The intervals of all values of levels, by value, one for each element: from the number of level 0 to that of the largest one.
pub(super) fn intervals(
    network: &Network,
    statistics: &Statistics,
    budget: &Budget,
    wish: Wish,
) -> BTreeMap<usize, Vec<(f64, f64)>> {
    let of_levels = |v: usize| network.values[v].levels.as_ref();
    let all: Vec<usize> = (0..network.values.len())
        .filter(|v| of_levels(*v).is_some())
        .collect();
    let groups = all
        .iter()
        .filter_map(|v| of_levels(*v))
        .map(|l| l.group + 1);
    let mut found = BTreeMap::new();
    for group in 0..groups.max().unwrap_or(0) {
        let values = || {
            let levels = all.iter().filter_map(|v| Some((*v, of_levels(*v)?)));
            levels.filter(move |(_, l)| l.group == group)
        };
        let mut numbers: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (v, levels) in values().filter(|(_, l)| !l.distance) {
            for sample in statistics.samples.iter() {
                for (class, x) in levels.classes.iter().zip(&sample[v]) {
                    let class = if wish.own { *class } else { 0 };
                    numbers.entry(class).or_default().push(*x);
                }
            }
        }
        let ends = of_classes(numbers, top(budget), wish);
        for (v, levels) in values() {
            let of = |class: &usize| {
                let (lo, hi) = ends
                    .get(class)
                    .or(ends.get(&0))
                    .copied()
                    .unwrap_or((0.0, 1.0));
                if levels.distance {
                    (0.0, hi - lo)
                } else {
                    (lo, hi)
                }
            };
            found.insert(v, levels.classes.iter().map(of).collect());
        }
    }
    found
}

/// The interval of each class.
fn of_classes(
    numbers: BTreeMap<usize, Vec<f64>>,
    top: f64,
    wish: Wish,
) -> BTreeMap<usize, (f64, f64)> {
    let member = |numbers: Vec<f64>| Member {
        spread: super::statistics::spread(numbers.iter().copied()),
        numbers,
    };
    let members: BTreeMap<usize, Member> =
        numbers.into_iter().map(|(c, n)| (c, member(n))).collect();
    let lo = members
        .values()
        .map(|m| m.spread.lo)
        .fold(f64::INFINITY, f64::min);
    let hi = members.values().map(|m| m.spread.hi).fold(lo, f64::max);
    let whole = (
        lo,
        if hi > lo {
            hi
        } else {
            lo + 1.0_f64.max(lo.abs())
        },
    );
    let wholes = members
        .iter()
        .map(|(class, m)| Some((*class, whole_numbers(m, top)?)));
    if let Some(found) = wholes.collect() {
        return found;
    }
    let range = |m: &Member| match wish.own {
        true => intervals::own_range(&m.spread, whole),
        false => whole,
    };
    let list: Vec<(&Member, (f64, f64))> = members.values().map(|m| (m, range(m))).collect();
    let clip = best_clip(&list, wish.caution / (12.0 * top * top));
    let of = |m: &Member| snapped(clipped(range(m), m.spread.mean, clip), top);
    members.iter().map(|(class, m)| (*class, of(m))).collect()
}

/// The interval of whole numbers that are no more than levels: each is one.
fn whole_numbers(m: &Member, top: f64) -> Option<(f64, f64)> {
    let (lo, hi) = (m.spread.lo, m.spread.hi);
    let fits = hi - lo <= top && m.numbers.iter().all(|x| *x == libm::rint(*x));
    // From 0 on, or half of them below it, where that holds all.
    let half = -0.5 * (top + 1.0);
    let from = if lo >= 0.0 { 0.0 } else { lo.min(half) };
    let from = from.max(hi - top);
    fits.then_some((from, from + top))
}

/// The parts of ranges below and above the mean that are kept: what is cut off and the rounding to levels, together, are smallest.
fn best_clip(list: &[(&Member, (f64, f64))], weight: f64) -> (f64, f64) {
    let parts = || std::iter::once(1.0).chain(intervals::CLIPS);
    let cut = |below: bool, part: f64| -> f64 {
        let one = |(m, range): &(&Member, (f64, f64))| {
            let (lo, hi) = clipped(*range, m.spread.mean, (part, part));
            let ends = if below {
                (lo, f64::INFINITY)
            } else {
                (f64::NEG_INFINITY, hi)
            };
            intervals::cut_off(m.numbers.iter().copied(), ends)
        };
        list.iter().map(one).sum()
    };
    let below: Vec<(f64, f64)> = parts().map(|p| (p, cut(true, p))).collect();
    let above: Vec<(f64, f64)> = parts().map(|p| (p, cut(false, p))).collect();
    let mut best = ((1.0, 1.0), f64::INFINITY);
    for (low, off_below) in &below {
        for (high, off_above) in &above {
            let width = |(m, range): &(&Member, (f64, f64))| {
                let (lo, hi) = clipped(*range, m.spread.mean, (*low, *high));
                (hi - lo) * (hi - lo)
            };
            let widths: f64 = list.iter().map(width).sum();
            let error = off_below + off_above + weight * widths;
            if error < best.1 {
                best = ((*low, *high), error);
            }
        }
    }
    best.0
}

/// The parts of a range below and above a middle.
fn clipped((lo, hi): (f64, f64), middle: f64, (low, high): (f64, f64)) -> (f64, f64) {
    (middle - low * (middle - lo), middle + high * (hi - middle))
}

/// An interval as long, which begins at a whole multiple of a level.
fn snapped((lo, hi): (f64, f64), top: f64) -> (f64, f64) {
    let unit = (hi - lo) / top;
    let lo = libm::round(lo / unit) * unit;
    (lo, lo + top * unit)
}

/// How levels are read.
#[derive(Clone, Copy)]
enum Reading {
    /// The difference of two, whose index is the number of levels between them, less a number.
    Difference { less: i64 },
    /// A maximum, whose index is its level.
    Level,
}

impl Reading {
    fn of(network: &Network, layer: &Layer<'_>) -> Self {
        match layer.reader {
            Reader::Lookup(_, function) if function.is_distance() => Self::Difference { less: 0 },
            Reader::Lookup(v, function) if network.values[v].is_comparison => Self::Difference {
                // Index 0 is the smallest difference above 0.
                less: i64::from(function.is_step()),
            },
            _ => Self::Level,
        }
    }
}

/// The exact form of what reads levels: a difference of two or a maximum; `None` where it is neither.
pub(super) fn exact(
    network: &Network,
    layer: &Layer<'_>,
    intervals: &Intervals,
    budget: &Budget,
) -> Option<Exact> {
    let reading = Reading::of(network, layer);
    let mut found = Exact {
        bits: bits(budget)?,
        weights: vec![],
        origins: vec![],
        negacyclic: matches!(reading, Reading::Difference { .. }),
    };
    for (row, bias) in layer.pending.bias.iter().enumerate() {
        let (mut sum, mut variance, mut ends) = (0.0, 0.0, None);
        for (v, element, weight) in layer.pending.row(row) {
            let levels = network.values[v].levels.as_ref()?;
            if !levels.distance {
                sum += weight;
                ends = Some(intervals.of(v, element));
            }
            let (log_delta, noise) = form(network, v, levels, budget);
            let weight = weight * libm::exp2(f64::from(63 - found.bits) - f64::from(log_delta));
            variance += weight * weight * noise;
        }
        let (lo, hi) = ends?;
        let level = (hi - lo) / top(budget);
        let (one, origin) = match reading {
            Reading::Difference { less } => (level, less),
            Reading::Level => (sum * level, libm::round(lo / level) as i64),
        };
        let variance = variance * (level / one) * (level / one);
        let fits = 0.5 * found.unit() >= budget.reach(variance);
        if *bias != 0.0 || one <= 0.0 || !fits {
            return None;
        }
        found.weights.push(one);
        found.origins.push(origin);
    }
    Some(found)
}

/// The delta exponent of levels and the variance of their noise.
fn form(network: &Network, v: usize, levels: &Levels, budget: &Budget) -> (u32, f64) {
    let bits = bits(budget).unwrap_or(LEAST_BITS);
    match network.values[v].kind {
        // Fine enough for whatever else reads it.
        Kind::Input(_) if levels.halvings == 0 => (64 - INPUT_AMPLITUDE - bits, budget.fresh),
        Kind::Input(_) => (63 - bits - levels.halvings, budget.fresh),
        Kind::Lookup { .. } => (63 - bits - levels.halvings, budget.bootstrap),
    }
}

/// The coding of a value of levels.
pub(super) fn coding(
    network: &Network,
    v: usize,
    levels: &Levels,
    intervals: &Intervals,
    budget: &Budget,
) -> Coding {
    let bits = bits(budget).unwrap_or(LEAST_BITS);
    let elements = (0..levels.classes.len()).map(|e| intervals.of(v, e));
    let (log_delta, variance) = form(network, v, levels, budget);
    Coding::levels(elements, (bits, levels.distance), log_delta, variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_as_many_as_lookups_tell_apart() {
        let found = |set, log2_failure| bits(&Budget::new(set, log2_failure));
        assert_eq!(
            (found(SETS[0], -128.0), found(SETS[1], -128.0)),
            (None, Some(4))
        );
        assert_eq!(
            (found(SETS[0], -40.0), found(SETS[1], -40.0)),
            (None, Some(4))
        );
        assert_eq!(top(&Budget::new(SETS[1], -128.0)), 15.0);
    }

    #[test]
    fn whole_numbers_are_levels() {
        let of = |numbers: &[f64]| {
            let spread = super::super::statistics::spread(numbers.iter().copied());
            let numbers = numbers.to_vec();
            whole_numbers(&Member { spread, numbers }, 15.0)
        };
        assert_eq!(of(&[3.0, 9.0]), Some((0.0, 15.0)));
        assert_eq!(of(&[3.0, 18.0]), Some((3.0, 18.0)));
        assert_eq!(of(&[-5.0, 5.0]), Some((-8.0, 7.0)));
        assert_eq!(of(&[-5.0, 9.0]), Some((-6.0, 9.0)));
        assert_eq!(of(&[-12.0, 1.0]), Some((-12.0, 3.0)));
        assert_eq!(of(&[3.0, 19.0]), None);
        assert_eq!(of(&[0.5, 3.0]), None);
    }

    #[test]
    fn intervals_begin_at_whole_levels() {
        assert_eq!(snapped((0.0, 3.0), 15.0), (0.0, 3.0));
        let (lo, hi) = snapped((-0.95, 2.05), 15.0);
        assert!((lo + 1.0).abs() < 1e-12 && (hi - 2.0).abs() < 1e-12);
    }
}
