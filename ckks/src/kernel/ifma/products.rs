//! Inner products with switching keys and with plaintext diagonals.
//!
//! Modulo a prime below 2^26 a product is below 2^52: its low half is all of it, and sums of up to 4096 fit 64 bits.

use super::super::modulus::Modulus;
use super::super::{Broadcast, InnerProduct, STREAMS, Word, broadcast_group, split_terms};
use super::{
    Sum, V, accumulate, add, fold, lanes, load, load_words, prefetch, reduce, splat, store, zero,
};
use std::arch::x86_64::*;

/// How sums of products are kept.
const TINY: u8 = 0;
/// Few terms: the high half stays below 2p.
const FEW: u8 = 1;
/// As many terms as both halves hold.
const MANY: u8 = 2;
/// More: sums are folded on the way.
const FOLD: u8 = 3;

/// How a sum of so many products of residues is kept.
fn kind(m: &Modulus, terms: usize) -> u8 {
    if m.p < 1 << 26 && terms <= 4000 {
        TINY
    } else if terms <= 4 {
        FEW
    } else if terms < m.max_terms {
        MANY
    } else {
        FOLD
    }
}

ifma_fn! {
    /// `sum + a b`.
    fn gather<const KIND: u8>(sum: Sum, a: V, b: V) -> Sum {
        if KIND == TINY {
            Sum { low: _mm512_madd52lo_epu64(sum.low, a, b), high: sum.high }
        } else {
            accumulate(sum, a, b)
        }
    }
}

ifma_fn! {
    pub(crate) fn inner_product<W: Word>(
        m: &Modulus,
        out0: &mut [u64],
        out1: &mut [u64],
        work: &InnerProduct<'_>,
        key: &[W],
    ) {
        // Every digit, an extra and what a fold leaves behind count as a term.
        match kind(m, work.digits.len() + 1) {
            TINY => inner_product_of::<TINY, W>(m, out0, out1, work, key),
            FEW => inner_product_of::<FEW, W>(m, out0, out1, work, key),
            MANY => inner_product_of::<MANY, W>(m, out0, out1, work, key),
            _ => inner_product_of::<FOLD, W>(m, out0, out1, work, key),
        }
    }
}

ifma_fn! {
    fn inner_product_of<const KIND: u8, W: Word>(
        m: &Modulus,
        out0: &mut [u64],
        out1: &mut [u64],
        work: &InnerProduct<'_>,
        key: &[W],
    ) {
        let c = lanes(m);
        let factors = work.extra.map(|e| e.map(|(_, factor)| splat(factor)));
        let n = work.digits.first().map_or(out0.len(), |d| d.len());
        // Two places at a time, as memory arrives faster in more streams.
        let places = if out0.len().is_multiple_of(16) { 2 } else { 1 };
        let part = out0.len() / places;
        for at in (0..part).step_by(8) {
            for at in [at, at + part].into_iter().take(places) {
                let k = work.offset + at;
                let (source, pattern) = work.source(k / 8);
                let i = 8 * source;
                let (mut first, mut second) = (zero(), zero());
                for (d, digit) in work.digits.iter().enumerate() {
                    if KIND == FOLD && d > 0 && d % (m.max_terms - 1) == 0 {
                        (first, second) = (fold(&c, first), fold(&c, second));
                    }
                    let (b, a) = (2 * d * n + k, (2 * d + 1) * n + k);
                    prefetch(key, b);
                    prefetch(key, a);
                    let x = load(digit, i);
                    first = gather::<KIND>(first, x, load_words(key, b));
                    second = gather::<KIND>(second, x, load_words(key, a));
                }
                if let (Some((row, _)), Some(factor)) = (work.extra[0], factors[0]) {
                    first = gather::<KIND>(first, load(row, i), factor);
                }
                if let (Some((row, _)), Some(factor)) = (work.extra[1], factors[1]) {
                    second = gather::<KIND>(second, load(row, i), factor);
                }
                let order = load(&pattern.gather, 0);
                let mut word0 = _mm512_permutexvar_epi64(order, finish::<KIND>(&c, first));
                let mut word1 = _mm512_permutexvar_epi64(order, finish::<KIND>(&c, second));
                if work.accumulate {
                    word0 = add(&c, word0, load(out0, at));
                    word1 = add(&c, word1, load(out1, at));
                }
                store(out0, at, word0);
                store(out1, at, word1);
            }
        }
    }
}

ifma_fn! {
    fn finish<const KIND: u8>(c: &super::Lanes, sum: Sum) -> V {
        if KIND <= FEW { reduce::<true>(c, sum) } else { reduce::<false>(c, sum) }
    }
}

ifma_fn! {
    pub(crate) fn mac_broadcast<W: Word>(
        m: &Modulus,
        out0: &mut [u64],
        out1: &mut [u64],
        work: &Broadcast<'_>,
        words: &[&[W]; STREAMS],
    ) {
        match kind(m, work.terms.len() + 1) {
            TINY => mac_by_run::<TINY, W>(m, out0, out1, work, words),
            FEW | MANY => mac_by_run::<MANY, W>(m, out0, out1, work, words),
            _ => mac_by_run::<FOLD, W>(m, out0, out1, work, words),
        }
    }
}

ifma_fn! {
    fn mac_by_run<const KIND: u8, W: Word>(
        m: &Modulus,
        out0: &mut [u64],
        out1: &mut [u64],
        work: &Broadcast<'_>,
        words: &[&[W]; STREAMS],
    ) {
        match work.log_run {
            0 => mac_broadcast_of::<0, KIND, W>(m, out0, out1, work, words),
            1 => mac_broadcast_of::<1, KIND, W>(m, out0, out1, work, words),
            2 => mac_broadcast_of::<2, KIND, W>(m, out0, out1, work, words),
            3 => mac_broadcast_of::<3, KIND, W>(m, out0, out1, work, words),
            _ => mac_broadcast_of::<4, KIND, W>(m, out0, out1, work, words),
        }
    }
}

ifma_fn! {
    /// The factors of sixteen positions, each serving `2^RUN` of them (4 stands for 4 and more).
    fn factors<const RUN: u32, W: Word>(words: &[W], at: usize) -> (V, V) {
        match RUN {
            0 => (load_words(words, at), load_words(words, at + 8)),
            1 => {
                let v = load_words(words, at);
                let low = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
                let high = _mm512_setr_epi64(4, 4, 5, 5, 6, 6, 7, 7);
                (_mm512_permutexvar_epi64(low, v), _mm512_permutexvar_epi64(high, v))
            }
            2 => {
                let w = &words[at..at + 4];
                let spread = |a: W, b: W| _mm512_mask_mov_epi64(splat(a.into()), 0xF0, splat(b.into()));
                (spread(w[0], w[1]), spread(w[2], w[3]))
            }
            3 => (splat(words[at].into()), splat(words[at + 1].into())),
            _ => {
                let v = splat(words[at].into());
                (v, v)
            }
        }
    }
}

ifma_fn! {
    fn mac_broadcast_of<const RUN: u32, const KIND: u8, W: Word>(
        m: &Modulus,
        out0: &mut [u64],
        out1: &mut [u64],
        work: &Broadcast<'_>,
        words: &[&[W]; STREAMS],
    ) {
        let (c, (positions, width)) = (lanes(m), broadcast_group(work.log_run));
        let streams = split_terms(work.terms);
        let (x0, x1) = (work.rows, &work.rows[work.stride.min(work.rows.len())..]);
        for i in (0..out0.len()).step_by(16) {
            let mut sums = [zero(); 4];
            for (terms, words) in streams.iter().zip(words) {
                let group = i / positions * terms.len();
                for (t, row) in terms.iter().enumerate() {
                    if KIND == FOLD && t % (m.max_terms - 1) == 0 {
                        for sum in &mut sums {
                            *sum = fold(&c, *sum);
                        }
                    }
                    prefetch(words, (group + t) * width);
                    let (f, g) = factors::<RUN, W>(words, (group + t) * width);
                    let at = 2 * *row as usize * work.stride + work.start + i;
                    sums[0] = gather::<KIND>(sums[0], f, load(x0, at));
                    sums[1] = gather::<KIND>(sums[1], g, load(x0, at + 8));
                    sums[2] = gather::<KIND>(sums[2], f, load(x1, at));
                    sums[3] = gather::<KIND>(sums[3], g, load(x1, at + 8));
                }
            }
            let (mut a, mut b) = (finish::<KIND>(&c, sums[0]), finish::<KIND>(&c, sums[1]));
            let (mut d, mut e) = (finish::<KIND>(&c, sums[2]), finish::<KIND>(&c, sums[3]));
            if work.accumulate {
                (a, b) = (add(&c, a, load(out0, i)), add(&c, b, load(out0, i + 8)));
                (d, e) = (add(&c, d, load(out1, i)), add(&c, e, load(out1, i + 8)));
            }
            store(out0, i, a);
            store(out0, i + 8, b);
            store(out1, i, d);
            store(out1, i + 8, e);
        }
    }
}
