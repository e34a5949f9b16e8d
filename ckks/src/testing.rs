//! Support for tests: toy parameters, a secret key, encryption and exact decryption by big integers.
//!
//! The crate proper has no secret key; what is here exists in its own tests alone.

use crate::ciphertext::Ciphertext;
use crate::encoding::Encoder;
use crate::error::KeyName;
use crate::keys::{SeededEvaluationKeys, SeededSwitchingKey};
use crate::params::Parameters;
use crate::plaintext::Plaintext;
use crate::poly::{Domain, Poly};
use crate::xof::Seed;
use cipherloom_ir::Scale;
use cipherloom_ir::params::{CkksLiteral, SIGMA, ntt_primes_near};
use cipherloom_ir::security::Security;
use num_bigint::BigInt;
use num_traits::ToPrimitive;

/// SplitMix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in [-1, 1).
    pub(crate) fn real(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    pub(crate) fn gaussian(&mut self, sigma: f64) -> i64 {
        let radius = (-2.0 * ((self.real() + 1.0) / 2.0 + 1e-18).ln()).sqrt();
        (sigma * radius * (std::f64::consts::PI * self.real()).cos()).round() as i64
    }

    pub(crate) fn ternary(&mut self) -> i64 {
        self.below(3) as i64 - 1
    }

    pub(crate) fn reals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.real()).collect()
    }
}

/// Parameters of any security with primes near the given powers of two.
pub(crate) fn toy(log_n: u32, q_bits: &[f64], p_bits: &[f64], digit_size: usize) -> Parameters {
    let mut taken: Vec<u64> = Vec::new();
    for bits in q_bits.iter().chain(p_bits) {
        taken.extend(ntt_primes_near(log_n, *bits, 1, &taken));
    }
    let p = taken.split_off(q_bits.len());
    let literal = CkksLiteral {
        log_n,
        q: taken,
        p,
        digit_size,
        security: Security::Classical128,
    };
    Parameters::insecure_for_tests(&literal).unwrap()
}

/// One digit per prime, one special prime.
pub(crate) fn toy_single(log_n: u32) -> Parameters {
    toy(log_n, &[31.0, 28.0, 28.0, 28.0, 28.0], &[35.0], 1)
}

/// Digits of two primes, the last one shorter, and two special primes.
pub(crate) fn toy_double(log_n: u32) -> Parameters {
    toy(log_n, &[45.0, 40.0, 40.0, 40.0, 40.0], &[46.0, 47.0], 2)
}

/// Digits of three primes and three special primes of the largest size.
pub(crate) fn toy_wide(log_n: u32) -> Parameters {
    toy(log_n, &[47.0; 7], &[49.0, 49.5, 49.2], 3)
}

pub(crate) fn random_poly(params: &Parameters, rng: &mut Rng, level: usize, special: bool) -> Poly {
    let mut poly = Poly::zero(params, level, special, Domain::Ntt);
    for i in 0..poly.limbs() {
        let prime = params.prime(level, i).unwrap();
        poly.limb_mut(i)
            .iter_mut()
            .for_each(|w| *w = rng.below(prime));
    }
    poly
}

pub(crate) fn primes_of(params: &Parameters, level: usize, special: bool) -> Vec<u64> {
    let special = if special { params.p() } else { &[] };
    params.q()[..=level]
        .iter()
        .chain(special)
        .copied()
        .collect()
}

pub(crate) fn product(primes: &[u64]) -> BigInt {
    primes.iter().fold(BigInt::from(1), |acc, p| acc * p)
}

/// The representative in (-m/2, m/2].
pub(crate) fn centre(x: &BigInt, m: &BigInt) -> BigInt {
    let r = ((x % m) + m) % m;
    if &r * 2 > *m { r - m } else { r }
}

/// Coefficients as centred integers modulo the product of the element's primes.
pub(crate) fn integers(params: &Parameters, poly: &Poly) -> Vec<BigInt> {
    let mut poly = poly.clone();
    poly.to_coefficients(params);
    let primes = primes_of(params, poly.level(), poly.has_special());
    let modulus = product(&primes);
    let units: Vec<BigInt> = primes
        .iter()
        .map(|p| {
            let rest = &modulus / p;
            let inverse = rest.modpow(&BigInt::from(p - 2), &BigInt::from(*p));
            rest * inverse
        })
        .collect();
    (0..params.n())
        .map(|j| {
            let sum: BigInt = units
                .iter()
                .enumerate()
                .map(|(i, u)| u * poly.limb(i)[j])
                .sum();
            centre(&sum, &modulus)
        })
        .collect()
}

/// A ternary secret key, for tests.
pub(crate) struct Secret {
    pub(crate) coefficients: Vec<i64>,
    pub(crate) params: Parameters,
}

impl Secret {
    pub(crate) fn new(params: &Parameters, rng: &mut Rng) -> Self {
        Self {
            coefficients: (0..params.n()).map(|_| rng.ternary()).collect(),
            params: params.clone(),
        }
    }

    pub(crate) fn poly(&self, level: usize, special: bool) -> Poly {
        self.ring(level, special, &self.coefficients)
    }

    fn ring(&self, level: usize, special: bool, coefficients: &[i64]) -> Poly {
        let mut s = Poly::from_signed(&self.params, level, special, coefficients).unwrap();
        s.to_ntt(&self.params);
        s
    }

    fn error(&self, level: usize, special: bool, rng: &mut Rng) -> Poly {
        let e: Vec<i64> = (0..self.params.n()).map(|_| rng.gaussian(SIGMA)).collect();
        self.ring(level, special, &e)
    }

    /// Encrypts a ring element in the NTT domain.
    pub(crate) fn encrypt_poly(&self, m: &Poly, scale: &Scale, rng: &mut Rng) -> Ciphertext {
        let p = &self.params;
        let c1 = random_poly(p, rng, m.level(), false);
        let mut c0 = m.clone();
        c0.add_assign(&self.error(m.level(), false, rng), p)
            .unwrap();
        let mut as_ = c1.clone();
        as_.mul_assign(&self.poly(m.level(), false), p).unwrap();
        c0.sub_assign(&as_, p).unwrap();
        Ciphertext::new(c0, c1, scale.clone()).unwrap()
    }

    pub(crate) fn encrypt(
        &self,
        values: &[f64],
        level: usize,
        scale: &Scale,
        rng: &mut Rng,
    ) -> Ciphertext {
        let m = Encoder::new(&self.params)
            .encode(values, level, scale)
            .unwrap();
        self.encrypt_poly(m.poly(), scale, rng)
    }

    /// `c0 + c1 s`.
    pub(crate) fn phase(&self, c: &Ciphertext) -> Poly {
        let mut m = c.c1().clone();
        m.mul_assign(&self.poly(c.level(), false), &self.params)
            .unwrap();
        m.add_assign(c.c0(), &self.params).unwrap();
        m
    }

    pub(crate) fn decrypt(&self, c: &Ciphertext, count: usize) -> Vec<f64> {
        let m = Plaintext::new(self.phase(c), c.scale().clone()).unwrap();
        Encoder::new(&self.params).decode(&m, count).unwrap()
    }

    /// A switching key up to a level.
    pub(crate) fn key(&self, name: KeyName, level: usize, rng: &mut Rng) -> SeededSwitchingKey {
        let p = &self.params;
        let s = self.poly(level, true);
        let mut source = s.clone();
        match name {
            KeyName::Relinearization => source.mul_assign(&s, p).unwrap(),
            _ => source = s.automorphism(name.galois_element(p), p).unwrap(),
        }
        let mut seed = Seed([0; 32]);
        seed.0
            .chunks_mut(8)
            .for_each(|c| c.copy_from_slice(&rng.word().to_le_bytes()));
        let b = (0..p.digits(level))
            .map(|digit| {
                let mut b = self.error(level, true, rng);
                let mut as_ = SeededSwitchingKey::uniform_half(p, &seed, digit, level);
                as_.mul_assign(&s, p).unwrap();
                b.sub_assign(&as_, p).unwrap();
                for i in p.digit_range(digit, level) {
                    let q = p.q()[i];
                    let special = p
                        .p()
                        .iter()
                        .fold(1_u128, |acc, x| acc * u128::from(x % q) % u128::from(q));
                    let source: Vec<u64> = source.limb(i).to_vec();
                    for (w, x) in b.limb_mut(i).iter_mut().zip(source) {
                        *w = ((u128::from(*w) + special * u128::from(x)) % u128::from(q)) as u64;
                    }
                }
                b
            })
            .collect();
        SeededSwitchingKey::new(p, level, seed, b).unwrap()
    }

    pub(crate) fn keys(
        &self,
        rotations: &[u32],
        level: usize,
        rng: &mut Rng,
    ) -> SeededEvaluationKeys {
        SeededEvaluationKeys {
            key_id: Default::default(),
            relinearization: Some(self.key(KeyName::Relinearization, level, rng)),
            rotations: rotations
                .iter()
                .map(|r| (*r, self.key(KeyName::Rotation(*r), level, rng)))
                .collect(),
            conjugation: Some(self.key(KeyName::Conjugation, level, rng)),
        }
    }
}

/// The standard deviation around zero of centred integers.
pub(crate) fn deviation(values: &[BigInt]) -> f64 {
    let sum: f64 = values.iter().map(|v| v.to_f64().unwrap().powi(2)).sum();
    (sum / values.len() as f64).sqrt()
}

/// The largest absolute difference.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f64::max)
}
