//! Exact maxima: every plan's numbers against the maxima of its own quantised operands.

use crate::module;
use cipherloom_compiler::integer::{IntegerCompiled, IntegerOptions, compile_integer};
use cipherloom_ir::integer::{IntegerPlan, IntegerSimulator, StepOp, dequantise};
use cipherloom_ir::plan::Register;
use cipherloom_ir::{Tensor, Tensors};
use proptest::prelude::*;
use std::sync::LazyLock;

/// Samples of an input by a fixed sequence, from -1 to 1.
pub(crate) fn samples(name: &str, shape: &[usize]) -> Vec<Tensors> {
    let len: usize = shape.iter().product();
    let x = |i: usize| ((i * 37 + i * i * 11) % 201) as f64 / 100.0 - 1.0;
    let sample = |s: usize| {
        let data = (0..len).map(|e| x(len * s + e)).collect();
        let tensor = Tensor::new(shape.to_vec(), data).unwrap();
        Tensors::from([(name.to_owned(), tensor)])
    };
    (0..128).map(sample).collect()
}

fn compiled(body: &str, shape: &[usize]) -> IntegerCompiled {
    let options = IntegerOptions {
        keep_tail: true,
        ..IntegerOptions::default()
    };
    compile_integer(&module(body), &samples("x", shape), &options).unwrap()
}

/// A maximum, the elements of each window, and the smallest one instead.
struct Case {
    plan: IntegerPlan,
    windows: Vec<Vec<usize>>,
    smallest: bool,
}

pub(crate) const PORTS: &str =
    "input \"x\" = %0 · f32 · batched\noutput \"y\" = %9 · f32 · batched\n";

impl Case {
    fn new(body: &str, shape: &[usize], windows: Vec<Vec<usize>>, smallest: bool) -> Self {
        let plan = compiled(&format!("{body}{PORTS}"), shape).plan;
        Self {
            plan,
            windows,
            smallest,
        }
    }

    fn inputs(&self) -> usize {
        self.plan.inputs[0].elements()
    }
}

/// The elements of windows over a square.
fn square(side: usize, size: usize, stride: usize) -> Vec<Vec<usize>> {
    let places: Vec<usize> = (0..=side - size).step_by(stride).collect();
    let window = |y: usize, x: usize| {
        let taps = (0..size).flat_map(move |dy| (0..size).map(move |dx| (dy, dx)));
        taps.map(|(dy, dx)| (y + dy) * side + x + dx).collect()
    };
    let all = places
        .iter()
        .flat_map(|y| places.iter().map(move |x| (*y, *x)));
    all.map(|(y, x)| window(y, x)).collect()
}

/// Maxima of inputs alone.
static OF_INPUTS: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let image = "  [1,1,4,4] - | %0 = input \"x\"\n";
    let row = |n: usize| format!("  [1,{n}] - | %0 = input \"x\"\n");
    let pool = "kernel [2,2] strides [2,2] dilations [1,1] pads [0,0,0,0]";
    let wide = "kernel [3,3] strides [1,1] dilations [1,1] pads [0,0,0,0]";
    vec![
        Case::new(
            &format!("{image}  [1,1,2,2] - | %9 = max_pool %0 {pool}\n"),
            &[1, 1, 4, 4],
            square(4, 2, 2),
            false,
        ),
        // Four rounds: levels are made anew between them.
        Case::new(
            &format!("{image}  [1,1,2,2] - | %9 = max_pool %0 {wide}\n"),
            &[1, 1, 4, 4],
            square(4, 3, 1),
            false,
        ),
        Case::new(
            &format!("{}  [1,1] - | %9 = reduce_min %0 axes [1]\n", row(5)),
            &[1, 5],
            vec![(0..5).collect()],
            true,
        ),
        Case::new(
            &format!(
                "{}  [1,3] - | %1 = mul_const %0, @m\n  [1,1] - | %2 = reduce_max %1 axes [1]\n  [1,1] - | %9 = mul_const %2, @h\nconst @m [1] = [-2.0]\nconst @h [1] = [-0.5]\n",
                row(3)
            ),
            &[1, 3],
            vec![(0..3).collect()],
            true,
        ),
    ]
});

#[test]
fn lookups_of_maxima_have_no_index_error() {
    for case in OF_INPUTS.iter() {
        for step in &case.plan.steps {
            if let StepOp::Lookup { slack, .. } = step.op {
                assert_eq!(slack, 0, "{}", step.origin);
            }
        }
        assert_eq!(case.plan.outputs[0].slack, 0);
    }
    let bootstraps: Vec<u64> = OF_INPUTS.iter().map(|c| c.plan.bootstraps()).collect();
    // Windows of n elements take n - 1 comparisons; of nine, three are made anew after two rounds.
    assert_eq!(bootstraps, [4 * 3, 4 * (8 + 3), 4 + 2, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// For all operands in range and whatever the noise.
    #[test]
    fn maxima_of_inputs_are_those_of_their_integers(
        which in 0_usize..4,
        integers in prop::collection::vec(0_i64..16, 16),
        seed in any::<u64>(),
    ) {
        let case = &OF_INPUTS[which];
        let x = integers[..case.inputs()].to_vec();
        let simulator = IntegerSimulator::new(&case.plan);
        let outputs = simulator.run_integers(std::slice::from_ref(&x), Some(seed)).unwrap();
        let x = dequantise(&case.plan.inputs[0], &x);
        let y = dequantise(&case.plan.outputs[0], &outputs[0]);
        for (window, y) in case.windows.iter().zip(y) {
            let numbers = window.iter().map(|e| x[*e]);
            let expected = match case.smallest {
                true => numbers.fold(f64::INFINITY, f64::min),
                false => numbers.fold(f64::NEG_INFINITY, f64::max),
            };
            prop_assert!((y - expected).abs() < 1e-9, "{y} for {expected}");
        }
    }
}

/// A layer, ReLU and pooling in both orders: the ReLU comes first.
fn pooled(relu_first: bool) -> String {
    let pool = "max_pool %3 kernel [2,2] strides [2,2] dilations [1,1] pads [0,0,0,0]";
    let weights: Vec<String> = (0..64)
        .map(|i| format!("{}.0", (i * 29 + i * i * 7) % 9 - 4))
        .collect();
    let (first, last) = if relu_first {
        (
            "  [1,16] - | %2 = relu %1\n  [1,1,4,4] - | %3 = reshape %2\n".to_owned(),
            format!("  [1,1,2,2] - | %9 = {pool}\n"),
        )
    } else {
        (
            "  [1,1,4,4] - | %3 = reshape %1\n".to_owned(),
            format!("  [1,1,2,2] - | %4 = {pool}\n  [1,1,2,2] - | %9 = relu %4\n"),
        )
    };
    format!(
        "  [1,4] - | %0 = input \"x\"\n  [1,16] - | %1 = gemm %0, @w\n{first}{last}{PORTS}const @w [16,4] = [{}]\n",
        weights.join(", ")
    )
}

/// The plan with a register put out beside its outputs.
pub(crate) fn with_register(plan: &IntegerPlan, register: Register, log_delta: u32) -> IntegerPlan {
    let mut plan = plan.clone();
    let mut port = plan.outputs[0].clone();
    (port.register, port.log_delta) = (register, log_delta);
    plan.outputs.push(port);
    plan.steps.iter_mut().for_each(|s| s.free.clear());
    plan
}

#[test]
fn the_plan_of_a_pooling() {
    let plan = compiled(&pooled(true), &[1, 4]).plan;
    let text = cipherloom_ir::integer::print(&plan);
    let lines: Vec<&str> = text
        .lines()
        .filter(|l| !l.contains("relu\"") && !l.starts_with("table"))
        .collect();
    insta::assert_snapshot!("pooling", lines.join("\n"));
}

#[test]
fn maxima_of_lookups_are_those_of_their_integers() {
    for relu_first in [true, false] {
        let compiled = compiled(&pooled(relu_first), &[1, 4]);
        let layers = compiled.layers.iter().filter_map(|l| l.function.as_deref());
        assert_eq!(layers.collect::<Vec<_>>(), ["relu", "abs", "abs"]);
        // Four lookups and three comparisons for each window, and the sum of the first layer alone is read approximately.
        assert_eq!(compiled.plan.bootstraps(), 4 * (4 + 3));
        let slack: Vec<u32> = compiled.layers.iter().map(|l| l.slack).collect();
        assert!(slack[0] > 0 && slack[1..] == [0, 0, 0], "{slack:?}");
        let lookup = |s: &&cipherloom_ir::integer::Step| matches!(s.op, StepOp::Lookup { .. });
        let relu = compiled.plan.steps.iter().find(lookup).unwrap();
        let plan = with_register(&compiled.plan, relu.dst, relu.log_delta);
        let simulator = IntegerSimulator::new(&plan);
        for seed in 0..200_u64 {
            let x: Vec<i64> = (0..4)
                .map(|e| ((seed as i64 + 1) * 977 * (3 * e + 1)) % 4096)
                .collect();
            let found = simulator.run_integers(&[x], Some(seed)).unwrap();
            for (window, y) in square(4, 2, 2).iter().zip(&found[0]) {
                let most = window.iter().map(|e| found[1][*e]).max().unwrap();
                // Four units are a level.
                assert_eq!(*y, 4 * most);
            }
        }
    }
}

#[test]
fn the_larger_of_two_layers_is_that_of_their_integers() {
    let body = format!(
        "  [1,4] - | %0 = input \"x\"\n  [1,4] - | %1 = gemm %0, @v\n  [1,4] - | %2 = gemm %0, @w\n  [1,4] - | %3 = relu %1\n  \
         [1,4] - | %4 = sigmoid %2\n  [1,4] - | %9 = min %3, %4\n{PORTS}{}{}",
        WEIGHTS.replace("@w", "@v"),
        WEIGHTS.replace("1.0, 2.0", "-1.0, 1.0")
    );
    let compiled = compiled(&body, &[1, 4]);
    let layers = compiled.layers.iter().filter_map(|l| l.function.as_deref());
    assert_eq!(layers.collect::<Vec<_>>(), ["relu", "sigmoid", "abs"]);
    let lookup = |s: &&cipherloom_ir::integer::Step| matches!(s.op, StepOp::Lookup { .. });
    let lookups: Vec<_> = compiled.plan.steps.iter().filter(lookup).collect();
    let plan = with_register(&compiled.plan, lookups[0].dst, lookups[0].log_delta);
    let plan = with_register(&plan, lookups[1].dst, lookups[1].log_delta);
    let simulator = IntegerSimulator::new(&plan);
    for seed in 0..200_u64 {
        let x = (0..4).map(|e| ((seed as i64 + 1) * 977 * (3 * e + 1)) % 4096);
        let found = simulator.run_integers(&[x.collect()], Some(seed)).unwrap();
        let pairs = found[1].iter().zip(&found[2]);
        // Two units are a level.
        let expected: Vec<i64> = pairs.map(|(a, b)| 2 * *a.min(b)).collect();
        assert_eq!(found[0], expected);
    }
}

pub(crate) const WEIGHTS: &str = "const @w [4,4] = [1.0, 2.0, -1.0, 0.5, 0.5, -1.0, 1.5, 1.0, -2.0, 1.0, 1.0, 0.5, 1.0, 1.0, -0.5, -1.5]\n";

#[test]
fn wide_sums_keep_an_index_error() {
    let body = format!(
        "  [1,4] - | %0 = input \"x\"\n  [1,4] - | %1 = gemm %0, @w\n  [1,1] - | %9 = reduce_max %1 axes [1]\n{PORTS}{WEIGHTS}"
    );
    let compiled = compiled(&body, &[1, 4]);
    assert!(compiled.layers[0].slack > 0);
}

#[test]
fn approximate_maxima_take_fewer_lookups_where_they_are_asked_for() {
    let options = IntegerOptions {
        keep_tail: true,
        exact_maxima: false,
        ..IntegerOptions::default()
    };
    let found = compile_integer(&module(&pooled(true)), &samples("x", &[1, 4]), &options).unwrap();
    assert!(found.layers[0].slack > 0 && found.layers[0].function.as_deref() == Some("abs"));
}
