//! A table of the test networks next to what is wanted of them: latency on two threads, memory of `run`, evaluation keys.
//!
//! It goes through the command line, as a user would: `compile`, then `bench`. Networks that are not in this repository are
//! taken from the folder `../shared` where it is.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is wanted of a network: at most so many seconds and bytes.
struct Target {
    name: &'static str,
    calibration: &'static str,
    latency_s: f64,
    run_bytes: f64,
    key_bytes: f64,
}

const fn target(
    name: &'static str,
    calibration: &'static str,
    latency_s: f64,
    [run_bytes, key_bytes]: [f64; 2],
) -> Target {
    Target {
        name,
        calibration,
        latency_s,
        run_bytes,
        key_bytes,
    }
}

const PLAIN: &str = "mnist-calib.npz";
const NORMALIZED: &str = "mnist-normalized-calib.npz";

const TARGETS: [Target; 6] = [
    target("cryptonets", PLAIN, 0.020, [2e8, 4e7]),
    target("lola", PLAIN, 0.020, [2e8, 4e7]),
    target("tenseal-cnn", PLAIN, 0.020, [2e8, 4e7]),
    target("mlp-square", NORMALIZED, 0.025, [2e8, 4e7]),
    target("lenet5-square-stride", NORMALIZED, 0.30, [1.5e9, 4e8]),
    target("mlp-relu", NORMALIZED, 0.25, [2e9, 4e8]),
];

/// Prints the table.
pub(crate) fn print() {
    println!("\nOn two threads (wanted, at most):");
    println!("network               latency, ms       expected   memory, MB        eval.key, MB");
    for target in &TARGETS {
        match row(target) {
            Ok(row) => println!("{row}"),
            Err(error) => println!("{:<20}  {error}", target.name),
        }
    }
}

/// Networks whose samples are packed, with what is wanted of them: at least so many samples a second.
const PACKED: [(&str, &str, f64); 2] = [
    ("cryptonets", PLAIN, 3000.0),
    ("lenet5-square-stride", NORMALIZED, 60.0),
];

/// Prints the table of throughputs; memory is wanted below 12 GB.
pub(crate) fn print_packed() {
    println!("\nWith --batch max, on two threads (wanted, at least):");
    println!("network               samples a second   samples a run   memory, MB");
    for (name, calibration, wanted) in PACKED {
        match packed_row(name, calibration, wanted) {
            Ok(row) => println!("{row}"),
            Err(error) => println!("{name:<20}  {error}"),
        }
    }
}

fn packed_row(name: &str, calibration: &str, wanted: f64) -> Result<String, Box<dyn Error>> {
    let found = measure(name, calibration, &["--batch=max"], &["--runs=1"])?;
    Ok(format!(
        "{name:<20} {:>9.1} ({wanted:>5}) {:>15} {:>12.0}",
        figure(&found, "/samples_per_s", 1.0),
        figure(&found, "/samples", 1.0),
        figure(&found, "/peak_rss_bytes", 1e6)
    ))
}

/// The model's file: of this repository, or of the folder beside it.
fn model(name: &str) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = format!("models/{name}.onnx");
    let places = [root.join("tests/data"), root.join("../shared")];
    let found = places.iter().map(|p| p.join(&file)).find(|p| p.exists());
    found.ok_or_else(|| format!("is not measured: there is no ../shared/{file}"))
}

fn row(target: &Target) -> Result<String, Box<dyn Error>> {
    let found = measure(target.name, target.calibration, &[], &["--time=2"])?;
    Ok(format!(
        "{:<20} {:>8.1} ({:>5.1}) {:>12.1} {:>8.0} ({:>5.0}) {:>10.1} ({:>4.0})",
        target.name,
        figure(&found, "/latency_s/median", 1e-3),
        1e3 * target.latency_s,
        figure(&found, "/expected_latency_s", 1e-3),
        figure(&found, "/peak_rss_bytes", 1e6),
        1e-6 * target.run_bytes,
        figure(&found, "/eval_key_bytes", 1e6),
        1e-6 * target.key_bytes
    ))
}

/// What `bench` prints of a network on two threads.
fn measure(
    name: &str,
    calibration: &str,
    options: &[&str],
    limits: &[&str],
) -> Result<serde_json::Value, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let plan = dir.path().join("plan");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
    let mut compile = cipherloom("compile");
    compile.arg(model(name)?).arg("-o").arg(&plan).args(options);
    json(compile.arg("--calibrate").arg(data.join(calibration)))?;
    let mut bench = cipherloom("bench");
    json(bench.arg(&plan).arg("--threads=2").args(limits))
}

/// A number of a report, in a unit.
fn figure(found: &serde_json::Value, pointer: &str, unit: f64) -> f64 {
    let value = found.pointer(pointer).and_then(serde_json::Value::as_f64);
    value.map_or(f64::NAN, |value| value / unit)
}

fn cipherloom(command: &str) -> Command {
    let mut cipherloom = Command::new(env!("CARGO_BIN_EXE_cipherloom"));
    cipherloom.args([command, "--json", "--quiet"]);
    cipherloom
}

/// What a command prints; its error where it fails.
fn json(command: &mut Command) -> Result<serde_json::Value, Box<dyn Error>> {
    let output = command.output()?;
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout)?)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().into())
    }
}
