//! Sums of disjoint groups of elements by rotations alone.
//!
//! A pooling with disjoint windows of 2^k elements, or a mean over as many, is a sum of groups. If the members of
//! each group lie a period apart in the slots, k rotations add them up: no plaintext, no rescale, no level, and what
//! follows has 2^k times fewer slots to read. The factor of a mean moves into the next matrix.

use super::super::packing::classes;
use super::super::sparse::{self, LANES, RowBuilder};
use super::make::Builder;
use super::pending::Pending;
use super::{Kind, Network, Term};
use cipherloom_ir::NodeId;
use cipherloom_ir::circuit::Matrix;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sums of groups: element `i` is the sum over `k` of the operand's element `members[k * len + i]`. Every element of
/// the operand belongs to one group, and groups have a power of two of members.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fold {
    /// The number of groups.
    pub(crate) len: usize,
    /// The members, as above.
    pub(crate) members: Arc<Vec<u32>>,
}

impl Fold {
    /// The groups that the rows of a matrix sum up, and the factor that all its entries are; `None` for other matrices.
    pub(crate) fn of(m: &Matrix) -> Option<(Self, f64)> {
        let factor = *m.values.first()?;
        if m.rows == 0 || m.entries() != m.cols || !m.cols.is_multiple_of(m.rows) {
            return None;
        }
        let count = m.cols / m.rows;
        let regular = m.row_starts.windows(2).all(|w| w[1] - w[0] == count);
        if count < 2 || !count.is_power_of_two() || !regular {
            return None;
        }
        if m.values.iter().any(|v| *v != factor) {
            return None;
        }
        let mut seen = vec![false; m.cols];
        let mut members = vec![0; m.cols];
        for row in 0..m.rows {
            for (k, (column, _)) in m.row(row).enumerate() {
                if std::mem::replace(&mut seen[column], true) {
                    return None;
                }
                members[k * m.rows + row] = column as u32;
            }
        }
        let fold = Self {
            len: m.rows,
            members: Arc::new(members),
        };
        Some((fold, factor))
    }

    /// The members of each group, by their place in it.
    pub(crate) fn rounds(&self) -> impl Iterator<Item = &[u32]> {
        self.members.chunks_exact(self.len.max(1))
    }

    /// The number of rotations or sums that halve the number of summands.
    pub(crate) fn halvings(&self) -> u32 {
        (self.members.len() / self.len.max(1)).ilog2()
    }

    /// The sums, for several samples.
    pub(super) fn eval(&self, x: &[[f64; LANES]]) -> Vec<[f64; LANES]> {
        let mut sums = vec![[0.0; LANES]; self.len];
        for round in self.rounds() {
            for (sum, member) in sums.iter_mut().zip(round) {
                let x = &x[*member as usize];
                (0..LANES).for_each(|lane| sum[lane] += x[lane]);
            }
        }
        sums
    }

    /// The same as a matrix of ones.
    fn matrix(&self) -> Matrix {
        let mut rows = RowBuilder::new(self.members.len());
        for row in 0..self.len {
            self.rounds()
                .for_each(|round| rows.push(round[row] as usize, 1.0));
            rows.end_row();
        }
        rows.finish()
    }
}

impl Builder<'_> {
    /// If a pending tensor is a sum of groups of one value, and `next` has at least as many rows (padded to powers of
    /// two) as there are groups, makes the sums. With fewer rows, the folds behind `next` do the same at a lower level.
    pub(super) fn fold_before(&mut self, id: NodeId, pending: Pending, next: &Matrix) -> Pending {
        let [(operand, matrix)] = pending.terms.as_slice() else {
            return pending;
        };
        if next.rows.next_power_of_two() < matrix.rows.next_power_of_two()
            || sparse::is_movement(next)
        {
            return pending;
        }
        let Some((fold, factor)) = Fold::of(matrix) else {
            return pending;
        };
        let kind = Kind::Fold(*operand, fold);
        let known = self.network.values.iter().position(|v| v.kind == kind);
        let made = known.unwrap_or_else(|| {
            let shape = self.module.graph.get(id).map(|n| n.shape.clone());
            let shape = shape.unwrap_or_else(|| vec![matrix.rows]);
            self.push(id, kind, shape, pending.name.clone())
        });
        Pending {
            terms: vec![(made, Arc::new(sparse::scaled_identity(matrix.rows, factor)))],
            bias: pending.bias,
            name: pending.name,
        }
    }
}

/// Makes those folds matrices whose operands cannot lie as they ask: a layout serves one way of grouping.
pub(super) fn settle(network: &mut Network) {
    loop {
        let class = classes(network);
        let mut first: BTreeMap<usize, Fold> = BTreeMap::new();
        let refused = network.values.iter().position(|value| match &value.kind {
            Kind::Fold(operand, fold) => {
                fold != first.entry(class[*operand]).or_insert_with(|| fold.clone())
            }
            _ => false,
        });
        let Some(value) = refused.and_then(|v| network.values.get_mut(v)) else {
            return;
        };
        if let Kind::Fold(operand, fold) = &value.kind {
            let matrix = Term::Matrix(Arc::new(fold.matrix()));
            value.kind = Kind::Linear {
                terms: vec![(*operand, matrix)],
                bias: vec![],
            };
        }
    }
}
