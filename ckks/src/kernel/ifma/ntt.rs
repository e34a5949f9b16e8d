//! Number-theoretic transforms without reductions between stages.
//!
//! Only the low 52 bits of a word count: the multiply-adds read no others, and sums and differences keep them right.
//! A butterfly of the forward transform makes words larger by less than 2p, one of the inverse at most doubles them,
//! so for the primes in use they stay below 2^52 to the end, or to the next pass, which reduces first.
//!
//! Three stages, or two, are done on words in registers, depth first, so that blocks stay in the first-level cache
//! once they fit. The last four stages work on blocks of sixteen words: two vectors that are interleaved from stage
//! to stage, in an order in which the roots of a stage lie consecutively.

use super::super::modulus::{MASK, Modulus, Shoup};
use super::super::roots::Roots;
use super::{Lanes, V, lanes, load, splat, store};
use std::arch::x86_64::*;

/// Words of the blocks on which the last stages are done.
const BLOCK: usize = 16;

/// The shortest transform: at least one pass of three stages precedes the last four.
pub(crate) const SHORTEST: usize = 8 * BLOCK;

/// Whether words stay below 2^52 in a forward transform of length `n`, and in a pass of an inverse one.
pub(crate) fn stays_small(m: &Modulus, n: usize) -> bool {
    (2 * u64::from(n.trailing_zeros()) + 1) * m.p <= MASK && 16 * m.p <= MASK
}

/// How many stages the next pass does, of those before the last four.
fn pass_stages(stages: u32) -> u32 {
    if stages == 2 || stages == 4 { 2 } else { 3 }
}

/// The order of the result of `interleave`: its first or second vector, from both operands.
const INTERLEAVE: [[i64; 8]; 2] = [[0, 8, 1, 9, 2, 10, 3, 11], [4, 12, 5, 13, 6, 14, 7, 15]];
/// The inverse order: words at even positions, then those at odd ones.
const SEPARATE: [[i64; 8]; 2] = [[0, 2, 4, 6, 8, 10, 12, 14], [1, 3, 5, 7, 9, 11, 13, 15]];

ifma_fn! {
    fn order(x: [i64; 8]) -> V {
        _mm512_setr_epi64(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7])
    }
}

ifma_fn! {
    fn shuffle(orders: [[i64; 8]; 2], a: V, b: V) -> (V, V) {
        let pick = |x| _mm512_permutex2var_epi64(a, order(x), b);
        (pick(orders[0]), pick(orders[1]))
    }
}

ifma_fn! {
    /// Two words, repeated.
    fn repeat_two(x: &[u64], i: usize) -> V {
        debug_assert!(i + 2 <= x.len());
        // SAFETY: `i` is twice a root's index below a quarter of the table's length, or less.
        unsafe { _mm512_broadcast_i64x2(_mm_loadu_si128(x.as_ptr().add(i).cast())) }
    }
}

ifma_fn! {
    /// Four words, repeated.
    fn repeat_four(x: &[u64], i: usize) -> V {
        debug_assert!(i + 4 <= x.len());
        // SAFETY: `i` is four times a root's index below a quarter of the table's length.
        unsafe { _mm512_broadcast_i64x4(_mm256_loadu_si256(x.as_ptr().add(i).cast())) }
    }
}

/// A root in each lane, or different ones.
#[derive(Clone, Copy)]
struct Root {
    value: V,
    quotient: V,
}

ifma_fn! {
    fn root(roots: &Roots, i: usize) -> Root {
        constant(roots.at(i))
    }
}

ifma_fn! {
    fn constant(w: Shoup) -> Root {
        Root { value: splat(w.value), quotient: splat(w.quotient) }
    }
}

ifma_fn! {
    /// The roots of stage `S` of the last four for the block of index `g`.
    fn block_roots<const S: u32>(roots: &Roots, g: usize) -> Root {
        let (values, quotients): (&[u64], &[u64]) = (&roots.values, &roots.quotients);
        match S {
            0 => root(roots, g),
            1 => Root { value: repeat_two(values, 2 * g), quotient: repeat_two(quotients, 2 * g) },
            2 => Root { value: repeat_four(values, 4 * g), quotient: repeat_four(quotients, 4 * g) },
            _ => Root { value: load(values, 8 * g), quotient: load(quotients, 8 * g) },
        }
    }
}

ifma_fn! {
    /// `x w` below 2p in the low 52 bits.
    fn times(c: &Lanes, x: V, w: Root) -> V {
        let zero = _mm512_setzero_si512();
        let q = _mm512_madd52hi_epu64(zero, x, w.quotient);
        _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(zero, x, w.value), q, c.negative)
    }
}

ifma_fn! {
    /// `(x + w y, x - w y)`, both larger than x by less than 2p.
    fn forward(c: &Lanes, x: V, y: V, w: Root) -> (V, V) {
        let t = times(c, y, w);
        (_mm512_add_epi64(x, t), _mm512_sub_epi64(_mm512_add_epi64(x, c.twice), t))
    }
}

ifma_fn! {
    /// `(x + y, (x - y) w)` for words below `bound`, a multiple of p.
    fn inverse(c: &Lanes, bound: V, x: V, y: V, w: Root) -> (V, V) {
        let difference = _mm512_sub_epi64(_mm512_add_epi64(x, bound), y);
        (_mm512_add_epi64(x, y), times(c, difference, w))
    }
}

ifma_fn! {
    /// A word below 2^52 modulo p, below 2p in the low 52 bits.
    fn reduce_lazy(c: &Lanes, x: V) -> V {
        let q = _mm512_madd52hi_epu64(_mm512_setzero_si512(), x, c.barrett);
        _mm512_madd52lo_epu64(x, q, c.negative)
    }
}

ifma_fn! {
    /// A word below 2p in the low 52 bits, reduced.
    fn finish(c: &Lanes, x: V) -> V {
        let x = _mm512_and_si512(x, c.mask);
        _mm512_min_epu64(x, _mm512_sub_epi64(x, c.p))
    }
}

ifma_fn! {
    /// Coefficients to values.
    pub(crate) fn ntt_forward(m: &Modulus, roots: &Roots, x: &mut [u64]) {
        let stages = x.len().trailing_zeros() - BLOCK.trailing_zeros();
        forward_part(&lanes(m), roots, 1, stages, x);
    }
}

ifma_fn! {
    /// All stages of a part of a transform: `stages` before the last four; `first` is the index of its first root.
    fn forward_part(c: &Lanes, roots: &Roots, first: usize, stages: u32, x: &mut [u64]) {
        let now = pass_stages(stages);
        if now == 3 {
            forward_eight(c, roots, first, x);
        } else {
            forward_four(c, roots, first, x);
        }
        if now == stages {
            return forward_blocks(c, roots, first << now, x);
        }
        let part = x.len() >> now;
        for (k, part) in x.chunks_exact_mut(part).enumerate() {
            forward_part(c, roots, (first << now) + k, stages - now, part);
        }
    }
}

ifma_fn! {
    fn forward_eight(c: &Lanes, roots: &Roots, first: usize, x: &mut [u64]) {
        let (t, w) = (x.len() / 8, |i| root(roots, i));
        let w1 = w(first);
        let w2 = [w(2 * first), w(2 * first + 1)];
        let w3 = [w(4 * first), w(4 * first + 1), w(4 * first + 2), w(4 * first + 3)];
        for i in (0..t).step_by(8) {
            let x0: [V; 8] = std::array::from_fn(|j| load(x, i + j * t));
            let ((a0, a4), (a1, a5)) = (forward(c, x0[0], x0[4], w1), forward(c, x0[1], x0[5], w1));
            let ((a2, a6), (a3, a7)) = (forward(c, x0[2], x0[6], w1), forward(c, x0[3], x0[7], w1));
            let ((a0, a2), (a1, a3)) = (forward(c, a0, a2, w2[0]), forward(c, a1, a3, w2[0]));
            let ((a4, a6), (a5, a7)) = (forward(c, a4, a6, w2[1]), forward(c, a5, a7, w2[1]));
            let ((a0, a1), (a2, a3)) = (forward(c, a0, a1, w3[0]), forward(c, a2, a3, w3[1]));
            let ((a4, a5), (a6, a7)) = (forward(c, a4, a5, w3[2]), forward(c, a6, a7, w3[3]));
            for (j, v) in [a0, a1, a2, a3, a4, a5, a6, a7].into_iter().enumerate() {
                store(x, i + j * t, v);
            }
        }
    }
}

ifma_fn! {
    fn forward_four(c: &Lanes, roots: &Roots, first: usize, x: &mut [u64]) {
        let (t, w) = (x.len() / 4, |i| root(roots, i));
        let (w1, w2) = (w(first), [w(2 * first), w(2 * first + 1)]);
        for i in (0..t).step_by(8) {
            let x0: [V; 4] = std::array::from_fn(|j| load(x, i + j * t));
            let ((a0, a2), (a1, a3)) = (forward(c, x0[0], x0[2], w1), forward(c, x0[1], x0[3], w1));
            let ((a0, a1), (a2, a3)) = (forward(c, a0, a1, w2[0]), forward(c, a2, a3, w2[1]));
            for (j, v) in [a0, a1, a2, a3].into_iter().enumerate() {
                store(x, i + j * t, v);
            }
        }
    }
}

ifma_fn! {
    /// The last four stages on blocks of sixteen words, and the reduction.
    fn forward_blocks(c: &Lanes, roots: &Roots, first: usize, x: &mut [u64]) {
        for i in (0..x.len()).step_by(BLOCK) {
            let g = first + i / BLOCK;
            let (a, b) = forward(c, load(x, i), load(x, i + 8), block_roots::<0>(roots, g));
            let (a, b) = shuffle(INTERLEAVE, a, b);
            let (a, b) = forward(c, a, b, block_roots::<1>(roots, g));
            let (a, b) = shuffle(INTERLEAVE, a, b);
            let (a, b) = forward(c, a, b, block_roots::<2>(roots, g));
            let (a, b) = shuffle(INTERLEAVE, a, b);
            let (a, b) = forward(c, a, b, block_roots::<3>(roots, g));
            let (a, b) = (finish(c, reduce_lazy(c, a)), finish(c, reduce_lazy(c, b)));
            let (a, b) = shuffle(INTERLEAVE, a, b);
            store(x, i, a);
            store(x, i + 8, b);
        }
    }
}

ifma_fn! {
    /// Values to coefficients times N times `scale`, from `x` to `out`; `roots` are the inverses.
    pub(crate) fn ntt_inverse(m: &Modulus, roots: &Roots, out: &mut [u64], x: &[u64], scale: Shoup) {
        let stages = x.len().trailing_zeros() - BLOCK.trailing_zeros();
        let last = m.shoup(m.mul(roots.at(1).value, scale.value));
        inverse_part(m, roots, 1, stages, out, x, Some([scale, last]));
    }
}

ifma_fn! {
    /// As `forward_part`, backwards; returns a bound of the words. `scales` multiply the sums and the differences of the
    /// very last stage.
    fn inverse_part(
        m: &Modulus,
        roots: &Roots,
        first: usize,
        stages: u32,
        out: &mut [u64],
        x: &[u64],
        scales: Option<[Shoup; 2]>,
    ) -> u64 {
        let (c, now) = (&lanes(m), pass_stages(stages));
        let mut bound = 16 * m.p;
        if now == stages {
            inverse_blocks(c, m, roots, first << now, out, x);
        } else {
            let part = x.len() >> now;
            for (k, (out, x)) in out.chunks_exact_mut(part).zip(x.chunks_exact(part)).enumerate() {
                bound = inverse_part(m, roots, (first << now) + k, stages - now, out, x, None);
            }
        }
        // A difference is below twice the bound of the stage's words.
        let reduce = bound > MASK >> now;
        if reduce {
            bound = 2 * m.p;
        }
        match (now, scales) {
            (3, None) => inverse_eight::<false>(c, roots, first, out, (reduce, bound), [Shoup::default(); 2]),
            (3, Some(scales)) => inverse_eight::<true>(c, roots, first, out, (reduce, bound), scales),
            (_, None) => inverse_four::<false>(c, roots, first, out, (reduce, bound), [Shoup::default(); 2]),
            (_, Some(scales)) => inverse_four::<true>(c, roots, first, out, (reduce, bound), scales),
        }
        bound << now
    }
}

ifma_fn! {
    /// The last stage of a pass; `SCALE` says that it is the transform's last one.
    fn inverse_last<const SCALE: bool>(c: &Lanes, bound: V, x: V, y: V, w: Root, scale: Root) -> (V, V) {
        let (a, b) = inverse(c, bound, x, y, w);
        if SCALE { (finish(c, times(c, a, scale)), finish(c, b)) } else { (a, b) }
    }
}

ifma_fn! {
    fn inverse_eight<const SCALE: bool>(
        c: &Lanes,
        roots: &Roots,
        first: usize,
        x: &mut [u64],
        (reduce, bound): (bool, u64),
        scales: [Shoup; 2],
    ) {
        let (t, w) = (x.len() / 8, |i| root(roots, i));
        let (b1, b2, b3) = (splat(bound), splat(2 * bound), splat(4 * bound));
        let scale = constant(scales[0]);
        let w1 = if SCALE { constant(scales[1]) } else { w(first) };
        let w2 = [w(2 * first), w(2 * first + 1)];
        let w3 = [w(4 * first), w(4 * first + 1), w(4 * first + 2), w(4 * first + 3)];
        for i in (0..t).step_by(8) {
            let mut x0: [V; 8] = std::array::from_fn(|j| load(x, i + j * t));
            if reduce {
                x0.iter_mut().for_each(|v| *v = reduce_lazy(c, *v));
            }
            let ((a0, a1), (a2, a3)) = (inverse(c, b1, x0[0], x0[1], w3[0]), inverse(c, b1, x0[2], x0[3], w3[1]));
            let ((a4, a5), (a6, a7)) = (inverse(c, b1, x0[4], x0[5], w3[2]), inverse(c, b1, x0[6], x0[7], w3[3]));
            let ((a0, a2), (a1, a3)) = (inverse(c, b2, a0, a2, w2[0]), inverse(c, b2, a1, a3, w2[0]));
            let ((a4, a6), (a5, a7)) = (inverse(c, b2, a4, a6, w2[1]), inverse(c, b2, a5, a7, w2[1]));
            let (a0, a4) = inverse_last::<SCALE>(c, b3, a0, a4, w1, scale);
            let (a1, a5) = inverse_last::<SCALE>(c, b3, a1, a5, w1, scale);
            let (a2, a6) = inverse_last::<SCALE>(c, b3, a2, a6, w1, scale);
            let (a3, a7) = inverse_last::<SCALE>(c, b3, a3, a7, w1, scale);
            for (j, v) in [a0, a1, a2, a3, a4, a5, a6, a7].into_iter().enumerate() {
                store(x, i + j * t, v);
            }
        }
    }
}

ifma_fn! {
    fn inverse_four<const SCALE: bool>(
        c: &Lanes,
        roots: &Roots,
        first: usize,
        x: &mut [u64],
        (reduce, bound): (bool, u64),
        scales: [Shoup; 2],
    ) {
        let (t, w) = (x.len() / 4, |i| root(roots, i));
        let (b1, b2) = (splat(bound), splat(2 * bound));
        let scale = constant(scales[0]);
        let w1 = if SCALE { constant(scales[1]) } else { w(first) };
        let w2 = [w(2 * first), w(2 * first + 1)];
        for i in (0..t).step_by(8) {
            let mut x0: [V; 4] = std::array::from_fn(|j| load(x, i + j * t));
            if reduce {
                x0.iter_mut().for_each(|v| *v = reduce_lazy(c, *v));
            }
            let ((a0, a1), (a2, a3)) = (inverse(c, b1, x0[0], x0[1], w2[0]), inverse(c, b1, x0[2], x0[3], w2[1]));
            let (a0, a2) = inverse_last::<SCALE>(c, b2, a0, a2, w1, scale);
            let (a1, a3) = inverse_last::<SCALE>(c, b2, a1, a3, w1, scale);
            for (j, v) in [a0, a1, a2, a3].into_iter().enumerate() {
                store(x, i + j * t, v);
            }
        }
    }
}

ifma_fn! {
    /// The first four stages of the inverse, on blocks of sixteen words below p: the results are below 16 p.
    fn inverse_blocks(c: &Lanes, m: &Modulus, roots: &Roots, first: usize, out: &mut [u64], x: &[u64]) {
        let bounds: [V; 4] = std::array::from_fn(|s| splat(m.p << s));
        for i in (0..x.len()).step_by(BLOCK) {
            let g = first + i / BLOCK;
            let (a, b) = shuffle(SEPARATE, load(x, i), load(x, i + 8));
            let (a, b) = inverse(c, bounds[0], a, b, block_roots::<3>(roots, g));
            let (a, b) = shuffle(SEPARATE, a, b);
            let (a, b) = inverse(c, bounds[1], a, b, block_roots::<2>(roots, g));
            let (a, b) = shuffle(SEPARATE, a, b);
            let (a, b) = inverse(c, bounds[2], a, b, block_roots::<1>(roots, g));
            let (a, b) = shuffle(SEPARATE, a, b);
            let (a, b) = inverse(c, bounds[3], a, b, block_roots::<0>(roots, g));
            store(out, i, a);
            store(out, i + 8, b);
        }
    }
}
