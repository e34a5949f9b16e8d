//! Real networks, calibrated on real images, where the larger data lie beside the repository.
//!
//! Each is compiled and its plan simulated, so that packing, levels and scales are checked against the clear
//! interpreter without cryptography.

#![allow(clippy::unwrap_used)]

use cipherloom_compiler::{Compiled, Compiler, onnx};
use cipherloom_ir::plan::Simulator;
use cipherloom_ir::tensor::{self, Module};
use cipherloom_ir::{Tensor, Tensors};
use std::path::{Path, PathBuf};

fn shared() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    if path.join("models").is_dir() {
        return Some(path);
    }
    println!("skipped: no folder `shared` beside the repository");
    None
}

fn import(shared: &Path, name: &str) -> Module {
    let file = shared.join(format!("models/{name}.onnx"));
    onnx::import(&std::fs::read(&file).unwrap(), file.parent(), name, name).unwrap()
}

fn mnist(shared: &Path, module: &Module, standardised: bool) -> Vec<Tensors> {
    let bytes = std::fs::read(shared.join("data/mnist/calib1000.images.bin")).unwrap();
    let input = &module.inputs[0];
    let shape = module.graph.get(input.node).unwrap().shape.clone();
    let pixel = |b: &u8| {
        let x = f64::from(*b) / 255.0;
        if standardised {
            (x - 0.1307) / 0.3081
        } else {
            x
        }
    };
    let image = |chunk: &[u8]| {
        let tensor = Tensor::new(shape.clone(), chunk.iter().map(pixel).collect()).unwrap();
        Tensors::from([(input.name.clone(), tensor)])
    };
    bytes.chunks(784).map(image).collect()
}

fn report(name: &str, compiled: &Compiled) {
    let (plan, params) = (&compiled.plan, &compiled.plan.params);
    let log_q: f64 = params.q.iter().map(|q| (*q as f64).log2()).sum();
    println!(
        "{name}: depth {}, N 2^{}, log Q {log_q:.1}, log QP {:.1}, {} specials, {:.2} bits, {} rotation keys, {:?}",
        params.max_level(),
        params.log_n,
        params.log_qp(),
        params.p.len(),
        compiled.output_bits,
        plan.keys.rotations.len(),
        plan.estimates
    );
    for r in &compiled.reports {
        println!("  {} {} patches {:?}", r.name, r.patches, r.time);
    }
    for t in &plan.transforms {
        println!(
            "  {} at level {}: period {}, {} diagonals, {} babies, {} giants, {} folds",
            t.name,
            t.level,
            t.period,
            t.blocks.iter().map(|b| b.diagonals.len()).sum::<usize>(),
            t.baby_rotations().len(),
            t.giant_rotations().len(),
            t.folds.len()
        );
    }
}

/// Simulates without and with noise and compares both with the interpreter.
fn simulate(module: &Module, compiled: &Compiled, samples: &[Tensors]) {
    let plan = &compiled.plan;
    let simulator = Simulator::new(plan).unwrap();
    let (mut exact_error, mut noisy_error, mut largest) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (seed, sample) in samples.iter().enumerate() {
        let clear = tensor::eval(module, sample).unwrap();
        let exact = simulator.run(sample, None).unwrap();
        let noisy = simulator.run(sample, Some(seed as u64)).unwrap();
        for (name, c) in &clear {
            for ((c, e), n) in c
                .data()
                .iter()
                .zip(exact[name].data())
                .zip(noisy[name].data())
            {
                exact_error = exact_error.max((c - e).abs());
                noisy_error = noisy_error.max((c - n).abs());
                largest = largest.max(c.abs());
            }
        }
    }
    let bits = -(noisy_error / largest).log2();
    println!(
        "  simulated {} samples: exact error {exact_error:e}, with noise {bits:.2} bits",
        samples.len()
    );
    assert!(exact_error < 1e-9 * largest, "{exact_error}");
    assert!(bits > 12.0, "{bits}");
}

fn network(name: &str, standardised: bool, log_n: u32, depth: usize, matrices: usize) {
    let Some(shared) = shared() else { return };
    let module = import(&shared, name);
    let samples = mnist(&shared, &module, standardised);
    let compiled = Compiler::new()
        .calibrate(samples.clone())
        .compile(&module)
        .unwrap();
    report(name, &compiled);
    let params = &compiled.plan.params;
    assert_eq!(
        (
            params.log_n,
            params.max_level(),
            compiled.plan.transforms.len()
        ),
        (log_n, depth, matrices)
    );
    simulate(&module, &compiled, &samples[..50]);
}

#[test]
fn lola() {
    network("lola", false, 13, 5, 3);
}

#[test]
fn cryptonets() {
    network("cryptonets", false, 13, 5, 3);
}

#[test]
fn cryptonets_with_its_linear_middle_apart_is_the_same_circuit() {
    network("cryptonets-train-form", false, 13, 5, 3);
}

#[test]
fn mlp_square() {
    network("mlp-square", true, 13, 5, 3);
}

#[test]
fn tenseal_cnn() {
    network("tenseal-cnn", false, 13, 5, 3);
}

#[test]
fn small_cnn_square() {
    network("small-cnn-square", false, 13, 5, 3);
}

#[test]
fn lenet5_square_stride() {
    let Some(shared) = shared() else { return };
    let module = import(&shared, "lenet5-square-stride");
    let samples = mnist(&shared, &module, false);
    let compiled = Compiler::new()
        .calibrate(samples[..100].to_vec())
        .compile(&module)
        .unwrap();
    report("lenet5-square-stride", &compiled);
    simulate(&module, &compiled, &samples[..4]);
}

#[test]
fn declared_ranges_suffice_for_small_networks() {
    let Some(shared) = shared() else { return };
    for name in ["digits-mlp-square", "digits-cnn-square"] {
        let module = import(&shared, name);
        let input = &module.inputs[0];
        let compiled = Compiler::new()
            .input_range(&input.name, 0.0, 1.0)
            .compile(&module);
        match compiled {
            Ok(compiled) => report(name, &compiled),
            Err(error) => println!("{name}: {error}"),
        }
    }
}
