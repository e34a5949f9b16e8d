//! Networks at the integer stage: the plan simulated with noise on whole test sets, against the clear network.
//!
//! The sets lie beside the repository. No sample is tested under scales that it gave: one half of a set gives the scales for
//! the other half.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/build.rs"]
mod build;
mod common;
#[path = "integer/compared.rs"]
mod compared;
#[path = "integer/forests.rs"]
mod forests;
#[path = "integer/joint.rs"]
mod joint;
#[path = "integer/maxima.rs"]
mod maxima;
#[path = "common/trees.rs"]
mod trees;

use cipherloom_compiler::integer::{IntegerCompiled, IntegerOptions, compile_integer};
use cipherloom_compiler::onnx;
use cipherloom_ir::integer::IntegerSimulator;
use cipherloom_ir::tensor::{Module, eval};
use cipherloom_ir::{Tensor, Tensors};
use std::path::{Path, PathBuf};

/// Samples and their classes.
type Labelled = (Vec<Tensors>, Vec<usize>);

fn shared() -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    found.join("data/tabular").is_dir().then_some(found)
}

/// A set in the shape that a module takes: samples and classes.
fn labelled(shared: &Path, module: &Module, set: &str, array: &str) -> Labelled {
    let (arrays, _) = common::read_npz(&shared.join(format!("data/tabular/{set}-test.npz")));
    let input = &module.inputs[0];
    let shape = module.graph.get(input.node).unwrap().shape.clone();
    let rows = arrays[array].data().chunks(shape.iter().product());
    let sample = |row: &[f64]| {
        let tensor = Tensor::new(shape.clone(), row.to_vec()).unwrap();
        Tensors::from([(input.name.clone(), tensor)])
    };
    let classes = arrays["y"].data().iter().map(|y| *y as usize);
    (rows.map(sample).collect(), classes.collect())
}

/// One half of a set to find scales from, the other to test; then the other way round.
fn folds((samples, classes): &Labelled) -> [(Vec<Tensors>, Labelled); 2] {
    [0, 1].map(|fold| {
        let (mut calibration, mut test) = (vec![], (vec![], vec![]));
        for (i, (sample, class)) in samples.iter().zip(classes).enumerate() {
            if i % 2 == fold {
                calibration.push(sample.clone());
            } else {
                test.0.push(sample.clone());
                test.1.push(*class);
            }
        }
        (calibration, test)
    })
}

/// The class that the outputs name: a label, the largest of several, or the side of a single one.
fn class(outputs: &Tensors, probability: bool) -> usize {
    if let Some(label) = outputs.get("output_label").or(outputs.get("label")) {
        return label.data()[0] as usize;
    }
    let data = outputs.values().next().unwrap().data();
    match *data {
        [only] => usize::from(only > if probability { 0.5 } else { 0.0 }),
        _ => (0..data.len())
            .rev()
            .max_by(|a, b| data[*a].total_cmp(&data[*b]))
            .unwrap(),
    }
}

/// Of how many samples, how many are right, and how many are decided alike.
#[derive(Debug, Default)]
struct Accuracy {
    samples: usize,
    clear: usize,
    simulated: usize,
    alike: usize,
}

impl Accuracy {
    fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.clear += other.clear;
        self.simulated += other.simulated;
        self.alike += other.alike;
    }

    fn share(&self, count: usize) -> f64 {
        count as f64 / self.samples as f64
    }

    fn loss(&self) -> f64 {
        self.share(self.clear) - self.share(self.simulated)
    }
}

fn accuracy(
    module: &Module,
    compiled: &IntegerCompiled,
    (test, classes): &Labelled,
    probability: bool,
) -> Accuracy {
    let plan = &compiled.plan;
    let simulator = IntegerSimulator::new(plan);
    let mut found = Accuracy::default();
    for (i, (sample, label)) in test.iter().zip(classes).enumerate() {
        let expected = class(&eval(module, sample).unwrap(), probability);
        let outputs = simulator.run(sample, Some(1000 + i as u64)).unwrap();
        let outputs = match &plan.tail {
            Some(tail) => eval(tail, &outputs).unwrap(),
            None => outputs,
        };
        let decided = class(&outputs, probability);
        found.samples += 1;
        found.clear += usize::from(expected == *label);
        found.simulated += usize::from(decided == *label);
        found.alike += usize::from(decided == expected);
    }
    found
}

fn report(name: &str, compiled: &IntegerCompiled, found: &Accuracy) {
    let (plan, e) = (&compiled.plan, &compiled.plan.estimates);
    println!(
        "{name}: clear {:.2} %, simulated {:.2} %, agreement {:.2} % (calibration {:.2} %, expected {:.2} %), {} bits, {} bootstraps, {:.2} s, keys {:.1} MB",
        100.0 * found.share(found.clear),
        100.0 * found.share(found.simulated),
        100.0 * found.share(found.alike),
        100.0 * compiled.agreement,
        100.0 * compiled.expected_agreement,
        plan.params.bits,
        e.bootstraps,
        e.latency_s,
        e.eval_key_bytes as f64 / 1e6
    );
    for t in &compiled.tried {
        println!("    {t:?}");
    }
    for l in &compiled.layers {
        println!(
            "    {:?} x {} (copies {}, range {}, failure {:.1}): weights {} bits, tables {} bits, slack {}, results {} bits",
            l.function,
            l.lookups,
            l.copies,
            l.range,
            l.log2_failure,
            l.weight_bits,
            l.table_bits,
            l.slack,
            l.result_bits
        );
    }
}

/// What is at most lost to integers and noise.
const LOSS: f64 = 0.01;

#[test]
fn networks_keep_their_accuracy_on_whole_sets() {
    let Some(shared) = shared() else { return };
    let networks = [
        ("breast-cancer-logreg", "breast-cancer", "x", true),
        ("breast-cancer-logreg-matmul", "breast-cancer", "x", true),
        ("breast-cancer-logreg-skl", "breast-cancer", "x", true),
        ("breast-cancer-linearsvc-skl", "breast-cancer", "x", true),
        ("breast-cancer-pipeline-skl", "breast-cancer", "x_raw", true),
        ("breast-cancer-mlp", "breast-cancer", "x", true),
        ("breast-cancer-mlp-relu", "breast-cancer", "x", true),
        ("breast-cancer-mlp-square", "breast-cancer", "x", true),
        ("breast-cancer-mlp-skl", "breast-cancer", "x", true),
        ("iris-logreg-skl", "iris", "x", true),
        ("iris-mlp", "iris", "x", false),
        ("wine-mlp-softmax", "wine", "x", false),
        ("digits-mlp-square", "digits", "x", false),
        ("digits-cnn", "digits", "x", false),
        ("digits-cnn-maxpool", "digits", "x", false),
        ("digits-cnn-square", "digits", "x", false),
    ];
    let mut worst = vec![];
    for (name, set, array, probability) in networks {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let own = own.join(format!("../tests/data/models/{name}.onnx"));
        let file = if own.exists() {
            own
        } else {
            shared.join(format!("models/{name}.onnx"))
        };
        let module =
            onnx::import(&std::fs::read(&file).unwrap(), file.parent(), name, name).unwrap();
        let mut found = Accuracy::default();
        for (calibration, test) in folds(&labelled(&shared, &module, set, array)) {
            let compiled = compile_integer(&module, &calibration, &IntegerOptions::default())
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            let half = accuracy(&module, &compiled, &test, probability);
            report(name, &compiled, &half);
            let estimates = &compiled.plan.estimates;
            // Seconds on one thread.
            let limit = match name {
                // Exact maxima over windows of four take eight lookups for each, not four.
                "digits-cnn-maxpool" => 14.0,
                name if name.starts_with("digits-cnn") => 7.0,
                "digits-mlp-square" => 1.0,
                _ => 0.5,
            };
            assert!(estimates.latency_s <= limit, "{name}: {estimates:?}");
            assert!(estimates.eval_key_bytes < 150_000_000, "{name}");
            found.add(&half);
        }
        println!("{name}: {found:?}");
        if found.loss() > LOSS {
            worst.push((name, found));
        }
    }
    assert!(worst.is_empty(), "{worst:?}");
}

#[test]
fn trees_keep_their_accuracy_on_whole_sets() {
    let Some(shared) = shared() else { return };
    for (set, array, classes, trees, depth) in [
        ("breast-cancer", "x_raw", 2, 1, 5),
        ("iris", "x_raw", 3, 1, 5),
        ("wine", "x_raw", 3, 5, 4),
        ("digits", "x", 10, 8, 6),
    ] {
        let (arrays, _) = common::read_npz(&shared.join(format!("data/tabular/{set}-test.npz")));
        let y: Vec<usize> = arrays["y"].data().iter().map(|y| *y as usize).collect();
        let features = arrays[array].len() / y.len();
        let rows: Vec<Vec<f64>> = arrays[array]
            .data()
            .chunks(features)
            .map(<[f64]>::to_vec)
            .collect();
        // Half of the set trains the trees and gives the scales, the other half tests.
        let members: Vec<usize> = (0..y.len()).filter(|i| i % 2 == 0).collect();
        let trained = trees::Set {
            rows: &rows,
            classes: &y,
            count: classes,
        };
        let forest: Vec<trees::Tree> = (0..trees)
            .map(|t| trees::Tree::train(&trained, &members, depth, t))
            .collect();
        let model = trees::Lists::of(&forest).model(features, classes, false, &[]);
        let module = model.import().unwrap();
        let sample = |i: usize| {
            let tensor = Tensor::new(vec![1, features], rows[i].clone()).unwrap();
            Tensors::from([("x".to_owned(), tensor)])
        };
        let calibration: Vec<Tensors> = members.iter().map(|i| sample(*i)).collect();
        let test: Labelled = (1..y.len()).step_by(2).map(|i| (sample(i), y[i])).unzip();
        let compiled = compile_integer(&module, &calibration, &IntegerOptions::default())
            .unwrap_or_else(|e| panic!("{set}: {e}"));
        let found = accuracy(&module, &compiled, &test, true);
        report(&format!("{set}-trees"), &compiled, &found);
        assert!(found.loss() <= LOSS, "{set}");
        let estimates = &compiled.plan.estimates;
        if depth == 5 {
            assert!(estimates.latency_s <= 2.0, "{set}: {estimates:?}");
            assert!(estimates.eval_key_bytes < 150_000_000, "{set}");
        }
    }
}

/// A module in the text form.
fn module(body: &str) -> Module {
    let head = "module \"m\" · from \"m.onnx\" · stage tensor\n  shape range | op\n";
    cipherloom_ir::tensor::parse(&format!("{head}{body}"), &[]).unwrap()
}

/// Samples of four numbers from -1 to 1, spread by a fixed sequence.
fn samples(count: usize) -> Vec<Tensors> {
    let x = |i: usize| ((i * 37 + i * i * 11) % 201) as f64 / 100.0 - 1.0;
    let sample = |s: usize| {
        let data = (0..4).map(|e| x(4 * s + e)).collect();
        Tensors::from([("x".to_owned(), Tensor::new(vec![1, 4], data).unwrap())])
    };
    (0..count).map(sample).collect()
}

const MLP: &str = r#"  [1,4] - | %0 = input "x"
  [1,3] - | %1 = gemm %0, @w0, @b0
  [1,3] - | %2 = relu %1
  [1,2] - | %3 = gemm %2, @w1
input "x" = %0 · f32 · batched
output "y" = %3 · f32 · batched
const @w0 [3,4] = [0.5, -1.0, 0.25, 0.75, 1.0, 0.5, -0.5, 0.25, -0.75, 0.5, 1.0, -1.0]
const @b0 [3] = [0.25, -0.125, 0.5]
const @w1 [2,3] = [1.0, -0.5, 0.75, -1.0, 0.5, 0.25]
"#;

#[test]
fn the_plan_of_a_small_network() {
    let compiled = compile_integer(&module(MLP), &samples(64), &IntegerOptions::default()).unwrap();
    let text = cipherloom_ir::integer::print(&compiled.plan);
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with("table")).collect();
    insta::assert_snapshot!("integer-mlp", lines.join("\n"));
}

#[test]
fn the_plan_of_a_tree() {
    let mut lists = trees::Lists::default();
    lists.push(0, 0, ("BRANCH_LEQ", 0, 0.1), [1, 2]);
    lists.push(0, 1, ("BRANCH_LEQ", 2, -0.3), [3, 4]);
    for id in 2..5 {
        lists.push(0, id, ("LEAF", 0, 0.0), [0, 0]);
        lists.leaf(0, id, id % 2, 1.0);
    }
    let module = lists.model(4, 2, false, &[]).import().unwrap();
    let compiled = compile_integer(&module, &samples(64), &IntegerOptions::default()).unwrap();
    let text = cipherloom_ir::integer::print(&compiled.plan);
    insta::assert_snapshot!("integer-tree", text);
}

#[test]
fn one_bootstrap_compares_with_several_thresholds() {
    let mut lists = trees::Lists::default();
    lists.push(0, 0, ("BRANCH_LEQ", 0, 0.1), [1, 2]);
    lists.push(0, 1, ("BRANCH_LEQ", 0, -0.4), [3, 4]);
    lists.push(0, 2, ("BRANCH_LEQ", 2, 0.2), [5, 6]);
    lists.push(0, 5, ("BRANCH_LEQ", 0, 0.6), [7, 8]);
    for id in [3, 4, 6, 7, 8] {
        lists.push(0, id, ("LEAF", 0, 0.0), [0, 0]);
        lists.leaf(0, id, id % 2, 1.0);
    }
    let module = lists.model(4, 2, false, &[]).import().unwrap();
    let samples = samples(64);
    let compiled = compile_integer(&module, &samples, &IntegerOptions::default()).unwrap();
    let text = cipherloom_ir::integer::print(&compiled.plan);
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with("table")).collect();
    insta::assert_snapshot!("integer-shared-tree", lines.join("\n"));
    // Three of the four comparisons are of one feature; the paths take two more.
    assert_eq!(compiled.plan.bootstraps(), 2 + 2);
    let found = accuracy(&module, &compiled, &(samples, vec![0; 64]), true);
    assert!(found.alike >= 60, "{found:?}");
}

/// The largest error of a plan without noise, over the largest output.
fn error(module: &Module, options: &IntegerOptions) -> f64 {
    let samples = samples(128);
    let compiled = compile_integer(module, &samples, options).unwrap();
    let simulator = IntegerSimulator::new(&compiled.plan);
    let (mut worst, mut largest) = (0.0, 0.0);
    for sample in &samples {
        let clear = eval(module, sample).unwrap();
        let found = simulator.run(sample, None).unwrap();
        for (a, b) in clear["y"].data().iter().zip(found["y"].data()) {
            worst = f64::max(worst, (a - b).abs());
            largest = f64::max(largest, a.abs());
        }
    }
    worst / largest
}

#[test]
fn operations_come_near_their_clear_results() {
    let ports = "input \"x\" = %0 · f32 · batched\noutput \"y\" = %9 · f32 · batched\n";
    let cases = [
        (
            "  [1,4] - | %1 = sigmoid %0\n  [1,4] - | %9 = mul %0, %1\n",
            0.05,
        ),
        (
            "  [1,4] - | %1 = tanh %0\n  [1,4] - | %9 = max %0, %1\n",
            0.05,
        ),
        ("  [1,1] - | %9 = reduce_max %0 axes [1]\n", 0.1),
        ("  [1,1] - | %9 = reduce_min %0 axes [1]\n", 0.1),
        (
            "  [1,4] - | %1 = power %0 exponent 3\n  [1,4] - | %9 = sub %1, %0\n",
            0.05,
        ),
        (
            "  [1,4] - | %1 = abs %0\n  [1,4] - | %2 = sqrt %1\n  [1,8] - | %9 = concat %1, %2 axis 1\n",
            0.08,
        ),
    ];
    let options = IntegerOptions {
        keep_tail: true,
        ..IntegerOptions::default()
    };
    for (body, bound) in cases {
        let module = module(&format!("  [1,4] - | %0 = input \"x\"\n{body}{ports}"));
        let found = error(&module, &options);
        println!("{found:.4}: {body}");
        assert!(found < bound, "{found}: {body}");
    }
}

#[test]
fn a_growing_function_is_looked_up_before_an_exact_maximum_or_after_another() {
    let body = r#"  [1,4] - | %0 = input "x"
  [1,4] - | %1 = relu %0
  [1,1] - | %9 = reduce_max %1 axes [1]
input "x" = %0 · f32 · batched
output "y" = %9 · f32 · batched
"#;
    let lookups = |exact_maxima| -> Vec<(String, usize)> {
        let options = IntegerOptions {
            keep_tail: true,
            exact_maxima,
            ..IntegerOptions::default()
        };
        let compiled = compile_integer(&module(body), &samples(128), &options).unwrap();
        let layers = compiled.layers.into_iter();
        let lookups = layers.filter_map(|l| Some((l.function?, l.lookups / l.copies)));
        lookups.collect()
    };
    let named = |list: [(&str, usize); 3]| list.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(lookups(true), named([("relu", 4), ("abs", 2), ("abs", 1)]));
    assert_eq!(lookups(false), named([("abs", 2), ("abs", 1), ("relu", 1)]));
}

#[test]
fn positions_of_the_largest_are_exact_in_the_lookups_of_truth_values() {
    let body = r#"  [1,4] - | %0 = input "x"
  [1,1] - | %9 = arg_max %0 axis 1
input "x" = %0 · f32 · batched
output "y" = %9 · i64 · batched
"#;
    let module = module(body);
    let options = IntegerOptions {
        keep_tail: true,
        ..IntegerOptions::default()
    };
    let compiled = compile_integer(&module, &samples(128), &options).unwrap();
    let simulator = IntegerSimulator::new(&compiled.plan);
    let mut alike = 0;
    for sample in samples(128) {
        let clear = eval(&module, &sample).unwrap()["y"].data()[0];
        let found = simulator.run(&sample, None).unwrap()["y"].data()[0];
        alike += usize::from((clear - found).abs() < 0.05);
    }
    assert!(alike >= 124, "{alike}");
    // Six meetings, then four counts of what was won.
    assert_eq!(compiled.plan.bootstraps(), 10);
    assert_eq!(compiled.layers[1].slack, 0);
}

#[test]
fn what_has_no_form_is_refused_with_all_nodes() {
    let body = r#"  [1,4] - | %0 = input "x"
  [1,4] - | %1 = equal %0, %0
  [1,4] - | %2 = equal %1, %0
  [1,4] - | %3 = gemm %2, @w
input "x" = %0 · f32 · batched
output "y" = %3 · f32 · batched
const @w [4,4] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
"#;
    let refused = |samples: &[Tensors], options: &IntegerOptions| {
        compile_integer(&module(body), samples, options)
            .unwrap_err()
            .to_string()
    };
    let options = IntegerOptions::default();
    let text = refused(&samples(8), &options);
    assert!(
        text.contains("2 of 3 operations have no encrypted form"),
        "{text}"
    );
    assert!(text.contains("equality means nothing"), "{text}");
    assert!(refused(&[], &options).contains("--calibrate"));
    let wide = IntegerOptions {
        input_bits: 40,
        ..options
    };
    assert!(refused(&samples(8), &wide).contains("from 2 to 16"));
}

/// Images of which all samples agree on the border and on a column, as those of digits do.
fn framed(count: usize) -> Vec<Tensors> {
    let x = |s: usize, e: usize| {
        let (row, column) = (e / 8, e % 8);
        let inside = (2..7).contains(&row) && (2..7).contains(&column) && column != 4;
        let i = 64 * s + e;
        let varied = ((i * 37 + i * i * 11) % 201) as f64 / 100.0;
        if inside { varied - 0.4242 } else { -0.4242 }
    };
    let sample = |s: usize| {
        let data = (0..64).map(|e| x(s, e)).collect();
        Tensors::from([("x".to_owned(), Tensor::new(vec![1, 1, 8, 8], data).unwrap())])
    };
    (0..count).map(sample).collect()
}

/// Sums over the border are of constants alone, or of them and one varying pixel, and maxima have elements that never win.
#[test]
fn pixels_that_are_the_same_in_all_samples_are_encoded_too() {
    let body = r#"  [1,1,8,8] - | %0 = input "x"
  [1,2,8,8] - | %1 = conv %0, @w, @b strides [1,1] pads [1,1,1,1]
  [1,2,8,8] - | %2 = relu %1
  [1,2,4,4] - | %3 = max_pool %2 kernel [2,2] strides [2,2] dilations [1,1] pads [0,0,0,0]
  [1,32] - | %4 = reshape %3
  [1,3] - | %5 = gemm %4, @g
input "x" = %0 · f32 · batched
output "y" = %5 · f32 · batched
"#;
    let list = |count: usize, of: &dyn Fn(usize) -> f64| {
        let numbers: Vec<String> = (0..count).map(|i| format!("{:?}", of(i))).collect();
        numbers.join(", ")
    };
    let spread = |i: usize| ((i * 53 + i * i * 7) % 41) as f64 / 20.0 - 1.0;
    let module = module(&format!(
        "{body}const @w [2,1,3,3] = [{}]\nconst @b [2] = [0.1, 0.9]\nconst @g [3,32] = [{}]\n",
        list(18, &spread),
        list(96, &|i| spread(i + 18)),
    ));
    let samples = framed(128);
    for exact_maxima in [true, false] {
        let options = IntegerOptions {
            exact_maxima,
            ..IntegerOptions::default()
        };
        let compiled = compile_integer(&module, &samples, &options).unwrap();
        let exact = compiled.layers.iter().filter(|l| l.slack == 0).count();
        assert_eq!(exact > 0, exact_maxima);
        assert!(compiled.agreement >= 0.95, "{}", compiled.agreement);
        // Another value there is clamped, whatever it is.
        let mut odd = samples[0].clone();
        odd.get_mut("x").unwrap().data_mut()[0] = 1e6;
        let simulator = IntegerSimulator::new(&compiled.plan);
        let (plain, clamped) = (
            simulator.run(&samples[0], None).unwrap(),
            simulator.run(&odd, None).unwrap(),
        );
        for (a, b) in plain["y"].data().iter().zip(clamped["y"].data()) {
            assert!((a - b).abs() < 0.5, "{a} {b}");
        }
    }
}
