//! A hundred encrypted images per network, and the whole test set simulated, over the folder `../shared` where it is.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use common::{NETWORKS, Network, json, write_npy};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

fn shared() -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    found.join("mnist").is_dir().then_some(found)
}

fn unpack(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

/// Writes the whole test set in a network's own form, and returns its number of samples.
fn write_test_set(network: &Network, shared: &Path, dir: &Path) -> usize {
    let (images, labels) = (dir.join("images.npy"), dir.join("labels.npy"));
    if network.name.starts_with("digits") {
        let bytes = fs::read(shared.join("tabular/digits-test.npz")).unwrap();
        let mut arrays = cipherloom::data::npz::Arrays::open(&bytes, "digits").unwrap();
        let (x, y) = (arrays.read("x").unwrap(), arrays.read("y").unwrap());
        write_npy(&images, x.shape(), |i| x.data()[i]);
        write_npy(&labels, y.shape(), |i| y.data()[i]);
        return y.len();
    }
    let pixels = unpack(&shared.join("mnist/t10k-images-idx3-ubyte.gz"));
    let classes = unpack(&shared.join("mnist/t10k-labels-idx1-ubyte.gz"));
    let normalized = network.name.starts_with("mlp");
    let value = |i: usize| {
        let x = f32::from(pixels[16 + i]) / 255.0;
        f64::from(if normalized { (x - 0.1307) / 0.3081 } else { x })
    };
    write_npy(&images, &[10_000, 1, 28, 28], value);
    write_npy(&labels, &[10_000], |i| f64::from(classes[8 + i]));
    10_000
}

#[test]
fn a_hundred_encrypted_images_per_network() {
    let Some(shared) = shared() else {
        // The test harness hides what passing tests print by macro, but not what they write to the stream itself.
        let line = b"skipped: there is no folder ../shared/data\n";
        std::io::stderr().write_all(line).unwrap();
        return;
    };
    for network in &NETWORKS {
        let dir = tempfile::tempdir().unwrap();
        let samples = write_test_set(network, &shared, dir.path());
        let options = network.options().join(" ");
        let model = network.model();
        let words = format!(
            "check {} {options} --input images.npy --labels labels.npy --encrypted 100",
            model.display()
        );
        let report = json(dir.path(), &words);
        let figure = |value: &serde_json::Value| value.as_f64().unwrap();
        let (encrypted, simulated) = (&report["encrypted"], &report["simulated"]);
        let clear = figure(&report["clear"]["accuracy"]);
        println!("{}: {report}", network.name);
        assert_eq!(
            (&report["samples"], &encrypted["samples"]),
            (&samples.into(), &100.into())
        );
        assert_eq!(figure(&encrypted["agreement"]), 1.0, "{}", network.name);
        assert!(figure(&encrypted["error_bits"]) >= 12.0, "{}", network.name);
        let gap = figure(&encrypted["error_bits"]) - figure(&encrypted["predicted_error_bits"]);
        assert!(
            gap.abs() <= 2.0,
            "{}: {gap} bits between prediction and measurement",
            network.name
        );
        assert!(
            (figure(&simulated["accuracy"]) - clear).abs() <= 0.001,
            "{}",
            network.name
        );
    }
}
