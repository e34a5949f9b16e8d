//! Linear transforms against matrix products.

use super::*;
use crate::evaluator::Evaluator;
use crate::ntt::NTT_COUNT;
use crate::testing::*;
use cipherloom_ir::noise::NoiseModel;
use cipherloom_ir::plan::Block;

/// What a transform computes, in clear, on one period of each operand.
fn clear(transform: &Transform, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = transform.period;
    let rows = transform
        .blocks
        .iter()
        .map(|b| b.row as usize + 1)
        .max()
        .unwrap();
    let mut y = vec![vec![0.0; n]; rows];
    for block in &transform.blocks {
        for d in &block.diagonals {
            for p in 0..n {
                y[block.row as usize][p] +=
                    d.values[p] * x[block.col as usize][(p + d.rotation as usize) % n];
            }
        }
    }
    for fold in &transform.folds {
        for row in &mut y {
            let before = row.clone();
            (0..n).for_each(|p| row[p] += before[(p + *fold as usize) % n]);
        }
    }
    y
}

fn block(row: u32, col: u32, period: usize, rotations: &[u32], rng: &mut Rng) -> Block {
    let diagonals = rotations
        .iter()
        .map(|r| Diagonal {
            rotation: *r,
            values: rng.reals(period),
        })
        .collect();
    Block {
        row,
        col,
        diagonals,
    }
}

struct Case {
    params: Parameters,
    transform: Transform,
}

fn case(
    params: Parameters,
    period: usize,
    level: usize,
    baby_step: usize,
    folds: &[u32],
    blocks: Vec<Block>,
) -> Case {
    // The result of a rescale keeps a scale near that of the operands.
    let plain_scale = Scale::pow2(params.q()[level].ilog2() - 2);
    let transform = Transform {
        name: "t".into(),
        period,
        samples: 1,
        level,
        plain_scale,
        baby_step,
        folds: folds.into(),
        blocks,
    };
    Case { params, transform }
}

/// Runs a case on one thread and on three, and yields keys' worth of checks: values, scale, level, and counts.
fn check(case: &Case, rescale: bool, tolerance: f64) -> u64 {
    let Case { params, transform } = case;
    let mut rng = Rng(9);
    let secret = Secret::new(params, &mut rng);
    let mut rotations = [
        transform.baby_rotations(),
        transform.giant_rotations(),
        transform.folds.clone(),
    ]
    .concat();
    rotations.sort_unstable();
    rotations.dedup();
    let keys = secret
        .keys(&rotations, transform.level, &mut rng)
        .expand(params);
    let evaluator = Evaluator::new(params);
    let linear = LinearTransform::new(params, &Encoder::new(params), transform).unwrap();
    let scale = Scale::pow2(28);
    let x: Vec<Vec<f64>> = (0..linear.operands())
        .map(|_| rng.reals(transform.period))
        .collect();
    let operands: Vec<_> = x
        .iter()
        .map(|x| secret.encrypt(x, transform.level, &scale, &mut rng))
        .collect();
    let operands: Vec<_> = operands.iter().collect();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let before = NTT_COUNT.get();
            let results = evaluator
                .linear_transform(&linear, &operands, &keys, rescale)
                .unwrap();
            (results, NTT_COUNT.get() - before)
        })
    };
    let (results, count) = run(1);
    assert_eq!(results, run(3).0);
    // What is expanded at use gives the same bits, and takes less memory.
    let limbs = transform.level + 1 + params.p().len();
    for resident in [0, 1, limbs - 1] {
        let encoder = Encoder::new(params);
        let streamed =
            LinearTransform::with_resident(params, &encoder, transform, resident).unwrap();
        assert!(resident > 0 || streamed.bytes() < linear.bytes());
        let again = evaluator
            .linear_transform(&streamed, &operands, &keys, rescale)
            .unwrap();
        assert_eq!(again, results);
    }
    let expected = clear(transform, &x);
    assert_eq!(results.len(), expected.len());
    for (c, y) in results.iter().zip(&expected) {
        let full = scale.mul(&transform.plain_scale);
        let (level, scale) = if rescale {
            (
                transform.level - 1,
                full.div_prime(params.q()[transform.level]),
            )
        } else {
            (transform.level, full)
        };
        assert_eq!((c.level(), c.scale()), (level, &scale));
        // All slots, not one period alone: the result must be periodic.
        let slots = secret.decrypt(c, params.slots());
        let repeated: Vec<f64> = (0..params.slots())
            .map(|p| y[p % transform.period])
            .collect();
        let error = distance(&slots, &repeated);
        assert!(error < tolerance, "{error}");
    }
    count
}

#[test]
fn transforms_are_matrix_products() {
    let mut rng = Rng(8);
    let all: Vec<u32> = (0..16).collect();
    for period in [1, 2, 4, 16, 32, 64] {
        let rotations: Vec<u32> = all
            .iter()
            .copied()
            .filter(|r| (*r as usize) < period)
            .collect();
        for baby_step in [1, 4, 64] {
            let blocks = vec![block(0, 0, period, &rotations, &mut rng)];
            let folds: &[u32] = if period == 16 { &[8, 4] } else { &[] };
            for (params, tolerance) in [
                (toy_single(7), 2e-4),
                (toy_double(7), 2e-4),
                (toy_wide(7), 2e-4),
            ] {
                let case = case(params, period, 2, baby_step, folds, blocks.clone());
                check(&case, false, tolerance);
                check(&case, true, tolerance);
            }
        }
    }
}

#[test]
fn several_operands_and_results() {
    let mut rng = Rng(10);
    let blocks = vec![
        block(0, 0, 32, &[0, 3, 17, 18], &mut rng),
        block(0, 2, 32, &[1, 9], &mut rng),
        block(1, 1, 32, &[31], &mut rng),
        block(1, 2, 32, &[], &mut rng),
    ];
    for params in [toy_single(6), toy_double(8)] {
        check(&case(params, 32, 3, 4, &[16], blocks.clone()), true, 2e-4);
    }
}

#[test]
fn transforms_take_as_many_ntts_as_the_formula_says() {
    let mut rng = Rng(12);
    let rotations: Vec<u32> = (0..24).collect();
    for (params, k) in [(toy_single(6), 1), (toy_double(6), 2), (toy_wide(6), 3)] {
        let level = 3;
        let (limbs, digits) = (level + 1, params.digits(level));
        let blocks = vec![block(0, 0, 32, &rotations, &mut rng)];
        let count = check(&case(params, 32, level, 8, &[], blocks), true, 1e-3);
        // RESEARCH 6.1: (L + k)(beta + G (beta + 1) + 2), with two giant steps that need a key.
        assert_eq!(
            count,
            ((limbs + k) * (digits + 2 * (digits + 1) + 2)) as u64
        );
    }
}

#[test]
fn noise_of_a_transform_is_within_a_factor_of_two_of_the_rules() {
    let params = toy(12, &[31.0, 28.0, 28.0, 28.0], &[34.01], 1);
    let mut rng = Rng(13);
    let secret = Secret::new(&params, &mut rng);
    let period = params.slots();
    // Every rotation needs a key, so that each product's operand carries a key's noise.
    let (babies, giants) = (4_u32, 3_u32);
    let rotations: Vec<u32> = (0..giants)
        .flat_map(|g| (1..babies).map(move |b| babies * g + b))
        .collect();
    let blocks = vec![block(0, 0, period, &rotations, &mut rng)];
    let plain_scale = Scale::pow2(24);
    let name = "noise".to_owned();
    let transform = Transform {
        name,
        period,
        samples: 1,
        level: 3,
        plain_scale,
        baby_step: 4,
        folds: vec![],
        blocks,
    };
    let keys = secret.keys(&[1, 2, 3, 4, 8], 3, &mut rng).expand(&params);
    let encoder = Encoder::new(&params);
    let linear = LinearTransform::new(&params, &encoder, &transform).unwrap();
    let evaluator = Evaluator::new(&params);
    // The message is zero, so that the encoding of the diagonals adds nothing.
    let scale = Scale::pow2(28);
    let a = secret.encrypt(&[0.0], 3, &scale, &mut rng);
    let result = &evaluator
        .linear_transform(&linear, &[&a], &keys, true)
        .unwrap()[0];
    let error = integers(&params, &secret.phase(result));
    let measured = deviation(&error) * (params.n() as f64).sqrt() / result.scale().to_f64();

    let model = NoiseModel::new(params.literal());
    // Each value of a diagonal has mean square 1/3, and each slot sums one product per rotation.
    let energy = rotations.len() as f64 / 3.0;
    let input = model.fresh_secret(28.0) - model.encode(28.0) + model.key_noise(3, 28.0);
    let giant = f64::from(giants - 1) * model.key_switch(3, 52.0);
    let predicted = energy * input + giant + model.rounding(result.scale().log2());
    let ratio = measured / predicted.sqrt();
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
}

#[test]
fn contradictions_are_refused() {
    let mut rng = Rng(14);
    let params = toy_single(5);
    let encoder = Encoder::new(&params);
    let good = case(
        params.clone(),
        8,
        2,
        4,
        &[],
        vec![block(0, 0, 8, &[0, 5], &mut rng)],
    )
    .transform;
    assert!(LinearTransform::new(&params, &encoder, &good).is_ok());
    let refused = |change: fn(&mut Transform)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(
            LinearTransform::new(&params, &encoder, &bad).is_err(),
            "{bad:?}"
        );
    };
    refused(|t| t.period = 6);
    refused(|t| t.period = 32);
    refused(|t| t.level = 9);
    refused(|t| t.baby_step = 0);
    refused(|t| t.baby_step = 3);
    refused(|t| t.blocks.clear());
    refused(|t| t.folds = vec![0]);
    refused(|t| t.folds = vec![16]);
    refused(|t| t.blocks[0].row = 1);
    refused(|t| t.blocks[0].col = u32::MAX);
    refused(|t| t.blocks[0].diagonals[0].rotation = 8);
    refused(|t| t.blocks[0].diagonals[0].values.push(0.0));
    refused(|t| t.blocks[0].diagonals[0].values[0] = f64::INFINITY);
    let mut many = good.clone();
    many.blocks[0].diagonals =
        vec![good.blocks[0].diagonals[0].clone(); crate::kernel::MAX_TERMS + 1];
    let refusal = LinearTransform::new(&params, &encoder, &many).unwrap_err();
    assert!(refusal.to_string().contains("sums up more than"));

    let evaluator = Evaluator::new(&params);
    let secret = Secret::new(&params, &mut rng);
    let linear = LinearTransform::new(&params, &encoder, &good).unwrap();
    let keys = secret.keys(&[1, 4], 2, &mut rng).expand(&params);
    let a = secret.encrypt(&[0.5], 2, &Scale::pow2(28), &mut rng);
    let low = secret.encrypt(&[0.5], 1, &Scale::pow2(28), &mut rng);
    assert!(
        evaluator
            .linear_transform(&linear, &[&a], &keys, true)
            .is_ok()
    );
    assert!(matches!(
        evaluator.linear_transform(&linear, &[], &keys, true),
        Err(CkksError::Transform { .. })
    ));
    assert!(matches!(
        evaluator.linear_transform(&linear, &[&low], &keys, true),
        Err(CkksError::LevelMismatch { .. })
    ));
    let fewer = secret.keys(&[1], 2, &mut rng).expand(&params);
    assert!(matches!(
        evaluator.linear_transform(&linear, &[&a], &fewer, true),
        Err(CkksError::MissingKey { .. })
    ));
}

/// Several samples side by side go through one transform, each as if it were alone.
#[test]
fn samples_side_by_side_are_transformed_alike() {
    let params = toy_single(7);
    let mut rng = Rng(21);
    let (period, samples, level) = (8, 4, 2);
    let mut diagonal = |rotation| Diagonal {
        rotation,
        values: rng.reals(period),
    };
    let diagonals = [0, 1, 3, 5, 6].map(&mut diagonal).to_vec();
    let blocks = vec![Block {
        row: 0,
        col: 0,
        diagonals,
    }];
    let Case { transform, .. } = case(toy_single(7), period, level, 2, &[4], blocks);
    let many = Transform {
        samples,
        ..transform.clone()
    };
    let mut rng = Rng(22);
    let secret = Secret::new(&params, &mut rng);
    let rotations = [4, 8, 16, 24, 20];
    let mut rotations: Vec<u32> = rotations.into_iter().filter(|r| r % 4 == 0).collect();
    rotations.sort_unstable();
    rotations.dedup();
    let keys = secret.keys(&rotations, level, &mut rng).expand(&params);
    let encoder = Encoder::new(&params);
    let x: Vec<Vec<f64>> = (0..samples).map(|_| rng.reals(period)).collect();
    let slots: Vec<f64> = (0..period * samples)
        .map(|s| x[s % samples][s / samples])
        .collect();
    let operand = secret.encrypt(&slots, level, &Scale::pow2(28), &mut rng);
    for resident in [0, usize::MAX] {
        let linear = LinearTransform::with_resident(&params, &encoder, &many, resident).unwrap();
        let result = Evaluator::new(&params)
            .linear_transform(&linear, &[&operand], &keys, true)
            .unwrap();
        let found = secret.decrypt(&result[0], params.slots());
        for (s, x) in x.iter().enumerate() {
            let expected = &clear(&transform, std::slice::from_ref(x))[0];
            let own: Vec<f64> = (0..period).map(|p| found[p * samples + s]).collect();
            assert!(distance(&own, expected) < 1e-3, "sample {s}");
        }
    }
    let wide = Transform {
        samples: 16,
        ..many
    };
    assert!(LinearTransform::new(&params, &encoder, &wide).is_err());
}
