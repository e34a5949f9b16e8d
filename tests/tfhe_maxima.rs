//! Exact maxima under encryption, bit for bit.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg(feature = "tfhe")]

mod common;

use cipherloom::{AnyCompiled, Backend, Compiler, Model, Tensor, Tensors};
use cipherloom_client::TfheClient;
use cipherloom_ir::integer::{IntegerSimulator, quantise};
use cipherloom_runtime::TfheServer;
use common::intervals::intervals;
use std::fs;

/// Numbers from -1 to 1, by a fixed sequence.
fn samples(count: usize) -> Vec<Tensors> {
    let x = |i: usize| ((i * 37 + i * i * 11) % 201) as f64 / 100.0 - 1.0;
    let sample = |s: usize| {
        let data = (0..16).map(|e| x(16 * s + e)).collect();
        let tensor = Tensor::new(vec![1, 4, 4], data).unwrap();
        Tensors::from([("x".to_owned(), tensor)])
    };
    (0..count).map(sample).collect()
}

/// Integers of a program's output: what was decrypted, what the simulator says, and where they may lie, for a few samples.
type Found = (Vec<i64>, Vec<i64>, Vec<(i128, i128)>);

fn found(program: &str, all: &[Tensors], bootstraps: u64) -> Vec<Found> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("max.loom");
    fs::write(&path, program).unwrap();
    let compiler = Compiler::new()
        .backend(Backend::Tfhe)
        .keep_tail(true)
        .calibrate(&all[..128]);
    let compiled = compiler
        .compile_any(&Model::from_loom(&path).unwrap())
        .unwrap();
    let AnyCompiled::Tfhe(compiled) = compiled else {
        panic!("another backend");
    };
    let server_plan = compiled.server_plan();
    let plan = server_plan.plan().clone();
    assert_eq!(plan.bootstraps(), bootstraps);
    assert_eq!(plan.outputs[0].slack, 0);
    let client = TfheClient::new(server_plan.client_plan()).unwrap();
    let server = TfheServer::new(server_plan, client.server_keys().unwrap()).unwrap();
    let one = |sample: &Tensors| {
        let integers = vec![quantise(&plan.inputs[0], sample["x"].data())];
        let exact = IntegerSimulator::new(&plan).run_integers(&integers, None);
        let outputs = server.run(&client.encrypt(sample).unwrap()).unwrap();
        let outputs = client.decrypt_integers(&outputs).unwrap();
        let bounds = intervals(&plan, &integers).remove(0);
        (
            outputs[0][0].clone(),
            exact.unwrap().remove(0),
            bounds.clone(),
        )
    };
    all[126..].iter().map(one).collect()
}

#[test]
fn maxima_of_inputs_are_exact_bit_for_bit() {
    let program = "input x: encrypted[1, 4, 4]\noutput y = max_pool(x, 2)\n";
    for (decrypted, simulated, _) in found(program, &samples(130), 4 * 3) {
        assert_eq!(decrypted, simulated);
    }
}

/// Whether the decrypted maxima of lookups are whole levels within their index error, and how many are the simulator's.
fn alike(found: Vec<Found>) -> usize {
    let mut alike = 0;
    for (decrypted, simulated, bounds) in found {
        for ((m, exact), (lo, hi)) in decrypted.iter().zip(&simulated).zip(bounds) {
            // Of the lookups of inputs alone an index may be off; four units are a level.
            assert!(m % 4 == 0 && (lo..=hi).contains(&i128::from(*m)), "{m}");
            alike += usize::from(m == exact);
        }
    }
    alike
}

#[test]
fn maxima_of_lookups_are_whole_levels_within_their_index_error() {
    let program = "input x: encrypted[1, 4, 4]\noutput y = max_pool(relu(x), 2)\n";
    let alike = alike(found(program, &samples(130), 4 * (4 + 3)));
    assert!(alike >= 8, "{alike} of 16");
}

/// As at the border of images: one element takes two levels, and two are the same in all samples.
#[test]
fn maxima_of_elements_that_hardly_vary_are_exact() {
    let program = "input x: encrypted[1, 4, 4]\noutput y = max_pool(relu(x), 2)\n";
    let mut all = samples(130);
    for sample in &mut all {
        for tensor in sample.values_mut() {
            let data = tensor.data_mut();
            data[0] = 0.04 + 0.04 * data[0];
            (data[3], data[15]) = (-0.4242, 0.4242);
        }
    }
    let alike = alike(found(program, &all, 4 * (4 + 3)));
    assert!(alike >= 8, "{alike} of 16");
}
