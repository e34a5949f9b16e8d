//! Encrypted runs against the integer simulator, and trees on whole sets.

use crate::build::Model as Onnx;
use crate::common::intervals::intervals;
use crate::common::json;
use crate::models::{FORESTS, forest};
use crate::tables::Table;
use cipherloom::{AnyCompiled, Backend, Compiler, Model, Tensors};
use cipherloom_client::TfheClient;
use cipherloom_ir::integer::{IntegerSimulator, quantise};
use cipherloom_runtime::TfheServer;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// What encrypted samples came to.
pub(crate) struct Runs {
    pub(crate) bootstraps: u64,
    pub(crate) set: &'static str,
    /// Whether the compiler's samples kept as many decisions as they should.
    pub(crate) agrees: bool,
    /// How many samples are like the simulator's, but for the slack of the outputs.
    pub(crate) alike: usize,
    /// How many of them are whatever the noise is.
    pub(crate) certain: usize,
    /// The label of each sample, where the model has one.
    pub(crate) labels: Vec<f64>,
    /// Seconds of a run: the median.
    pub(crate) seconds: f64,
}

/// Compiles a model for the TFHE backend and runs samples: each decrypted integer must lie where the slacks of all lookups
/// leave it, which is one number, but for the slack of the output, where no slack can change a lookup's result.
pub(crate) fn run(model: &Model, calibration: &[Tensors], test: &[Tensors]) -> Runs {
    let compiler = Compiler::new()
        .backend(Backend::Tfhe)
        .calibrate(calibration);
    let AnyCompiled::Tfhe(compiled) = compiler.compile_any(model).unwrap() else {
        panic!("another backend");
    };
    let server_plan = compiled.server_plan();
    let plan = server_plan.plan().clone();
    let client = TfheClient::new(server_plan.client_plan()).unwrap();
    let server = TfheServer::new(server_plan, client.server_keys().unwrap()).unwrap();
    let simulator = IntegerSimulator::new(&plan);
    let (mut alike, mut certain) = (0, 0);
    let (mut labels, mut times) = (vec![], vec![]);
    for sample in test {
        let integers = vec![quantise(
            &plan.inputs[0],
            sample[&plan.inputs[0].name].data(),
        )];
        let expected = simulator.run_integers(&integers, None).unwrap();
        let inputs = client.encrypt(sample).unwrap();
        let start = Instant::now();
        let outputs = server.run(&inputs).unwrap();
        times.push(start.elapsed().as_secs_f64());
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
        let results = client.decrypt(&outputs).unwrap();
        labels.extend(results.get("label").map(|label| label.data()[0]));
    }
    times.sort_by(f64::total_cmp);
    Runs {
        bootstraps: plan.bootstraps(),
        set: plan.params.name,
        agrees: compiled.agrees(),
        alike,
        certain,
        labels,
        seconds: times[times.len() / 2],
    }
}

/// As [`run`] for a model of a test: yields how many samples are like the simulator's.
pub(crate) fn run_like_the_simulator(onnx: &Onnx, calibration: &Table, test: &Table) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.onnx");
    fs::write(&path, onnx.bytes()).unwrap();
    let model = Model::from_onnx(path).unwrap();
    let runs = run(&model, &calibration.samples(), &test.samples());
    assert!(runs.agrees);
    println!("{}: {} bootstraps", runs.set, runs.bootstraps);
    println!(
        "{} samples are the simulator's, {} of them whatever the noise is",
        runs.alike, runs.certain
    );
    runs.alike
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
