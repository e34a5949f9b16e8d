//! Writes the seeds of all targets to `fuzz/corpus`, and ends before any fuzzing: a fuzz target in form alone, so that it is built
//! along with the others.
#![no_main]

use cipherloom::data::{npy, npz};
use cipherloom_fuzz::seeds;
use cipherloom_ir::{DType, Tensor, circuit, plan, tensor};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::Path;

fn save(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&folder).expect("the folder is made");
    fs::write(folder.join(name), bytes).expect("the seed is written");
    println!("{target}/{name}: {} bytes", bytes.len());
}

fn write_all() {
    let compiled = &*seeds::COMPILED;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let model = fs::read(root.join("tests/data/models/digits-mlp-square.onnx"));
    save("onnx_import", "digits", &model.expect("the model is there"));
    for folder in ["examples/hefactory", "examples/loom"] {
        for entry in fs::read_dir(root.join(folder)).expect("the folder is there") {
            let path = entry.expect("the folder is read").path();
            let name = path.file_stem().map(|n| n.to_string_lossy().into_owned());
            let program = fs::read(&path).expect("the program is there");
            save("loom", &name.unwrap_or_default(), &program);
        }
    }
    save("tensor_text", "tiny", seeds::NETWORK.as_bytes());
    save(
        "tensor_text",
        "rewritten",
        tensor::print(&compiled.tensor).as_bytes(),
    );
    save(
        "circuit_text",
        "tiny",
        circuit::print(&compiled.circuit).as_bytes(),
    );
    save("plan_text", "tiny", plan::print(&compiled.plan).as_bytes());
    save("server_plan", "tiny", &seeds::SERVER_PLAN);
    save("client_plan", "tiny", &seeds::CLIENT_PLAN);
    save("integer_plan", "tiny", &seeds::INTEGER_PLAN);
    save("evaluation_key", "toy", &seeds::EVALUATION_KEY);
    save("ciphertext", "toy", &seeds::CIPHERTEXT);
    save("secret_key", "toy", &seeds::SECRET_KEY);
    save("public_key", "toy", &seeds::PUBLIC_KEY);

    let array = |shape: &[usize]| {
        let count = shape.iter().product();
        let values = (0..count).map(|i: usize| i as f64 % 10.0).collect();
        Tensor::new(shape.to_vec(), values).expect("the shape fits")
    };
    let (images, pairs) = (array(&[4, 2, 2]), array(&[2, 2]));
    let mut single = Vec::new();
    npy::write(&images, DType::F32, &mut single).expect("a vector can be written to");
    save("numpy", "single.npy", &single);
    let mut labels = Vec::new();
    npy::write_bytes(&[1, 2, 3, 4], &mut labels).expect("a vector can be written to");
    save("numpy", "labels.npy", &labels);
    for deflate in [false, true] {
        let bytes = npz::write(&[("a", &pairs, DType::F64), ("b", &pairs, DType::F32)], deflate);
        let name = if deflate {
            "deflated.npz"
        } else {
            "stored.npz"
        };
        save("numpy", name, &bytes.expect("a vector can be written to"));
    }
    std::process::exit(0);
}

fuzz_target!(
    init: {
        write_all();
    },
    |_bytes: &[u8]| {}
);
