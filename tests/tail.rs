//! Networks that end in what the client computes in clear: logistic regression, and classes with their labels.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use cipherloom::data::npz::Arrays;
use cipherloom::data::split;
use cipherloom::{Client, Compiler, DType, Model, Server, Tensor, round_for_sharing};
use common::{data, json, ok};
use std::fs;
use std::path::Path;

const MODEL: &str = "models/breast-cancer-logreg.onnx";
const REFERENCE: &str = "models/breast-cancer-logreg.ref.npz";

/// Inputs and the outputs of onnxruntime.
fn reference() -> (Tensor, Tensor) {
    let bytes = fs::read(data(REFERENCE)).unwrap();
    let mut arrays = Arrays::open(&bytes, "x").unwrap();
    (
        arrays.read("input").unwrap(),
        arrays.read("output").unwrap(),
    )
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f64::max)
}

fn write_inputs(dir: &Path, inputs: &Tensor) {
    let bytes = cipherloom::data::npz::write(&[("input", inputs, DType::F32)], false).unwrap();
    fs::write(dir.join("in.npz"), bytes).unwrap();
}

#[test]
fn a_last_sigmoid_is_finished_by_the_client() {
    let (inputs, expected) = reference();
    let model = Model::from_onnx(data(MODEL)).unwrap();
    let given = [("input".to_owned(), inputs)].into();
    let samples = split(&given, &model.inputs()).unwrap();
    let compiled = Compiler::new().calibrate(&samples).compile(&model).unwrap();
    let plan = compiled.client_plan();
    // The scores are encrypted, the probabilities are not; and no weight is in the client's plan.
    assert_eq!(plan.outputs.len(), 1);
    assert_ne!(plan.outputs[0].name, "output");
    assert_eq!(plan.results()[0].name, "output");
    assert_eq!(plan.results()[0].shape, [1, 1]);
    assert!(plan.tail.as_ref().unwrap().constants.is_empty());

    let client = Client::new(plan).unwrap();
    let server = Server::new(compiled.server_plan(), client.evaluation_key().unwrap()).unwrap();
    let outputs = server.run(&client.encrypt(&given).unwrap()).unwrap();
    let found = client.decrypt(&outputs).unwrap();
    assert_eq!(found["output"].shape(), expected.shape());
    let error = largest_difference(found["output"].data(), expected.data());
    assert!(error < 1e-3, "{error}");

    // What is shared is a function of rounded scores.
    let name = client.plan().outputs[0].name.clone();
    let mut scores = client.decrypt_exact(&outputs).unwrap();
    round_for_sharing(client.plan(), &mut scores, 4).unwrap();
    let shared = cipherloom::finish(client.plan(), &scores).unwrap();
    let range = client.plan().outputs[0].range.max_abs();
    let step = range.log2().ceil().exp2() / 16.0;
    for (score, probability) in scores[&name].data().iter().zip(shared["output"].data()) {
        assert_eq!((score / step).fract(), 0.0);
        assert!((probability - 1.0 / (1.0 + (-score).exp())).abs() < 1e-15);
    }
}

#[test]
fn a_kept_tail_is_computed_under_encryption() {
    let (inputs, expected) = reference();
    let model = Model::from_onnx(data(MODEL)).unwrap();
    let samples = split(&[("input".to_owned(), inputs)].into(), &model.inputs()).unwrap();
    let compiler = Compiler::new().keep_tail(true).calibrate(&samples);
    let plan = compiler.compile(&model).unwrap().server_plan();
    assert_eq!(plan.plan().tail, None);
    assert_eq!(plan.plan().outputs[0].name, "output");
    for (sample, expected) in samples.iter().zip(expected.data()) {
        let found = cipherloom_ir::plan::simulate(plan.plan(), sample, Some(1)).unwrap();
        let found = found["output"].data()[0];
        assert!((found - expected).abs() < 0.05, "{found}, not {expected}");
    }
}

#[test]
fn the_commands_finish_outputs_and_say_so() {
    let (inputs, expected) = reference();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_inputs(dir, &inputs);
    let model = data(MODEL).display().to_string();
    ok(dir, &format!("compile {model} -o m --calibrate in.npz"));
    let explained = ok(dir, "explain m");
    assert!(
        explained.contains("client      computes sigmoid [1, 1] in clear after decryption"),
        "{explained}"
    );
    assert!(
        explained.contains("result      \"output\" [1, 1] of f32"),
        "{explained}"
    );
    let report = json(dir, "explain m/server.plan --format json");
    let tail = &report["tail"];
    assert_eq!(tail[0]["op"], "sigmoid", "{report}");

    ok(
        dir,
        "keygen m/client.plan --secret-key secret.key --eval-key eval.key",
    );
    ok(
        dir,
        "encrypt m/client.plan --secret-key secret.key --input in.npz -o x.ct",
    );
    ok(
        dir,
        "run m/server.plan --eval-key eval.key x.ct -o y.ct --threads 1",
    );
    let read = |file: &str| {
        let bytes = fs::read(dir.join(file)).unwrap();
        let mut arrays = Arrays::open(&bytes, "x").unwrap();
        assert_eq!(arrays.names(), ["output"]);
        arrays.read("output").unwrap()
    };
    ok(
        dir,
        "decrypt m/client.plan --secret-key secret.key y.ct -o out.npz",
    );
    let exact = read("out.npz");
    assert!(largest_difference(exact.data(), expected.data()) < 1e-3);
    ok(
        dir,
        "decrypt m/client.plan --secret-key secret.key y.ct -o shared.npz --share 4",
    );
    let shared = read("shared.npz");
    // Rounding moved the probabilities, but not beyond what a step of the scores does to them.
    let moved = largest_difference(exact.data(), shared.data());
    assert!(moved > 1e-3, "{moved}");
    ok(dir, "infer m --input in.npz -o inferred.npz");
    assert!(largest_difference(read("inferred.npz").data(), expected.data()) < 1e-3);

    let report = json(dir, "check m --input in.npz --encrypted 8");
    assert_eq!(report["simulated"]["agreement"], 1.0, "{report}");
    assert_eq!(report["encrypted"]["agreement"], 1.0, "{report}");
    let bits = |key: &str| report["encrypted"][key].as_f64().unwrap();
    assert!(bits("error_bits") > 10.0, "{report}");
    // Eight errors of one element each: their largest may well be small, but hardly large.
    let better = bits("error_bits") - bits("predicted_error_bits");
    assert!((-2.0..6.0).contains(&better), "{report}");
}
