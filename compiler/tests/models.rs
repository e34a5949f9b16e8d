//! The models that lie in the repository: import, passes, reference outputs; and hostile variants of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cipherloom_compiler::data::Evidence;
use cipherloom_compiler::onnx::{self, ImportError, Options, import_file, import_file_with};
use cipherloom_compiler::pass::{Accuracy, Driver, PassReport, PrintAfter, run_standard};
use cipherloom_ir::tensor::{Module, eval};
use cipherloom_ir::{Range, Tensor, Tensors};
use common::{deviation, files, read_npz, shared};
use onnx_protobuf::{Message, ModelProto};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A model without reference outputs: the tests of quantisation find its accuracy.
const WITHOUT_REFERENCE: &str = "digits-cnn-maxpool";

fn models() -> Vec<PathBuf> {
    files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/models"),
        "onnx",
    )
}

fn reference(path: &Path, module: &Module) -> (Tensors, Tensors) {
    let (arrays, _) = read_npz(&path.with_extension("ref.npz"));
    let own = |key: &str, name: &str| [(name.to_owned(), arrays[key].clone())].into();
    (
        own("input", &module.inputs[0].name),
        own("output", &module.outputs[0].name),
    )
}

fn samples(module: &Module, inputs: &Tensors) -> Vec<Tensors> {
    let input = &module.inputs[0];
    let array = &inputs[&input.name];
    let shape = &module.graph.get(input.node).unwrap().shape;
    let run: usize = shape.iter().product();
    let one = |data: &[f64]| {
        [(
            input.name.clone(),
            Tensor::new(shape.clone(), data.to_vec()).unwrap(),
        )]
        .into()
    };
    array.data().chunks(run).map(one).collect()
}

fn rewritten(module: &Module, evidence: Evidence<'_>) -> Module {
    let mut module = module.clone();
    let mut driver = Driver {
        print_after: PrintAfter::None,
        stop_after: None,
        verify_each: true,
        print: &mut |_, _| {},
    };
    let accuracy = Accuracy {
        margin: 2.0,
        precision: None,
        maxima: false,
        jumps: false,
        dead_zone: 1.0 / 128.0,
    };
    run_standard(&mut driver, &mut module, evidence, accuracy).unwrap();
    module
}

fn operations(module: &Module) -> Vec<&'static str> {
    let order = module.graph.topological().unwrap();
    order
        .into_iter()
        .map(|id| module.graph.get(id).unwrap().op.name())
        .collect()
}

#[test]
fn the_models_give_their_reference_outputs_before_and_after_the_passes() {
    let mut found = BTreeMap::new();
    for path in models() {
        if path.file_stem().is_some_and(|n| n == WITHOUT_REFERENCE) {
            continue;
        }
        let module = import_file(&path).unwrap();
        let (inputs, outputs) = reference(&path, &module);
        let samples = samples(&module, &inputs);
        let range: BTreeMap<String, Range> = [(
            module.inputs[0].name.clone(),
            Range::new(0.0, 16.0).unwrap(),
        )]
        .into();
        for evidence in [Evidence::Samples(&samples), Evidence::Declared(&range)] {
            let after = rewritten(&module, evidence);
            assert!(
                deviation(&module, &inputs, &outputs) < 2e-6,
                "{}",
                path.display()
            );
            if operations(&after).contains(&"approximation") {
                continue;
            }
            assert!(
                deviation(&after, &inputs, &outputs) < 2e-6,
                "{}",
                path.display()
            );
            for sample in &samples {
                let (a, b) = (
                    eval(&module, sample).unwrap(),
                    eval(&after, sample).unwrap(),
                );
                for (name, a) in &a {
                    for (x, y) in a.data().iter().zip(b[name].data()) {
                        assert!((x - y).abs() < 1e-9 * (1.0 + x.abs()), "{}", path.display());
                    }
                }
            }
            for id in after.graph.ids() {
                assert!(after.graph.get(id).unwrap().range.is_some());
            }
            found.insert(
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                operations(&after),
            );
        }
    }
    let expected: BTreeMap<String, Vec<&str>> = [
        (
            "cryptonets",
            vec!["input", "conv", "power", "reshape", "gemm", "power", "gemm"],
        ),
        ("digits-mlp-square", vec!["input", "gemm", "power", "gemm"]),
        (
            "lola",
            vec!["input", "conv", "power", "reshape", "gemm", "power", "gemm"],
        ),
        (
            "mlp-square",
            vec!["input", "reshape", "gemm", "power", "gemm", "power", "gemm"],
        ),
        (
            "tenseal-cnn",
            vec!["input", "conv", "power", "reshape", "gemm", "power", "gemm"],
        ),
    ]
    .map(|(name, ops)| (name.to_owned(), ops))
    .into();
    assert_eq!(found, expected);
}

#[test]
fn every_importable_model_keeps_its_values_through_the_rewriting_passes() {
    let Some(shared) = shared() else { return };
    let mut count = 0;
    for dir in [
        "models/conformance/ok",
        "models/conformance/torch",
        "models",
    ] {
        for path in files(&shared.join(dir), "onnx") {
            let Ok(module) = import_file(&path) else {
                continue;
            };
            let mut after = module.clone();
            let mut passes = cipherloom_compiler::pass::standard();
            let mut passes: Vec<&mut dyn cipherloom_compiler::pass::TensorPass> =
                passes.iter_mut().map(|p| p.as_mut() as _).collect();
            // Activations are refused by the last of them; the others apply all the same.
            passes.pop();
            let mut driver = Driver {
                print_after: PrintAfter::None,
                stop_after: None,
                verify_each: false,
                print: &mut |_, _| {},
            };
            let finished = driver.run(&mut after, &mut passes).unwrap();
            let fused = |r: &PassReport| r.pass == "fuse-function" && r.patches > 0;
            // Spelled-out functions are recognised by constants of single precision.
            let tolerance = if finished.reports.iter().any(fused) {
                1e-7
            } else {
                1e-9
            };
            let mut inputs = Tensors::new();
            let mut state = 1_u64;
            for input in &module.inputs {
                let shape = module.graph.get(input.node).unwrap().shape.clone();
                let mut tensor = Tensor::filled(shape, 0.0).unwrap();
                for x in tensor.data_mut() {
                    state = state
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    *x = ((state >> 40) as f64) / f64::from(1 << 24);
                }
                inputs.insert(input.name.clone(), tensor);
            }
            let (a, b) = (
                eval(&module, &inputs).unwrap(),
                eval(&after, &inputs).unwrap(),
            );
            for (name, a) in &a {
                let largest = a.data().iter().fold(1.0_f64, |m, x| m.max(x.abs()));
                for (x, y) in a.data().iter().zip(b[name].data()) {
                    assert!(
                        (x - y).abs() < tolerance * largest,
                        "{}: {x} became {y}",
                        path.display()
                    );
                }
            }
            count += 1;
        }
    }
    println!("{count} models kept their values");
    assert!(count > 250, "{count}");
}

#[test]
fn an_import_can_stop_at_an_inner_value() {
    let path = models()
        .into_iter()
        .find(|p| p.ends_with("lola.onnx"))
        .unwrap();
    let proto = ModelProto::parse_from_bytes(&std::fs::read(&path).unwrap()).unwrap();
    let power = proto.graph.node.iter().find(|n| n.op_type == "Pow");
    let inner = power.unwrap().output[0].clone();
    let options = Options {
        outputs: vec![inner.clone()],
    };
    let module = import_file_with(&path, &options).unwrap();
    assert_eq!(operations(&module), ["input", "conv", "power"]);
    assert_eq!(module.outputs[0].name, inner);
    let missing = Options {
        outputs: vec!["no such value".into()],
    };
    let Err(ImportError::Model(error)) = import_file_with(&path, &missing) else {
        panic!("must fail")
    };
    assert_eq!(error.model_faults.len(), 1);
}

fn seeds() -> Vec<Vec<u8>> {
    let smallest = models()
        .into_iter()
        .filter(|p| p.ends_with("digits-mlp-square.onnx"));
    let mut seeds: Vec<Vec<u8>> = smallest.map(|p| std::fs::read(p).unwrap()).collect();
    if let Some(shared) = shared() {
        for dir in ["ok", "bad", "refuse"] {
            seeds.extend(
                files(&shared.join("models/conformance").join(dir), "onnx")
                    .iter()
                    .map(|p| std::fs::read(p).unwrap()),
            );
        }
    }
    seeds
}

/// Imports; whatever comes of it must be an error or a module that the verifier accepts.
fn import_anything(bytes: &[u8]) {
    if let Ok(module) = onnx::import(bytes, None, "fuzz", "fuzz.onnx") {
        assert_eq!(cipherloom_ir::tensor::verify(&module), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        import_anything(&bytes);
    }

    #[test]
    fn damaged_models_never_panic(
        which in any::<prop::sample::Index>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        thread_local! {
            static SEEDS: Vec<Vec<u8>> = seeds();
        }
        SEEDS.with(|seeds| {
            let mut bytes = which.get(seeds).clone();
            for (at, value, kind) in edits {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = value,
                    1 => bytes.insert(at, value),
                    _ => {
                        bytes.remove(at);
                    }
                }
            }
            if let Some(cut) = cut.filter(|_| bytes.len() > 1) {
                bytes.truncate(cut.index(bytes.len()));
            }
            import_anything(&bytes);
        });
    }
}
