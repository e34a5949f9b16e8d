//! The simulator against arithmetic, and its noise against the predicted one.

use super::super::test_plans::{maximum, one_scale, plan, range};
use super::super::{IntegerBuilder, Matrix, SETS, Table};
use super::*;

#[test]
fn a_plan_computes_what_it_says() {
    let plan = plan();
    let simulator = IntegerSimulator::new(&plan);
    for code in 0..8_i64.pow(4) {
        let x: Vec<i64> = (0..4).map(|i| code / 8_i64.pow(i) % 8 - 4).collect();
        let relu = |sum: i64| (((sum + 8).div_euclid(16)) - 4).max(0);
        let sum = relu(x[0] - 2 * x[1] + x[3] + 16) + relu(-x[0] + 2 * x[2] + 12) + 6;
        let halves = |i: i64| (i - 5).max(0) / 2;
        let expected: Vec<i64> = (0..3).map(|r| halves(2 * sum + r)).collect();
        assert!(2 * sum + 2 < 16);
        assert_eq!(
            simulator
                .run_integers(std::slice::from_ref(&x), None)
                .unwrap(),
            [expected],
            "{x:?}"
        );
    }
}

#[test]
fn maxima_are_exact() {
    let plan = maximum(3).unwrap();
    let simulator = IntegerSimulator::new(&plan);
    for seed in 0..500_i64 {
        let x: Vec<i64> = (0..8)
            .map(|i| (seed * 31 + i * i * 7 + seed * i) % 8)
            .collect();
        let expected = vec![vec![*x.iter().max().unwrap()]];
        assert_eq!(
            simulator
                .run_integers(std::slice::from_ref(&x), None)
                .unwrap(),
            expected
        );
        assert_eq!(
            simulator.run_integers(&[x], Some(seed as u64)).unwrap(),
            expected
        );
    }
}

#[test]
fn real_numbers_are_rounded_clamped_and_restored() {
    let plan = plan();
    let port = &plan.inputs[0];
    assert_eq!(quantise(port, &[0.25, 0.75, -0.3, 9.0]), [0, 2, -1, 3]);
    assert_eq!(quantise(port, &[f64::MAX, f64::MIN]), [3, -4]);
    assert_eq!(dequantise(port, &[-4, 3]), [-2.0, 1.5]);
    let mut shifted = port.clone();
    shifted.quantisation.zero_point = vec![-2, 1, 0, 0];
    shifted.quantisation.scale = vec![0.5, 0.25, 1.0, 1.0];
    let m = quantise(&shifted, &[0.5, 0.5, 1.0, 2.0]);
    assert_eq!(m, [-1, 3, 1, 2]);
    assert_eq!(dequantise(&shifted, &m), [0.5, 0.5, 1.0, 2.0]);
    let inputs = Tensors::from([("x".to_owned(), Tensor::from_vec(vec![0.5, -1.0, 1.5, 0.0]))]);
    let outputs = IntegerSimulator::new(&plan).run(&inputs, None).unwrap();
    assert_eq!(outputs["y"].shape(), [1, 3]);
    let integers = IntegerSimulator::new(&plan)
        .run_integers(&[vec![1, -2, 3, 0]], None)
        .unwrap();
    assert_eq!(
        outputs["y"].data(),
        dequantise(&plan.outputs[0], &integers[0])
    );
    assert!(
        IntegerSimulator::new(&plan)
            .run(&Tensors::new(), None)
            .is_err()
    );
}

/// One lookup of `bits` bits over a sum of bootstrapped values with norm `weight`.
fn noisy(bits: u32, weight: i64) -> IntegerPlan {
    let mut b = IntegerBuilder::new("noisy", "test", SETS[1]);
    b.plan_mut().log2_failure = -0.01;
    let x = b.input("x", &[1, 1], range(0.0, 1.0), 62, one_scale(1.0, 0, 0));
    let zero = b.table(Table {
        name: "zero".into(),
        entries: vec![0, 0],
    });
    let y = b.lookup(x, &[zero], 40, "noise");
    let m = b.matrix(
        Matrix::from_rows(
            "m",
            1,
            [(vec![(0, weight)], 1 << (63 - bits - 40 + bits - 1))],
        )
        .unwrap(),
    );
    let sum = b.linear(&[y], m, 40, "sum");
    let identity = b.table(Table {
        name: "identity".into(),
        entries: (0..1 << bits).collect(),
    });
    let z = b.lookup(sum, &[identity], 63 - bits, "index");
    b.output("y", &[1, 1], range(0.0, 1.0), z, one_scale(1.0, 0, 0));
    b.plan_mut().clear = plan().clear;
    b.finish().unwrap()
}

#[test]
fn simulated_failures_are_as_frequent_as_predicted() {
    // 2^-1.8 to 2^-7: a weak budget on purpose.
    for (bits, weight) in [(7, 1), (7, 20), (6, 40), (8, 1)] {
        let plan = noisy(bits, weight);
        let simulator = IntegerSimulator::new(&plan);
        let (mut failures, runs) = (0, 20_000);
        for seed in 0..runs {
            let y = simulator
                .run_integers(&[vec![0]], Some(seed * 977 + 3))
                .unwrap()[0][0];
            failures += u64::from(y != 1 << (bits - 1));
        }
        let predicted = libm::exp2(plan.steps[2].log2_failure) * runs as f64;
        assert!(predicted > 50.0, "{bits} {weight}: {predicted}");
        let deviations = (failures as f64 - predicted) / predicted.sqrt();
        assert!(
            deviations.abs() < 4.0,
            "{bits} {weight}: {failures} of {predicted}"
        );
    }
}
