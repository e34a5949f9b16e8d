//! Levels, and which scales are free.
//!
//! Levels are as low as the outputs allow: outputs arrive at level 0, and every operation with a rescale is one level
//! below its operands. A value whose users differ in level lives at the highest and is dropped for the others.
//!
//! The scale of an input or of the result of a matrix is free, since the plaintexts' scale makes up the difference
//! exactly, as is that of a polynomial's result; that of a product follows from its operands. A sum needs equal scales: values that meet in one share a
//! *scale group*. Where that cannot be, one summand is multiplied by 1 at the scale that is needed, which takes a level.

use super::network::{Kind, Network, Term};
use super::statistics::Statistics;

/// Levels and scale groups.
#[derive(Clone, Debug)]
pub(crate) struct Levels {
    /// The level of each value.
    pub(crate) level: Vec<usize>,
    /// For each value its free scale group, or `None` where the scale follows from the operands.
    pub(crate) group: Vec<Option<usize>>,
    /// The number of free groups.
    pub(crate) groups: usize,
    /// The number of levels in all.
    pub(crate) depth: usize,
}

/// Whether the value takes a level: a product, or a sum with a matrix or factor.
pub(crate) fn consumes(kind: &Kind) -> bool {
    match kind {
        Kind::Input(_) | Kind::Fold(..) => false,
        Kind::Mul(..) | Kind::Square(_) | Kind::Polynomial { .. } => true,
        Kind::Linear { terms, .. } => terms.iter().any(|(_, t)| !matches!(t, Term::Identity)),
    }
}

/// Assigns levels and scale groups; summands whose scales cannot agree get a factor of 1 in the network.
pub(crate) fn assign(network: &mut Network) -> Levels {
    let count = network.values.len();
    let mut parent: Vec<usize> = (0..count).collect();
    let root = |parent: &[usize], mut i: usize| {
        while parent[i] != i {
            i = parent[i];
        }
        i
    };
    // Whether the scale of the group with this root is free.
    let mut free = vec![false; count];
    for v in 0..count {
        match &mut network.values[v].kind {
            Kind::Input(_) | Kind::Polynomial { .. } => free[v] = true,
            Kind::Mul(..) | Kind::Square(_) => {}
            // Sums keep the operand's scale.
            Kind::Fold(a, _) => parent[v] = root(&parent, *a),
            Kind::Linear { terms, .. } => {
                let identities: Vec<usize> = terms
                    .iter()
                    .filter(|(_, t)| matches!(t, Term::Identity))
                    .map(|(u, _)| *u)
                    .collect();
                let bound = identities
                    .iter()
                    .copied()
                    .find(|u| !free[root(&parent, *u)]);
                match bound {
                    Some(kept) => {
                        for (u, term) in terms.iter_mut() {
                            if matches!(term, Term::Identity)
                                && root(&parent, *u) != root(&parent, kept)
                            {
                                *term = Term::Scalar(1.0);
                            }
                        }
                        parent[v] = root(&parent, kept);
                    }
                    None if identities.is_empty() => free[v] = true,
                    None => {
                        free[v] = true;
                        for u in identities {
                            let (a, b) = (root(&parent, u), root(&parent, v));
                            parent[a.max(b)] = a.min(b);
                        }
                    }
                }
            }
        }
    }
    let mut numbers: Vec<Option<usize>> = vec![None; count];
    let mut groups = 0;
    for v in 0..count {
        if root(&parent, v) == v && free[v] {
            numbers[v] = Some(groups);
            groups += 1;
        }
    }
    let group = (0..count).map(|v| numbers[root(&parent, v)]).collect();

    let mut level = vec![0; count];
    for v in (0..count).rev() {
        let value = &network.values[v];
        let product = level[v] + 1;
        match &value.kind {
            Kind::Input(_) => {}
            Kind::Fold(a, _) => level[*a] = level[*a].max(level[v]),
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
                    let needed = if matches!(term, Term::Identity) {
                        level[v]
                    } else {
                        product
                    };
                    level[*u] = level[*u].max(needed);
                }
            }
        }
    }
    let depth = level.iter().copied().max().unwrap_or(0);
    Levels {
        level,
        group,
        groups,
        depth,
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
            (Some(g), _) => magnitude[g] - libm::log2(group_max[g]),
            (None, Kind::Square(a)) => divided(2.0 * logs[*a]),
            (None, Kind::Mul(a, b)) => divided(logs[*a] + logs[*b]),
            (None, Kind::Linear { terms, .. }) => {
                let kept = terms.iter().find(|(_, t)| matches!(t, Term::Identity));
                kept.map_or(0.0, |(u, _)| logs[*u])
            }
            (None, Kind::Fold(a, _)) => logs[*a],
            (None, Kind::Input(_) | Kind::Polynomial { .. }) => 0.0,
        };
        logs.push(log);
    }
    logs
}

/// For each free group, the largest absolute value that one of its members holds.
pub(crate) fn group_max(levels: &Levels, statistics: &Statistics) -> Vec<f64> {
    let mut max = vec![0.0_f64; levels.groups];
    for (v, group) in levels.group.iter().enumerate() {
        if let Some(g) = group {
            max[*g] = max[*g].max(statistics.max_abs(v));
        }
    }
    max
}
