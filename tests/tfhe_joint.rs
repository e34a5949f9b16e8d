//! Several functions of the same sums in one bootstrap, under encryption.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg(feature = "tfhe")]

mod common;

use cipherloom::{AnyCompiled, Backend, Compiler, Model, Tensor, Tensors};
use cipherloom_client::TfheClient;
use cipherloom_ir::integer::{dequantise, quantise};
use cipherloom_ir::tensor::eval;
use cipherloom_runtime::TfheServer;
use common::intervals::intervals;
use std::fs;

/// Numbers from -1 to 1, by a fixed sequence.
fn samples(count: usize) -> Vec<Tensors> {
    let x = |i: usize| ((i * 37 + i * i * 11) % 201) as f64 / 100.0 - 1.0;
    let sample = |s: usize| {
        let data = (0..6).map(|e| x(6 * s + e)).collect();
        let tensor = Tensor::new(vec![2, 3], data).unwrap();
        Tensors::from([("x".to_owned(), tensor)])
    };
    (0..count).map(sample).collect()
}

#[test]
fn functions_of_the_same_sums_take_one_bootstrap() {
    let program = "input x: encrypted[2, 3]\nlet s = mean(x, 0)\noutput y = sigmoid(s)\noutput z = clip(s, -0.25, 0.5)\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("joint.loom");
    fs::write(&path, program).unwrap();
    let model = Model::from_loom(&path).unwrap();
    let all = samples(132);
    let compiler = Compiler::new()
        .backend(Backend::Tfhe)
        .keep_tail(true)
        .agreement(0.5)
        .calibrate(&all[..128]);
    let AnyCompiled::Tfhe(compiled) = compiler.compile_any(&model).unwrap() else {
        panic!("another backend");
    };
    let server_plan = compiled.server_plan();
    let plan = server_plan.plan().clone();
    assert_eq!(plan.bootstraps(), 3);
    let client = TfheClient::new(server_plan.client_plan()).unwrap();
    let server = TfheServer::new(server_plan, client.server_keys().unwrap()).unwrap();
    let (mut off, mut count) = (0.0, 0.0);
    for sample in &all[128..] {
        let integers = vec![quantise(&plan.inputs[0], sample["x"].data())];
        let outputs = server.run(&client.encrypt(sample).unwrap()).unwrap();
        let decrypted = client.decrypt_integers(&outputs).unwrap();
        let clear = eval(model.module(), sample).unwrap();
        let bounds = intervals(&plan, &integers);
        for ((port, found), bounds) in plan.outputs.iter().zip(decrypted).zip(bounds) {
            let found = &found[0];
            for (m, (lo, hi)) in found.iter().zip(bounds) {
                assert!((lo..=hi).contains(&i128::from(*m)), "{m}: {lo} .. {hi}");
            }
            let numbers = dequantise(port, found);
            for (x, clear) in numbers.iter().zip(clear[&port.name].data()) {
                off += (x - clear).abs();
                count += 1.0;
            }
        }
    }
    assert!(count == 24.0 && off / count < 0.04, "{}", off / count);
}
