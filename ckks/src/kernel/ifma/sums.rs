//! Sums of tensor products and multiples.

use super::super::Sums;
use super::super::modulus::Modulus;
use super::{Lanes, Sum, V, accumulate, add, fold, lanes, load, reduce, splat, store, zero};

ifma_fn! {
    /// Adds all multiples at position `i`; returns how many products the sums hold since their last fold.
    fn multiples(m: &Modulus, c: &Lanes, work: &Sums<'_>, i: usize, sums: &mut [Sum; 2]) -> usize {
        let mut held = 0;
        for (x, factor) in work.terms {
            if held + 1 >= m.max_terms {
                *sums = [fold(c, sums[0]), fold(c, sums[1])];
                held = 0;
            }
            let factor = splat(*factor);
            sums[0] = accumulate(sums[0], load(x[0], i), factor);
            sums[1] = accumulate(sums[1], load(x[1], i), factor);
            held += 1;
        }
        held
    }
}

ifma_fn! {
    /// A sum of products of plain residues, reduced.
    fn plain(c: &Lanes, square: V, sum: Sum) -> V {
        reduce::<true>(c, accumulate(zero(), reduce::<false>(c, sum), square))
    }
}

ifma_fn! {
    pub(crate) fn sums_of_products(m: &Modulus, out: [&mut [u64]; 3], work: &Sums<'_>) {
        let (c, square, constant) = (lanes(m), splat(m.radix_squared), splat(work.constant));
        let [d0, d1, d2] = out;
        for i in (0..d0.len()).step_by(8) {
            let (mut sums, mut last) = ([zero(); 2], zero());
            let mut held = multiples(m, &c, work, i, &mut sums);
            for (a, b) in work.products {
                if held + 2 >= m.max_terms {
                    (sums, last) = ([fold(&c, sums[0]), fold(&c, sums[1])], fold(&c, last));
                    held = 0;
                }
                let (a0, a1, b0, b1) = (load(a[0], i), load(a[1], i), load(b[0], i), load(b[1], i));
                sums[0] = accumulate(sums[0], a0, b0);
                sums[1] = accumulate(accumulate(sums[1], a0, b1), a1, b0);
                last = accumulate(last, a1, b1);
                held += 2;
            }
            store(d0, i, add(&c, plain(&c, square, sums[0]), constant));
            store(d1, i, plain(&c, square, sums[1]));
            store(d2, i, plain(&c, square, last));
        }
    }
}

ifma_fn! {
    pub(crate) fn sums_of_multiples(m: &Modulus, out: [&mut [u64]; 2], work: &Sums<'_>) {
        let (c, square, constant) = (lanes(m), splat(m.radix_squared), splat(work.constant));
        let [d0, d1] = out;
        for i in (0..d0.len()).step_by(8) {
            let mut sums = [zero(); 2];
            multiples(m, &c, work, i, &mut sums);
            store(d0, i, add(&c, plain(&c, square, sums[0]), constant));
            store(d1, i, plain(&c, square, sums[1]));
        }
    }
}
