//! Thresholds between samples, where training took them from samples.
//!
//! A lookup decides by noise where a number is nearly equal to its threshold. Trees of XGBoost compare with numbers of the
//! training data, so that whole samples lie on a threshold. Any threshold between the samples next to it decides all
//! samples alike: it moves off the nearer ones, as far as a lookup needs, but never beyond half-way.

use super::network::{Kind, Network};
use super::statistics::{apply, evaluate};
use cipherloom_ir::Tensors;

/// How far off samples should be, as a part of the largest difference: half an entry of a table with 16.
const REACH: f64 = 1.0 / 32.0;

impl Network {
    /// The network whose comparisons of single elements with thresholds are as far off the samples as needs be.
    pub(super) fn with_thresholds_between(mut self, samples: &[Tensors]) -> Self {
        // Most networks compare nothing; evaluating them takes a while.
        if !self.compares() {
            return self;
        }
        let samples: Vec<_> = samples.iter().filter_map(|s| evaluate(&self, s)).collect();
        for value in &mut self.values {
            let Kind::Lookup { operand, function } = &mut value.kind else {
                continue;
            };
            if !function.is_step() {
                continue;
            }
            let sums: Vec<Vec<f64>> = samples.iter().map(|s| apply(operand, s)).collect();
            let terms = &operand.terms;
            let single = |row| terms.iter().map(|(_, m)| m.row(row).count()).sum::<usize>() == 1;
            for (row, bias) in operand.bias.iter_mut().enumerate() {
                if single(row) {
                    *bias += moved(sums.iter().map(|sum| sum[row]));
                }
            }
        }
        self
    }
}

/// What is added to differences, which are positive or not, so that none is near zero.
fn moved(differences: impl Iterator<Item = f64>) -> f64 {
    let (mut above, mut below, mut largest) = (f64::INFINITY, f64::INFINITY, 0.0_f64);
    for x in differences {
        largest = largest.max(x.abs());
        if x > 0.0 {
            above = above.min(x);
        } else {
            below = below.min(-x);
        }
    }
    let reach = REACH * largest;
    if below < reach.min(above) {
        -(reach - below).min((above - below) / 2.0)
    } else if above < reach.min(below) {
        (reach - above).min((below - above) / 2.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thresholds_move_off_samples() {
        let moved = |list: &[f64]| moved(list.iter().copied());
        // On a sample, with the next one above 2 away: the reach of 32 is 1.
        assert_eq!(moved(&[0.0, 2.0, -32.0]), -1.0);
        // No farther than half-way.
        assert_eq!(moved(&[0.0, 1.0, -32.0]), -0.5);
        assert_eq!(moved(&[0.25, -5.0, 32.0]), 0.75);
        assert_eq!(moved(&[0.25, -0.75, 32.0]), 0.25);
        // Far enough.
        assert_eq!(moved(&[2.0, -1.0, 32.0]), 0.0);
        assert_eq!((moved(&[]), moved(&[0.0])), (0.0, 0.0));
        // All samples lie on one side.
        assert_eq!(moved(&[0.5, 32.0]), 0.5);
    }

    proptest! {
        #[test]
        fn no_sample_changes_sides(list in prop::collection::vec(-8_i32..8, 1..12)) {
            let list: Vec<f64> = list.into_iter().map(f64::from).collect();
            let by = moved(list.iter().copied());
            let nearest = |list: &[f64]| list.iter().map(|x| x.abs()).fold(f64::INFINITY, f64::min);
            let after: Vec<f64> = list.iter().map(|x| x + by).collect();
            for (x, y) in list.iter().zip(&after) {
                prop_assert_eq!(*x > 0.0, *y > 0.0);
            }
            prop_assert!(nearest(&after) >= nearest(&list));
        }
    }
}
