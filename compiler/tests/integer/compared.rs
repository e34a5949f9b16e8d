//! Exact comparisons: every plan's truth values against the clear network on whole numbers, and against its own levels.

use crate::maxima::{PORTS, WEIGHTS, samples, with_register};
use crate::module;
use cipherloom_compiler::integer::{IntegerCompiled, IntegerOptions, compile_integer};
use cipherloom_ir::integer::{IntegerSimulator, Step, StepOp, dequantise, verify};
use cipherloom_ir::tensor::{Module, eval};
use cipherloom_ir::{Tensor, Tensors};
use proptest::prelude::*;
use std::sync::LazyLock;

/// So many whole numbers each sample has.
const COUNT: usize = 6;

/// Samples of 16 whole numbers from one on, by a fixed sequence.
fn wholes(from: i64, count: usize) -> Vec<Tensors> {
    let x = |i: usize| ((i * 7 + i * i * 3 + i / 5) % 16) as i64 + from;
    let sample = |s: usize| sample((0..COUNT).map(|e| x(COUNT * s + e)));
    (0..count).map(sample).collect()
}

fn sample(numbers: impl Iterator<Item = i64>) -> Tensors {
    let numbers = numbers.map(|x| x as f64).collect();
    let tensor = Tensor::new(vec![1, COUNT], numbers).unwrap();
    Tensors::from([("x".to_owned(), tensor)])
}

fn compiled(module: &Module, samples: &[Tensors], agreement: f64) -> IntegerCompiled {
    let options = IntegerOptions {
        keep_tail: true,
        agreement,
        ..IntegerOptions::default()
    };
    compile_integer(module, samples, &options).unwrap()
}

/// Bootstraps and largest index error of each layer of lookups, by their functions.
fn lookups(compiled: &IntegerCompiled) -> Vec<(&str, usize, u32)> {
    let layers = compiled.layers.iter();
    let named = layers.filter_map(|l| Some((l.function.as_deref()?, l.lookups, l.slack)));
    named.collect()
}

/// A network of six whole numbers %0, whose halves are %1 and %2.
struct Case {
    module: Module,
    compiled: IntegerCompiled,
    from: i64,
}

impl Case {
    fn new(body: &str, from: i64, (count, agreement): (usize, f64)) -> Self {
        let halves = "  [1,6] - | %0 = input \"x\"\n  [1,3] - | %1 = take %0, @a\n  [1,3] - | %2 = take %0, @b\n";
        let places = "const @a [1,3] = [0.0, 1.0, 2.0]\nconst @b [1,3] = [3.0, 4.0, 5.0]\n";
        let module = module(&format!("{halves}{body}{PORTS}{places}"));
        let compiled = compiled(&module, &wholes(from, count), agreement);
        Self {
            module,
            compiled,
            from,
        }
    }
}

static OF_WHOLES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let case = |body: &str, from| Case::new(body, from, (128, 0.99));
    vec![
        case("  [1,1] - | %9 = arg_max %0 axis 1\n", 0),
        case("  [1,1] - | %9 = arg_min %1 axis 1 last\n", -8),
        case("  [1,2] - | %9 = top_k %0 axis 1 k 2 smallest\n", 0),
        case("  [1,3] - | %9 = greater %1, %2\n", -5),
        case("  [1,3] - | %9 = greater_or_equal %1, %2\n", 0),
        case("  [1,3] - | %3 = sub %1, %2\n  [1,3] - | %9 = sign %3\n", 0),
        // Two comparisons of one input: a chain of three elements takes the same levels.
        case(
            "  [1,3] - | %3 = greater %1, %2\n  [1,1] - | %4 = arg_max %1 axis 1\n  [1,3] - | %9 = add %3, %4\n",
            0,
        ),
        // What else reads whole numbers loses nothing.
        case(
            "  [1,3] - | %3 = greater %1, %2\n  [1,3] - | %9 = where %3, %1, %2\n",
            0,
        ),
        // Of few samples others are made up, of whole numbers too.
        Case::new("  [1,3] - | %9 = greater %1, %2\n", 0, (12, 0.99)),
    ]
});

#[test]
fn comparisons_of_whole_numbers_have_no_index_error() {
    let found: Vec<_> = OF_WHOLES.iter().map(|c| lookups(&c.compiled)).collect();
    // Each of n elements meets each other one, and counts what it lost.
    let three = vec![("step", 3, 0)];
    assert_eq!(found[0], [("step", 15, 0), ("step", 6, 0)]);
    // Of three, one bootstrap tells which one it is.
    assert_eq!(found[1], [("step", 3, 0), ("step", 1, 0)]);
    assert_eq!(found[2], [("step", 15, 0), ("step", 6, 0), ("step", 6, 0)]);
    assert_eq!(found[3..5], [three.clone(), three.clone()]);
    assert_eq!(found[5], [("sign", 3, 0)]);
    assert_eq!(found[6], [("step", 3, 0), ("step", 3, 0), ("step", 1, 0)]);
    assert_eq!(found[7][0], three[0]);
    assert_eq!(found[8], three);
    for case in OF_WHOLES.iter() {
        let quantisation = &case.compiled.plan.inputs[0].quantisation;
        assert!(quantisation.scale.iter().all(|scale| *scale == 1.0));
        assert_eq!((quantisation.lo, quantisation.hi), (0, 15));
        assert_eq!(verify(&case.compiled.plan), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// For all operands and whatever the noise, equal ones included.
    #[test]
    fn comparisons_of_whole_numbers_are_right(
        which in 0_usize..9,
        integers in prop::collection::vec(prop_oneof![0_i64..16, 5_i64..8], COUNT),
        seed in any::<u64>(),
    ) {
        let case = &OF_WHOLES[which];
        let x = sample(integers.iter().map(|i| i + case.from));
        let clear = eval(&case.module, &x).unwrap();
        let found = IntegerSimulator::new(&case.compiled.plan).run(&x, Some(seed)).unwrap();
        // A selection is a sum of two squares from tables.
        let tolerance = if which == 7 { 0.5 } else { 0.02 };
        for (expected, y) in clear["y"].data().iter().zip(found["y"].data()) {
            prop_assert!((expected - y).abs() < tolerance, "{y} for {expected} of {integers:?}");
        }
    }
}

/// Two layers of four, of which lookups make levels, and what is done with them.
fn layers(body: &str) -> Module {
    let body = format!(
        "  [1,4] - | %0 = input \"x\"\n  [1,4] - | %1 = gemm %0, @v\n  [1,4] - | %2 = gemm %0, @w\n  [1,4] - | %3 = relu %1\n  \
         [1,4] - | %4 = sigmoid %2\n{body}{PORTS}{}{}",
        WEIGHTS.replace("@w", "@v"),
        WEIGHTS.replace("1.0, 2.0", "-1.0, 1.0")
    );
    module(&body)
}

/// For comparisons of what lookups give, whose plan puts out the levels too: the results of some inputs, and the levels.
fn of_lookups(compiled: &IntegerCompiled, count: usize) -> Vec<(Vec<f64>, Vec<Vec<i64>>)> {
    let lookup = |s: &&Step| matches!(s.op, StepOp::Lookup { .. });
    let mut plan = compiled.plan.clone();
    for step in compiled.plan.steps.iter().filter(lookup).take(count) {
        plan = with_register(&plan, step.dst, step.log_delta);
    }
    let simulator = IntegerSimulator::new(&plan);
    let run = |seed: u64| {
        let x = (0..4).map(|e| ((seed as i64 + 1) * 977 * (3 * e + 1)) % 4096);
        let mut found = simulator.run_integers(&[x.collect()], Some(seed)).unwrap();
        let levels = found.split_off(1);
        (dequantise(&plan.outputs[0], &found[0]), levels)
    };
    (0..200).map(run).collect()
}

#[test]
fn comparisons_of_lookups_are_those_of_their_levels() {
    let found = compiled(
        &layers("  [1,4] - | %9 = greater %3, %4\n"),
        &samples("x", &[1, 4]),
        0.5,
    );
    let [relu, sigmoid, step] = lookups(&found)[..] else {
        panic!("{:?}", lookups(&found));
    };
    assert!(relu.2 > 0 && sigmoid.2 > 0);
    assert_eq!((relu.1, sigmoid.1, step), (4, 4, ("step", 4, 0)));
    for (y, levels) in of_lookups(&found, 2) {
        for (y, (a, b)) in y.iter().zip(levels[0].iter().zip(&levels[1])) {
            assert!((y - f64::from(u8::from(a > b))).abs() < 0.02);
        }
    }
}

#[test]
fn positions_among_lookups_are_those_of_their_levels() {
    let body = "  [1,1] - | %9 = arg_max %3 axis 1\n";
    // ReLUs of few levels are equal at times.
    let found = compiled(&layers(body), &samples("x", &[1, 4]), 0.5);
    let [relu, meetings, counts] = lookups(&found)[..] else {
        panic!("{:?}", lookups(&found));
    };
    assert_eq!((relu.0, relu.1), ("relu", 4));
    assert_eq!((meetings, counts), (("step", 6, 0), ("step", 4, 0)));
    for (y, levels) in of_lookups(&found, 1) {
        let most = levels[0].iter().max().unwrap();
        let first = levels[0].iter().position(|l| l == most).unwrap();
        assert!((y[0] - first as f64).abs() < 0.05, "{y:?} {levels:?}");
    }
}

#[test]
fn comparisons_of_sums_keep_an_index_error() {
    let found = compiled(
        &layers("  [1,1] - | %9 = arg_max %1 axis 1\n"),
        &samples("x", &[1, 4]),
        0.5,
    );
    assert!(matches!(
        lookups(&found)[..],
        [("step", 6, 1..), ("step", 4, 0)]
    ));
    let approximate = IntegerOptions {
        keep_tail: true,
        exact_comparisons: false,
        ..IntegerOptions::default()
    };
    let case = &OF_WHOLES[3];
    let found = compile_integer(&case.module, &wholes(case.from, 128), &approximate).unwrap();
    assert!(matches!(lookups(&found)[..], [("step", 3, 1..)]));
}

#[test]
fn real_numbers_that_levels_do_not_tell_apart_stay_approximate() {
    let body = format!("  [1,4] - | %0 = input \"x\"\n  [1,1] - | %9 = arg_max %0 axis 1\n{PORTS}");
    let found = compiled(&module(&body), &samples("x", &[1, 4]), 0.99);
    assert!(matches!(
        lookups(&found)[..],
        [("step", 6, 1..), ("step", 4, 0)]
    ));
    assert!(found.agreement > 0.95, "{}", found.agreement);
}

#[test]
fn functions_of_comparisons_take_no_lookup() {
    let body = "  [1,3] - | %3 = greater %1, %2\n  [1,3] - | %4 = sigmoid %3\n  [1,3] - | %9 = power %4 exponent 2\n";
    // The largest of three is undecided where two are equal.
    let case = Case::new(body, 0, (128, 0.5));
    assert_eq!(lookups(&case.compiled), [("step", 3, 0)]);
    let simulator = IntegerSimulator::new(&case.compiled.plan);
    for (seed, x) in wholes(0, 50).iter().enumerate() {
        let clear = eval(&case.module, x).unwrap();
        let found = simulator.run(x, Some(seed as u64)).unwrap();
        for (expected, y) in clear["y"].data().iter().zip(found["y"].data()) {
            assert!((expected - y).abs() < 0.02, "{y} for {expected}");
        }
    }
}

/// Copies of one element with several factors are no copies that could be levels.
#[test]
fn multiples_of_one_element_are_told_apart() {
    let body = format!(
        "  [1,4] - | %0 = input \"x\"\n  [1,4] - | %1 = mul_const %0, @f\n  [1,4] - | %9 = max %0, %1\n{PORTS}const @f [1] = [3.0]\n"
    );
    let module = module(&body);
    let found = compiled(&module, &samples("x", &[1, 4]), 0.99);
    let simulator = IntegerSimulator::new(&found.plan);
    for (seed, x) in samples("x", &[1, 4])[..50].iter().enumerate() {
        let clear = eval(&module, x).unwrap();
        let found = simulator.run(x, Some(seed as u64)).unwrap();
        for (expected, y) in clear["y"].data().iter().zip(found["y"].data()) {
            assert!((expected - y).abs() < 0.1, "{y} for {expected}");
        }
    }
}
