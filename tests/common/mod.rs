//! What the integration tests share: the networks, their data, and the command line.
// Each test binary uses a part of this, and a test may panic.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod intervals;
pub mod sets;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A network of `tests/data/models` and the data that it takes.
pub struct Network {
    pub name: &'static str,
    pub calibration: &'static [&'static str],
    pub images: &'static str,
    pub labels: &'static str,
}

pub const NETWORKS: [Network; 5] = [
    Network {
        name: "lola",
        calibration: &["--calibrate", "mnist-calib.npz"],
        images: "mnist-test.npz",
        labels: "mnist-test-labels.npy",
    },
    Network {
        name: "cryptonets",
        calibration: &["--calibrate", "mnist-calib.npz"],
        images: "mnist-test.npz",
        labels: "mnist-test-labels.npy",
    },
    Network {
        name: "tenseal-cnn",
        calibration: &["--calibrate", "mnist-calib.npz"],
        images: "mnist-test.npz",
        labels: "mnist-test-labels.npy",
    },
    Network {
        name: "mlp-square",
        calibration: &["--calibrate", "mnist-normalized-calib.npz"],
        images: "mnist-normalized-test.npz",
        labels: "mnist-normalized-test-labels.npy",
    },
    Network {
        name: "digits-mlp-square",
        calibration: &["--input-range", "input=0,1"],
        images: "digits-test.npz",
        labels: "digits-test-labels.npy",
    },
];

pub fn network(name: &str) -> &'static Network {
    NETWORKS.iter().find(|n| n.name == name).unwrap()
}

pub fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(path)
}

pub fn image(name: &str) -> PathBuf {
    data("images").join(name)
}

impl Network {
    pub fn model(&self) -> PathBuf {
        data("models").join(format!("{}.onnx", self.name))
    }

    /// The options of compilation, with full paths.
    pub fn options(&self) -> Vec<String> {
        let full = |word: &&str| match word.strip_suffix(".npz") {
            Some(_) => image(word).display().to_string(),
            None => (*word).to_owned(),
        };
        self.calibration.iter().map(full).collect()
    }
}

/// The command line in a folder; words are separated by spaces.
pub fn cli(dir: &Path, words: &str) -> Output {
    cli_words(
        dir,
        &words.split(' ').map(str::to_owned).collect::<Vec<_>>(),
    )
}

pub fn cli_words(dir: &Path, words: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cipherloom"))
        .args(words)
        .current_dir(dir)
        .output()
        .unwrap()
}

/// A command that must succeed; its standard output.
pub fn ok(dir: &Path, words: &str) -> String {
    let output = cli(dir, words);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// A text as one line, so that it does not matter where it was broken.
pub fn unbroken(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The one JSON object of a command that must succeed.
pub fn json(dir: &Path, words: &str) -> serde_json::Value {
    let text = ok(dir, &format!("{words} --json"));
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// A command that must be refused with status 1 without a word on standard output; its standard error.
pub fn refused(dir: &Path, words: &str) -> String {
    let before = listing(dir);
    let output = cli(dir, words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}: {stderr}");
    assert!(output.stdout.is_empty(), "{words}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    assert_eq!(listing(dir), before, "{words} wrote something");
    stderr
}

/// The files of a folder and its subfolders, with their sizes.
fn listing(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(listing(&entry.path()));
        } else {
            found.push((entry.path(), entry.metadata().unwrap().len()));
        }
    }
    found.sort();
    found
}

/// A `.npy` file of float32.
pub fn write_npy(path: &Path, shape: &[usize], value: impl Fn(usize) -> f64) {
    let count = shape.iter().product();
    let tensor = cipherloom::Tensor::new(shape.to_vec(), (0..count).map(value).collect()).unwrap();
    let mut bytes = Vec::new();
    cipherloom::data::npy::write(&tensor, cipherloom::DType::F32, &mut bytes).unwrap();
    std::fs::write(path, bytes).unwrap();
}
