//! The choice of a backend over the tabular networks of `../shared/models`.
//!
//! `cargo test --release --test tabular faster -- --ignored --nocapture` prints what was expected and what it took.

use crate::common::{json, sets::shared};
use crate::tables::Table;
use std::path::Path;

const NETWORKS: [(&str, &str, &str); 12] = [
    ("breast-cancer-linearsvc-skl", "breast-cancer", "x"),
    ("breast-cancer-logreg", "breast-cancer", "x"),
    ("breast-cancer-logreg-matmul", "breast-cancer", "x"),
    ("breast-cancer-logreg-skl", "breast-cancer", "x"),
    ("breast-cancer-mlp", "breast-cancer", "x"),
    ("breast-cancer-mlp-relu", "breast-cancer", "x"),
    ("breast-cancer-mlp-skl", "breast-cancer", "x"),
    ("breast-cancer-mlp-square", "breast-cancer", "x"),
    ("breast-cancer-pipeline-skl", "breast-cancer", "x_raw"),
    ("iris-logreg-skl", "iris", "x"),
    ("iris-mlp", "iris", "x"),
    ("wine-mlp-softmax", "wine", "x"),
];

/// A network compiled for each backend, and for the better one: the folders `ckks`, `tfhe` and `auto`.
fn compile(dir: &Path, shared: &Path, (name, set, array): (&str, &str, &str)) {
    Table::shared(set, array)
        .unwrap()
        .half(0)
        .write(dir, "calib");
    let model = shared.join(format!("models/{name}.onnx"));
    for backend in ["ckks", "tfhe", "auto"] {
        let words = format!(
            "compile {} -o {backend} --backend {backend}",
            model.display()
        );
        json(dir, &format!("{words} --calibrate calib.npz"));
    }
}

fn expected(dir: &Path, folder: &str) -> f64 {
    json(dir, &format!("explain {folder}"))["cost"]["latency_s"]
        .as_f64()
        .unwrap()
}

/// The backend that was taken, and why.
fn choice(dir: &Path) -> (String, String) {
    let why = json(dir, "explain auto")["choice"]
        .as_str()
        .unwrap()
        .to_owned();
    let (backend, _) = why.split_once(':').unwrap();
    (backend.to_owned(), why.clone())
}

#[test]
fn the_better_backend_is_taken() {
    let Some(shared) = shared() else { return };
    // One for which each of the two is better, and one that TFHE computes in clear sums alone.
    for network in [NETWORKS[4], NETWORKS[10], NETWORKS[1]] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        compile(dir, &shared, network);
        let (ckks, tfhe) = (expected(dir, "ckks"), expected(dir, "tfhe"));
        let (taken, why) = choice(dir);
        let better = if tfhe + 5e-3 < ckks { "tfhe" } else { "ckks" };
        println!("{}: {why}", network.0);
        assert_eq!(taken, better, "{why}: {ckks} {tfhe}");
        assert!(why.contains("ckks") && why.contains("tfhe"), "{why}");
        assert!(why.contains(" ms") || why.contains(" s"), "{why}");
    }
}

#[test]
#[ignore = "measures for some minutes"]
fn the_faster_backend_is_taken() {
    let Some(shared) = shared() else { return };
    println!("| network | ckks expected | measured | tfhe expected | measured | taken |");
    for network in NETWORKS {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        compile(dir, &shared, network);
        let measured = |folder: &str| {
            let found = json(dir, &format!("bench {folder} --threads 1 --runs 3"));
            1e3 * found["latency_s"]["median"].as_f64().unwrap()
        };
        let (ckks, tfhe) = (measured("ckks"), measured("tfhe"));
        let (taken, why) = choice(dir);
        println!(
            "| {} | {:.1} ms | {ckks:.1} ms | {:.1} ms | {tfhe:.1} ms | {why} |",
            network.0,
            1e3 * expected(dir, "ckks"),
            1e3 * expected(dir, "tfhe"),
        );
        let (own, other) = if taken == "ckks" {
            (ckks, tfhe)
        } else {
            (tfhe, ckks)
        };
        // Five milliseconds are worth less than CKKS's precision; half as much again is this machine's noise.
        assert!(own <= 1.5 * other + 5.0, "{}: {why}", network.0);
    }
}
