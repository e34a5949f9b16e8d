//! Operators that the conformance set has not, against their formulas.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/build.rs"]
mod build;

use build::{A, Model, assert_near, node};
use onnx_protobuf::NodeProto;

const X: [f64; 8] = [-3.0, -1.5, -0.5, 0.0, 0.5, 1.0, 2.5, 4.0];

type Constants = Vec<(&'static str, Vec<i64>, Vec<f32>)>;

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

#[test]
fn elementwise_operators_follow_their_formulas() {
    let half = || vec![("c", vec![], vec![0.5])];
    let ramp = || vec![("c", vec![8], (0..8).map(|i| i as f32 - 4.0).collect())];
    let at = |i: usize| i as f64 - 4.0;
    let plain = |op: &str| node(op, "x", "y", &[]);
    let with = |op: &str| node(op, "x c", "y", &[]);
    let swapped = |op: &str| node(op, "c x", "y", &[]);
    #[allow(clippy::type_complexity)]
    let cases: Vec<(NodeProto, Constants, Box<dyn Fn(usize, f64) -> f64>)> = vec![
        (
            node("Swish", "x", "y", &[("alpha", A::F(1.5))]),
            vec![],
            Box::new(|_, x| x / (1.0 + f64::exp(-1.5 * x))),
        ),
        (
            node("Swish", "x", "y", &[("alpha", A::F(0.0))]),
            vec![],
            Box::new(|_, x| x / 2.0),
        ),
        (plain("Ceil"), vec![], Box::new(|_, x| x.ceil())),
        (plain("Round"), vec![], Box::new(|_, x| x.round_ties_even())),
        (swapped("Pow"), half(), Box::new(|_, x| f64::powf(0.5, x))),
        (with("Max"), ramp(), Box::new(move |i, x| x.max(at(i)))),
        (with("Min"), ramp(), Box::new(move |i, x| x.min(at(i)))),
        (swapped("Max"), half(), Box::new(|_, x| x.max(0.5))),
        (with("Min"), half(), Box::new(|_, x| x.min(0.5))),
        (with("Greater"), half(), Box::new(|_, x| truth(x > 0.5))),
        (swapped("Greater"), half(), Box::new(|_, x| truth(0.5 > x))),
        (with("Less"), half(), Box::new(|_, x| truth(x < 0.5))),
        (swapped("Less"), half(), Box::new(|_, x| truth(0.5 < x))),
        (
            with("GreaterOrEqual"),
            half(),
            Box::new(|_, x| truth(x >= 0.5)),
        ),
        (
            swapped("GreaterOrEqual"),
            half(),
            Box::new(|_, x| truth(0.5 >= x)),
        ),
        (
            with("LessOrEqual"),
            half(),
            Box::new(|_, x| truth(x <= 0.5)),
        ),
        (
            swapped("LessOrEqual"),
            ramp(),
            Box::new(move |i, x| truth(at(i) <= x)),
        ),
        (with("Equal"), half(), Box::new(|_, x| truth(x == 0.5))),
        (
            node("Cast", "x", "y", &[("to", A::I(7))]),
            vec![],
            Box::new(|_, x| x.trunc()),
        ),
        (
            node("Cast", "x", "y", &[("to", A::I(9))]),
            vec![],
            Box::new(|_, x| truth(x != 0.0)),
        ),
        (
            with("PRelu"),
            ramp(),
            Box::new(move |i, x| if x < 0.0 { at(i) * x } else { x }),
        ),
    ];
    for (node, constants, formula) in cases {
        let what = format!("{} {:?}", node.op_type, node.input);
        let found = Model::of(24, node, &[1, 8], constants).run(&X);
        let expected: Vec<f64> = X.iter().enumerate().map(|(i, x)| formula(i, *x)).collect();
        assert_near(&found["y"], &[1, 8], &expected, &what);
    }
}

#[test]
fn selections_and_logic_follow_their_truth_tables() {
    let mut model = Model::of(17, node("Greater", "x c", "p", &[]), &[1, 8], vec![]);
    model.constants = vec![
        ("c", vec![], vec![0.25]),
        ("d", vec![], vec![2.0]),
        ("e", vec![8], (0..8).map(|i| i as f32).collect()),
    ];
    model.nodes.extend([
        node("Less", "x d", "q", &[]),
        node("And", "p q", "and", &[]),
        node("Or", "p q", "or", &[]),
        node("Xor", "p q", "xor", &[]),
        node("Not", "p", "not", &[]),
        node("Where", "and x e", "w", &[]),
        node("Where", "not e d", "v", &[]),
        node("Neg", "x", "n", &[]),
        node("Where", "p n x", "u", &[]),
    ]);
    model.outputs = vec!["and", "or", "xor", "not", "w", "v", "u"];
    let found = model.run(&X);
    let each = |f: &dyn Fn(usize, f64, bool, bool) -> f64| -> Vec<f64> {
        let values = X.iter().enumerate();
        values.map(|(i, x)| f(i, *x, *x > 0.25, *x < 2.0)).collect()
    };
    let expected = [
        ("and", each(&|_, _, p, q| truth(p && q))),
        ("or", each(&|_, _, p, q| truth(p || q))),
        ("xor", each(&|_, _, p, q| truth(p != q))),
        ("not", each(&|_, _, p, _| truth(!p))),
        ("w", each(&|i, x, p, q| if p && q { x } else { i as f64 })),
        ("v", each(&|i, _, p, _| if p { 2.0 } else { i as f64 })),
        ("u", each(&|_, x, p, _| if p { -x } else { x })),
    ];
    for (name, expected) in expected {
        assert_near(&found[name], &[1, 8], &expected, name);
    }
}

#[test]
fn normalisations_follow_their_formulas() {
    let x: Vec<f64> = (0..16)
        .map(|i| f64::from((7 * i) % 16) / 5.0 - 1.0)
        .collect();
    let shape = [1_usize, 4, 2, 2];
    let channel = |i: usize| i / 4;
    // The value at i divided by the norm of the values that share a key with it, after their mean is taken away.
    let normalised = |key: &dyn Fn(usize) -> usize, epsilon: f64, centred: bool| -> Vec<f64> {
        let group = |i: usize| (0..16).filter(move |j| key(*j) == key(i));
        let mean = |i: usize| {
            let sum: f64 = group(i).map(|j| x[j]).sum();
            if centred {
                sum / group(i).count() as f64
            } else {
                0.0
            }
        };
        let deviation = |i: usize| {
            let sum: f64 = group(i).map(|j| (x[j] - mean(i)).powi(2)).sum();
            (sum / group(i).count() as f64 + epsilon).sqrt()
        };
        (0..16).map(|i| (x[i] - mean(i)) / deviation(i)).collect()
    };
    let scale = [0.5_f32, -1.0, 2.0, 0.25];
    let bias = [0.1_f32, 0.2, 0.3, -0.4];
    let four = |v: [f32; 4]| v.to_vec();
    let affine = |y: Vec<f64>, which: &dyn Fn(usize) -> usize| -> Vec<f64> {
        let values = y.iter().enumerate();
        values
            .map(|(i, y)| y * f64::from(scale[which(i)]) + f64::from(bias[which(i)]))
            .collect()
    };
    let epsilon = ("epsilon", A::F(0.125));
    let groups = ("num_groups", A::I(2));
    let per_channel = || vec![("s", vec![4], four(scale)), ("b", vec![4], four(bias))];
    let per_group = || {
        vec![
            ("s", vec![2], scale[..2].to_vec()),
            ("b", vec![2], bias[..2].to_vec()),
        ]
    };
    let in_pairs = |i: usize| channel(i) / 2;
    let lrn = |i: usize| {
        let near = (0..4).filter(|c: &usize| c.abs_diff(channel(i)) <= 1);
        let sum: f64 = near.map(|c| x[c * 4 + i % 4].powi(2)).sum();
        x[i] / (2.0 + 0.75 / 3.0 * sum).powf(0.5)
    };
    let row = |i: usize, f: &dyn Fn(f64) -> f64| -> f64 {
        (0..16).filter(|j| j / 2 == i / 2).map(|j| f(x[j])).sum()
    };
    let cases = [
        (
            21,
            node(
                "GroupNormalization",
                "x s b",
                "y",
                &[groups.clone(), epsilon.clone()],
            ),
            per_channel(),
            affine(normalised(&in_pairs, 0.125, true), &channel),
        ),
        (
            18,
            node(
                "GroupNormalization",
                "x s b",
                "y",
                &[groups, epsilon.clone()],
            ),
            per_group(),
            affine(normalised(&in_pairs, 0.125, true), &in_pairs),
        ),
        (
            23,
            node(
                "RMSNormalization",
                "x s",
                "y",
                &[("axis", A::I(2)), epsilon],
            ),
            vec![("s", vec![2, 2], vec![1.0; 4])],
            normalised(&channel, 0.125, false),
        ),
        (
            13,
            node("MeanVarianceNormalization", "x", "y", &[]),
            vec![],
            normalised(&channel, 0.0, true),
        ),
        (
            17,
            node(
                "LRN",
                "x",
                "y",
                &[
                    ("size", A::I(3)),
                    ("alpha", A::F(0.75)),
                    ("beta", A::F(0.5)),
                    ("bias", A::F(2.0)),
                ],
            ),
            vec![],
            (0..16).map(lrn).collect(),
        ),
        (
            17,
            node("LpNormalization", "x", "y", &[("p", A::I(1))]),
            vec![],
            (0..16).map(|i| x[i] / row(i, &f64::abs)).collect(),
        ),
        (
            17,
            node("LpNormalization", "x", "y", &[]),
            vec![],
            (0..16).map(|i| x[i] / row(i, &|v| v * v).sqrt()).collect(),
        ),
    ];
    for (opset, node, constants, expected) in cases {
        let what = node.op_type.clone();
        let found = Model::of(opset, node, &[1, 4, 2, 2], constants).run(&x);
        assert_near(&found["y"], &shape, &expected, &what);
    }
}

#[test]
fn a_layer_normalisation_yields_its_statistics() {
    let normalisation = node(
        "LayerNormalization",
        "x s",
        "y m i",
        &[("epsilon", A::F(0.0))],
    );
    let mut model = Model::of(
        17,
        normalisation,
        &[1, 2],
        vec![("s", vec![2], vec![1.0, 3.0])],
    );
    model.outputs = vec!["y", "m", "i"];
    let found = model.run(&[1.0, 5.0]);
    assert_near(&found["y"], &[1, 2], &[-1.0, 3.0], "y");
    assert_near(&found["m"], &[1, 1], &[3.0], "mean");
    assert_near(&found["i"], &[1, 1], &[0.5], "inverse deviation");
}

#[test]
fn what_has_no_meaning_here_is_refused_with_a_reason() {
    let refusal = |node: NodeProto, constants: Constants| {
        let error = Model::of(17, node, &[1, 8], constants)
            .import()
            .unwrap_err();
        error.to_string()
    };
    for (node, constants, reason) in [
        (
            node("Clip", "x c d", "y", &[]),
            vec![("c", vec![], vec![1.0]), ("d", vec![], vec![0.0])],
            "exceeds",
        ),
        (
            node("Div", "x c", "y", &[]),
            vec![("c", vec![], vec![0.0])],
            "contains 0",
        ),
        (
            node("Pow", "c x", "y", &[]),
            vec![("c", vec![], vec![-2.0])],
            "greater than 0",
        ),
        (node("Hardmax", "x", "y", &[]), vec![], "compares"),
        (
            node("ai.onnx.ml:TreeEnsembleClassifier", "x", "y", &[]),
            vec![],
            "it names no class",
        ),
        (
            node("ai.onnx.ml:Imputer", "x", "y", &[]),
            vec![],
            "before encryption",
        ),
        (node("Not", "x", "y", &[]), vec![], "applied to f32"),
    ] {
        let found = refusal(node, constants);
        assert!(found.contains(reason), "{found}");
    }
}
