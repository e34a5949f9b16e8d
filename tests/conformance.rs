//! The conformance models, as far as they have an encrypted form: compiled, simulated and, a spread of them, run
//! encrypted, against the reference outputs that lie beside them. Over the folder `../shared` where it is.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

use cipherloom::check::check;
use cipherloom::data::DataError;
use cipherloom::data::npz::Arrays;
use cipherloom::{Client, Compiled, Compiler, Model, Server, Tensor, Tensors};
use cipherloom_ir::tensor::{Module, Op, eval_all};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Samples of a model that are simulated, at most.
const SAMPLES: usize = 4;

/// The precision in bits that is asked for.
const PRECISION: f64 = 8.0;

/// Models that are refused, and why; all others must agree.
const REFUSED: [(&str, &str); 2] = [("lstm.dynamo", "recurrence"), ("lstm.ts", "recurrence")];

/// Models of which fewer bits are asked, and why.
const COARSE: [(&str, f64, &str); 2] = [
    (
        "mobilenet-block-relu6",
        5.0,
        "Relu6 bends twice in a narrow part of its range; 8 bits would take degrees of 1,000 and more",
    ),
    (
        "thresholdedrelu-alpha0p5",
        2.0,
        "it jumps by 0.5, so that no polynomial comes within 0.25",
    ),
];

/// The precision in bits that is asked of a model.
fn precision(name: &str) -> f64 {
    let coarse = COARSE.iter().find(|(coarse, ..)| *coarse == name);
    coarse.map_or(PRECISION, |(_, bits, _)| *bits)
}

/// A model and its reference.
struct Case {
    name: String,
    /// `exact`, `approx`, `hard`, or `any` where nobody has said.
    level: String,
    path: PathBuf,
}

/// What became of a model.
enum Outcome {
    /// Compiled and simulated; the largest error over what is allowed, and the same under encryption if it was run.
    Agrees(f64, Option<f64>),
    Refused(String),
}

fn folder(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("CIPHERLOOM_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let path = path.join("models/conformance").join(name);
    if !path.is_dir() {
        // The test harness hides what passing tests print by macro, but not what they write to the stream itself.
        let line = format!("skipped: there is no folder {}\n", path.display());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    Some(path)
}

/// The models of a folder, in the order of their names.
fn cases(dir: &Path) -> Vec<Case> {
    let index = ["index.json", "../index.json"]
        .iter()
        .find_map(|p| fs::read(dir.join(p)).ok())
        .unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let levels: BTreeMap<&str, &str> = index
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            (
                m["name"].as_str().unwrap(),
                m["level"].as_str().unwrap_or("any"),
            )
        })
        .collect();
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "onnx"))
        .collect();
    paths.sort();
    let case = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let level = levels.get(name.as_str()).copied().unwrap_or("any");
        Case {
            level: level.to_owned(),
            name,
            path,
        }
    };
    paths.into_iter().map(case).collect()
}

/// Sample `index` of an array whose axis 0 counts samples.
fn row(array: &Tensor, index: usize) -> Tensor {
    let run: usize = array.shape()[1..].iter().product();
    let mut shape = array.shape().to_vec();
    shape[0] = 1;
    Tensor::new(shape, array.data()[index * run..][..run].to_vec()).unwrap()
}

/// Inputs and expected outputs, sample by sample.
fn reference(path: &Path, module: &Module) -> Result<Vec<(Tensors, Tensors)>, DataError> {
    let bytes = fs::read(path.with_extension("npz")).unwrap();
    let mut arrays = Arrays::open(&bytes, "x")?;
    let mut read = |prefix: &str, name: &str, batched: bool| {
        let array = arrays.read(&format!("{prefix}_{name}"))?;
        Ok((name.to_owned(), batched, array))
    };
    let inputs: Vec<_> = module
        .inputs
        .iter()
        .map(|i| read("in", &i.name, i.batched))
        .collect::<Result<_, DataError>>()?;
    let outputs: Vec<_> = module
        .outputs
        .iter()
        .map(|o| read("out", &o.name, o.batched))
        .collect::<Result<_, DataError>>()?;
    let count = inputs
        .iter()
        .filter(|(_, batched, _)| *batched)
        .map(|(_, _, x)| x.shape()[0])
        .max()
        .unwrap_or(1);
    let one = |all: &[(String, bool, Tensor)], i: usize| -> Tensors {
        let pick = |(name, batched, x): &(String, bool, Tensor)| {
            let x = if *batched && count > 1 {
                row(x, i)
            } else {
                x.clone()
            };
            (name.clone(), x)
        };
        all.iter().map(pick).collect()
    };
    Ok((0..count.min(SAMPLES))
        .map(|i| (one(&inputs, i), one(&outputs, i)))
        .collect())
}

/// The largest absolute value.
fn largest(outputs: &Tensors) -> f64 {
    let values = outputs.values().flat_map(Tensor::data);
    values.fold(0.0, |m, x| m.max(x.abs()))
}

/// The largest difference.
fn distance(a: &Tensors, b: &Tensors) -> f64 {
    assert!(a.keys().eq(b.keys()));
    let mut worst = 0.0_f64;
    for (a, b) in a.values().zip(b.values()) {
        assert_eq!(a.shape(), b.shape());
        for (x, y) in a.data().iter().zip(b.data()) {
            assert!(x.is_finite());
            worst = worst.max((x - y).abs());
        }
    }
    worst
}

/// Whether a part of the network is no polynomial.
fn has_functions(module: &Module) -> bool {
    let ops = module.graph.ids().into_iter();
    let mut ops = ops.filter_map(|id| module.graph.get(id)).map(|n| &n.op);
    ops.any(|op| matches!(op, Op::Function(_) | Op::Div | Op::Max | Op::Min))
}

/// What the plan states of its error, with three bits for the largest of many; the precision that was asked of
/// approximations; and the reference's own rounding.
fn allowed(compiled: &Compiled, case: &Case, module: &Module, scale: f64) -> f64 {
    // Half-precision references, and one that rounds its inputs to 8 bits, are less exact than the plan.
    let reference = match case.name.as_str() {
        "int8-weights-dequantized" => 1.0 / 256.0,
        name if name.contains("float16") => 1.0 / 256.0,
        _ => 1e-5,
    };
    let stated = 8.0 * (-compiled.predicted_precision_bits()).exp2();
    let approximated = if has_functions(module) {
        (-precision(&case.name)).exp2()
    } else {
        0.0
    };
    (stated + approximated + reference) * scale
}

fn run(case: &Case, encrypted: bool) -> Outcome {
    let refused = |error: cipherloom::Error| Outcome::Refused(error.to_string());
    let model = match Model::from_onnx(&case.path) {
        Ok(model) => model,
        Err(error) => return refused(error),
    };
    let samples = match reference(&case.path, model.module()) {
        Ok(samples) => samples,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let inputs: Vec<Tensors> = samples.iter().map(|(x, _)| x.clone()).collect();
    // What is calibrated is what is run, so no value leaves its range.
    let compiler = Compiler::new()
        .calibrate(&inputs)
        .margin(1.0)
        .precision(precision(&case.name));
    let compiled = match compiler.compile(&model) {
        Ok(compiled) => compiled,
        Err(error) => return refused(error),
    };
    let plan = compiled.server_plan();
    let mut scale = samples.iter().map(|(_, y)| largest(y)).fold(1e-3, f64::max);
    if plan.plan().tail.is_some() {
        // The plan states the error of the values that the client finishes, and no tail here enlarges it.
        for input in &inputs {
            let values = eval_all(model.module(), input).unwrap();
            let values = values.values().flat_map(Tensor::data);
            scale = values.fold(scale, |m, x| m.max(x.abs()));
        }
    }
    let allowed = allowed(&compiled, case, model.module(), scale);
    let checked = check(&plan, &inputs, None, 0, None, &|_, _| {}).unwrap();
    let simulated = checked.report.simulated.max_abs_error.unwrap() / allowed;
    let hidden = encrypted.then(|| {
        let (x, expected) = &samples[0];
        let client = Client::new(plan.client_plan()).unwrap();
        let server = Server::new(plan.clone(), client.evaluation_key().unwrap()).unwrap();
        let outputs = server.run(&client.encrypt(x).unwrap()).unwrap();
        distance(&client.decrypt(&outputs).unwrap(), expected) / allowed
    });
    Outcome::Agrees(simulated, hidden)
}

/// How many models of each level agree, out of how many, and how many of them were run encrypted.
#[derive(Default)]
struct Counts {
    agreed: BTreeMap<String, (usize, usize)>,
    encrypted: usize,
}

/// Runs all models of a folder, every `stride`-th of them encrypted too, and prints the table.
fn table(dir: &Path, stride: usize) -> Counts {
    let cases = cases(dir);
    let run = |(i, case): (usize, &Case)| run(case, i % stride == 0);
    let outcomes: Vec<Outcome> = cases.par_iter().enumerate().map(run).collect();
    let mut counts = Counts::default();
    let (mut wrong, mut unexplained) = (vec![], Vec::<String>::new());
    for (case, outcome) in cases.iter().zip(outcomes) {
        let (name, level) = (&case.name, &case.level);
        let count = counts.agreed.entry(level.clone()).or_default();
        count.1 += 1;
        match outcome {
            Outcome::Agrees(simulated, hidden) => {
                let shown = hidden.map_or(String::new(), |h| format!("{h:9.2e}"));
                println!("agrees   {level:<6} {name:<45} {simulated:9.2e} {shown}");
                count.0 += 1;
                counts.encrypted += usize::from(hidden.is_some());
                if simulated.max(hidden.unwrap_or(0.0)) > 1.0 {
                    wrong.push(name.clone());
                }
            }
            Outcome::Refused(reason) => {
                let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
                println!("refused  {level:<6} {name:<45} {reason:.150}");
                match REFUSED.iter().find(|(refused, _)| refused == name) {
                    Some((_, why)) => println!("         {why}"),
                    None => unexplained.push(name.clone()),
                }
            }
        }
    }
    for (level, (agreed, all)) in &counts.agreed {
        println!("{}: {level}: {agreed} of {all} agree", dir.display());
    }
    println!("{}: {} encrypted", dir.display(), counts.encrypted);
    assert!(wrong.is_empty(), "beyond what the plan states: {wrong:?}");
    assert!(unexplained.is_empty(), "refused: {unexplained:?}");
    counts
}

#[test]
fn valid_models_agree_with_their_references() {
    let Some(dir) = folder("ok") else { return };
    let counts = table(&dir, 4);
    for (level, least) in [("exact", 204), ("approx", 63), ("hard", 9)] {
        let (agreed, all) = counts.agreed[level];
        assert!(agreed >= least, "{level}: {agreed} of {all}");
    }
    assert!(counts.encrypted >= 60, "{}", counts.encrypted);
}

#[test]
fn what_torch_exports_agrees_with_its_references() {
    let Some(dir) = folder("torch") else { return };
    let counts = table(&dir, 5);
    let (agreed, all) = counts.agreed["any"];
    assert!(agreed >= 197, "{agreed} of {all}");
    assert!(counts.encrypted >= 35, "{}", counts.encrypted);
}
