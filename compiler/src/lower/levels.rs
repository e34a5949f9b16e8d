//! Levels, and which scales are free.
//!
//! Levels are as low as the outputs allow: outputs arrive at level 0, and every operation with a rescale is one level
//! below its operands. A value whose users differ in level lives at the highest and is dropped for the others.
//!
//! The scale of an input or of the result of a matrix is free, since the plaintexts' scale makes up the difference
//! exactly, as is that of a polynomial's result; that of a product follows from its operands. A sum needs equal scales: values that meet in one share a
//! *scale group*. Where that cannot be, one summand is multiplied by 1 at the scale that is needed, which takes a level.
//!
//! A gain divides the scale, so that the members of a group stand in fixed ratios. T_2, T_4, .. of a polynomial square the
//! scale again and again, so that its operand's must be near the primes' size: where gains tie it to another's, one
//! polynomial decides for the group ([`Groups::claim`]), and others get a factor.

mod groups;

use super::network::{Kind, Network, Term};
use super::statistics::Statistics;
use cipherloom_ir::Scale;
use groups::Groups;
pub(crate) use groups::Pivot;
use std::collections::BTreeSet;

/// Levels and scale groups.
#[derive(Clone, Debug)]
pub(crate) struct Levels {
    /// The level of each value.
    pub(crate) level: Vec<usize>,
    /// For each value its free scale group, or `None` where the scale follows from the operands.
    pub(crate) group: Vec<Option<usize>>,
    /// The scale of each value over that of its group, or of the product that it follows.
    pub(crate) ratio: Vec<Scale>,
    /// The logarithms of the ratios.
    pub(crate) log_ratio: Vec<f64>,
    /// The number of free groups.
    pub(crate) groups: usize,
    /// Operands of polynomials whose scales follow from those of free groups.
    pub(crate) pivots: Vec<Pivot>,
    /// The number of levels in all.
    pub(crate) depth: usize,
}

/// Whether the value takes a level: a product, or a sum with a matrix or factor.
pub(crate) fn consumes(kind: &Kind) -> bool {
    match kind {
        Kind::Input(_) | Kind::Fold(..) | Kind::View(..) => false,
        Kind::Mul(..) | Kind::Square(_) | Kind::Polynomial { .. } => true,
        Kind::Linear { terms, .. } => terms.iter().any(|(_, t)| !t.is_free()),
    }
}

/// Assigns levels and scale groups; summands whose scales cannot agree get a plaintext factor in the network.
pub(crate) fn assign(network: &mut Network) -> Levels {
    let count = network.values.len();
    let operand = |value: &super::network::Value| match &value.kind {
        Kind::Polynomial { operand, .. } => Some(*operand),
        _ => None,
    };
    let read: BTreeSet<usize> = network.values.iter().filter_map(operand).collect();
    let mut readers = vec![0; count];
    let reads = network
        .values
        .iter()
        .flat_map(super::network::Value::operands);
    reads
        .chain(network.outputs.iter().copied())
        .for_each(|u| readers[u] += 1);
    let mut groups = Groups::new(count);
    // The fewest levels from the inputs to each value.
    let mut depth = vec![0; count];
    for v in 0..count {
        depth[v] = levels_to(&network.values[v], &depth);
        match &mut network.values[v].kind {
            Kind::Input(_) | Kind::Polynomial { .. } => groups.set_free(v),
            Kind::Mul(a, b) => groups.set_product(v, *a, *b),
            Kind::Square(a) => groups.set_product(v, *a, *a),
            // Sums and views keep the operand's scale.
            Kind::Fold(a, _) | Kind::View(a, _) => groups.follow(v, *a, &Scale::one()),
            Kind::Linear { terms, .. } => {
                join_products(&mut groups, terms, &readers);
                part_from_claimed(&groups, terms, &depth, depth[v]);
                join(&mut groups, v, terms, read.contains(&v));
            }
        }
        if read.contains(&v) {
            groups.claim(v);
        }
    }
    let roots: Vec<(usize, Scale)> = (0..count).map(|v| groups.root(v)).collect();
    let mut numbers: Vec<Option<usize>> = vec![None; count];
    let mut free = 0;
    for v in 0..count {
        if roots[v].0 == v && groups.is_free(v) {
            numbers[v] = Some(free);
            free += 1;
        }
    }
    let group = roots.iter().map(|(root, _)| numbers[*root]).collect();
    let ratio: Vec<Scale> = roots.into_iter().map(|(_, ratio)| ratio).collect();

    let mut level = vec![0; count];
    for v in (0..count).rev() {
        let value = &network.values[v];
        let product = level[v] + 1;
        match &value.kind {
            Kind::Input(_) => {}
            Kind::Fold(a, _) | Kind::View(a, _) => level[*a] = level[*a].max(level[v]),
            Kind::Mul(..) | Kind::Square(_) => {
                value
                    .operands()
                    .into_iter()
                    .for_each(|u| level[u] = level[u].max(product));
            }
            Kind::Polynomial { operand, program } => {
                level[*operand] = level[*operand].max(level[v] + program.depth());
            }
            Kind::Linear { terms, .. } => {
                for (u, term) in terms {
                    let needed = if term.is_free() { level[v] } else { product };
                    level[*u] = level[*u].max(needed);
                }
            }
        }
    }
    let depth = level.iter().copied().max().unwrap_or(0);
    Levels {
        level,
        group,
        log_ratio: ratio.iter().map(Scale::log2).collect(),
        ratio,
        groups: free,
        pivots: groups.pivots(),
        depth,
    }
}

/// The fewest levels from the inputs to a value, where those of its operands are known.
fn levels_to(value: &super::network::Value, depth: &[usize]) -> usize {
    let through = match &value.kind {
        Kind::Linear { terms, .. } => {
            let to = |(u, t): &(usize, Term)| depth[*u] + usize::from(!t.is_free());
            return terms.iter().map(to).max().unwrap_or(0);
        }
        Kind::Polynomial { program, .. } => program.depth(),
        kind => usize::from(consumes(kind)),
    };
    let operands = value.operands();
    through + operands.iter().map(|u| depth[*u]).max().unwrap_or(0)
}

/// Gives summands a factor whose scale a polynomial decides and which wait for others anyway, so that it takes no level: the
/// sum, at fewer levels, needs not take that scale.
fn part_from_claimed(groups: &Groups, terms: &mut [(usize, Term)], depth: &[usize], own: usize) {
    for (u, term) in terms {
        if let Term::Gain(f) = *term
            && depth[*u] < own
            && groups.is_claimed(*u)
        {
            *term = Term::Scalar(f);
        }
    }
}

/// Makes the scales of products alike that a sum alone reads, which are at one level then.
fn join_products(groups: &mut Groups, terms: &[(usize, Term)], readers: &[usize]) {
    let gains = terms.iter().filter_map(|(u, t)| Some((*u, t.gain()?)));
    let mut alone = gains.filter(|(u, _)| readers[*u] == 1 && !groups.is_free(*u));
    let Some((first, gain)) = alone.next() else {
        return;
    };
    let others: Vec<usize> = alone
        .filter(|(_, other)| other.abs() == gain.abs())
        .map(|(u, _)| u)
        .collect();
    for u in others {
        groups.join_products(first, u);
    }
}

/// Finds the scale of sum `v`, which a polynomial may read. Gains that do not fit become factors.
fn join(groups: &mut Groups, v: usize, terms: &mut [(usize, Term)], read: bool) {
    let gain = |term: &Term| match term {
        Term::Gain(f) => Scale::from_f64(f.abs()),
        Term::Scalar(_) | Term::Matrix(_) => None,
    };
    let free = terms.iter().filter(|(_, t)| t.is_free());
    // A scale that follows from others' cannot follow another's.
    let first = free.clone().find(|(u, _)| !groups.is_free(*u));
    match first.or_else(|| free.clone().next()) {
        None => return groups.set_free(v),
        Some((u, term)) => groups.follow(v, *u, &gain(term).unwrap_or_else(Scale::one)),
    }
    for (u, term) in terms.iter_mut() {
        if let Term::Gain(f) = *term
            && !gain(term).is_some_and(|gain| groups.join(v, *u, &gain))
        {
            *term = Term::Scalar(f);
        }
    }
    let matrix = terms.iter().any(|(_, t)| matches!(t, Term::Matrix(_)));
    if read && !matrix && !groups.claim(v) {
        for (_, term) in terms.iter_mut() {
            if let Term::Gain(f) = *term {
                *term = Term::Scalar(f);
            }
        }
        groups.set_free(v);
    }
}

/// The scales' logarithms: `magnitude[g]` is log2 of scale times largest value in group `g`, `primes[l]` log2 of q_l.
pub(crate) fn log_scales(
    network: &Network,
    levels: &Levels,
    group_max: &[f64],
    magnitude: &[f64],
    primes: &[f64],
) -> Vec<f64> {
    let mut logs: Vec<f64> = Vec::with_capacity(network.values.len());
    for (v, value) in network.values.iter().enumerate() {
        let divided =
            |product: f64| product - primes.get(levels.level[v] + 1).copied().unwrap_or(0.0);
        let log = match (levels.group[v], &value.kind) {
            (Some(g), _) => magnitude[g] - libm::log2(group_max[g]) + levels.log_ratio[v],
            (None, Kind::Square(a)) => divided(2.0 * logs[*a]),
            (None, Kind::Mul(a, b)) => divided(logs[*a] + logs[*b]),
            (None, Kind::Linear { terms, .. }) => {
                let kept = terms.iter().find_map(|(u, t)| Some((*u, t.gain()?)));
                kept.map_or(0.0, |(u, gain)| logs[u] - libm::log2(gain.abs()))
            }
            (None, Kind::Fold(a, _) | Kind::View(a, _)) => logs[*a],
            (None, Kind::Input(_) | Kind::Polynomial { .. }) => 0.0,
        };
        logs.push(log);
    }
    logs
}

/// For each free group, the largest absolute value that one of its members holds, times its scale over the group's.
pub(crate) fn group_max(levels: &Levels, statistics: &Statistics) -> Vec<f64> {
    let mut max = vec![0.0_f64; levels.groups];
    for (v, group) in levels.group.iter().enumerate() {
        if let Some(g) = group {
            max[*g] = max[*g].max(statistics.max_abs(v) * libm::exp2(levels.log_ratio[v]));
        }
    }
    max
}
