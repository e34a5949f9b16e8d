//! What operations cost: counts of limb-sized NTTs and multiply-accumulates, and seconds from built-in figures.
//!
//! L is the number of chain primes alive, k that of special primes, beta the number of key-switching digits. A hybrid
//! key switch takes beta (L+k) NTTs to decompose and 2 (L+k) to divide by the special modulus; a rotation of a
//! decomposed (hoisted) operand takes no NTT, but 2 beta (L+k) multiply-accumulates. The figures are fitted to whole runs
//! of small networks at N = 2^13 on one thread with AVX-512 IFMA kernels, so they hold what goes with the two
//! operations (conversions between primes, permutations, keys from memory). A machine's own figures would change
//! estimates only, never a plan's choice.

use std::ops::AddAssign;

/// Counts of the two operations that dominate, each over one limb (N words).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Number-theoretic transforms, forward and inverse.
    pub ntts: u64,
    /// Multiply-accumulates.
    pub macs: u64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.ntts += other.ntts;
        self.macs += other.macs;
    }
}

/// Microseconds that go with one NTT of 2^13 words.
const NTT_US: f64 = 26.8;
/// Microseconds that go with one multiply-accumulate over 2^13 words.
const MAC_US: f64 = 3.4;

/// Bytes of a residue that is kept: 4 below 2^32, else 8; parameters are not known yet where this is used.
const WORD_BYTES: u64 = 8;

/// How a linear transform is executed.
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

impl Limbs {
    fn digits(self) -> u64 {
        self.q.div_ceil(self.digit_size.max(1))
    }

    /// One key switch with its division by the special modulus: a rotation or a relinearisation.
    pub fn key_switch(self) -> Work {
        let (all, digits) = (self.q + self.p, self.digits());
        Work {
            ntts: (digits + 2) * all,
            macs: 2 * digits * all + 3 * self.p * self.q,
        }
    }

    /// A product of two ciphertexts with relinearisation.
    pub fn multiply(self) -> Work {
        let mut work = self.key_switch();
        work.macs += 4 * self.q;
        work
    }

    /// A sum of products and multiples: one relinearisation, fused with the rescale, if there are products.
    pub fn combine(self, products: u64, terms: u64, rescale: bool) -> Work {
        let mut work = match (products, rescale) {
            (0, false) => Work::default(),
            (0, true) => self.rescale(),
            _ => self.key_switch(),
        };
        work.macs += (4 * products + 2 * terms) * self.q;
        work
    }

    /// A rescale that nothing is fused with.
    pub fn rescale(self) -> Work {
        Work {
            ntts: 2 * self.q,
            macs: 2 * self.q,
        }
    }

    /// The bytes of a linear transform's diagonals of some period, and of its keys if no other uses them.
    pub fn transform_bytes(self, counts: TransformCounts, period: usize, log_n: u32) -> u64 {
        let limbs = WORD_BYTES * (self.q + self.p);
        let keys = counts.babies + counts.giants + counts.folds;
        let key = (2 * self.digits() * limbs) << log_n;
        let diagonal = limbs * 2 * period as u64;
        keys.saturating_mul(key) + counts.diagonals.saturating_mul(diagonal)
    }

    /// A double-hoisted linear transform with a fused rescale.
    pub fn transform(self, counts: TransformCounts) -> Work {
        let (all, digits) = (self.q + self.p, self.digits());
        let TransformCounts {
            cols,
            rows,
            diagonals,
            babies,
            giants,
            folds,
        } = counts;
        let decompose = if babies > 0 { cols * digits * all } else { 0 };
        let giant_switches = rows * giants;
        let mut work = Work {
            ntts: decompose + giant_switches * (digits + 1) * all + rows * 2 * all,
            macs: 2 * all * (digits * (cols * babies + giant_switches) + diagonals)
                + (giant_switches + rows) * self.q * self.p,
        };
        for _ in 0..rows * folds {
            work += self.key_switch();
        }
        work
    }
}

impl Work {
    /// Seconds on one thread at ring degree `2^log_n`.
    pub fn seconds(self, log_n: u32) -> f64 {
        let size = libm::exp2(f64::from(log_n) - 13.0);
        let ntt = NTT_US * size * f64::from(log_n) / 13.0;
        1e-6 * (self.ntts as f64 * ntt + self.macs as f64 * MAC_US * size)
    }
}
