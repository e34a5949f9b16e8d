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

/// The model's file: of this repository, or of the folder beside it.
fn model(name: &str) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = format!("models/{name}.onnx");
    let places = [root.join("tests/data"), root.join("../shared")];
    let found = places.iter().map(|p| p.join(&file)).find(|p| p.exists());
    found.ok_or_else(|| format!("is not measured: there is no ../shared/{file}"))
}

fn row(target: &Target) -> Result<String, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let plan = dir.path().join("plan");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
    let mut compile = cipherloom("compile");
    compile.arg(model(target.name)?).arg("-o").arg(&plan);
    json(
        compile
            .arg("--calibrate")
            .arg(data.join(target.calibration)),
    )?;
    let mut bench = cipherloom("bench");
    let found = json(bench.arg(&plan).args(["--threads=2", "--time=2"]))?;
    let figure = |pointer: &str, unit: f64| {
        let value = found.pointer(pointer).and_then(serde_json::Value::as_f64);
        value.map_or(f64::NAN, |value| value / unit)
    };
    Ok(format!(
        "{:<20} {:>8.1} ({:>5.1}) {:>12.1} {:>8.0} ({:>5.0}) {:>10.1} ({:>4.0})",
        target.name,
        figure("/latency_s/median", 1e-3),
        1e3 * target.latency_s,
        figure("/expected_latency_s", 1e-3),
        figure("/peak_rss_bytes", 1e6),
        1e-6 * target.run_bytes,
        figure("/eval_key_bytes", 1e6),
        1e-6 * target.key_bytes
    ))
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
