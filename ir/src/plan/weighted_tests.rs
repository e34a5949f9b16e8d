//! Weighted sums in plans: text, file, verifier, simulator; and several samples in a run.

use super::test_plans::{ROWS, weighted};
use super::*;
use crate::value::{Tensor, Tensors};

#[test]
fn weighted_sums_read_back() {
    let plan = weighted();
    assert_eq!(verify(&plan), []);
    let text = print(&plan);
    let lines = text.lines().filter(|l| l.contains("weight"));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    let read = parse(&text, &plan).unwrap();
    assert_eq!(plan_to_bytes(&read).0, plan_to_bytes(&plan).0);
    let (bytes, id) = plan_to_bytes(&plan);
    let (read, read_id) = plan_from_bytes(&bytes).unwrap();
    assert_eq!((read.weights, read_id), (plan.weights.clone(), id));
    let mut donor = plan.clone();
    donor.weights[0].bias[3] = 0.5;
    assert!(parse(&text, &donor).is_err());
    assert_ne!(donor.id(), id);
}

#[test]
fn several_samples_read_back() {
    let mut plan = weighted();
    plan.inputs[0].layout.samples = 64;
    plan.outputs[0].layout.samples = 64;
    plan.transforms[0].samples = 64;
    plan.keys = plan.required_keys();
    let steps: Vec<u32> = plan.keys.rotations.iter().map(|r| r.steps).collect();
    assert_eq!(steps, [64, 128, 192, 256]);
    assert_eq!((verify(&plan), plan.samples()), (vec![], 64));
    let text = print(&plan);
    assert_eq!(
        plan_to_bytes(&parse(&text, &plan).unwrap()).0,
        plan_to_bytes(&plan).0
    );
    let (read, id) = plan_from_bytes(&plan_to_bytes(&plan).0).unwrap();
    assert_eq!(read.transforms, plan.transforms);
    let client = client_plan_from_bytes(&client_plan_to_bytes(&plan.client_plan(id))).unwrap();
    assert_eq!(client.samples(), 64);
}

type Change = fn(&mut Plan);

#[test]
fn each_bad_twin_is_found() {
    fn matrix(plan: &mut Plan) -> &mut crate::circuit::Matrix {
        std::sync::Arc::make_mut(&mut plan.weights[0].matrix)
    }
    fn step(plan: &mut Plan) -> &mut Step {
        &mut plan.steps[5]
    }
    let cases: &[(&str, Change)] = &[
        ("different numbers of samples", |p| {
            p.inputs[0].layout.samples = 2
        }),
        ("another number of samples", |p| p.transforms[0].samples = 2),
        ("for 0 samples does not divide", |p| {
            p.transforms[0].samples = 0
        }),
        ("0 samples of period", |p| p.outputs[0].layout.samples = 0),
        ("3 samples of period", |p| p.outputs[0].layout.samples = 3),
        ("8192 samples of period", |p| {
            p.inputs[0].layout.samples = 8192
        }),
        ("39 biases for 40 rows", |p| p.weights[0].bias.truncate(39)),
        ("a bias is not finite", |p| p.weights[0].bias[0] = f64::NAN),
        ("an entry is not finite", |p| {
            matrix(p).values[1] = f64::INFINITY
        }),
        ("columns do not ascend below 2", |p| {
            matrix(p).columns[7] = 2
        }),
        ("do not divide the entries", |p| {
            matrix(p).row_starts[7] = 41
        }),
        ("weights 0 do not exist", |p| p.weights.clear()),
        ("40 results and 1 operands", |p| {
            if let StepOp::WeightedSums { src, .. } = &mut step(p).op {
                src.truncate(1);
            }
        }),
        ("rescaled twice", |p| {
            if let StepOp::WeightedSums { rescale, .. } = &mut step(p).op {
                *rescale = false;
            }
        }),
        ("the result's level is 1, not 0", |p| {
            if let StepOp::WeightedSums { squares, .. } = &mut step(p).op {
                *squares = false;
            }
        }),
        ("the result's level is 0, not 1", |p| step(p).level = 1),
        ("the result's scale", |p| {
            p.weights[0].plain_scale = Scale::pow2(9)
        }),
    ];
    for (expected, change) in cases {
        let mut plan = weighted();
        change(&mut plan);
        let found: String = verify(&plan).iter().map(|f| format!("{f}\n")).collect();
        assert!(found.contains(expected), "{expected:?} is not in:\n{found}");
    }
}

#[test]
fn weighted_sums_are_simulated() {
    let mut plan = weighted();
    // Two of the sums become the output.
    let registers = [Register(13 + 3), Register(13 + 30)];
    let step = plan.steps[5].clone();
    plan.steps[5].free.retain(|r| !registers.contains(r));
    let port = &mut plan.outputs[0];
    (port.registers, port.level, port.scale) = (registers.to_vec(), step.level, step.scale);
    (port.layout, port.shape) = (Layout::dense(vec![2], 1), vec![2]);
    plan.tail = None;
    // The operand is the difference of two equal products of the first transform's results.
    let input = Tensor::new(
        vec![1, 1, 2, 4],
        (0..8).map(|i| 0.1 * f64::from(i)).collect(),
    );
    let inputs = Tensors::from([("x".to_owned(), input.unwrap())]);
    let clear = simulate(&plan, &inputs, None).unwrap();
    let noisy = simulate(&plan, &inputs, Some(1)).unwrap();
    let mut before = plan.clone();
    before.steps.truncate(5);
    let operand = step.op.operands()[0];
    before.outputs[0].registers = vec![operand];
    before.outputs[0].layout = Layout::dense(vec![1], 1);
    before.outputs[0].shape = vec![1];
    let x = simulate(&before, &inputs, None).unwrap()["y"].data()[0];
    assert!(x.abs() > 0.01);
    for (i, row) in [3_usize, 30].into_iter().enumerate() {
        assert!(row < ROWS as usize);
        let weights = &plan.weights[0];
        let expected = weights.matrix.values[row] * x * x + weights.bias[row];
        assert!((clear["y"].data()[i] - expected).abs() < 1e-12);
        let error = (noisy["y"].data()[i] - expected).abs();
        assert!(error > 0.0 && error < 0.1, "{error}");
    }
}
