//! Ranges against all inputs, variances against the simulator.

use super::super::test_plans::{largest_of_four, maximum, one_scale, range};
use super::super::{IntegerBuilder, IntegerSimulator, Matrix, SETS, verify};
use super::*;
use proptest::prelude::*;

#[test]
fn maxima_keep_their_range_and_their_variance_is_that_of_sums() {
    for levels in 1..=4 {
        let plan = maximum(levels).unwrap();
        let last = plan.steps.last().unwrap();
        assert_eq!((last.lo, last.hi), (0, 7));
        // One fresh input and a bootstrap for each level.
        let set = &plan.params;
        let expected = noise::fresh(set) + f64::from(levels) * noise::bootstrap(set);
        assert!((last.variance / expected - 1.0).abs() < 1e-9, "{levels}");
        assert_eq!(plan.bootstraps(), (1 << levels) - 1);
        let worst = plan
            .steps
            .iter()
            .map(|s| s.log2_failure)
            .fold(f64::NEG_INFINITY, f64::max);
        assert!(plan.log2_failure_of_run() >= worst && worst <= -128.0);
    }
}

#[test]
fn an_absolute_value_is_not_negative() {
    let mut b = IntegerBuilder::new("abs", "test", SETS[1]);
    let x = b.input("x", &[1, 1], range(-8.0, 7.0), 59, one_scale(1.0, -8, 7));
    let m = b.matrix(Matrix::from_rows("up", 1, [(vec![(0, 1)], 8)]).unwrap());
    let up = b.linear(&[x], m, 59, "up");
    let relu = (0..16).map(|i| (i - 8_i64).max(0)).collect();
    let relu = b.table(Table {
        name: "relu".into(),
        entries: relu,
    });
    let positive = b.lookup(up, &[relu], 59, "relu");
    let m = b.matrix(Matrix::from_rows("abs", 2, [(vec![(0, -1), (1, 2)], 0)]).unwrap());
    let y = b.linear(&[x, positive], m, 59, "abs");
    b.output("y", &[1, 1], range(0.0, 8.0), y, one_scale(1.0, 0, 0));
    let mut plan = b.plan_mut().clone();
    complete(&mut plan).unwrap();
    assert_eq!((plan.steps[2].lo, plan.steps[2].hi), (0, 8));
}

#[test]
fn distances_are_to_the_nearest_border() {
    let phases = |lo: i128, hi: i128, stride: i128| Phases { lo, hi, stride };
    // Entries of 16: borders at 8, 24, ...
    assert_eq!(distance(phases(0, 32, 16), 4, 0), 8);
    assert_eq!(distance(phases(3, 35, 16), 4, 0), 5);
    assert_eq!(distance(phases(0, 32, 4), 4, 0), 0);
    assert_eq!(distance(phases(2, 34, 4), 4, 0), 2);
    assert_eq!(distance(phases(0, 32, 1), 4, 3), 48);
    assert_eq!(distance(phases(7, 7, 0), 4, 0), 1);
    assert_eq!(
        (index(-8, 4), index(-9, 4), index(7, 4), index(8, 4)),
        (0, -1, 0, 1)
    );
}

/// A plan of two linear steps and lookups with the given numbers, if it is one.
fn random_plan(
    weights: &[i64],
    tables: &[i64],
    biases: [i64; 2],
    shift: u32,
) -> Option<IntegerPlan> {
    let mut b = IntegerBuilder::new("random", "test", SETS[1]);
    b.plan_mut().log2_failure = -1e-3;
    let x = b.input("x", &[1, 2], range(-2.0, 1.0), 58, one_scale(1.0, -2, 1));
    let rows = [
        (vec![(0, weights[0]), (1, weights[1])], biases[0]),
        (vec![(0, weights[2])], biases[1]),
    ];
    let m = b.matrix(Matrix::from_rows("a", 2, rows)?);
    let u = b.linear(&[x], m, 58, "a");
    let t = b.table(Table {
        name: "t".into(),
        entries: tables.to_vec(),
    });
    let op = StepOp::Lookup {
        src: u,
        tables: vec![t],
        reads: vec![0, 1],
        slack: 0,
        negacyclic: true,
    };
    let r = b.push(op, 58 - shift, "t");
    let rows = [
        (
            vec![(0, weights[3]), (2, weights[4]), (3, 1), (6, weights[5])],
            0,
        ),
        (vec![(1, 1), (2, -1), (4, weights[0])], 1),
    ];
    let m = b.matrix(Matrix::from_rows("b", 8, rows)?);
    let y = b.linear(&[x, u, r], m, 58 - shift, "b");
    b.output("y", &[1, 2], range(-1.0, 1.0), y, one_scale(1.0, 0, 0));
    b.plan_mut().clear = super::super::test_plans::plan().clear;
    b.finish().ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn ranges_hold_every_value(
        weights in prop::collection::vec(-3_i64..4, 6),
        tables in prop::collection::vec(-4_i64..5, 32),
        biases in [-4_i64..5, -4_i64..5],
        shift in 0_u32..3,
    ) {
        if let Some(plan) = random_plan(&weights, &tables, biases, shift) {
            prop_assert_eq!(verify(&plan), vec![]);
            let simulator = IntegerSimulator::new(&plan);
            let (mut lo, mut hi) = (i64::MAX, i64::MIN);
            for code in 0..16 {
                let x = vec![code % 4 - 2, code / 4 - 2];
                for y in &simulator.run_integers(&[x], None).unwrap()[0] {
                    (lo, hi) = (lo.min(*y), hi.max(*y));
                }
            }
            let q = &plan.outputs[0].quantisation;
            prop_assert!(q.lo <= lo && hi <= q.hi, "{lo} .. {hi} is not in {} .. {}", q.lo, q.hi);
        }
    }
}

/// The signs of an input and of so much more than it, and their sum.
fn signs(above: u32) -> IntegerPlan {
    let mut b = IntegerBuilder::new("signs", "test", SETS[1]);
    let x = b.input("x", &[1, 1], range(-8.0, 7.0), 59, one_scale(1.0, -8, 7));
    let table = b.table(Table {
        name: "step".into(),
        entries: vec![1; 16],
    });
    let lookup = |reads: Vec<u32>| StepOp::Lookup {
        src: x,
        tables: vec![table],
        reads,
        slack: 0,
        negacyclic: true,
    };
    let both = b.push(lookup(vec![0, above]), 58, "step");
    let one = b.push(lookup(vec![0]), 58, "step");
    let m = Matrix::from_rows("sum", 3, [(vec![(0, 1), (1, 1), (2, 2)], 0)]);
    let m = b.matrix(m.unwrap());
    let sum = b.linear(&[both, one], m, 58, "sum");
    b.output("y", &[1, 1], range(-4.0, 4.0), sum, one_scale(1.0, 0, 0));
    b.plan_mut().clear = crate::tensor::parse(ONE, &[]).unwrap();
    b.finish().unwrap()
}

const ONE: &str = r#"
module "one" · from "test" · stage tensor
  shape   range   | op
  [1,1]   -       | %0 = input "x"   ; port "x"
  [1,1]   -       | %1 = relu %0     ; node 0 Relu "/act"
input "x" = %0 · f32 · batched
output "y" = %1 · batched
"#;

#[test]
fn one_bootstrap_is_read_at_several_thresholds() {
    let plan = signs(3);
    assert_eq!(verify(&plan), []);
    assert_eq!(plan.bootstraps(), 2);
    let simulator = IntegerSimulator::new(&plan);
    for x in -8..8 {
        let sign = |x: i64| if x >= 0 { 1 } else { -1 };
        let found = simulator.run_integers(&[vec![x]], None).unwrap();
        assert_eq!(found, [[3 * sign(x) + sign(x + 3)]]);
    }
    // (1 + 1)^2 for two outputs of one bootstrap, 2^2 for that of another.
    let expected = 8.0 * noise::bootstrap(&plan.params);
    let last = plan.steps.last().unwrap();
    assert!((last.variance / expected - 1.0).abs() < 1e-9);
    // Both lookups run side by side, the sum behind them.
    assert_eq!((plan.side_by_side(0), plan.side_by_side(2)), (0..2, 2..3));
    assert_eq!((plan.side_by_side(1), plan.side_by_side(3)), (1..2, 3..3));
}

#[test]
fn maxima_of_integers_are_exact() {
    let plan = largest_of_four(|d| d, 15).unwrap();
    assert_eq!(verify(&plan), []);
    assert_eq!(plan.bootstraps(), 4 + 2 + 1 + 1);
    // What reaches the last lookup are whole indices up to 15, four units each.
    let largest = &plan.steps[plan.steps.len() - 2];
    assert_eq!((largest.lo, largest.hi), (0, 60));
    let norm = |step: usize| plan.steps[step].variance / noise::bootstrap(&plan.params);
    assert!((norm(1) - 32.0).abs() < 1e-6 && (norm(4) - 24.0).abs() < 1e-6);
    let simulator = IntegerSimulator::new(&plan);
    let some = [0, 1, 6, 7, 8, 15];
    for (n, x) in (0..6_usize.pow(4)).map(|n| (n, [n % 6, n / 6 % 6, n / 36 % 6, n / 216])) {
        let x: Vec<i64> = x.iter().map(|i| some[*i]).collect();
        let most = x.iter().copied().max().unwrap();
        let found = simulator.run_integers(&[x], Some(n as u64)).unwrap();
        assert_eq!(found, [[most]]);
    }
}

#[test]
fn sums_are_even_only_where_the_tables_prove_it() {
    assert!(largest_of_four(|d| d, 3).is_ok());
    // Distances of other parity make sums odd, halfway between two indices.
    for wrong in [|d: i64| d / 2, |d: i64| d + d % 2] {
        let error = largest_of_four(wrong, 3).unwrap_err();
        assert!(error.to_string().contains("failure probability"), "{error}");
    }
}

/// The larger of a function of one number from 0 to 15 and of another one.
fn larger_of_two(first: fn(i64) -> i64) -> IntegerPlan {
    let mut b = IntegerBuilder::new("larger", "test", SETS[1]);
    let ends = range(0.0, 15.0);
    let x = b.input("x", &[1, 2], ends, 59, one_scale(1.0, 0, 15));
    let mut table = |name: &str, entry: fn(i64) -> i64| {
        b.table(Table {
            name: name.into(),
            entries: (0..16).map(entry).collect(),
        })
    };
    let (first, same) = (table("first", first), table("same", |i| i));
    let distance = table("distance", |d| d - 8);
    let fine = b.lookup(x, &[first, same], 57, "fine");
    let m = Matrix::from_rows("difference", 2, [(vec![(0, 4), (1, -4)], 0)]);
    let m = b.matrix(m.unwrap());
    let difference = b.linear(&[fine], m, 57, "difference");
    let op = StepOp::Lookup {
        src: difference,
        tables: vec![distance],
        reads: vec![0],
        slack: 0,
        negacyclic: true,
    };
    let distance = b.push(op, 57, "distance");
    let m = Matrix::from_rows("twice", 3, [(vec![(0, 1), (1, 1), (2, 1)], 8)]);
    let m = b.matrix(m.unwrap());
    let twice = b.linear(&[fine, distance], m, 57, "twice the larger one");
    let m = b.matrix(Matrix::from_rows("four times", 1, [(vec![(0, 2)], 0)]).unwrap());
    let four = b.linear(&[twice], m, 57, "four times");
    let y = b.lookup(four, &[same], 59, "largest");
    b.output("y", &[1, 1], ends, y, one_scale(1.0, 0, 0));
    b.plan_mut().clear = super::super::test_plans::plan().clear;
    b.finish().unwrap()
}

#[test]
fn maxima_are_exact_where_operands_are_narrow() {
    let ends = |plan: &IntegerPlan| {
        let quantisation = &plan.outputs[0].quantisation;
        (quantisation.lo, quantisation.hi)
    };
    // The second number is never above the first, which is constant: a single value lies on every grid.
    let top = larger_of_two(|_| 15);
    assert_eq!((top.steps[3].lo, top.steps[3].hi), (30, 30));
    assert_eq!(ends(&top), (15, 15));
    // Differences are 1 at most: one index alone is the part of the distances' table that rises.
    let low = larger_of_two(|i| i / 8);
    assert_eq!(ends(&low), (0, 15));
    let simulator = IntegerSimulator::new(&low);
    for (a, b) in [(0, 0), (7, 0), (8, 0), (15, 1), (9, 15), (3, 7)] {
        let found = simulator.run_integers(&[vec![a, b]], Some(7)).unwrap();
        assert_eq!(found, [[b.max(a / 8)]]);
    }
}
