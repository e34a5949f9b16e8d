//! From residues back to numbers: the centred representative modulo a product of primes.
//!
//! A number v with |v| < Q/2 has exactly one expansion v = d_0 + q_0 (d_1 + q_1 (d_2 + ...)) with balanced digits,
//! |d_i| <= (q_i - 1)/2 (Garner's mixed radix with symmetric digits, Knuth, TAOCP 2, section 4.3.2). The digits are found exactly
//! in integers. The sum is then taken in `f64` from the top: as each partial sum is a whole number next to a digit of
//! less than half the next radix, cancellation costs at most a factor of three, and the result's relative error stays below 2^-50.

use crate::error::CkksError;

/// A constant factor modulo a prime, prepared for Shoup's multiplication.
#[derive(Clone, Copy, Debug)]
struct Factor {
    value: u64,
    quotient: u64,
}

impl Factor {
    fn new(value: u64, modulus: u64) -> Self {
        let quotient = ((u128::from(value) << 64) / u128::from(modulus)) as u64;
        Self { value, quotient }
    }

    fn mul(self, x: u64, modulus: u64) -> u64 {
        let estimate = ((u128::from(x) * u128::from(self.quotient)) >> 64) as u64;
        let r = x
            .wrapping_mul(self.value)
            .wrapping_sub(estimate.wrapping_mul(modulus));
        if r >= modulus { r - modulus } else { r }
    }
}

/// Tables for a chain of primes; any prefix of the chain can be reconstructed.
#[derive(Clone, Debug)]
pub(crate) struct CentredCrt {
    primes: Vec<u64>,
    /// Row i holds the inverses of q_0 .. q_{i-1} modulo q_i.
    inverses: Vec<Vec<Factor>>,
}

impl CentredCrt {
    /// Tables for distinct odd primes below 2^62.
    pub(crate) fn new(primes: &[u64]) -> Self {
        let inverse =
            |a: u64, modulus: u64| Factor::new(pow_mod(a % modulus, modulus - 2, modulus), modulus);
        let row = |(i, q): (usize, &u64)| primes[..i].iter().map(|p| inverse(*p, *q)).collect();
        Self {
            primes: primes.to_vec(),
            inverses: primes.iter().enumerate().map(row).collect(),
        }
    }

    /// The centred values of residues given limb by limb (limb i modulo q_i), as floating-point numbers.
    pub(crate) fn reconstruct(&self, limbs: &[&[u64]]) -> Result<Vec<f64>, CkksError> {
        let count = limbs.first().map_or(0, |limb| limb.len());
        if limbs.len() > self.primes.len() || limbs.iter().any(|limb| limb.len() != count) {
            return Err(CkksError::Shape);
        }
        let mut digits = vec![0_i64; limbs.len()];
        let mut values = Vec::with_capacity(count);
        for k in 0..count {
            for (i, limb) in limbs.iter().enumerate() {
                let modulus = self.primes[i];
                let mut x = limb[k];
                for (digit, inverse) in digits[..i].iter().zip(&self.inverses[i]) {
                    let digit = digit.rem_euclid(modulus as i64) as u64;
                    x = inverse.mul(x + modulus - digit, modulus);
                }
                digits[i] = if x > modulus / 2 {
                    x as i64 - modulus as i64
                } else {
                    x as i64
                };
            }
            let sum = digits.iter().zip(&self.primes).rev();
            values.push(sum.fold(0.0, |acc, (digit, prime)| {
                acc * *prime as f64 + *digit as f64
            }));
        }
        Ok(values)
    }
}

fn pow_mod(mut base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let mul = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64;
    let mut result = 1 % modulus;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, base);
        }
        base = mul(base, base);
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use num_traits::{Euclid, ToPrimitive};

    #[test]
    fn values_up_to_half_the_modulus_come_back() {
        let primes = cipherloom_ir::params::ntt_primes_near(8, 40.0, 5, &[]);
        let crt = CentredCrt::new(&primes);
        for used in 1..=primes.len() {
            let product: BigInt = primes[..used].iter().map(|p| BigInt::from(*p)).product();
            let half: BigInt = (&product - 1) / 2;
            let mut values: Vec<BigInt> = (0..50_u32)
                .map(|i| BigInt::from(i) * &half / 49 - i)
                .collect();
            values.extend([
                BigInt::from(0),
                BigInt::from(1),
                half.clone(),
                &half - 12345,
            ]);
            values.extend((1..used).flat_map(|i| {
                // Numbers next to half of each partial product, where digits cancel most.
                let part: BigInt = primes[..i]
                    .iter()
                    .map(|p| BigInt::from(*p))
                    .product::<BigInt>()
                    / 2;
                [part.clone(), &part + 1, &part + &part + 1]
            }));
            let negative: Vec<BigInt> = values.iter().map(|v| -v).collect();
            values.extend(negative);
            let limbs: Vec<Vec<u64>> = primes[..used]
                .iter()
                .map(|p| {
                    values
                        .iter()
                        .map(|v| v.rem_euclid(&BigInt::from(*p)).to_u64().unwrap())
                        .collect()
                })
                .collect();
            let limbs: Vec<&[u64]> = limbs.iter().map(Vec::as_slice).collect();
            for (value, found) in values.iter().zip(crt.reconstruct(&limbs).unwrap()) {
                let exact = value.to_f64().unwrap();
                assert!(
                    (found - exact).abs() <= exact.abs() * 2.0_f64.powi(-50),
                    "{value} became {found}"
                );
            }
        }
    }

    #[test]
    fn misfitting_limbs_are_refused() {
        let crt = CentredCrt::new(&[257, 769]);
        assert!(crt.reconstruct(&[&[1, 2], &[1]]).is_err());
        assert!(crt.reconstruct(&[&[1], &[1], &[1]]).is_err());
        assert_eq!(crt.reconstruct(&[]).unwrap(), Vec::<f64>::new());
        assert_eq!(crt.reconstruct(&[&[256, 3]]).unwrap(), [-1.0, 3.0]);
    }
}
