//! Plan files: round trips, forged plans, mutated bytes.

use super::super::test_plans::plan;
use super::super::{IntegerEstimates, SETS, SetError, StepOp};
use super::*;
use crate::container::ContainerError;
use crate::plan::Register;
use proptest::prelude::*;

/// A file with a right checksum and, as far as the message can be read, a right id.
fn forge(header: &[u8], sections: [&[u8]; 3]) -> Vec<u8> {
    let id = proto::ServerPlan::decode(header)
        .map_or_else(|_| PlanId::default(), |m| plan_id(&m, sections));
    let all = [header, sections[0], sections[1], sections[2]];
    container::write(Kind::TfheServerPlan, id, KeyId::default(), &all)
}

/// The good plan's file with its message changed.
fn forged(change: impl FnOnce(&mut proto::ServerPlan)) -> PlanError {
    let mut writer = Writer::default();
    let mut message = encode::server_plan(&plan(), &mut writer);
    change(&mut message);
    integer_plan_from_bytes(&forge(&message.encode_to_vec(), writer.sections()))
        .map(|_| ())
        .unwrap_err()
}

#[test]
fn plans_read_back_and_have_one_id() {
    let plan = plan();
    let (bytes, id) = integer_plan_to_bytes(&plan);
    let (read, read_id) = integer_plan_from_bytes(&bytes).unwrap();
    assert_eq!((id, plan.id()), (read_id, read.id()));
    assert_eq!((&read.inputs, &read.outputs), (&plan.inputs, &plan.outputs));
    assert_eq!(
        (&read.matrices, &read.tables, &read.steps),
        (&plan.matrices, &plan.tables, &plan.steps)
    );
    assert_eq!(
        (read.params, read.log2_failure, &read.estimates),
        (plan.params, plan.log2_failure, &plan.estimates)
    );
    assert_eq!(integer_plan_to_bytes(&read).0, bytes);
    let cheaper = IntegerPlan {
        estimates: IntegerEstimates::default(),
        ..plan.clone()
    };
    assert_eq!(cheaper.id(), id);
    let mut other = plan.clone();
    other.tables[0].entries[0] = 1;
    assert_ne!(other.id(), id);
    let client = plan.client_plan(id);
    assert_eq!(client.results()[0].name, "class");
    let back = integer_client_plan_from_bytes(&integer_client_plan_to_bytes(&client));
    assert_eq!(back, Ok(client));
}

#[test]
fn a_client_plan_holds_nothing_of_the_weights() {
    let mut other = plan();
    other.matrices[0].weights[0] = 3;
    other.tables[0].entries[0] = 5;
    other.matrices[1].bias[0] = 5;
    let id = PlanId::default();
    let bytes = |plan: &IntegerPlan| integer_client_plan_to_bytes(&plan.client_plan(id));
    assert_eq!(bytes(&plan()), bytes(&other));
}

#[test]
fn the_backends_files_are_told_apart() {
    let (bytes, _) = integer_plan_to_bytes(&plan());
    assert_eq!(Kind::of(&bytes), Some(Kind::TfheServerPlan));
    let error = crate::plan::plan_from_bytes(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file is a server plan of the TFHE backend, not a server plan"
    );
    let client = integer_client_plan_to_bytes(&plan().client_plan(PlanId::default()));
    let error = integer_plan_from_bytes(&client).unwrap_err();
    assert!(matches!(
        error,
        PlanError::Container(ContainerError::Kind { .. })
    ));
}

#[test]
fn sets_that_are_not_published_are_refused() {
    let set =
        |m: &mut proto::ServerPlan, change: fn(&mut proto::Set)| change(m.set.as_mut().unwrap());
    let changed = |change: fn(&mut proto::Set)| forged(|m| set(m, change));
    assert!(matches!(
        changed(|s| s.name = "mine".into()),
        PlanError::Set(SetError::Unknown(_))
    ));
    assert!(matches!(
        changed(|s| s.numbers[4] -= 9),
        PlanError::Set(SetError::Changed(_))
    ));
    assert!(matches!(
        changed(|s| s.numbers.clear()),
        PlanError::Set(SetError::Changed(_))
    ));
    // Another published set has other variances.
    let other = changed(|s| {
        s.name = SETS[0].name.into();
        s.numbers = SETS[0].numbers().to_vec();
    });
    assert!(matches!(other, PlanError::Faulty(_)), "{other}");
    let mut client = plan().client_plan(PlanId::default());
    client.params.lwe_noise = 1;
    let refused = integer_client_plan_from_bytes(&integer_client_plan_to_bytes(&client));
    assert!(matches!(refused, Err(PlanError::Set(_))));
}

#[test]
fn messages_that_contradict_themselves_are_refused() {
    let malformed = |change: fn(&mut proto::ServerPlan)| match forged(change) {
        PlanError::Malformed(text) => text,
        other => panic!("{other}"),
    };
    malformed(|m| m.set = None);
    malformed(|m| m.clear = None);
    malformed(|m| m.steps[0].linear = None);
    malformed(|m| m.steps[0].lookup = Some(proto::Lookup::default()));
    malformed(|m| m.inputs[0].quantisation = None);
    malformed(|m| m.inputs[0].range = None);
    malformed(|m| m.inputs[0].dtype = 99);
    malformed(|m| m.matrices[0].starts = None);
    // A fraction where an integer should be.
    let text =
        malformed(|m| m.matrices[1].weights = m.outputs[0].quantisation.as_ref().unwrap().scale);
    assert!(
        text.contains("overlap") || text.contains("no integer"),
        "{text}"
    );
    let text = malformed(|m| m.matrices[0].indices.as_mut().unwrap().count = u64::MAX);
    assert!(text.contains("overflows"), "{text}");
    let text = malformed(|m| m.matrices[0].weights.as_mut().unwrap().length = 1 << 40);
    assert!(text.contains("proportion"), "{text}");
    let faulty = forged(|m| m.steps[0].hi = 1);
    assert!(faulty.to_string().contains("the range is"), "{faulty}");
    let mut plan = plan();
    plan.steps[0].dst = Register(7);
    let (bytes, _) = integer_plan_to_bytes(&plan);
    assert!(matches!(
        integer_plan_from_bytes(&bytes),
        Err(PlanError::Faulty(_))
    ));
    if let StepOp::Linear { matrix, .. } = &mut plan.steps[0].op {
        *matrix = 99;
    }
    let (bytes, _) = integer_plan_to_bytes(&plan);
    assert!(matches!(
        integer_plan_from_bytes(&bytes),
        Err(PlanError::Faulty(_))
    ));
}

#[test]
fn every_cut_of_the_message_is_refused_or_read() {
    let mut writer = Writer::default();
    let header = encode::server_plan(&plan(), &mut writer).encode_to_vec();
    for cut in 0..header.len() {
        let read = integer_plan_from_bytes(&forge(&header[..cut], writer.sections()));
        // The tail is the last field, and may be missing.
        assert!(read.map_or(true, |(plan, _)| plan.tail.is_none()), "{cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn mutated_messages_are_refused_or_read(at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), which in 0_usize..4) {
        let mut writer = Writer::default();
        let header = encode::server_plan(&plan(), &mut writer).encode_to_vec();
        let sections = writer.sections();
        let mut parts = [header, sections[0].to_vec(), sections[1].to_vec(), sections[2].to_vec()];
        let part = &mut parts[which];
        if !part.is_empty() {
            for (index, byte) in at {
                let i = index.index(part.len());
                part[i] ^= byte;
            }
        }
        let bytes = forge(&parts[0], [&parts[1], &parts[2], &parts[3]]);
        if let Ok((read, id)) = integer_plan_from_bytes(&bytes) {
            prop_assert_eq!(verify(&read), vec![]);
            let client = read.client_plan(id);
            prop_assert!(integer_client_plan_from_bytes(&integer_client_plan_to_bytes(&client)).is_ok());
        }
    }
}
