//! The canonical embedding between coefficients and slots, as a fast transform over `f64`.
//!
//! Slot j of a polynomial m of degree below N is m(zeta^(5^j)) with zeta = exp(i pi / N), j = 0 .. N/2 - 1 (Cheon, Kim, Kim
//! and Song, "Homomorphic Encryption for Arithmetic of Approximate Numbers", 2017; the transform is the one of Cheon et al.,
//! "Bootstrapping for Approximate Homomorphic Encryption", 2018, section 5). With n slots the polynomial lies in
//! X^(N/2n); coefficient k and coefficient k + n form the real and the imaginary part of one complex number.
//!
//! Only additions, subtractions and products in a fixed order and sines from `libm` occur, so that every machine gets the same bits.

use crate::plaintext::Complex64;
use std::f64::consts::PI;

fn add(a: Complex64, b: Complex64) -> Complex64 {
    Complex64 {
        re: a.re + b.re,
        im: a.im + b.im,
    }
}

fn sub(a: Complex64, b: Complex64) -> Complex64 {
    Complex64 {
        re: a.re - b.re,
        im: a.im - b.im,
    }
}

fn mul(a: Complex64, b: Complex64) -> Complex64 {
    Complex64 {
        re: a.re * b.re - a.im * b.im,
        im: a.re * b.im + a.im * b.re,
    }
}

/// a times the conjugate of b.
fn mul_conjugate(a: Complex64, b: Complex64) -> Complex64 {
    mul(
        a,
        Complex64 {
            re: b.re,
            im: -b.im,
        },
    )
}

/// exp(2 pi i k / m) for a power of two m of at least 8, with the angle reduced exactly to an eighth of the circle, so that
/// each part is right to about one unit in the last place.
pub(crate) fn unit_root(k: u64, m: u64) -> Complex64 {
    let k = k % m;
    let (quadrant, rest) = (k / (m / 4), k % (m / 4));
    let folded = rest.min(m / 4 - rest);
    let (sin, cos) = libm::sincos(2.0 * PI * (folded as f64 / m as f64));
    let (re, im) = if folded == rest {
        (cos, sin)
    } else {
        (sin, cos)
    };
    match quadrant {
        0 => Complex64 { re, im },
        1 => Complex64 { re: -im, im: re },
        2 => Complex64 { re: -re, im: -im },
        _ => Complex64 { re: im, im: -re },
    }
}

/// The transform's roots, for any number of slots up to the one it was made for.
#[derive(Clone, Debug)]
pub(crate) struct SlotTransform {
    /// For each stage of block length 2h (h = 1, 2, 4, ...) the h roots exp(2 pi i 5^j / 8h); the stage's offset is h - 1.
    roots: Vec<Complex64>,
}

impl SlotTransform {
    /// Roots for up to `slots` slots, a power of two.
    pub(crate) fn new(slots: usize) -> Self {
        let mut roots = Vec::with_capacity(slots);
        let mut half = 1;
        while half < slots {
            let m = 8 * half as u64;
            let mut power = 1;
            for _ in 0..half {
                roots.push(unit_root(power, m));
                power = power * 5 % m;
            }
            half *= 2;
        }
        Self { roots }
    }

    /// From the complex coefficients to the slots, in place; the length is a power of two of at most the prepared number of slots.
    pub(crate) fn to_slots(&self, values: &mut [Complex64]) {
        bit_reverse(values);
        let mut half = 1;
        while half < values.len() {
            let roots = &self.roots[half - 1..2 * half - 1];
            for block in values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((a, b), root) in low.iter_mut().zip(high).zip(roots) {
                    let (u, v) = (*a, mul(*b, *root));
                    *a = add(u, v);
                    *b = sub(u, v);
                }
            }
            half *= 2;
        }
    }

    /// From the slots to the complex coefficients times the number of slots, in place.
    pub(crate) fn to_scaled_coefficients(&self, values: &mut [Complex64]) {
        let mut half = values.len() / 2;
        while half >= 1 {
            let roots = &self.roots[half - 1..2 * half - 1];
            for block in values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((a, b), root) in low.iter_mut().zip(high).zip(roots) {
                    let (u, v) = (*a, *b);
                    *a = add(u, v);
                    *b = mul_conjugate(sub(u, v), *root);
                }
            }
            half /= 2;
        }
        bit_reverse(values);
    }
}

fn bit_reverse(values: &mut [Complex64]) {
    let bits = values.len().trailing_zeros();
    if bits == 0 {
        return;
    }
    for i in 0..values.len() {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            values.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(n: usize) -> Vec<Complex64> {
        let value = |i: usize| ((i * 7919 + 13) % 1009) as f64 / 504.5 - 1.0;
        (0..n)
            .map(|i| Complex64 {
                re: value(2 * i),
                im: value(2 * i + 1),
            })
            .collect()
    }

    #[test]
    fn agrees_with_the_naive_embedding() {
        for n in [1_usize, 2, 4, 8, 64, 256] {
            // A larger transform's roots serve smaller lengths.
            let transform = SlotTransform::new(256);
            let coefficients = sample(n);
            let mut fast = coefficients.clone();
            transform.to_slots(&mut fast);
            let mut power = 1_u64;
            for (j, slot) in fast.iter().enumerate() {
                let mut naive = Complex64 { re: 0.0, im: 0.0 };
                for (k, c) in coefficients.iter().enumerate() {
                    // The ring degree is 2n here: zeta is a primitive 4n-th root of unity.
                    let root = unit_root(2 * power * k as u64, 8 * n as u64);
                    naive = add(naive, mul(*c, root));
                }
                assert!(
                    (naive.re - slot.re).hypot(naive.im - slot.im) < 1e-12 * n as f64,
                    "n {n} slot {j}"
                );
                power = power * 5 % (4 * n as u64);
            }
        }
    }

    #[test]
    fn the_directions_are_inverse() {
        for n in [1_usize, 2, 128, 4096] {
            let transform = SlotTransform::new(n);
            let before = sample(n);
            let mut values = before.clone();
            transform.to_slots(&mut values);
            transform.to_scaled_coefficients(&mut values);
            for (a, b) in before.iter().zip(&values) {
                assert!(
                    (a.re - b.re / n as f64).abs() < 1e-14 * 8.0
                        && (a.im - b.im / n as f64).abs() < 1e-14 * 8.0
                );
            }
        }
    }

    #[test]
    fn roots_lie_where_they_should() {
        for k in 0..64 {
            let (root, angle) = (unit_root(k, 64), 2.0 * PI * k as f64 / 64.0);
            assert!(
                (root.re - angle.cos()).abs() < 1e-15 && (root.im - angle.sin()).abs() < 1e-15,
                "{k}"
            );
        }
        // The bits themselves are part of what a plan's hash rests on.
        assert_eq!(unit_root(1, 8).re.to_bits(), 0x3fe6_a09e_667f_3bcd);
    }
}
