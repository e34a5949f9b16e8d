//! Tree ensembles of `ai.onnx.ml`: their clear results against a walk over the lists, and every fault of their form.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/build.rs"]
mod build;
#[path = "common/trees.rs"]
mod trees;

use build::{A, assert_near};
use trees::Lists;

/// Two trees with all modes; the second has three levels.
fn lists() -> Lists {
    let mut lists = Lists::default();
    lists.push(0, 0, ("BRANCH_LEQ", 0, 0.5), [1, 2]);
    lists.push(0, 1, ("BRANCH_LT", 1, -1.0), [3, 4]);
    lists.push(0, 2, ("BRANCH_GT", 1, 0.25), [5, 6]);
    lists.push(3, 10, ("BRANCH_GTE", 0, 0.25), [11, 12]);
    lists.push(3, 11, ("BRANCH_EQ", 1, 0.5), [13, 14]);
    lists.push(3, 12, ("BRANCH_NEQ", 2, 1.0), [15, 16]);
    for (tree, id) in [
        (0, 3),
        (0, 4),
        (0, 5),
        (0, 6),
        (3, 13),
        (3, 14),
        (3, 15),
        (3, 16),
    ] {
        lists.push(tree, id, ("LEAF", 0, 0.0), [0, 0]);
        lists.leaf(tree, id, id % 2, 0.125 * id as f32);
        lists.leaf(tree, id, 1 - id % 2, -0.25);
    }
    lists
}

/// The sums of the leaves that a walk reaches.
fn walk(lists: &Lists, x: &[f64], outputs: usize) -> Vec<f64> {
    let mut sums = vec![0.0; outputs];
    let at = |tree: i64, id: i64| {
        let mut all = lists.trees.iter().zip(&lists.ids);
        all.position(|n| n == (&tree, &id)).unwrap()
    };
    for (tree, root) in [(0, 0), (3, 10)] {
        let mut id = root;
        loop {
            let n = at(tree, id);
            let (a, t) = (x[lists.features[n] as usize], f64::from(lists.values[n]));
            let taken = match lists.modes[n] {
                "BRANCH_LEQ" => a <= t,
                "BRANCH_LT" => a < t,
                "BRANCH_GT" => a > t,
                "BRANCH_GTE" => a >= t,
                "BRANCH_EQ" => a == t,
                "BRANCH_NEQ" => a != t,
                _ => break,
            };
            id = if taken { lists.yes[n] } else { lists.no[n] };
        }
        for (i, leaf) in lists.leaf_ids.iter().enumerate() {
            if (lists.leaf_trees[i], *leaf) == (tree, id) {
                sums[lists.classes[i] as usize] += f64::from(lists.weights[i]);
            }
        }
    }
    sums
}

#[test]
fn ensembles_are_walked_as_their_lists_say() {
    let lists = lists();
    let base = ("base_values", A::Fs(vec![0.5, -0.5]));
    let regressor = lists.model(3, 2, true, &[base]);
    let classifier = lists.model(3, 2, false, &[]);
    let values = [-1.0, -0.5, 0.25, 0.5, 1.0];
    for a in values {
        for b in values {
            for c in values {
                let x = [a, b - 0.5, c];
                let sums = walk(&lists, &x, 2);
                assert_near(
                    &regressor.run(&x)["y"],
                    &[1, 2],
                    &[sums[0] + 0.5, sums[1] - 0.5],
                    "y",
                );
                let found = classifier.run(&x);
                assert_near(&found["y"], &[1, 2], &sums, "y");
                assert_near(
                    &found["label"],
                    &[1],
                    &[f64::from(u8::from(sums[1] > sums[0]))],
                    "label",
                );
            }
        }
    }
}

#[test]
fn two_classes_with_one_score() {
    let mut lists = lists();
    lists.classes.iter_mut().for_each(|c| *c = 1);
    let x = [0.0, 0.0, 0.0];
    let sum = walk(&lists, &x, 2)[1];
    let logistic = ("post_transform", A::S("LOGISTIC"));
    let found = lists.model(3, 2, false, &[logistic]).run(&x);
    let p = 1.0 / (1.0 + f64::exp(-sum));
    assert_near(&found["y"], &[1, 2], &[1.0 - p, p], "y");
    assert_near(
        &found["label"],
        &[1],
        &[f64::from(u8::from(sum > 0.0))],
        "label",
    );
    // Without negative weights the score is a probability.
    lists.weights.iter_mut().for_each(|w| *w = w.abs() / 8.0);
    let sum = walk(&lists, &x, 2)[1];
    let found = lists.model(3, 2, false, &[]).run(&x);
    assert_near(&found["y"], &[1, 2], &[1.0 - sum, sum], "y");
    assert_near(
        &found["label"],
        &[1],
        &[f64::from(u8::from(sum > 0.5))],
        "label",
    );
}

#[test]
fn averages_and_single_leaves() {
    let mut lists = lists();
    lists.push(7, 0, ("LEAF", 0, 0.0), [0, 0]);
    lists.leaf(7, 0, 0, 6.0);
    let x = [0.7, 0.7, 0.7];
    let sums = walk(&lists, &x, 2);
    let average = ("aggregate_function", A::S("AVERAGE"));
    let found = lists.model(3, 2, true, &[average]).run(&x);
    assert_near(
        &found["y"],
        &[1, 2],
        &[(sums[0] + 6.0) / 3.0, sums[1] / 3.0],
        "y",
    );
}

#[test]
fn faults_are_named() {
    type Change = fn(&mut Lists);
    let faults: [(Change, &str); 10] = [
        (|l| l.yes[0] = 99, "leads to node 99, which is missing"),
        (|l| l.yes[1] = 0, "6 of its nodes are not reached"),
        (|l| l.yes[1] = 4, "from two branches"),
        (|l| l.features[0] = 3, "asks for feature 3 of 3"),
        (|l| l.modes[0] = "BRANCH_MEMBER", "does not define"),
        (|l| l.values[0] = f32::NAN, "has the threshold NaN"),
        (|l| l.leaf_ids[0] = 1, "which is no leaf"),
        (|l| l.classes[0] = 2, "holds 2, of 2"),
        (|l| l.weights[0] = f32::INFINITY, "holds inf"),
        (|l| l.yes.truncate(13), "has 13 entries, not 14"),
    ];
    for (change, expected) in faults {
        let mut lists = lists();
        change(&mut lists);
        let error = lists
            .model(3, 2, true, &[])
            .import()
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    // A cycle beside the tree.
    let mut lists = lists();
    lists.push(0, 20, ("BRANCH_LEQ", 0, 0.0), [21, 22]);
    lists.push(0, 21, ("BRANCH_LEQ", 0, 0.0), [20, 23]);
    lists.push(0, 22, ("LEAF", 0, 0.0), [0, 0]);
    lists.push(0, 23, ("LEAF", 0, 0.0), [0, 0]);
    let error = lists
        .model(3, 2, true, &[])
        .import()
        .unwrap_err()
        .to_string();
    assert!(error.contains("4 of its nodes are not reached"), "{error}");
    // A chain of 300 levels.
    let mut lists = Lists::default();
    for level in 0..300 {
        let (branch, leaf) = (2 * level, 2 * level + 1);
        lists.push(0, branch, ("BRANCH_LEQ", 0, level as f32), [leaf, leaf + 1]);
        lists.push(0, leaf, ("LEAF", 0, 0.0), [0, 0]);
    }
    lists.push(0, 600, ("LEAF", 0, 0.0), [0, 0]);
    lists.leaf(0, 600, 0, 1.0);
    let error = lists
        .model(3, 2, true, &[])
        .import()
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than 256 levels"), "{error}");
    let most = ("aggregate_function", A::S("MAX"));
    let error = self::lists()
        .model(3, 2, true, &[most])
        .import()
        .unwrap_err()
        .to_string();
    assert!(error.contains("compares the trees' results"), "{error}");
}
