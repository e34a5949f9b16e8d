//! Approximations on real networks: decisions on images that calibration has not seen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cipherloom_compiler::approx::clenshaw;
use cipherloom_compiler::data::Evidence;
use cipherloom_compiler::onnx::import_file;
use cipherloom_compiler::pass::{Accuracy, Driver, Outcome, PrintAfter, run_standard};
use cipherloom_ir::tensor::{Module, Op, eval};
use cipherloom_ir::{Range, Tensor, Tensors};
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
        jumps: false,
        dead_zone: 1.0 / 128.0,
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

/// The errors that a circuit states are the differences between the networks with functions and with polynomials.
#[test]
fn circuits_state_the_errors_of_their_approximations() {
    let source = "input x: encrypted[6] in -2..2\n\
                  let a = [[0.5, -1, 0.25], [1, 1, 0.5], [0, -0.5, 1], [0.75, 0, 1], [-1, 0.5, 0], [0.2, 0.4, -0.6]]\n\
                  let h = tanh(x @ a)\n\
                  let g = abs(h @ [[1, 0.5], [-0.5, 1], [0.25, -1]])\n\
                  output y = g @ [[2, 1], [1, -3]]\n";
    let program = cipherloom_compiler::loom::read(
        "errors.loom",
        source,
        &cipherloom_compiler::loom::NoResources,
    )
    .unwrap();
    let module = program.module;
    let mut state = 7_u64;
    let mut sample = || {
        let element = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f64 / f64::from(1_u32 << 22) - 2.0
        };
        let data = (0..6).map(element).collect();
        Tensors::from([("x".to_owned(), Tensor::new(vec![6], data).unwrap())])
    };
    let samples: Vec<Tensors> = (0..32).map(|_| sample()).collect();
    let compiled = cipherloom_compiler::Compiler::new()
        .precision(8.0)
        .calibrate(samples.clone())
        .compile(&module)
        .unwrap();
    assert_eq!(compiled.approximations.len(), 2);
    let (mut squares, mut count) = (0.0, 0.0);
    for sample in &samples {
        let exact = eval(&module, sample).unwrap();
        let found = eval(&compiled.tensor, sample).unwrap();
        for (e, f) in exact["y"].data().iter().zip(found["y"].data()) {
            squares += (e - f) * (e - f);
            count += 1.0;
        }
    }
    let expected: f64 = squares / count;
    assert!(expected > 1e-9, "{expected:e}");
    let node = |id| compiled.circuit.graph.get(id).unwrap();
    let stated = node(compiled.circuit.outputs[0].node)
        .approximation
        .unwrap();
    assert!(
        (stated / expected - 1.0).abs() < 1e-6,
        "{stated:e} {expected:e}"
    );
    let input = node(compiled.circuit.inputs[0].node);
    assert_eq!(input.approximation, Some(0.0));
    // Steps say the same, and what lies within a polynomial has no counterpart.
    let last = compiled.plan.steps.last().unwrap();
    assert_eq!(last.approximation, Some(stated));
    let unknown = compiled
        .plan
        .steps
        .iter()
        .filter(|s| s.approximation.is_none());
    assert!(unknown.count() > 0);
}

/// What plans keep to be drawn: the functions of the program, and the polynomials that the network is left with.
#[test]
fn plans_hold_the_functions_and_their_polynomials() {
    let source = "input x: encrypted[4] in 1..3\n\
                  let s = sqrt(x) + inverse(x + 1)\n\
                  output y = (sign(x - 2) * s) @ ones([4, 2])\n\
                  output z = tanh(x)\n";
    let program = cipherloom_compiler::loom::read(
        "fits.loom",
        source,
        &cipherloom_compiler::loom::NoResources,
    )
    .unwrap();
    let compiled = cipherloom_compiler::Compiler::new()
        .approximate_jumps(true)
        .compile(&program.module)
        .unwrap();
    let names = compiled.plan.approximations.iter();
    let mut names: Vec<&str> = names.map(|a| a.function.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["reciprocal", "sign", "sqrt", "tanh"]);
    for a in &compiled.plan.approximations {
        let (exact, fit) = (a.exact().unwrap(), a.fit.as_ref().unwrap());
        assert_eq!(fit.stages.len() > 1, a.function == "sign");
        assert!(a.domain.lo <= fit.seen.lo && fit.seen.hi <= a.domain.hi);
        // The same as in the network, one operation after the other.
        let module = &compiled.tensor;
        let ops = module.graph.topological().unwrap().into_iter();
        let ops: Vec<(Range, &[f64])> = ops
            .filter_map(|id| match &module.graph.get(id)?.op {
                Op::Approximation {
                    function,
                    domain,
                    coefficients,
                } if *function == exact => Some((*domain, &coefficients[..])),
                _ => None,
            })
            .collect();
        let network = |x: f64| {
            ops.iter().fold(x, |x, (domain, coefficients)| {
                let t = (2.0 * x - domain.lo - domain.hi) / (domain.hi - domain.lo);
                clenshaw(coefficients, t)
            })
        };
        let at = |i: i32| a.domain.lo + (a.domain.hi - a.domain.lo) * f64::from(i) / 4000.0;
        let mut worst = 0.0_f64;
        for x in (0..=4000).map(at) {
            let found = a.polynomial(x).unwrap();
            assert!((found - network(x)).abs() < 1e-12, "{a:?}");
            if x.abs() >= a.dead_zone {
                worst = worst.max((found - exact.eval(x)).abs());
            }
        }
        assert!(
            worst < 1.000_001 * a.sup_error && worst > 0.8 * a.sup_error,
            "{worst:e} {a:?}"
        );
    }
}
