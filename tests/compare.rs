//! `--approx compare`: comparisons, signs and selections within a network of ONNX, by compositions of polynomials.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../compiler/tests/common/build.rs"]
mod build;
mod common;

use build::{Model, node};
use cipherloom::data::npz;
use cipherloom::{DType, Tensor};
use common::{json, ok, refused};

const ROWS: usize = 3;
const FIRST: [[f32; 3]; 4] = [
    [1.0, 0.5, -1.0],
    [0.5, -1.0, 0.25],
    [-0.25, 0.5, 0.75],
    [0.5, 0.25, -0.5],
];
/// Operands are multiples of 1/4, and sums multiples of 1/16: none comes closer to these than 1/32.
const THRESHOLDS: [f32; 3] = [0.03125, -0.15625, 0.21875];
const SECOND: [[f32; 2]; 3] = [[1.0, -0.5], [-0.75, 1.0], [0.5, 0.25]];

/// A layer whose results are cut to a quarter below a threshold, plus the side on which they lie, and a layer after it.
fn network() -> Model {
    let flat = |rows: &[&[f32]]| rows.concat();
    let first: Vec<&[f32]> = FIRST.iter().map(|r| &r[..]).collect();
    let second: Vec<&[f32]> = SECOND.iter().map(|r| &r[..]).collect();
    Model {
        opset: 17,
        nodes: vec![
            node("MatMul", "x first", "h", &[]),
            node("Less", "h thresholds", "below", &[]),
            node("Mul", "h quarter", "less", &[]),
            node("Where", "below less h", "kept", &[]),
            node("Sub", "h thresholds", "distance", &[]),
            node("Sign", "distance", "side", &[]),
            node("Add", "kept side", "all", &[]),
            node("MatMul", "all second", "y", &[]),
        ],
        inputs: vec![("x", vec![1, 4])],
        constants: vec![
            ("first", vec![4, 3], flat(&first)),
            ("thresholds", vec![1, 3], THRESHOLDS.to_vec()),
            ("quarter", vec![1], vec![0.25]),
            ("second", vec![3, 2], flat(&second)),
        ],
        whole_constants: vec![],
        outputs: vec!["y"],
    }
}

/// The network's formulas, apart from any reader of it.
fn clear(x: &[f64]) -> Vec<f64> {
    let hidden = |j: usize| {
        let h: f64 = (0..4).map(|i| x[i] * f64::from(FIRST[i][j])).sum();
        let t = f64::from(THRESHOLDS[j]);
        if h < t { 0.25 * h - 1.0 } else { h + 1.0 }
    };
    let output = |k: usize| (0..3).map(|j| hidden(j) * f64::from(SECOND[j][k])).sum();
    (0..2).map(output).collect()
}

#[test]
fn comparisons_of_a_network_are_approximated_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    std::fs::write(path.join("m.onnx"), network().bytes()).unwrap();
    let compile =
        "compile m.onnx -o m --backend ckks --input-range x=-1,1 --margin 1 --precision 7";
    let text = refused(path, compile);
    for part in ["Less", "Where", "Sign"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!path.join("m").exists());

    ok(path, &format!("{compile} --approx compare -q"));
    let report = json(path, "explain m");
    let signs = report["approximations"].as_array().unwrap();
    assert!(!signs.is_empty());
    for sign in signs {
        assert_eq!(sign["function"], "sign");
        assert!(sign["polynomials"].as_array().unwrap().len() > 1, "{sign}");
        // Narrow enough for what is compared here.
        let zone = sign["dead_zone"].as_f64().unwrap();
        assert!(zone > 0.0 && zone < 0.031, "{sign}");
    }

    let x: Vec<f64> = (0..4 * ROWS as i32)
        .map(|i| f64::from(i * 37 % 9 - 4) / 4.0)
        .collect();
    let rows: Vec<Vec<f64>> = x.chunks(4).map(clear).collect();
    let tensor = Tensor::new(vec![ROWS, 4], x).unwrap();
    let file = npz::write(&[("x", &tensor, DType::F32)], false).unwrap();
    std::fs::write(path.join("in.npz"), file).unwrap();
    ok(path, "infer m --input in.npz -o y.npy");
    let bytes = std::fs::read(path.join("y.npy")).unwrap();
    let y = npz::Arrays::open(&bytes, "y").unwrap().read("y").unwrap();
    assert_eq!(y.shape(), [ROWS, 2]);
    // 7 bits of the largest output that there may be; a wrong side alone makes a difference of at least 1/2.
    let largest = report["outputs"][0]["range"][1].as_f64().unwrap();
    for (found, expected) in y.data().iter().zip(rows.concat()) {
        let error = (found - expected).abs();
        assert!(
            error < largest / 128.0,
            "{found} for {expected}, of {largest}"
        );
    }
}
