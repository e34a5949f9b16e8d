//! Several samples in a run: packed, evaluated, decrypted in order, however full the run is.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use cipherloom::backend::AnyServerPlan;
use cipherloom::check::{check, clear_results};
use cipherloom::data::{self, PortSpec};
use cipherloom::{Batch, Client, Compiled, Compiler, Model, Range, Server, Tensors};
use common::{Network, json, network, ok, refused};
use std::fs;

fn read(name: &str, model: &Model) -> (Tensors, Vec<Tensors>) {
    let ports: Vec<PortSpec> = model.inputs();
    let stacked =
        data::read_inputs(&fs::read(common::image(name)).unwrap(), &ports, false).unwrap();
    let samples = data::split(&stacked, &ports).unwrap();
    (stacked, samples)
}

fn compile(network: &Network, batch: Batch) -> (Model, Compiled) {
    let model = Model::from_onnx(network.model()).unwrap();
    let compiler = Compiler::new().batch(batch);
    let compiler = match network.calibration {
        ["--calibrate", file] => compiler.calibrate(&read(file, &model).1),
        _ => compiler.input_range("input", Range { lo: 0.0, hi: 1.0 }),
    };
    let compiled = compiler.compile(&model).unwrap();
    (model, compiled)
}

/// The first samples of a network's images under encryption, all in one call, against the clear network.
fn compare(network: &Network, batch: Batch, count: usize) -> Compiled {
    let (model, compiled) = compile(network, batch);
    let (_, samples) = read(network.images, &model);
    let samples = &samples[..count];
    let plan = compiled.server_plan();
    let (clear, _) = clear_results(&AnyServerPlan::Ckks(plan.clone()), samples).unwrap();
    let stacked = data::stack(samples, &model.inputs()).unwrap();

    let client = Client::new(compiled.client_plan()).unwrap();
    let server = Server::new(plan.clone(), client.evaluation_key().unwrap()).unwrap();
    let ciphertexts = client.encrypt(&stacked).unwrap();
    assert_eq!(ciphertexts.runs(), count.div_ceil(plan.plan().samples()));
    let outputs = client
        .decrypt_exact(&server.run(&ciphertexts).unwrap())
        .unwrap();
    let ports: Vec<PortSpec> = plan.plan().outputs.iter().map(PortSpec::from).collect();
    let found = data::split(&outputs, &ports).unwrap();
    assert_eq!(found.len(), count);
    let (mut largest, mut error) = (0.0_f64, 0.0_f64);
    for (clear, found) in clear.iter().zip(&found) {
        for port in &ports {
            let pairs = clear[&port.name]
                .data()
                .iter()
                .zip(found[&port.name].data());
            for (clear, found) in pairs {
                largest = largest.max(clear.abs());
                error = error.max((clear - found).abs());
            }
        }
    }
    // At least twelve bits are promised of outputs as large as those of calibration.
    assert!(error < largest * 2.0_f64.powi(-10), "{error} of {largest}");
    compiled
}

#[test]
fn a_ciphertext_for_each_element_serves_as_many_samples_as_slots() {
    let compiled = compare(network("digits-mlp-square"), Batch::Max, 100);
    let plan = compiled.server_plan();
    let plan = plan.plan();
    assert_eq!(plan.samples(), plan.params.slots());
    assert!(!plan.weights.is_empty() && plan.transforms.is_empty());
    // Sums need no rotation, and one key for the squares.
    assert!(plan.keys.rotations.is_empty() && plan.keys.relinearization.is_some());
}

#[test]
fn samples_side_by_side_share_rotations() {
    // Five runs, the last one partly filled.
    let compiled = compare(network("digits-mlp-square"), Batch::Samples(24), 150);
    let plan = compiled.server_plan();
    let plan = plan.plan();
    assert_eq!(plan.samples(), 32);
    assert!(plan.weights.is_empty() && !plan.transforms.is_empty());
    assert!(plan.keys.rotations.iter().all(|key| key.steps % 32 == 0));
}

#[test]
fn convolutions_of_a_batch_agree_with_the_clear_network() {
    let network = network("cryptonets");
    let (model, compiled) = compile(network, Batch::Max);
    let (_, samples) = read(network.images, &model);
    let plan = compiled.server_plan();
    let found = check(&plan, &samples[..64], None, 64, None, &|_, _| ()).unwrap();
    let report = found.report.encrypted;
    assert_eq!((report.samples, found.encrypted.len()), (64, 64));
    assert_eq!(report.agreement, Some(1.0));
    let (measured, predicted) = (
        report.noise_bits.unwrap(),
        report.predicted_error_bits.unwrap(),
    );
    assert!(measured > 11.0, "{measured}");
    assert!(
        (measured - predicted).abs() < 1.5,
        "{measured} bits, {predicted} predicted"
    );
}

#[test]
fn polynomials_of_a_batch_are_evaluated_slot_by_slot() {
    let model = Model::from_onnx(common::data("models/breast-cancer-logreg.onnx")).unwrap();
    let bytes = fs::read(common::data("models/breast-cancer-logreg.ref.npz")).unwrap();
    let mut arrays = data::npz::Arrays::open(&bytes, "x").unwrap();
    let (inputs, expected) = (
        arrays.read("input").unwrap(),
        arrays.read("output").unwrap(),
    );
    let given: Tensors = [("input".to_owned(), inputs)].into();
    let samples = data::split(&given, &model.inputs()).unwrap();
    let compiler = Compiler::new().calibrate(&samples).keep_tail(true);
    let compiled = compiler.batch(Batch::Max).compile(&model).unwrap();
    let plan = compiled.server_plan();
    assert_eq!(plan.plan().samples(), plan.plan().params.slots());
    let client = Client::new(compiled.client_plan()).unwrap();
    let server = Server::new(plan, client.evaluation_key().unwrap()).unwrap();
    let outputs = server.run(&client.encrypt(&given).unwrap()).unwrap();
    let found = client.decrypt(&outputs).unwrap();
    assert_eq!(found["output"].shape(), expected.shape());
    let pairs = found["output"].data().iter().zip(expected.data());
    let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(error < 0.05, "{error}");
}

#[test]
fn the_command_line_packs_batches() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let network = network("digits-mlp-square");
    let model = network.model();
    let (model, images) = (model.display(), common::image(network.images));
    let images = images.display();
    let compiled = format!("compile {model} --input-range input=0,1");
    ok(dir, &format!("{compiled} --batch 32 -o many"));
    ok(dir, &format!("{compiled} -o one"));
    // The wish for throughput is the largest batch, and a batch that is asked for goes before it.
    ok(dir, &format!("{compiled} --batch max -o largest"));
    let wished = |more: &str| ok(dir, &format!("{compiled} --prefer throughput {more}"));
    wished("-o wished");
    wished("--batch 32 -o asked");
    let plan = |folder: &str| fs::read(dir.join(folder).join("server.plan")).unwrap();
    assert!(plan("wished") == plan("largest"));
    assert!(plan("asked") == plan("many"));
    let report = json(dir, "explain many");
    let cost = &report["cost"];
    assert_eq!(cost["samples"], 32);
    let number = |name: &str| cost[name].as_f64().unwrap();
    assert!((number("samples_per_s") * number("latency_s") - 32.0).abs() < 1e-6);
    assert_eq!(
        (number("input_bytes") / 32.0).ceil(),
        number("input_bytes_per_sample")
    );
    assert!(ok(dir, "explain many").contains("32 samples a run"));

    ok(dir, "keygen many/client.plan --secret-key s --eval-key e");
    ok(
        dir,
        &format!("encrypt many/client.plan --secret-key s --input {images} -o x.ct"),
    );
    let ran = json(dir, "run many/server.plan --eval-key e x.ct -o y.ct");
    ok(
        dir,
        "decrypt many/client.plan --secret-key s y.ct -o many.npy",
    );
    ok(dir, &format!("infer one --input {images} -o one.npy"));
    let read = |name: &str| {
        let bytes = fs::read(dir.join(name)).unwrap();
        let from = &mut &bytes[..];
        let header = data::npy::read_header(name, from).unwrap();
        data::npy::read_data(name, &header, from).unwrap()
    };
    let (many, one) = (read("many.npy"), read("one.npy"));
    assert_eq!(many.shape(), one.shape());
    assert_eq!(ran["samples"], many.shape()[0]);
    let largest = one.data().iter().fold(0.0_f64, |l, v| l.max(v.abs()));
    for (many, one) in many.data().iter().zip(one.data()) {
        assert!((many - one).abs() < largest * 1e-3, "{many} for {one}");
    }

    let found = json(dir, &format!("check many --input {images} --encrypted 40"));
    assert_eq!(found["encrypted"]["samples"], 40);
    assert!(refused(dir, &format!("{compiled} --batch 70000 -o no")).contains("at most 65536"));
    for batch in ["0", "many"] {
        assert_eq!(
            common::cli(dir, &format!("{compiled} --batch {batch} -o no"))
                .status
                .code(),
            Some(1)
        );
    }
}
