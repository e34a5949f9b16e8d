//! The importer over the conformance set and the larger models, where those are at hand: every model that
//! is imported must give its reference outputs, and what has no encrypted form is refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cipherloom_compiler::onnx::{ImportError, import_file};
use cipherloom_compiler::pass::{Driver, FuseFunction, PrintAfter};
use cipherloom_compiler::{CompileError, Compiler};
use cipherloom_ir::Tensors;
use common::{deviation, files, read_npz, shared};
use std::path::Path;

/// Outcome of one model: its deviation, or the first line that names a faulty node.
fn outcome(path: &Path, reference: &Path, prefixes: [&str; 2]) -> Result<f64, String> {
    let module = match import_file(path) {
        Ok(module) => module,
        Err(ImportError::Model(error)) => {
            let nodes = error
                .node_faults
                .iter()
                .map(|f| format!("{}: {}", f.op, f.reason));
            let model = error
                .model_faults
                .iter()
                .map(|f| format!("{}: {}", f.subject, f.reason));
            let mut all: Vec<String> = model.chain(nodes).collect();
            all.dedup();
            return Err(all.join("; "));
        }
        Err(other) => panic!("{}: {other}", path.display()),
    };
    let (arrays, bits) = read_npz(reference);
    let select = |prefix: &str| -> Tensors {
        arrays
            .iter()
            .filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.clone())))
            .collect()
    };
    let (inputs, outputs) = (select(prefixes[0]), select(prefixes[1]));
    let error = deviation(&module, &inputs, &outputs);
    // Sums of some hundred products, each rounded to the reference's precision.
    let mut allowed = 64.0 * f64::powi(2.0, -(bits.min(24) as i32));
    // The reference rounds the input to 8 bits too, since the weights have no more.
    if path.ends_with("int8-weights-dequantized.onnx") {
        allowed = 1.0 / 256.0;
    }
    assert!(
        error <= allowed,
        "{}: deviation {error:e} exceeds {allowed:e}",
        path.display()
    );
    Ok(error)
}

fn table(
    dir: &Path,
    reference: impl Fn(&Path) -> std::path::PathBuf,
    prefixes: [&str; 2],
) -> (usize, usize) {
    let (mut passed, mut refused) = (0, 0);
    for path in files(dir, "onnx") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        match outcome(&path, &reference(&path), prefixes) {
            Ok(error) => {
                passed += 1;
                println!("passed       {name:<45} {error:.1e}");
            }
            Err(reason) => {
                refused += 1;
                println!("unsupported  {name:<45} {reason:.150}");
            }
        }
    }
    println!(
        "{}: {passed} passed, {refused} unsupported, 0 wrong",
        dir.display()
    );
    (passed, refused)
}

#[test]
fn valid_models_give_their_reference_outputs() {
    let Some(shared) = shared() else { return };
    let dir = shared.join("models/conformance/ok");
    let (passed, refused) = table(&dir, |p| p.with_extension("npz"), ["in_", "out_"]);
    assert_eq!((passed, refused), (276, 0));
}

#[test]
fn what_torch_exports_gives_its_reference_outputs() {
    let Some(shared) = shared() else { return };
    let dir = shared.join("models/conformance/torch");
    let (passed, refused) = table(&dir, |p| p.with_extension("npz"), ["in_", "out_"]);
    // Both forms of an LSTM are out of scope.
    assert_eq!((passed, refused), (197, 2));
}

/// The compiler's error, from the import to the passes that judge what has an encrypted form; none where all has.
fn refusal(path: &Path) -> Option<String> {
    let module = match import_file(path) {
        Ok(module) => module,
        Err(error) => return Some(error.to_string()),
    };
    let mut compiler = Compiler::new().keep_tail(true).stop_after("legalise");
    for input in &module.inputs {
        compiler = compiler.input_range(&input.name, -1.0, 1.0);
    }
    match compiler.compile(&module) {
        Err(CompileError::Stopped(_)) => None,
        Err(error) => Some(error.to_string()),
        Ok(_) => panic!("{} did not stop", path.display()),
    }
}

#[test]
fn models_without_an_encrypted_form_are_refused_by_name() {
    let Some(shared) = shared() else { return };
    let expected = [
        ("argmax", "positions would depend on encrypted values"),
        ("batchnorm-training-mode", "training mode"),
        ("cast-to-int32", "trunc(x) jumps"),
        (
            "conv-with-encrypted-weights",
            "the kernel depends on an input",
        ),
        ("custom-domain", "domain \"com.example\""),
        ("dropout-training-mode", "training mode"),
        ("dynamic-image-size", "no fixed size"),
        ("greater-where-two-branches", "compares"),
        ("if-on-encrypted-value", "control flow"),
        ("lstm", "recurrent"),
        ("nonzero", "the shape of its result would depend"),
        ("random-normal-like", "random"),
        ("topk", "positions would depend on encrypted values"),
    ];
    let found = files(&shared.join("models/conformance/refuse"), "onnx");
    let names = found
        .iter()
        .map(|p| p.file_stem().unwrap().to_str().unwrap());
    assert!(names.eq(expected.iter().map(|(name, _)| *name)));
    for (path, (name, reason)) in found.iter().zip(expected) {
        let error = refusal(path).unwrap_or_else(|| panic!("{name} is accepted"));
        println!("{error}\n");
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn broken_models_are_refused_quickly() {
    let Some(shared) = shared() else { return };
    let before = peak_memory();
    for path in files(&shared.join("models/conformance/bad"), "onnx") {
        let error = import_file(&path)
            .map(|_| ())
            .expect_err(&path.display().to_string());
        println!("{error}\n");
    }
    // The high-water mark of the whole process, in KiB: nothing may have been allocated for claimed sizes.
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(
            after.saturating_sub(before) < 200 * 1024 || after < 4 << 20,
            "{before} to {after} KiB"
        );
    }
}

/// VmHWM in KiB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn the_models_give_their_reference_outputs_or_a_clear_refusal() {
    let Some(shared) = shared() else { return };
    let mut passed = vec![];
    for path in files(&shared.join("models"), "onnx") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let module = match import_file(&path) {
            Ok(module) => module,
            Err(error) => {
                println!("unsupported  {name}: {error:.200}");
                continue;
            }
        };
        let (arrays, _) = read_npz(&path.with_file_name(format!("{name}.ref.npz")));
        // Models with several outputs have an array for each, under its name.
        let array = |own: &str, other: &str| {
            let found = arrays.get(own).or_else(|| arrays.get(other));
            (own.to_owned(), found.expect("a reference array").clone())
        };
        let inputs = [array(&module.inputs[0].name, "input")].into();
        let outputs = module.outputs.iter();
        let outputs: Tensors = outputs.map(|o| array(&o.name, "output")).collect();
        let error = deviation(&module, &inputs, &outputs);
        println!("passed       {name:<40} {error:.1e}");
        assert!(error < 2e-5, "{name}: {error:e}");
        passed.push(name);
    }
    for wanted in [
        "lola",
        "cryptonets",
        "mlp-square",
        "tenseal-cnn",
        "digits-mlp-square",
        "lenet5-relu-bn-nodes",
        "mlp-relu-external",
        "mlp-gelu",
        "mlp-gelu-dynamo",
        "mlp-silu",
        "iris-mlp",
        "iris-logreg-skl",
        "wine-mlp-softmax",
        "breast-cancer-linearsvc-skl",
        "breast-cancer-logreg-skl",
        "breast-cancer-mlp-skl",
        "breast-cancer-pipeline-skl",
        "lenet5-maxpool",
        "resnet20",
        "resnet20-bn-dyn",
        "resnet20-dynamo",
        "resnet56-bn-dyn",
    ] {
        assert!(passed.iter().any(|p| p == wanted), "{wanted}");
    }
}

#[test]
fn all_maxima_of_a_network_are_refused_at_once() {
    let Some(shared) = shared() else {
        return;
    };
    let error = refusal(&shared.join("models/lenet5-maxpool.onnx")).expect("a refusal");
    let maxima = error.matches("a maximum or minimum needs comparisons");
    assert_eq!(maxima.count(), 2, "{error}");
    assert!(error.contains("retrain with averages"), "{error}");
}

#[test]
fn spelled_out_functions_become_one() {
    let Some(shared) = shared() else { return };
    for (model, function) in [
        ("ok/silu-sigmoid-mul", "silu"),
        ("ok/mish-softplus-tanh-mul", "mish"),
        ("ok/gelu-erf-decomposed", "gelu"),
        ("ok/gelu-tanh-decomposed", "gelu_tanh"),
        ("ok/hardswish-decomposed", "hard_swish"),
        ("ok/max-with-zero", "relu"),
        ("torch/act-gelu.ts", "gelu"),
        ("torch/act-gelu.dynamo", "gelu"),
        ("torch/act-gelu-tanh.ts", "gelu_tanh"),
        ("torch/act-gelu-tanh.dynamo", "gelu_tanh"),
        ("torch/act-silu.ts", "silu"),
        ("torch/act-mish.ts", "mish"),
        ("torch/act-softplus.dynamo", "softplus"),
        ("torch/act-softsign.ts", "softsign"),
        ("torch/act-logsigmoid.dynamo", "log_sigmoid"),
    ] {
        let path = shared.join(format!("models/conformance/{model}.onnx"));
        let mut module = import_file(&path).unwrap();
        let mut driver = Driver {
            print_after: PrintAfter::None,
            stop_after: None,
            verify_each: true,
            print: &mut |_, _| {},
        };
        driver.run(&mut module, &mut [&mut FuseFunction]).unwrap();
        let ops = module.graph.ids().into_iter();
        let ops: Vec<_> = ops
            .filter_map(|id| Some(module.graph.get(id)?.op.name()))
            .collect();
        assert_eq!(ops, ["input", function], "{model}");
        let (arrays, _) = read_npz(&path.with_extension("npz"));
        let select = |prefix: &str| -> Tensors {
            let named = arrays.iter();
            named
                .filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.clone())))
                .collect()
        };
        let error = deviation(&module, &select("in_"), &select("out_"));
        assert!(error < 2e-6, "{model}: {error:e}");
    }
}
