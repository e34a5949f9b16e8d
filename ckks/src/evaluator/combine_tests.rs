//! Sums of products and multiples against plain complex arithmetic, their transforms counted, their noise measured.

use super::*;
use crate::Plaintext;
use crate::encoding::Encoder;
use crate::kernel::FORCE_PORTABLE;
use crate::keys::EvaluationKeys;
use crate::ntt::NTT_COUNT;
use crate::plaintext::Complex64;
use crate::testing::*;
use cipherloom_ir::noise::NoiseModel;
use num_bigint::BigInt;

type Values = Vec<Complex64>;

fn complex(rng: &mut Rng, count: usize) -> Values {
    let (re, im) = (rng.reals(count), rng.reals(count));
    let pairs = re.into_iter().zip(im);
    pairs.map(|(re, im)| Complex64 { re, im }).collect()
}

fn encrypt(secret: &Secret, z: &Values, level: usize, scale: &Scale, rng: &mut Rng) -> Ciphertext {
    let encoder = Encoder::new(&secret.params);
    let m = encoder.encode_complex(z, level, scale).unwrap();
    secret.encrypt_poly(m.poly(), scale, rng)
}

/// Operands at several levels with what they hold, and a sum over them.
struct Case {
    x: Vec<(Ciphertext, Values)>,
    y: Vec<(Ciphertext, Values, f64, Scale)>,
    gain: u32,
    constant: f64,
    level: usize,
}

impl Case {
    /// Products of operands at scale 2^bits, and multiples of operands at half of it.
    fn new(
        secret: &Secret,
        (products, terms, gain): (usize, usize, u32),
        level: usize,
        bits: u32,
        rng: &mut Rng,
    ) -> Self {
        let params = &secret.params;
        let (max, slots) = (params.max_level(), params.slots());
        let (scale, lower) = (Scale::pow2(bits), Scale::pow2(bits - 1));
        let whole = scale
            .mul(&scale)
            .div(&Scale::from_u64(gain.into()).unwrap());
        let mut operand = |scale: &Scale, i: usize| {
            let z = complex(rng, slots);
            // Some operands are at the sum's level, some above it.
            let at = (level + i % 3).min(max);
            (encrypt(secret, &z, at, scale, rng), z)
        };
        let x = (0..2 * products).map(|i| operand(&scale, i)).collect();
        let y = (0..terms)
            .map(|i| {
                let (c, z) = operand(&lower, i);
                (c, z, 0.7 - 0.9 * i as f64 / terms as f64, whole.div(&lower))
            })
            .collect();
        Self {
            x,
            y,
            gain,
            constant: -0.375,
            level,
        }
    }

    fn sum(&self) -> Combination<'_> {
        Combination {
            products: self.x.chunks_exact(2).map(|p| (&p[0].0, &p[1].0)).collect(),
            gain: self.gain,
            terms: self.y.iter().map(|(c, _, f, s)| (c, *f, s)).collect(),
            constant: self.constant,
        }
    }

    fn expected(&self, slot: usize) -> Complex64 {
        let mut sum = Complex64 {
            re: self.constant,
            im: 0.0,
        };
        for p in self.x.chunks_exact(2) {
            let (a, b) = (p[0].1[slot], p[1].1[slot]);
            sum.re += f64::from(self.gain) * (a.re * b.re - a.im * b.im);
            sum.im += f64::from(self.gain) * (a.re * b.im + a.im * b.re);
        }
        for (_, z, factor, _) in &self.y {
            sum.re += factor * z[slot].re;
            sum.im += factor * z[slot].im;
        }
        sum
    }

    /// The largest error of a result.
    fn error(&self, secret: &Secret, result: &Ciphertext) -> f64 {
        let plain = Plaintext::new(secret.phase(result), result.scale().clone()).unwrap();
        let slots = secret.params.slots();
        let found = Encoder::new(&secret.params).decode_complex(&plain, slots);
        let errors = found.unwrap().into_iter().enumerate().map(|(p, z)| {
            let e = self.expected(p);
            (z.re - e.re).abs().max((z.im - e.im).abs())
        });
        errors.fold(0.0, f64::max)
    }
}

/// Products, terms and gain.
const KINDS: [(usize, usize, u32); 7] = [
    (1, 0, 1),
    (1, 1, 2),
    (3, 2, 2),
    (2, 9, 3),
    (9, 20, 1),
    (0, 1, 1),
    (0, 31, 1),
];

#[test]
fn sums_agree_with_complex_arithmetic() {
    let rings = [
        (toy_single(4), 28),
        (toy_double(6), 40),
        (toy_wide(5), 46),
        (toy_double(10), 40),
    ];
    for (params, bits) in rings {
        let mut rng = Rng(41);
        let secret = Secret::new(&params, &mut rng);
        let evaluator = Evaluator::new(&params);
        let keys = secret.keys(&[], 3, &mut rng).expand(&params);
        for kind in KINDS {
            for level in 1..=3 {
                let case = Case::new(&secret, kind, level, bits, &mut rng);
                let sum = case.sum();
                let whole = evaluator.combine(&sum, level, false, &keys).unwrap();
                let scale = sum.scale().unwrap();
                assert_eq!((whole.level(), whole.scale()), (level, &scale));
                let rescaled = evaluator.combine(&sum, level, true, &keys).unwrap();
                let divided = scale.div_prime(params.q()[level]);
                assert_eq!((rescaled.level(), rescaled.scale()), (level - 1, &divided));
                for result in [whole, rescaled] {
                    let error = case.error(&secret, &result);
                    let bound = 2e-4 * (kind.0 + kind.1) as f64;
                    assert!(error < bound, "{error} for {kind:?} at {level}, {params:?}");
                }
            }
        }
    }
}

#[test]
fn a_gain_doubles_and_costs_nothing() {
    // T_2 = 2 T_1^2 - 1, with the same operand as both factors.
    let params = toy_double(6);
    let mut rng = Rng(42);
    let secret = Secret::new(&params, &mut rng);
    let keys = secret.keys(&[], 2, &mut rng).expand(&params);
    let values = rng.reals(params.slots());
    let a = secret.encrypt(&values, 3, &Scale::pow2(40), &mut rng);
    let sum = Combination {
        products: vec![(&a, &a)],
        gain: 2,
        terms: vec![],
        constant: -1.0,
    };
    let evaluator = Evaluator::new(&params);
    let result = evaluator.combine(&sum, 2, true, &keys).unwrap();
    let expected: Vec<f64> = values.iter().map(|t| 2.0 * t * t - 1.0).collect();
    let error = distance(&secret.decrypt(&result, values.len()), &expected);
    assert!(error < 1e-8, "{error}");
    assert_eq!(result.scale(), &Scale::pow2(79).div_prime(params.q()[2]));
}

#[test]
fn neither_threads_nor_features_change_a_bit() {
    for params in [toy_double(9), toy_wide(8)] {
        let mut rng = Rng(43);
        let secret = Secret::new(&params, &mut rng);
        let evaluator = Evaluator::new(&params);
        let keys = secret.keys(&[], 4, &mut rng).expand(&params);
        for kind in KINDS {
            let case = Case::new(&secret, kind, 3, 38, &mut rng);
            let run = |threads: usize, portable: bool| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                pool.build().unwrap().install(|| {
                    rayon::broadcast(|_| FORCE_PORTABLE.set(portable));
                    evaluator.combine(&case.sum(), 3, true, &keys).unwrap()
                })
            };
            let one = run(1, false);
            assert_eq!(one, run(1, true));
            assert_eq!(one, run(3, false));
        }
    }
}

#[test]
fn transforms_are_those_of_one_key_switch() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
    let pool = pool.build().unwrap();
    for (params, k) in [(toy_single(6), 1), (toy_double(6), 2), (toy_wide(6), 3)] {
        let mut rng = Rng(44);
        let secret = Secret::new(&params, &mut rng);
        let evaluator = Evaluator::new(&params);
        let keys = secret
            .keys(&[], params.max_level(), &mut rng)
            .expand(&params);
        for level in 1..=params.max_level() {
            let count = |kind, rescale| {
                let case = Case::new(&secret, kind, level, 24, &mut Rng(45));
                pool.install(|| {
                    let before = NTT_COUNT.get();
                    evaluator
                        .combine(&case.sum(), level, rescale, &keys)
                        .unwrap();
                    (NTT_COUNT.get() - before) as usize
                })
            };
            let (limbs, digits) = (level + 1, params.digits(level));
            for kind in [(1, 0, 1), (5, 7, 2)] {
                assert_eq!(count(kind, true), (digits + 2) * (limbs + k));
                assert_eq!(count(kind, false), (digits + 2) * (limbs + k));
            }
            assert_eq!(count((0, 7, 1), true), 2 * limbs);
            assert_eq!(count((0, 7, 1), false), 0);
        }
    }
}

/// The ring element `gain sum x x' + sum f y + c` of exact phases at the sum's level, times the sum's scale.
fn exact_sum(case: &Case, secret: &Secret) -> Vec<BigInt> {
    let (params, level) = (&secret.params, case.level);
    let phase =
        |c: &Ciphertext| secret.phase(&Evaluator::new(params).drop_level(c, level).unwrap());
    let q = product(&primes_of(params, level, false));
    let mut total = vec![BigInt::ZERO; params.n()];
    for p in case.x.chunks_exact(2) {
        let mut part = phase(&p[0].0);
        part.mul_assign(&phase(&p[1].0), params).unwrap();
        let part = integers(params, &part);
        total.iter_mut().zip(part).for_each(|(t, x)| *t += x);
    }
    for (c, _, factor, scale) in &case.y {
        let factor = super::sums::round_scaled(*factor, scale).unwrap();
        let part = integers(params, &phase(c));
        total
            .iter_mut()
            .zip(part)
            .for_each(|(t, x)| *t += x * &factor);
    }
    let scale = case.sum().scale().unwrap();
    total[0] += super::sums::round_scaled(case.constant, &scale).unwrap();
    total.iter().map(|t| centre(t, &q)).collect()
}

#[test]
fn the_sums_own_noise_is_that_of_one_key_switch() {
    let narrow = toy(12, &[31.0, 28.0, 28.0, 28.0], &[34.01], 1);
    let wide = toy(12, &[45.0, 40.0, 40.0, 40.0, 40.0], &[46.0, 47.0], 2);
    let tight = toy(11, &[40.0, 40.0, 40.0, 40.0], &[43.0], 1);
    for params in [narrow, wide, tight] {
        let mut rng = Rng(46);
        let secret = Secret::new(&params, &mut rng);
        let evaluator = Evaluator::new(&params);
        let model = NoiseModel::new(params.literal());
        let (level, prime) = (2, params.q()[2]);
        let keys = secret.keys(&[], level, &mut rng).expand(&params);
        let q = product(&primes_of(&params, level, false));
        for kind in [(1, 0, 1), (4, 3, 2), (0, 3, 1)] {
            let case = Case::new(&secret, kind, level, 28, &mut rng);
            let exact = exact_sum(&case, &secret);
            let scale = case.sum().scale().unwrap();
            for rescale in [false, true] {
                let result = evaluator.combine(&case.sum(), level, rescale, &keys);
                let result = result.unwrap();
                let factor = if rescale { prime } else { 1 };
                let found = integers(&params, &secret.phase(&result));
                let error: Vec<BigInt> = found
                    .iter()
                    .zip(&exact)
                    .map(|(y, x)| centre(&(y * factor - x), &q))
                    .collect();
                let mut variance = 0.0;
                if kind.0 > 0 {
                    variance += model.key_noise(level, scale.log2());
                }
                if kind.0 > 0 || rescale {
                    variance += model.rounding(result.scale().log2());
                }
                if variance == 0.0 {
                    assert!(error.iter().all(|e| *e == BigInt::ZERO));
                    continue;
                }
                let slots = (error.len() as f64).sqrt();
                let ratio = deviation(&error) * slots / scale.to_f64() / variance.sqrt();
                assert!(
                    (0.5..2.0).contains(&ratio),
                    "{ratio} for {kind:?}, {rescale}"
                );
            }
        }
    }
}

#[test]
fn rounded_factors_err_as_the_rule_says() {
    // The scale of the factor is small, so that its rounding outweighs everything else.
    let params = toy_double(11);
    let mut rng = Rng(47);
    let secret = Secret::new(&params, &mut rng);
    let values = rng.reals(params.slots());
    let a = secret.encrypt(&values, 2, &Scale::pow2(40), &mut rng);
    let plain = Scale::pow2(9);
    let sum = Combination {
        products: vec![],
        gain: 1,
        terms: vec![(&a, 0.3, &plain)],
        constant: 0.0,
    };
    let none = EvaluationKeys::default();
    let result = Evaluator::new(&params)
        .combine(&sum, 2, false, &none)
        .unwrap();
    let found = secret.decrypt(&result, values.len());
    let mean = |v: &mut dyn Iterator<Item = f64>| v.sum::<f64>() / values.len() as f64;
    let error = mean(
        &mut found
            .iter()
            .zip(&values)
            .map(|(f, v)| (f - 0.3 * v).powi(2)),
    );
    let square = mean(&mut values.iter().map(|v| v * v));
    let rule = NoiseModel::encoded_factor(0.3, &plain, square);
    let ratio = (error / (cipherloom_ir::noise::REAL_PART * rule)).sqrt();
    assert!((0.99..1.01).contains(&ratio), "{ratio}");
    assert_eq!(NoiseModel::encoded_factor(0.25, &plain, square), 0.0);
}

#[test]
fn sums_that_contradict_themselves_are_refused() {
    let params = toy_single(5);
    let mut rng = Rng(48);
    let secret = Secret::new(&params, &mut rng);
    let evaluator = Evaluator::new(&params);
    let keys = secret.keys(&[], 1, &mut rng).expand(&params);
    let scale = Scale::pow2(20);
    let a = secret.encrypt(&[0.5], 2, &scale, &mut rng);
    let b = secret.encrypt(&[0.5], 1, &Scale::pow2(21), &mut rng);
    let good = Combination {
        products: vec![(&a, &a)],
        gain: 1,
        terms: vec![(&b, 0.5, &scale)],
        constant: 0.0,
    };
    let try_ =
        |sum: Combination<'_>, level, rescale| evaluator.combine(&sum, level, rescale, &keys);
    // The term's scale 2^41 is not that of the product.
    assert!(matches!(
        try_(good.clone(), 1, true),
        Err(CkksError::ScaleMismatch { .. })
    ));
    let half = Scale::pow2(19);
    let good = Combination {
        terms: vec![(&b, 0.5, &half)],
        ..good
    };
    assert!(try_(good.clone(), 1, true).is_ok());
    let level = |r| matches!(r, Err(CkksError::Level { .. }));
    assert!(level(try_(good.clone(), 2, true)));
    assert!(level(try_(good.clone(), 0, true)));
    assert!(level(try_(good.clone(), 99, false)));
    let malformed = |r| matches!(r, Err(CkksError::Malformed { .. }));
    assert!(malformed(try_(Combination::default(), 1, false)));
    assert!(malformed(try_(
        Combination {
            gain: 0,
            ..good.clone()
        },
        1,
        false
    )));
    assert!(malformed(try_(
        Combination {
            products: vec![],
            gain: 2,
            ..good.clone()
        },
        1,
        false
    )));
    for (factor, constant) in [(f64::NAN, 0.0), (0.5, f64::INFINITY)] {
        let sum = Combination {
            terms: vec![(&b, factor, &half)],
            constant,
            ..good.clone()
        };
        assert!(matches!(
            try_(sum, 1, false),
            Err(CkksError::NotFinite { .. })
        ));
    }
    let none = EvaluationKeys::default();
    assert!(matches!(
        evaluator.combine(&good, 1, true, &none),
        Err(CkksError::MissingKey { .. })
    ));
    let foreign = Evaluator::new(&toy_single(6));
    assert_eq!(
        foreign.combine(&good, 1, true, &keys),
        Err(CkksError::Shape)
    );
}
