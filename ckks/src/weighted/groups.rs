//! The rows of a matrix in pieces of a few that have the same columns, so that they share the loads of the operands.

use crate::kernel::weighted::MAX_ROWS;
use cipherloom_ir::circuit::Matrix;

/// Some rows with the same columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The rows, at most [`MAX_ROWS`].
    pub(super) rows: Vec<u32>,
    /// The columns of their entries.
    pub(super) columns: Vec<u32>,
    /// For each column, the entry of each row.
    pub(super) integers: Vec<i64>,
}

/// The pieces of a matrix whose entries are the given integers, ordered by their columns.
pub(super) fn pieces(matrix: &Matrix, integers: &[i64]) -> Vec<Piece> {
    let span = |row: u32| {
        let row = row as usize;
        matrix.row_starts[row]..matrix.row_starts[row + 1]
    };
    let columns = |row: &u32| &matrix.columns[span(*row)];
    let mut order: Vec<u32> = (0..matrix.rows as u32).collect();
    order.sort_by(|a, b| columns(a).cmp(columns(b)));
    let mut pieces = Vec::new();
    for group in order.chunk_by(|a, b| columns(a) == columns(b)) {
        // Pieces of nearly equal size.
        let count = group.len().div_ceil(MAX_ROWS);
        for i in 0..count {
            let rows = &group[group.len() * i / count..group.len() * (i + 1) / count];
            let shared = columns(&rows[0]);
            let entry = |c: usize| rows.iter().map(move |r| integers[span(*r).start + c]);
            pieces.push(Piece {
                rows: rows.to_vec(),
                columns: shared.to_vec(),
                integers: (0..shared.len()).flat_map(entry).collect(),
            });
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_equal_columns_lie_together() {
        // Rows 0, 2, .. have columns 0 and 2; the others column 1; row 9 has none.
        let mut matrix = Matrix {
            name: "m".into(),
            rows: 18,
            cols: 3,
            row_starts: vec![0],
            columns: vec![],
            values: vec![],
        };
        for row in 0..18 {
            match row {
                9 => {}
                r if r % 2 == 0 => matrix.columns.extend([0, 2]),
                _ => matrix.columns.push(1),
            }
            matrix.row_starts.push(matrix.columns.len());
        }
        let integers: Vec<i64> = (0..matrix.columns.len() as i64).collect();
        let found = pieces(&matrix, &integers);
        let sizes: Vec<usize> = found.iter().map(|p| p.rows.len()).collect();
        assert_eq!(sizes, [1, 4, 5, 4, 4]);
        assert_eq!((found[0].rows[0], found[0].columns.len()), (9, 0));
        let mut rows: Vec<u32> = found.iter().flat_map(|p| p.rows.clone()).collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..18).collect::<Vec<u32>>());
        for piece in &found {
            for (r, row) in piece.rows.iter().enumerate() {
                let start = matrix.row_starts[*row as usize];
                for (c, column) in piece.columns.iter().enumerate() {
                    assert_eq!(*column, matrix.columns[start + c]);
                    assert_eq!(piece.integers[c * piece.rows.len() + r], (start + c) as i64);
                }
            }
        }
    }
}
