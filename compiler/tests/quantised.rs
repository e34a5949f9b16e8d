//! Networks that are quantised already: their clear results against integer arithmetic, and their own scales in plans.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/build.rs"]
mod build;

use build::{A, Model, assert_near, node};
use cipherloom_compiler::integer::{IntegerOptions, compile_integer};
use cipherloom_ir::integer::IntegerSimulator;
use cipherloom_ir::tensor::eval;
use cipherloom_ir::{Tensor, Tensors};
use onnx_protobuf::NodeProto;

const U8: i64 = 2;
const I8: i64 = 3;

/// A constant of a small integer type, from 64-bit integers `NAME64`.
fn cast(name: &str, to: i64) -> NodeProto {
    node("Cast", &format!("{name}64"), name, &[("to", A::I(to))])
}

fn model(nodes: Vec<NodeProto>, shape: &[i64]) -> Model {
    let mut model = Model::of(17, nodes[0].clone(), shape, vec![]);
    model.nodes = nodes;
    model
}

/// Halves to even.
fn quantise(x: f64, scale: f64, zero: f64, (lo, hi): (f64, f64)) -> f64 {
    ((x / scale).round_ties_even() + zero).clamp(lo, hi)
}

const UNSIGNED: (f64, f64) = (0.0, 255.0);
const SIGNED: (f64, f64) = (-128.0, 127.0);

#[test]
fn numbers_are_rounded_to_a_scale_and_back() {
    let mut m = model(
        vec![
            cast("z", U8),
            node("QuantizeLinear", "x s z", "q", &[]),
            node("DequantizeLinear", "q s z", "y", &[]),
        ],
        &[1, 6],
    );
    m.constants = vec![("s", vec![], vec![0.25])];
    m.whole_constants = vec![("z64", vec![], vec![10])];
    m.outputs = vec!["q", "y"];
    // Halves on both sides of even numbers, and both ends.
    let x = [0.125, 0.375, -0.125, -100.0, 100.0, 1.3];
    let q: Vec<f64> = x
        .iter()
        .map(|x| quantise(*x, 0.25, 10.0, UNSIGNED))
        .collect();
    assert_eq!(q, [10.0, 12.0, 10.0, 0.0, 255.0, 15.0]);
    let found = m.run(&x);
    assert_near(&found["q"], &[1, 6], &q, "q");
    let y: Vec<f64> = q.iter().map(|q| (q - 10.0) * 0.25).collect();
    assert_near(&found["y"], &[1, 6], &y, "y");
}

#[test]
fn scales_go_along_an_axis() {
    let mut m = model(
        vec![
            cast("z", I8),
            node("QuantizeLinear", "x s z", "y", &[("axis", A::I(1))]),
        ],
        &[1, 2, 2],
    );
    m.constants = vec![("s", vec![2], vec![0.5, 2.0])];
    m.whole_constants = vec![("z64", vec![2], vec![1, -3])];
    let x = [1.0, -70.0, 3.0, 500.0];
    let y = [
        quantise(1.0, 0.5, 1.0, SIGNED),
        quantise(-70.0, 0.5, 1.0, SIGNED),
        quantise(3.0, 2.0, -3.0, SIGNED),
        quantise(500.0, 2.0, -3.0, SIGNED),
    ];
    assert_near(&m.run(&x)["y"], &[1, 2, 2], &y, "y");
}

/// A layer whose weights have a scale for each output.
fn linear() -> Model {
    let mut m = model(
        vec![
            cast("xz", U8),
            cast("w", I8),
            cast("wz", I8),
            cast("yz", U8),
            node("QuantizeLinear", "x xs xz", "q", &[]),
            node("QLinearMatMul", "q xs xz w ws wz ys yz", "p", &[]),
            node("DequantizeLinear", "p ys yz", "y", &[]),
        ],
        &[1, 3],
    );
    m.constants = vec![
        ("xs", vec![], vec![0.0625]),
        ("ws", vec![2], vec![0.25, 0.125]),
        ("ys", vec![], vec![0.5]),
    ];
    m.whole_constants = vec![
        ("xz64", vec![], vec![128]),
        ("w64", vec![3, 2], vec![5, -7, -100, 33, 64, 127]),
        ("wz64", vec![2], vec![0, 1]),
        ("yz64", vec![], vec![100]),
    ];
    m
}

/// What [`linear`] yields, in integers but for the last scale.
fn linear_result(x: &[f64]) -> Vec<f64> {
    let q = x
        .iter()
        .map(|x| quantise(*x, 0.0625, 128.0, UNSIGNED) - 128.0);
    let q: Vec<f64> = q.collect();
    let weights = [[5.0, -100.0, 64.0], [-8.0, 32.0, 126.0]];
    let scales = [0.0625 * 0.25, 0.0625 * 0.125];
    let one = |(w, s): (&[f64; 3], &f64)| {
        let sum: f64 = w.iter().zip(&q).map(|(w, q)| w * q).sum();
        (quantise(sum * s, 0.5, 100.0, UNSIGNED) - 100.0) * 0.5
    };
    weights.iter().zip(&scales).map(one).collect()
}

#[test]
fn quantised_products() {
    let m = linear();
    for x in [[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [-9.0, 3.03, 7.9]] {
        assert_near(&m.run(&x)["y"], &[1, 2], &linear_result(&x), "y");
    }
}

#[test]
fn integer_products_and_convolutions() {
    let mut m = model(
        vec![
            cast("xz", U8),
            cast("w", I8),
            node("QuantizeLinear", "x xs xz", "q", &[]),
            node("MatMulInteger", "q w xz", "p", &[]),
            node("Cast", "p", "y", &[("to", A::I(1))]),
        ],
        &[1, 2],
    );
    m.constants = vec![("xs", vec![], vec![0.5])];
    m.whole_constants = vec![
        ("xz64", vec![], vec![3]),
        ("w64", vec![2, 2], vec![7, -1, 2, 100]),
    ];
    let x = [4.5, -0.5];
    assert_near(
        &m.run(&x)["y"],
        &[1, 2],
        &[9.0 * 7.0 - 2.0, -9.0 - 100.0],
        "y",
    );

    let mut m = model(
        vec![
            cast("xz", U8),
            cast("w", I8),
            node("QuantizeLinear", "x xs xz", "q", &[]),
            node(
                "ConvInteger",
                "q w xz",
                "y",
                &[("pads", A::Is(vec![0, 1, 0, 0]))],
            ),
        ],
        &[1, 1, 1, 3],
    );
    m.constants = vec![("xs", vec![], vec![1.0])];
    m.whole_constants = vec![
        ("xz64", vec![], vec![5]),
        ("w64", vec![1, 1, 1, 2], vec![3, -2]),
    ];
    // What is padded is the number 0, whose integer is the zero point.
    let y = [-2.0, 3.0 - 4.0, 6.0 - 6.0];
    assert_near(&m.run(&[1.0, 2.0, 3.0])["y"], &[1, 1, 1, 3], &y, "y");
}

#[test]
fn quantised_convolutions_have_a_bias_of_their_scales() {
    let mut m = model(
        vec![
            cast("xz", U8),
            cast("w", I8),
            cast("wz", I8),
            cast("yz", I8),
            node("QuantizeLinear", "x xs xz", "q", &[]),
            node("QLinearConv", "q xs xz w ws wz ys yz b", "p", &[]),
            node("DequantizeLinear", "p ys yz", "y", &[]),
        ],
        &[1, 1, 1, 2],
    );
    m.constants = vec![
        ("xs", vec![], vec![0.5]),
        ("ws", vec![2], vec![0.25, 1.0]),
        ("ys", vec![], vec![0.125]),
    ];
    m.whole_constants = vec![
        ("xz64", vec![], vec![0]),
        ("w64", vec![2, 1, 1, 2], vec![3, 1, -2, 4]),
        ("wz64", vec![2], vec![0, 0]),
        ("yz64", vec![], vec![-10]),
        ("b64", vec![2], vec![6, -1]),
    ];
    m.nodes.insert(0, cast("b", 6));
    let sums = [(2.0 * 3.0 + 3.0 + 6.0) * 0.125, (-4.0 + 12.0 - 1.0) * 0.5];
    let y = sums.map(|s| (quantise(s, 0.125, -10.0, SIGNED) + 10.0) * 0.125);
    assert_near(&m.run(&[1.0, 1.5])["y"], &[1, 2, 1, 1], &y, "y");
}

#[test]
fn the_largest_elements_and_their_places() {
    for (largest, expected) in [(1, [7.0, 2.0, 1.0, 0.0]), (0, [-3.0, 1.0, 0.0, 2.0])] {
        let mut m = model(
            vec![node(
                "TopK",
                "x k",
                "v i",
                &[("largest", A::I(largest)), ("axis", A::I(1))],
            )],
            &[2, 3],
        );
        m.whole_constants = vec![("k", vec![1], vec![1])];
        m.outputs = vec!["v", "i"];
        let found = m.run(&[5.0, -3.0, 7.0, 1.0, 1.0, 0.0]);
        assert_near(&found["v"], &[2, 1], &[expected[0], expected[2]], "v");
        assert_near(&found["i"], &[2, 1], &[expected[1], expected[3]], "i");
        m.whole_constants[0].2[0] = 2;
        let found = m.run(&[5.0, -3.0, 7.0, 1.0, 1.0, 0.0]);
        let values = if largest == 1 {
            ([7.0, 5.0, 1.0, 1.0], [2.0, 0.0, 0.0, 1.0])
        } else {
            ([-3.0, 5.0, 0.0, 1.0], [1.0, 0.0, 2.0, 0.0])
        };
        assert_near(&found["v"], &[2, 2], &values.0, "v");
        assert_near(&found["i"], &[2, 2], &values.1, "i");
    }
}

#[test]
fn faults_are_named() {
    let refused = |m: Model| m.import().unwrap_err().to_string();
    let mut m = model(vec![node("TopK", "x k", "v i", &[])], &[1, 3]);
    m.whole_constants = vec![("k", vec![1], vec![4])];
    m.outputs = vec!["v"];
    assert!(refused(m).contains("k is no number from 1 to 3"));

    let m = model(
        vec![node("DynamicQuantizeLinear", "x", "y s z", &[])],
        &[1, 3],
    );
    assert!(refused(m).contains("quantise statically"));

    let count = 66_500;
    let nodes = vec![
        cast("xz", U8),
        cast("w", I8),
        node("QuantizeLinear", "x xs xz", "q", &[]),
        node("MatMulInteger", "q w xz", "y", &[]),
    ];
    let mut m = model(nodes, &[1, count]);
    m.constants = vec![("xs", vec![], vec![0.5])];
    m.whole_constants = vec![
        ("xz64", vec![], vec![3]),
        ("w64", vec![count, 1], vec![127; count as usize]),
    ];
    assert!(refused(m).contains("its sums may reach 2153602500, beyond the 32 bits"));

    type Change = fn(&mut Model);
    let faults: [(Change, &str); 4] = [
        (
            |m| m.constants[0].2[0] = 0.0,
            "the scale 0 is no positive number",
        ),
        (
            |m| m.constants[0].2[0] = f32::NAN,
            "the scale NaN is no positive number",
        ),
        (
            |m| m.constants[1] = ("ws", vec![3], vec![1.0; 3]),
            "differ in shape",
        ),
        (|m| m.nodes[3] = cast("yz", 6), "it quantises to i32"),
    ];
    for (change, expected) in faults {
        let mut m = linear();
        change(&mut m);
        let found = refused(m);
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

#[test]
fn plans_keep_the_scales_of_the_network() {
    let module = linear().import().unwrap();
    let sample = |i: usize| {
        let x = |e: usize| ((i * 37 + e * 71 + i * e * 13) % 255) as f64 / 16.0 - 8.0;
        let data = (0..3).map(x).collect();
        Tensors::from([("x".to_owned(), Tensor::new(vec![1, 3], data).unwrap())])
    };
    let samples: Vec<Tensors> = (0..200).map(sample).collect();
    // The client rounds the inputs as the network does, and the result too unless it is compiled in.
    let compile = |keep_tail| {
        let options = IntegerOptions {
            keep_tail,
            ..IntegerOptions::default()
        };
        compile_integer(&module, &samples[..100], &options).unwrap()
    };
    assert_eq!(compile(false).plan.bootstraps(), 0);
    let compiled = compile(true);
    let plan = &compiled.plan;
    let input = &plan.inputs[0].quantisation;
    assert_eq!(
        (&input.scale[..], input.lo, input.hi),
        (&[0.0625][..], 0, 255)
    );
    assert_eq!(input.zero_point, [128]);
    // The two results.
    assert!(
        [2, 4, 8, 16].contains(&plan.bootstraps()),
        "{}",
        plan.bootstraps()
    );
    let simulator = IntegerSimulator::new(plan);
    let range = 64.0;
    for sample in &samples[100..] {
        let clear = eval(&module, sample).unwrap();
        let found = simulator.run(sample, None).unwrap();
        for (a, b) in clear["y"].data().iter().zip(found["y"].data()) {
            // One step of the result's scale, and what the index of a table leaves.
            assert!((a - b).abs() <= 0.5 + range / 128.0, "{a} {b}");
        }
    }
}
