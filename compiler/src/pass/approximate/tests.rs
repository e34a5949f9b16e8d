use super::*;
use crate::pass::{Driver, PrintAfter};
use cipherloom_ir::tensor::{eval, parse, verify};

/// `y = fc2(function(fc1(x)))` with two inputs, three hidden values and two outputs.
fn network(function: &str) -> Module {
    let text = format!(
        r#"module "small" · from "small.onnx, opset 17" · stage tensor
  shape range | op
  [1,2] - | %0 = input "x"
  [1,3] - | %1 = gemm %0, @a, @c ; node 0 Gemm "/fc1"
  [1,3] - | %2 = {function} ; node 1 Act "/act"
  [1,2] - | %3 = gemm %2, @b, @d ; node 2 Gemm "/fc2"
input "x" = %0 · f32 · batched
output "y" = %3 · f32 · batched
const @a [3,2] = [1.0, -2.0, 0.5, 1.5, -1.0, 0.25]
const @c [3] = [0.25, -0.5, 0.0]
const @b [2,3] = [1.0, -1.0, 0.5, -0.75, 1.0, 2.0]
const @d [2] = [0.0, -0.5]
"#
    );
    parse(&text, &[]).unwrap_or_else(|e| panic!("{e}"))
}

fn samples(count: usize, lo: f64, hi: f64) -> Vec<Tensors> {
    let at = |i: usize, step: usize| lo + (hi - lo) * ((i * step) % 1009) as f64 / 1008.0;
    let one = |i: usize| {
        let data = vec![at(i + 1, 379), at(i + 1, 613)];
        [("x".to_owned(), Tensor::new(vec![1, 2], data).unwrap())].into()
    };
    (0..count).map(one).collect()
}

fn run<'a>(
    module: &Module,
    evidence: Evidence<'a>,
    precision: Option<f64>,
) -> Result<(Module, Approximate<'a>), PassError> {
    let mut module = module.clone();
    let accuracy = Accuracy {
        margin: 2.0,
        precision,
        maxima: false,
        jumps: false,
        dead_zone: 1.0 / 128.0,
    };
    let mut pass = Approximate::new(evidence, accuracy);
    let mut driver = Driver {
        print_after: PrintAfter::None,
        stop_after: None,
        verify_each: true,
        print: &mut |_, _| {},
    };
    driver.run(&mut module, &mut [&mut pass])?;
    assert_eq!(verify(&module), []);
    Ok((module, pass))
}

/// The largest difference of the outputs over the largest output.
fn error(exact: &Module, found: &Module, samples: &[Tensors]) -> f64 {
    let (mut worst, mut largest) = (0.0_f64, 0.0_f64);
    for sample in samples {
        let (a, b) = (eval(exact, sample).unwrap(), eval(found, sample).unwrap());
        for (a, b) in a["y"].data().iter().zip(b["y"].data()) {
            worst = worst.max((a - b).abs());
            largest = largest.max(a.abs());
        }
    }
    worst / largest
}

#[test]
fn a_wanted_precision_is_reached_on_other_samples_at_the_fewest_levels() {
    let calibration = samples(400, -1.0, 1.0);
    let others = samples(1000, -0.95, 1.0);
    for function in [
        "relu %1",
        "tanh %1",
        "silu %1",
        "elu %1 alpha 1.0",
        "abs %1",
        "exp %1",
    ] {
        let module = network(function);
        let mut depths = vec![];
        for bits in [3.0, 4.5, 6.0] {
            let (found, pass) = run(&module, Evidence::Samples(&calibration), Some(bits)).unwrap();
            let reached = -libm::log2(error(&module, &found, &others));
            assert!(reached > bits, "{function}: {reached} bits, not {bits}");
            let [replaced] = &pass.replaced[..] else {
                panic!("{:?}", pass.replaced)
            };
            assert!(
                replaced.rms_error <= replaced.sup_error,
                "{function}: {replaced:?}"
            );
            assert!((replaced.degree as f64) < libm::exp2(f64::from(replaced.depth)));
            depths.push(replaced.depth);
        }
        assert!(depths.is_sorted(), "{function}: {depths:?}");
    }
}

#[test]
fn decisions_are_kept_without_a_wish() {
    let module = network("relu %1");
    let calibration = samples(400, -1.0, 1.0);
    let (found, pass) = run(&module, Evidence::Samples(&calibration), None).unwrap();
    let decided = |module: &Module, sample: &Tensors| {
        let y = eval(module, sample).unwrap();
        y["y"].data()[0] > y["y"].data()[1]
    };
    let others = samples(1000, -1.0, 1.0);
    let differing = others
        .iter()
        .filter(|s| decided(&module, s) != decided(&found, s));
    assert!(differing.count() <= 10);
    let outputs = pass.outputs.unwrap();
    assert_eq!(outputs.samples, 400);
    assert!(outputs.agreement >= 0.99 && outputs.rms <= outputs.largest);
    let measured = error(&module, &found, &calibration);
    assert!(
        (measured - outputs.largest).abs() < 1e-9,
        "{measured} {}",
        outputs.largest
    );
}

#[test]
fn bounds_from_declared_ranges_serve_without_samples() {
    let ranges: BTreeMap<String, Range> = [("x".to_owned(), Range { lo: -1.0, hi: 1.0 })].into();
    for function in [
        "relu %1",
        "sigmoid %1",
        "softplus %1",
        "leaky_relu %1 alpha 0.1",
    ] {
        let module = network(function);
        let (found, pass) = run(&module, Evidence::Declared(&ranges), None).unwrap();
        let [replaced] = &pass.replaced[..] else {
            panic!("{:?}", pass.replaced)
        };
        // What the doubled input range makes of the widest row, |1| + |-2|, and a little for overshooting.
        assert!(
            (replaced.domain.hi - 1.02 * 6.25).abs() < 0.1,
            "{replaced:?}"
        );
        assert_eq!((replaced.rms_error, pass.outputs), (0.0, None));
        assert!(
            error(&module, &found, &samples(500, -2.0, 2.0)) < 1.0 / 64.0,
            "{function}"
        );
    }
}

#[test]
fn straight_functions_cost_no_level() {
    // The hidden values lie from -3.5 to 3.5, margin included within 8.
    let calibration = samples(50, -1.0, 1.0);
    let clip = network("clip %1 lo -8.0 hi 9.0");
    let (found, pass) = run(&clip, Evidence::Samples(&calibration), None).unwrap();
    assert_eq!((found.graph.len(), pass.replaced.len()), (3, 0));
    let hard = network("hard_sigmoid %1 alpha 0.05 beta 0.5");
    let (found, _) = run(&hard, Evidence::Samples(&calibration), None).unwrap();
    assert!(error(&hard, &found, &calibration) < 1e-12);
}

#[test]
fn functions_without_a_value_are_refused_together() {
    let calibration = samples(50, -1.0, 1.0);
    let error = run(&network("log %1"), Evidence::Samples(&calibration), None).unwrap_err();
    insta::assert_snapshot!(error.to_string());
    let error = run(
        &network("relu %1"),
        Evidence::Samples(&calibration),
        Some(20.0),
    )
    .unwrap_err();
    insta::assert_snapshot!(error.to_string());
    let none = run(&network("relu %1"), Evidence::Samples(&[]), None).unwrap_err();
    assert_eq!(none, PassError::Ranges(RangeError::NoSample));
}

/// Without samples a wish that no degree meets is refused, for all functions together; one that is met takes the lowest degree.
#[test]
fn precision_out_of_reach_of_all_degrees_is_refused_without_samples() {
    let ranges = BTreeMap::from([("x".to_owned(), Range { lo: -1.0, hi: 1.0 })]);
    let module = network("relu %1");
    let error = run(&module, Evidence::Declared(&ranges), Some(15.0)).unwrap_err();
    insta::assert_snapshot!(error.to_string());
    for bits in [5.0, 6.0, 7.0] {
        let (_, pass) = run(&module, Evidence::Declared(&ranges), Some(bits)).unwrap();
        let [replaced] = &pass.replaced[..] else {
            panic!("{:?}", pass.replaced)
        };
        let reached = -libm::log2(replaced.sup_error / replaced.domain.hi);
        // 0.28 / degree is the error of |x| in the limit (Bernstein), of which Relu is half.
        let least = 0.28 / 2.0 * libm::exp2(bits) / (ROOM * search::SHARE);
        assert!(reached >= bits + 0.7, "{reached} for {bits}");
        assert!(
            (replaced.degree as f64) < 1.1 * least + 2.0,
            "{} for {bits}",
            replaced.degree
        );
    }
}

/// A straight line that reads another one, or a sign, reads what stands for it.
#[test]
fn functions_that_read_replaced_ones_read_what_stands_for_them() {
    let text = r#"module "small" · from "small.onnx, opset 17" · stage tensor
  shape range | op
  [1,2] - | %0 = input "x"
  [1,2] - | %1 = abs %0 ; node 0 Abs "/abs"
  [1,2] - | %2 = relu %1 ; node 1 Relu "/relu"
  [1,2] - | %3 = leaky_relu %1 alpha 0.5 ; node 2 LeakyRelu "/leaky"
  [1,2] - | %4 = add %2, %3 ; node 3 Add "/add"
input "x" = %0 · f32 · batched
output "y" = %4 · f32 · batched
output "z" = %2 · f32 · batched
"#;
    let module = parse(text, &[]).unwrap_or_else(|e| panic!("{e}"));
    for (lo, hi) in [(5.0, 9.0), (-9.0, -5.0)] {
        let ranges = BTreeMap::from([("x".to_owned(), Range { lo, hi })]);
        let (found, pass) = run(&module, Evidence::Declared(&ranges), None).unwrap();
        assert_eq!(pass.replaced, []);
        let ids = found.graph.ids().into_iter();
        let left = ids.filter_map(|id| found.graph.get(id));
        assert_eq!(left.filter(|n| matches!(n.op, Op::Function(_))).count(), 0);
        assert_eq!(error(&module, &found, &samples(4, lo, hi)), 0.0);
    }
}
