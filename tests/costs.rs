//! Cost models: from files into estimates and plans.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use cipherloom::{Compiler, CostModel, Model, Range};
use common::{image, json, network, ok, refused};
use std::fs;
use std::path::Path;

/// The built-in figures with every rate of one kind times a factor.
fn scaled(factor: f64) -> CostModel {
    let mut model = CostModel::built_in().clone();
    for ring in model.rings.values_mut() {
        ring.narrow = ring.narrow.with_each(|us| us * factor);
        ring.wide = ring.wide.with_each(|us| us * factor);
    }
    model
}

fn write(dir: &Path, name: &str, model: &CostModel) {
    fs::write(dir.join(name), model.to_text()).unwrap();
}

#[test]
fn estimates_follow_the_rates() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let digits = network("digits-mlp-square");
    let model = digits.model().display().to_string();
    write(dir, "same.json", &scaled(1.0));
    write(dir, "slow.json", &scaled(4.0));
    let options = "--input-range input=0,1 -o";
    let compile = |folder: &str, more: &str| {
        let words = format!("compile {model} {options} {folder} {more}");
        let found = json(dir, words.trim_end());
        let plan = fs::read(dir.join(folder).join("server.plan")).unwrap();
        (found["report"]["cost"]["latency_s"].as_f64().unwrap(), plan)
    };
    let (built_in, plan) = compile("a", "");
    assert!(plan == compile("b", "--cost-model same.json").1);
    let (slow, slow_plan) = compile("c", "--cost-model slow.json");
    assert!(slow_plan == compile("d", "--cost-model slow.json").1);
    assert!(slow > 2.0 * built_in, "{slow} and {built_in}");

    // The same plan, by layers and threads.
    let explain = |more: &str| json(dir, format!("explain a {more}").trim_end());
    let (fast, slow) = (explain(""), explain("--cost-model slow.json"));
    let latency = |report: &serde_json::Value| report["cost"]["latency_s"].as_f64().unwrap();
    assert!((latency(&slow) / latency(&fast) - 4.0).abs() < 1e-9);
    assert_eq!(latency(&fast), built_in);
    let layers = fast["layers"].as_array().unwrap().iter();
    let sum: f64 = layers.map(|l| l["latency_s"].as_f64().unwrap()).sum();
    assert!((sum / latency(&fast) - 1.0).abs() < 1e-9);
    let threads = fast["cost"]["latency_by_threads"].as_array().unwrap();
    let mut last = latency(&fast);
    for more in threads {
        let next = more["latency_s"].as_f64().unwrap();
        assert!(next <= last && next >= latency(&fast) / more["threads"].as_f64().unwrap());
        last = next;
    }
    let text = ok(dir, "explain a --cost-model slow.json");
    let expected = format!("{:.1} ms expected on one thread", 1e3 * latency(&slow));
    assert!(text.contains(&expected), "{text}");
    let bench = json(dir, "bench a --runs 1 --threads 1 --cost-model slow.json");
    assert_eq!(bench["expected_latency_s"].as_f64(), Some(latency(&slow)));

    // The library takes the same.
    let compiled = Compiler::new()
        .input_range("input", Range { lo: 0.0, hi: 1.0 })
        .cost_model(scaled(4.0))
        .compile_any(&Model::from_onnx(digits.model()).unwrap());
    assert!(compiled.unwrap().server_plan().to_bytes() == slow_plan);
}

#[test]
fn what_is_wrong_with_a_cost_model_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let model = network("digits-mlp-square").model().display().to_string();
    let text = scaled(1.0).to_text();
    let faults = [
        (
            text.replacen("ntt_us", "ntt", 1),
            "rings[0].narrow.ntt_us is missing",
        ),
        (
            text.replacen("\"version\": 2", "\"version\": 7", 1),
            "version 7",
        ),
        (text[..text.len() / 2].to_owned(), "not JSON"),
    ];
    let input = image("digits-test.npz");
    for (text, expected) in faults {
        fs::write(dir.join("bad.json"), text).unwrap();
        for command in [
            format!("compile {model} -o m --input-range input=0,1"),
            format!(
                "infer {model} --input {} -o y.npz --input-range input=0,1",
                input.display()
            ),
            format!(
                "check {model} --input {} --input-range input=0,1",
                input.display()
            ),
            "explain m".to_owned(),
        ] {
            let found = refused(dir, &format!("{command} --cost-model bad.json"));
            assert!(
                found.contains("bad.json") && found.contains(expected),
                "{found}"
            );
        }
    }
    assert!(refused(dir, "explain m --cost-model none.json").contains("none.json"));
}
