//! Sums of matrices times values, not made yet.

use super::super::packing::dense_diagonals;
use super::super::sparse::{self, as_scaled_selection, scaled_identity};
use cipherloom_ir::circuit::Matrix;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A tensor value that is not made yet.
#[derive(Clone, Default)]
pub(crate) struct Pending {
    pub(crate) terms: Vec<(usize, Arc<Matrix>)>,
    pub(crate) bias: Vec<f64>,
    pub(crate) name: String,
}

impl Pending {
    pub(crate) fn of(value: usize, len: usize) -> Self {
        Self {
            terms: vec![(value, Arc::new(scaled_identity(len, 1.0)))],
            bias: vec![0.0; len],
            name: String::new(),
        }
    }

    /// The entries of a row: value, element and factor.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        let terms = self.terms.iter();
        terms.flat_map(move |(value, matrix)| matrix.row(row).map(|(e, w)| (*value, e, w)))
    }

    pub(crate) fn has_bias(&self) -> bool {
        self.bias.iter().any(|b| *b != 0.0)
    }

    /// One value behind a selection of equal factors and no bias: elementwise operations may pass it.
    pub(crate) fn as_selection(&self) -> Option<(usize, f64)> {
        match self.terms.as_slice() {
            [(value, matrix)] if !self.has_bias() => Some((*value, as_scaled_selection(matrix)?)),
            _ => None,
        }
    }

    /// `factor * x + bias` of elements x of one value, each of them a copy: the value, factor and bias, if that is all.
    pub(crate) fn as_copies(&self) -> Option<(usize, f64, f64)> {
        let [(value, matrix)] = self.terms.as_slice() else {
            return None;
        };
        let bias = *self.bias.first()?;
        let copies = matrix.entries() == matrix.rows && self.bias.iter().all(|b| *b == bias);
        let factor = as_scaled_selection(matrix).filter(|_| copies)?;
        Some((*value, factor, bias))
    }

    pub(crate) fn is_movement(&self) -> bool {
        self.terms.len() == 1 && self.terms.iter().all(|(_, m)| sparse::is_movement(m))
    }

    pub(crate) fn map(&self, matrix: &Matrix, bias: &[f64]) -> Self {
        let terms = self
            .terms
            .iter()
            .map(|(v, m)| (*v, Arc::new(sparse::product(matrix, m))))
            .collect();
        let mut moved = if self.has_bias() {
            sparse::apply(matrix, &self.bias)
        } else {
            vec![0.0; matrix.rows]
        };
        moved.iter_mut().zip(bias).for_each(|(m, b)| *m += b);
        Self {
            terms,
            bias: moved,
            name: self.name.clone(),
        }
    }

    pub(crate) fn scaled(&self, factor: f64) -> Self {
        let terms = self
            .terms
            .iter()
            .map(|(v, m)| (*v, Arc::new(sparse::scale(m, factor))))
            .collect();
        Self {
            terms,
            bias: self.bias.iter().map(|b| b * factor).collect(),
            name: self.name.clone(),
        }
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut merged: BTreeMap<usize, Arc<Matrix>> = BTreeMap::new();
        for (value, matrix) in self.terms.iter().chain(&other.terms) {
            let sum = match merged.get(value) {
                None => matrix.clone(),
                Some(old) => Arc::new(sparse::sum(old, matrix)),
            };
            merged.insert(*value, sum);
        }
        let bias = self
            .bias
            .iter()
            .zip(&other.bias)
            .map(|(a, b)| a + b)
            .collect();
        let name = if self.name.is_empty() {
            other.name.clone()
        } else {
            self.name.clone()
        };
        Self {
            terms: merged.into_iter().collect(),
            bias,
            name,
        }
    }

    /// The cost of making it now: diagonals in row-major packing.
    pub(crate) fn diagonals(&self) -> usize {
        self.terms.iter().map(|(_, m)| dense_diagonals(m)).sum()
    }
}
