//! Evaluation keys in use, against clear arithmetic and the noise rules.

use super::*;
use cipherloom_ckks::{CkksError, EvaluationKeys, Evaluator, LinearTransform};
use cipherloom_ir::noise::NoiseModel;
use cipherloom_ir::plan::{Block, Diagonal, RotationKeySpec, Transform};

/// A client with the given digit size, its keys expanded, and an evaluator.
fn setup(
    digit_size: usize,
    scale_bits: u32,
    rotations: &[(u32, u32)],
) -> (Client, EvaluationKeys, Evaluator) {
    let params = literal(10, 40.0, 4, digit_size);
    let slots = params.slots();
    let mut plan = plan_of(params, &[1, slots]);
    plan.inputs[0].scale = Scale::pow2(scale_bits);
    plan.keys = KeyRequest {
        relinearization: Some(3),
        rotations: rotations
            .iter()
            .map(|(steps, level)| RotationKeySpec {
                steps: *steps,
                level: *level,
            })
            .collect(),
        conjugation: Some(2),
    };
    let client = Client::insecure_for_tests(plan).unwrap();
    let keys = client.evaluation_key().unwrap();
    assert_eq!(keys.key_id, client.secret_key().key_id());
    let keys = keys.expand(client.params());
    let evaluator = Evaluator::new(client.params());
    (client, keys, evaluator)
}

fn rotated(values: &[f64], steps: usize) -> Vec<f64> {
    (0..values.len())
        .map(|p| values[(p + steps) % values.len()])
        .collect()
}

#[test]
fn rotations_and_conjugation_add_the_predicted_noise() {
    for digit_size in [1, 2, 3] {
        let (client, keys, evaluator) = setup(digit_size, 28, &[(1, 3), (37, 2), (511, 0)]);
        let model = NoiseModel::new(client.params().literal());
        let fresh = encrypt_slots(&client, values(512, 3));
        for (steps, level) in [(1, 3), (37, 2), (37, 1), (511, 0)] {
            let operand = evaluator.drop_level(&fresh, level).unwrap();
            let exact = rotated(&real(&decrypt_slots(&client, &operand)), steps as usize);
            let result = evaluator.rotate(&operand, steps, &keys).unwrap();
            let found = real(&decrypt_slots(&client, &result));
            let what = format!("rotation by {steps} at level {level}, digits of {digit_size}");
            expect_noise(&what, &found, &exact, model.key_switch(level, 28.0));
        }
        let operand = evaluator.drop_level(&fresh, 2).unwrap();
        let exact = decrypt_slots(&client, &operand);
        let found = decrypt_slots(&client, &evaluator.conjugate(&operand, &keys).unwrap());
        let predicted = model.key_switch(2, 28.0);
        expect_noise("conjugation, real", &real(&found), &real(&exact), predicted);
        let imaginary =
            |slots: &[Complex64], sign: f64| slots.iter().map(|z| sign * z.im).collect::<Vec<_>>();
        expect_noise(
            "conjugation, imaginary",
            &imaginary(&found, 1.0),
            &imaginary(&exact, -1.0),
            predicted,
        );
    }
}

#[test]
fn products_have_the_predicted_noise() {
    for digit_size in [1, 2] {
        let (client, keys, evaluator) = setup(digit_size, 20, &[]);
        let model = NoiseModel::new(client.params().literal());
        let (a, b) = (values(512, 4), values(512, 5));
        let (ca, cb) = (
            encrypt_slots(&client, a.clone()),
            encrypt_slots(&client, b.clone()),
        );
        let mean_square = 1.0 / 3.0;
        let fresh = model.fresh_secret(20.0);
        let switch = model.key_switch(3, 40.0);

        let squares: Vec<f64> = a.iter().map(|x| x * x).collect();
        let found = real(&decrypt_slots(
            &client,
            &evaluator.square(&ca, &keys).unwrap(),
        ));
        expect_noise(
            "square",
            &found,
            &squares,
            NoiseModel::square(mean_square, fresh) + switch,
        );

        // The switch's own noise alone: the operand is what it decrypts to, imaginary noise included.
        let operand = decrypt_slots(&client, &ca);
        let exact: Vec<f64> = operand.iter().map(|z| z.re * z.re - z.im * z.im).collect();
        expect_noise("relinearisation", &found, &exact, switch);

        let products: Vec<f64> = a.iter().zip(&b).map(|(x, y)| x * y).collect();
        let found = real(&decrypt_slots(
            &client,
            &evaluator.mul(&ca, &cb, &keys).unwrap(),
        ));
        let product = NoiseModel::product(mean_square, fresh, mean_square, fresh);
        expect_noise("product", &found, &products, product + switch);

        let rescaled = evaluator.mul_rescaled(&ca, &cb, &keys).unwrap();
        assert_eq!(rescaled.level(), 2);
        let found = real(&decrypt_slots(&client, &rescaled));
        let log_scale = rescaled.scale().log2();
        expect_noise(
            "product, rescaled",
            &found,
            &products,
            product + switch + model.rounding(log_scale),
        );
    }
}

#[test]
fn a_linear_transform_is_its_matrix() {
    // Period 64, two operands and two results, diagonals 0, 3, 17 and 40, a fold by 32.
    let rotations: Vec<(u32, u32)> = [1, 3, 16, 32, 40].map(|steps| (steps, 3)).to_vec();
    let (client, keys, evaluator) = setup(1, 28, &rotations);
    let diagonal = |rotation: u32, seed: u64| Diagonal {
        rotation,
        values: values(64, seed),
    };
    let transform = Transform {
        name: "test".into(),
        period: 64,
        samples: 1,
        level: 3,
        plain_scale: Scale::pow2(30),
        baby_step: 8,
        folds: vec![32],
        blocks: vec![
            Block {
                row: 0,
                col: 0,
                diagonals: vec![diagonal(0, 11), diagonal(3, 12), diagonal(17, 13)],
            },
            Block {
                row: 0,
                col: 1,
                diagonals: vec![diagonal(40, 14)],
            },
            Block {
                row: 1,
                col: 0,
                diagonals: vec![diagonal(3, 15), diagonal(40, 16)],
            },
            Block {
                row: 1,
                col: 1,
                diagonals: vec![diagonal(0, 17), diagonal(1, 18)],
            },
        ],
    };
    let clear: Vec<Vec<f64>> = vec![values(64, 21), values(64, 22)];
    let operands: Vec<Ciphertext> = clear
        .iter()
        .map(|x| encrypt_slots(&client, x.iter().cycle().take(512).copied().collect()))
        .collect();
    let mut expected = vec![vec![0.0; 64]; 2];
    for block in &transform.blocks {
        for diagonal in &block.diagonals {
            for p in 0..64 {
                expected[block.row as usize][p] += diagonal.values[p]
                    * clear[block.col as usize][(p + diagonal.rotation as usize) % 64];
            }
        }
    }
    for row in &mut expected {
        *row = row
            .iter()
            .zip(rotated(row, 32))
            .map(|(a, b)| a + b)
            .collect();
    }
    let encoder = Encoder::new(client.params());
    let prepared = LinearTransform::new(client.params(), &encoder, &transform).unwrap();
    let operands: Vec<&Ciphertext> = operands.iter().collect();
    let model = NoiseModel::new(client.params().literal());
    for rescale in [false, true] {
        let results = evaluator
            .linear_transform(&prepared, &operands, &keys, rescale)
            .unwrap();
        assert_eq!(results.len(), 2);
        for (row, (result, expected)) in results.iter().zip(&expected).enumerate() {
            let found = real(&decrypt_slots(&client, result));
            let expected: Vec<f64> = expected.iter().cycle().take(512).copied().collect();
            // Each of four diagonals (mean square 1/3) weighs fresh noise and, but for rotation 0, a switch; the fold
            // doubles the sum's variance. Switches at the product's scale are smaller by the plain scale.
            let terms = [4.0, 4.0][row];
            let operand = model.fresh_secret(28.0) + model.key_noise(3, 28.0);
            let mut predicted = 2.0 * terms / 3.0 * operand;
            if rescale {
                predicted += model.rounding(result.scale().log2());
            }
            expect_noise(
                &format!("row {row}, rescale {rescale}"),
                &found,
                &expected,
                predicted,
            );
        }
    }
}

#[test]
fn keys_serve_the_levels_that_were_asked_for() {
    let (client, keys, evaluator) = setup(2, 28, &[(5, 1)]);
    let fresh = encrypt_slots(&client, values(512, 6));
    assert!(matches!(
        evaluator.rotate(&fresh, 5, &keys),
        Err(CkksError::KeyLevel {
            needed: 3,
            available: 1,
            ..
        })
    ));
    assert!(matches!(
        evaluator.rotate(&fresh, 6, &keys),
        Err(CkksError::MissingKey { .. })
    ));
    assert!(matches!(
        evaluator.conjugate(&fresh, &keys),
        Err(CkksError::KeyLevel { .. })
    ));
    let (_, other_keys, _) = setup(2, 28, &[(5, 1)]);
    let operand = evaluator.drop_level(&fresh, 1).unwrap();
    // Another client's key yields garbage.
    let garbage = real(&decrypt_slots(
        &client,
        &evaluator.rotate(&operand, 5, &other_keys).unwrap(),
    ));
    assert!(garbage.iter().map(|x| x.abs()).fold(0.0, f64::max) > 100.0);
}

#[test]
fn each_key_has_a_seed_and_errors_of_its_own() {
    let (client, _, _) = setup(1, 28, &[(1, 3), (2, 3)]);
    let (first, second) = (
        client.evaluation_key().unwrap(),
        client.evaluation_key().unwrap(),
    );
    let seeds: std::collections::BTreeSet<_> = [&first, &second]
        .into_iter()
        .flat_map(|k| {
            k.rotations
                .values()
                .chain(&k.relinearization)
                .chain(&k.conjugation)
        })
        .map(|k| *k.seed())
        .collect();
    assert_eq!(seeds.len(), 8);
}
