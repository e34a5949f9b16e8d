//! Rounding scaled coefficients to integers.

use crate::error::CkksError;
use crate::kernel::Modulus;
use crate::plaintext::Complex64;

/// Integer coefficients, as narrow as they allow.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Coefficients {
    /// All below 2^31 in absolute value.
    Small(Vec<i32>),
    /// All below 2^62 in absolute value.
    Narrow(Vec<i64>),
    /// All below 2^126 in absolute value.
    Wide(Vec<i128>),
}

/// The largest coefficient that [`Coefficients`] can hold.
const MAX_LOG2: f64 = 126.0;
const MAX_LOG2_NARROW: i32 = 62;

impl Default for Coefficients {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl Coefficients {
    /// Rounds `factor` times the complex coefficients to integers, ties to even: first all real parts, then all imaginary ones.
    ///
    /// `log2_bound` is the logarithm of half the modulus. A coefficient that does not fit below it, less a margin of 2^-32 for
    /// the rounding of that logarithm, is an error, as is one that is no number.
    pub(crate) fn round(
        values: &[Complex64],
        factor: f64,
        log2_bound: f64,
    ) -> Result<Self, CkksError> {
        let log2_limit = log2_bound.min(MAX_LOG2);
        let limit = libm::exp2(log2_limit) * (1.0 - libm::exp2(-32.0));
        let parts = || {
            values
                .iter()
                .map(|v| v.re)
                .chain(values.iter().map(|v| v.im))
                .map(|x| x * factor)
        };
        let mut largest = 0.0_f64;
        for x in parts() {
            if x.is_nan() || x.abs() > limit {
                return Err(CkksError::TooLarge {
                    log_coefficient: libm::log2(x.abs()),
                    log_modulus: log2_limit + 1.0,
                });
            }
            largest = largest.max(x.abs());
        }
        Ok(if largest < f64::from(i32::MAX) {
            Self::Small(parts().map(|x| x.round_ties_even() as i32).collect())
        } else if largest < libm::exp2(f64::from(MAX_LOG2_NARROW)) {
            Self::Narrow(parts().map(|x| x.round_ties_even() as i64).collect())
        } else {
            Self::Wide(parts().map(|x| x.round_ties_even() as i128).collect())
        })
    }

    /// The bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Small(values) => 4 * values.len(),
            Self::Narrow(values) => 8 * values.len(),
            Self::Wide(values) => 16 * values.len(),
        }
    }

    /// Writes coefficient k modulo `modulus` to `limb[k * stride]`, and leaves the other words.
    pub(crate) fn reduce_into(&self, modulus: &Modulus, stride: usize, limb: &mut [u64]) {
        let places = limb.iter_mut().step_by(stride.max(1));
        let p = modulus.p as i64;
        match self {
            // Most vectors are small against the prime.
            Self::Small(values) if values.iter().all(|c| i64::from(c.unsigned_abs()) < p) => {
                places.zip(values).for_each(|(place, c)| {
                    let c = i64::from(*c);
                    *place = (c + (p & (c >> 63))) as u64;
                });
            }
            Self::Small(values) => places
                .zip(values)
                .for_each(|(place, c)| *place = modulus.signed_residue(i64::from(*c))),
            Self::Narrow(values) if values.iter().all(|c| c.unsigned_abs() < modulus.p) => {
                places
                    .zip(values)
                    .for_each(|(place, c)| *place = (c + (p & (c >> 63))) as u64);
            }
            Self::Narrow(values) => places
                .zip(values)
                .for_each(|(place, c)| *place = modulus.signed_residue(*c)),
            Self::Wide(values) => {
                let m = i128::from(modulus.p);
                places
                    .zip(values)
                    .for_each(|(place, c)| *place = c.rem_euclid(m) as u64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_and_reduces() {
        let values = [
            Complex64 {
                re: 1.25,
                im: -0.75,
            },
            Complex64 {
                re: -3.5,
                im: 0.125,
            },
        ];
        let rounded = Coefficients::round(&values, 4.0, 20.0).unwrap();
        assert_eq!(rounded, Coefficients::Small(vec![5, -14, -3, 0]));
        let mut limb = [9; 8];
        rounded.reduce_into(&Modulus::new(17), 2, &mut limb);
        assert_eq!(limb, [5, 9, 3, 9, 14, 9, 0, 9]);
    }

    #[test]
    fn small_and_large_coefficients_reduce_alike() {
        let values = vec![0, 1, -1, 96, -96, 97, -97, 1 << 61, -(1 << 61)];
        let small: Vec<i64> = values
            .iter()
            .copied()
            .filter(|c: &i64| c.abs() < 97)
            .collect();
        for values in [values, small] {
            let mut limb = vec![0; values.len()];
            Coefficients::Narrow(values.clone()).reduce_into(&Modulus::new(97), 1, &mut limb);
            let expected = values.iter().map(|c| (i128::from(*c) % 97 + 97) % 97);
            assert!(limb.iter().map(|w| i128::from(*w)).eq(expected));
        }
    }

    #[test]
    fn wide_coefficients_are_exact() {
        let scale = libm::exp2(100.0);
        let rounded =
            Coefficients::round(&[Complex64 { re: 1.0, im: -3.0 }], scale, 200.0).unwrap();
        assert_eq!(rounded, Coefficients::Wide(vec![1 << 100, -3 << 100]));
        let mut limb = [0; 2];
        rounded.reduce_into(&Modulus::new((1 << 50) - 27), 1, &mut limb);
        // 2^100 = 27^2 modulo 2^50 - 27.
        assert_eq!(limb, [729, (1 << 50) - 27 - 3 * 729]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let one = |re: f64| Coefficients::round(&[Complex64 { re, im: 0.0 }], 1.0, 10.0);
        assert!(one(1023.0).is_ok());
        assert!(matches!(one(1024.0), Err(CkksError::TooLarge { .. })));
        assert!(one(-1025.0).is_err() && one(f64::NAN).is_err() && one(f64::INFINITY).is_err());
        assert!(
            Coefficients::round(&[Complex64 { re: 1.0, im: 0.0 }], libm::exp2(127.0), 500.0)
                .is_err()
        );
    }
}
