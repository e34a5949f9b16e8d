//! Weighted sums of rows: see `super::super::weighted`.

use super::super::weighted::{BLOCK, Terms, Weighted};
use super::{
    Lanes, Sum, V, accumulate, add, correct, fold, lanes, load, load_words, reduce, reduce_high,
    splat, store, sub, zero,
};
use crate::kernel::modulus::Modulus;
use std::arch::x86_64::*;

/// Vectors of a block.
const VECTORS: usize = BLOCK / 8;
/// Sums of 52 bits are widened after at least so many products, or else they do not pay.
const SHORTEST: usize = 16;

ifma_fn! {
    /// Eight signed words from position `i` on, widened.
    fn load_signed(x: &[u32], i: usize) -> V {
        debug_assert!(i + 8 <= x.len());
        // SAFETY: the wrapper has checked that all columns lie within the block, which is whole.
        unsafe { _mm512_cvtepi32_epi64(_mm256_loadu_si256(x.as_ptr().add(i).cast())) }
    }
}

ifma_fn! {
    /// A signed 64-bit sum modulo p.
    fn reduce_signed(c: &Lanes, square: V, offset: V, x: V) -> V {
        // x + 2^63 as an unsigned number, reduced twice by 2^-52 with a factor 2^104 between; then 2^63 mod p leaves.
        let shifted = _mm512_xor_si512(x, splat(1 << 63));
        let part = reduce::<true>(c, Sum { low: shifted, high: _mm512_setzero_si512() });
        sub(c, reduce::<true>(c, accumulate(zero(), part, square)), offset)
    }
}

ifma_fn! {
    /// The products of two rows, or twice that, as centred words of 32 bits; all rows have the length of a block.
    pub(crate) fn centred_products(m: &Modulus, out: &mut [u32], x: &[u32], y: &[u32], twice: bool) {
        let (c, square, half) = (lanes(m), splat(m.radix_squared), splat(m.p / 2));
        for i in (0..BLOCK).step_by(8) {
            let (x, y) = (load_words(x, i), load_words(y, i));
            let product = if m.p < 1 << 26 {
                correct(reduce_high(&c, _mm512_mul_epu32(x, y)), c.p)
            } else {
                let part = reduce::<true>(&c, accumulate(zero(), x, y));
                reduce::<true>(&c, accumulate(zero(), part, square))
            };
            let product = if twice { add(&c, product, product) } else { product };
            let large = _mm512_cmpgt_epu64_mask(product, half);
            let centred = _mm512_mask_sub_epi64(product, large, product, c.p);
            debug_assert!(i + 8 <= out.len());
            // SAFETY: the wrapper gives slices of the length of a block, in steps of eight words.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(i).cast(), _mm512_cvtepi64_epi32(centred)) }
        }
    }
}

ifma_fn! {
    pub(crate) fn weighted_narrow(
        m: &Modulus,
        out: &mut [&mut [u64]],
        words: &[u32],
        work: &Weighted<'_>,
        factors: &[i64],
        terms: Terms,
    ) {
        match out.len() {
            1 => narrow_of::<1>(m, out, words, work, factors, terms),
            2 => narrow_of::<2>(m, out, words, work, factors, terms),
            3 => narrow_of::<3>(m, out, words, work, factors, terms),
            4 => narrow_of::<4>(m, out, words, work, factors, terms),
            5 => narrow_of::<5>(m, out, words, work, factors, terms),
            _ => narrow_of::<6>(m, out, words, work, factors, terms),
        }
    }
}

/// A block of each of some results.
type Block<const ROWS: usize> = [[V; VECTORS]; ROWS];

ifma_fn! {
    fn narrow_of<const ROWS: usize>(
        m: &Modulus,
        out: &mut [&mut [u64]],
        words: &[u32],
        work: &Weighted<'_>,
        factors: &[i64],
        terms: Terms,
    ) {
        let (c, square) = (lanes(m), splat(m.radix_squared));
        let offset = splat((1 << 63) % m.p);
        let mut totals: Block<ROWS> = [[_mm512_setzero_si512(); VECTORS]; ROWS];
        let pieces = work.columns.chunks(terms.long).zip(factors.chunks(terms.long * ROWS));
        for (piece, (columns, factors)) in pieces.enumerate() {
            if piece > 0 {
                for total in totals.as_flattened_mut() {
                    *total = reduce_signed(&c, square, offset, *total);
                }
            }
            if terms.short >= SHORTEST {
                let parts = columns.chunks(terms.short).zip(factors.chunks(terms.short * ROWS));
                for (columns, factors) in parts {
                    add_products::<ROWS, true>(&mut totals, words, columns, factors);
                }
            } else {
                add_products::<ROWS, false>(&mut totals, words, columns, factors);
            }
        }
        for (out, totals) in out.iter_mut().zip(totals) {
            for (v, total) in totals.into_iter().enumerate() {
                store(out, work.at + 8 * v, reduce_signed(&c, square, offset, total));
            }
        }
    }
}

ifma_fn! {
    /// Adds the products of some columns with their factors. `SHORT` sums are found modulo 2^52, between -2^51 and 2^51.
    fn add_products<const ROWS: usize, const SHORT: bool>(
        totals: &mut Block<ROWS>,
        words: &[u32],
        columns: &[u32],
        factors: &[i64],
    ) {
        let mut sums: Block<ROWS> = [[_mm512_setzero_si512(); VECTORS]; ROWS];
        for (column, factors) in columns.iter().zip(factors.chunks_exact(ROWS)) {
            let at = *column as usize * BLOCK;
            let mut x = [_mm512_setzero_si512(); VECTORS];
            for (v, x) in x.iter_mut().enumerate() {
                *x = load_signed(words, at + 8 * v);
            }
            for (sums, factor) in sums.iter_mut().zip(factors) {
                let factor = splat(*factor as u64);
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = if SHORT {
                        // The low 52 bits of a product are those of its factors' low 52 bits, whatever their signs.
                        _mm512_madd52lo_epu64(*sum, x, factor)
                    } else {
                        _mm512_add_epi64(*sum, _mm512_mul_epi32(x, factor))
                    };
                }
            }
        }
        for (total, sum) in totals.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
            let sum = if SHORT { _mm512_srai_epi64::<12>(_mm512_slli_epi64::<12>(*sum)) } else { *sum };
            *total = _mm512_add_epi64(*total, sum);
        }
    }
}

ifma_fn! {
    pub(crate) fn weighted_wide(
        m: &Modulus,
        out: &mut [&mut [u64]],
        words: &[u64],
        work: &Weighted<'_>,
        factors: &[u64],
    ) {
        let (c, rows) = (lanes(m), out.len());
        // What a fold leaves counts as a term.
        let terms = m.max_terms - 1;
        for (r, out) in out.iter_mut().enumerate() {
            for i in (0..BLOCK).step_by(8) {
                let mut sum = zero();
                for (t, column) in work.columns.iter().enumerate() {
                    if t > 0 && t % terms == 0 {
                        sum = fold(&c, sum);
                    }
                    let x = load(words, *column as usize * BLOCK + i);
                    sum = accumulate(sum, x, splat(factors[t * rows + r]));
                }
                store(out, work.at + i, reduce::<false>(&c, sum));
            }
        }
    }
}
