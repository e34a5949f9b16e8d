//! Trees and support vector machines that scikit-learn, XGBoost and LightGBM trained, as their converters write them: the files of
//! `tests/data/trees` and `tests/data/machines`.

use crate::trees::Lists;
use crate::{LOSS, Labelled, accuracy, common, report};
use cipherloom_compiler::integer::{IntegerOptions, compile_integer};
use cipherloom_compiler::onnx;
use cipherloom_ir::integer::IntegerSimulator;
use cipherloom_ir::tensor::eval;
use cipherloom_ir::{Tensor, Tensors};
use std::path::Path;

/// Files, their sets, how many of the held-out samples their trainers classify as they should, and bootstraps at most: forests take
/// one for each feature and one for each two leaves or so.
const MODELS: [(&str, &str, usize, u64); 13] = [
    ("trees/breast-cancer-skl", "breast-cancer", 156, 19),
    ("trees/breast-cancer-xgb", "breast-cancer", 162, 41),
    ("trees/breast-cancer-lgb", "breast-cancer", 158, 42),
    ("trees/iris-skl", "iris", 44, 7),
    ("trees/iris-xgb", "iris", 45, 38),
    ("trees/iris-lgb", "iris", 43, 21),
    ("trees/wine-skl", "wine", 52, 27),
    ("trees/wine-xgb", "wine", 52, 29),
    ("trees/wine-lgb", "wine", 53, 37),
    ("trees/digits-skl", "digits", 484, 269),
    ("trees/digits-xgb", "digits", 500, 226),
    ("machines/breast-cancer-rbf", "breast-cancer", 163, 127),
    ("machines/breast-cancer-poly", "breast-cancer", 163, 51),
];

/// Samples for the scales, and the held-out ones with their classes.
fn samples(data: &Path, set: &str, input: &str) -> (Vec<Tensors>, Labelled) {
    let (own, _) = common::read_npz(&data.join(format!("trees/{set}.npz")));
    let (images, _) = common::read_npz(&data.join("images/digits-test.npz"));
    let rows = |tensor: &Tensor| -> Vec<Tensors> {
        let width = own["calibration"].shape()[1];
        let row = |row: &[f64]| {
            let tensor = Tensor::new(vec![1, width], row.to_vec()).unwrap();
            Tensors::from([(input.to_owned(), tensor)])
        };
        tensor.data().chunks(width).map(row).collect()
    };
    let test = own.get("x").unwrap_or_else(|| &images["input"]);
    let classes = own["y"].data().iter().map(|y| *y as usize).collect();
    (rows(&own["calibration"]), (rows(test), classes))
}

#[test]
fn models_of_other_trainers_keep_their_accuracy() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let mut worst = vec![];
    for (name, set, right, most) in MODELS {
        let bytes = std::fs::read(data.join(format!("{name}.onnx"))).unwrap();
        let module = onnx::import(&bytes, None, name, name).unwrap();
        let (calibration, test) = samples(&data, set, &module.inputs[0].name);
        let compiled = compile_integer(&module, &calibration, &IntegerOptions::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let found = accuracy(&module, &compiled, &test, true);
        report(name, &compiled, &found);
        println!("{name}: {found:?}, {right} in clear");
        let bootstraps = compiled.plan.estimates.bootstraps;
        // A single decision of a small set is more than that.
        let allowed = LOSS.max(1.0 / found.samples as f64 + 1e-9);
        if found.clear != right || found.loss() > allowed || bootstraps > most {
            worst.push((name, found, bootstraps));
        }
    }
    assert!(worst.is_empty(), "{worst:?}");
}

/// Adds a node and all below it; its number is its place. Features are asked for once on a path, and leaves name one of `classes`.
fn grow(
    lists: &mut Lists,
    (tree, depth, classes): (i64, usize, usize),
    draw: &mut impl FnMut(usize) -> usize,
) -> i64 {
    let id = lists.ids.len() as i64;
    if depth == 0 || depth < 4 && draw(4) == 0 {
        lists.push(tree, id, ("LEAF", 0, 0.0), [0, 0]);
        let weight = (1 + draw(9)) as f32;
        let sign = if classes > 1 || draw(2) == 0 {
            1.0
        } else {
            -1.0
        };
        lists.leaf(tree, id, draw(classes) as i64, sign * weight);
        return id;
    }
    let threshold = draw(2) as f32 - 0.5;
    lists.push(tree, id, ("BRANCH_LEQ", depth as i64, threshold), [0, 0]);
    let at = lists.ids.len() - 1;
    lists.yes[at] = grow(lists, (tree, depth - 1, classes), draw);
    lists.no[at] = grow(lists, (tree, depth - 1, classes), draw);
    id
}

/// The sums of the leaves that walks from the roots reach, by class.
fn walk(lists: &Lists, roots: &[i64], classes: usize, x: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; classes];
    for root in roots {
        let mut at = *root as usize;
        while lists.modes[at] != "LEAF" {
            let below = x[lists.features[at] as usize] <= f64::from(lists.values[at]);
            at = if below { lists.yes[at] } else { lists.no[at] } as usize;
        }
        let leaf = lists.leaf_ids.iter().position(|id| *id == lists.ids[at]);
        let leaf = leaf.unwrap();
        sums[lists.classes[leaf] as usize] += f64::from(lists.weights[leaf]);
    }
    sums
}

/// Random trees over six features that are -1, 0 or 1, and a plan for them: bootstraps, leaves, and for rows that were not seen before
/// the sums of the leaves that are reached, and what a plan yields for them without noise.
fn random_trees(
    mut state: u64,
    trees: i64,
    classes: usize,
) -> (u64, u64, Vec<(Vec<f64>, Tensors)>) {
    let mut draw = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut lists = Lists::default();
    let roots: Vec<i64> = (0..trees)
        .map(|tree| grow(&mut lists, (tree, 5, classes), &mut draw))
        .collect();
    let module = lists.model(6, classes, classes == 1, &[]).import().unwrap();
    let input = module.inputs[0].name.clone();
    let mut row = || -> Vec<f64> { (0..6).map(|_| draw(3) as f64 - 1.0).collect() };
    let rows: Vec<Vec<f64>> = (0..400).map(|_| row()).collect();
    let sample = |row: &Vec<f64>| {
        let tensor = Tensor::new(vec![1, 6], row.clone()).unwrap();
        Tensors::from([(input.clone(), tensor)])
    };
    let samples: Vec<Tensors> = rows[..200].iter().map(sample).collect();
    let compiled = compile_integer(&module, &samples, &IntegerOptions::default()).unwrap();
    let simulator = IntegerSimulator::new(&compiled.plan);
    let run = |row: &Vec<f64>| {
        let found = simulator.run(&sample(row), None).unwrap();
        let found = match &compiled.plan.tail {
            Some(tail) => eval(tail, &found).unwrap(),
            None => found,
        };
        (walk(&lists, &roots, classes, row), found)
    };
    let leaves = lists.leaf_ids.len() as u64;
    (
        compiled.plan.bootstraps(),
        leaves,
        rows[200..].iter().map(run).collect(),
    )
}

#[test]
fn random_regressors_put_out_the_leaves_that_are_reached() {
    for seed in 0..4 {
        let (_, _, found) = random_trees(seed, 1 + (seed % 2) as i64, 1);
        for (expected, found) in found {
            // Weights of leaves differ by 1 or more.
            let found = found["y"].data()[0];
            assert!(
                (found - expected[0]).abs() < 0.4,
                "{seed}: {found}, {expected:?}"
            );
        }
    }
}

#[test]
fn random_classifiers_name_the_class_of_the_leaves_that_are_reached() {
    let mut joined = 0;
    for seed in 10..14 {
        let (bootstraps, leaves, found) = random_trees(seed, 2, 3);
        joined += u64::from(bootstraps < leaves);
        let mut told = 0;
        for (expected, found) in found {
            let mut sorted = expected.clone();
            sorted.sort_by(f64::total_cmp);
            // What is put out is as precise as decisions on the samples ask for.
            if sorted[2] - sorted[1] < 2.5 {
                continue;
            }
            let label = found["label"].data()[0] as usize;
            assert_eq!(expected[label], sorted[2], "{seed}: {expected:?}");
            told += 1;
        }
        assert!(told > 60, "{told}");
    }
    // Siblings share bootstraps.
    assert!(joined >= 3, "{joined}");
}
