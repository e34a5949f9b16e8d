//! A hundred encrypted images per network, and the whole test set simulated, over the folder `../shared` where it is.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use common::sets::{Set, shared};
use common::{NETWORKS, json};

#[test]
fn a_hundred_encrypted_images_per_network() {
    let Some(shared) = shared() else { return };
    for network in &NETWORKS {
        let dir = tempfile::tempdir().unwrap();
        let set = match network.name {
            name if name.starts_with("digits") => Set::Digits,
            name if name.starts_with("mlp") => Set::MnistNormalized,
            _ => Set::Mnist,
        };
        let samples = set.write_test(&shared, dir.path(), usize::MAX);
        let options = network.options().join(" ");
        let model = network.model();
        let words = format!(
            "check {} {options} --input samples.npy --labels labels.npy --encrypted 100",
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
