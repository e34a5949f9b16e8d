//! Matrices through layouts and diagonals, against the matrices themselves.

use super::super::network::Fold;
use super::super::sparse::{RowBuilder, apply};
use super::rules::rules;
use super::{shape, unfolded};
use crate::cost::{CostModel, Limbs};
use crate::emit::blocks;
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::layout::Layout;
use std::sync::Arc;

const LIMBS: Limbs = Limbs {
    q: 3,
    p: 1,
    digit_size: 1,
};

/// Numbers that look random, in [-1, 1).
fn numbers(mut state: u64) -> impl FnMut() -> f64 {
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1_u64 << 30) as f64 - 1.0
    }
}

/// A convolution of 3 x 3 windows, padded by 1, over `[channels, size, size]`.
fn convolution(from: usize, to: usize, size: usize, stride: usize) -> Matrix {
    let mut next = numbers(1);
    let weights: Vec<f64> = (0..from * to * 9).map(|_| next()).collect();
    let out = size.div_ceil(stride);
    let mut rows = RowBuilder::new(from * size * size);
    for (m, y, x) in (0..to * out * out).map(|i| (i / out / out, i / out % out, i % out)) {
        for (c, ky, kx) in (0..from * 9).map(|i| (i / 9, i / 3 % 3, i % 3)) {
            let (row, column) = (y * stride + ky, x * stride + kx);
            if (1..=size).contains(&row) && (1..=size).contains(&column) {
                let element = (c * size + row - 1) * size + column - 1;
                rows.push(element, weights[(m * from + c) * 9 + ky * 3 + kx]);
            }
        }
        rows.end_row();
    }
    rows.finish()
}

/// A matrix of which about one entry in `every` is not zero.
fn scattered(rows: usize, cols: usize, every: f64) -> Matrix {
    let mut next = numbers(rows as u64 * 31 + cols as u64);
    let mut built = RowBuilder::new(cols);
    for _ in 0..rows {
        for c in 0..cols {
            let value = next();
            if next().abs() * every < 1.0 {
                built.push(c, value);
            }
        }
        built.end_row();
    }
    built.finish()
}

/// Applies a matrix by its diagonals to a vector in one layout and reads the result in the other.
fn through_diagonals(m: &Matrix, from: &Layout, to: &Layout, x: &[f64]) -> Vec<f64> {
    let period = from.period.max(to.period);
    let x = from.pack(x).unwrap();
    let mut slots = vec![vec![0.0; period]; to.ciphertexts];
    for block in blocks(m, from, to).unwrap() {
        for diagonal in &block.diagonals {
            for (p, value) in diagonal.values.iter().enumerate() {
                let read = (p + diagonal.rotation as usize) % from.period;
                slots[block.row as usize][p] += value * x[block.col as usize][read];
            }
        }
    }
    let mut fold = period / 2;
    while fold >= to.period {
        for slots in &mut slots {
            let before = slots.clone();
            (0..period).for_each(|p| slots[p] += before[(p + fold) % period]);
        }
        fold /= 2;
    }
    to.unpack(&slots).unwrap()
}

fn check(m: &Matrix, from: &Layout, to: &Layout) {
    assert_eq!((from.faults(1 << 12), to.faults(1 << 12)), (vec![], vec![]));
    let mut next = numbers(7);
    let x: Vec<f64> = (0..m.cols).map(|_| next()).collect();
    let found = through_diagonals(m, from, to, &x);
    for (a, b) in found.iter().zip(apply(m, &x)) {
        assert!((a - b).abs() < 1e-12, "{a} for {b}");
    }
    let blocks = blocks(m, from, to).unwrap();
    let diagonals = blocks.iter().flat_map(|b| &b.diagonals);
    let used = diagonals.filter(|d| d.values.iter().any(|v| *v != 0.0));
    let used: Vec<usize> = used.map(|d| d.rotation as usize).collect();
    let rates = &CostModel::built_in().ring(13).narrow;
    let (cost, shape) = shape(m, from, to, LIMBS, (13, rates), f64::INFINITY).unwrap();
    assert_eq!(shape.counts.diagonals as usize, used.len());
    let steps = |part: &dyn Fn(usize) -> usize| {
        let mut parts: Vec<usize> = used.iter().map(|d| part(*d)).filter(|r| *r > 0).collect();
        parts.sort_unstable();
        parts.dedup();
        parts.len() as u64
    };
    let step = shape.baby_step;
    assert_eq!(shape.counts.babies, steps(&|d| d % step));
    assert_eq!(shape.counts.giants, steps(&|d| d / step));
    // What is known to cost more than a limit is not worked out; what costs less is.
    assert!(super::shape(m, from, to, LIMBS, (13, rates), cost * 1.01).is_some());
    assert!(super::shape(m, from, to, LIMBS, (13, rates), cost * 0.01).is_none());
}

#[test]
fn convolutions_keep_their_meaning_in_every_layout() {
    for (from, to, size, stride) in [(1, 4, 8, 2), (3, 2, 6, 1), (2, 5, 7, 2)] {
        let matrix = convolution(from, to, size, stride);
        let out = size.div_ceil(stride);
        let shapes = [
            (vec![1, from, size, size], 1),
            (vec![1, to, out, out], stride),
        ];
        for slots in [32, 128, 4096] {
            for rule in rules(shapes.iter()) {
                let layouts = shapes.iter().map(|(shape, stride)| {
                    let layout = rule.layout(shape, *stride, slots);
                    layout.unwrap_or_else(|| Layout::dense(shape.clone(), slots))
                });
                let layouts: Vec<Layout> = layouts.collect();
                check(&matrix, &layouts[0], &layouts[1]);
            }
        }
    }
}

#[test]
fn scattered_matrices_keep_their_meaning() {
    for (rows, cols) in [(1, 1), (3, 40), (40, 3), (33, 65), (100, 90)] {
        for every in [1.0, 4.0, 30.0] {
            let matrix = scattered(rows, cols, every);
            for slots in [16, 4096] {
                let layout = |n| Layout::dense(vec![n], slots);
                if matrix.entries() > 0 {
                    check(&matrix, &layout(cols), &layout(rows));
                }
            }
        }
    }
}

/// The operand of a fold lies so that its slots, a result's length apart, sum up to the result's.
#[test]
fn the_operand_of_a_fold_lies_a_length_apart() {
    let fold = Fold {
        len: 6,
        members: Arc::new((0..24).map(|i| (i * 5 + 3) % 24).collect()),
    };
    for (slots, ciphertexts) in [(64, 1), (8, 4), (4, 8)] {
        let result = Layout::dense(vec![6], slots);
        let operand = unfolded(&fold, &result, slots);
        assert_eq!(operand.faults(slots), Vec::<String>::new());
        assert_eq!(operand.ciphertexts, ciphertexts);
        assert!(operand.folds_onto(&result));
        assert!(!result.folds_onto(&operand));
        let x: Vec<f64> = (0..24).map(f64::from).collect();
        let length = result.period * result.ciphertexts;
        let mut sums = vec![0.0; length];
        let slots = operand.pack(&x).unwrap().concat();
        (0..slots.len()).for_each(|p| sums[p % length] += slots[p]);
        let sums: Vec<Vec<f64>> = sums.chunks(result.period).map(<[f64]>::to_vec).collect();
        let expected: Vec<f64> = (0..6)
            .map(|i| fold.rounds().map(|round| x[round[i] as usize]).sum())
            .collect();
        assert_eq!(result.unpack(&sums).unwrap(), expected);
    }
}
