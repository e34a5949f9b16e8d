//! Trees and support vector machines that scikit-learn, XGBoost and LightGBM trained, as their converters write them: the files of
//! `tests/data/trees` and `tests/data/machines`.

use crate::{LOSS, Labelled, accuracy, common, report};
use cipherloom_compiler::integer::{IntegerOptions, compile_integer};
use cipherloom_compiler::onnx;
use cipherloom_ir::{Tensor, Tensors};
use std::path::Path;

/// Files, their sets, how many of the held-out samples their trainers classify as they should, and bootstraps at most: forests take
/// one for each feature and one for each leaf.
const MODELS: [(&str, &str, usize, u64); 13] = [
    ("trees/breast-cancer-skl", "breast-cancer", 156, 26),
    ("trees/breast-cancer-xgb", "breast-cancer", 162, 70),
    ("trees/breast-cancer-lgb", "breast-cancer", 158, 90),
    ("trees/iris-skl", "iris", 44, 11),
    ("trees/iris-xgb", "iris", 45, 38),
    ("trees/iris-lgb", "iris", 43, 90),
    ("trees/wine-skl", "wine", 52, 53),
    ("trees/wine-xgb", "wine", 52, 71),
    ("trees/wine-lgb", "wine", 53, 100),
    ("trees/digits-skl", "digits", 484, 445),
    ("trees/digits-xgb", "digits", 500, 491),
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
