//! The noise rule of every operation, in one place: the compiler, the simulator and the explain report use it.
//!
//! A rule gives the variance of the error *per slot*, in units of the message (the error of the decrypted value),
//! under the usual heuristic that coefficients behave as independent (average case). All slot variances are N times
//! the variance of a coefficient, divided by the square of the scale.

use crate::params::{CkksLiteral, SIGMA};

/// What the rules need to know of the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseModel {
    /// Ring degree N.
    pub n: f64,
    /// Expected Hamming weight of the secret; 2N/3 for a uniform ternary one.
    pub h: f64,
    /// log2 of the special modulus.
    pub log_p: f64,
    /// log2 of the product of each key-switching digit's primes, first digit first.
    pub log_digits: Vec<f64>,
    /// Primes per digit.
    pub digit_size: usize,
}

impl NoiseModel {
    /// The model of the given parameters.
    pub fn new(params: &CkksLiteral) -> Self {
        let n = params.n() as f64;
        let log = |primes: &[u64]| crate::security::log2_product(primes.iter().copied());
        Self {
            n,
            h: 2.0 * n / 3.0,
            log_p: log(&params.p),
            log_digits: params.q.chunks(params.digit_size.max(1)).map(log).collect(),
            digit_size: params.digit_size.max(1),
        }
    }

    /// Rounding a plaintext to integer coefficients at a scale: N/12 / S^2.
    pub fn encode(&self, log_scale: f64) -> f64 {
        self.n / 12.0 / square_of_pow2(log_scale)
    }

    /// A fresh encryption under the secret key, with the encoding's rounding: N (sigma^2 + 1/12) / S^2.
    pub fn fresh_secret(&self, log_scale: f64) -> f64 {
        self.n * SIGMA * SIGMA / square_of_pow2(log_scale) + self.encode(log_scale)
    }

    /// A fresh encryption under the public key with a ternary ephemeral secret of density 2/3, with the
    /// encoding's rounding: N sigma^2 (1 + 2N/3 + h) / S^2.
    pub fn fresh_public(&self, log_scale: f64) -> f64 {
        self.n * SIGMA * SIGMA * (1.0 + 2.0 * self.n / 3.0 + self.h) / square_of_pow2(log_scale)
            + self.encode(log_scale)
    }

    /// The rounding of a rescale or of a division by the special modulus: N (1 + h) / 12 / S_out^2.
    pub fn rounding(&self, log_scale_out: f64) -> f64 {
        self.n * (1.0 + self.h) / 12.0 / square_of_pow2(log_scale_out)
    }

    /// The error that the key's own noise adds when a value at `level` is switched, before the division's rounding:
    /// N sigma^2 N/12 sum over digits of D^2 / P^2 / S^2.
    pub fn key_noise(&self, level: usize, log_scale: f64) -> f64 {
        let digits = (level + 1).div_ceil(self.digit_size);
        let sum: f64 = self
            .log_digits
            .iter()
            .take(digits)
            .map(|log_d| square_of_pow2(log_d - self.log_p))
            .sum();
        self.n * self.n / 12.0 * SIGMA * SIGMA * sum / square_of_pow2(log_scale)
    }

    /// A whole key switch at `level`: key noise and rounding.
    pub fn key_switch(&self, level: usize, log_scale: f64) -> f64 {
        self.key_noise(level, log_scale) + self.rounding(log_scale)
    }

    /// A product of two ciphertexts with message mean squares `m1`, `m2` and variances `v1`, `v2`.
    pub fn product(m1: f64, v1: f64, m2: f64, v2: f64) -> f64 {
        m1 * v2 + m2 * v1 + v1 * v2
    }

    /// A square: 4 m^2 v + 2 v^2.
    pub fn square(m: f64, v: f64) -> f64 {
        4.0 * m * v + 2.0 * v * v
    }
}

/// The share of a slot's error that is real. The rules give the variance of the complex slot; a real network's values,
/// and what is decrypted of them, feel the real part alone.
pub const REAL_PART: f64 = 0.5;

/// A linear transform as far as its noise is concerned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransformNoise {
    /// The level at which it is applied.
    pub level: usize,
    /// log2 of the operand's scale.
    pub log_scale: f64,
    /// log2 of the diagonals' scale.
    pub log_plain_scale: f64,
    /// The period of the diagonals.
    pub period: usize,
    /// Non-zero diagonals per result.
    pub diagonals: f64,
    /// Whether the operand is rotated by hoisted (baby) rotations.
    pub hoisted: bool,
    /// Giant rotations per result.
    pub giants: f64,
    /// Folds of the result.
    pub folds: u32,
    /// The mean square of the operand over all slots of its period.
    pub mean_square: f64,
}

impl NoiseModel {
    /// Rounding a plaintext that repeats with a period: only 2 period coefficients are not zero.
    pub fn encode_periodic(&self, log_scale: f64, period: usize) -> f64 {
        self.encode(log_scale) * 2.0 * period as f64 / self.n
    }

    /// A double-hoisted linear transform, without the rescale's rounding: the variance that is added to the result
    /// (rounded diagonals times the operand, key switches of giants and folds), and the variance that is added to
    /// the operand before the matrix (key switches of hoisted rotations, which are not rounded).
    pub fn transform(&self, t: &TransformNoise) -> (f64, f64) {
        let folded = libm::exp2(f64::from(t.folds));
        let encoding = t.diagonals
            * folded
            * t.mean_square
            * self.encode_periodic(t.log_plain_scale, t.period);
        let switches = t.giants * folded + folded - 1.0;
        let inner = encoding + switches * self.key_switch(t.level, t.log_scale + t.log_plain_scale);
        let operand = if t.hoisted {
            self.key_noise(t.level, t.log_scale)
        } else {
            0.0
        };
        (inner, operand)
    }
}

/// 2^(2 log).
fn square_of_pow2(log: f64) -> f64 {
    libm::exp2(2.0 * log)
}
