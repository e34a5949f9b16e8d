//! Constant-time sampling of secrets and errors.
//!
//! No branch and no memory address depends on a sampled value: the ternary sampler multiplies, the Gaussian one compares with
//! every entry of its table and adds up the borrows.

use crate::random::{SecretRng, WORDS as CHUNK};
use zeroize::Zeroizing;

/// Uniform in {-1, 0, 1}: floor(3 w / 2^128) - 1 for a uniform 128-bit w, within 2^-126 of uniform.
pub(crate) fn ternary(rng: &mut SecretRng, count: usize) -> Zeroizing<Vec<i64>> {
    let mut out = Zeroizing::new(Vec::with_capacity(count));
    let mut bytes = Zeroizing::new([0_u8; 16 * CHUNK]);
    let mut left = count;
    while left > 0 {
        let now = left.min(CHUNK);
        rng.fill(bytes.as_mut());
        let (words, _) = bytes.as_chunks::<16>();
        out.extend(
            words
                .iter()
                .take(now)
                .map(|word| ternary_of(u128::from_le_bytes(*word))),
        );
        left -= now;
    }
    out
}

/// The top two bits of 3 w, less one.
fn ternary_of(word: u128) -> i64 {
    let (high, low) = ((word >> 64) as u64, word as u64);
    let carry = (u128::from(low) * 3) >> 64;
    ((u128::from(high) * 3 + carry) >> 64) as i64 - 1
}

/// `TAIL[k]` is the probability that a discrete Gaussian of sigma 3.2 (weights exp(-x^2 / 2 sigma^2) on the integers) exceeds k in
/// absolute value, times 2^63, rounded. The tail beyond 29, of probability 2^-63.9, is cut.
const TAIL: [u64; 29] = [
    8_073_499_201_425_509_800,
    5_883_348_370_701_942_930,
    3_991_629_182_630_250_053,
    2_509_699_002_363_457_274,
    1_456_798_710_654_579_249,
    778_321_634_312_219_174,
    381_795_751_200_163_125,
    171_613_357_976_589_712,
    70_569_585_085_359_829,
    26_512_962_087_029_103,
    9_090_830_680_771_688,
    2_842_272_832_067_367,
    809_697_108_902_602,
    210_041_220_178_844,
    49_588_937_064_720,
    10_650_534_664_075,
    2_080_180_164_796,
    369_346_163_117,
    59_600_389_513,
    8_738_635_276,
    1_163_930_510,
    140_805_938,
    15_468_807,
    1_543_030,
    139_740,
    11_488,
    857,
    58,
    4,
];

/// Discrete Gaussian errors of standard deviation [`cipherloom_ir::params::SIGMA`], by inversion of the cumulative table.
///
/// One word gives one sample: 63 bits the absolute value, one bit the sign.
pub(crate) fn gaussian(rng: &mut SecretRng, count: usize) -> Zeroizing<Vec<i64>> {
    let mut out = Zeroizing::new(vec![0_i64; count]);
    for chunk in out.chunks_mut(CHUNK) {
        let words = rng.words();
        gaussian_of(&words, chunk);
    }
    out
}

fn gaussian_of(words: &[u64; CHUNK], out: &mut [i64]) {
    let mut magnitudes = Zeroizing::new([0_u64; CHUNK]);
    for tail in TAIL {
        for (magnitude, word) in magnitudes.iter_mut().zip(words) {
            // Both are below 2^63, so the top bit of the difference is the borrow: one if the word is below the entry.
            *magnitude += (word >> 1).wrapping_sub(tail) >> 63;
        }
    }
    for ((sample, magnitude), word) in out.iter_mut().zip(magnitudes.iter()).zip(words) {
        let sign = 0_u64.wrapping_sub(word & 1);
        *sample = (magnitude ^ sign).wrapping_sub(sign) as i64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherloom_ir::params::SIGMA;

    /// The density of the discrete Gaussian, straight from its definition.
    fn density(x: i64) -> f64 {
        let weight = |x: i64| (-((x * x) as f64) / (2.0 * SIGMA * SIGMA)).exp();
        weight(x) / (-200..=200).map(weight).sum::<f64>()
    }

    fn chi_square(
        samples: &[i64],
        density: impl Fn(i64) -> f64,
        cells: std::ops::RangeInclusive<i64>,
    ) -> f64 {
        let count = samples.len() as f64;
        cells
            .map(|x| {
                let expected = density(x) * count;
                let found = samples.iter().filter(|s| **s == x).count() as f64;
                (found - expected).powi(2) / expected
            })
            .sum()
    }

    #[test]
    fn the_table_is_the_density() {
        let two63 = 2.0_f64.powi(63);
        for (k, entry) in TAIL.iter().enumerate() {
            let exact: f64 = (k as i64 + 1..=200)
                .rev()
                .map(|x| 2.0 * density(x))
                .sum::<f64>()
                * two63;
            assert!(
                (*entry as f64 - exact).abs() <= 0.5 + exact * 1e-13,
                "entry {k}: {entry} for {exact}"
            );
        }
        let beyond: f64 = (30..=200).map(|x| 2.0 * density(x)).sum::<f64>();
        assert!(beyond < 2.0_f64.powi(-63));
    }

    #[test]
    fn words_map_to_the_samples_they_should() {
        let mut words = [u64::MAX; CHUNK];
        words[1] = 0;
        words[2] = 1;
        words[3] = TAIL[0] << 1;
        words[4] = (TAIL[0] - 1) << 1;
        words[5] = (TAIL[6] << 1) - 1;
        let mut out = [99; CHUNK];
        gaussian_of(&words, &mut out);
        assert_eq!(out[..6], [0, 29, -29, 0, 1, -7]);
        assert_eq!(
            [0, u128::MAX / 3, u128::MAX / 3 + 1, u128::MAX].map(ternary_of),
            [-1, -1, 0, 1]
        );
    }

    #[test]
    fn gaussian_samples_have_the_right_moments_and_shape() {
        let count = 1 << 18;
        let samples = gaussian(&mut SecretRng::for_tests(1), count);
        let mean = samples.iter().sum::<i64>() as f64 / count as f64;
        let variance = samples.iter().map(|s| (s * s) as f64).sum::<f64>() / count as f64;
        assert!(
            mean.abs() < 5.0 * SIGMA / (count as f64).sqrt(),
            "mean {mean}"
        );
        assert!(
            (variance / (SIGMA * SIGMA) - 1.0).abs() < 0.02,
            "variance {variance}"
        );
        // 25 cells; the seed is fixed, and chance alone exceeds 60 once in 10^4.
        let chi2 = chi_square(&samples, density, -12..=12);
        assert!(chi2 < 60.0, "chi-square {chi2}");
    }

    #[test]
    fn ternary_samples_are_uniform() {
        let count = 3 << 16;
        let samples = ternary(&mut SecretRng::for_tests(2), count);
        assert_eq!(samples.len(), count);
        assert!(samples.iter().all(|s| (-1..=1).contains(s)));
        let chi2 = chi_square(&samples, |_| 1.0 / 3.0, -1..=1);
        assert!(chi2 < 18.0, "chi-square {chi2}");
        let neighbours = samples.windows(2).map(|w| w[0] * w[1]).sum::<i64>() as f64;
        assert!(neighbours.abs() < 5.0 * (count as f64 * 4.0 / 9.0).sqrt());
    }

    #[test]
    fn generators_differ() {
        let draw = |rng: &mut SecretRng| gaussian(rng, 1000).to_vec();
        let (mut a, mut b) = (SecretRng::from_os().unwrap(), SecretRng::from_os().unwrap());
        assert_ne!(draw(&mut a), draw(&mut b));
    }
}
