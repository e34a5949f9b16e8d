//! Paths that go the same way for a while: one bootstrap serves them all.
//!
//! Two leaves that are siblings have the same path of `p` truth values, but for the last one, c. In the sum of twice each of the others
//! and c, both are places: it reaches `2p` where the pair is reached, and `2p + 1` where c holds besides. Those are two
//! thresholds of one sum, so that one bootstrap tells both ([`super::shared`]); the other leaf is their difference. Paths that differ in `m`
//! truth values take `2^m` times the sum of what they share plus the number that the m of them spell, and each path is the
//! places of some numbers.
//!
//! Such a sum has larger weights and a wider range than that of a single path: how many paths may share one is what noise and
//! the length of tables leave. One path of each tree takes no lookup: it is reached where no other one is. Paths of one truth value
//! take none either, if there are no others: what exact sums count is too coarse for weights of leaves.

use super::coding::Budget;
use super::conjunctions::{Path, trees};
use super::layers::Exact;
use super::network::{Kind, Network, rows};
use super::shared::{self, Bootstraps};
use crate::lower::network::pending::Pending;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Paths of one group, at most.
const MOST: usize = 64;

/// An element of a value.
type Truth = (usize, usize);

/// A sum of truth values with whole weights, and a constant.
#[derive(Clone, Debug, Default)]
struct Sum {
    weights: BTreeMap<Truth, f64>,
    constant: f64,
}

impl Sum {
    fn add(&mut self, truth: Truth, weight: f64) {
        *self.weights.entry(truth).or_default() += weight;
    }

    fn add_all(&mut self, other: &Self, factor: f64) {
        let weights = other.weights.iter();
        weights.for_each(|(truth, weight)| self.add(*truth, factor * weight));
        self.constant += factor * other.constant;
    }

    /// Adds a literal, which is 1 where it comes out right.
    fn add_literal(&mut self, truth: Truth, holds: bool, weight: f64) {
        if holds {
            self.add(truth, weight);
        } else {
            self.add(truth, -weight);
            self.constant += weight;
        }
    }
}

/// What lookups may sum up exactly.
struct Limits<'a> {
    bits: u32,
    budget: &'a Budget,
    bootstraps: &'a Bootstraps,
}

/// Paths that one bootstrap tells.
struct Group<'a> {
    /// The paths, by their numbers.
    paths: Vec<(usize, &'a Path)>,
    /// What all of them ask for.
    common: Path,
    /// What they differ in; each truth value counts twice as much as the one before it.
    own: Vec<Truth>,
}

impl<'a> Group<'a> {
    fn of(paths: Vec<(usize, &'a Path)>) -> Self {
        let mut asked: BTreeMap<Truth, (usize, usize)> = BTreeMap::new();
        for literal in paths.iter().flat_map(|(_, path)| *path) {
            let counts = asked.entry(literal.truth).or_default();
            counts.0 += usize::from(literal.holds);
            counts.1 += usize::from(!literal.holds);
        }
        let first = paths.first().map_or(&[][..], |(_, path)| path.as_slice());
        let is_common = |(yes, no): &(usize, usize)| yes.max(no) == &paths.len();
        let common = first.iter().filter(|l| is_common(&asked[&l.truth]));
        let common = common.copied().collect();
        let mut own: Vec<_> = asked.iter().filter(|(_, c)| !is_common(c)).collect();
        // What most paths ask for counts most, so that the numbers of a path stand side by side.
        own.sort_by_key(|(truth, (yes, no))| (yes + no, **truth));
        let own = own.into_iter().map(|(truth, _)| *truth).collect();
        Self { paths, common, own }
    }

    fn numbers(&self) -> usize {
        1 << self.own.len()
    }

    /// Whether a path is reached where the group is and what it differs in spells a number.
    fn has(&self, path: &Path, number: usize) -> bool {
        self.own.iter().enumerate().all(|(bit, truth)| {
            let asked = path.binary_search_by_key(truth, |l| l.truth);
            let asked = asked.ok().and_then(|at| path.get(at));
            asked.is_none_or(|l| l.holds == (number >> bit & 1 == 1))
        })
    }

    /// For each path, where it begins (1) and ends (-1), by ascending number.
    fn turns(&self) -> Vec<Vec<(usize, f64)>> {
        let of = |(_, path): &(usize, &Path)| {
            let mut before = false;
            let mut turns = vec![];
            for number in 0..self.numbers() {
                let has = self.has(path, number);
                if has != before {
                    turns.push((number, if has { 1.0 } else { -1.0 }));
                }
                before = has;
            }
            turns
        };
        self.paths.iter().map(of).collect()
    }

    /// The numbers at which a path begins or ends. Where nothing is common, all numbers reach 0.
    fn thresholds(&self) -> BTreeSet<usize> {
        let turns = self.turns().into_iter().flatten().map(|(number, _)| number);
        turns
            .filter(|n| *n > 0 || !self.common.is_empty())
            .collect()
    }

    /// The sum that reaches the group's number 0 at 0.
    fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        let whole = self.numbers() as f64;
        for literal in &self.common {
            sum.add_literal(literal.truth, literal.holds, whole);
            sum.constant -= whole;
        }
        for (bit, truth) in self.own.iter().enumerate() {
            sum.add(*truth, (1_u64 << bit) as f64);
        }
        sum
    }

    /// Whether a lookup tells its sums apart.
    fn fits(&self, limits: &Limits<'_>) -> bool {
        let thresholds = self.thresholds();
        let (Some(first), Some(last)) = (thresholds.first(), thresholds.last()) else {
            return false;
        };
        let entries = libm::exp2(f64::from(limits.bits));
        let sum = self.sum();
        let parts = || sum.weights.iter().map(|((v, e), w)| (*v, *e, *w));
        let (lo, hi) = limits
            .bootstraps
            .ends(parts().map(|(v, e, w)| (v, e, 0.0, w)));
        let (lo, hi) = (lo + sum.constant, hi + sum.constant);
        if lo - (*last as f64) < -entries || hi - (*first as f64) >= entries {
            return false;
        }
        let norm2 = limits.bootstraps.variance(parts());
        Exact::is_told(limits.bits, norm2, limits.budget)
    }
}

/// How the paths of a value are looked up.
struct Arrangement<'a> {
    groups: Vec<Group<'a>>,
    /// Paths that are reached where no other path of a tree is, and these.
    rest: Vec<(usize, Vec<usize>)>,
    bootstraps: usize,
}

/// The fewest bootstraps for paths in their order, where each of those that share one follows the other; `rest` says whether one
/// path of each tree may be what the others leave.
fn arrange<'a>(paths: &'a [Path], limits: &Limits<'_>, rest: bool) -> Option<Arrangement<'a>> {
    let list: Vec<&Path> = paths.iter().collect();
    let mut arrangement = Arrangement {
        groups: vec![],
        rest: vec![],
        bootstraps: 0,
    };
    let mut start = 0;
    for tree in trees(&list) {
        if start < tree.start {
            arrangement.add(paths, start..tree.start, false, limits)?;
        }
        start = tree.end;
        arrangement.add(paths, tree, rest, limits)?;
    }
    if start < paths.len() {
        arrangement.add(paths, start..paths.len(), false, limits)?;
    }
    Some(arrangement)
}

/// The best way to look up the first paths of a run.
#[derive(Clone, Copy)]
struct Best {
    bootstraps: usize,
    /// Where its last group begins, and whether that is a path that takes no lookup.
    last: (usize, bool),
}

impl<'a> Arrangement<'a> {
    /// Adds the groups of a run of paths. Of a tree one path may be left out.
    fn add(
        &mut self,
        paths: &'a [Path],
        run: Range<usize>,
        rest: bool,
        limits: &Limits<'_>,
    ) -> Option<()> {
        let group = |from: usize, to: usize| {
            let all = (run.start + from..run.start + to).map(|i| Some((i, paths.get(i)?)));
            Group::of(all.flatten().collect())
        };
        // For so many paths, with none or one left out.
        let start = Best {
            bootstraps: 0,
            last: (0, false),
        };
        let mut best = vec![[Some(start), None]];
        for to in 1..=run.len() {
            let mut found = [None, None];
            let offer = |at: &mut Option<Best>, before: Option<Best>, more, last| {
                let Some(before) = before else { return };
                let bootstraps = before.bootstraps + more;
                if at.is_none_or(|b| bootstraps < b.bootstraps) {
                    *at = Some(Best { bootstraps, last });
                }
            };
            for from in (to.saturating_sub(MOST)..to).rev() {
                let group = group(from, to);
                // More numbers than places only become more.
                if group.own.len() > limits.bits as usize + 1 {
                    break;
                }
                if group.fits(limits) {
                    for (at, before) in found.iter_mut().zip(best[from]) {
                        offer(at, before, 1, (from, false));
                    }
                }
            }
            if rest {
                offer(&mut found[1], best[to - 1][0], 0, (to - 1, true));
            }
            best.push(found);
        }
        let [all, but_one] = *best.last()?;
        let fewer = |b: &Best| all.is_none_or(|a| b.bootstraps < a.bootstraps);
        let mut left_out = but_one.filter(fewer).is_some();
        let mut to = run.len();
        self.bootstraps += best[to][usize::from(left_out)]?.bootstraps;
        while to > 0 {
            let (from, rest) = best[to][usize::from(left_out)]?.last;
            if rest {
                let path = run.start + from;
                let others = run.clone().filter(|i| *i != path).collect();
                self.rest.push((path, others));
                left_out = false;
            } else {
                self.groups.push(group(from, to));
            }
            to = from;
        }
        Some(())
    }

    /// What is looked up for a value, and each path as a sum of that and of truth values that are there.
    fn sums(&self, value: usize, count: usize) -> (Vec<Sum>, Vec<Sum>) {
        let (mut looked_up, mut paths) = (vec![], vec![Sum::default(); count]);
        // Trees may have paths in common.
        let mut known = BTreeMap::new();
        for group in &self.groups {
            let mut places = BTreeMap::new();
            for threshold in group.thresholds() {
                let key = (group.common.clone(), group.own.clone(), threshold);
                let place = *known.entry(key).or_insert(looked_up.len());
                places.insert(threshold, place);
                if place == looked_up.len() {
                    let mut sum = group.sum();
                    sum.constant += 0.5 - threshold as f64;
                    looked_up.push(sum);
                }
            }
            for ((number, _), turns) in group.paths.iter().zip(group.turns()) {
                for (threshold, sign) in turns {
                    match places.get(&threshold) {
                        Some(place) => paths[*number].add((value, *place), sign),
                        None => paths[*number].constant += sign,
                    }
                }
            }
        }
        for (path, others) in &self.rest {
            let mut sum = Sum {
                constant: 1.0,
                ..Sum::default()
            };
            others.iter().for_each(|o| sum.add_all(&paths[*o], -1.0));
            paths[*path] = sum;
        }
        (looked_up, paths)
    }
}

/// What a path of one truth value tells.
fn truth(path: &Path) -> Sum {
    let mut sum = Sum::default();
    let literals = path.iter();
    literals.for_each(|l| sum.add_literal(l.truth, l.holds, 1.0));
    sum
}

/// Sums as affine maps of values, whose lengths are given.
fn pending(sums: &[Sum], lengths: impl Fn(usize) -> usize, name: &str) -> Pending {
    let read: BTreeSet<usize> = sums
        .iter()
        .flat_map(|s| s.weights.keys())
        .map(|t| t.0)
        .collect();
    let term = |value: &usize| {
        let row = |sum: &Sum| {
            let own = sum.weights.range((*value, 0)..=(*value, usize::MAX));
            own.map(|((_, element), weight)| (*element, *weight))
                .collect()
        };
        (*value, rows(lengths(*value), sums.iter().map(row)))
    };
    Pending {
        terms: read.iter().map(term).collect(),
        bias: sums.iter().map(|s| s.constant).collect(),
        name: name.to_owned(),
    }
}

impl Network {
    /// The network whose paths share bootstraps, and the values that changed; nothing where none do. The budget decides how many
    /// paths share one; `rest` says whether one path of each tree is what the others leave, which is cheaper and has more noise.
    pub(super) fn with_siblings(&self, budget: &Budget, rest: bool) -> Option<(Self, Vec<usize>)> {
        let mut network = self.clone();
        let mut bootstraps = Bootstraps::default();
        let mut changed = vec![];
        for v in 0..network.values.len() {
            if network
                .with_siblings_at(v, &bootstraps, (budget, rest))
                .is_some()
            {
                changed.push(v);
            }
            let Kind::Lookup { operand, .. } = &network.values[v].kind else {
                continue;
            };
            if network.values[v].is_step() {
                bootstraps.note(v, &shared::groups(operand));
            }
        }
        (!changed.is_empty()).then_some((network, changed))
    }

    fn with_siblings_at(
        &mut self,
        v: usize,
        bootstraps: &Bootstraps,
        (budget, rest): (&Budget, bool),
    ) -> Option<()> {
        let value = self.values.get(v)?;
        let paths = self.paths(value)?;
        let Kind::Lookup { operand, .. } = &value.kind else {
            return None;
        };
        if self.is_counted(v) {
            return None;
        }
        let now = shared::groups(operand).len();
        let of_bits = |bits| {
            let limits = Limits {
                bits,
                budget,
                bootstraps,
            };
            arrange(&paths, &limits, rest)
        };
        let (looked_up, sums) = if paths.iter().all(|path| path.len() == 1) {
            (vec![], paths.iter().map(truth).collect())
        } else {
            let all = (1..=budget.set.max_table_bits()).filter_map(of_bits);
            let best = all.min_by_key(|a| a.bootstraps)?;
            if best.bootstraps >= now {
                return None;
            }
            best.sums(v, paths.len())
        };
        let count = looked_up.len();
        let name = operand.name.clone();
        let lengths = |value: usize| {
            if value == v {
                count
            } else {
                self.values[value].len
            }
        };
        let of_paths = pending(&sums, lengths, "");
        let own = pending(&looked_up, lengths, &name);
        let value = self.values.get_mut(v)?;
        value.len = count;
        if let Kind::Lookup { operand, .. } = &mut value.kind {
            *operand = own;
        }
        let readers = self.values.iter_mut().skip(v + 1);
        let readers = readers.filter_map(|r| match &mut r.kind {
            Kind::Lookup { operand, .. } => Some(operand),
            Kind::Input(_) => None,
        });
        for reader in readers.chain(self.outputs.iter_mut().map(|o| &mut o.value)) {
            let Some(at) = reader.terms.iter().position(|(r, _)| *r == v) else {
                continue;
            };
            let (_, matrix) = reader.terms.remove(at);
            *reader = reader.plus(&of_paths.map(&matrix, &vec![0.0; matrix.rows]));
        }
        Some(())
    }

    /// Whether a lookup counts elements of a value with whole weights, among truth values alone: sums of more of them would need
    /// longer tables.
    fn is_counted(&self, v: usize) -> bool {
        self.values.iter().any(|value| {
            let Kind::Lookup { operand, .. } = &value.kind else {
                return false;
            };
            let reads = operand
                .terms
                .iter()
                .any(|(r, m)| *r == v && m.entries() > 0);
            reads && self.reads_truths(operand) && {
                let sizes = operand
                    .terms
                    .iter()
                    .flat_map(|(_, m)| &m.values)
                    .map(|w| w.abs());
                let one = sizes.clone().fold(f64::INFINITY, f64::min);
                sizes
                    .into_iter()
                    .all(|w| (w - libm::round(w / one) * one).abs() <= 1e-9 * one)
            }
        })
    }
}

#[cfg(test)]
#[path = "siblings_tests.rs"]
mod tests;
