//! Sparse matrices over tensor elements: building, products, sums.

use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::value::element_count;

/// Builds a [`Matrix`] row by row.
pub(crate) struct RowBuilder {
    matrix: Matrix,
    row: Vec<(u32, f64)>,
}

impl RowBuilder {
    /// An empty matrix with `cols` columns.
    pub(crate) fn new(cols: usize) -> Self {
        let matrix = Matrix {
            name: String::new(),
            rows: 0,
            cols,
            row_starts: vec![0],
            columns: Vec::new(),
            values: Vec::new(),
        };
        Self {
            matrix,
            row: Vec::new(),
        }
    }

    /// Adds an entry to the open row; entries of one column are summed, zeros are left out.
    pub(crate) fn push(&mut self, column: usize, value: f64) {
        self.row.push((column as u32, value));
    }

    /// Closes the open row.
    pub(crate) fn end_row(&mut self) {
        // The sort is stable, so that sums of one column have a fixed order.
        self.row.sort_by_key(|(column, _)| *column);
        let mut entries = self.row.drain(..).peekable();
        while let Some((column, mut value)) = entries.next() {
            while let Some((_, more)) = entries.next_if(|(next, _)| *next == column) {
                value += more;
            }
            if value != 0.0 {
                self.matrix.columns.push(column);
                self.matrix.values.push(value);
            }
        }
        self.matrix.rows += 1;
        self.matrix.row_starts.push(self.matrix.columns.len());
    }

    /// The finished matrix.
    pub(crate) fn finish(self) -> Matrix {
        self.matrix
    }
}

/// `factor` times the identity.
pub(crate) fn scaled_identity(n: usize, factor: f64) -> Matrix {
    Matrix {
        name: String::new(),
        rows: n,
        cols: n,
        row_starts: (0..=n).collect(),
        columns: (0..n as u32).collect(),
        values: vec![factor; n],
    }
}

/// The matrix whose row `r` copies element `sources[r]`; `None` gives a zero row.
pub(crate) fn selection(sources: impl Iterator<Item = Option<usize>>, cols: usize) -> Matrix {
    let mut rows = RowBuilder::new(cols);
    for source in sources {
        if let Some(column) = source {
            rows.push(column, 1.0);
        }
        rows.end_row();
    }
    rows.finish()
}

/// For each part of a concatenation along an axis, the matrix that moves its elements to their places in the result;
/// `None` where the shapes do not fit.
pub(crate) fn concat_places(out: &[usize], parts: &[&[usize]], axis: usize) -> Option<Vec<Matrix>> {
    let inner = |shape: &[usize]| shape.get(axis..).and_then(element_count);
    let (count, row) = (element_count(out)?, inner(out).filter(|row| *row > 0)?);
    let mut start = 0;
    let mut places = Vec::with_capacity(parts.len());
    for from in parts {
        let (cols, length) = (element_count(from)?, inner(from)?);
        let source = |r: usize| {
            let within = (r % row).checked_sub(start).filter(|at| *at < length)?;
            Some(r / row * length + within).filter(|at| *at < cols)
        };
        places.push(selection((0..count).map(source), cols));
        start += length;
    }
    Some(places)
}

/// The factor if the matrix is that factor times the identity.
pub(crate) fn as_scaled_identity(m: &Matrix) -> Option<f64> {
    if m.rows != m.cols || m.entries() != m.rows {
        return None;
    }
    let first = *m.values.first()?;
    let diagonal = m
        .columns
        .iter()
        .enumerate()
        .all(|(row, column)| row == *column as usize);
    let regular = m
        .row_starts
        .iter()
        .enumerate()
        .all(|(row, start)| row == *start);
    (diagonal && regular && m.values.iter().all(|v| *v == first)).then_some(first)
}

/// The factor if each row has at most one entry and all entries are equal to it.
pub(crate) fn as_scaled_selection(m: &Matrix) -> Option<f64> {
    let first = *m.values.first()?;
    let single = m.row_starts.windows(2).all(|w| w[1] - w[0] <= 1);
    (single && m.values.iter().all(|v| *v == first)).then_some(first)
}

/// Whether each row has at most one entry: data movement, possibly with factors.
pub(crate) fn is_movement(m: &Matrix) -> bool {
    m.row_starts.windows(2).all(|w| w[1] - w[0] <= 1)
}

/// The matrix times a number.
pub(crate) fn scale(m: &Matrix, factor: f64) -> Matrix {
    let mut result = m.clone();
    result.values.iter_mut().for_each(|v| *v *= factor);
    result
}

/// The product `a * b`.
pub(crate) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    if let Some(factor) = as_scaled_identity(b) {
        return if factor == 1.0 {
            a.clone()
        } else {
            scale(a, factor)
        };
    }
    if let Some(factor) = as_scaled_identity(a) {
        return if factor == 1.0 {
            b.clone()
        } else {
            scale(b, factor)
        };
    }
    let mut rows = RowBuilder::new(b.cols);
    let mut sums = vec![0.0; b.cols];
    let mut touched = vec![false; b.cols];
    let mut columns = Vec::new();
    for r in 0..a.rows {
        for (k, x) in a.row(r) {
            for (c, y) in b.row(k) {
                if !touched[c] {
                    touched[c] = true;
                    columns.push(c);
                }
                sums[c] += x * y;
            }
        }
        for c in columns.drain(..) {
            rows.push(c, sums[c]);
            sums[c] = 0.0;
            touched[c] = false;
        }
        rows.end_row();
    }
    rows.finish()
}

/// The sum of two matrices of one shape.
pub(crate) fn sum(a: &Matrix, b: &Matrix) -> Matrix {
    let mut rows = RowBuilder::new(a.cols);
    for r in 0..a.rows {
        for (c, v) in a.row(r).chain(b.row(r)) {
            rows.push(c, v);
        }
        rows.end_row();
    }
    rows.finish()
}

/// The matrix times a vector.
pub(crate) fn apply(m: &Matrix, x: &[f64]) -> Vec<f64> {
    let row = |span: &[usize]| {
        let entries = m.columns[span[0]..span[1]]
            .iter()
            .zip(&m.values[span[0]..span[1]]);
        entries.map(|(c, v)| v * x[*c as usize]).sum()
    };
    m.row_starts.windows(2).map(row).collect()
}

/// As many samples as are evaluated together, so that a matrix is read once for all of them.
pub(crate) const LANES: usize = 8;

/// The matrix times a vector, added to `sums`, for several samples at once.
pub(crate) fn apply_lanes(m: &Matrix, x: &[[f64; LANES]], sums: &mut [[f64; LANES]]) {
    for (row, sum) in m.row_starts.windows(2).zip(sums) {
        let entries = m.columns[row[0]..row[1]]
            .iter()
            .zip(&m.values[row[0]..row[1]]);
        let mut own = [0.0; LANES];
        for (column, weight) in entries {
            let x = &x[*column as usize];
            for lane in 0..LANES {
                own[lane] += weight * x[lane];
            }
        }
        for lane in 0..LANES {
            sum[lane] += own[lane];
        }
    }
}
