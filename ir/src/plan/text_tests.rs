//! Round trips of texts and hostile texts.

use super::super::test_plans::plan;
use super::super::{Fit, RotationKeySpec, SlotVector, plan_to_bytes, verify};
use super::*;
use crate::scale::Scale;
use crate::value::Range;
use proptest::prelude::*;

#[test]
fn a_plan_reads_back() {
    let plan = plan();
    let text = print(&plan);
    insta::assert_snapshot!(text);
    let read = parse(&text, &plan).unwrap();
    assert_eq!(plan_to_bytes(&read).0, plan_to_bytes(&plan).0);
    assert_eq!(print(&read), text);
    assert_eq!(verify(&read), []);
}

#[test]
fn large_constants_come_from_the_donor_if_they_fit() {
    let mut plan = plan();
    plan.vectors.push(SlotVector {
        name: "long \"one\"".into(),
        values: (0..128).map(f64::from).collect(),
    });
    let text = print(&plan);
    let read = parse(&text, &plan).unwrap();
    assert_eq!(read.vectors, plan.vectors);
    assert_eq!(print(&read), text);
    let message = |change: fn(&mut Plan)| {
        let mut donor = plan.clone();
        change(&mut donor);
        parse(&text, &donor).unwrap_err().message
    };
    assert!(message(|d| d.vectors[2].values[5] = -5.0).contains("not in the pool"));
    assert!(
        message(|d| d.transforms[0].blocks[0].diagonals[0].values[0] = 9.0)
            .contains("nothing of this hash")
    );
    assert!(message(|d| d.clear.name.push('!')).contains("another clear network"));
}

#[test]
fn faults_have_their_place() {
    let plan = plan();
    let text = print(&plan);
    let line_of = |part: &str| text.lines().position(|l| l.contains(part)).unwrap() + 1;
    for (from, to, place) in [
        ("stage plan", "stage circuit", "stage plan"),
        ("margin 2.0", "margin two", "margin"),
        ("ntts 1", "ntts -1", "estimate"),
        ("relinearization 3", "relinearization x", "keys"),
        ("steps [1+1x4]", "steps [1+1x4000000000]", "rotations"),
        ("= square r1", "= squire r1", "= square r1"),
        ("= square r1", "= square r1 r2", "= square r1"),
        ("= square r1", "= square x1", "= square r1"),
        ("by t0", "by v0", "by t0"),
        ("by t0", "", "by t0"),
        ("value 0.3", "value", "value 0.3"),
        ("combine r10, r10", "combine r10", "combine"),
        ("gain 1024", "gain -1", "combine"),
        ("times -0.75", "times", "combine"),
        ("plus r10", "plus 10", "combine"),
        ("vector v1", "vector v2", "vector v1"),
        ("transform t0", "transform t1", "transform t0"),
        ("· f32 ·", "· f99 ·", "input \"x\""),
        ("exact 3 level", "exact 2 level", "exact 3 level"),
        ("fit seen", "fitting seen", "seen"),
        ("fit seen [-2.5, 3.0]", "fit seen [-2.5]", "fit seen"),
        ("0.5, 1.0, -0.25] then", "0.5, 1.0, x] then", "fit seen"),
        ("] then [", "] then a [", "fit seen"),
        ("clear blake3", "clear blake2", "clear blake3"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let error = parse(&changed, &plan).unwrap_err();
        assert_eq!(error.line, line_of(place), "{from} -> {to}: {error}");
    }
}

proptest! {
    #[test]
    fn numbers_and_names_read_back_exactly(
        numbers in prop::array::uniform6(prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL),
        scale in (1_u64.., 1_u64..),
        (name, origin) in any::<(String, String)>(),
        rotations in prop::collection::vec((any::<u32>(), 0_u32..3), 0..8),
        registers in prop::collection::vec(any::<u32>().prop_map(Register), 0..4),
        levels in any::<(Option<u32>, Option<u32>)>(),
        at in 0_usize..11,
    ) {
        let mut plan = plan();
        let scale = Scale::from_u64(scale.0).unwrap().div(&Scale::from_u64(scale.1).unwrap());
        let step = &mut plan.steps[at];
        (step.range, step.noise) = (Range { lo: numbers[0], hi: numbers[1] }, numbers[2]);
        step.approximation = levels.0.map(|_| numbers[5]);
        (step.scale, step.origin, step.free) = (scale.clone(), origin, registers.clone());
        let port = &mut plan.outputs[0];
        (port.name, port.scale, port.registers, port.noise) = (name.clone(), scale, registers, numbers[3]);
        plan.vectors[1] = SlotVector { name, values: numbers.to_vec() };
        plan.estimates.latency_s = numbers[4];
        plan.margin = numbers[5];
        plan.approximations[0].fit = levels.1.map(|_| Fit {
            parameters: numbers[..2].to_vec(),
            seen: Range { lo: numbers[2], hi: numbers[3] },
            stages: vec![numbers.to_vec(), vec![numbers[0]]],
        });
        plan.keys.rotations = rotations.into_iter().map(|(steps, level)| RotationKeySpec { steps, level }).collect();
        (plan.keys.relinearization, plan.keys.conjugation) = levels;
        let text = print(&plan);
        let read = parse(&text, &plan).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(print(&read), text);
        prop_assert_eq!((&read.steps, &read.inputs, &read.outputs), (&plan.steps, &plan.inputs, &plan.outputs));
        prop_assert_eq!(&read.approximations, &plan.approximations);
        prop_assert_eq!((&read.keys, &read.vectors, &read.estimates), (&plan.keys, &plan.vectors, &plan.estimates));
    }

    #[test]
    fn mutated_texts_never_panic(at in any::<prop::sample::Index>(), junk in ".{0,6}|[0-9rvtx+-]{0,6}", cut in 0_usize..8) {
        let donor = plan();
        let good = print(&donor);
        let start = at.index(good.chars().count());
        let text: String = good.chars().take(start).chain(junk.chars()).chain(good.chars().skip(start + cut)).collect();
        if let Ok(plan) = parse(&text, &donor) {
            let _ = verify(&plan);
            let printed = print(&plan);
            let read = parse(&printed, &donor).map_err(|e| TestCaseError::fail(format!("{e}\n{printed}")))?;
            prop_assert_eq!(print(&read), printed);
        }
    }

    #[test]
    fn random_texts_never_panic(line in "[%@#$\\[\\]\"\\\\|;=a-z0-9., -]{0,40}") {
        let donor = plan();
        let _ = parse(&line, &donor);
        let _ = parse(&format!("module \"\" from \"\" stage plan\n{line}"), &donor);
    }
}
