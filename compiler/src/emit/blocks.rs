//! A matrix as the diagonals of a transform between two layouts.

use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::layout::Layout;
use cipherloom_ir::plan::{Block, Diagonal};

/// The diagonals of a matrix between two layouts (see `lower::packing` for the rule); `None` where a layout has a
/// position out of range.
pub(crate) fn blocks(matrix: &Matrix, from: &Layout, to: &Layout) -> Option<Vec<Block>> {
    let (modulus, period) = (from.period.min(to.period), from.period.max(to.period));
    // For each block and rotation, the index of its diagonal.
    let count = from.ciphertexts.checked_mul(to.ciphertexts)?;
    let mut index: Vec<Option<usize>> = vec![None; count.checked_mul(modulus)?];
    let mut diagonals: Vec<Vec<f64>> = Vec::new();
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
            let place = index.get_mut((row_block * from.ciphertexts + col_block) * modulus + d)?;
            let diagonal = *place.get_or_insert_with(|| {
                diagonals.push(vec![0.0; period]);
                diagonals.len() - 1
            });
            *diagonals.get_mut(diagonal)?.get_mut(slot)? += value;
        }
    }
    // Operands and results without any weight still belong to the transform: a diagonal of zeros.
    let used = |block: usize| {
        index[block * modulus..][..modulus]
            .iter()
            .any(Option::is_some)
    };
    let used: Vec<bool> = (0..count).map(used).collect();
    let at = |row: usize, col: usize| row * from.ciphertexts + col;
    let mut empty = Vec::new();
    for row in 0..to.ciphertexts {
        if !(0..from.ciphertexts).any(|col| used[at(row, col)]) {
            empty.push(at(row, 0));
        }
    }
    for col in 0..from.ciphertexts {
        let rows = (0..to.ciphertexts).map(|row| at(row, col));
        if !rows
            .clone()
            .any(|block| used[block] || empty.contains(&block))
        {
            empty.push(at(0, col));
        }
    }
    let mut blocks = Vec::new();
    for block in 0..count {
        let found = index[block * modulus..][..modulus].iter().enumerate();
        let mut own: Vec<Diagonal> = found
            .filter_map(|(rotation, i)| {
                Some(Diagonal {
                    rotation: rotation as u32,
                    values: std::mem::take(diagonals.get_mut((*i)?)?),
                })
            })
            .collect();
        if empty.contains(&block) {
            own.push(Diagonal {
                rotation: 0,
                values: vec![0.0; period],
            });
        }
        if !own.is_empty() {
            blocks.push(Block {
                row: (block / from.ciphertexts) as u32,
                col: (block % from.ciphertexts) as u32,
                diagonals: own,
            });
        }
    }
    Some(blocks)
}
