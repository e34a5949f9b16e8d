//! Trees and support vector machines that scikit-learn, XGBoost and LightGBM trained, as their converters write them: the files of
//! `tests/data/trees` and `tests/data/machines`.

use crate::trees::Lists;
use crate::{LOSS, Labelled, accuracy, common, report};
use cipherloom_compiler::integer::{IntegerOptions, compile_integer};
use cipherloom_compiler::onnx;
use cipherloom_ir::integer::IntegerSimulator;
use cipherloom_ir::{Tensor, Tensors};
use std::path::Path;

/// Files, their sets, how many of the held-out samples their trainers classify as they should, and bootstraps at most: forests take
/// one for each feature and one for each two leaves or so.
const MODELS: [(&str, &str, usize, u64); 13] = [
    ("trees/breast-cancer-skl", "breast-cancer", 156, 19),
    ("trees/breast-cancer-xgb", "breast-cancer", 162, 41),
    ("trees/breast-cancer-lgb", "breast-cancer", 158, 90),
    ("trees/iris-skl", "iris", 44, 7),
    ("trees/iris-xgb", "iris", 45, 38),
    ("trees/iris-lgb", "iris", 43, 90),
    ("trees/wine-skl", "wine", 52, 27),
    ("trees/wine-xgb", "wine", 52, 29),
    ("trees/wine-lgb", "wine", 53, 100),
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
        if found.clear != right || found.loss() > LOSS || bootstraps > most {
            worst.push((name, found, bootstraps));
        }
    }
    assert!(worst.is_empty(), "{worst:?}");
}

/// Adds a node and all below it; its number is its place. Leaves count up.
fn grow(lists: &mut Lists, tree: i64, depth: usize, draw: &mut impl FnMut(usize) -> usize) -> i64 {
    let id = lists.ids.len() as i64;
    if depth == 0 || depth < 4 && draw(4) == 0 {
        lists.push(tree, id, ("LEAF", 0, 0.0), [0, 0]);
        let count = lists.leaf_ids.len() as f32;
        lists.leaf(tree, id, 0, if draw(2) == 0 { count } else { -count });
        return id;
    }
    let threshold = 0.5 * draw(4) as f32 - 0.75;
    lists.push(tree, id, ("BRANCH_LEQ", draw(4) as i64, threshold), [0, 0]);
    let at = lists.ids.len() - 1;
    lists.yes[at] = grow(lists, tree, depth - 1, draw);
    lists.no[at] = grow(lists, tree, depth - 1, draw);
    id
}

/// The sum of the leaves that a walk reaches.
fn walk(lists: &Lists, roots: &[i64], x: &[f64]) -> f64 {
    let mut sum = 0.0;
    for root in roots {
        let mut at = *root as usize;
        while lists.modes[at] != "LEAF" {
            let below = x[lists.features[at] as usize] <= f64::from(lists.values[at]);
            let next = if below { lists.yes[at] } else { lists.no[at] };
            at = next as usize;
        }
        let leaf = lists.leaf_ids.iter().position(|id| *id == lists.ids[at]);
        sum += f64::from(lists.weights[leaf.unwrap()]);
    }
    sum
}

#[test]
fn random_trees_put_out_the_leaves_that_are_reached() {
    let mut joined = 0;
    for seed in 0..6_u64 {
        let mut state = seed;
        let mut draw = |n: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let mut lists = Lists::default();
        let roots: Vec<i64> = (0..1 + (seed % 2) as i64)
            .map(|tree| grow(&mut lists, tree, 5, &mut draw))
            .collect();
        // Numbers that lie far from all thresholds.
        let mut rows: Vec<Vec<f64>> = (0..200)
            .map(|_| (0..4).map(|_| 0.5 * draw(5) as f64 - 1.0).collect())
            .collect();
        let module = lists.model(4, 1, true, &[]).import().unwrap();
        let input = module.inputs[0].name.clone();
        let sample = |row: &Vec<f64>| {
            let tensor = Tensor::new(vec![1, 4], row.clone()).unwrap();
            Tensors::from([(input.clone(), tensor)])
        };
        let samples: Vec<Tensors> = rows.iter().map(sample).collect();
        let compiled = compile_integer(&module, &samples, &IntegerOptions::default()).unwrap();
        let leaves = lists.leaf_ids.len() as u64;
        joined += u64::from(compiled.plan.bootstraps() < leaves);
        let simulator = IntegerSimulator::new(&compiled.plan);
        rows.extend((0..200).map(|_| (0..4).map(|_| 0.5 * draw(5) as f64 - 1.0).collect()));
        for row in &rows {
            let found = simulator.run(&sample(row), None).unwrap()["y"].data()[0];
            // Weights of leaves differ by 1 or more.
            let expected = walk(&lists, &roots, row);
            assert!(
                (found - expected).abs() < 0.4,
                "{seed}: {found}, {expected}"
            );
        }
    }
    assert!(joined >= 5, "{joined}");
}
