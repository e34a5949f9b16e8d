//! A good plan, and one bad twin for each rule.

use super::super::test_plans::plan;
use super::super::{KeyRequest, RotationKeySpec, StepOp};
use super::*;
use crate::graph::NodeId;
use crate::tensor;
use crate::value::{Range, Tensor};

/// Faults of the good plan after one change.
fn faults(change: impl FnOnce(&mut Plan)) -> String {
    let mut plan = plan();
    change(&mut plan);
    verify(&plan).iter().map(|f| format!("{f}\n")).collect()
}

#[test]
fn the_good_twin_has_no_fault_and_asks_for_exact_keys() {
    let plan = plan();
    assert_eq!(verify(&plan), []);
    let rotation = |steps| RotationKeySpec { steps, level: 4 };
    // Diagonals 0, 5 and 3 with a baby step of 4: babies 1 and 3, giant 4; the fold is 2.
    let expected = KeyRequest {
        relinearization: Some(3),
        rotations: vec![rotation(1), rotation(2), rotation(3), rotation(4)],
        conjugation: None,
    };
    assert_eq!(plan.keys, expected);
}

type Change = fn(&mut Plan);

type Products = Vec<(Register, Register)>;
type Terms = Vec<(Register, f64, Scale)>;

/// Changes the products, gain, terms or constant of the plan's sum.
fn change_sum(plan: &mut Plan, change: fn(&mut Products, &mut u32, &mut Terms, &mut f64)) {
    if let StepOp::Combine {
        products,
        gain,
        terms,
        constant,
        ..
    } = &mut plan.steps[10].op
    {
        change(products, gain, terms, constant);
    }
}

#[test]
fn each_bad_twin_is_found() {
    let cases: &[(&str, Change)] = &[
        ("limit for N", |p| p.params.log_n = 12),
        ("is not a prime", |p| p.params.q[1] += 2),
        ("the margin", |p| p.margin = 0.5),
        ("tail: no encrypted output has the name and shape", |p| {
            p.tail.as_mut().unwrap().inputs[0].name = "z".into();
        }),
        ("tail: no encrypted output has the name and shape", |p| {
            let tail = p.tail.as_mut().unwrap();
            for id in tail.graph.ids().into_iter().take(2) {
                tail.graph.get_mut(id).unwrap().shape = vec![1, 1, 2, 1];
            }
        }),
        ("tail: 0 inputs for 1 encrypted outputs", |p| {
            p.tail.as_mut().unwrap().inputs.clear();
        }),
        ("tail: gemm is no operation for a client", |p| {
            let tail = p.tail.as_mut().unwrap();
            let weight = tail.add_constant("w", Tensor::filled(vec![2, 2], 1.0).unwrap());
            let node = tail.graph.get_mut(NodeId::new(1)).unwrap();
            node.op = tensor::Op::Gemm { weight, bias: None };
        }),
        ("more than 16777216", |p| {
            // Sixteen million elements by repetition: small in a file, large in memory.
            let tail = p.tail.as_mut().unwrap();
            let mut last = NodeId::new(0);
            for power in 1..=24 {
                let node = tensor::Node {
                    op: tensor::Op::Concat { axis: 0 },
                    shape: vec![1 << power, 1, 1, 2],
                    range: None,
                    origin: crate::Origin::pass("test"),
                };
                last = tail.graph.add(node, &[last, last]).unwrap();
            }
        }),
        ("tail: the module has no output", |p| {
            p.tail.as_mut().unwrap().outputs.clear()
        }),
        ("the margin", |p| p.margin = f64::NAN),
        ("does not divide 4096 slots", |p| p.transforms[0].period = 3),
        ("does not divide 4096 slots", |p| {
            p.transforms[0].period = 8192
        }),
        ("the baby step", |p| p.transforms[0].baby_step = 0),
        ("the baby step", |p| p.transforms[0].baby_step = 16),
        ("the transform is made for level 3", |p| {
            p.transforms[0].level = 3
        }),
        ("above the chain", |p| p.transforms[0].level = 9),
        ("a fold is not between", |p| p.transforms[0].folds[0] = 8),
        ("no diagonal", |p| {
            p.transforms[0].blocks[0].diagonals.clear()
        }),
        ("not in order", |p| p.transforms[0].blocks.swap(0, 1)),
        ("do not ascend", |p| {
            p.transforms[0].blocks[0].diagonals.swap(0, 1)
        }),
        ("not below the period", |p| {
            p.transforms[0].blocks[0].diagonals[1].rotation = 8
        }),
        ("has 7 values", |p| {
            p.transforms[0].blocks[0].diagonals[1].values.truncate(7)
        }),
        ("diagonal 5 is not finite", |p| {
            p.transforms[0].blocks[0].diagonals[1].values[0] = f64::NAN
        }),
        ("2 results for the transform's 1 rows", |p| {
            p.transforms[0].blocks.truncate(1)
        }),
        ("reads beyond the 1 operands", |p| {
            p.transforms[0].blocks[0].col = 1
        }),
        ("do not divide 4096 slots", |p| {
            p.vectors[0].values.truncate(3)
        }),
        ("a value is not finite", |p| {
            p.vectors[0].values[0] = f64::INFINITY
        }),
        ("the name occurs twice", |p| {
            p.inputs.push(p.inputs[0].clone())
        }),
        ("there is no output", |p| p.outputs.clear()),
        ("the layout is for shape", |p| p.inputs[0].shape = vec![8]),
        ("two elements of the layout", |p| {
            p.inputs[0].layout.positions[0] = 6
        }),
        ("a position of the layout is not below 8", |p| {
            p.inputs[0].layout.positions[0] = 8
        }),
        ("positions for shape", |p| {
            p.inputs[0].layout.positions.truncate(7)
        }),
        ("the layout's period", |p| p.inputs[0].layout.period = 12),
        ("2 registers for 1 ciphertexts", |p| {
            p.inputs[0].registers.push(Register(12))
        }),
        ("the range is empty", |p| {
            p.inputs[0].range = Range { lo: 1.0, hi: 0.0 }
        }),
        ("the predicted noise", |p| p.inputs[0].noise = -1.0),
        ("exceed a modulus", |p| p.inputs[0].range.hi = 1e40),
        ("exceed a modulus", |p| p.steps[3].range.hi = 1e30),
        ("exceed a modulus", |p| p.outputs[0].range.hi = 1e5),
        ("has level 0 and scale", |p| p.outputs[0].level = 1),
        ("has level 0 and scale", |p| {
            p.outputs[0].scale = Scale::pow2(20)
        }),
        ("read before it is written", |p| {
            p.outputs[0].registers[0] = Register(77)
        }),
        ("read after it was freed", |p| {
            p.outputs[0].registers[0] = Register(9)
        }),
        ("freed twice", |p| p.steps[1].free.push(Register(0))),
        ("freed before it is written", |p| {
            p.steps[0].free.push(Register(9))
        }),
        ("written twice", |p| {
            p.steps[3].op = StepOp::Add {
                dst: Register(4),
                a: Register(3),
                b: Register(4),
            }
        }),
        ("numbered beyond", |p| {
            p.steps[3].op = StepOp::Add {
                dst: Register(13),
                a: Register(3),
                b: Register(4),
            }
        }),
        ("the result's level is 2, not 1", |p| p.steps[3].level = 1),
        ("the result's scale is", |p| {
            p.steps[3].scale = p.steps[3].scale.mul(&Scale::pow2(1))
        }),
        ("the operands differ", |p| {
            p.steps[3].op = StepOp::Add {
                dst: Register(5),
                a: Register(1),
                b: Register(4),
            }
        }),
        ("transform 5 does not exist", |p| {
            if let StepOp::LinearTransform { transform, .. } = &mut p.steps[0].op {
                *transform = 5;
            }
        }),
        ("1 biases for 2 results", |p| {
            if let StepOp::LinearTransform { bias, .. } = &mut p.steps[0].op {
                bias.truncate(1);
            }
        }),
        ("vector 9 does not exist", |p| {
            if let StepOp::LinearTransform { bias, .. } = &mut p.steps[0].op {
                bias[0] = 9;
            }
        }),
        ("the factor is not finite", |p| {
            if let StepOp::MulScalar { value, .. } = &mut p.steps[8].op {
                *value = f64::NAN;
            }
        }),
        ("is not below 2", |p| {
            if let StepOp::DropLevel { level, .. } = &mut p.steps[5].op {
                *level = 2;
            }
        }),
        ("cannot be rescaled", |p| {
            p.steps.push(Step {
                op: StepOp::Rescale {
                    dst: Register(12),
                    a: Register(10),
                },
                free: vec![],
                ..p.steps[9].clone()
            });
        }),
        ("a gain of 0 for 1 products", |p| {
            change_sum(p, |_, gain, _, _| *gain = 0)
        }),
        ("a gain of 1024 for 0 products", |p| {
            change_sum(p, |products, _, _, _| products.clear())
        }),
        ("a factor or the constant", |p| {
            change_sum(p, |_, _, terms, _| terms[0].1 = f64::NAN)
        }),
        ("a factor or the constant", |p| {
            change_sum(p, |_, _, _, constant| *constant = f64::INFINITY)
        }),
        ("its products and terms have scales", |p| {
            change_sum(p, |_, _, terms, _| terms[0].2 = Scale::pow2(3))
        }),
        ("an operand has level 0, below the step's 1", |p| {
            p.steps[10].level = 1
        }),
        ("the result's scale is", |p| {
            p.steps[10].scale = Scale::pow2(9)
        }),
        ("the step has no operand", |p| {
            change_sum(p, |products, _, terms, _| {
                products.clear();
                terms.clear();
            })
        }),
        ("4099 operands, more than 4096", |p| {
            change_sum(p, |products, _, _, _| {
                *products = vec![products[0]; 2049];
            })
        }),
        ("the error of approximations", |p| {
            p.steps[1].approximation = Some(-1.0)
        }),
        ("the predicted noise", |p| p.steps[1].noise = f64::NAN),
        ("the range is empty", |p| p.steps[1].range.lo = 5.0),
        ("rotation 4 key for level 4 is missing", |p| {
            p.keys.rotations.truncate(3)
        }),
        ("rotation 9 key is superfluous", |p| {
            p.keys
                .rotations
                .push(RotationKeySpec { steps: 9, level: 1 })
        }),
        ("no rotation by 4096", |p| {
            p.keys.rotations.push(RotationKeySpec {
                steps: 4096,
                level: 1,
            })
        }),
        ("reaches level 3; level 4 is needed", |p| {
            p.keys.rotations[0].level = 3
        }),
        ("is above the chain", |p| p.keys.rotations[0].level = 5),
        ("the rotations do not ascend", |p| {
            p.keys.rotations.swap(0, 1)
        }),
        ("relinearisation key for level 3 is missing", |p| {
            p.keys.relinearization = None
        }),
        ("conjugation key is superfluous", |p| {
            p.keys.conjugation = Some(0)
        }),
        ("clear network", |p| p.clear.outputs.clear()),
        ("it has no input \"z\"", |p| p.inputs[0].name = "z".into()),
    ];
    for (expected, change) in cases {
        let found = faults(change);
        assert!(found.contains(expected), "{expected:?} is not in:\n{found}");
    }
}
