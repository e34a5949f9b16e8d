//! Support vector machines and logistic regression, of which the server hands out decisions alone.

use crate::build::{A, Model, node};
use crate::common::{json, refused};
use crate::encrypted::{check, print};
use crate::tables::Table;
use std::fs;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The solution of `(m + ridge) x = y`, by elimination; m is positive semidefinite.
fn solve(mut m: Vec<Vec<f64>>, mut y: Vec<f64>, ridge: f64) -> Vec<f64> {
    let n = y.len();
    (0..n).for_each(|i| m[i][i] += ridge);
    for i in 0..n {
        for j in i + 1..n {
            let factor = m[j][i] / m[i][i];
            let row = m[i].clone();
            m[j].iter_mut().zip(row).for_each(|(a, b)| *a -= factor * b);
            y[j] -= factor * y[i];
        }
    }
    for i in (0..n).rev() {
        let later: f64 = (i + 1..n).map(|j| m[i][j] * y[j]).sum();
        y[i] = (y[i] - later) / m[i][i];
    }
    y
}

/// A linear machine for two classes: least squares (Suykens and Vandewalle 1999), each row a support vector; class 0 is above 0.
fn machine(table: &Table) -> Model {
    let mut order: Vec<usize> = (0..table.rows.len()).collect();
    order.sort_by_key(|i| table.classes[*i]);
    let rows: Vec<&Vec<f64>> = order.iter().map(|i| &table.rows[*i]).collect();
    let sides = order
        .iter()
        .map(|i| if table.classes[*i] == 0 { 1.0 } else { -1.0 });
    let gram = rows
        .iter()
        .map(|a| rows.iter().map(|b| dot(a, b)).collect());
    let weights = solve(gram.collect(), sides.collect(), 30.0);
    let zeros = table.classes.iter().filter(|c| **c == 0).count() as i64;
    let vectors = rows
        .iter()
        .flat_map(|r| r.iter().map(|v| *v as f32))
        .collect();
    let attributes = [
        ("kernel_type", A::S("LINEAR")),
        ("kernel_params", A::Fs(vec![0.0, 0.0, 1.0])),
        ("support_vectors", A::Fs(vectors)),
        (
            "vectors_per_class",
            A::Is(vec![zeros, rows.len() as i64 - zeros]),
        ),
        (
            "coefficients",
            A::Fs(weights.iter().map(|w| *w as f32).collect()),
        ),
        ("rho", A::Fs(vec![0.0])),
        ("classlabels_ints", A::Is(vec![0, 1])),
    ];
    let node = node("ai.onnx.ml:SVMClassifier", "x", "label y", &attributes);
    let mut model = Model::of(17, node, &[1, rows[0].len() as i64], vec![]);
    model.outputs = vec!["label"];
    model
}

#[test]
fn a_support_vector_machine_decides_encrypted() {
    let table = Table::breast_cancer();
    let (training, test) = (table.half(0), table.half(1));
    let dir = tempfile::tempdir().unwrap();
    let model = machine(&training.first(24));
    let found = check(dir.path(), &model, (&training, &test), ("", 2));
    print("linear machine", &found);
    let share = |part: &str, what: &str| found[part][what].as_f64().unwrap();
    assert!(share("clear", "accuracy") > 0.85, "{found}");
    let loss = share("clear", "accuracy") - share("simulated", "accuracy");
    assert!(loss <= 0.011, "{found}");
    assert_eq!(share("encrypted", "agreement"), 1.0, "{found}");
    // The side of the decision.
    assert_eq!(found["bootstraps"], 1);
}

/// A logistic regression of so many classes, by least squares on the sides of each class.
fn regression(table: &Table) -> Model {
    let width = table.rows[0].len();
    let (mut weights, mut intercepts) = (vec![], vec![]);
    for class in 0..table.count() {
        let side = |c: &usize| if *c == class { 1.0 } else { -1.0 };
        let rows: Vec<Vec<f64>> = table
            .rows
            .iter()
            .map(|r| [r.as_slice(), &[1.0]].concat())
            .collect();
        let entry = |a: usize, b: usize| rows.iter().map(|r| r[a] * r[b]).sum::<f64>();
        let gram = (0..=width).map(|a| (0..=width).map(|b| entry(a, b)).collect());
        let right = |a: usize| {
            rows.iter()
                .zip(&table.classes)
                .map(|(r, c)| r[a] * side(c))
                .sum()
        };
        let solved = solve(gram.collect(), (0..=width).map(right).collect(), 3.0);
        weights.extend(solved[..width].iter().map(|w| *w as f32));
        intercepts.push(solved[width] as f32);
    }
    let labels = (0..table.count() as i64).collect();
    let attributes = [
        ("classlabels_ints", A::Is(labels)),
        ("coefficients", A::Fs(weights)),
        ("intercepts", A::Fs(intercepts)),
        ("post_transform", A::S("SOFTMAX")),
    ];
    let node = node("ai.onnx.ml:LinearClassifier", "x", "label y", &attributes);
    let mut model = Model::of(17, node, &[1, width as i64], vec![]);
    model.outputs = vec!["label", "y"];
    model
}

#[test]
fn a_regression_hands_out_its_label_alone() {
    let mut sets = vec![("breast-cancer", Table::breast_cancer(), 1)];
    // Three scores meet, and one bootstrap tells which of them lost nothing.
    sets.extend(Table::shared("iris", "x").map(|table| ("iris", table, 3 + 1)));
    for (name, table, bootstraps) in sets {
        let (training, test) = (table.half(0), table.half(1));
        let dir = tempfile::tempdir().unwrap();
        let options = "--output label --keep-tail";
        let found = check(
            dir.path(),
            &regression(&training),
            (&training, &test),
            (options, 5),
        );
        print(&format!("{name} label"), &found);
        assert_eq!(found["bootstraps"], bootstraps, "{found}");
        let share = |part: &str, what: &str| found[part][what].as_f64().unwrap();
        let loss = share("clear", "accuracy") - share("simulated", "accuracy");
        assert!(loss <= 0.011 && share("clear", "accuracy") > 0.6, "{found}");
        assert_eq!(share("encrypted", "agreement"), 1.0, "{found}");
        // Neither scores nor probabilities leave the server.
        let outputs = json(dir.path(), "explain m")["outputs"].clone();
        let names: Vec<&str> = outputs
            .as_array()
            .unwrap()
            .iter()
            .map(|o| o["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["label"]);
        assert_eq!(outputs[0]["ciphertexts"], 1);
    }
}

#[test]
fn faults_are_named() {
    let table = Table::breast_cancer();
    let dir = tempfile::tempdir().unwrap();
    table.half(0).write(dir.path(), "calib");
    let model = machine(&table.first(24));
    let spoil = |name: &str, change: &dyn Fn(&mut onnx_protobuf::AttributeProto)| {
        let mut model = Model::of(17, model.nodes[0].clone(), &[1, 30], vec![]);
        model.outputs = vec!["label"];
        let attribute = model.nodes[0].attribute.iter_mut().find(|a| a.name == name);
        change(attribute.unwrap());
        fs::write(dir.path().join("m.onnx"), model.bytes()).unwrap();
        refused(
            dir.path(),
            "compile m.onnx -o m --backend tfhe --calibrate calib.npz",
        )
    };
    let error = spoil("support_vectors", &|a| a.floats.truncate(700));
    assert!(error.contains("vectors_per_class"), "{error}");
    let error = spoil("kernel_type", &|a| a.s = b"CHI2".to_vec());
    assert!(error.contains("CHI2"), "{error}");
    let error = spoil("coefficients", &|a| a.floats.truncate(7));
    assert!(error.contains("7 coefficients do not fit"), "{error}");
}
