//! Nearest neighbours of an encrypted query among clear rows, in the forms that exporters and people write.

use crate::build::{A, Model, node};
use crate::common::refused;
use crate::encrypted::{check, print, run_like_the_simulator};
use crate::models::{Form, NEIGHBOURS, neighbours};
use crate::tables::Table;
use std::fs;

/// The class by the nearest rows; of equal votes the first class.
fn nearest(table: &Table, k: usize, query: &[f64]) -> usize {
    let distance = |row: &Vec<f64>| -> f64 {
        let elements = row.iter().zip(query);
        elements
            .map(|(a, b)| (f64::from(*a as f32) - b).powi(2))
            .sum()
    };
    let mut order: Vec<(f64, usize)> = table
        .rows
        .iter()
        .map(distance)
        .zip(table.classes.clone())
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut votes = vec![0; table.count()];
    order
        .iter()
        .take(k)
        .for_each(|(_, class)| votes[*class] += 1);
    let most = votes.iter().max().unwrap();
    votes.iter().position(|v| v == most).unwrap()
}

#[test]
fn all_forms_name_the_class_of_the_nearest_rows() {
    let table = Table::breast_cancer();
    let training = table.first(9);
    for k in [1, 3] {
        for form in [Form::Plain, Form::Scores, Form::Scan, Form::CDist] {
            let model = neighbours(&training, k, form);
            for query in &table.rows[20..60] {
                let found = model.run(query)["y"].data().to_vec();
                assert_eq!(
                    found,
                    [nearest(&training, k as usize, query) as f64],
                    "{form:?}"
                );
            }
        }
    }
}

/// The bootstraps of a compiled classifier.
fn bootstraps(k: i64, form: Form, count: usize) -> u64 {
    let table = Table::breast_cancer();
    let (training, test) = (table.first(count), table.half(1).first(4));
    let dir = tempfile::tempdir().unwrap();
    let model = neighbours(&training, k, form);
    let found = check(dir.path(), &model, (&table.half(0), &test), ("", 0));
    found["bootstraps"].as_u64().unwrap()
}

#[test]
fn what_all_distances_have_in_common_takes_no_lookup() {
    // Each row meets each other one, and counts what it lost.
    for form in [Form::Plain, Form::Scores, Form::Scan, Form::CDist] {
        assert_eq!(bootstraps(1, form, 8), 28 + 8, "{form:?}");
        assert_eq!(bootstraps(3, form, 8), 28 + 8, "{form:?}");
    }
    // Two counts for each row where there are more than 16 others, then one of these.
    assert_eq!(bootstraps(1, Form::Scores, 20), 190 + 40 + 20);
}

#[test]
fn encrypted_neighbours_are_those_of_the_simulator() {
    let table = Table::breast_cancer();
    let (training, test) = (table.half(0).first(12), table.half(1).first(20));
    let model = neighbours(&training, 3, Form::Plain);
    let alike = run_like_the_simulator(&model, &table.half(0), &test);
    // Distances may be so alike that noise decides which row is nearer.
    assert!(alike >= 16, "{alike}");
}

#[test]
#[ignore = "takes some minutes"]
fn neighbours_of_whole_sets_run_encrypted() {
    for (set, k, count) in NEIGHBOURS {
        let Some(table) = Table::shared(set, "x") else {
            return;
        };
        let (training, test) = (table.half(0), table.half(1));
        let dir = tempfile::tempdir().unwrap();
        let model = neighbours(&training.first(count), k, Form::Scan);
        let found = check(dir.path(), &model, (&training, &test), ("", 2));
        print(&format!("{set} {k} of {count}"), &found);
        let share = |part: &str, what: &str| found[part][what].as_f64().unwrap();
        // One decision of the small halves is more than one point.
        let most = (1.0 / test.rows.len() as f64).max(0.01) + 1e-9;
        assert!(share("clear", "accuracy") - share("simulated", "accuracy") <= most);
    }
}

#[test]
fn faults_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let table = Table::breast_cancer();
    table.half(0).write(dir, "calib");
    let refused = |model: &Model| {
        fs::write(dir.join("m.onnx"), model.bytes()).unwrap();
        refused(
            dir,
            "compile m.onnx -o m --backend tfhe --keep-tail --calibrate calib.npz",
        )
    };
    let training = table.first(9);
    let error = refused(&neighbours(&training, 10, Form::Scores));
    assert!(error.contains("k is no number from 1 to 9"), "{error}");

    let mut model = neighbours(&training, 1, Form::CDist);
    model.nodes[0] = node(
        "com.microsoft:CDist",
        "x rows",
        "d",
        &[("metric", A::S("cosine"))],
    );
    let error = refused(&model);
    assert!(
        error.contains("the metric \"cosine\" is not known"),
        "{error}"
    );

    let mut model = neighbours(&training, 1, Form::Scan);
    let body = model.nodes[0].attribute[1].g.as_mut().unwrap();
    body.node[1].op_type = "Add".into();
    let error = refused(&model);
    assert!(error.contains("distances to constant rows"), "{error}");

    // The distances themselves of several neighbours.
    let mut model = neighbours(&training, 3, Form::Scores);
    model.outputs = vec!["values"];
    let error = refused(&model);
    assert!(
        error.contains("their positions alone have a form"),
        "{error}"
    );

    // Each of so many rows would meet each other one.
    let mut many = table.first(1);
    many.rows = vec![many.rows[0].clone(); 1500];
    many.classes = vec![0; 1500];
    let error = refused(&neighbours(&many, 1, Form::Scores));
    assert!(
        error.contains("more than a million table lookups"),
        "{error}"
    );
}
