//! `bench`, and limits of memory at every command that runs a plan.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use common::{image, json, network, ok, refused};
use std::path::Path;

/// The compiled small network, in the folder `m`.
fn compiled(dir: &Path) {
    let digits = network("digits-mlp-square");
    let words = digits.options().join(" ");
    ok(
        dir,
        &format!("compile {} -o m {words}", digits.model().display()),
    );
}

#[test]
fn a_plan_is_measured_layer_by_layer() {
    let dir = tempfile::tempdir().unwrap();
    compiled(dir.path());
    let report = json(dir.path(), "explain m");
    let found = json(dir.path(), "bench m --runs 4 --threads 2");
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    assert_eq!((&found["runs"], &found["threads"]), (&4.into(), &2.into()));
    assert_eq!(
        (&found["samples"], &found["plan_id"]),
        (&1.into(), &report["plan_id"])
    );
    let latency = &found["latency_s"];
    assert!(number(&latency["min"]) > 0.0);
    assert!(number(&latency["min"]) <= number(&latency["median"]));
    assert!(number(&latency["median"]) <= number(&latency["max"]));
    let product = number(&found["samples_per_s"]) * number(&latency["median"]);
    assert!((product - 1.0).abs() < 1e-9);
    assert!(number(&found["load_s"]["plan"]) > 0.0 && number(&found["load_s"]["server"]) > 0.0);
    if cfg!(target_os = "linux") {
        assert!(number(&found["peak_rss_bytes"]) > number(&found["eval_key_bytes"]));
    }
    // The layers are those of `explain`, and their times add up to those of the operations.
    let names = |of: &serde_json::Value, key: &str| -> Vec<String> {
        let parts = of.as_array().unwrap().iter();
        parts.map(|p| p[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names(&found["layers"], "name"),
        names(&report["layers"], "layer")
    );
    assert_eq!(names(&found["operations"], "name").len(), 2);
    let sum = |key: &str| -> f64 {
        let parts = found[key].as_array().unwrap().iter();
        parts.map(|p| number(&p["seconds"])).sum()
    };
    assert!((sum("layers") - sum("operations")).abs() < 1e-9);
    assert!(sum("layers") > 0.0 && sum("layers") <= 4.0 * number(&latency["max"]));
    let text = ok(dir.path(), "bench m/server.plan --runs 1");
    assert!(
        text.contains("latency") && text.contains("linear transform"),
        "{text}"
    );
}

#[test]
#[cfg(feature = "tfhe")]
fn a_plan_of_the_other_backend_is_measured_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (model, calib) = (
        common::data("models/breast-cancer-mlp.onnx"),
        image("breast-cancer-calib.npz"),
    );
    let compile = format!("compile {} -o m --backend tfhe", model.display());
    ok(dir, &format!("{compile} --calibrate {}", calib.display()));
    let report = json(dir, "explain m");
    let found = json(dir, "bench m --runs 2 --threads 2");
    assert_eq!((&found["runs"], &found["samples"]), (&2.into(), &1.into()));
    assert_eq!(found["plan_id"], report["plan_id"]);
    assert_eq!(
        found["expected_latency_s"],
        report["cost"]["latency_by_threads"][0]["latency_s"]
    );
    let least = found["latency_s"]["min"].as_f64().unwrap();
    assert!(least > 0.0);
    // The layers are those of `explain`; nearly all of the time is that of lookups.
    let layers = found["layers"].as_array().unwrap();
    let known = report["layers"].as_array().unwrap();
    assert_eq!(layers.len(), known.len());
    for (layer, known) in layers.iter().zip(known) {
        assert_eq!(layer["name"], known["layer"]);
        let steps = known["steps"].as_array().unwrap();
        assert_eq!(layer["steps"].as_u64().unwrap() as usize, steps.len());
    }
    let first = &found["operations"][0];
    assert_eq!(first["name"], "lookup");
    assert!(first["seconds"].as_f64().unwrap() > 0.5 * least, "{found}");
    let text = ok(dir, "bench m --runs 1");
    assert!(
        text.contains("latency") && text.contains("lookup"),
        "{text}"
    );
    let text = refused(dir, "bench m --runs 1 --max-memory 1000");
    assert!(text.contains("memory"), "{text}");
}

#[test]
fn commands_that_run_a_plan_take_a_limit_of_memory() {
    let dir = tempfile::tempdir().unwrap();
    compiled(dir.path());
    let cost = &json(dir.path(), "explain m")["cost"];
    let (least, most) = (&cost["least_run_bytes"], &cost["run_bytes"]);
    assert!(least.as_u64().unwrap() <= most.as_u64().unwrap());
    let input = image("digits-test.npz");
    for words in [
        format!("infer m --input {} -o out.npz", input.display()),
        format!("check m --input {} --encrypted 1", input.display()),
        "bench m --runs 1".to_owned(),
    ] {
        ok(dir.path(), &format!("{words} --max-memory {least}"));
        let text = refused(dir.path(), &format!("{words} --max-memory 1000"));
        assert!(text.contains("memory") && text.contains("1000"), "{text}");
    }
    for words in ["bench m --runs 0", "bench m --time -1", "bench none"] {
        refused(dir.path(), words);
    }
}
