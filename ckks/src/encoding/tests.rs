//! The encoder against the embedding's definition.

use super::*;
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::security::Security;
use proptest::prelude::*;
use std::f64::consts::PI;

fn params(log_n: u32, bits: f64, levels: usize) -> Parameters {
    let q = ntt_primes_near(log_n, bits, levels, &[]);
    let p = ntt_primes_near(log_n, bits + 4.0, 1, &q);
    let literal = CkksLiteral {
        log_n,
        q,
        p,
        digit_size: 1,
        security: Security::Classical128,
    };
    Parameters::insecure_for_tests(&literal).unwrap()
}

fn values(count: usize, seed: u64) -> Vec<Complex64> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..count)
        .map(|_| Complex64 {
            re: next(),
            im: next(),
        })
        .collect()
}

fn product(a: Complex64, b: Complex64) -> Complex64 {
    Complex64 {
        re: a.re * b.re - a.im * b.im,
        im: a.re * b.im + a.im * b.re,
    }
}

fn distance(a: Complex64, b: Complex64) -> f64 {
    (a.re - b.re).hypot(a.im - b.im)
}

/// The integer coefficients of a plaintext whose coefficients are below half of q_0.
fn coefficients(params: &Parameters, plaintext: &Plaintext) -> Vec<f64> {
    let mut poly = plaintext.poly().clone();
    poly.to_coefficients(params);
    let q = params.q()[0];
    let centred = |w: &u64| {
        if *w > q / 2 {
            *w as f64 - q as f64
        } else {
            *w as f64
        }
    };
    poly.limb(0).iter().map(centred).collect()
}

/// Slot j by definition: the value at exp(i pi 5^j / N).
fn naive_slot(coefficients: &[f64], slot: u32) -> Complex64 {
    let n = coefficients.len();
    let mut power = 1;
    (0..slot).for_each(|_| power = power * 5 % (2 * n));
    coefficients
        .iter()
        .enumerate()
        .fold(Complex64::default(), |sum, (k, c)| {
            let angle = PI * ((power * k) % (2 * n)) as f64 / n as f64;
            Complex64 {
                re: sum.re + c * angle.cos(),
                im: sum.im + c * angle.sin(),
            }
        })
}

#[test]
fn slots_are_values_at_powers_of_five() {
    let params = params(6, 40.0, 3);
    let encoder = Encoder::new(&params);
    let scale = Scale::pow2(30);
    for count in [1, 2, 4, 16, 32] {
        let message = values(count, 5);
        let plaintext = encoder.encode_complex(&message, 2, &scale).unwrap();
        let coefficients = coefficients(&params, &plaintext);
        for slot in 0..32 {
            let found = naive_slot(&coefficients, slot);
            let found = Complex64 {
                re: found.re / scale.to_f64(),
                im: found.im / scale.to_f64(),
            };
            // Rounding moves a slot by at most N/2 / S.
            assert!(
                distance(found, message[slot as usize % count]) < 32.0 / scale.to_f64(),
                "count {count} slot {slot}"
            );
        }
        let decoded = encoder.decode_complex(&plaintext, count).unwrap();
        assert!(
            decoded
                .iter()
                .zip(&message)
                .all(|(a, b)| distance(*a, *b) < 32.0 / scale.to_f64())
        );
    }
}

#[test]
fn the_error_has_the_predicted_variance() {
    let params = params(12, 40.0, 2);
    let encoder = Encoder::new(&params);
    let scale = Scale::pow2(20);
    let message = values(params.slots(), 77);
    let coefficient = 1.0 / 12.0 / scale.to_f64().powi(2);
    let mean_square =
        |errors: &[f64]| errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64;
    let check = |errors: &[f64], predicted: f64| {
        let ratio = mean_square(errors) / predicted;
        assert!(
            (0.85..1.15).contains(&ratio),
            "measured variance is {ratio} times the predicted one"
        );
    };

    // Complex vectors: the real and the imaginary part of a slot share N times a coefficient's variance.
    let decoded = encoder
        .decode_complex(
            &encoder.encode_complex(&message, 1, &scale).unwrap(),
            message.len(),
        )
        .unwrap();
    let difference = |part: fn(&Complex64) -> f64| -> Vec<f64> {
        message
            .iter()
            .zip(&decoded)
            .map(|(a, b)| part(b) - part(a))
            .collect()
    };
    check(&difference(|z| z.re), params.n() as f64 / 2.0 * coefficient);
    check(&difference(|z| z.im), params.n() as f64 / 2.0 * coefficient);

    // Real vectors: coefficients k and N - k are opposite, and so are their errors, so that all falls on the real part.
    let real: Vec<f64> = message.iter().map(|z| z.re).collect();
    let decoded = encoder
        .decode_complex(&encoder.encode(&real, 1, &scale).unwrap(), real.len())
        .unwrap();
    let errors: Vec<f64> = real.iter().zip(&decoded).map(|(a, b)| b.re - a).collect();
    check(&errors, params.n() as f64 * coefficient);
    assert!(decoded.iter().all(|z| z.im.abs() < 1e-12));

    // Short periods have fewer coefficients and a smaller error.
    let short = &real[..256];
    let decoded = encoder
        .decode(&encoder.encode(short, 1, &scale).unwrap(), short.len())
        .unwrap();
    let errors: Vec<f64> = short.iter().zip(&decoded).map(|(a, b)| b - a).collect();
    let ratio = mean_square(&errors) / (512.0 * coefficient);
    assert!((0.7..1.4).contains(&ratio), "{ratio}");
}

#[test]
fn products_are_slotwise_at_every_level_and_any_scale() {
    let params = params(7, 45.0, 4);
    let encoder = Encoder::new(&params);
    let scale = Scale::pow2(38)
        .div_prime(params.q()[3])
        .mul(&Scale::from_u64(params.q()[2]).unwrap());
    for level in 1..=3 {
        let (a, b) = (values(64, 1), values(64, 2));
        let (pa, pb) = (
            encoder.encode_complex(&a, level, &scale).unwrap(),
            encoder.encode_complex(&b, level, &scale).unwrap(),
        );
        let mut poly = pa.poly().clone();
        poly.mul_assign(pb.poly(), &params).unwrap();
        let decoded = encoder
            .decode_complex(&Plaintext::new(poly, scale.mul(&scale)).unwrap(), 64)
            .unwrap();
        for i in 0..64 {
            assert!(
                distance(decoded[i], product(a[i], b[i])) < 1e-8,
                "level {level} slot {i}"
            );
        }
    }
}

#[test]
fn wide_coefficients_survive() {
    let params = params(6, 45.0, 4);
    let encoder = Encoder::new(&params);
    for bits in [70, 100, 120] {
        let message = values(32, u64::from(bits));
        let plaintext = encoder
            .encode_complex(&message, 3, &Scale::pow2(bits))
            .unwrap();
        let decoded = encoder.decode_complex(&plaintext, 32).unwrap();
        assert!(
            decoded
                .iter()
                .zip(&message)
                .all(|(a, b)| distance(*a, *b) < 1e-13),
            "scale 2^{bits}"
        );
    }
}

#[test]
fn automorphisms_rotate_and_conjugate() {
    let params = params(6, 40.0, 2);
    let encoder = Encoder::new(&params);
    let message = values(32, 3);
    let plaintext = encoder
        .encode_complex(&message, 1, &Scale::pow2(30))
        .unwrap();
    let image = |galois: usize| {
        let poly = plaintext.poly().automorphism(galois, &params).unwrap();
        encoder
            .decode_complex(
                &Plaintext::new(poly, plaintext.scale().clone()).unwrap(),
                32,
            )
            .unwrap()
    };
    let mut galois = 1;
    for steps in 0..32 {
        let rotated = image(galois);
        assert!(
            (0..32).all(|p| distance(rotated[p], message[(p + steps) % 32]) < 1e-7),
            "steps {steps}"
        );
        galois = galois * 5 % 128;
    }
    let conjugated = image(127);
    assert!((0..32).all(|p| distance(
        conjugated[p],
        Complex64 {
            im: -message[p].im,
            ..message[p]
        }
    ) < 1e-7));
}

#[test]
fn compact_vectors_are_the_full_ones() {
    let params = params(8, 40.0, 3);
    let encoder = Encoder::new(&params);
    let scale = Scale::pow2(35);
    for period in [1, 2, 8, 64, 128] {
        let message: Vec<f64> = values(period, 9).iter().map(|v| v.re).collect();
        for special in [false, true] {
            let compact = encoder
                .encode_periodic(&message, 2, special, &scale)
                .unwrap();
            assert_eq!(
                (compact.limbs(), compact.limb(0).len()),
                (3 + usize::from(special), 2 * period)
            );
            assert_eq!(
                compact.expand(&params),
                *encoder.encode(&message, 2, &scale).unwrap().poly(),
                "period {period}"
            );
        }
        // The special limb holds the same coefficients as a chain limb would.
        let compact = encoder.encode_periodic(&message, 2, true, &scale).unwrap();
        let rounded = encoder
            .round(
                message.iter().map(|re| Complex64 { re: *re, im: 0.0 }),
                2,
                &scale,
            )
            .unwrap();
        let mut words = vec![0; 2 * period];
        let special = &params.limb(0, 1).modulus;
        rounded.reduce_into(special, 1, &mut words);
        params.subring_ntt(2, 3, &mut words).unwrap();
        assert_eq!(compact.limb(3), words);
    }
}

#[test]
fn encodings_have_the_same_bits_everywhere() {
    // Plans are compared byte by byte, and so may runs on different machines be: no library's sine and no fused
    // multiply-add may enter. A change of this hash means that plaintexts have changed.
    let params = params(10, 40.0, 3);
    let encoder = Encoder::new(&params);
    let message: Vec<f64> = values(512, 2026).iter().map(|z| z.re).collect();
    let plaintext = encoder.encode(&message, 2, &Scale::pow2(37)).unwrap();
    let mut hasher = blake3::Hasher::new();
    for i in 0..3 {
        for word in plaintext.poly().limb(i) {
            hasher.update(&word.to_le_bytes());
        }
    }
    for value in encoder.decode(&plaintext, 512).unwrap() {
        hasher.update(&value.to_bits().to_le_bytes());
    }
    assert_eq!(
        hasher.finalize().to_hex().as_str(),
        "b5ad7a3b949754519d8508b352c6615c7be76896d34e60ea273d7a0d79976833"
    );
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let params = params(6, 30.0, 2);
    let encoder = Encoder::new(&params);
    let scale = Scale::pow2(20);
    assert!(matches!(
        encoder.encode(&[1.0; 3], 0, &scale),
        Err(CkksError::SlotCount {
            count: 3,
            slots: 32
        })
    ));
    assert!(matches!(
        encoder.encode(&[], 0, &scale),
        Err(CkksError::SlotCount { .. })
    ));
    assert!(matches!(
        encoder.encode(&[1.0; 64], 0, &scale),
        Err(CkksError::SlotCount { .. })
    ));
    assert!(matches!(
        encoder.encode(&[1.0, f64::NAN], 0, &scale),
        Err(CkksError::NotFinite { index: 1 })
    ));
    assert!(matches!(
        encoder.encode(&[f64::INFINITY], 0, &scale),
        Err(CkksError::NotFinite { index: 0 })
    ));
    assert!(matches!(
        encoder.encode(&[1.0], 2, &scale),
        Err(CkksError::Level { .. })
    ));
    assert!(matches!(
        encoder.encode(&[1.0], 0, &Scale::pow2(30)),
        Err(CkksError::TooLarge { .. })
    ));
    assert!(encoder.encode(&[1.0], 1, &Scale::pow2(29)).is_ok());
    assert!(matches!(
        encoder.encode(&[1.0], 1, &Scale::pow2(5000)),
        Err(CkksError::TooLarge { .. })
    ));
    assert!(matches!(
        encoder.encode(&[1e300], 1, &Scale::pow2(1000)),
        Err(CkksError::TooLarge { .. })
    ));
    let plaintext = encoder.encode(&[1.0], 1, &scale).unwrap();
    assert!(matches!(
        encoder.decode(&plaintext, 33),
        Err(CkksError::SlotCount { .. })
    ));
    let other = Encoder::new(&self::params(7, 30.0, 2));
    assert!(matches!(other.decode(&plaintext, 1), Err(CkksError::Shape)));
}

proptest! {
    #[test]
    fn round_trips(seed: u64, log_count in 0_u32..6, level in 0_usize..3, bits in 20_u32..38) {
        let params = params(6, 45.0, 3);
        let encoder = Encoder::new(&params);
        let message = values(1 << log_count, seed);
        let plaintext = encoder.encode_complex(&message, level, &Scale::pow2(bits)).unwrap();
        let decoded = encoder.decode_complex(&plaintext, 32).unwrap();
        let bound = 32.0 / libm::exp2(f64::from(bits));
        for (i, slot) in decoded.iter().enumerate() {
            prop_assert!(distance(*slot, message[i % message.len()]) < bound);
        }
    }
}

#[test]
fn nothing_of_a_decoded_plaintext_is_left_in_buffers() {
    use crate::kernel::Buffer;
    use zeroize::Zeroize;
    // Large enough that the thread keeps its buffers, so that the next one is the one dropped last.
    let params = params(12, 40.0, 2);
    let encoder = Encoder::new(&params);
    let mut plaintext = encoder
        .encode(&[0.7; 64], params.max_level(), &Scale::pow2(30))
        .unwrap();
    let words = params.q().len() * params.n();
    drop(Buffer::zeroed(words));
    encoder.decode(&plaintext, 64).unwrap();
    assert!(Buffer::unspecified(words).iter().all(|word| *word == 0));
    // Without the wipe it would be found there.
    drop(Zeroizing::new(plaintext.clone()));
    assert!(Buffer::unspecified(words).iter().all(|word| *word == 0));
    drop(plaintext.clone());
    assert!(Buffer::unspecified(words).iter().any(|word| *word != 0));
    plaintext.zeroize();
    assert!(
        (0..plaintext.poly().limbs()).all(|i| plaintext
            .poly()
            .limb(i)
            .iter()
            .all(|word| *word == 0))
    );
}

proptest! {
    #[test]
    fn the_mean_over_copies_is_the_subring_s_vector(log_count in 0_u32..=5, seed in any::<u64>()) {
        let params = params(6, 40.0, 2);
        let encoder = Encoder::new(&params);
        let (slots, count) = (params.slots(), 1_usize << log_count);
        let all: Vec<f64> = values(slots, seed).iter().map(|v| v.re).collect();
        let plaintext = encoder.encode(&all, 1, &Scale::pow2(36)).unwrap();
        let mean = encoder.decode_mean(&plaintext, count).unwrap();
        prop_assert_eq!(mean.len(), count);
        for (i, mean) in mean.iter().enumerate() {
            let expected = all.iter().skip(i).step_by(count).sum::<f64>() * count as f64 / slots as f64;
            prop_assert!((mean - expected).abs() < 1e-8, "{mean} {expected}");
        }
        prop_assert!(encoder.decode_mean(&plaintext, 3).is_err());
    }
}
