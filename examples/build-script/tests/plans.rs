//! The plans that `build.rs` made are those that were reviewed: a model that becomes slower, larger or less precise fails here.
#![allow(clippy::unwrap_used)]

use cipherloom::report::{Diff, Limit, Summary};

mod plans {
    include!(concat!(env!("OUT_DIR"), "/plans.rs"));
}

/// `cargo insta review` shows what changed, and accepts it.
#[test]
fn circuits_are_as_reviewed() {
    insta::assert_snapshot!("risk-circuit", plans::risk::CIRCUIT);
}

/// `reviewed/digits.json` is what `cipherloom explain --format json` printed of the reviewed plan.
#[test]
fn costs_stay_within_limits() {
    let reviewed = Summary::from_json(include_str!("../reviewed/digits.json")).unwrap();
    let built = Summary::from_json(plans::digits::REPORT).unwrap();
    let limits = [
        "latency=25%",
        "keys=10%",
        "memory=25%",
        "levels=0",
        "precision=0.5",
    ];
    let limits = limits.map(|l| l.parse::<Limit>().unwrap());
    let diff = Diff::new(&reviewed, &built, &limits);
    assert!(diff.exceeded.is_empty(), "{}", diff.text());
    // A plan that is worse than another is found out.
    let exact = ["latency=0", "rotations=0"].map(|l| l.parse::<Limit>().unwrap());
    let risk = Summary::from_json(plans::risk::REPORT).unwrap();
    assert!(!Diff::new(&risk, &built, &exact).exceeded.is_empty());
}
