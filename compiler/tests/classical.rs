//! Models of `ai.onnx.ml` against their formulas.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/build.rs"]
mod build;

use build::{A, Model, assert_near, node};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + f64::exp(-x))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

const X: [f64; 3] = [0.5, -1.0, 2.0];
const W: [[f64; 3]; 4] = [
    [1.0, 0.5, -0.25],
    [-1.0, 0.25, 0.5],
    [0.75, 1.0, 0.125],
    [0.5, -0.5, 0.25],
];

fn weights(rows: usize) -> A {
    A::Fs(W[..rows].iter().flatten().map(|w| *w as f32).collect())
}

fn classifier(rows: usize, classes: A, transform: &'static str) -> Model {
    let name = if matches!(classes, A::Is(_)) {
        "classlabels_ints"
    } else {
        "classlabels_strings"
    };
    let intercepts = (0..rows).map(|i| 0.25 * i as f32).collect();
    let node = node(
        "ai.onnx.ml:LinearClassifier",
        "x",
        "label y",
        &[
            (name, classes),
            ("coefficients", weights(rows)),
            ("intercepts", A::Fs(intercepts)),
            ("post_transform", A::S(transform)),
        ],
    );
    let mut model = Model::of(17, node, &[1, 3], vec![]);
    model.outputs = vec!["label", "y"];
    model
}

fn scores(rows: usize) -> Vec<f64> {
    (0..rows)
        .map(|i| dot(&W[i], &X) + 0.25 * i as f64)
        .collect()
}

#[test]
fn linear_classifiers_give_label_and_scores() {
    let s = scores(3);
    let best = (0..3).max_by(|a, b| s[*a].total_cmp(&s[*b])).unwrap();
    let total: f64 = s.iter().map(|v| v.exp()).sum();
    for (transform, expected) in [
        ("NONE", s.clone()),
        ("LOGISTIC", s.iter().map(|v| sigmoid(*v)).collect()),
        ("SOFTMAX", s.iter().map(|v| v.exp() / total).collect()),
    ] {
        let labels = [7, -2, 40];
        let found = classifier(3, A::Is(labels.to_vec()), transform).run(&X);
        assert_near(&found["y"], &[1, 3], &expected, transform);
        assert_near(&found["label"], &[1], &[labels[best] as f64], "label");
    }
}

#[test]
fn one_row_for_two_classes_gives_both_scores() {
    let s = scores(1)[0];
    let found = classifier(1, A::Is(vec![3, 5]), "LOGISTIC").run(&X);
    assert_near(&found["y"], &[1, 2], &[sigmoid(-s), sigmoid(s)], "scores");
    let label = if s > 0.0 { 5.0 } else { 3.0 };
    assert_near(&found["label"], &[1], &[label], "label");
}

#[test]
fn labels_that_are_words_become_positions_that_the_source_names() {
    let model = classifier(
        3,
        A::Ss(vec!["setosa", "versi\ncolor", "virginica"]),
        "NONE",
    );
    let module = model.import().unwrap();
    assert_eq!(
        module.source,
        "m.onnx, opset 17; label is 0 = setosa, 1 = versicolor, 2 = virginica"
    );
    let s = scores(3);
    let best = (0..3).max_by(|a, b| s[*a].total_cmp(&s[*b])).unwrap();
    assert_near(&model.run(&X)["label"], &[1], &[best as f64], "label");
}

#[test]
fn classifiers_that_do_not_fit_together_are_refused() {
    for (model, reason) in [
        (classifier(3, A::Is(vec![1, 2]), "NONE"), "2 classes"),
        (classifier(3, A::Is(vec![1, 2, 3]), "PROBIT"), "PROBIT"),
        (classifier(1, A::Is(vec![1]), "SQUARE"), "SQUARE"),
    ] {
        let error = model.import().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn regressors_scalers_and_normalizers_follow_their_formulas() {
    let two = vec![dot(&W[0], &X) + 1.0, dot(&W[1], &X) - 1.0];
    let sum: f64 = X.iter().map(|x| x.abs()).sum();
    let length = dot(&X, &X).sqrt();
    let normalizer = |norm| node("ai.onnx.ml:Normalizer", "x", "y", &[("norm", A::S(norm))]);
    for (node, expected) in [
        (
            node(
                "ai.onnx.ml:LinearRegressor",
                "x",
                "y",
                &[
                    ("coefficients", weights(2)),
                    ("intercepts", A::Fs(vec![1.0, -1.0])),
                    ("targets", A::I(2)),
                ],
            ),
            two,
        ),
        (
            node(
                "ai.onnx.ml:Scaler",
                "x",
                "y",
                &[
                    ("offset", A::Fs(vec![1.0])),
                    ("scale", A::Fs(vec![1.0, 2.0, 4.0])),
                ],
            ),
            vec![-0.5, -4.0, 4.0],
        ),
        (normalizer("MAX"), X.iter().map(|x| x / 2.0).collect()),
        (normalizer("L1"), X.iter().map(|x| x / sum).collect()),
        (normalizer("L2"), X.iter().map(|x| x / length).collect()),
    ] {
        let what = node.op_type.clone();
        let found = Model::of(17, node, &[1, 3], vec![]).run(&X);
        assert_near(&found["y"], &[1, expected.len()], &expected, &what);
    }
}

#[test]
fn elements_are_picked_and_labels_looked_up() {
    let pick = node("ai.onnx.ml:ArrayFeatureExtractor", "x i", "y", &[]);
    let mut model = Model::of(17, pick, &[1, 3], vec![]);
    model.whole_constants = vec![("i", vec![2], vec![2, 0])];
    assert_near(&model.run(&X)["y"], &[1, 2], &[2.0, 0.5], "picked");

    model.nodes = vec![
        node("ArgMax", "x", "i", &[("axis", A::I(1))]),
        node("ai.onnx.ml:ArrayFeatureExtractor", "classes i", "y", &[]),
    ];
    model.whole_constants = vec![("classes", vec![3], vec![10, 20, 30])];
    assert_near(&model.run(&X)["y"], &[1, 1], &[30.0], "label");
}

/// `gamma`, `coef0`, `degree`.
const PARAMETERS: [f64; 3] = [0.5, 0.25, 3.0];

fn kernel(kind: &str, a: &[f64], b: &[f64]) -> f64 {
    let [gamma, coef0, degree] = PARAMETERS;
    let distance: f64 = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum();
    match kind {
        "LINEAR" => dot(a, b),
        "POLY" => (gamma * dot(a, b) + coef0).powf(degree),
        "SIGMOID" => (gamma * dot(a, b) + coef0).tanh(),
        _ => (-gamma * distance).exp(),
    }
}

fn machine(kind: &'static str) -> Vec<(&'static str, A)> {
    vec![
        ("kernel_type", A::S(kind)),
        (
            "kernel_params",
            A::Fs(PARAMETERS.map(|p| p as f32).to_vec()),
        ),
        ("support_vectors", weights(4)),
    ]
}

#[test]
fn support_vector_regressors_follow_their_kernels() {
    let coefficients = [0.5, -1.0, 0.25, 2.0];
    for kind in ["LINEAR", "POLY", "SIGMOID", "RBF"] {
        for one_class in [0, 1] {
            let mut attributes = machine(kind);
            attributes.extend([
                ("n_supports", A::I(4)),
                (
                    "coefficients",
                    A::Fs(coefficients.map(|c| c as f32).to_vec()),
                ),
                ("rho", A::Fs(vec![-0.125])),
                ("one_class", A::I(one_class)),
            ]);
            let node = node("ai.onnx.ml:SVMRegressor", "x", "y", &attributes);
            let found = Model::of(17, node, &[1, 3], vec![]).run(&X);
            let terms = (0..4).map(|i| coefficients[i] * kernel(kind, &X, &W[i]));
            let y = terms.sum::<f64>() - 0.125;
            let expected = if one_class == 1 { y.signum() } else { y };
            assert_near(&found["y"], &[1, 1], &[expected], kind);
        }
    }
}

/// Decisions and votes as the standard counts them, for vectors of classes 0, 1, 1, 2 or 0, 0, 1, 1.
fn decide(kind: &str, owners: [usize; 4], rows: &[[f64; 4]], rho: &[f64]) -> (Vec<f64>, usize) {
    let classes = rows.len() + 1;
    let (mut decisions, mut votes) = (vec![], vec![0; classes]);
    for i in 0..classes {
        for j in i + 1..classes {
            let mut sum = rho[decisions.len()];
            for (v, owner) in owners.iter().enumerate() {
                let k = kernel(kind, &X, &W[v]);
                if *owner == i {
                    sum += rows[j - 1][v] * k;
                } else if *owner == j {
                    sum += rows[i][v] * k;
                }
            }
            votes[if sum > 0.0 { i } else { j }] += 1;
            decisions.push(sum);
        }
    }
    let most = votes.iter().max().unwrap();
    (decisions, votes.iter().position(|v| v == most).unwrap())
}

fn svm(
    kind: &'static str,
    sizes: Vec<i64>,
    rows: &[[f64; 4]],
    rho: &[f64],
) -> Vec<(&'static str, A)> {
    let mut attributes = machine(kind);
    attributes.extend([
        ("vectors_per_class", A::Is(sizes.clone())),
        (
            "coefficients",
            A::Fs(rows.iter().flatten().map(|c| *c as f32).collect()),
        ),
        ("rho", A::Fs(rho.iter().map(|r| *r as f32).collect())),
        (
            "classlabels_ints",
            A::Is((0..sizes.len() as i64).map(|i| 5 - i).collect()),
        ),
    ]);
    attributes
}

fn label_and_scores(attributes: &[(&str, A)]) -> Model {
    let node = node("ai.onnx.ml:SVMClassifier", "x", "label y", attributes);
    let mut model = Model::of(17, node, &[1, 3], vec![]);
    model.outputs = vec!["label", "y"];
    model
}

#[test]
fn support_vector_classifiers_count_votes() {
    let rows = [[0.5, -1.0, 0.25, 2.0], [1.0, 0.75, -0.5, -0.25]];
    let rho = [0.125, -0.25, 0.5];
    for kind in ["LINEAR", "POLY", "RBF"] {
        let (decisions, best) = decide(kind, [0, 1, 1, 2], &rows, &rho);
        let found = label_and_scores(&svm(kind, vec![1, 2, 1], &rows, &rho)).run(&X);
        assert_near(&found["y"], &[1, 3], &decisions, kind);
        assert_near(&found["label"], &[1], &[5.0 - best as f64], "label");
    }
}

#[test]
fn two_classes_give_both_decisions_or_probabilities() {
    let (rows, rho) = ([[0.5, -1.0, 0.25, 2.0]], [0.125]);
    let (decisions, best) = decide("POLY", [0, 0, 1, 1], &rows, &rho);
    let s = decisions[0];
    let mut attributes = svm("POLY", vec![2, 2], &rows, &rho);
    let found = label_and_scores(&attributes).run(&X);
    assert_near(&found["y"], &[1, 2], &[-s, s], "decisions");
    assert_near(&found["label"], &[1], &[5.0 - best as f64], "label");
    attributes.extend([("prob_a", A::Fs(vec![-1.5])), ("prob_b", A::Fs(vec![0.25]))]);
    let p = sigmoid(1.5 * s - 0.25);
    let found = label_and_scores(&attributes).run(&X);
    assert_near(&found["y"], &[1, 2], &[p, 1.0 - p], "probabilities");
}
