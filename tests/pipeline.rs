//! Each network from the ONNX file to decrypted scores: through files and the command line, and by `check`.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use cipherloom::data::npz::Arrays;
use common::{NETWORKS, Network, image, json, network, ok};
use std::fs;
use std::path::Path;

const SAMPLES: usize = 2;

/// The first images of a network's test set, written to `in.npz`.
fn write_inputs(dir: &Path, network: &Network) -> Vec<usize> {
    let bytes = fs::read(image(network.images)).unwrap();
    let all = Arrays::open(&bytes, "x").unwrap().read("input").unwrap();
    let (count, size) = (all.shape()[0], all.len() / all.shape()[0]);
    let mut shape = all.shape().to_vec();
    shape[0] = SAMPLES;
    let few = cipherloom::Tensor::new(shape, all.data()[..SAMPLES * size].to_vec()).unwrap();
    fs::write(
        dir.join("in.npz"),
        cipherloom::data::npz::write(&[("input", &few, cipherloom::DType::F32)], true).unwrap(),
    )
    .unwrap();
    cipherloom::data::read_labels(&fs::read(image(network.labels)).unwrap(), count).unwrap()
}

fn argmax(values: &[f64]) -> usize {
    (0..values.len())
        .max_by(|a, b| values[*a].total_cmp(&values[*b]))
        .unwrap()
}

fn compile(dir: &Path, network: &Network) -> String {
    let (model, options) = (network.model(), network.options().join(" "));
    ok(dir, &format!("compile {} -o m {options}", model.display()))
}

fn through_files(network: &Network) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let labels = write_inputs(dir, network);
    compile(dir, network);
    ok(
        dir,
        "keygen m/client.plan --secret-key secret.key --eval-key eval.key --public-key public.key",
    );
    ok(
        dir,
        "encrypt m/client.plan --secret-key secret.key --input in.npz -o x.ct",
    );
    // `run` must do without the secret key.
    fs::rename(dir.join("secret.key"), dir.join("hidden")).unwrap();
    let run = json(
        dir,
        "run m/server.plan --eval-key eval.key x.ct -o y.ct --threads 2",
    );
    assert_eq!(
        (&run["samples"], &run["threads"]),
        (&SAMPLES.into(), &2.into())
    );
    assert!(run["latency_s"].as_f64().unwrap() > 0.0);
    let keys: Vec<_> = run.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["latency_s", "peak_rss_bytes", "samples", "threads"]);
    fs::rename(dir.join("hidden"), dir.join("secret.key")).unwrap();
    ok(
        dir,
        "decrypt m/client.plan --secret-key secret.key y.ct -o out.npz",
    );
    ok(
        dir,
        "encrypt m/client.plan --public-key public.key --input in.npz -o xp.ct",
    );
    ok(
        dir,
        "run m/server.plan --eval-key eval.key xp.ct -o yp.ct --threads 1",
    );
    ok(
        dir,
        "decrypt m/client.plan --secret-key secret.key yp.ct -o outp.npy",
    );

    let read = |file: &str| {
        let bytes = fs::read(dir.join(file)).unwrap();
        let mut arrays = Arrays::open(&bytes, "output").unwrap();
        assert_eq!(arrays.names(), ["output"]);
        arrays.read("output").unwrap()
    };
    for outputs in [read("out.npz"), read("outp.npy")] {
        assert_eq!(outputs.shape(), [SAMPLES, 10]);
        for (scores, label) in outputs.data().chunks(10).zip(&labels) {
            assert_eq!(argmax(scores), *label, "{scores:?}");
        }
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            fs::metadata(dir.join("secret.key"))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
    }
    assert!(fs::metadata(dir.join("eval.key")).unwrap().len() < 60_000_000);
}

#[test]
fn lola_through_files() {
    through_files(network("lola"));
}

#[test]
fn cryptonets_through_files() {
    through_files(network("cryptonets"));
}

#[test]
fn tenseal_cnn_through_files() {
    through_files(network("tenseal-cnn"));
}

#[test]
fn mlp_square_through_files() {
    through_files(network("mlp-square"));
}

#[test]
fn digits_through_files() {
    through_files(network("digits-mlp-square"));
}

/// Encrypted results agree with the clear ones, to at least 12 bits, within a factor of 4 of what was predicted.
#[test]
fn encrypted_results_are_as_precise_as_predicted() {
    for network in &NETWORKS {
        let dir = tempfile::tempdir().unwrap();
        compile(dir.path(), network);
        let (images, labels) = (image(network.images), image(network.labels));
        let words = format!(
            "check m --input {} --labels {} --encrypted 10",
            images.display(),
            labels.display()
        );
        let report = json(dir.path(), &words);
        let (encrypted, simulated) = (&report["encrypted"], &report["simulated"]);
        let figure = |value: &serde_json::Value| value.as_f64().unwrap();
        assert_eq!(
            (&encrypted["samples"], figure(&encrypted["agreement"])),
            (&10.into(), 1.0),
            "{}",
            network.name
        );
        let (found, predicted) = (
            figure(&encrypted["error_bits"]),
            figure(&encrypted["predicted_error_bits"]),
        );
        println!(
            "{}: {found:.2} bits, {predicted:.2} predicted",
            network.name
        );
        assert!(found >= 12.0, "{}: {found} bits", network.name);
        assert!(
            (found - predicted).abs() <= 2.0,
            "{}: {found} bits, {predicted} predicted",
            network.name
        );
        let ratio = figure(&encrypted["noise_ratio"]);
        assert!(
            (0.5..=2.0).contains(&ratio),
            "{}: {ratio} times the predicted deviation",
            network.name
        );
        // Polynomials are computed as they are, so that there is no error but noise, to the rounding of clear sums.
        let noise = figure(&encrypted["noise_bits"]);
        assert!((noise - found).abs() <= 1e-6, "{noise} and {found} bits");
        let accuracy = figure(&report["clear"]["accuracy"]);
        assert!(accuracy > 0.95, "{}: {accuracy}", network.name);
        assert!(
            (figure(&simulated["accuracy"]) - accuracy).abs() <= 0.001,
            "{}",
            network.name
        );
        assert!(figure(&simulated["error_bits"]) >= 12.0);
        assert!(
            figure(&encrypted["latency_s"]["min"]) <= figure(&encrypted["latency_s"]["median"])
        );
    }
}

/// A file without labels and without encryption: what does not apply is null.
#[test]
fn check_says_null_where_there_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let digits = network("digits-mlp-square");
    compile(dir.path(), digits);
    let report = json(
        dir.path(),
        &format!("check m --input {}", image(digits.images).display()),
    );
    assert_eq!(report["samples"], 540);
    assert!(report["clear"]["accuracy"].is_null() && report["simulated"]["accuracy"].is_null());
    let encrypted = report["encrypted"].as_object().unwrap();
    let keys: Vec<_> = encrypted.keys().map(String::as_str).collect();
    let mut expected = vec![
        "samples",
        "accuracy",
        "agreement",
        "max_abs_error",
        "error_bits",
        "noise_bits",
        "noise_ratio",
        "predicted_error_bits",
        "latency_s",
        "peak_rss_bytes",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(encrypted["samples"], 0);
    assert!(encrypted["error_bits"].is_null() && encrypted["latency_s"].is_null());
}

/// The same model and options give the same plan, byte for byte, on any number of threads.
#[test]
fn plans_are_reproducible() {
    let dir = tempfile::tempdir().unwrap();
    let plan = |threads: &str| {
        let network = network("tenseal-cnn");
        let mut words = vec!["compile".to_owned(), network.model().display().to_string()];
        words.extend(["-o".to_owned(), format!("m{threads}")]);
        words.extend(network.options());
        let command = std::process::Command::new(env!("CARGO_BIN_EXE_cipherloom"))
            .args(words)
            .env("RAYON_NUM_THREADS", threads)
            .current_dir(dir.path())
            .status();
        assert!(command.unwrap().success());
        let read =
            |file: &str| fs::read(dir.path().join(format!("m{threads}")).join(file)).unwrap();
        (read("server.plan"), read("client.plan"))
    };
    assert!(plan("1") == plan("2"));
}

#[test]
fn infer_and_explain() {
    let dir = tempfile::tempdir().unwrap();
    let digits = network("digits-mlp-square");
    let labels = write_inputs(dir.path(), digits);
    let model = digits.model();
    let words = format!(
        "infer {} --input in.npz -o out.npy --input-range input=0,1",
        model.display()
    );
    assert_eq!(json(dir.path(), &words)["samples"], SAMPLES);
    let bytes = fs::read(dir.path().join("out.npy")).unwrap();
    let outputs = Arrays::open(&bytes, "y").unwrap().read("y").unwrap();
    for (scores, label) in outputs.data().chunks(10).zip(&labels) {
        assert_eq!(argmax(scores), *label);
    }
    compile(dir.path(), digits);
    let report = json(dir.path(), "explain m");
    assert_eq!(report["security"]["target"], "classical 128");
    assert!(report["security"]["log_qp"].as_f64() <= report["security"]["limit"].as_f64());
    let layers = report["layers"].as_array().unwrap();
    let names: Vec<_> = layers
        .iter()
        .map(|l| l["layer"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for (name, op) in names.iter().zip(["Gemm", "Mul", "Gemm"]) {
        assert!(name.contains(op), "{names:?}");
    }
    assert_eq!(
        layers
            .iter()
            .map(|l| l["products"].as_u64().unwrap())
            .sum::<u64>(),
        1
    );
    assert!(report["cost"]["run_bytes"].as_u64().unwrap() > 0);
    let text = ok(dir.path(), "explain m/server.plan");
    assert!(
        text.contains("classical 128 bits") && text.contains("Gemm"),
        "{text}"
    );
    assert!(ok(dir.path(), "explain m --format html").starts_with("<!DOCTYPE html>"));
    assert_eq!(
        ok(dir.path(), "explain m --format json")
            .matches('\n')
            .count(),
        1
    );
    let operators = ok(dir.path(), "ops");
    for line in [
        "AveragePool                        7-24    exact        linear     1 to 3 spatial axes, no dilation",
        "Gelu                               20-24   approximate  lookup",
        "Softmax                            7-24    client       client",
        "ai.onnx.ml.TreeEnsembleClassifier  1-4     client       lookup     no form under ckks; without PROBIT",
        "ai.onnx.ml.ZipMap                  1-4     exact        linear     yields the probabilities as a tensor",
    ] {
        assert!(operators.lines().any(|l| l == line), "{line}: {operators}");
    }
}
