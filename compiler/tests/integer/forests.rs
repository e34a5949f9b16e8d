//! Trees that scikit-learn and XGBoost trained, as their converters write them: the files of `tests/data/trees`.

use crate::{LOSS, Labelled, accuracy, common, report};
use cipherloom_compiler::integer::{IntegerOptions, compile_integer};
use cipherloom_compiler::onnx;
use cipherloom_ir::{Tensor, Tensors};
use std::path::Path;

/// Files, how many of their held-out samples their trainers classify as they should, and what may be lost.
const MODELS: [(&str, &str, usize, f64); 8] = [
    ("breast-cancer", "skl", 156, LOSS),
    ("breast-cancer", "xgb", 162, LOSS),
    ("iris", "skl", 44, LOSS),
    ("iris", "xgb", 45, LOSS),
    ("wine", "skl", 52, LOSS),
    ("wine", "xgb", 52, LOSS),
    ("digits", "skl", 484, LOSS),
    ("digits", "xgb", 500, LOSS),
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
fn trees_of_other_trainers_keep_their_accuracy() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let mut worst = vec![];
    for (set, trainer, right, loss) in MODELS {
        let name = format!("{set}-{trainer}");
        let bytes = std::fs::read(data.join(format!("trees/{name}.onnx"))).unwrap();
        let module = onnx::import(&bytes, None, &name, &name).unwrap();
        let (calibration, test) = samples(&data, set, &module.inputs[0].name);
        let compiled = compile_integer(&module, &calibration, &IntegerOptions::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let found = accuracy(&module, &compiled, &test, true);
        report(&name, &compiled, &found);
        println!("{name}: {found:?}, {right} in clear");
        if found.clear != right || found.loss() > loss {
            worst.push((name, found));
        }
    }
    assert!(worst.is_empty(), "{worst:?}");
}
