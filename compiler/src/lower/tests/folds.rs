//! Sums by rotations: they take no level, agree with the interpreter, and give way where they cannot be.

use super::super::network::Fold;
use super::super::sparse::{RowBuilder, scaled_identity};
use super::{Net, agree};
use cipherloom_ir::plan::{Plan, StepOp};
use cipherloom_ir::tensor::Op;

fn folds(plan: &Plan) -> usize {
    let fold = |op: &StepOp| matches!(op, StepOp::Fold { .. });
    plan.steps.iter().filter(|s| fold(&s.op)).count()
}

fn depth(plan: &Plan) -> usize {
    plan.params.max_level()
}

#[test]
fn pooling_takes_no_level() {
    let net = Net::new(40, &[1, 1, 8, 8])
        .conv(4, 3, 1, 1, 1)
        .square()
        .pool(2, 2, 0, true)
        .conv(6, 3, 1, 1, 1)
        .square()
        .pool(2, 2, 0, true)
        .flatten()
        .gemm(5);
    let (_, plan) = agree(&net.done());
    // Two convolutions, two squares, and the last pooling with the dense layer.
    assert_eq!((folds(&plan), depth(&plan)), (1, 5));
    // The second convolution reads pooled values: a shift for each of its taps and of six channels padded to eight.
    let second = &plan.transforms[1];
    let diagonals: usize = second.blocks.iter().map(|b| b.diagonals.len()).sum();
    assert!(diagonals <= 9 * 8, "{diagonals}");
}

#[test]
fn inputs_and_values_of_several_ciphertexts_are_summed() {
    let input = Net::new(41, &[1, 2, 8, 8])
        .pool(2, 2, 0, true)
        .conv(4, 3, 1, 1, 1)
        .square()
        .flatten()
        .gemm(3);
    let (_, plan) = agree(&input.done());
    assert_eq!((folds(&plan), depth(&plan)), (1, 3));
    let wide = Net::new(42, &[1, 1, 64, 64])
        .conv(4, 1, 1, 0, 1)
        .square()
        .pool(2, 2, 0, true)
        .conv(4, 1, 1, 0, 1)
        .square()
        .flatten()
        .gemm(2);
    let (_, plan) = agree(&wide.done());
    let adds = plan
        .steps
        .iter()
        .filter(|s| matches!(s.op, StepOp::Add { .. }));
    assert!(
        adds.count() > 0,
        "the parts of several ciphertexts are added"
    );
    assert_eq!(depth(&plan), 5);
}

#[test]
fn one_value_is_grouped_in_one_way() {
    let mut net = Net::new(43, &[1, 2, 8, 8]).conv(2, 3, 1, 1, 1).square();
    let shared = net.last;
    let fine = net.pool(2, 2, 0, true).conv(8, 3, 1, 1, 1);
    let left = fine.last;
    net = Net {
        last: shared,
        ..fine
    };
    let coarse = net.pool(4, 4, 0, true).conv(32, 1, 1, 0, 1);
    let right = coarse.last;
    net = coarse;
    net.join(Op::Reshape, &[right], &[1, 8, 4, 4]);
    let right = net.last;
    net.join(Op::Add, &[left, right], &[]);
    let (_, plan) = agree(&net.square().flatten().gemm(2).done());
    assert_eq!(folds(&plan), 1);
}

#[test]
fn only_disjoint_groups_of_a_power_of_two_fold() {
    let rows = |rows: &[&[usize]], cols: usize, factor: f64| {
        let mut builder = RowBuilder::new(cols);
        for row in rows {
            row.iter().for_each(|c| builder.push(*c, factor));
            builder.end_row();
        }
        builder.finish()
    };
    let (fold, factor) = Fold::of(&rows(&[&[0, 2], &[1, 3]], 4, 0.5)).unwrap();
    assert_eq!(
        (fold.len, &fold.members[..], factor),
        (2, &[0, 1, 2, 3][..], 0.5)
    );
    assert_eq!(fold.halvings(), 1);
    // Overlapping, incomplete, of three, of different factors, of one.
    assert_eq!(Fold::of(&rows(&[&[0, 1], &[1, 2]], 4, 1.0)), None);
    assert_eq!(Fold::of(&rows(&[&[0, 1], &[2, 3]], 5, 1.0)), None);
    assert_eq!(Fold::of(&rows(&[&[0, 1, 2]], 3, 1.0)), None);
    let mut uneven = rows(&[&[0, 1]], 2, 1.0);
    uneven.values[1] = 2.0;
    assert_eq!(Fold::of(&uneven), None);
    assert_eq!(Fold::of(&scaled_identity(4, 1.0)), None);
}
