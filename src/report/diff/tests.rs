//! Limits and comparisons of small summaries.

#![allow(clippy::unwrap_used)]

use super::summary::{Approximation, Cost, Layer, Output, Parameters, Security, Step};
use super::*;

fn summary() -> Summary {
    let layer = |name: &str, rotations| Layer {
        layer: name.into(),
        rotations,
        products: 1,
        latency_s: 0.25,
        steps: vec![Step { level: 2 }, Step { level: 1 }],
    };
    Summary {
        name: "m".into(),
        plan_id: "1".into(),
        parameters: Parameters {
            log_n: 13,
            levels: 3,
        },
        security: Security {
            target: "classical 128".into(),
        },
        cost: Cost {
            latency_s: 0.5,
            eval_key_bytes: 1000,
            rotation_keys: 7,
            run_bytes: 4000,
            plan_bytes: 10,
            input_bytes: 5,
            output_bytes: 6,
        },
        outputs: vec![
            Output {
                precision_bits: Some(14.0),
            },
            Output {
                precision_bits: Some(12.5),
            },
        ],
        approximations: vec![],
        layers: vec![layer("a", 3), layer("b", 4), layer("a", 5)],
    }
}

#[test]
fn limits_hold_to_the_last_bit_and_no_further() {
    let old = summary();
    let mut new = summary();
    new.cost.latency_s = 0.55;
    new.outputs[1].precision_bits = Some(12.0);
    new.layers[2].rotations = 6;
    let found = |limits: &[&str]| {
        let limits: Vec<Limit> = limits.iter().map(|l| l.parse().unwrap()).collect();
        Diff::new(&old, &new, &limits).exceeded
    };
    assert_eq!(
        found(&["latency=10%", "precision=0.5", "rotations=1", "keys=0"]),
        [""; 0]
    );
    assert_eq!(
        found(&["latency=9.9%", "precision=0.4", "rotations=0", "latency=49"]),
        [
            "latency=9.9%: latency was 500, now 550",
            "precision=0.4: precision was 12.500, now 12",
            "rotations=0: rotations was 12, now 13",
            "latency=49: latency was 500, now 550",
        ]
    );
    // What became better exceeds nothing.
    let back = Diff::new(
        &new,
        &old,
        &["latency=0".parse().unwrap(), "precision=0".parse().unwrap()],
    );
    assert_eq!(back.exceeded, [""; 0]);
    // Outputs without noise are the most precise.
    let mut exact = summary();
    exact.outputs.clear();
    let limit = ["precision=40".parse().unwrap()];
    assert_eq!(Diff::new(&exact, &old, &limit).exceeded.len(), 1);
    assert_eq!(Diff::new(&old, &exact, &limit).exceeded.len(), 0);
    for bad in [
        "latency",
        "speed=1",
        "latency=-1",
        "latency=x%",
        "latency=NaN",
        "latency=1e19",
    ] {
        assert!(bad.parse::<Limit>().is_err(), "{bad}");
    }
}

#[test]
fn only_what_changed_is_told() {
    let old = summary();
    let same = Diff::new(&old, &old, &[]);
    assert!(same.same_plan && same.layers.is_empty() && same.approximations.is_empty());
    let mut new = summary();
    new.plan_id = "2".into();
    // The second layer of one name changes, one goes, one comes.
    new.layers[2].rotations = 9;
    new.layers.remove(1);
    new.layers.push(Layer {
        layer: "c".into(),
        ..old.layers[0].clone()
    });
    new.approximations.push(Approximation {
        layer: "c".into(),
        function: "relu".into(),
        degree: 7,
        sup_error: 0.01,
    });
    let diff = Diff::new(&old, &new, &[]);
    let told: Vec<_> = diff
        .layers
        .iter()
        .map(|l| (l.layer.as_str(), l.old.is_some(), l.new.is_some()))
        .collect();
    assert_eq!(
        told,
        [("b", true, false), ("a", true, true), ("c", false, true)]
    );
    assert_eq!(diff.layers[1].new.unwrap().rotations, 9);
    assert_eq!(diff.approximations[0].new, Some(("relu".into(), 7, 0.01)));
    let text = diff.text();
    assert!(
        text.contains("polynomial  c: none -> relu, degree 7, errs by 1.0e-2"),
        "{text}"
    );
}
