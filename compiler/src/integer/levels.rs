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
//! lookup makes levels anew.

use super::coding::{Budget, Coding};
use super::intervals::{self, Intervals, Wish};
use super::layers::{Exact, Layer, Reader};
use super::network::{Kind, Network};
use super::statistics::{Spread, Statistics};
use std::collections::BTreeMap;

/// Rounds of maxima between lookups that make levels anew.
pub(super) const HALVINGS: u32 = 2;
/// Index bits of the tables, at least: fewer levels tell too little.
const LEAST_BITS: u32 = 3;
/// The squared norm of a difference: two elements, each with the weight `2^HALVINGS`.
const NORM2: f64 = (2 << (2 * HALVINGS)) as f64;

/// What is known of a value whose elements are levels.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// The maxima that the value belongs to.
    pub(super) group: usize,
    /// For each element its class: those of one class may meet, so that their levels are the same numbers.
    pub(super) classes: Vec<usize>,
    /// A level takes an entry divided by 2 to this power.
    pub(super) halvings: u32,
    /// Whether elements are distances of two.
    pub(super) distance: bool,
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
    fits.then_some((lo.min(0.0).max(hi - top), lo.min(0.0).max(hi - top) + top))
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

/// The exact form of what reads levels: a difference of two, whose index is the number of levels between them, or a maximum,
/// whose index is its level; `None` where it is neither.
pub(super) fn exact(
    network: &Network,
    layer: &Layer<'_>,
    intervals: &Intervals,
    budget: &Budget,
) -> Option<Exact> {
    let negacyclic = matches!(layer.reader, Reader::Lookup(_, function) if function.is_distance());
    let mut found = Exact {
        bits: bits(budget)?,
        weights: vec![],
        origins: vec![],
        negacyclic,
    };
    for (row, bias) in layer.pending.bias.iter().enumerate() {
        let terms = layer.pending.terms.iter();
        let entries = terms.flat_map(|(v, m)| m.row(row).map(|(e, w)| (*v, e, w)));
        let (mut sum, mut norm2, mut ends) = (0.0, 0.0, None);
        for (v, element, weight) in entries {
            let levels = network.values[v].levels.as_ref()?;
            if !levels.distance {
                sum += weight;
                ends = Some(intervals.of(v, element));
            }
            let weight = weight * libm::exp2(f64::from(levels.halvings));
            norm2 += weight * weight;
        }
        let (lo, hi) = ends?;
        let level = (hi - lo) / top(budget);
        let (one, origin) = if negacyclic {
            (level, 0.0)
        } else {
            (sum * level, libm::round(lo / level))
        };
        let norm2 = norm2 * (level / one) * (level / one);
        let fits = 0.5 * found.unit() >= budget.reach(norm2 * budget.bootstrap);
        if *bias != 0.0 || one <= 0.0 || !fits {
            return None;
        }
        found.weights.push(one);
        found.origins.push(origin as i64);
    }
    Some(found)
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
    let variance = match network.values[v].kind {
        Kind::Input(_) => budget.fresh,
        Kind::Lookup { .. } => budget.bootstrap,
    };
    let log_delta = 63 - bits - levels.halvings;
    Coding::levels(elements, (bits, levels.distance), log_delta, variance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherloom_ir::integer::SETS;

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
    fn intervals_begin_at_whole_levels() {
        assert_eq!(snapped((0.0, 3.0), 15.0), (0.0, 3.0));
        let (lo, hi) = snapped((-0.95, 2.05), 15.0);
        assert!((lo + 1.0).abs() < 1e-12 && (hi - 2.0).abs() < 1e-12);
    }
}
