//! The noise rule of every operation, in one place: the compiler, the simulator and the explain report use it.
//!
//! A rule gives the variance of the error *per slot*, in units of the message (the error of the decrypted value),
//! under the usual heuristic that coefficients behave as independent (average case). All slot variances are N times
//! the variance of a coefficient, divided by the square of the scale.
//!
//! A vector of period n stands in N/2n slots, each with an error of its own, and what is decrypted is the mean over them:
//! [`NoiseModel::share`] is what a random error of every slot leaves in the mean. Errors of rounded plaintexts repeat as their vectors
//! do and remain.

use crate::params::{CkksLiteral, SIGMA};
use crate::scale::Scale;

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
    /// Whether errors are those in the mean over all slots that hold a value, or those of one slot.
    pub averaged: bool,
    /// The samples that lie side by side: so many slots stand for one of a period.
    pub samples: usize,
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
            averaged: true,
            samples: 1,
        }
    }

    /// The same parameters, for so many samples side by side.
    pub fn of_samples(self, samples: usize) -> Self {
        Self { samples, ..self }
    }

    /// The same parameters, for the errors of one slot.
    pub fn of_one_slot(&self) -> Self {
        Self {
            averaged: false,
            ..self.clone()
        }
    }

    /// The share of a random error's variance that is left in the mean over all slots that hold one value: 2n/N for a
    /// period n, and as many times that as there are samples.
    pub fn share(&self, period: usize) -> f64 {
        if self.averaged {
            (2.0 * (period * self.samples) as f64 / self.n).min(1.0)
        } else {
            1.0
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

    /// A number that multiplies an operand of the given mean square, rounded to an integer over its scale. The error is
    /// known exactly, and zero where the number times its scale is whole. It is real as a whole: the rule states
    /// twice its square, since users take [`REAL_PART`] of every rule.
    pub fn encoded_factor(value: f64, scale: &Scale, mean_square: f64) -> f64 {
        let error = scale.rounding_error(value);
        error * error * mean_square / REAL_PART
    }

    /// A number that is added to every slot, rounded at the scale: see [`Self::encoded_factor`].
    pub fn encoded_constant(value: f64, scale: &Scale) -> f64 {
        Self::encoded_factor(value, scale, 1.0)
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
    /// How many periods of the operand have errors that meet again later on, apart from one another: 1, or more where a
    /// matrix of a larger period follows.
    pub copies: usize,
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
    /// Rounding a real plaintext that repeats with a period: only 2 period coefficients are not zero. A real vector's
    /// coefficients are antisymmetric (c_i = -c_(N-i)), and so is their rounding: the error is real as a whole.
    /// The rule states twice its variance, since users take [`REAL_PART`] of every rule.
    pub fn encode_periodic(&self, log_scale: f64, period: usize) -> f64 {
        self.encode(log_scale) * 2.0 * (period * self.samples) as f64 / self.n / REAL_PART
    }

    /// A double-hoisted linear transform, without the rescale's rounding: the variance that is added to the result
    /// (rounded diagonals times the operand, key switches of giants and folds), and the variance that is added to
    /// the operand before the matrix (key switches of hoisted rotations, which are not rounded).
    ///
    /// Key switches count by their share in the mean over slots. Each fold halves the period, so that half as many slots
    /// as before have errors of their own: the switch of fold i is left with the share of a period n/2^i, and later folds add up 2^(F-i) of them.
    pub fn transform(&self, t: &TransformNoise) -> (f64, f64) {
        let folded = libm::exp2(f64::from(t.folds));
        let encoding = t.diagonals
            * folded
            * t.mean_square
            * self.encode_periodic(t.log_plain_scale, t.period);
        let period = t.period * t.copies;
        let switches = t.giants * folded * self.share(period) + self.fold_switches(period, t.folds);
        let inner = encoding + switches * self.key_switch(t.level, t.log_scale + t.log_plain_scale);
        let operand = if t.hoisted {
            self.share(period) * self.key_noise(t.level, t.log_scale)
        } else {
            0.0
        };
        (inner, operand)
    }

    /// How many key switches' errors `folds` rotations and additions leave in the mean, each of which halves a period.
    pub fn fold_switches(&self, period: usize, folds: u32) -> f64 {
        let of = |i: u32| libm::exp2(f64::from(folds - i)) * self.share((period >> i).max(1));
        (1..=folds.min(usize::BITS - 1)).map(of).sum()
    }
}

/// 2^(2 log).
fn square_of_pow2(log: f64) -> f64 {
    libm::exp2(2.0 * log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::ntt_primes_near;
    use crate::security::Security;

    fn model(digit_size: usize, log_p: f64) -> NoiseModel {
        let q = ntt_primes_near(13, 28.0, 4, &[]);
        let p = ntt_primes_near(13, log_p, 1, &q);
        NoiseModel::new(&CkksLiteral {
            log_n: 13,
            q,
            p,
            digit_size,
            security: Security::Classical128,
        })
    }

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance * b.abs(), "{a} is not near {b}");
    }

    #[test]
    fn rules_have_the_stated_sizes() {
        let m = model(1, 34.0);
        // N = 8192 at a scale of 2^28, by hand: N/12, N (1 + 2N/3) / 12 and 3.2^2 N over 2^56.
        let unit = libm::exp2(-56.0);
        close(m.encode(28.0), 682.666_666_7 * unit, 1e-9);
        close(m.rounding(28.0), 3_728_952.888_9 * unit, 1e-9);
        close(
            m.fresh_secret(28.0) - m.encode(28.0),
            83_886.08 * unit,
            1e-9,
        );
        close(
            m.fresh_public(28.0),
            (83_886.08 * (1.0 + 4.0 * 8192.0 / 3.0) + 682.666_666_7) * unit,
            1e-9,
        );
        // One bit more of scale, a quarter of the variance.
        for rule in [
            NoiseModel::encode,
            NoiseModel::fresh_secret,
            NoiseModel::fresh_public,
            NoiseModel::rounding,
        ] {
            close(rule(&m, 27.0), 4.0 * rule(&m, 28.0), 1e-12);
        }
    }

    #[test]
    fn the_mean_over_copies_keeps_a_share() {
        let m = model(1, 34.0);
        assert_eq!((m.share(4096), m.share(1 << 20)), (1.0, 1.0));
        assert_eq!(m.share(16), 16.0 / 4096.0);
        assert_eq!(m.of_one_slot().share(16), 1.0);
        // Samples side by side leave fewer copies of each.
        let many = m.clone().of_samples(8);
        assert_eq!((many.share(16), many.share(1024)), (m.share(128), 1.0));
        assert_eq!(many.encode_periodic(28.0, 16), m.encode_periodic(28.0, 128));
        // In one slot, three folds leave 4 + 2 + 1 switches.
        close(m.of_one_slot().fold_switches(64, 3), 7.0, 1e-12);
        // Sums over windows of means of independent errors, by hand: the switch of the first of three folds of a period of
        // 64 has 32 errors of its own, and each result adds up four of them; the second's 16, two; the third's 8, one.
        let by_hand = (4.0 * 32.0 + 2.0 * 16.0 + 8.0) / 4096.0;
        close(m.fold_switches(64, 3), by_hand, 1e-12);
        assert_eq!(m.fold_switches(64, 0), 0.0);
    }

    #[test]
    fn key_noise_adds_over_digits_and_falls_with_the_special_modulus() {
        let m = model(1, 34.0);
        // Four digits of nearly equal size: each adds its own share.
        close(m.key_noise(3, 28.0), 4.0 * m.key_noise(0, 28.0), 1e-2);
        close(
            m.key_noise(1, 28.0) - m.key_noise(0, 28.0),
            m.key_noise(0, 28.0),
            1e-2,
        );
        close(
            model(1, 35.0).key_noise(3, 28.0),
            0.25 * m.key_noise(3, 28.0),
            1e-2,
        );
        close(
            m.key_switch(2, 28.0),
            m.key_noise(2, 28.0) + m.rounding(28.0),
            1e-12,
        );
        // Two primes to a digit: half as many digits, levels 2 and 3 share the second.
        let wide = model(2, 45.0);
        assert_eq!(wide.log_digits.len(), 2);
        close(wide.key_noise(2, 28.0), wide.key_noise(3, 28.0), 1e-12);
        close(wide.key_noise(1, 28.0), 0.5 * wide.key_noise(3, 28.0), 1e-2);
    }

    /// Numbers of zero mean and unit variance, close to Gaussian: sums of twelve uniform ones.
    fn gaussian(state: &mut u64) -> f64 {
        (0..12)
            .map(|_| {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (*state >> 11) as f64 * libm::exp2(-53.0) - 0.5
            })
            .sum()
    }

    #[test]
    fn products_and_squares_agree_with_samples() {
        let (mut state, count) = (1, 200_000);
        let (mut product, mut square) = (0.0, 0.0);
        let (sx, sy, ex, ey) = (0.5, 2.0, 0.3, 0.1);
        for _ in 0..count {
            let mut draw = |sigma: f64| sigma * gaussian(&mut state);
            let (x, y, e, f) = (draw(sx), draw(sy), draw(ex), draw(ey));
            product += (x * f + y * e + e * f) * (x * f + y * e + e * f);
            // The error's square has a mean of its own, which the rule counts as part of the variance only so far as
            // it scatters.
            let error = 2.0 * x * e + e * e - ex * ex;
            square += error * error;
        }
        let n = f64::from(count);
        close(
            product / n,
            NoiseModel::product(sx * sx, ex * ex, sy * sy, ey * ey),
            0.02,
        );
        close(square / n, NoiseModel::square(sx * sx, ex * ex), 0.02);
    }
}
