//! Counts of primitive operations.
//!
//! L is the number of chain primes alive, k that of special primes, beta the number of key-switching digits. A hybrid
//! key switch takes beta (L+k) NTTs to decompose and 2 (L+k) to divide by the special modulus; a rotation of a
//! decomposed (hoisted) operand takes no NTT, but beta (L+k) products with a key (Halevi and Shoup, CRYPTO 2018, section 5).

use std::ops::{Add, AddAssign, Mul};

/// Counts of primitive operations, each over one limb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Number-theoretic transforms, forward and inverse.
    pub ntts: u64,
    /// Products of a row with a constant in conversions between primes.
    pub converts: u64,
    /// Products of a digit with both halves of a key; a sum of them, permuted and written, counts as one more.
    pub keys: u64,
    /// Products of a plaintext diagonal with both parts of a rotation.
    pub diagonals: u64,
    /// Products of a part of a ciphertext with an integer, added to a weighted sum.
    pub sums: u64,
    /// Other passes over a limb: sums, products, copies.
    pub passes: u64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.ntts += other.ntts;
        self.converts += other.converts;
        self.keys += other.keys;
        self.diagonals += other.diagonals;
        self.sums += other.sums;
        self.passes += other.passes;
    }
}

impl Add for Work {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Mul<u64> for Work {
    type Output = Self;

    fn mul(self, times: u64) -> Self {
        Self {
            ntts: self.ntts * times,
            converts: self.converts * times,
            keys: self.keys * times,
            diagonals: self.diagonals * times,
            sums: self.sums * times,
            passes: self.passes * times,
        }
    }
}

impl Work {
    /// Multiply-accumulates over one limb.
    pub fn macs(self) -> u64 {
        self.converts + 2 * (self.keys + self.diagonals) + self.sums + self.passes
    }

    /// So many passes.
    pub(crate) fn passes(passes: u64) -> Self {
        Self {
            passes,
            ..Self::default()
        }
    }
}

/// How a linear transform is executed, as the search for packings counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransformCounts {
    /// Operand ciphertexts.
    pub cols: u64,
    /// Result ciphertexts.
    pub rows: u64,
    /// Non-zero diagonals over all blocks.
    pub diagonals: u64,
    /// Baby rotations other than zero.
    pub babies: u64,
    /// Giant rotations other than zero.
    pub giants: u64,
    /// Folds of each result.
    pub folds: u64,
}

/// The totals of a linear transform over all operands and results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransformShape {
    /// Operands that are decomposed, since a rotation of them is used.
    pub decomposed: u64,
    /// Rotations of operands.
    pub babies: u64,
    /// Operands that are used as they are.
    pub unrotated: u64,
    /// Products with a diagonal.
    pub diagonals: u64,
    /// Rotations of sums by giant steps.
    pub giants: u64,
    /// Rotations of results by folds.
    pub folds: u64,
    /// Results.
    pub rows: u64,
    /// Whether they are rescaled.
    pub rescale: bool,
}

impl From<TransformCounts> for TransformShape {
    fn from(counts: TransformCounts) -> Self {
        Self {
            decomposed: if counts.babies > 0 { counts.cols } else { 0 },
            babies: counts.cols * counts.babies,
            unrotated: counts.cols,
            diagonals: counts.diagonals,
            giants: counts.rows * counts.giants,
            folds: counts.rows * counts.folds,
            rows: counts.rows,
            rescale: true,
        }
    }
}

/// The modulus at which an operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limbs {
    /// Chain primes alive.
    pub q: u64,
    /// Special primes.
    pub p: u64,
    /// Chain primes per digit.
    pub digit_size: u64,
}

/// Bytes of a residue that is kept: 4 below 2^32, else 8; parameters are not known yet where this is used.
const WORD_BYTES: u64 = 8;

/// Rows that a conversion from so many primes reads: with several, one more for the overflow.
fn rows(primes: u64) -> u64 {
    primes + u64::from(primes > 1)
}

impl Limbs {
    fn all(self) -> u64 {
        self.q + self.p
    }

    fn digits(self) -> u64 {
        self.q.div_ceil(self.digit_size.max(1))
    }

    /// The digits' numbers of primes.
    fn digit_sizes(self) -> impl Iterator<Item = u64> {
        let size = self.digit_size.max(1);
        (0..self.digits()).map(move |d| size.min(self.q - d * size))
    }

    /// The preparation of an element, and its digits modulo all primes.
    fn decompose(self) -> Work {
        let mut work = Work {
            ntts: self.digits() * self.all(),
            passes: self.q,
            ..Work::default()
        };
        for size in self.digit_sizes() {
            work.converts += rows(size) * (self.all() - size);
            if self.digit_size > 1 {
                work.converts += size;
            }
        }
        work
    }

    /// The inner product of digits with a key.
    fn switch(self) -> Work {
        Work {
            keys: (self.digits() + 1) * self.all(),
            ..Work::default()
        }
    }

    /// The division of one element by `sources` primes.
    fn divide(sources: u64, targets: u64) -> Work {
        let overflow = if sources > 1 { sources } else { 0 };
        Work {
            ntts: sources + targets,
            converts: rows(sources) * targets + overflow,
            passes: sources + targets,
            ..Work::default()
        }
    }

    /// The division of two elements by the special primes, and by the last of the chain.
    fn divide_pair(self, rescale: bool) -> Work {
        let last = u64::from(rescale);
        Self::divide(self.p + last, self.q.saturating_sub(last)) * 2
    }

    /// One key switch with its division by the special modulus: a rotation, or a relinearisation.
    pub fn key_switch(self, rescale: bool) -> Work {
        self.decompose() + self.switch() + self.divide_pair(rescale)
    }

    /// A product of two ciphertexts with relinearisation.
    pub fn multiply(self, rescale: bool) -> Work {
        self.key_switch(rescale) + Work::passes(3 * self.q)
    }

    /// A sum of products and multiples: one relinearisation, fused with the rescale, if there are products.
    pub fn combine(self, products: u64, terms: u64, rescale: bool) -> Work {
        let sums = Work::passes((3 * products + terms + 1) * self.q);
        sums + match (products, rescale) {
            (0, false) => Work::default(),
            (0, true) => self.rescale(),
            _ => self.key_switch(rescale),
        }
    }

    /// A rescale that nothing is fused with.
    pub fn rescale(self) -> Work {
        Self::divide(1, self.q.saturating_sub(1)) * 2
    }

    /// Weighted sums of so many entries and results, of operands or of their squares; L is that of the operands. Squares
    /// are relinearised one level below, with a second rescale.
    pub fn weighted_sums(self, entries: u64, results: u64, squares: bool, rescale: bool) -> Work {
        let parts = if squares { 3 } else { 2 };
        let products = Work {
            sums: entries * parts * self.q,
            ..Work::default()
        };
        let below = Limbs {
            q: self.q.saturating_sub(1),
            ..self
        };
        // Each part of a result is written and read again.
        let mut result = Work::passes(2 * parts * self.q);
        if rescale {
            result += Self::divide(1, below.q) * parts;
        }
        if squares {
            result += below.key_switch(true);
        }
        products + result * results
    }

    /// The bytes of a linear transform's diagonals of some period, and of its keys if no other uses them.
    pub fn transform_bytes(self, counts: TransformCounts, period: usize, log_n: u32) -> u64 {
        let limbs = WORD_BYTES * self.all();
        let keys = counts.babies + counts.giants + counts.folds;
        let key = (2 * self.digits() * limbs) << log_n;
        let diagonal = limbs * 2 * period as u64;
        keys.saturating_mul(key) + counts.diagonals.saturating_mul(diagonal)
    }

    /// A double-hoisted linear transform.
    pub fn transform(self, shape: impl Into<TransformShape>) -> Work {
        let shape = shape.into();
        let products = Work {
            diagonals: shape.diagonals * self.all(),
            passes: shape.unrotated * 2 * self.q,
            ..Work::default()
        };
        // A sum moves by a rotation of its own: its second part is divided and decomposed.
        let moved = Self::divide(self.p, self.q) + self.decompose() + self.switch();
        let folded = moved + Work::passes(self.all());
        products
            + self.decompose() * shape.decomposed
            + self.switch() * shape.babies
            + moved * shape.giants
            + folded * shape.folds
            + self.divide_pair(shape.rescale) * shape.rows
    }
}
