//! Rounded division by some of the primes: rescale, the division by the special modulus, and both at once.
//!
//! With D the product of the primes and c the representative of x modulo D in `(-D/2, D/2]`, the result is exactly
//! `(x - c)/D`, the nearest integer to x/D. (With several primes the choice of c is made in double precision: within
//! 2^-50 of a tie the result may be the other neighbour, and always the same one.)

use crate::error::CkksError;
use crate::kernel::{self, Buffer};
use crate::parallel;
use crate::params::{Conversion, Parameters};
use crate::poly::Poly;

/// Which primes a ring element is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Divisor {
    /// The special primes.
    Special,
    /// The special primes and the last one of the level.
    SpecialAndLast,
    /// The last prime of the level.
    Last,
}

impl Divisor {
    fn conversion(self, params: &Parameters, level: usize) -> Result<&Conversion, CkksError> {
        match self {
            Divisor::Special => params.special_division(level, false),
            Divisor::SpecialAndLast => params.special_division(level, true),
            Divisor::Last => params.rescale_division(level),
        }
    }
}

/// Rows of a number modulo the primes of a conversion, ready to be converted to other primes.
pub(crate) struct Rows<'a> {
    /// `y_j` for each source prime.
    pub(crate) rows: Vec<&'a [u64]>,
    /// u, where there is more than one source prime.
    pub(crate) overflow: Option<&'a [u64]>,
}

impl Conversion {
    /// Writes the residues of the centred number modulo limb `limb` (an index among all) to `out`.
    pub(crate) fn convert(
        &self,
        params: &Parameters,
        limb: usize,
        source: &Rows<'_>,
        out: &mut [u64],
    ) {
        let modulus = &params.limb_at(limb).modulus;
        match (source.overflow, &source.rows[..], &self.sources[..]) {
            (None, [row], [prime]) => {
                kernel::convert_centred(modulus, out, row, params.limb_at(*prime).modulus.p)
            }
            (overflow, rows, _) => {
                let all: Vec<&[u64]> = rows.iter().copied().chain(overflow).collect();
                kernel::convert(modulus, out, &all, &self.factors[limb]);
            }
        }
    }
}

/// Divides each input, in the NTT domain and all of one level, and yields ring elements without special limbs.
pub(crate) fn divide(
    params: &Parameters,
    inputs: &[&Poly],
    divisor: Divisor,
) -> Result<Vec<Poly>, CkksError> {
    let Some(first) = inputs.first() else {
        return Ok(vec![]);
    };
    let (n, level) = (params.n(), first.level());
    let conversion = divisor.conversion(params, level)?;
    let target = if divisor == Divisor::Special {
        level
    } else {
        level - 1
    };
    let count = conversion.sources.len();
    // One more row for the overflow, where there are several primes.
    let stride = n * if count > 1 { count + 1 } else { 1 };
    let mut sources = Buffer::unspecified(stride * inputs.len());
    to_rows(params, inputs, conversion, stride, &mut sources);
    let mut outputs: Vec<Poly> = inputs
        .iter()
        .map(|_| Poly::unwritten(params, target, false))
        .collect();
    let mut jobs = Vec::with_capacity(inputs.len() * (target + 1));
    for ((output, input), rows) in outputs
        .iter_mut()
        .zip(inputs)
        .zip(sources.chunks_exact(stride))
    {
        jobs.extend(
            output
                .limbs_mut()
                .enumerate()
                .map(|(i, out)| (i, out, input.limb(i), rows)),
        );
    }
    parallel::for_each(jobs, |(i, out, x, rows)| {
        let rows = split_rows(rows, n, count);
        let mut converted: Buffer = Buffer::unspecified(n);
        conversion.convert(params, i, &rows, &mut converted);
        let limb = params.limb_at(i);
        limb.ntt.forward(&mut converted);
        kernel::sub_mul(&limb.modulus, out, x, &converted, conversion.divide[i]);
    });
    Ok(outputs)
}

fn split_rows(rows: &[u64], n: usize, count: usize) -> Rows<'_> {
    let mut chunks = rows.chunks_exact(n);
    let rows = chunks.by_ref().take(count).collect();
    Rows {
        rows,
        overflow: if count > 1 { chunks.next() } else { None },
    }
}

/// Writes the rows of each input's residues modulo the conversion's primes, and their overflow.
fn to_rows(
    params: &Parameters,
    inputs: &[&Poly],
    conversion: &Conversion,
    stride: usize,
    rows: &mut [u64],
) {
    let (n, count) = (params.n(), conversion.sources.len());
    let mut jobs = Vec::with_capacity(inputs.len() * count);
    for (input, rows) in inputs.iter().zip(rows.chunks_exact_mut(stride)) {
        jobs.extend(
            rows.chunks_exact_mut(n)
                .take(count)
                .enumerate()
                .map(|(j, row)| (*input, j, row)),
        );
    }
    parallel::for_each(jobs, |(input, j, row)| {
        let limb = params.limb_at(conversion.sources[j]);
        let x = input.limb(own_limb(params, input, conversion.sources[j]));
        limb.ntt.inverse_scaled(row, x, conversion.hat_inverse[j]);
    });
    if count > 1 {
        parallel::for_each(
            rows.chunks_exact_mut(stride).collect(),
            |rows: &mut [u64]| {
                let (ys, overflow) = rows.split_at_mut(count * n);
                let ys: Vec<&[u64]> = ys.chunks_exact(n).collect();
                kernel::overflow(overflow, &ys, &conversion.inverses);
            },
        );
    }
}

/// The limb of a ring element that holds residues modulo the prime of an index among all.
fn own_limb(params: &Parameters, poly: &Poly, index: usize) -> usize {
    if index < params.q().len() {
        index
    } else {
        index - params.q().len() + poly.level() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Rng, centre, integers, primes_of, product, random_poly, toy, toy_double, toy_single,
        toy_wide,
    };
    use num_bigint::BigInt;

    #[test]
    fn quotients_are_rounded_to_the_nearest_integer() {
        let five_special = toy(5, &[50.0, 30.0, 50.0], &[49.0, 28.0, 49.5, 33.0, 49.9], 1);
        for params in [toy_single(4), toy_double(5), toy_wide(6), five_special] {
            let mut rng = Rng(11);
            for (divisor, level) in [
                (Divisor::Special, 0),
                (Divisor::Special, 2),
                (Divisor::SpecialAndLast, 1),
                (Divisor::SpecialAndLast, params.max_level()),
                (Divisor::Last, 1),
                (Divisor::Last, 2),
            ] {
                let special = divisor != Divisor::Last;
                let inputs = [0, 1].map(|_| random_poly(&params, &mut rng, level, special));
                let outputs = divide(&params, &[&inputs[0], &inputs[1]], divisor).unwrap();
                let last = if divisor == Divisor::Special {
                    vec![]
                } else {
                    vec![params.q()[level]]
                };
                let d =
                    product(&if special { params.p().to_vec() } else { vec![] }) * product(&last);
                for (input, output) in inputs.iter().zip(&outputs) {
                    assert_eq!(output.level(), level - last.len());
                    assert!(!output.has_special());
                    let q = product(&primes_of(&params, output.level(), false));
                    for (x, y) in integers(&params, input)
                        .iter()
                        .zip(integers(&params, output))
                    {
                        // floor((2x + D) / 2D), for any sign.
                        let remainder: BigInt = centre(x, &d);
                        assert_eq!(centre(&((x - remainder) / &d), &q), y);
                    }
                }
            }
            let poly = random_poly(&params, &mut rng, 0, false);
            assert!(divide(&params, &[&poly], Divisor::Last).is_err());
        }
    }
}
