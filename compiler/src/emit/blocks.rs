//! A matrix as the diagonals of a transform between two layouts.

use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::layout::Layout;
use cipherloom_ir::plan::{Block, Diagonal};
use std::collections::BTreeMap;

/// The diagonals of a matrix between two layouts (see `lower::packing` for the rule).
pub(super) fn blocks(matrix: &Matrix, from: &Layout, to: &Layout) -> Option<Vec<Block>> {
    let (modulus, period) = (from.period.min(to.period), from.period.max(to.period));
    let mut found: BTreeMap<(u32, u32), BTreeMap<u32, Vec<f64>>> = BTreeMap::new();
    for r in 0..matrix.rows {
        let row = *to.positions.get(r)? as usize;
        let (row_block, row_slot) = (row / to.period, row % to.period);
        for (c, value) in matrix.row(r) {
            let col = *from.positions.get(c)? as usize;
            let (col_block, col_slot) = (col / from.period, col % from.period);
            let d = col_slot.wrapping_sub(row_slot) & (modulus - 1);
            let slot = if from.period >= to.period {
                col_slot.wrapping_sub(d) & (period - 1)
            } else {
                row_slot
            };
            let block = found
                .entry((row_block as u32, col_block as u32))
                .or_default();
            let diagonal = block.entry(d as u32).or_insert_with(|| vec![0.0; period]);
            *diagonal.get_mut(slot)? += value;
        }
    }
    // Operands and results without any weight still belong to the transform: a diagonal of zeros.
    let zeros = || BTreeMap::from([(0, vec![0.0; period])]);
    for row in 0..to.ciphertexts as u32 {
        if !found.keys().any(|(r, _)| *r == row) {
            found.insert((row, 0), zeros());
        }
    }
    for col in 0..from.ciphertexts as u32 {
        if !found.keys().any(|(_, c)| *c == col) {
            found.insert((0, col), zeros());
        }
    }
    let block = |((row, col), diagonals): ((u32, u32), BTreeMap<u32, Vec<f64>>)| Block {
        row,
        col,
        diagonals: diagonals
            .into_iter()
            .map(|(rotation, values)| Diagonal { rotation, values })
            .collect(),
    };
    Some(found.into_iter().map(block).collect())
}
