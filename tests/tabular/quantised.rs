//! A network that is quantised already, in the form that onnxruntime's static quantisation writes (QDQ).

use crate::build::{A, Model, node};
use crate::common::{data, image, json, ok, refused};
use onnx_protobuf::{Message, ModelProto};
use std::fs;

/// The floating-point initializers of a model, in order.
fn weights(model: &str) -> Vec<Vec<f32>> {
    let bytes = fs::read(data(&format!("models/{model}.onnx"))).unwrap();
    let model = ModelProto::parse_from_bytes(&bytes).unwrap();
    let floats = |raw: &[u8]| {
        let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        raw.chunks_exact(4).map(number).collect()
    };
    let initializers = &model.graph.initializer;
    initializers.iter().map(|t| floats(&t.raw_data)).collect()
}

/// Rows of `columns` weights as integers of 8 bits, and a scale for each row.
fn rounded(weights: &[f32], columns: usize) -> (Vec<i64>, Vec<f32>) {
    let (mut integers, mut scales) = (vec![], vec![]);
    for row in weights.chunks(columns) {
        let scale = row.iter().fold(0.0, |m: f32, w| m.max(w.abs())) / 127.0;
        integers.extend(row.iter().map(|w| (w / scale).round() as i64));
        scales.push(scale);
    }
    (integers, scales)
}

/// The breast-cancer MLP: 30 features, 16 sigmoids, one sigmoid.
fn mlp() -> Model {
    let weights = weights("breast-cancer-mlp");
    let [w0, b0, w1, b1] = &weights[..] else {
        panic!("{} initializers", weights.len());
    };
    let ((w0, s0), (w1, s1)) = (rounded(w0, 30), rounded(w1, 16));
    let cast = |name: &str, to| node("Cast", &format!("{name}64"), name, &[("to", A::I(to))]);
    let gemm = |inputs, output| node("Gemm", inputs, output, &[("transB", A::I(1))]);
    let along = |inputs, output| node("DequantizeLinear", inputs, output, &[("axis", A::I(0))]);
    let nodes = vec![
        cast("w0", 3),
        cast("w1", 3),
        cast("xz", 2),
        cast("az", 2),
        along("w0 s0", "w0r"),
        along("w1 s1", "w1r"),
        node("QuantizeLinear", "x xs xz", "q", &[]),
        node("DequantizeLinear", "q xs xz", "xr", &[]),
        gemm("xr w0r b0", "h"),
        node("Sigmoid", "h", "a", &[]),
        node("QuantizeLinear", "a as az", "aq", &[]),
        node("DequantizeLinear", "aq as az", "ar", &[]),
        gemm("ar w1r b1", "z"),
        node("Sigmoid", "z", "y", &[]),
    ];
    let mut model = Model::of(17, nodes[0].clone(), &[1, 30], vec![]);
    model.nodes = nodes;
    model.constants = vec![
        ("s0", vec![16], s0),
        ("s1", vec![1], s1),
        ("b0", vec![16], b0.clone()),
        ("b1", vec![1], b1.clone()),
        ("xs", vec![], vec![0.0625]),
        ("as", vec![], vec![1.0 / 255.0]),
    ];
    model.whole_constants = vec![
        ("w064", vec![16, 30], w0),
        ("w164", vec![1, 16], w1),
        ("xz64", vec![], vec![60]),
        ("az64", vec![], vec![0]),
    ];
    model
}

#[test]
fn a_quantised_network_runs_encrypted_on_its_own_scale() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("q.onnx"), mlp().bytes()).unwrap();
    let calibrate = image("breast-cancer-calib.npz");
    let calibrate = format!("--margin 3 --calibrate {}", calibrate.display());
    ok(
        dir,
        &format!("compile q.onnx -o m --backend tfhe {calibrate}"),
    );
    // 8 bits of the network's own, where the compiler would take 12.
    let input = &json(dir, "explain m")["inputs"][0];
    assert_eq!(input["integers"], serde_json::json!([0, 255]), "{input}");
    let found = json(
        dir,
        &format!(
            "check m --input {} --labels {} --encrypted 5",
            image("breast-cancer-test.npz").display(),
            image("breast-cancer-test-labels.npy").display()
        ),
    );
    let share = |part: &str, what: &str| found[part][what].as_f64().unwrap();
    let loss = share("clear", "accuracy") - share("simulated", "accuracy");
    assert!(share("clear", "accuracy") > 0.93, "{found}");
    assert!(loss <= 0.01, "{found}");
    assert!(share("encrypted", "agreement") >= 0.8, "{found}");

    // What rounds under encryption has no form under CKKS: one says so, and `auto` takes the other backend.
    let error = refused(
        dir,
        &format!("compile q.onnx -o c --backend ckks {calibrate}"),
    );
    assert!(error.contains("QuantizeLinear"), "{error}");
    assert!(error.contains("--backend tfhe"), "{error}");
    ok(dir, &format!("compile q.onnx -o a {calibrate}"));
    let choice = json(dir, "explain a")["choice"].clone();
    let choice = choice.as_str().unwrap();
    assert!(choice.starts_with("tfhe: ckks has no plan"), "{choice}");
}
