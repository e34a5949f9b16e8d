//! Different functions of the same sums: one bootstrap computes them all.
//!
//! The first half of a table holds one function, its second half another one, and the rotated table is read at both: half of the
//! entries further on, it is the second half at the same index. Sums take half of the torus that they would take alone, so that
//! indices are half as fine; for three or four functions a quarter.
//!
//! The errors of what one bootstrap yields are not independent: in sums they count as if they were all alike.

use super::coding::Budget;
use super::network::{Kind, Network, Value};
use crate::lower::network::pending::Pending;
use std::sync::Arc;

/// Functions of one bootstrap, at most.
const MOST: usize = 4;
/// The part of its place on the torus that a sum has to have left, after what its index may be off.
const LEAST_ROOM: f64 = 0.25;

/// Lookups of several functions of the same sums.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Joint {
    /// Their values, the first of which the bootstraps stand in the place of.
    pub(super) values: Vec<usize>,
}

impl Joint {
    /// How many parts a table has.
    pub(super) fn parts(&self) -> u32 {
        self.values.len().next_power_of_two() as u32
    }

    /// Whether it is the one whose bootstraps compute a value.
    pub(super) fn makes(&self, value: usize) -> bool {
        self.values.first() == Some(&value)
    }

    /// Whether a sum has room beside what its index may be off, which takes so much of the torus.
    pub(super) fn fits(&self, lost: f64, budget: &Budget) -> bool {
        let place = 0.5 / f64::from(self.parts());
        place - lost >= LEAST_ROOM * place && self.parts() < 1 << budget.set.max_table_bits()
    }
}

impl Network {
    /// The lookups that may be joint, in the order of their first ones.
    pub(super) fn joint(&self) -> Vec<Joint> {
        let live = self.live();
        let mut all: Vec<Joint> = vec![];
        for (v, value) in self.values.iter().enumerate().filter(|(v, _)| live[*v]) {
            let Some(operand) = alone(value) else {
                continue;
            };
            let fits = |joint: &&mut Joint| {
                let first = joint.values.first().and_then(|f| self.values.get(*f));
                joint.values.len() < MOST && first.and_then(alone).is_some_and(|f| same(f, operand))
            };
            match all.iter_mut().find(fits) {
                Some(joint) => joint.values.push(v),
                None => all.push(Joint { values: vec![v] }),
            }
        }
        all.retain(|joint| joint.values.len() > 1);
        all
    }
}

/// What lookups read that may be joint with others: steps have tables of one number, levels a form of their own.
fn alone(value: &Value) -> Option<&Pending> {
    match &value.kind {
        Kind::Lookup { operand, function } => {
            let plain = value.copies == 1 && value.levels.is_none() && !value.is_comparison;
            (plain && !function.is_step()).then_some(operand)
        }
        Kind::Input(_) => None,
    }
}

/// Whether two operands have the same rows.
fn same(a: &Pending, b: &Pending) -> bool {
    let pairs = || a.terms.iter().zip(&b.terms);
    a.bias == b.bias
        && a.terms.len() == b.terms.len()
        && pairs().all(|((v, m), (w, n))| v == w && m.entries() == n.entries())
        && pairs().all(|((_, m), (_, n))| {
            let equal =
                || (&m.row_starts, &m.columns, &m.values) == (&n.row_starts, &n.columns, &n.values);
            Arc::ptr_eq(m, n) || equal()
        })
}
