//! Plan files: round trips, forged plans, mutated bytes.

use super::super::test_plans::plan;
use super::super::{Estimates, Plan, Register, Step, StepOp, module_wire};
use super::*;
use crate::security::Security;
use proptest::prelude::*;

/// A file with a right checksum and, as far as the message can be read, a right id.
fn forge(header: &[u8], sections: [&[u8]; 3]) -> Vec<u8> {
    let id = proto::ServerPlan::decode(header)
        .map_or_else(|_| PlanId::default(), |m| plan_id(&m, sections));
    container::write(
        Kind::ServerPlan,
        id,
        KeyId::default(),
        &[header, sections[0], sections[1], sections[2]],
    )
}

/// The good plan's file with its message changed.
fn forged(change: impl FnOnce(&mut proto::ServerPlan)) -> PlanError {
    let mut writer = Writer::default();
    let mut message = encode::server_plan(&plan(), &mut writer);
    change(&mut message);
    plan_from_bytes(&forge(&message.encode_to_vec(), writer.sections()))
        .map(|_| ())
        .unwrap_err()
}

fn same(a: &Plan, b: &Plan) {
    assert_eq!(
        (&a.name, &a.source, &a.params),
        (&b.name, &b.source, &b.params)
    );
    assert_eq!((&a.inputs, &a.outputs), (&b.inputs, &b.outputs));
    assert_eq!(
        (&a.transforms, &a.vectors, &a.steps),
        (&b.transforms, &b.vectors, &b.steps)
    );
    assert_eq!(
        (&a.keys, &a.estimates, a.margin),
        (&b.keys, &b.estimates, b.margin)
    );
    assert_eq!(a.approximations, b.approximations);
    assert_eq!(
        (&a.clear.name, &a.clear.source),
        (&b.clear.name, &b.clear.source)
    );
    assert_eq!(a.clear.constants, b.clear.constants);
    assert_eq!(
        (&a.clear.inputs, &a.clear.outputs),
        (&b.clear.inputs, &b.clear.outputs)
    );
    for id in a.clear.graph.ids() {
        assert_eq!(a.clear.graph.get(id), b.clear.graph.get(id));
        assert_eq!(a.clear.graph.operands(id), b.clear.graph.operands(id));
    }
    assert_eq!(a.clear.graph.len(), b.clear.graph.len());
}

#[test]
fn plans_read_back_and_have_one_id() {
    let plan = plan();
    let (bytes, id) = plan_to_bytes(&plan);
    let (read, read_id) = plan_from_bytes(&bytes).unwrap();
    assert_eq!((id, plan.id()), (read_id, read.id()));
    same(&plan, &read);
    // Bit for bit, negative zero included.
    assert_eq!(read.vectors[1].values[1].to_bits(), (-0.0_f64).to_bits());
    assert_eq!(plan_to_bytes(&read).0, bytes);
    let cheaper = Plan {
        estimates: Estimates::default(),
        ..plan.clone()
    };
    assert_eq!(cheaper.id(), id);
    let mut other = plan.clone();
    other.vectors[0].values[0] = 1.5;
    assert_ne!(other.id(), id);
    let client = plan.client_plan(id);
    assert_eq!(
        client_plan_from_bytes(&client_plan_to_bytes(&client)),
        Ok(client)
    );
}

#[test]
fn a_client_plan_holds_nothing_of_the_weights() {
    let mut other = plan();
    other.transforms[0].blocks[0].diagonals[0].values[0] = 0.75;
    other.vectors[0].values[0] = 5.0;
    let id = PlanId::default();
    assert_eq!(
        client_plan_to_bytes(&plan().client_plan(id)),
        client_plan_to_bytes(&other.client_plan(id))
    );
}

#[test]
fn weak_or_unknown_parameters_are_refused() {
    let refused = |change: fn(&mut proto::KeySpace)| forged(|m| change(&mut m.key_spaces[0]));
    assert!(matches!(
        refused(|s| s.log_n = 12),
        PlanError::Parameters(ParameterError::TooLarge { .. })
    ));
    assert!(matches!(
        refused(|s| s.log_n = 99),
        PlanError::Parameters(ParameterError::RingDegree { .. })
    ));
    assert!(matches!(
        refused(|s| s.security_bits = 256),
        PlanError::Parameters(ParameterError::TooLarge { .. })
    ));
    assert!(matches!(
        refused(|s| s.security_bits = 64),
        PlanError::Malformed(_)
    ));
    assert!(matches!(
        refused(|s| s.q.clear()),
        PlanError::Parameters(ParameterError::Count)
    ));
    assert!(matches!(refused(|s| s.secret = 1), PlanError::Malformed(_)));
    assert!(matches!(refused(|s| s.word = 1), PlanError::Malformed(_)));
    assert!(matches!(
        forged(|m| m.key_spaces.clear()),
        PlanError::Malformed(_)
    ));
    assert!(matches!(
        forged(|m| m.steps[0].key_space = 1),
        PlanError::Malformed(_)
    ));
    let weak = Plan {
        params: crate::params::CkksLiteral {
            security: Security::Quantum256,
            ..plan().params
        },
        ..plan()
    };
    let error = plan_from_bytes(&plan_to_bytes(&weak).0).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the plan's parameters are refused: log2(QP) is"),
        "{error}"
    );
    let client = client_plan_to_bytes(&weak.client_plan(weak.id()));
    assert!(matches!(
        client_plan_from_bytes(&client),
        Err(PlanError::Parameters(_))
    ));
}

#[test]
fn contradictions_are_refused() {
    assert!(matches!(
        forged(|m| m.steps[0].op = None),
        PlanError::Malformed(_)
    ));
    assert!(matches!(
        forged(|m| m.steps[0].scale = None),
        PlanError::Malformed(_)
    ));
    assert!(matches!(
        forged(|m| m.vectors[0].values = None),
        PlanError::Malformed(_)
    ));
    assert!(matches!(
        forged(|m| m.clear = None),
        PlanError::Malformed(_)
    ));
    let array = |change: fn(&mut proto::Array)| {
        forged(|m| {
            let mut array = m.vectors[1].values.unwrap();
            change(&mut array);
            m.vectors[1].values = Some(array);
        })
    };
    for error in [
        array(|a| a.length = u64::MAX),
        array(|a| a.length = 1 << 40),
        array(|a| a.length = 5),
        array(|a| a.stored = u64::MAX),
        array(|a| a.stored = 400),
        array(|a| a.offset = u64::MAX),
        array(|a| a.sparse = true),
        array(|a| a.runs = true),
        array(|a| a.single = true),
    ] {
        assert!(matches!(error, PlanError::Malformed(_)), "{error}");
    }
    // A sum whose factors are not in pairs, without operands, or with too many.
    let sum = |change: fn(&mut proto::Combine)| {
        forged(|m| {
            let Some(proto::StepOp::Combine(sum)) = &mut m.steps[10].op else {
                unreachable!("the plan's last step is a sum");
            };
            change(sum);
        })
    };
    assert!(matches!(
        sum(|s| s.factors.push(1)),
        PlanError::Malformed(_)
    ));
    assert!(matches!(
        sum(|s| s.factors = vec![10; 1 << 13]),
        PlanError::Malformed(_)
    ));
    assert!(matches!(
        sum(|s| s.terms[0].plain_scale = None),
        PlanError::Malformed(_)
    ));
    assert!(matches!(sum(|s| s.gain = 0), PlanError::Faulty(_)));
    let empty = sum(|s| (s.factors, s.terms) = (vec![], vec![]));
    assert!(matches!(empty, PlanError::Faulty(_)));
    // A level without a successor (found by fuzzing).
    assert!(matches!(
        forged(|m| m.steps[1].level = u32::MAX),
        PlanError::Faulty(_)
    ));
    // A few bytes that ask for a gigabyte of positions (found by fuzzing).
    let vast = forged(|m| {
        let port = &mut m.outputs[0];
        port.shape = vec![1 << 28];
        let layout = port.layout.as_mut().unwrap();
        (layout.shape, layout.count, layout.dense) = (vec![1 << 28], 1 << 28, true);
    });
    assert!(matches!(vast, PlanError::Malformed(_)), "{vast}");
    assert!(matches!(
        forged(|m| m.steps[0].level = 2),
        PlanError::Faulty(_)
    ));
    assert!(matches!(
        forged(|m| m.margin = f64::NAN),
        PlanError::Faulty(_)
    ));
    // A right checksum over another content does not help: the id must fit too.
    let mut writer = Writer::default();
    let mut message = encode::server_plan(&plan(), &mut writer);
    message.name.push('!');
    let [a, b, c] = writer.sections();
    let file = container::write(
        Kind::ServerPlan,
        plan().id(),
        KeyId::default(),
        &[&message.encode_to_vec(), a, b, c],
    );
    assert!(matches!(plan_from_bytes(&file), Err(PlanError::Id { .. })));
}

/// What is there to be drawn has no part in the id, so that plans from before it and after it are each other's.
#[test]
fn plans_without_fits_are_the_same_plans() {
    let mut older = plan();
    assert!(older.approximations[0].fit.take().is_some());
    let (bytes, id) = plan_to_bytes(&older);
    assert_eq!(plan().id(), id);
    same(&plan_from_bytes(&bytes).unwrap().0, &older);
    let mut other = plan();
    other.approximations[0].sup_error = 0.5;
    assert_ne!(other.id(), id);
}

#[test]
fn unsound_fits_are_refused() {
    let fit =
        |change: fn(&mut proto::Fit)| forged(|m| change(m.approximations[0].fit.as_mut().unwrap()));
    assert!(matches!(fit(|f| f.seen = None), PlanError::Malformed(_)));
    for error in [
        fit(|f| f.parameters.push(1.0)),
        fit(|f| f.stages.clear()),
        fit(|f| f.stages = vec![f.stages[0].clone(); 33]),
        fit(|f| f.stages[0].coefficients = vec![0.0; 4097]),
        fit(|f| f.stages[1].coefficients.clear()),
        fit(|f| f.stages[1].coefficients[0] = f64::INFINITY),
        forged(|m| m.approximations[0].function = "snail".into()),
        forged(|m| m.approximations[0].hi = m.approximations[0].lo),
    ] {
        assert!(matches!(error, PlanError::Faulty(_)), "{error}");
        assert!(
            error.to_string().contains("approximation of \"node 1"),
            "{error}"
        );
    }
}

fn mutate(bytes: &mut Vec<u8>, edits: &[(usize, u8, u8)]) {
    for (at, kind, value) in edits {
        let at = at % (bytes.len() + 1);
        match kind % 4 {
            0 => bytes.truncate(at.max(bytes.len() / 2)),
            1 => bytes.insert(at, *value),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *value;
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn clear_networks_read_back(module in crate::tensor::text::tests::any_module()) {
        let mut writer = Writer::default();
        let message = module_wire::encode(&module, &mut writer);
        let [a, b, c] = writer.sections();
        let file = container::write(Kind::ServerPlan, PlanId::default(), KeyId::default(), &[b"", a, b, c]);
        let container = Container::read(&file, Kind::ServerPlan).unwrap();
        let mut reader = Reader::new(&container, file.len()).unwrap();
        let read = module_wire::decode(message.clone(), &mut reader).unwrap();
        prop_assert_eq!(module_wire::encode(&read, &mut Writer::default()), message);
        // Numbers are kept where they have no gap.
        if module.graph.ids().iter().enumerate().all(|(i, id)| i == id.index()) {
            prop_assert_eq!(crate::tensor::print(&read), crate::tensor::print(&module));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn mutated_plans_never_panic(
        edits in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..5),
        target in 0_usize..8,
    ) {
        let mut writer = Writer::default();
        let mut header = encode::server_plan(&plan(), &mut writer).encode_to_vec();
        let mut sections = writer.sections().map(<[u8]>::to_vec);
        match sections.get_mut(target) {
            Some(section) => mutate(section, &edits),
            None => mutate(&mut header, &edits),
        }
        let file = forge(&header, [&sections[0], &sections[1], &sections[2]]);
        if let Ok((plan, id)) = plan_from_bytes(&file) {
            // What is accepted is a plan of its own, which keeps its meaning when it is written again.
            prop_assert_eq!(verify(&plan), []);
            let (again, _) = plan_to_bytes(&plan);
            same(&plan, &plan_from_bytes(&again).unwrap().0);
            let client = plan.client_plan(id);
            prop_assert_eq!(client_plan_from_bytes(&client_plan_to_bytes(&client)), Ok(client));
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(plan_from_bytes(&bytes).is_err());
        prop_assert!(client_plan_from_bytes(&bytes).is_err());
        let file = forge(&bytes, [&bytes, &bytes, &bytes]);
        prop_assert!(plan_from_bytes(&file).is_err());
        let file = container::write(Kind::ClientPlan, PlanId::default(), KeyId::default(), &[&bytes, &bytes, &bytes, &bytes]);
        prop_assert!(client_plan_from_bytes(&file).is_err());
    }
}

/// Dense, sparse and repeated values, negative zeros and values beyond 32 bits read back bit for bit.
#[test]
fn arrays_read_back_in_each_form() {
    let repeated = |value: f64| {
        let row = [[value; 14].as_slice(), &[0.0; 2]].concat();
        row.repeat(14)
    };
    let mut sparse = vec![0.0; 300];
    (sparse[7], sparse[8], sparse[290]) = (-0.0, 0.1, 2.0);
    let dense: Vec<f64> = (0..300).map(|i| f64::from(i) / 3.0).collect();
    let forms = [
        repeated(0.1),
        repeated(0.5),
        sparse,
        dense,
        vec![-0.0; 9],
        vec![],
    ];
    let mut writer = Writer::default();
    let forms_of = |f: &Vec<f64>| {
        let stored = writer.array(f);
        (stored.runs, stored.sparse, stored.single)
    };
    assert_eq!(
        forms.iter().map(forms_of).collect::<Vec<_>>(),
        [
            (true, false, false),
            (true, false, true),
            (false, true, false),
            (false, false, false),
            (true, false, true),
            (false, false, true)
        ]
    );
    let mut plan = plan();
    for (vector, values) in plan.vectors.iter_mut().zip(&forms[1..]) {
        let length = vector.values.len();
        vector.values = values.iter().copied().cycle().take(length).collect();
    }
    for transform in &mut plan.transforms {
        for diagonal in transform.blocks.iter_mut().flat_map(|b| &mut b.diagonals) {
            let length = diagonal.values.len();
            diagonal.values = forms[0].iter().copied().cycle().take(length).collect();
        }
    }
    let (bytes, id) = plan_to_bytes(&plan);
    let (read, same) = plan_from_bytes(&bytes).unwrap();
    assert_eq!(
        (read.transforms, read.vectors, same),
        (plan.transforms, plan.vectors, id)
    );
}

/// A fold is verified, and reads back from the file and from the text.
#[test]
fn folds_read_back() {
    let mut good = plan();
    let last = good.steps.last_mut().unwrap();
    last.free.clear();
    let last = last.clone();
    let a = last.op.results()[0];
    let dst = Register(a.0 + 1);
    let rotations = vec![2, 1];
    good.steps.push(Step {
        op: StepOp::Fold { dst, a, rotations },
        free: vec![a, dst],
        ..last
    });
    good.keys = good.required_keys();
    for steps in [2, 1] {
        assert!(good.keys.rotations.iter().any(|r| r.steps == steps));
    }
    let (read, id) = plan_from_bytes(&plan_to_bytes(&good).0).unwrap();
    assert_eq!((read.steps, id), (good.steps.clone(), good.id()));
    let text = super::super::print(&good);
    let fold = text.lines().find(|l| l.contains(" fold ")).unwrap();
    assert!(fold.contains(&format!("{dst} = fold {a}")), "{fold}");
    assert!(fold.contains("rotations [2,1]"), "{fold}");
    let parsed = super::super::parse(&text, &good).unwrap();
    assert_eq!(parsed.steps, good.steps);
    let slots = good.params.slots() as u32;
    for wrong in [vec![], vec![0], vec![slots], vec![1; 40]] {
        let mut bad = good.clone();
        if let Some(StepOp::Fold { rotations, .. }) = bad.steps.last_mut().map(|s| &mut s.op) {
            *rotations = wrong;
        }
        bad.keys = bad.required_keys();
        assert!(matches!(
            plan_from_bytes(&plan_to_bytes(&bad).0),
            Err(PlanError::Faulty(_))
        ));
    }
}

/// A gain is verified, and reads back from the file and from the text.
#[test]
fn gains_read_back() {
    let mut good = plan();
    let last = good.steps.last_mut().unwrap();
    last.free.clear();
    let last = last.clone();
    let a = last.op.results()[0];
    let dst = Register(a.0 + 1);
    good.steps.push(Step {
        op: StepOp::Gain {
            dst,
            a,
            factor: -0.25,
        },
        scale: last.scale.mul(&crate::Scale::pow2(2)),
        range: crate::value::Range {
            lo: last.range.lo / 8.0,
            hi: last.range.hi / 8.0,
        },
        free: vec![a, dst],
        ..last
    });
    let (read, id) = plan_from_bytes(&plan_to_bytes(&good).0).unwrap();
    assert_eq!((read.steps, id), (good.steps.clone(), good.id()));
    let text = super::super::print(&good);
    let gain = text.lines().find(|l| l.contains(" gain r")).unwrap();
    assert!(
        gain.contains(&format!("{dst} = gain {a} value -0.25")),
        "{gain}"
    );
    let parsed = super::super::parse(&text, &good).unwrap();
    assert_eq!(parsed.steps, good.steps);
    for wrong in [0.0, 0.5, f64::NAN, f64::INFINITY] {
        let mut bad = good.clone();
        if let Some(StepOp::Gain { factor, .. }) = bad.steps.last_mut().map(|s| &mut s.op) {
            *factor = wrong;
        }
        assert!(matches!(
            plan_from_bytes(&plan_to_bytes(&bad).0),
            Err(PlanError::Faulty(_))
        ));
    }
}
