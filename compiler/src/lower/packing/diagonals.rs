//! The diagonals of a matrix between two layouts, and the cheapest split into baby and giant steps.

use crate::cost::{Limbs, Rates, TransformCounts};
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::layout::Layout;
use rayon::prelude::*;

/// Rows that are looked at between two questions whether a matrix is too costly already.
const ROWS_AT_ONCE: usize = 64;
/// From so many entries on, a matrix is worth several threads.
const SHARED_ENTRIES: usize = 1 << 18;

/// Seconds that a byte of keys and diagonals is worth: they are made, sent, read and kept, though a run's time hardly
/// feels them. A gigabyte is worth a tenth of a second.
const SECONDS_A_BYTE: f64 = 1e-10;

/// The diagonals of a matrix between two layouts.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// The period of the diagonals.
    pub(crate) period: usize,
    /// Baby steps are rotations below this power of two.
    pub(crate) baby_step: usize,
    /// What it takes.
    pub(crate) counts: TransformCounts,
}

/// Which diagonals are not zero: one flag per block and rotation.
struct Occupied<'m> {
    matrix: &'m Matrix,
    from: &'m Layout,
    to: &'m Layout,
    modulus: usize,
}

impl<'m> Occupied<'m> {
    fn new(matrix: &'m Matrix, from: &'m Layout, to: &'m Layout) -> Self {
        Self {
            matrix,
            from,
            to,
            modulus: from.period.min(to.period),
        }
    }

    fn none(&self) -> Vec<bool> {
        vec![false; self.from.ciphertexts * self.to.ciphertexts * self.modulus]
    }

    /// Notes the diagonals of a row.
    fn note(&self, r: usize, flags: &mut [bool]) {
        let row = self.to.positions[r] as usize;
        let (row_block, row_slot) = (row / self.to.period, row % self.to.period);
        let (shift, mask) = (self.from.period.trailing_zeros(), self.modulus - 1);
        let base = row_block * self.from.ciphertexts;
        let span = self.matrix.row_starts[r]..self.matrix.row_starts[r + 1];
        for c in &self.matrix.columns[span] {
            let col = self.from.positions[*c as usize] as usize;
            // Both periods are powers of two, so that a wrapping difference keeps its residue.
            let d = col.wrapping_sub(row_slot) & mask;
            flags[(base + (col >> shift)) * self.modulus + d] = true;
        }
    }

    /// All flags.
    fn flags(&self) -> Vec<bool> {
        let mut flags = self.none();
        (0..self.matrix.rows).for_each(|r| self.note(r, &mut flags));
        flags
    }

    /// All flags, or `None` once there are more diagonals than `most`.
    fn flags_within(&self, most: usize) -> Option<Vec<bool>> {
        let rows = self.matrix.rows;
        // Rows in a scattered order, so that a poor layout shows soon.
        let step = scattered(rows);
        let order: Vec<usize> = (0..rows).map(|i| i * step % rows).collect();
        let (mut flags, mut done) = (self.none(), 0);
        while done < rows {
            let left = &order[done..];
            let large = self.matrix.entries() > SHARED_ENTRIES;
            // A first look alone; the rest in ever larger pieces, on all threads.
            let count = left.len().min(ROWS_AT_ONCE.max(done));
            if large && done >= 8 * ROWS_AT_ONCE {
                let found: Vec<Vec<bool>> = left[..count]
                    .par_chunks(count.div_ceil(8).max(1))
                    .map(|rows| {
                        let mut flags = self.none();
                        rows.iter().for_each(|r| self.note(*r, &mut flags));
                        flags
                    })
                    .collect();
                for found in found {
                    flags.iter_mut().zip(found).for_each(|(f, more)| *f |= more);
                }
            } else {
                left[..count].iter().for_each(|r| self.note(*r, &mut flags));
            }
            done += count;
            if count_of(&flags) > most {
                return None;
            }
        }
        Some(flags)
    }
}

fn count_of(flags: &[bool]) -> usize {
    flags.iter().filter(|f| **f).count()
}

/// A number that shares no factor with `count`, near its golden section.
fn scattered(count: usize) -> usize {
    let gcd = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let start = count * 5 / 8 + 1;
    (start..).find(|s| gcd(*s, count) <= 1).unwrap_or(1)
}

/// The number of diagonals in row-major packing within one ciphertext, whatever its size.
pub(crate) fn dense_diagonals(m: &Matrix) -> usize {
    let layout = |n: usize| Layout::dense(vec![n], usize::MAX / 2 + 1);
    count_of(&Occupied::new(m, &layout(m.cols), &layout(m.rows)).flags())
}

/// How a matrix is applied between two layouts: its diagonals and the cheapest split into baby and giant steps, with
/// its cost: seconds, and what its bytes are worth. `None` where it costs more than `limit` for certain.
pub(crate) fn shape(
    m: &Matrix,
    from: &Layout,
    to: &Layout,
    limbs: Limbs,
    (log_n, rates): (u32, &Rates),
    limit: f64,
) -> Option<(f64, Shape)> {
    let occupied = Occupied::new(m, from, to);
    let (modulus, period) = (occupied.modulus, from.period.max(to.period));
    let folds = (period / to.period.max(1)).ilog2();
    let counts = |diagonals: u64, babies: u64, giants: u64| TransformCounts {
        cols: from.ciphertexts as u64,
        rows: to.ciphertexts as u64,
        diagonals,
        babies,
        giants,
        folds: u64::from(folds),
    };
    let seconds = |counts| {
        let bytes = limbs.transform_bytes(counts, period * to.samples, log_n) as f64;
        rates.seconds(limbs.transform(counts)) + SECONDS_A_BYTE * bytes
    };
    let (none, one) = (seconds(counts(0, 0, 0)), seconds(counts(1, 0, 0)));
    let most = ((limit - none) / (one - none)).clamp(0.0, usize::MAX as f64 / 4.0);
    let flags = occupied.flags_within(most as usize)?;

    let mut union = vec![false; modulus];
    for flags in flags.chunks_exact(modulus) {
        union.iter_mut().zip(flags).for_each(|(u, f)| *u |= f);
    }
    let rotations: Vec<usize> = (0..modulus).filter(|d| union[*d]).collect();
    let diagonals = count_of(&flags) as u64;
    let mut best: Option<(f64, Shape)> = None;
    let mut step = 1;
    while step <= modulus {
        let mut babies = vec![false; step];
        let mut giants = vec![false; modulus / step];
        for d in &rotations {
            babies[d % step] = true;
            giants[d / step] = true;
        }
        let count = |flags: &[bool]| flags.iter().skip(1).filter(|f| **f).count() as u64;
        let counts = counts(diagonals, count(&babies), count(&giants));
        let cost = seconds(counts);
        if best.as_ref().is_none_or(|(old, _)| cost < *old) {
            let shape = Shape {
                period,
                baby_step: step,
                counts,
            };
            best = Some((cost, shape));
        }
        step *= 2;
    }
    best
}
