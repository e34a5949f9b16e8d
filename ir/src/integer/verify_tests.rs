//! Every kind of fault, found where it is.

use super::super::test_plans::{builder, maximum, plan};
use super::super::{SETS, complete};
use super::*;

fn faults(change: impl FnOnce(&mut IntegerPlan)) -> Vec<String> {
    let mut plan = plan();
    change(&mut plan);
    verify(&plan).iter().map(ToString::to_string).collect()
}

fn expect(part: &str, change: impl FnOnce(&mut IntegerPlan)) {
    let found = faults(change);
    assert!(found.iter().any(|f| f.contains(part)), "{part}: {found:?}");
}

#[test]
fn good_plans_have_none() {
    assert_eq!(verify(&plan()), []);
    for levels in 1..6 {
        assert_eq!(verify(&maximum(levels).unwrap()), []);
    }
}

#[test]
fn structures() {
    expect("not the published", |p| p.params.ks_level += 1);
    expect("no failure probability", |p| p.log2_failure = 0.5);
    expect("margin", |p| p.margin = 0.5);
    expect("no input", |p| p.inputs.clear());
    expect("no output", |p| p.outputs.clear());
    expect("do not fit each other", |p| p.matrices[0].starts[1] = 99);
    expect("do not fit each other", |p| p.matrices[0].starts.clear());
    expect("do not ascend", |p| p.matrices[0].indices[1] = 0);
    expect("do not ascend", |p| p.matrices[0].indices[2] = 4);
    expect("above 2^53", |p| p.matrices[0].weights[0] = i64::MIN);
    expect("no power of two", |p| p.tables[0].entries.push(1));
    expect("no power of two", |p| p.tables[0].entries = vec![0; 2048]);
    expect("no power of two", |p| p.tables[0].entries = vec![0]);
    expect("above 2^53", |p| p.tables[0].entries[0] = i64::MIN);
    expect("there is no matrix", |p| p.matrices.truncate(1));
    expect("2 elements for 3 columns", |p| p.matrices[1].columns = 3);
    expect("written twice", |p| p.steps[1].dst = Register(0));
    expect("while it holds nothing", |p| {
        p.steps[0].free.push(Register(0))
    });
    expect("while it holds nothing", |p| {
        p.steps[0].op = StepOp::Linear {
            src: vec![Register(9)],
            matrix: 0,
        }
    });
    expect("below the result's", |p| p.steps[0].log_delta = 57);
    expect("there is no delta", |p| p.steps[0].log_delta = 64);
    expect("yields 2 elements, not 5", |p| p.steps[0].length = 5);
    expect("holds 3 elements", |p| p.outputs[0].shape = vec![1, 4]);
    expect("holds nothing", |p| p.outputs[0].register = Register(1));
    let lookup = |p: &mut IntegerPlan, set: fn(&mut Vec<u32>, &mut Vec<u32>, &mut u32)| {
        if let StepOp::Lookup {
            tables,
            reads,
            slack,
            ..
        } = &mut p.steps[1].op
        {
            set(tables, reads, slack);
        }
    };
    expect("tables for 2 elements", |p| lookup(p, |t, _, _| t.push(0)));
    expect("does not exist, or has", |p| lookup(p, |t, _, _| t[1] = 1));
    expect("does not exist, or has", |p| {
        lookup(p, |t, _, _| *t = vec![7])
    });
    expect("reads", |p| lookup(p, |_, r, _| r.clear()));
    expect("reads", |p| lookup(p, |_, r, _| r[0] = 8));
    expect("a slack of", |p| lookup(p, |_, _, s| *s = 8));
}

#[test]
fn ports() {
    expect("occurs twice", |p| p.inputs.push(p.inputs[0].clone()));
    expect("has no element", |p| p.inputs[0].shape = vec![1, 0]);
    expect("has no element", |p| p.inputs[0].shape = vec![1, 1 << 40]);
    expect("takes one sample", |p| p.inputs[0].shape = vec![4, 1]);
    expect("not an interval", |p| p.inputs[0].range.lo = f64::NAN);
    expect("is no number", |p| p.outputs[0].variance = f64::INFINITY);
    expect("do not fit 4 elements", |p| {
        p.inputs[0].quantisation.scale = vec![1.0; 3]
    });
    expect("no positive number", |p| {
        p.inputs[0].quantisation.scale = vec![0.0]
    });
    expect("zero point", |p| {
        p.inputs[0].quantisation.zero_point = vec![i64::MAX]
    });
    expect("does not fit at delta", |p| {
        p.inputs[0].quantisation.hi = 1 << 10
    });
    expect("does not fit at delta", |p| {
        p.inputs[0].quantisation.hi = -9
    });
    expect("no slack", |p| p.inputs[0].slack = 1);
    expect("it has no input", |p| p.clear.inputs[0].name = "z".into());
    expect("tail:", |p| p.outputs[0].name = "z".into());
}

#[test]
fn figures_have_to_be_the_rules() {
    expect("the range is 1 .. 30, not 1 .. 29", |p| p.steps[0].hi = 29);
    expect("the variance is", |p| p.steps[1].variance *= 0.99);
    expect("the failure probability is", |p| {
        p.steps[1].log2_failure -= 1.0
    });
    expect("the range is", |p| p.outputs[0].quantisation.lo -= 1);
    expect("the failure probability is", |p| {
        p.outputs[0].log2_failure = f64::NEG_INFINITY
    });
    expect("the variance is", |p| p.inputs[0].variance = 0.0);
    expect("above 2^-9000", |p| p.log2_failure = -9000.0);
    expect("outside the table's", |p| p.matrices[0].bias[0] = 113);
    expect("does not fit into 64 bits", |p| {
        p.matrices[0].bias[0] = 1 << 40
    });
    expect("does not fit at delta", |p| {
        p.tables[1].entries[14] = 1 << 10
    });
}

#[test]
fn client_plans() {
    let client = plan().client_plan(Default::default());
    assert_eq!(verify_client(&client), []);
    let refused = |change: fn(&mut IntegerClientPlan)| {
        let mut client = client.clone();
        change(&mut client);
        !verify_client(&client).is_empty()
    };
    assert!(refused(|c| c.params.glwe_noise = 0));
    assert!(refused(|c| c.log2_failure = 0.0));
    assert!(refused(|c| c.inputs[0].shape = vec![]));
    assert!(refused(|c| c.outputs[0].log2_failure = -1000.0));
    assert!(refused(|c| c.outputs.clear()));
}

#[test]
fn what_cannot_be_completed_is_told_with_its_place() {
    let mut b = builder();
    b.plan_mut().params = SETS[0];
    // Tables of 16 entries over 2^-40 at most: the smallest set has too much noise.
    let faults = b.finish().unwrap_err();
    assert!(
        faults.to_string().contains("step 3 (pass halves)")
            || faults.to_string().contains("failure probability"),
        "{faults}"
    );
    let mut plan = plan();
    plan.steps[1].length = 9;
    assert!(complete(&mut plan).is_err());
}
