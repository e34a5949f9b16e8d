//! Trees and support vector machines that scikit-learn, XGBoost and LightGBM trained, encrypted: the files of `tests/data/trees` and
//! `tests/data/machines`, against the integer simulator and against the labels that onnxruntime gives the same files.

use crate::common::data;
use crate::encrypted::run;
use cipherloom::data::npz::Arrays;
use cipherloom::{Model, Tensor, Tensors};

/// Folders, files and their sets.
const QUICK: [(&str, &str, &str); 9] = [
    ("trees", "breast-cancer-skl", "breast-cancer"),
    ("trees", "breast-cancer-xgb", "breast-cancer"),
    ("trees", "iris-skl", "iris"),
    ("trees", "iris-xgb", "iris"),
    ("trees", "iris-lgb", "iris"),
    ("trees", "wine-skl", "wine"),
    ("trees", "wine-xgb", "wine"),
    ("machines", "breast-cancer-rbf", "breast-cancer"),
    ("machines", "breast-cancer-poly", "breast-cancer"),
];
const SLOW: [(&str, &str, &str); 4] = [
    ("trees", "breast-cancer-lgb", "breast-cancer"),
    ("trees", "wine-lgb", "wine"),
    ("trees", "digits-skl", "digits"),
    ("trees", "digits-xgb", "digits"),
];

fn read(file: &str, array: &str) -> Tensor {
    let bytes = std::fs::read(data(file)).unwrap();
    Arrays::open(&bytes, file).unwrap().read(array).unwrap()
}

/// Samples for the scales, and held-out ones.
fn samples(set: &str, input: &str) -> [Vec<Tensors>; 2] {
    let calibration = read(&format!("trees/{set}.npz"), "calibration");
    let test = if set == "digits" {
        read("images/digits-test.npz", "input")
    } else {
        read(&format!("trees/{set}.npz"), "x")
    };
    let width = calibration.shape()[1];
    let sample = |row: &[f64]| {
        let tensor = Tensor::new(vec![1, width], row.to_vec()).unwrap();
        Tensors::from([(input.to_owned(), tensor)])
    };
    [calibration, test].map(|t| t.data().chunks(width).map(sample).collect())
}

/// Runs the first held-out samples of a file, and yields how many of them have onnxruntime's labels.
fn first((folder, file, set): (&str, &str, &str), count: usize) -> usize {
    let model = Model::from_onnx(data(&format!("{folder}/{file}.onnx"))).unwrap();
    let [calibration, test] = samples(set, &model.inputs()[0].name);
    let runs = run(&model, &calibration, &test[..count]);
    let expected = read(&format!("{folder}/labels.npz"), file);
    let labels = runs.labels.iter().zip(expected.data());
    let right = labels.filter(|(found, expected)| found == expected).count();
    println!(
        "{file:<20} {} bootstraps ({}), {:.2} s; of {count} samples {} are the simulator's, {} whatever the noise is, {right} have onnxruntime's label",
        runs.bootstraps, runs.set, runs.seconds, runs.alike, runs.certain
    );
    assert_eq!(runs.labels.len(), count);
    // What no noise can change is the simulator's.
    assert!(runs.alike >= runs.certain);
    right
}

#[test]
fn trained_models_decide_encrypted() {
    for model in QUICK {
        assert_eq!(first(model, 2), 2, "{model:?}");
    }
}

#[test]
#[ignore = "takes minutes"]
fn twenty_samples_of_trained_models_decide_encrypted() {
    for model in QUICK.into_iter().chain(SLOW) {
        // A feature may lie so near to a threshold that noise decides.
        assert!(first(model, 20) >= 19, "{model:?}");
    }
}
