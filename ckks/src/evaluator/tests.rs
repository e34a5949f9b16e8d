//! Every operation against the mathematics, its noise against the rules of `ir::noise`, its transforms counted.

use super::*;
use crate::encoding::Encoder;
use crate::keys::EvaluationKeys;
use crate::ntt::NTT_COUNT;
use crate::plaintext::Complex64;
use crate::testing::*;
use crate::wire::AnyCiphertext;
use cipherloom_ir::noise::NoiseModel;
use num_bigint::BigInt;

fn subtract(a: &[BigInt], b: &[BigInt], modulus: &BigInt) -> Vec<BigInt> {
    a.iter()
        .zip(b)
        .map(|(x, y)| centre(&(x - y), modulus))
        .collect()
}

/// The number of whole transforms that an operation does, on one thread.
fn transforms<T>(operation: impl FnOnce() -> T + Send) -> u64
where
    T: Send,
{
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    pool.install(|| {
        let before = NTT_COUNT.get();
        operation();
        NTT_COUNT.get() - before
    })
}

#[test]
fn sums_and_constants() {
    let params = toy_single(6);
    let mut rng = Rng(1);
    let secret = Secret::new(&params, &mut rng);
    let (evaluator, encoder) = (Evaluator::new(&params), Encoder::new(&params));
    let scale = Scale::pow2(28);
    let (x, y) = (rng.reals(32), rng.reals(32));
    let (a, b) = (
        secret.encrypt(&x, 2, &scale, &mut rng),
        secret.encrypt(&y, 2, &scale, &mut rng),
    );
    let p = encoder.encode(&y, 2, &scale).unwrap();
    let check = |c: &Ciphertext, f: fn(f64, f64) -> f64| {
        let expected: Vec<f64> = x.iter().zip(&y).map(|(x, y)| f(*x, *y)).collect();
        let error = distance(&secret.decrypt(c, 32), &expected);
        assert!(error < 1e-5, "{error}");
    };
    check(&evaluator.add(&a, &b).unwrap(), |x, y| x + y);
    check(&evaluator.sub(&a, &b).unwrap(), |x, y| x - y);
    check(&evaluator.negate(&a).unwrap(), |x, _| -x);
    check(&evaluator.add_plain(&a, &p).unwrap(), |x, y| x + y);
    check(&evaluator.sub_plain(&a, &p).unwrap(), |x, y| x - y);
    check(&evaluator.add_scalar(&a, -0.625).unwrap(), |x, _| x - 0.625);
    let product = evaluator.mul_plain(&a, &p).unwrap();
    assert_eq!(product.scale(), &Scale::pow2(56));
    check(&product, |x, y| x * y);
    let product = evaluator.mul_scalar(&a, -1.7, &Scale::pow2(20)).unwrap();
    assert_eq!(product.scale(), &Scale::pow2(48));
    check(&product, |x, _| -1.7 * x);
    for factor in [1e-3, -1.7] {
        let product = evaluator.gain(&a, factor).unwrap();
        let magnitude = Scale::from_f64(factor.abs()).unwrap();
        assert_eq!(
            (product.level(), product.scale()),
            (2, &scale.div(&magnitude))
        );
        // The error is the factor's multiple too: nothing is added.
        let multiple = |v: &f64| factor * v;
        let expected: Vec<f64> = secret.decrypt(&a, 32).iter().map(multiple).collect();
        let error = distance(&secret.decrypt(&product, 32), &expected);
        assert!(error < 1e-13, "{error}");
    }
    let rescaled = evaluator
        .rescale(&evaluator.mul_plain(&a, &p).unwrap())
        .unwrap();
    assert_eq!(
        (rescaled.level(), rescaled.scale()),
        (1, &Scale::pow2(56).div_prime(params.q()[2]))
    );
    check(&rescaled, |x, y| x * y);
    let dropped = evaluator.drop_level(&a, 0).unwrap();
    assert_eq!((dropped.level(), dropped.scale()), (0, &scale));
    check(&dropped, |x, _| x);
}

#[test]
fn what_does_not_fit_is_refused() {
    let params = toy_single(5);
    let mut rng = Rng(2);
    let secret = Secret::new(&params, &mut rng);
    let evaluator = Evaluator::new(&params);
    let scale = Scale::pow2(28);
    let a = secret.encrypt(&[0.5], 1, &scale, &mut rng);
    let lower = secret.encrypt(&[0.5], 0, &scale, &mut rng);
    let other = secret.encrypt(&[0.5], 1, &Scale::pow2(27), &mut rng);
    assert!(matches!(
        evaluator.add(&a, &lower),
        Err(CkksError::LevelMismatch { left: 1, right: 0 })
    ));
    assert!(matches!(
        evaluator.sub(&a, &other),
        Err(CkksError::ScaleMismatch { .. })
    ));
    assert!(matches!(
        evaluator.rescale(&lower),
        Err(CkksError::Level { .. })
    ));
    assert!(matches!(
        evaluator.drop_level(&lower, 1),
        Err(CkksError::Level { .. })
    ));
    assert!(matches!(
        evaluator.add_scalar(&a, f64::NAN),
        Err(CkksError::NotFinite { .. })
    ));
    for factor in [0.0, f64::NAN, f64::INFINITY] {
        let refused = evaluator.gain(&a, factor);
        assert!(matches!(refused, Err(CkksError::Malformed { .. })));
    }
    let none = EvaluationKeys::default();
    let missing = evaluator.rotate(&a, 3, &none);
    assert!(matches!(
        missing,
        Err(CkksError::MissingKey {
            name: KeyName::Rotation(3)
        })
    ));
    assert!(matches!(
        evaluator.mul(&a, &a, &none),
        Err(CkksError::MissingKey { .. })
    ));
    let keys = secret.keys(&[3], 0, &mut rng).expand(&params);
    assert!(matches!(
        evaluator.rotate(&a, 3, &keys),
        Err(CkksError::KeyLevel {
            available: 0,
            needed: 1,
            ..
        })
    ));
    assert!(matches!(
        evaluator.square_rescaled(&lower, &keys),
        Err(CkksError::Level { .. })
    ));
    let mut wrong = secret.keys(&[3], 1, &mut rng).expand(&params);
    wrong.conjugation = wrong.rotations.remove(&3);
    assert_eq!(evaluator.conjugate(&a, &wrong), Err(CkksError::Shape));
    let foreign = Evaluator::new(&toy_single(6));
    assert_eq!(foreign.negate(&a), Err(CkksError::Shape));
}

/// `(m, 0)`, as inputs in clear are given.
fn in_clear(encoder: &Encoder, params: &Parameters, x: &[f64], scale: &Scale) -> Ciphertext {
    let m = encoder.encode(x, 2, scale).unwrap();
    AnyCiphertext::Clear(m).expand(params).into_owned()
}

#[test]
fn products_with_values_in_clear_switch_no_key() {
    let params = toy_single(6);
    let mut rng = Rng(7);
    let secret = Secret::new(&params, &mut rng);
    let keys = secret.keys(&[], 2, &mut rng).expand(&params);
    let (evaluator, encoder) = (Evaluator::new(&params), Encoder::new(&params));
    let scale = Scale::pow2(28);
    let (x, y) = (rng.reals(32), rng.reals(32));
    let a = secret.encrypt(&x, 2, &scale, &mut rng);
    let c = in_clear(&encoder, &params, &y, &scale);
    let check = |c: &Ciphertext, f: fn(f64, f64) -> f64| {
        let expected: Vec<f64> = x.iter().zip(&y).map(|(x, y)| f(*x, *y)).collect();
        let error = distance(&secret.decrypt(c, 32), &expected);
        assert!(error < 1e-5, "{error}");
    };
    check(&c, |_, y| y);
    for (first, second) in [(&a, &c), (&c, &a)] {
        check(&evaluator.mul(first, second, &keys).unwrap(), |x, y| x * y);
        let rescaled = evaluator.mul_rescaled(first, second, &keys).unwrap();
        assert_eq!(rescaled.level(), 1);
        check(&rescaled, |x, y| x * y);
        let sum = Combination {
            products: vec![(first, second), (&c, &c)],
            gain: 2,
            terms: vec![],
            constant: 0.5,
        };
        let sum = evaluator.combine(&sum, 2, true, &keys).unwrap();
        check(&sum, |x, y| 2.0 * (x * y + y * y) + 0.5);
    }
    assert!(evaluator.square_rescaled(&c, &keys).unwrap().c1().is_zero());
    check(&evaluator.square(&c, &keys).unwrap(), |_, y| y * y);
    assert_eq!(transforms(|| evaluator.mul(&a, &c, &keys).unwrap()), 0);
    assert!(transforms(|| evaluator.mul(&a, &a, &keys).unwrap()) > 0);
}

#[test]
fn products_rotations_and_conjugations() {
    for (params, bits) in [(toy_single(6), 28), (toy_double(7), 40), (toy_wide(6), 44)] {
        let mut rng = Rng(3);
        let secret = Secret::new(&params, &mut rng);
        let (evaluator, encoder) = (Evaluator::new(&params), Encoder::new(&params));
        let slots = params.slots();
        let scale = Scale::pow2(bits);
        let keys = secret
            .keys(&[1, 5, slots as u32 - 1], params.max_level(), &mut rng)
            .expand(&params);
        // A key for all levels serves the lower ones; a key for a lower level the same.
        for (level, key_level) in [
            (params.max_level(), params.max_level()),
            (2, params.max_level()),
            (2, 2),
            (2, 3),
        ] {
            let own = secret.keys(&[1], key_level, &mut rng).expand(&params);
            let (x, y) = (rng.reals(slots), rng.reals(slots));
            let (a, b) = (
                secret.encrypt(&x, level, &scale, &mut rng),
                secret.encrypt(&y, level, &scale, &mut rng),
            );
            let product: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x * y).collect();
            let square: Vec<f64> = x.iter().map(|x| x * x).collect();
            let close = |c: &Ciphertext, expected: &[f64], c_scale: &Scale, c_level: usize| {
                assert_eq!((c.level(), c.scale()), (c_level, c_scale));
                let error = distance(&secret.decrypt(c, slots), expected);
                assert!(error < 3e-5, "{error} at level {level}, {params:?}");
            };
            let (full, divided) = (
                scale.mul(&scale),
                scale.mul(&scale).div_prime(params.q()[level]),
            );
            close(
                &evaluator.mul(&a, &b, &own).unwrap(),
                &product,
                &full,
                level,
            );
            close(&evaluator.square(&a, &own).unwrap(), &square, &full, level);
            close(
                &evaluator.mul_rescaled(&a, &b, &own).unwrap(),
                &product,
                &divided,
                level - 1,
            );
            close(
                &evaluator.square_rescaled(&a, &own).unwrap(),
                &square,
                &divided,
                level - 1,
            );
            let rotated =
                |steps: usize| -> Vec<f64> { (0..slots).map(|p| x[(p + steps) % slots]).collect() };
            close(
                &evaluator.rotate(&a, 1, &own).unwrap(),
                &rotated(1),
                &scale,
                level,
            );
            let all = evaluator
                .rotate_hoisted(&a, &[5, 0, slots as u32 - 1, 1], &keys)
                .unwrap();
            for (c, steps) in all.iter().zip([5, 0, slots - 1, 1]) {
                close(c, &rotated(steps), &scale, level);
            }
            assert_eq!(all[1], a);
            assert_eq!(all[3], evaluator.rotate(&a, 1, &keys).unwrap());

            let z: Vec<Complex64> = x
                .iter()
                .zip(&y)
                .map(|(re, im)| Complex64 { re: *re, im: *im })
                .collect();
            let m = encoder.encode_complex(&z, level, &scale).unwrap();
            let conjugate = evaluator
                .conjugate(&secret.encrypt_poly(m.poly(), &scale, &mut rng), &own)
                .unwrap();
            let plain = crate::Plaintext::new(secret.phase(&conjugate), scale.clone()).unwrap();
            let slots = encoder.decode_complex(&plain, slots).unwrap();
            assert!(
                slots
                    .iter()
                    .zip(&z)
                    .all(|(a, b)| (a.re - b.re).abs() < 3e-5 && (a.im + b.im).abs() < 3e-5)
            );
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let params = toy_double(9);
    let mut rng = Rng(4);
    let secret = Secret::new(&params, &mut rng);
    let evaluator = Evaluator::new(&params);
    let seeded = secret.keys(&[1, 7], 4, &mut rng);
    let a = secret.encrypt(&rng.reals(256), 4, &Scale::pow2(40), &mut rng);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let keys = seeded.expand(&params);
            let mut all = evaluator.rotate_hoisted(&a, &[1, 7], &keys).unwrap();
            all.push(evaluator.square_rescaled(&a, &keys).unwrap());
            all.push(evaluator.rescale(&a).unwrap());
            all
        })
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(5));
}

#[test]
fn transforms_are_as_many_as_the_formulas_say() {
    for (params, k) in [(toy_single(6), 1), (toy_double(6), 2), (toy_wide(6), 3)] {
        let mut rng = Rng(5);
        let secret = Secret::new(&params, &mut rng);
        let evaluator = Evaluator::new(&params);
        let keys = secret
            .keys(&[1, 2, 3], params.max_level(), &mut rng)
            .expand(&params);
        for level in 1..=params.max_level() {
            let a = secret.encrypt(&[0.25], level, &Scale::pow2(25), &mut rng);
            let (limbs, digits) = (level + 1, params.digits(level));
            // RESEARCH: a whole key switch takes (beta + 2)(L + k) transforms, fused with a rescale no more.
            let whole = ((digits + 2) * (limbs + k)) as u64;
            assert_eq!(
                transforms(|| evaluator.rotate(&a, 1, &keys).unwrap()),
                whole
            );
            assert_eq!(transforms(|| evaluator.mul(&a, &a, &keys).unwrap()), whole);
            assert_eq!(
                transforms(|| evaluator.mul_rescaled(&a, &a, &keys).unwrap()),
                whole
            );
            assert_eq!(
                transforms(|| evaluator.rescale(&a).unwrap()),
                2 * limbs as u64
            );
            let hoisted = ((digits + 3 * 2) * (limbs + k)) as u64;
            assert_eq!(
                transforms(|| evaluator.rotate_hoisted(&a, &[1, 2, 3], &keys).unwrap()),
                hoisted
            );
            assert_eq!(transforms(|| evaluator.add(&a, &a).unwrap()), 0);
            assert_eq!(
                transforms(|| evaluator.mul_scalar(&a, 0.3, &Scale::pow2(9)).unwrap()),
                0
            );
        }
    }
}

/// The measured deviation of a slot's error over the predicted one: slots have N times a coefficient's variance.
fn ratio(error: &[BigInt], variance: f64, scale: &Scale) -> f64 {
    deviation(error) * (error.len() as f64).sqrt() / scale.to_f64() / variance.sqrt()
}

#[test]
fn noise_is_within_a_factor_of_two_of_the_rules() {
    let twelve = toy(12, &[31.0, 28.0, 28.0, 28.0], &[34.01], 1);
    let wide = toy(12, &[45.0, 40.0, 40.0, 40.0, 40.0], &[46.0, 47.0], 2);
    let tight = toy(11, &[40.0, 40.0, 40.0, 40.0], &[43.0], 1);
    for params in [twelve, wide, tight] {
        let mut rng = Rng(6);
        let secret = Secret::new(&params, &mut rng);
        let evaluator = Evaluator::new(&params);
        let model = NoiseModel::new(params.literal());
        let level = params.max_level();
        let keys = secret.keys(&[1], level, &mut rng).expand(&params);
        let scale = Scale::pow2(28);
        let bits = scale.log2();
        let values = rng.reals(params.slots());
        let plain = Encoder::new(&params)
            .encode(&values, level, &scale)
            .unwrap();
        let a = secret.encrypt_poly(plain.poly(), &scale, &mut rng);
        let q = product(&primes_of(&params, level, false));
        let before = integers(&params, &secret.phase(&a));

        let fresh = subtract(&before, &integers(&params, plain.poly()), &q);
        let expected = model.fresh_secret(bits) - model.encode(bits);
        let fresh = ratio(&fresh, expected, &scale);
        assert!((0.5..2.0).contains(&fresh), "fresh {fresh}");

        // A key switch adds to the rotated operand what the rule says, and no more.
        let rotated = evaluator.rotate(&a, 1, &keys).unwrap();
        let galois = KeyName::Rotation(1).galois_element(&params);
        let exact = integers(
            &params,
            &secret.phase(&a).automorphism(galois, &params).unwrap(),
        );
        let error = subtract(&integers(&params, &secret.phase(&rotated)), &exact, &q);
        let switch = ratio(&error, model.key_switch(level, bits), &scale);
        assert!((0.5..2.0).contains(&switch), "key switch {switch}");

        // The rounding of a rescale, against the exact quotient times the prime.
        let rescaled = evaluator.rescale(&a).unwrap();
        let prime = params.q()[level];
        let after = integers(&params, &secret.phase(&rescaled));
        let error: Vec<BigInt> = after
            .iter()
            .zip(&before)
            .map(|(y, x)| centre(&(y * prime - x), &q))
            .collect();
        let rescale = ratio(&error, model.rounding(rescaled.scale().log2()), &scale);
        assert!((0.5..2.0).contains(&rescale), "rescale {rescale}");

        // A product with the key switch fused into the rescale: the square of the phase, exactly, plus both.
        let squared = evaluator.square_rescaled(&a, &keys).unwrap();
        let mut phase = secret.phase(&a);
        phase.mul_assign(&phase.clone(), &params).unwrap();
        let exact = integers(&params, &phase);
        let after = integers(&params, &secret.phase(&squared));
        let error: Vec<BigInt> = after
            .iter()
            .zip(&exact)
            .map(|(y, x)| centre(&(y * prime - x), &q))
            .collect();
        let out = squared.scale().log2();
        let expected = model.key_noise(level, 2.0 * bits) + model.rounding(out);
        let fused = ratio(&error, expected, &scale.mul(&scale));
        assert!((0.5..2.0).contains(&fused), "fused square {fused}");
    }
}
