//! Sparse integer matrices times vectors of ciphertexts, modulo 2^64.

use cipherloom_ir::integer::Matrix;
use rayon::prelude::*;

/// Words of a ciphertext that are summed up at a time: the same part of all operands stays in a near cache.
const BLOCK: usize = 256;

/// `matrix * operands + bias` for each sample. Each operand holds, sample after sample, its elements of `words` words.
pub(super) fn apply(
    matrix: &Matrix,
    operands: &[&[u64]],
    samples: usize,
    words: usize,
    log_delta: u32,
) -> Vec<u64> {
    let rows = matrix.rows();
    let mut result = vec![0_u64; samples * rows * words];
    let share = rows.div_ceil(4 * rayon::current_num_threads()).max(1);
    for (sample, result) in result.chunks_mut((rows * words).max(1)).enumerate() {
        let columns: Vec<&[u64]> = operands
            .iter()
            .flat_map(|operand| {
                let length = operand.len() / samples.max(1);
                operand
                    .chunks(length.max(1))
                    .nth(sample)
                    .unwrap_or_default()
                    .chunks(words)
            })
            .collect();
        result
            .par_chunks_mut(share * words)
            .enumerate()
            .for_each(|(i, part)| some_rows(matrix, &columns, i * share, part, words, log_delta));
    }
    result
}

/// The rows from `first` on, as many as `part` holds.
fn some_rows(
    matrix: &Matrix,
    columns: &[&[u64]],
    first: usize,
    part: &mut [u64],
    words: usize,
    log_delta: u32,
) {
    for start in (0..words).step_by(BLOCK) {
        let block = start..words.min(start + BLOCK);
        for (i, row) in part.chunks_mut(words).enumerate() {
            let Some(sum) = row.get_mut(block.clone()) else {
                continue;
            };
            for (column, weight) in matrix.row(first + i) {
                if let Some(operand) = columns.get(column).and_then(|c| c.get(block.clone())) {
                    multiply_add(sum, operand, weight as u64);
                }
            }
        }
    }
    for (i, row) in part.chunks_mut(words).enumerate() {
        let bias = matrix.bias.get(first + i).copied().unwrap_or(0) as u64;
        if let Some(body) = row.last_mut() {
            *body = body.wrapping_add(bias << log_delta);
        }
    }
}

fn multiply_add(sum: &mut [u64], operand: &[u64], weight: u64) {
    let pairs = sum.iter_mut().zip(operand);
    if weight == 1 {
        pairs.for_each(|(s, x)| *s = s.wrapping_add(*x));
    } else if weight == u64::MAX {
        pairs.for_each(|(s, x)| *s = s.wrapping_sub(*x));
    } else {
        pairs.for_each(|(s, x)| *s = s.wrapping_add(x.wrapping_mul(weight)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sums_of_words() {
        // Two operands of 2 and 1 elements, two samples, 300 words: more than a block.
        let (words, samples) = (300, 2);
        let word =
            |operand: u64, i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ operand;
        let a: Vec<u64> = (0..samples * 2 * words).map(|i| word(1, i)).collect();
        let b: Vec<u64> = (0..samples * words).map(|i| word(2, i)).collect();
        let rows: Vec<(Vec<(u32, i64)>, i64)> = (0..37)
            .map(|r| (vec![(0, 1), (1, -1), (2, r - 18)], 3 * r - 5))
            .chain([(vec![], 7), (vec![(2, i64::MIN + 9)], 0)])
            .collect();
        let matrix = Matrix::from_rows("m", 3, rows.clone()).unwrap();
        let found = apply(&matrix, &[&a, &b], samples, words, 40);
        assert_eq!(found.len(), samples * rows.len() * words);
        for (i, value) in found.iter().enumerate() {
            let (sample, row, w) = (i / words / rows.len(), i / words % rows.len(), i % words);
            let column = |c: u32| match c {
                2 => b[sample * words + w],
                c => a[(sample * 2 + c as usize) * words + w],
            };
            let (entries, bias) = &rows[row];
            let mut expected = if w == words - 1 {
                (*bias as u64) << 40
            } else {
                0
            };
            for (c, weight) in entries {
                expected = expected.wrapping_add(column(*c).wrapping_mul(*weight as u64));
            }
            assert_eq!(*value, expected, "{sample} {row} {w}");
        }
    }
}
