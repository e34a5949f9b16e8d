//! Networks under the TFHE backend: 20 encrypted samples each, over the folder `../shared` where it is.
//!
//! The quick ones run with all tests; all of them with
//! `cargo test --release --test tfhe_sets -- --ignored --nocapture`, which prints a table. Accuracy simulated with noise is over the
//! half of the test set that gave no scales; over whole sets it is tested in `compiler/tests/integer.rs`.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg(feature = "tfhe")]

mod common;

use cipherloom::data::{read_inputs, split};
use cipherloom::{AnyCompiled, Backend, Compiler, Model, Tensors};
use cipherloom_client::TfheClient;
use cipherloom_ir::integer::{IntegerPlan, IntegerSimulator, quantise};
use cipherloom_runtime::TfheServer;
use common::intervals::intervals;
use common::sets::Set::{DigitImages, Digits, Tabular, TabularRaw};
use common::sets::{Set, shared};
use std::fs;
use std::path::Path;
use std::time::Instant;

const BREAST: Set = Tabular("breast-cancer");

/// Networks, their sets, and whether they run with all tests.
const NETWORKS: [(&str, Set, bool); 15] = [
    ("breast-cancer-logreg", BREAST, false),
    ("breast-cancer-logreg-matmul", BREAST, false),
    ("breast-cancer-logreg-skl", BREAST, false),
    ("breast-cancer-linearsvc-skl", BREAST, false),
    (
        "breast-cancer-pipeline-skl",
        TabularRaw("breast-cancer"),
        false,
    ),
    ("breast-cancer-mlp", BREAST, false),
    ("breast-cancer-mlp-relu", BREAST, false),
    ("breast-cancer-mlp-square", BREAST, false),
    ("breast-cancer-mlp-skl", BREAST, false),
    ("iris-logreg-skl", Tabular("iris"), false),
    ("iris-mlp", Tabular("iris"), false),
    ("wine-mlp-softmax", Tabular("wine"), false),
    ("digits-mlp-square", Digits, true),
    ("digits-cnn", DigitImages, false),
    ("digits-cnn-maxpool", DigitImages, false),
];

/// Encrypted samples of a network.
const ENCRYPTED: usize = 20;
/// The mean square error of so few samples may differ by this factor from the simulated one, to either side.
const SCATTER: f64 = 8.0;

/// The integers of all outputs, one after the other.
fn simulated(plan: &IntegerPlan, inputs: &[Vec<i64>], seed: Option<u64>) -> Vec<i64> {
    let outputs = IntegerSimulator::new(plan).run_integers(inputs, seed);
    outputs.unwrap().into_iter().flatten().collect()
}

fn squares(a: &[i64], b: &[i64]) -> f64 {
    let square = |(a, b): (&i64, &i64)| ((a - b) as f64).powi(2);
    a.iter().zip(b).map(square).sum()
}

/// Every second sample of the test set finds scales; of the others, some are encrypted. A row of the table.
fn row(name: &str, set: Set, shared: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    set.write_test(shared, dir.path(), usize::MAX);
    let own = common::data(&format!("models/{name}.onnx"));
    let file = if own.exists() {
        own
    } else {
        shared.join(format!("models/{name}.onnx"))
    };
    let model = Model::from_onnx(file).unwrap();
    let ports = model.inputs();
    let bytes = fs::read(dir.path().join("samples.npy")).unwrap();
    let samples = split(&read_inputs(&bytes, &ports, false).unwrap(), &ports).unwrap();
    let calibration: Vec<Tensors> = samples.iter().step_by(2).cloned().collect();
    let compiler = Compiler::new()
        .backend(Backend::Tfhe)
        .calibrate(&calibration);
    let AnyCompiled::Tfhe(compiled) = compiler.compile_any(&model).unwrap() else {
        panic!("another backend");
    };
    let server_plan = compiled.server_plan();
    let plan = server_plan.plan().clone();
    assert!(plan.estimates.eval_key_bytes < 150_000_000, "{name}");
    let client = TfheClient::new(server_plan.client_plan()).unwrap();
    let server = TfheServer::new(server_plan, client.server_keys().unwrap()).unwrap();
    let (mut found, mut expected, mut alike, mut times) = (0.0, 0.0, 0, vec![]);
    for (n, sample) in samples
        .iter()
        .skip(1)
        .step_by(2)
        .take(ENCRYPTED)
        .enumerate()
    {
        let ports = plan.inputs.iter();
        let inputs: Vec<Vec<i64>> = ports
            .map(|port| quantise(port, sample[&port.name].data()))
            .collect();
        let ciphertexts = client.encrypt(sample).unwrap();
        let start = Instant::now();
        let outputs = server.run(&ciphertexts).unwrap();
        times.push(start.elapsed().as_secs_f64());
        let outputs = client.decrypt_integers(&outputs).unwrap();
        let outputs: Vec<i64> = outputs.iter().flat_map(|p| p[0].clone()).collect();
        let bounds = intervals(&plan, &inputs).into_iter().flatten();
        for (m, (lo, hi)) in outputs.iter().zip(bounds) {
            let m = i128::from(*m);
            assert!((lo..=hi).contains(&m), "{name}: {m} is not in {lo} .. {hi}");
        }
        let exact = simulated(&plan, &inputs, None);
        alike += usize::from(outputs == exact);
        found += squares(&outputs, &exact);
        for seed in 0..8 {
            let noisy = simulated(&plan, &inputs, Some(8 * n as u64 + seed));
            expected += squares(&noisy, &exact) / 8.0;
        }
    }
    let ratio = found / expected;
    assert!(
        found == expected || (1.0 / SCATTER..SCATTER).contains(&ratio),
        "{name}: {ratio} of the simulated mean square error"
    );
    times.sort_by(f64::total_cmp);
    format!(
        "{name:28} {} bits, {:4} bootstraps, {:.3} s, {alike} of {ENCRYPTED} bit for bit, mean square error {ratio:.2} of the simulated",
        plan.params.bits,
        plan.bootstraps(),
        times[times.len() / 2],
    )
}

fn rows(choose: impl Fn(bool) -> bool) {
    let Some(shared) = shared() else { return };
    for (name, set, _) in NETWORKS.iter().filter(|n| choose(n.2)) {
        println!("{}", row(name, *set, &shared));
    }
}

#[test]
fn quick_networks_compute_what_their_simulations_do() {
    rows(|quick| quick);
}

#[test]
#[ignore = "takes minutes"]
fn all_networks_compute_what_their_simulations_do() {
    rows(|_| true);
}
