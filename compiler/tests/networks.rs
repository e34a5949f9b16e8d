//! Real networks, calibrated on real images: parameters, levels, keys and precision, and the plan simulated against
//! the clear interpreter, so that packing, levels and scales are checked without cryptography.
//!
//! The models and images of `tests/data` serve in any clone; larger models lie beside the repository.

#![allow(clippy::unwrap_used)]

mod common;

use cipherloom_compiler::{Compiled, Compiler, onnx};
use cipherloom_ir::plan::Simulator;
use cipherloom_ir::tensor::{self, Module};
use cipherloom_ir::{Tensor, Tensors};
use std::path::{Path, PathBuf};

/// Bits that every network is to have: 12, and the slack of the prediction.
const BITS: f64 = 12.2;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data")
}

fn import(folder: &Path, name: &str) -> Module {
    let file = folder.join(format!("models/{name}.onnx"));
    onnx::import(&std::fs::read(&file).unwrap(), file.parent(), name, name).unwrap()
}

/// The images of a file of `tests/data`, as samples of the module's one input.
fn images(module: &Module, file: &str) -> Vec<Tensors> {
    let input = &module.inputs[0];
    let (arrays, _) = common::read_npz(&data().join(file));
    let array = arrays
        .get(&input.name)
        .or_else(|| arrays.values().next())
        .unwrap();
    let shape = module.graph.get(input.node).unwrap().shape.clone();
    let count: usize = shape.iter().product();
    array
        .data()
        .chunks(count)
        .map(|image| {
            let tensor = Tensor::new(shape.clone(), image.to_vec()).unwrap();
            Tensors::from([(input.name.clone(), tensor)])
        })
        .collect()
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

/// What is expected of a network.
struct Expected {
    depth: usize,
    matrices: usize,
    /// Rotation keys, at most.
    rotations: usize,
}

fn check(name: &str, compiled: &Compiled, expected: &Expected) {
    report(name, compiled);
    let (plan, params) = (&compiled.plan, &compiled.plan.params);
    assert_eq!(params.check(), Ok(()));
    assert_eq!((params.log_n, params.max_level()), (13, expected.depth));
    assert_eq!(plan.transforms.len(), expected.matrices);
    assert!(compiled.output_bits >= BITS, "{}", compiled.output_bits);
    let limit = params.security.max_log_qp(13).unwrap();
    assert!(params.log_qp() <= f64::from(limit), "{}", params.log_qp());
    assert_eq!(plan.keys, plan.required_keys());
    assert!(plan.keys.relinearization.is_some() && plan.keys.conjugation.is_none());
    let rotations = plan.keys.rotations.len();
    assert!(rotations <= expected.rotations, "{rotations} rotation keys");
    // What the bytes of keys and of a run may be for networks of this size.
    assert!(plan.estimates.eval_key_bytes < 60_000_000);
    assert!(plan.estimates.run_bytes < 300_000_000);
}

fn network(name: &str, normalised: bool, expected: &Expected) {
    let module = import(&data(), name);
    let set = if normalised {
        "mnist-normalized"
    } else {
        "mnist"
    };
    let samples = images(&module, &format!("images/{set}-calib.npz"));
    let compiled = Compiler::new().calibrate(samples).compile(&module).unwrap();
    check(name, &compiled, expected);
    let tests = images(&module, &format!("images/{set}-test.npz"));
    simulate(&module, &compiled, &tests[..50]);
}

#[test]
fn lola() {
    let expected = Expected {
        depth: 5,
        matrices: 3,
        rotations: 60,
    };
    network("lola", false, &expected);
}

#[test]
fn cryptonets() {
    let expected = Expected {
        depth: 5,
        matrices: 3,
        rotations: 60,
    };
    network("cryptonets", false, &expected);
}

#[test]
fn mlp_square() {
    let expected = Expected {
        depth: 5,
        matrices: 3,
        rotations: 60,
    };
    network("mlp-square", true, &expected);
}

#[test]
fn tenseal_cnn() {
    let expected = Expected {
        depth: 5,
        matrices: 3,
        rotations: 60,
    };
    network("tenseal-cnn", false, &expected);
}

#[test]
fn digits_mlp_square() {
    let module = import(&data(), "digits-mlp-square");
    let expected = Expected {
        depth: 3,
        matrices: 2,
        rotations: 12,
    };
    let samples = images(&module, "models/digits-mlp-square.ref.npz");
    let tests = images(&module, "images/digits-test.npz");
    let calibrated = Compiler::new().calibrate(samples).compile(&module).unwrap();
    check("digits-mlp-square, calibrated", &calibrated, &expected);
    simulate(&module, &calibrated, &tests[..50]);
    let input = &module.inputs[0].name;
    let declared = Compiler::new()
        .input_range(input, 0.0, 1.0)
        .compile(&module)
        .unwrap();
    check("digits-mlp-square, declared", &declared, &expected);
    assert!(declared.from_intervals && !calibrated.from_intervals);
    simulate(&module, &declared, &tests[..50]);
}

/// Compiles a model of the larger set, calibrated on images of the repository.
fn larger(name: &str, samples: usize, simulated: usize) -> Option<Compiled> {
    let module = import(&common::shared()?, name);
    let calibration = images(&module, "images/mnist-calib.npz");
    let compiled = Compiler::new()
        .calibrate(calibration[..samples].to_vec())
        .compile(&module)
        .unwrap();
    report(name, &compiled);
    simulate(&module, &compiled, &calibration[..simulated]);
    Some(compiled)
}

#[test]
fn cryptonets_with_its_linear_middle_apart_is_the_same_circuit() {
    let Some(compiled) = larger("cryptonets-train-form", 200, 50) else {
        return;
    };
    let expected = Expected {
        depth: 5,
        matrices: 3,
        rotations: 60,
    };
    check("cryptonets-train-form", &compiled, &expected);
}

#[test]
fn small_cnn_square() {
    let Some(compiled) = larger("small-cnn-square", 200, 50) else {
        return;
    };
    let expected = Expected {
        depth: 5,
        matrices: 3,
        rotations: 60,
    };
    check("small-cnn-square", &compiled, &expected);
}

#[test]
fn lenet5_square_stride() {
    larger("lenet5-square-stride", 100, 4);
}

#[test]
fn declared_ranges_suffice_for_a_small_convolutional_network() {
    let Some(shared) = common::shared() else {
        return;
    };
    let module = import(&shared, "digits-cnn-square");
    let input = &module.inputs[0].name;
    let compiled = Compiler::new()
        .input_range(input, 0.0, 1.0)
        .compile(&module)
        .unwrap();
    let expected = Expected {
        depth: 5,
        matrices: 3,
        rotations: 30,
    };
    check("digits-cnn-square", &compiled, &expected);
}
