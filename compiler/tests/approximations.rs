//! Approximations on real networks: decisions on images that calibration has not seen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cipherloom_compiler::data::Evidence;
use cipherloom_compiler::onnx::import_file;
use cipherloom_compiler::pass::{Accuracy, Driver, Outcome, PrintAfter, run_standard};
use cipherloom_ir::tensor::{Module, eval};
use cipherloom_ir::{Tensor, Tensors};
use common::shared;
use std::io::Read;
use std::path::Path;

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = vec![];
    let file = std::fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(file)
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

fn images(bytes: &[u8], count: usize, module: &Module) -> Vec<Tensors> {
    let input = &module.inputs[0];
    let shape = &module.graph.get(input.node).unwrap().shape;
    let plain = module.source.contains("small-cnn");
    let pixel = |b: &u8| {
        let x = f64::from(*b) / 255.0;
        if plain { x } else { (x - 0.1307) / 0.3081 }
    };
    bytes
        .chunks(784)
        .take(count)
        .map(|image| {
            let data = image.iter().map(pixel).collect();
            [(
                input.name.clone(),
                Tensor::new(shape.clone(), data).unwrap(),
            )]
            .into()
        })
        .collect()
}

fn class(module: &Module, image: &Tensors) -> usize {
    let outputs = eval(module, image).unwrap();
    let scores = outputs.values().next().unwrap().data();
    (0..scores.len())
        .max_by(|i, j| scores[*i].total_cmp(&scores[*j]))
        .unwrap()
}

fn approximated(module: &Module, calibration: &[Tensors]) -> (Module, Outcome) {
    let mut module = module.clone();
    let mut driver = Driver {
        print_after: PrintAfter::None,
        stop_after: None,
        verify_each: false,
        print: &mut |_, _| {},
    };
    let accuracy = Accuracy {
        margin: 2.0,
        precision: None,
        maxima: false,
    };
    let evidence = Evidence::Samples(calibration);
    let outcome = run_standard(&mut driver, &mut module, evidence, accuracy).unwrap();
    (module, outcome)
}

/// Held-out images: at least 98.5 % decided as by the exact network, and accuracy within 0.3 points.
fn keeps_decisions(name: &str, count: usize) {
    let Some(shared) = shared() else { return };
    let module = import_file(&shared.join(format!("models/{name}.onnx"))).unwrap();
    let data = shared.join("data/mnist");
    let calibration = std::fs::read(data.join("calib1000.images.bin")).unwrap();
    let test = unpacked(&data.join("t10k-images-idx3-ubyte.gz"));
    let labels = unpacked(&data.join("t10k-labels-idx1-ubyte.gz"));
    let start = std::time::Instant::now();
    let (found, outcome) = approximated(&module, &images(&calibration, 1000, &module));
    let time = start.elapsed();
    let (mut agreeing, mut exact, mut kept) = (0, 0, 0);
    for (image, label) in images(&test[16..], count, &module).iter().zip(&labels[8..]) {
        let (a, b) = (class(&module, image), class(&found, image));
        agreeing += usize::from(a == b);
        exact += usize::from(a == usize::from(*label));
        kept += usize::from(b == usize::from(*label));
    }
    let layers: Vec<String> = outcome
        .approximations
        .iter()
        .map(|a| {
            format!(
                "{} degree {} depth {} on {} (seen {}), sup {:.1e} rms {:.1e}",
                a.function.name(),
                a.degree,
                a.depth,
                a.domain,
                a.seen,
                a.sup_error,
                a.rms_error
            )
        })
        .collect();
    let shares = [agreeing, exact, kept].map(|n| 100.0 * f64::from(n as u32) / count as f64);
    println!(
        "{name}: {time:.1?} agreement {:.2} accuracy {:.2} -> {:.2}; {:?}\n   {}",
        shares[0],
        shares[1],
        shares[2],
        outcome.output_error,
        layers.join("\n   ")
    );
    for r in &outcome.finished.reports {
        println!("     {:?} {}", r.time, r.pass);
    }
    assert!(shares[0] >= 98.5, "{name}: {} % agree", shares[0]);
    assert!(
        shares[2] >= shares[1] - 0.3,
        "{name}: accuracy {} -> {}",
        shares[1],
        shares[2]
    );
}

#[test]
fn relu_keeps_decisions() {
    keeps_decisions("mlp-relu", 2000);
}

#[test]
fn silu_keeps_decisions() {
    keeps_decisions("mlp-silu", 2000);
}

#[test]
fn a_convolution_with_relu_keeps_decisions() {
    keeps_decisions("small-cnn-relu", 2000);
}

#[test]
fn probe() {
    if let Ok(names) = std::env::var("PROBE") {
        for name in names.split(',') {
            let (name, count) = name.split_once(':').unwrap_or((name, "2000"));
            keeps_decisions(name, count.parse().unwrap());
        }
    }
}
