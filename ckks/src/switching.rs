//! Hybrid key switching: decomposition into digits and their inner product with a key.

use crate::automorphism::Automorphism;
use crate::division::Rows;
use crate::kernel::{self, Buffer, InnerProduct};
use crate::keys::SwitchingKey;
use crate::parallel;
use crate::params::Parameters;
use crate::poly::{Domain, Poly};

/// A ring element prepared for the conversion of its digits: digit d is the representative of the element modulo the
/// product D of the digit's primes in `(-D/2, D/2]`.
pub(crate) struct Decomposition<'a> {
    /// The element in the NTT domain: a digit's residues modulo its own primes are the element's.
    element: &'a Poly,
    /// `level + 1` rows `y_j`, then one overflow row per digit of more than one prime.
    rows: Buffer,
}

/// A ring element modulo all primes of a level and the special ones, in two parts.
pub(crate) type Pair = [Poly; 2];

/// A pair whose words are all to be written.
pub(crate) fn unwritten_pair(params: &Parameters, level: usize) -> Pair {
    [0, 1].map(|_| Poly::unwritten(params, level, true))
}

pub(crate) fn zero_pair(params: &Parameters, level: usize) -> Pair {
    [0, 1].map(|_| Poly::zero(params, level, true, Domain::Ntt))
}

/// The limbs of pairs, to be worked on limb by limb: one vector element per limb.
pub(crate) fn limbs_of<'a>(pairs: &'a mut [Pair]) -> Vec<(usize, Vec<[&'a mut [u64]; 2]>)> {
    let limbs = pairs.first().map_or(0, |[a, _]| a.limbs());
    let mut result: Vec<(usize, Vec<[&'a mut [u64]; 2]>)> = (0..limbs)
        .map(|i| (i, Vec::with_capacity(pairs.len())))
        .collect();
    for [a, b] in pairs {
        for ((_, parts), (a, b)) in result.iter_mut().zip(a.limbs_mut().zip(b.limbs_mut())) {
            parts.push([a, b]);
        }
    }
    result
}

/// Decomposes elements of one level, in the NTT domain.
pub(crate) fn decompose<'a>(params: &Parameters, elements: &[&'a Poly]) -> Vec<Decomposition<'a>> {
    let n = params.n();
    let mut result: Vec<Decomposition<'a>> = elements
        .iter()
        .map(|element| {
            let overflow_rows = if params.digit_size() > 1 {
                params.digits(element.level())
            } else {
                0
            };
            Decomposition {
                element,
                rows: Buffer::unspecified((element.level() + 1 + overflow_rows) * n),
            }
        })
        .collect();
    let mut jobs = Vec::new();
    for d in &mut result {
        jobs.extend(
            d.rows
                .chunks_exact_mut(n)
                .take(d.element.level() + 1)
                .enumerate()
                .map(|(i, row)| (d.element, i, row)),
        );
    }
    parallel::for_each(jobs, |(element, i, row)| {
        let limb = params.limb_at(i);
        let digit = i / params.digit_size();
        let conversion = params.digit_conversion(digit, element.level());
        let scale = conversion.hat_inverse[i - digit * params.digit_size()];
        limb.ntt.inverse_scaled(row, element.limb(i), scale);
    });
    if params.digit_size() > 1 {
        let mut jobs = Vec::new();
        for d in &mut result {
            let level = d.element.level();
            let (rows, overflows) = d.rows.split_at_mut((level + 1) * n);
            let rows: &[u64] = rows;
            jobs.extend(
                overflows
                    .chunks_exact_mut(n)
                    .enumerate()
                    .map(|(digit, out)| (level, digit, rows, out)),
            );
        }
        parallel::for_each(jobs, |(level, digit, rows, out)| {
            let range = params.digit_range(digit, level);
            let ys: Vec<&[u64]> = rows[range.start * n..range.end * n]
                .chunks_exact(n)
                .collect();
            kernel::overflow(out, &ys, &params.digit_conversion(digit, level).inverses);
        });
    }
    result
}

impl Decomposition<'_> {
    /// The digits modulo limb `limb` of an element with special limbs, in the NTT domain, converted into `space`, which holds as many
    /// rows as there are digits.
    pub(crate) fn digits_at<'s>(
        &'s self,
        params: &Parameters,
        limb: usize,
        space: &'s mut [u64],
    ) -> Vec<&'s [u64]> {
        let (n, level) = (params.n(), self.element.level());
        let index = params.limb_index(level, limb);
        let row = |i: usize| &self.rows[i * n..(i + 1) * n];
        space
            .chunks_exact_mut(n)
            .take(params.digits(level))
            .enumerate()
            .map(|(digit, out)| {
                let range = params.digit_range(digit, level);
                if range.contains(&index) {
                    return self.element.limb(limb);
                }
                let overflow = (range.len() > 1).then(|| row(level + 1 + digit));
                let rows = Rows {
                    rows: range.map(row).collect(),
                    overflow,
                };
                params
                    .digit_conversion(digit, level)
                    .convert(params, index, &rows, out);
                params.limb_at(index).ntt.forward(out);
                &*out
            })
            .collect()
    }

    /// The level.
    pub(crate) fn level(&self) -> usize {
        self.element.level()
    }
}

/// What one key switch adds up: `phi(<digits, key> + extra)`.
#[derive(Clone, Copy)]
pub(crate) struct Switch<'a> {
    /// The key.
    pub(crate) key: &'a SwitchingKey,
    /// The automorphism for which the key was expanded.
    pub(crate) automorphism: Option<&'a Automorphism>,
    /// Elements to add to the two parts.
    pub(crate) extra: [Option<Extra<'a>>; 2],
}

/// An element to add to a part of a key switch.
#[derive(Clone, Copy)]
pub(crate) enum Extra<'a> {
    /// Without special limbs: to be multiplied by the special modulus.
    TimesSpecial(&'a Poly),
    /// With special limbs.
    Plain(&'a Poly),
    /// The limb at hand itself.
    Row(&'a [u64]),
}

impl<'a> Extra<'a> {
    fn at(self, params: &Parameters, level: usize, limb: usize) -> Option<(&'a [u64], u64)> {
        match self {
            // The special modulus is zero modulo its own primes.
            Extra::TimesSpecial(_) if limb > level => None,
            Extra::TimesSpecial(poly) => Some((poly.limb(limb), params.special_factor(limb))),
            Extra::Plain(poly) => Some((poly.limb(limb), params.limb(level, limb).modulus.one)),
            Extra::Row(row) => Some((row, params.limb(level, limb).modulus.one)),
        }
    }
}

impl Switch<'_> {
    /// A piece of one limb of the switch, from position `offset` on, from the limb's digits, into `out` or added to it.
    pub(crate) fn limb(
        &self,
        params: &Parameters,
        (level, limb, offset): (usize, usize, usize),
        digits: &[&[u64]],
        out: [&mut [u64]; 2],
        accumulate: bool,
    ) {
        let extra = self
            .extra
            .map(|e| e.and_then(|e| e.at(params, level, limb)));
        let work = InnerProduct {
            digits,
            key: self.key.limb(level, limb),
            extra,
            automorphism: self.automorphism,
            offset,
            accumulate,
        };
        let [out0, out1] = out;
        kernel::inner_product(&params.limb(level, limb).modulus, out0, out1, &work);
    }
}

/// Several switches of one decomposed element, each modulo all primes of its level and the special ones.
pub(crate) fn switch_all(
    params: &Parameters,
    decomposition: &Decomposition<'_>,
    switches: &[Switch<'_>],
) -> Vec<Pair> {
    let level = decomposition.level();
    let mut pairs: Vec<Pair> = switches
        .iter()
        .map(|_| unwritten_pair(params, level))
        .collect();
    parallel::for_each(limbs_of(&mut pairs), |(limb, outs)| {
        let mut space = Buffer::unspecified(params.digits(level) * params.n());
        let digits = decomposition.digits_at(params, limb, &mut space);
        for (switch, out) in switches.iter().zip(outs) {
            switch.limb(params, (level, limb, 0), &digits, out, false);
        }
    });
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Rng, centre, integers, primes_of, product, random_poly, toy_double, toy_single, toy_wide,
    };
    use num_bigint::BigInt;

    #[test]
    fn digits_are_the_centred_residues() {
        for params in [toy_single(4), toy_double(5), toy_wide(6)] {
            let n = params.n();
            for level in [0, 1, params.max_level()] {
                let element = random_poly(&params, &mut Rng(5), level, false);
                let exact = integers(&params, &element);
                let decomposition = &decompose(&params, &[&element])[0];
                for limb in 0..level + 1 + params.p().len() {
                    let prime = primes_of(&params, level, true)[limb];
                    let mut space = vec![0; params.digits(level) * n];
                    let digits: Vec<Vec<u64>> = {
                        let rows = decomposition.digits_at(&params, limb, &mut space);
                        rows.iter().map(|r| r.to_vec()).collect()
                    };
                    assert_eq!(digits.len(), params.digits(level));
                    for (d, mut digit) in digits.into_iter().enumerate() {
                        params.limb(level, limb).ntt.inverse(&mut digit);
                        let modulus = product(&params.q()[params.digit_range(d, level)]);
                        for (x, y) in exact.iter().zip(digit) {
                            let difference: BigInt = centre(x, &modulus) - y;
                            assert_eq!(
                                difference % prime,
                                BigInt::ZERO,
                                "digit {d}, limb {limb}, level {level}"
                            );
                        }
                    }
                }
            }
        }
    }
}
