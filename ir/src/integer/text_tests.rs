//! Round trips of texts and hostile texts.

use super::super::test_plans::{maximum, plan};
use super::super::{StepOp, integer_plan_to_bytes, verify};
use super::*;
use proptest::prelude::*;

#[test]
fn a_plan_reads_back() {
    let plan = plan();
    let text = print(&plan);
    insta::assert_snapshot!(text);
    let read = parse(&text, &plan).unwrap();
    assert_eq!(
        integer_plan_to_bytes(&read).0,
        integer_plan_to_bytes(&plan).0
    );
    assert_eq!(print(&read), text);
    assert_eq!(verify(&read), []);
}

#[test]
fn a_tournament_reads_as_one() {
    let text = print(&maximum(2).unwrap());
    let rows: String = text
        .split_inclusive('\n')
        .filter(|l| l.contains(" | "))
        .collect();
    insta::assert_snapshot!(rows);
}

#[test]
fn large_constants_come_from_the_donor_if_they_fit() {
    let mut plan = plan();
    plan.tables[0].entries = (0..128).collect();
    plan.inputs[0].quantisation.zero_point = vec![3; 100];
    let text = print(&plan);
    let read = parse(&text, &plan).unwrap();
    assert_eq!(
        (&read.tables, &read.matrices),
        (&plan.tables, &plan.matrices)
    );
    assert_eq!(print(&read), text);
    let message = |change: fn(&mut IntegerPlan)| {
        let mut donor = plan.clone();
        change(&mut donor);
        parse(&text, &donor).unwrap_err().message
    };
    assert!(message(|d| d.tables[0].entries[5] = -5).contains("not in the pool"));
    assert!(message(|d| d.matrices[0].weights[1] = 9).contains("no such matrix"));
    assert!(message(|d| d.clear.name.push('!')).contains("another network"));
    assert!(message(|d| d.tail = None).contains("another network"));
}

#[test]
fn faults_have_their_place() {
    let plan = plan();
    let text = print(&plan);
    let line_of = |part: &str| text.lines().position(|l| l.contains(part)).unwrap() + 1;
    for (from, to, place) in [
        ("stage integer", "stage plan", "stage integer"),
        ("MESSAGE_2_CARRY_2", "MESSAGE_9_CARRY_9", "params"),
        ("margin 1.0", "margin one", "margin"),
        ("bootstraps 3", "bootstraps -1", "estimate"),
        ("= linear r0", "= linearly r0", "= linear r0"),
        ("linear r0 by m0", "linear r0 by t0", "linear r0 by m0"),
        ("tables [0 0]", "tables [0+0x99999999]", "tables [0 0]"),
        ("exact 1 length 2", "exact 1 length 2.5", "exact 1 length"),
        ("exact 2 ", "exact 1 ", "exact 2 "),
        ("exact 3 ", "exact 9 ", "= linear r3"),
        ("table t1", "table t2", "table t1"),
        ("= r0\n", "= r0 r1\n", "input"),
        ("clear blake3", "clean blake3", "clear blake3"),
    ] {
        assert!(text.contains(from), "{from}");
        let error = parse(&text.replacen(from, to, 1), &plan).unwrap_err();
        assert_eq!(error.line, line_of(place), "{from} to {to}: {error}");
    }
    let without = |word: &str| {
        let kept: Vec<&str> = text.lines().filter(|l| !l.starts_with(word)).collect();
        parse(&kept.join("\n"), &plan).unwrap_err().message
    };
    assert!(without("clear").contains("no line `clear`"));
    assert!(without("input").contains("behind an input"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hostile_texts_are_refused_or_read(at in 0_usize..4000, with in "[a-z0-9@%\\[\\] =.|;+-]{0,6}", cut in 0_usize..20) {
        let plan = plan();
        let text = print(&plan);
        let (start, end) = (at.min(text.len()), (at + cut).min(text.len()));
        if text.is_char_boundary(start) && text.is_char_boundary(end) {
            let changed = format!("{}{with}{}", &text[..start], &text[end..]);
            if let Ok(read) = parse(&changed, &plan) {
                // What reads well prints and verifies without a panic.
                let _ = (print(&read), verify(&read));
            }
        }
    }

    #[test]
    fn step_operations_read_back(tables in prop::collection::vec(0_u32..3, 1..9), reads in prop::collection::vec(0_u32..9, 1..5), slack in 0_u32..3, negacyclic: bool) {
        let mut plan = plan();
        let StepOp::Lookup { src, .. } = plan.steps[1].op else { unreachable!() };
        plan.steps[1].op = StepOp::Lookup { src, tables, reads, slack, negacyclic };
        prop_assert_eq!(parse(&print(&plan), &plan).unwrap().steps, plan.steps);
    }
}
