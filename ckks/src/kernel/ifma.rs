//! The kernels for AVX-512 with the 52-bit multiply-add (IFMA).
//!
//! Sums of products are kept as a low and a high accumulator per word: `vpmadd52luq` and `vpmadd52huq` add the low and
//! the high 52 bits of a product. One Montgomery reduction follows at the end: with `low < 2^52` (its carry moved up),
//! `high * 2^52 + low` times 2^-52 is `high - floor(q p / 2^52)` for `q = low * p^-1 mod 2^52`, since the low halves
//! cancel exactly.
//!
//! All functions need the CPU features of their `target_feature` attributes, which `super::has_ifma` finds out, and
//! lengths that are multiples of eight.

use super::Word;
use super::modulus::{MASK, Modulus, RADIX_BITS, Shoup};
use std::arch::x86_64::*;

type V = __m512i;

/// The constants of a modulus, one in each lane.
#[derive(Clone, Copy)]
struct Lanes {
    p: V,
    /// `2^52 - p`.
    negative: V,
    twice: V,
    inverse: V,
    barrett: V,
    mask: V,
}

/// A sum of products, unreduced.
#[derive(Clone, Copy)]
struct Sum {
    low: V,
    high: V,
}

macro_rules! ifma_fn {
    ($(#[$attr:meta])* $vis:vis fn $($rest:tt)*) => {
        $(#[$attr])*
        #[inline]
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
        $vis fn $($rest)*
    };
}

mod ntt;
mod products;
mod sums;
mod weighted;

pub(crate) use ntt::{SHORTEST, ntt_forward, ntt_inverse, stays_small};
pub(crate) use products::{inner_product, mac_broadcast};
pub(crate) use sums::{sums_of_multiples, sums_of_products};
pub(crate) use weighted::{centred_products, weighted_narrow, weighted_wide};

ifma_fn! {
    fn splat(x: u64) -> V {
        _mm512_set1_epi64(x as i64)
    }
}

ifma_fn! {
    fn lanes(m: &Modulus) -> Lanes {
        Lanes {
            p: splat(m.p),
            negative: splat((1 << RADIX_BITS) - m.p),
            twice: splat(2 * m.p),
            inverse: splat(m.inverse),
            barrett: splat(m.barrett),
            mask: splat(MASK),
        }
    }
}

ifma_fn! {
    /// Eight words from position `i` on.
    fn load(x: &[u64], i: usize) -> V {
        debug_assert!(i + 8 <= x.len());
        // SAFETY: all callers step `i` by eight below a length that is a multiple of eight and that the slice has
        // (the wrappers in `super` check lengths before they call); the load has no alignment requirement.
        unsafe { _mm512_loadu_si512(x.as_ptr().add(i).cast()) }
    }
}

ifma_fn! {
    /// Eight words of either size from position `i` on.
    fn load_words<W: Word>(x: &[W], i: usize) -> V {
        debug_assert!(i + 8 <= x.len());
        let at = x.as_ptr().wrapping_add(i);
        // SAFETY: as in `load`; `W` is `u32` where it says that it is narrow and `u64` otherwise.
        unsafe {
            if W::NARROW {
                _mm512_cvtepu32_epi64(_mm256_loadu_si256(at.cast()))
            } else {
                _mm512_loadu_si512(at.cast())
            }
        }
    }
}

/// How far ahead of its use memory that is read but once is asked for.
const AHEAD: usize = 1024;

ifma_fn! {
    /// Asks for the cache line that is [`AHEAD`] bytes behind position `i`.
    fn prefetch<W: Word>(x: &[W], i: usize) {
        let at = x.as_ptr().wrapping_add(i).cast::<i8>();
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD));
    }
}

ifma_fn! {
    /// Writes eight words from position `i` on.
    fn store(x: &mut [u64], i: usize, v: V) {
        debug_assert!(i + 8 <= x.len());
        // SAFETY: as in `load`.
        unsafe { _mm512_storeu_si512(x.as_mut_ptr().add(i).cast(), v) }
    }
}

ifma_fn! {
    /// `x - p` where `x >= p`, for `x < 2p`.
    fn correct(x: V, p: V) -> V {
        _mm512_min_epu64(x, _mm512_sub_epi64(x, p))
    }
}

ifma_fn! {
    fn add(c: &Lanes, a: V, b: V) -> V {
        correct(_mm512_add_epi64(a, b), c.p)
    }
}

ifma_fn! {
    fn sub(c: &Lanes, a: V, b: V) -> V {
        let d = _mm512_sub_epi64(a, b);
        _mm512_min_epu64(d, _mm512_add_epi64(d, c.p))
    }
}

ifma_fn! {
    fn zero() -> Sum {
        Sum { low: _mm512_setzero_si512(), high: _mm512_setzero_si512() }
    }
}

ifma_fn! {
    /// `sum + a b`.
    fn accumulate(sum: Sum, a: V, b: V) -> Sum {
        Sum { low: _mm512_madd52lo_epu64(sum.low, a, b), high: _mm512_madd52hi_epu64(sum.high, a, b) }
    }
}

ifma_fn! {
    /// The high word with the low one's carry, below 2^52, reduced below 2p by Barrett's method.
    fn reduce_high(c: &Lanes, high: V) -> V {
        let zero = _mm512_setzero_si512();
        let q = _mm512_madd52hi_epu64(zero, high, c.barrett);
        _mm512_and_si512(_mm512_sub_epi64(high, _mm512_madd52lo_epu64(zero, q, c.p)), c.mask)
    }
}

ifma_fn! {
    /// The same sum modulo p with small halves, so that more terms may follow.
    fn fold(c: &Lanes, sum: Sum) -> Sum {
        let high = _mm512_add_epi64(sum.high, _mm512_srli_epi64::<52>(sum.low));
        Sum { low: _mm512_and_si512(sum.low, c.mask), high: reduce_high(c, high) }
    }
}

ifma_fn! {
    /// `sum * 2^-52 mod p`; with `FEW` terms, at most four, the high half is below 2p already.
    fn reduce<const FEW: bool>(c: &Lanes, sum: Sum) -> V {
        let zero = _mm512_setzero_si512();
        let high = _mm512_add_epi64(sum.high, _mm512_srli_epi64::<52>(sum.low));
        let high = if FEW { high } else { reduce_high(c, high) };
        let q = _mm512_madd52lo_epu64(zero, sum.low, c.inverse);
        let q = _mm512_madd52hi_epu64(zero, q, c.p);
        // Between 0 and 3p.
        let t = _mm512_sub_epi64(_mm512_add_epi64(high, c.p), q);
        correct(correct(t, c.twice), c.p)
    }
}

ifma_fn! {
    /// `x w` below 2p.
    fn shoup_lazy(c: &Lanes, x: V, value: V, quotient: V) -> V {
        let zero = _mm512_setzero_si512();
        let q = _mm512_madd52hi_epu64(zero, x, quotient);
        let r = _mm512_sub_epi64(_mm512_madd52lo_epu64(zero, x, value), _mm512_madd52lo_epu64(zero, q, c.p));
        _mm512_and_si512(r, c.mask)
    }
}

ifma_fn! {
    pub(crate) fn add_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
        let c = lanes(m);
        for i in (0..x.len()).step_by(8) {
            store(x, i, add(&c, load(x, i), load(y, i)));
        }
    }
}

ifma_fn! {
    pub(crate) fn sub_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
        let c = lanes(m);
        for i in (0..x.len()).step_by(8) {
            store(x, i, sub(&c, load(x, i), load(y, i)));
        }
    }
}

ifma_fn! {
    pub(crate) fn mul_shoup(m: &Modulus, out: &mut [u64], x: &[u64], w: Shoup) {
        let (c, value, quotient) = (lanes(m), splat(w.value), splat(w.quotient));
        for i in (0..out.len()).step_by(8) {
            store(out, i, correct(shoup_lazy(&c, load(x, i), value, quotient), c.p));
        }
    }
}

ifma_fn! {
    pub(crate) fn mul_shoup_assign(m: &Modulus, x: &mut [u64], w: Shoup) {
        let (c, value, quotient) = (lanes(m), splat(w.value), splat(w.quotient));
        for i in (0..x.len()).step_by(8) {
            store(x, i, correct(shoup_lazy(&c, load(x, i), value, quotient), c.p));
        }
    }
}

ifma_fn! {
    pub(crate) fn mul_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
        let (c, square) = (lanes(m), splat(m.radix_squared));
        for i in (0..x.len()).step_by(8) {
            let product = reduce::<true>(&c, accumulate(zero(), load(x, i), load(y, i)));
            store(x, i, reduce::<true>(&c, accumulate(zero(), product, square)));
        }
    }
}

ifma_fn! {
    pub(crate) fn sub_mul(m: &Modulus, out: &mut [u64], x: &[u64], t: &[u64], w: Shoup) {
        let (c, value, quotient) = (lanes(m), splat(w.value), splat(w.quotient));
        for i in (0..out.len()).step_by(8) {
            let d = _mm512_sub_epi64(_mm512_add_epi64(load(x, i), c.p), load(t, i));
            store(out, i, correct(shoup_lazy(&c, d, value, quotient), c.p));
        }
    }
}

ifma_fn! {
    pub(crate) fn butterfly(m: &Modulus, low: &mut [u64], high: &mut [u64], w: Shoup) {
        let (c, value, quotient) = (lanes(m), splat(w.value), splat(w.quotient));
        for i in (0..low.len()).step_by(8) {
            let (a, t) = (load(low, i), correct(shoup_lazy(&c, load(high, i), value, quotient), c.p));
            store(low, i, add(&c, a, t));
            store(high, i, sub(&c, a, t));
        }
    }
}

ifma_fn! {
    pub(crate) fn tensor(m: &Modulus, out: [&mut [u64]; 3], a: [&[u64]; 2], b: [&[u64]; 2]) {
        let (c, square) = (lanes(m), splat(m.radix_squared));
        let [d0, d1, d2] = out;
        for i in (0..d0.len()).step_by(8) {
            let (a0, a1) = (load(a[0], i), load(a[1], i));
            let b0 = reduce::<true>(&c, accumulate(zero(), load(b[0], i), square));
            let b1 = reduce::<true>(&c, accumulate(zero(), load(b[1], i), square));
            store(d0, i, reduce::<true>(&c, accumulate(zero(), a0, b0)));
            store(d1, i, reduce::<true>(&c, accumulate(accumulate(zero(), a0, b1), a1, b0)));
            store(d2, i, reduce::<true>(&c, accumulate(zero(), a1, b1)));
        }
    }
}

ifma_fn! {
    pub(crate) fn convert(m: &Modulus, out: &mut [u64], rows: &[&[u64]], factors: &[u64]) {
        let c = lanes(m);
        for i in (0..out.len()).step_by(16) {
            let (mut first, mut second) = (zero(), zero());
            for (j, (row, factor)) in rows.iter().zip(factors).enumerate() {
                // Rows may hold words up to 2^50 whatever the modulus: a product's high half is below 2^48, what a fold
                // leaves is below 2^51, so seven terms fit.
                if j > 0 && j % 7 == 0 {
                    (first, second) = (fold(&c, first), fold(&c, second));
                }
                let factor = splat(*factor);
                first = accumulate(first, load(row, i), factor);
                second = accumulate(second, load(row, i + 8), factor);
            }
            store(out, i, reduce::<false>(&c, first));
            store(out, i + 8, reduce::<false>(&c, second));
        }
    }
}

ifma_fn! {
    pub(crate) fn convert_centred(m: &Modulus, out: &mut [u64], x: &[u64], source: u64) {
        let (c, one, half, shift) = (lanes(m), splat(m.one), splat(source / 2), splat(source % m.p));
        // Where the source is below twice the modulus, one subtraction reduces.
        let near = source < 2 * m.p;
        for i in (0..out.len()).step_by(8) {
            let v = load(x, i);
            let residue =
                if near { correct(v, c.p) } else { reduce::<true>(&c, accumulate(zero(), v, one)) };
            let above = _mm512_cmpgt_epu64_mask(v, half);
            store(out, i, sub(&c, residue, _mm512_maskz_mov_epi64(above, shift)));
        }
    }
}

ifma_fn! {
    pub(crate) fn overflow(out: &mut [u64], rows: &[&[u64]], inverses: &[f64]) {
        for i in (0..out.len()).step_by(8) {
            let mut sum = _mm512_set1_pd(0.5);
            for (row, inverse) in rows.iter().zip(inverses) {
                // Two roundings, as in the portable code: no fused multiply-add.
                let term = _mm512_mul_pd(_mm512_cvtepu64_pd(load(row, i)), _mm512_set1_pd(*inverse));
                sum = _mm512_add_pd(sum, term);
            }
            store(out, i, _mm512_cvttpd_epu64(sum));
        }
    }
}
