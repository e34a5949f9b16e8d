//! The kernels in plain Rust: the reference, and what runs on CPUs without AVX-512 IFMA.
//!
//! The callers in `kernel` have checked that all slices of a call are equally long.

use super::modulus::{Modulus, Shoup};
use super::{Broadcast, InnerProduct, STREAMS, Sums, Word, broadcast_group, split_terms};

pub(crate) fn add_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x = m.add(*x, *y));
}

pub(crate) fn sub_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x = m.sub(*x, *y));
}

pub(crate) fn negate_assign(m: &Modulus, x: &mut [u64]) {
    x.iter_mut().for_each(|x| *x = m.negate(*x));
}

pub(crate) fn add_scalar_assign(m: &Modulus, x: &mut [u64], scalar: u64) {
    x.iter_mut().for_each(|x| *x = m.add(*x, scalar));
}

pub(crate) fn mul_shoup_assign(m: &Modulus, x: &mut [u64], w: Shoup) {
    x.iter_mut().for_each(|x| *x = m.mul_shoup(*x, w));
}

pub(crate) fn mul_shoup(m: &Modulus, out: &mut [u64], x: &[u64], w: Shoup) {
    out.iter_mut()
        .zip(x)
        .for_each(|(out, x)| *out = m.mul_shoup(*x, w));
}

pub(crate) fn mul_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x = m.mul(*x, *y));
}

pub(crate) fn sub_mul(m: &Modulus, out: &mut [u64], x: &[u64], t: &[u64], w: Shoup) {
    for i in 0..out.len() {
        out[i] = m.mul_shoup(x[i] + m.p - t[i], w);
    }
}

pub(crate) fn butterfly(m: &Modulus, low: &mut [u64], high: &mut [u64], w: Shoup) {
    for (a, b) in low.iter_mut().zip(high) {
        let t = m.mul_shoup(*b, w);
        (*a, *b) = (m.add(*a, t), m.sub(*a, t));
    }
}

pub(crate) fn tensor(m: &Modulus, out: [&mut [u64]; 3], a: [&[u64]; 2], b: [&[u64]; 2]) {
    let [d0, d1, d2] = out;
    for i in 0..d0.len() {
        let (a0, a1) = (u128::from(a[0][i]), u128::from(a[1][i]));
        let (b0, b1) = (
            u128::from(m.montgomery(b[0][i])),
            u128::from(m.montgomery(b[1][i])),
        );
        d0[i] = m.reduce_sum(a0 * b0);
        d1[i] = m.reduce_sum(a0 * b1 + a1 * b0);
        d2[i] = m.reduce_sum(a1 * b1);
    }
}

pub(crate) fn convert(m: &Modulus, out: &mut [u64], rows: &[&[u64]], factors: &[u64]) {
    for i in 0..out.len() {
        let sum = rows
            .iter()
            .zip(factors)
            .map(|(row, f)| u128::from(row[i]) * u128::from(*f))
            .sum();
        out[i] = m.reduce_sum(sum);
    }
}

pub(crate) fn convert_centred(m: &Modulus, out: &mut [u64], x: &[u64], source: u64) {
    let source_residue = source % m.p;
    for (out, x) in out.iter_mut().zip(x) {
        let residue = m.mul_montgomery(*x, m.one);
        let shift = if *x > source / 2 { source_residue } else { 0 };
        *out = m.sub(residue, shift);
    }
}

pub(crate) fn overflow(out: &mut [u64], rows: &[&[u64]], inverses: &[f64]) {
    for i in 0..out.len() {
        let sum = rows
            .iter()
            .zip(inverses)
            .fold(0.5, |sum, (row, inverse)| sum + row[i] as f64 * inverse);
        out[i] = sum as u64;
    }
}

pub(crate) fn inner_product<W: Word>(
    m: &Modulus,
    out0: &mut [u64],
    out1: &mut [u64],
    work: &InnerProduct<'_>,
    key: &[W],
) {
    let n = work.digits.first().map_or(out0.len(), |d| d.len());
    for at in (0..out0.len()).step_by(8) {
        let position = work.offset + at;
        let (source, pattern) = work.source(position / 8);
        for lane in 0..8 {
            let i = 8 * source + lane;
            let (mut sum0, mut sum1) = (0_u128, 0_u128);
            for (d, digit) in work.digits.iter().enumerate() {
                let x = u128::from(digit[i]);
                sum0 += x * u128::from(key[2 * d * n + position + lane].into());
                sum1 += x * u128::from(key[(2 * d + 1) * n + position + lane].into());
            }
            if let Some((row, factor)) = work.extra[0] {
                sum0 += u128::from(row[i]) * u128::from(factor);
            }
            if let Some((row, factor)) = work.extra[1] {
                sum1 += u128::from(row[i]) * u128::from(factor);
            }
            let (word0, word1) = (m.reduce_sum(sum0), m.reduce_sum(sum1));
            let target = at + pattern.scatter[lane] as usize;
            if work.accumulate {
                out0[target] = m.add(out0[target], word0);
                out1[target] = m.add(out1[target], word1);
            } else {
                out0[target] = word0;
                out1[target] = word1;
            }
        }
    }
}

pub(crate) fn mac_broadcast<W: Word>(
    m: &Modulus,
    out0: &mut [u64],
    out1: &mut [u64],
    work: &Broadcast<'_>,
    factors: &[&[W]; STREAMS],
) {
    let (positions, width) = broadcast_group(work.log_run);
    let streams = split_terms(work.terms);
    for i in 0..out0.len() {
        let within = (i % positions) >> work.log_run;
        let (mut sum0, mut sum1) = (0_u128, 0_u128);
        for (terms, factors) in streams.iter().zip(factors) {
            let group = i / positions * terms.len();
            for (t, row) in terms.iter().enumerate() {
                let factor = u128::from(factors[(group + t) * width + within].into());
                let at = 2 * *row as usize * work.stride + work.start + i;
                sum0 += factor * u128::from(work.rows[at]);
                sum1 += factor * u128::from(work.rows[at + work.stride]);
            }
        }
        let (word0, word1) = (m.reduce_sum(sum0), m.reduce_sum(sum1));
        if work.accumulate {
            out0[i] = m.add(out0[i], word0);
            out1[i] = m.add(out1[i], word1);
        } else {
            out0[i] = word0;
            out1[i] = word1;
        }
    }
}

/// The sums of multiples at one position.
fn multiples(work: &Sums<'_>, i: usize) -> [u128; 2] {
    let mut sums = [0_u128; 2];
    for (x, factor) in work.terms {
        for (sum, row) in sums.iter_mut().zip(x) {
            *sum += u128::from(row[i]) * u128::from(*factor);
        }
    }
    sums
}

/// A sum of products of plain residues, reduced.
fn plain(m: &Modulus, sum: u128) -> u64 {
    m.mul_montgomery(m.reduce_sum(sum), m.radix_squared)
}

pub(crate) fn sums_of_products(m: &Modulus, out: [&mut [u64]; 3], work: &Sums<'_>) {
    let [d0, d1, d2] = out;
    for i in 0..d0.len() {
        let ([mut sum0, mut sum1], mut sum2) = (multiples(work, i), 0_u128);
        for (a, b) in work.products {
            let (a, b) = (
                a.map(|row| u128::from(row[i])),
                b.map(|row| u128::from(row[i])),
            );
            sum0 += a[0] * b[0];
            sum1 += a[0] * b[1] + a[1] * b[0];
            sum2 += a[1] * b[1];
        }
        d0[i] = m.add(plain(m, sum0), work.constant);
        d1[i] = plain(m, sum1);
        d2[i] = plain(m, sum2);
    }
}

pub(crate) fn sums_of_multiples(m: &Modulus, out: [&mut [u64]; 2], work: &Sums<'_>) {
    let [d0, d1] = out;
    for i in 0..d0.len() {
        let [sum0, sum1] = multiples(work, i);
        d0[i] = m.add(plain(m, sum0), work.constant);
        d1[i] = plain(m, sum1);
    }
}
