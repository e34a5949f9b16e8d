//! Exact comparisons under encryption: of whole numbers as in clear, and of levels as the plan's integers say.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg(feature = "tfhe")]

mod common;

use cipherloom::{AnyCompiled, Backend, Compiler, Model, Tensor, Tensors};
use cipherloom_client::TfheClient;
use cipherloom_ir::integer::{IntegerPlan, IntegerSimulator, StepOp, dequantise, quantise};
use cipherloom_ir::tensor::eval;
use cipherloom_runtime::TfheServer;
use common::intervals::intervals;
use std::fs;

/// Whole numbers from 0 to 15 by a fixed sequence, of which each third pair is equal; as parts of 15 where they are not whole.
fn samples(count: usize, whole: bool) -> Vec<Tensors> {
    let unit = if whole { 1.0 } else { 1.0 / 15.1 };
    let x = |i: usize| ((i * 7 + i * i * 3 + i / 5) % 16) as f64;
    let sample = |s: usize| {
        let a: Vec<f64> = (0..3).map(|e| unit * x(6 * s + e)).collect();
        let mut b: Vec<f64> = (3..6).map(|e| unit * x(6 * s + e)).collect();
        b[s % 3] = a[s % 3];
        let named = |(name, data)| (String::from(name), Tensor::from_vec(data));
        Tensors::from([("a", a), ("b", b)].map(named))
    };
    (0..count).map(sample).collect()
}

/// An encrypted run: what was decrypted, and what the inputs' integers are.
struct Run {
    sample: Tensors,
    integers: Vec<Vec<i64>>,
    decrypted: Vec<Vec<i64>>,
}

fn run(program: &str, whole: bool, bootstraps: u64) -> (Model, IntegerPlan, Vec<Run>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("compare.loom");
    let inputs = "input a: encrypted[3]\ninput b: encrypted[3]\n";
    fs::write(&path, format!("{inputs}{program}")).unwrap();
    let model = Model::from_loom(&path).unwrap();
    let all = samples(130, whole);
    let compiler = Compiler::new()
        .backend(Backend::Tfhe)
        .keep_tail(true)
        // Levels make numbers that differ by less equal.
        .agreement(if whole { 0.99 } else { 0.5 })
        .calibrate(&all[..128]);
    let AnyCompiled::Tfhe(compiled) = compiler.compile_any(&model).unwrap() else {
        panic!("another backend");
    };
    let server_plan = compiled.server_plan();
    let plan = server_plan.plan().clone();
    assert_eq!(plan.bootstraps(), bootstraps);
    let is_exact = |op: &StepOp| match op {
        StepOp::Lookup {
            slack, negacyclic, ..
        } => !negacyclic || *slack == 0,
        StepOp::Linear { .. } => true,
    };
    assert!(plan.steps.iter().all(|s| is_exact(&s.op)));
    let client = TfheClient::new(server_plan.client_plan()).unwrap();
    let server = TfheServer::new(server_plan, client.server_keys().unwrap()).unwrap();
    let one = |sample: &Tensors| {
        let integers = plan.inputs.iter();
        let integers = integers.map(|p| quantise(p, sample[&p.name].data()));
        let outputs = server.run(&client.encrypt(sample).unwrap()).unwrap();
        let decrypted = client.decrypt_integers(&outputs).unwrap();
        Run {
            sample: sample.clone(),
            integers: integers.collect(),
            decrypted: decrypted.into_iter().map(|mut o| o.remove(0)).collect(),
        }
    };
    let runs = all[128..].iter().map(one).collect();
    (model, plan, runs)
}

#[test]
fn whole_numbers_are_compared_as_in_clear() {
    // Three comparisons; three more of one input's elements, and one bootstrap that tells which of them it is; three signs.
    let program = "output greater = a > b\noutput first = argmax(a)\noutput signs = sign(a - b)\n";
    let (model, plan, runs) = run(program, true, 3 + 4 + 3);
    for run in runs {
        let clear = eval(model.module(), &run.sample).unwrap();
        let exact = IntegerSimulator::new(&plan).run_integers(&run.integers, None);
        for ((port, found), exact) in plan.outputs.iter().zip(&run.decrypted).zip(exact.unwrap()) {
            let slack = i64::from(port.slack);
            for (m, exact) in found.iter().zip(&exact) {
                assert!((m - exact).abs() <= slack, "{}: {m} for {exact}", port.name);
            }
            let numbers = dequantise(port, found);
            for (x, clear) in numbers.iter().zip(clear[&port.name].data()) {
                assert!((x - clear).abs() < 0.02, "{}: {x} for {clear}", port.name);
            }
        }
    }
}

#[test]
fn lookups_are_compared_by_their_levels() {
    let program = "output y = relu(a) >= relu(b)\n";
    let (model, plan, runs) = run(program, false, 6 + 3);
    let mut alike = 0;
    for run in runs {
        let bounds = intervals(&plan, &run.integers).remove(0);
        for (m, (lo, hi)) in run.decrypted[0].iter().zip(bounds) {
            assert!((lo..=hi).contains(&i128::from(*m)), "{m}: {lo} .. {hi}");
        }
        let clear = eval(model.module(), &run.sample).unwrap();
        let truths = dequantise(&plan.outputs[0], &run.decrypted[0]);
        for (x, clear) in truths.iter().zip(clear["y"].data()) {
            // Truth values, whatever the noise.
            assert!(x.abs().min((x - 1.0).abs()) < 0.02, "{x}");
            alike += usize::from((x - clear).abs() < 0.02);
        }
    }
    assert!(alike >= 4, "{alike} of 6");
}
