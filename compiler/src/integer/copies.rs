//! Several lookups of one value: each brings noise of its own, so that their mean has less of it.

use super::network::{Kind, Network};
use crate::lower::network::pending::Pending;
use crate::lower::sparse::RowBuilder;
use cipherloom_ir::circuit::Matrix;
use std::sync::Arc;

impl Network {
    /// The network with twice as many lookups of a value; whatever reads it reads their mean.
    pub(super) fn doubled(&self, value: usize) -> Self {
        let mut network = self.clone();
        let outputs = network.outputs.iter_mut().map(|o| &mut o.value);
        let operands = network.values.iter_mut().filter_map(|v| match &mut v.kind {
            Kind::Lookup { operand, .. } => Some(operand),
            Kind::Input(_) => None,
        });
        for pending in outputs.chain(operands) {
            for (_, matrix) in pending.terms.iter_mut().filter(|(v, _)| *v == value) {
                *matrix = Arc::new(mean(matrix));
            }
        }
        if let Some(doubled) = network.values.get_mut(value) {
            doubled.len *= 2;
            doubled.copies *= 2;
            if let Kind::Lookup { operand, .. } = &mut doubled.kind {
                *operand = twice(operand);
            }
        }
        network
    }
}

/// The rows, and all of them again.
fn twice(pending: &Pending) -> Pending {
    let mut result = pending.clone();
    result.bias.extend_from_within(..);
    for (_, matrix) in &mut result.terms {
        let mut both = Matrix::clone(matrix);
        let entries = both.entries();
        let again = matrix.row_starts.iter().skip(1).map(|s| s + entries);
        both.row_starts.extend(again);
        both.columns.extend_from_within(..);
        both.values.extend_from_within(..);
        both.rows *= 2;
        *matrix = Arc::new(both);
    }
    result
}

/// Half of the weights for the columns, half for their copies.
fn mean(matrix: &Matrix) -> Matrix {
    let mut builder = RowBuilder::new(2 * matrix.cols);
    for row in 0..matrix.rows {
        for (column, weight) in matrix.row(row) {
            builder.push(column, 0.5 * weight);
            builder.push(matrix.cols + column, 0.5 * weight);
        }
        builder.end_row();
    }
    let mut mean = builder.finish();
    mean.name.clone_from(&matrix.name);
    mean
}
