//! Encrypted runs against the integer simulator, and trees on whole sets.

use crate::build::Model as Onnx;
use crate::common::intervals::intervals;
use crate::common::json;
use crate::models::{FORESTS, forest};
use crate::tables::Table;
use cipherloom::{AnyCompiled, Backend, Compiler, Model};
use cipherloom_client::TfheClient;
use cipherloom_ir::integer::{IntegerSimulator, quantise};
use cipherloom_runtime::TfheServer;
use std::fs;
use std::path::Path;

/// Compiles a model for the TFHE backend and runs samples: each decrypted integer must lie where the slacks of all lookups
/// leave it, which is one number, but for the slack of the output, where no slack can change a lookup's result. Yields how
/// many samples are like the simulator's, but for the slack of the outputs.
pub(crate) fn run_like_the_simulator(onnx: &Onnx, calibration: &Table, test: &Table) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.onnx");
    fs::write(&path, onnx.bytes()).unwrap();
    let model = Model::from_onnx(path).unwrap();
    let compiler = Compiler::new()
        .backend(Backend::Tfhe)
        .calibrate(&calibration.samples());
    let AnyCompiled::Tfhe(compiled) = compiler.compile_any(&model).unwrap() else {
        panic!("another backend");
    };
    assert!(compiled.agrees(), "{}", compiled.agreement());
    let server_plan = compiled.server_plan();
    let plan = server_plan.plan().clone();
    println!("{}: {} bootstraps", plan.params.name, plan.bootstraps());
    let client = TfheClient::new(server_plan.client_plan()).unwrap();
    let server = TfheServer::new(server_plan, client.server_keys().unwrap()).unwrap();
    let simulator = IntegerSimulator::new(&plan);
    let (mut alike, mut certain) = (0, 0);
    for sample in test.samples() {
        let integers = vec![quantise(&plan.inputs[0], sample["x"].data())];
        let expected = simulator.run_integers(&integers, None).unwrap();
        let outputs = server.run(&client.encrypt(&sample).unwrap()).unwrap();
        let found = client.decrypt_integers(&outputs).unwrap();
        let intervals = intervals(&plan, &integers);
        let (mut own, mut narrow) = (true, true);
        for (i, port) in plan.outputs.iter().enumerate() {
            let slack = i64::from(port.slack);
            for ((e, f), (lo, hi)) in expected[i].iter().zip(&found[i][0]).zip(&intervals[i]) {
                let within = |m: i64| (*lo..=*hi).contains(&i128::from(m));
                assert!(within(*e) && within(*f), "{e} {f}: {lo} .. {hi}");
                own &= (e - f).abs() <= slack;
                narrow &= hi - lo <= 2 * i128::from(slack);
            }
        }
        alike += usize::from(own);
        certain += usize::from(narrow);
    }
    println!("{alike} samples are the simulator's, {certain} of them whatever the noise is");
    alike
}

#[test]
fn encrypted_trees_are_those_of_the_simulator() {
    let table = Table::breast_cancer();
    let (training, test) = (table.half(0), table.half(1).first(20));
    let alike = run_like_the_simulator(&forest(&training, 1, 5), &training, &test);
    // A feature may lie so near to a threshold that noise decides.
    assert!(alike >= 16, "{alike}");
}

/// Writes a model and its table, compiles for the TFHE backend, and checks so many samples encrypted.
pub(crate) fn check(
    dir: &Path,
    onnx: &Onnx,
    (calibration, test): (&Table, &Table),
    (options, encrypted): (&str, usize),
) -> serde_json::Value {
    fs::write(dir.join("m.onnx"), onnx.bytes()).unwrap();
    calibration.write(dir, "calib");
    test.write(dir, "test");
    let compile = format!("compile m.onnx -o m --backend tfhe --calibrate calib.npz {options}");
    let compiled = json(dir, compile.trim_end());
    let words =
        format!("check m --input test.npz --labels test-labels.npy --encrypted {encrypted}");
    let mut found = json(dir, &words);
    found["bootstraps"] = compiled["report"]["cost"]["bootstraps"].clone();
    found["set"] = compiled["report"]["parameters"]["set"].clone();
    found["expected_s"] = compiled["report"]["cost"]["latency_by_threads"][0]["latency_s"].clone();
    found
}

/// A line of figures.
pub(crate) fn print(name: &str, found: &serde_json::Value) {
    let share = |part: &str, what: &str| 100.0 * found[part][what].as_f64().unwrap_or(f64::NAN);
    println!(
        "{name:<24} clear {:.1} %, simulated {:.1} %, encrypted alike {:.1} %, {} bootstraps ({}), {:.3} s, expected {:.3} s on two threads",
        share("clear", "accuracy"),
        share("simulated", "accuracy"),
        share("encrypted", "agreement"),
        found["bootstraps"],
        found["set"],
        found["encrypted"]["latency_s"]["median"].as_f64().unwrap(),
        found["expected_s"].as_f64().unwrap(),
    );
}

#[test]
fn trees_of_whole_sets_run_encrypted() {
    for (set, array, trees, depth) in FORESTS {
        let Some(table) = Table::shared(set, array) else {
            return;
        };
        let (training, test) = (table.half(0), table.half(1));
        let dir = tempfile::tempdir().unwrap();
        let onnx = forest(&training, trees, depth);
        let found = check(dir.path(), &onnx, (&training, &test), ("", 3));
        print(&format!("{set} {trees} trees of {depth}"), &found);
        let share = |part: &str, what: &str| found[part][what].as_f64().unwrap();
        assert!(share("clear", "accuracy") - share("simulated", "accuracy") <= 0.011);
        assert_eq!(share("encrypted", "agreement"), 1.0, "{found}");
    }
}
