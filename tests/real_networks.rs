//! Networks as people bring them, compiled as they are and run under encryption, over the folder `../shared` where it is.
//!
//! The quick ones run with all tests; all of them with
//! `cargo test --release --test real_networks -- --ignored --nocapture`, which prints a table. Simulated accuracy is
//! over the whole test set, but for LeNets, which take 50 ms an image, over its first 1,000 images.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use common::json;
use common::sets::{Set, shared};
use std::path::Path;

/// A model of `../shared/models`.
struct Real {
    name: &'static str,
    set: Set,
    /// The range of the inputs, where there are no training samples to calibrate with.
    range: Option<&'static str>,
    encrypted: usize,
    /// Whether it is run with all tests.
    quick: bool,
}

const fn images(name: &'static str, set: Set, encrypted: usize, quick: bool) -> Real {
    Real {
        name,
        set,
        range: None,
        encrypted,
        quick,
    }
}

const fn features(name: &'static str, set: Set, range: &'static str) -> Real {
    Real {
        name,
        set,
        range: Some(range),
        encrypted: 50,
        quick: true,
    }
}

use Set::{DigitImages, Mnist, MnistNormalized, Tabular, TabularRaw};

const BREAST: Set = Tabular("breast-cancer");
const BREAST_RANGE: &str = "-4,14";

const NETWORKS: [Real; 33] = [
    images("mlp-relu", MnistNormalized, 50, true),
    images("mlp-relu-dynamo", MnistNormalized, 50, false),
    images("mlp-relu-dyn", MnistNormalized, 50, false),
    images("mlp-relu-external", MnistNormalized, 50, false),
    images("mlp-relu-softmax", MnistNormalized, 50, false),
    images("mlp-silu", MnistNormalized, 50, false),
    images("mlp-silu-dynamo", MnistNormalized, 50, false),
    images("mlp-gelu", MnistNormalized, 50, false),
    images("mlp-gelu-dynamo", MnistNormalized, 50, false),
    images("mlp-tanh", MnistNormalized, 50, false),
    images("small-cnn-relu", Mnist, 50, false),
    features("digits-cnn", DigitImages, "0,1"),
    features("iris-mlp", Tabular("iris"), "-3,3"),
    features("wine-mlp-softmax", Tabular("wine"), "-5,5"),
    features("iris-logreg-skl", Tabular("iris"), "-3,3"),
    features("breast-cancer-logreg", BREAST, BREAST_RANGE),
    features("breast-cancer-logreg-matmul", BREAST, BREAST_RANGE),
    features("breast-cancer-logreg-skl", BREAST, BREAST_RANGE),
    features("breast-cancer-linearsvc-skl", BREAST, BREAST_RANGE),
    // One range for features of very different sizes: outputs may be far larger than they ever are, so that more bits
    // are asked of them.
    features(
        "breast-cancer-pipeline-skl",
        TabularRaw("breast-cancer"),
        "0,4500 --precision 25",
    ),
    features("breast-cancer-mlp", BREAST, BREAST_RANGE),
    features("breast-cancer-mlp-relu", BREAST, BREAST_RANGE),
    features("breast-cancer-mlp-skl", BREAST, BREAST_RANGE),
    features("breast-cancer-mlp-square", BREAST, BREAST_RANGE),
    images("lenet5-square-stride", MnistNormalized, 10, false),
    images("lenet5-square-stride-nodes", MnistNormalized, 10, false),
    images("lenet5-relu", MnistNormalized, 10, false),
    images("lenet5-relu-bn", MnistNormalized, 10, false),
    images("lenet5-relu-bn-nodes", MnistNormalized, 10, false),
    images("lenet5-relu-dynamo", MnistNormalized, 10, false),
    images("lenet5-silu", MnistNormalized, 10, false),
    images("cryptonets-train-form", Mnist, 50, false),
    images("small-cnn-square", Mnist, 50, false),
];

/// Images of a LeNet that are simulated.
const LENET_IMAGES: usize = 1000;

/// Compiles and checks one network; its row of the table.
fn row(network: &Real, shared: &Path) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let most = if network.name.starts_with("lenet5") {
        LENET_IMAGES
    } else {
        usize::MAX
    };
    let samples = network.set.write_test(shared, dir, most);
    let calibrated = network.set.write_calibration(shared, dir, 1000);
    let model = shared.join(format!("models/{}.onnx", network.name));
    let input = if network.name.ends_with("skl") {
        "X"
    } else {
        "input"
    };
    let evidence = match network.range {
        Some(range) => format!("--input-range {input}={range}"),
        None => "--calibrate calibration.npy".to_owned(),
    };
    assert!(calibrated || network.range.is_some());
    let start = std::time::Instant::now();
    let compiled = json(
        dir,
        &format!("compile {} {evidence} -o plan", model.display()),
    );
    let seconds = start.elapsed().as_secs_f64();
    let encrypted = network.encrypted.min(samples);
    let report = json(
        dir,
        &format!("check plan --input samples.npy --labels labels.npy --encrypted {encrypted}"),
    );
    let figure = |part: &str, name: &str| report[part][name].as_f64().unwrap_or(f64::NAN);
    let (clear, simulated) = (figure("clear", "accuracy"), figure("simulated", "accuracy"));
    let row = format!(
        "{:<28} N=2^{} {} levels  {samples:>5} samples: clear {:6.2} %  simulated {:6.2} %  agreement {:6.2} %  \
         encrypted agreement {:5.1} % of {encrypted}  noise {:5.2} bits ({:4.2} of predicted)  error {:5.2} (predicted {:5.2})  {:8.3} s  \
         {:6.0} MB  compiled in {:5.1} s, keys {:6.1} MB, plan {:6.1} MB",
        network.name,
        compiled["report"]["parameters"]["log_n"],
        compiled["report"]["parameters"]["levels"],
        100.0 * clear,
        100.0 * simulated,
        100.0 * figure("simulated", "agreement"),
        100.0 * figure("encrypted", "agreement"),
        figure("encrypted", "noise_bits"),
        figure("encrypted", "noise_ratio"),
        figure("encrypted", "error_bits"),
        figure("encrypted", "predicted_error_bits"),
        report["encrypted"]["latency_s"]["median"]
            .as_f64()
            .unwrap_or(f64::NAN),
        figure("encrypted", "peak_rss_bytes") / 1e6,
        seconds,
        compiled["report"]["cost"]["eval_key_bytes"]
            .as_f64()
            .unwrap_or(f64::NAN)
            / 1e6,
        std::fs::metadata(dir.join("plan/server.plan"))
            .unwrap()
            .len() as f64
            / 1e6,
    );
    // At most one sample may be classified otherwise, and none of ten.
    let agreeing = figure("encrypted", "agreement") * encrypted as f64;
    let allowed = if encrypted >= 45 { 1.0 } else { 0.0 };
    // Declared ranges only bound the values that rounded weights are multiplied with.
    let least = if evidence.contains("--calibrate") {
        0.5
    } else {
        0.25
    };
    let good = agreeing + allowed + 1e-9 >= encrypted as f64
        && (simulated - clear).abs() <= 0.003 + 1e-9
        && figure("encrypted", "noise_bits") >= 10.0
        && (least..=2.0).contains(&figure("encrypted", "noise_ratio"));
    if good { Ok(row) } else { Err(row) }
}

fn all(networks: impl Iterator<Item = &'static Real>) {
    let Some(shared) = shared() else { return };
    let mut failed = Vec::new();
    for network in networks {
        match row(network, &shared) {
            Ok(row) => println!("{row}"),
            Err(row) => {
                println!("{row}  FAILED");
                failed.push(row);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn quick_networks_give_the_clear_networks_answers() {
    all(NETWORKS.iter().filter(|n| n.quick));
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn all_networks_give_the_clear_networks_answers() {
    all(NETWORKS.iter());
}
