//! Sums of rows with small integers as weights: the product of a matrix with residues, modulo one prime.
//!
//! Modulo a prime below 2^32 residues and weights are centred; their products are summed up in 64 bits without a
//! reduction for as long as the sum's bound allows. Where many products fit 52 bits and a sign, the vector kernel lets
//! one instruction multiply and add modulo 2^52. Modulo a larger prime weights are in Montgomery form, and sums have
//! 128 bits (or two halves of 52 bits).

use super::modulus::{MAX_TERMS, Modulus};
use super::{Buffer, Row, add_assign, mul_assign};
#[cfg(target_arch = "x86_64")]
use super::{ifma, use_ifma};

#[cfg(test)]
mod tests;

/// At most so many rows share the loads of a panel.
pub(crate) const MAX_ROWS: usize = 6;
/// Words that the vector kernels work on at a time.
pub(crate) const BLOCK: usize = 32;
/// Primes below this have narrow panels.
const NARROW: u64 = 1 << 32;

/// Some words of many rows modulo one prime: the first block of each row, then the second of each, and so on, so that
/// what is worked on at a time lies together.
pub(crate) struct Panel {
    /// Centred residues of 32 bits modulo a narrow prime, residues modulo others.
    words: Buffer,
    narrow: bool,
    columns: usize,
    /// The words of a block; the last one of a row may have fewer.
    block: usize,
}

/// Weights modulo one prime.
pub(crate) enum Factors {
    /// Centred residues.
    Narrow(Vec<i64>, Terms),
    /// Residues in Montgomery form.
    Wide(Vec<u64>),
}

/// How many products of a panel's words with the weights may be summed up.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// In 63 bits and a sign, with a residue to start from.
    pub(crate) long: usize,
    /// In 51 bits and a sign; at most [`Self::long`].
    pub(crate) short: usize,
}

impl Panel {
    /// A panel of so many rows of `width` words, all unwritten. (Rows of a panel are columns of a matrix.)
    pub(crate) fn new(m: &Modulus, columns: usize, width: usize) -> Self {
        let (block, narrow) = (width.clamp(1, BLOCK), m.p < NARROW);
        let len = width.div_ceil(block) * block * columns;
        Self {
            words: Buffer::unspecified(if narrow { len.div_ceil(2) } else { len }),
            narrow,
            columns,
            block,
        }
    }

    /// Writes a row of residues.
    pub(crate) fn set(&mut self, m: &Modulus, column: usize, row: Row<'_>) {
        let (stride, block) = (self.columns * self.block, self.block);
        let at = |i: usize| i * stride + column * block;
        match row {
            Row::Narrow(row) if self.narrow => {
                let (p, half) = (m.p as u32, (m.p / 2) as u32);
                for (i, row) in row.chunks(block).enumerate() {
                    let words = self.words.narrow_mut()[at(i)..].iter_mut();
                    // A residue less the prime, modulo 2^32, is the negative number.
                    words.zip(row).for_each(|(word, x)| {
                        *word = x.wrapping_sub(if *x > half { p } else { 0 })
                    });
                }
            }
            Row::Narrow(row) => {
                for (i, row) in row.chunks(block).enumerate() {
                    let words = self.words[at(i)..].iter_mut();
                    words.zip(row).for_each(|(word, x)| *word = u64::from(*x));
                }
            }
            Row::Wide(row) => {
                for (i, row) in row.chunks(block).enumerate() {
                    self.set_block(m, at(i), row);
                }
            }
        }
    }

    /// Writes residues from a position of the panel on.
    fn set_block(&mut self, m: &Modulus, at: usize, residues: &[u64]) {
        if self.narrow {
            let words = self.words.narrow_mut()[at..].iter_mut();
            words
                .zip(residues)
                .for_each(|(word, x)| *word = centre(m, *x as i64) as u32);
        } else {
            self.words[at..at + residues.len()].copy_from_slice(residues);
        }
    }

    /// Writes the products of two rows, word by word, or twice the products.
    pub(crate) fn set_product(
        &mut self,
        m: &Modulus,
        column: usize,
        [a, b]: [Row<'_>; 2],
        twice: bool,
    ) {
        let (stride, block) = (self.columns * self.block, self.block);
        assert!(a.len() == b.len() && column < self.columns);
        assert!(
            a.len().div_ceil(block) * stride <= self.words.len() * if self.narrow { 2 } else { 1 }
        );
        #[cfg(target_arch = "x86_64")]
        if let (Row::Narrow(a), Row::Narrow(b)) = (a, b)
            && self.narrow
            && block == BLOCK
            && use_ifma(a.len(), BLOCK)
        {
            let words = self.words.narrow_mut();
            for (i, (a, b)) in a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK)).enumerate() {
                let words = &mut words[i * stride + column * block..][..BLOCK];
                // SAFETY: the CPU has the features; all three slices have the length of a block.
                unsafe { ifma::centred_products(m, words, a, b, twice) }
            }
            return;
        }
        let (mut words, mut other) = ([0; BLOCK], [0; BLOCK]);
        for from in (0..a.len()).step_by(block) {
            let len = block.min(a.len() - from);
            let (words, other) = (&mut words[..len], &mut other[..len]);
            a.copy_to(from, words);
            b.copy_to(from, other);
            mul_assign(m, words, other);
            if twice {
                other.copy_from_slice(words);
                add_assign(m, words, other);
            }
            self.set_block(m, from / block * stride + column * block, words);
        }
    }
}

impl Factors {
    /// The residues of integers.
    pub(crate) fn new(m: &Modulus, integers: &[i64]) -> Self {
        if m.p < NARROW {
            let residue = |k: &i64| centre(m, m.signed_residue(*k) as i64);
            let words: Vec<i64> = integers.iter().map(residue).collect();
            let largest = words.iter().map(|w| w.unsigned_abs()).max().unwrap_or(0);
            let product = (m.p / 2 + 1) * largest.max(1);
            let long = ((i64::MAX as u64 - m.p) / product).clamp(1, MAX_TERMS as u64);
            let short = (((1 << 51) - 1) / product).min(long);
            let [long, short] = [long, short].map(|terms| terms as usize);
            Factors::Narrow(words, Terms { long, short })
        } else {
            let residue = |k: &i64| m.montgomery(m.signed_residue(*k));
            Factors::Wide(integers.iter().map(residue).collect())
        }
    }
}

/// The representative of a residue in `[-p/2, p/2]`.
fn centre(m: &Modulus, residue: i64) -> i64 {
    let p = m.p as i64;
    residue - if residue > p / 2 { p } else { 0 }
}

/// One product of some rows of a matrix that have the same columns with a block of a panel.
#[derive(Clone, Copy)]
pub(crate) struct Weighted<'a> {
    /// The rows of the panel.
    pub(crate) panel: &'a Panel,
    /// The rows of the panel that are summed up.
    pub(crate) columns: &'a [u32],
    /// The weights: for each column, one for each result, from `start` on.
    pub(crate) factors: &'a Factors,
    /// The first weight.
    pub(crate) start: usize,
    /// The first word, a multiple of [`BLOCK`].
    pub(crate) at: usize,
    /// The words, at most [`BLOCK`].
    pub(crate) len: usize,
}

/// `out_r[at + i] = sum_c factors[start + c R + r] * panel[columns[c]][at + i]` for R results, at most [`MAX_ROWS`].
pub(crate) fn weighted_sums(m: &Modulus, out: &mut [&mut [u64]], work: &Weighted<'_>) {
    let (rows, panel, (at, len)) = (out.len(), work.panel, (work.at, work.len));
    assert!(rows <= MAX_ROWS && at.is_multiple_of(panel.block) && len <= panel.block);
    assert!(out.iter().all(|o| at + len <= o.len()));
    assert!(work.columns.iter().all(|c| (*c as usize) < panel.columns));
    let first = at * panel.columns;
    let block = first..first + panel.columns * panel.block;
    let factors = work.start..work.start + work.columns.len() * rows;
    match work.factors {
        Factors::Narrow(all, terms) => {
            assert!(panel.narrow, "a panel and factors of different primes");
            let (words, factors) = (&panel.words.narrow()[block], &all[factors]);
            #[cfg(target_arch = "x86_64")]
            if len == BLOCK && use_ifma(len, BLOCK) {
                // SAFETY: the CPU has the features. The block is whole, columns lie within it, the results reach to its
                // end, and there is a factor for each column and row, as found above.
                unsafe { ifma::weighted_narrow(m, out, words, work, factors, *terms) }
                return;
            }
            narrow(m, out, words, work, factors, terms.long);
        }
        Factors::Wide(all) => {
            assert!(!panel.narrow, "a panel and factors of different primes");
            let (words, factors) = (&panel.words[block], &all[factors]);
            #[cfg(target_arch = "x86_64")]
            if len == BLOCK && use_ifma(len, BLOCK) {
                // SAFETY: as above.
                unsafe { ifma::weighted_wide(m, out, words, work, factors) }
                return;
            }
            wide(m, out, words, work, factors);
        }
    }
}

fn narrow(
    m: &Modulus,
    out: &mut [&mut [u64]],
    words: &[u32],
    work: &Weighted<'_>,
    factors: &[i64],
    terms: usize,
) {
    let (rows, p, block) = (out.len(), m.p as i64, work.panel.block);
    for (r, out) in out.iter_mut().enumerate() {
        for i in 0..work.len {
            let mut sum = 0_i64;
            for (t, column) in work.columns.iter().enumerate() {
                if t > 0 && t % terms == 0 {
                    sum = sum.rem_euclid(p);
                }
                let x = words[*column as usize * block + i] as i32;
                sum += i64::from(x) * factors[t * rows + r];
            }
            out[work.at + i] = sum.rem_euclid(p) as u64;
        }
    }
}

fn wide(m: &Modulus, out: &mut [&mut [u64]], words: &[u64], work: &Weighted<'_>, factors: &[u64]) {
    let (rows, block) = (out.len(), work.panel.block);
    for (r, out) in out.iter_mut().enumerate() {
        for i in 0..work.len {
            let mut reduced = 0;
            for (chunk, columns) in work.columns.chunks(MAX_TERMS).enumerate() {
                let mut sum = 0_u128;
                for (t, column) in columns.iter().enumerate() {
                    let x = words[*column as usize * block + i];
                    let factor = factors[(chunk * MAX_TERMS + t) * rows + r];
                    sum += u128::from(x) * u128::from(factor);
                }
                reduced = m.add(reduced, m.reduce_sum(sum));
            }
            out[work.at + i] = reduced;
        }
    }
}
