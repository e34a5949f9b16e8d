//! A good circuit, and one bad twin for each rule.

use super::super::test_circuits::circuit;
use super::*;
use std::sync::Arc;

fn faults(change: impl FnOnce(&mut Circuit)) -> String {
    let mut circuit = circuit();
    change(&mut circuit);
    verify(&circuit).iter().map(|f| format!("{f}\n")).collect()
}

fn node(circuit: &mut Circuit, index: usize) -> &mut CircuitNode {
    circuit.graph.get_mut(NodeId::new(index)).unwrap()
}

fn matrix_of(circuit: &mut Circuit) -> &mut Matrix {
    Arc::make_mut(&mut circuit.matrices[0])
}

/// Changes gain, factors or constant of the sum with products.
fn change_sum(circuit: &mut Circuit, change: fn(&mut u32, &mut [(f64, Scale)], &mut f64)) {
    if let CircuitOp::Combine {
        gain,
        factors,
        constant,
        ..
    } = &mut node(circuit, 13).op
    {
        change(gain, factors, constant);
    }
}

#[test]
fn the_good_twin_has_no_fault() {
    assert_eq!(faults(|_| ()), "");
}

#[test]
fn each_bad_twin_is_found() {
    type Change = fn(&mut Circuit);
    let id = NodeId::new;
    let cases: &[(&str, Change)] = &[
        ("parameters: log2(QP)", |c| c.params.log_n = 12),
        ("parameters: modulus", |c| c.params.q[0] += 2),
        ("cycle", |c| {
            assert!(c.graph.set_operands(NodeId::new(2), &[NodeId::new(2)]))
        }),
        ("layout #0: two elements", |c| c.layouts[0].positions[0] = 0),
        ("layout #1: the layout's period", |c| {
            c.layouts[1].period = 3
        }),
        ("matrix @fc.weight: the rows", |c| {
            matrix_of(c).row_starts[1] = 9
        }),
        ("matrix @fc.weight: the rows", |c| {
            matrix_of(c).rows = usize::MAX
        }),
        ("matrix @fc.weight: a row's columns", |c| {
            matrix_of(c).columns[0] = 1
        }),
        ("matrix @fc.weight: a row's columns", |c| {
            matrix_of(c).columns[2] = 4
        }),
        ("matrix @fc.weight: an entry", |c| {
            matrix_of(c).values[0] = f64::NAN
        }),
        ("of 2 x 5 does not fit", |c| matrix_of(c).cols = 5),
        ("a scale has more than 32768 bits", |c| {
            node(c, 1).scale = Scale::pow2(1 << 15)
        }),
        ("vector @fc.weight: the name", |c| {
            c.vectors[0].name = "fc.weight".into()
        }),
        ("vector @fc.bias: a value", |c| {
            Arc::make_mut(&mut c.vectors[0].tensor).data_mut()[0] = f64::INFINITY
        }),
        ("vector @fc.bias has 3 values", |c| {
            c.vectors[0].tensor = Arc::new(crate::value::Tensor::from_vec(vec![0.0; 3]));
        }),
        ("vector 0 does not exist", |c| c.vectors.clear()),
        ("matrix 0 does not exist", |c| c.matrices.clear()),
        ("layout #1 does not exist", |c| c.layouts.truncate(1)),
        ("inputs: there are none", |c| c.inputs.clear()),
        ("%0 is an input that is not listed", |c| c.inputs.clear()),
        ("which is no such input", |c| c.inputs[0].name = "z".into()),
        ("outputs: the name", |c| {
            c.outputs.push(c.outputs[0].clone())
        }),
        ("missing node %99", |c| c.outputs[0].node = NodeId::new(99)),
        ("\"y\" has shape [3]", |c| c.outputs[0].shape = vec![3]),
        ("\"x\" has shape", |c| {
            c.inputs[0].shape = vec![c.inputs[0].shape.iter().product(), 1, 1]
        }),
        ("the range of \"y\"", |c| c.outputs[0].range.lo = 3.0),
        ("inputs: values up to", |c| c.inputs[0].range.hi = 1e40),
        ("level 9 is above the chain", |c| node(c, 0).level = 9),
        ("the range is empty", |c| node(c, 2).range.lo = f64::NAN),
        ("the mean square", |c| node(c, 2).mean_square = -1.0),
        ("the error of approximations", |c| {
            node(c, 2).approximation = Some(f64::INFINITY)
        }),
        ("the predicted noise", |c| node(c, 2).noise = f64::INFINITY),
        ("exceed a modulus", |c| node(c, 12).range.hi = 1e9),
        ("add takes 2 operands, not 1", |c| {
            assert!(c.graph.set_operands(NodeId::new(6), &[NodeId::new(4)]))
        }),
        ("the operands have scales", |c| {
            assert!(
                c.graph
                    .set_operands(NodeId::new(6), &[NodeId::new(4), NodeId::new(3)])
            )
        }),
        ("the operands have levels", |c| {
            assert!(
                c.graph
                    .set_operands(NodeId::new(6), &[NodeId::new(4), NodeId::new(8)])
            )
        }),
        ("the operands have layouts", |c| {
            assert!(
                c.graph
                    .set_operands(NodeId::new(6), &[NodeId::new(4), NodeId::new(0)])
            )
        }),
        ("the result's level is 3, not 2", |c| node(c, 2).level = 2),
        ("the result's scale is", |c| {
            node(c, 1).scale = Scale::pow2(49)
        }),
        ("the result's layout is #1, not #0", |c| {
            node(c, 2).layout = LayoutId(0)
        }),
        ("is not below 1", |c| node(c, 12).level = 1),
        ("cannot be rescaled", |c| {
            let last = c.graph.get(NodeId::new(12)).unwrap().clone();
            c.graph.add(
                CircuitNode {
                    op: CircuitOp::Rescale,
                    ..last
                },
                &[NodeId::new(12)],
            );
        }),
        ("block height 1", |c| {
            if let CircuitOp::MatVec { shape, .. } = &mut node(c, 1).op {
                shape.block_height = 1;
            }
        }),
        ("baby step 3", |c| {
            if let CircuitOp::MatVec { shape, .. } = &mut node(c, 1).op {
                shape.baby_step = 3;
            }
        }),
        ("the factor is not finite", |c| {
            if let CircuitOp::MulScalar { value, .. } = &mut node(c, 11).op {
                *value = f64::NAN;
            }
        }),
        ("combine takes 5 operands, not 4", |c| {
            assert!(
                c.graph
                    .set_operands(NodeId::new(13), &[3, 2, 3, 3].map(NodeId::new))
            )
        }),
        ("a gain of 0", |c| change_sum(c, |gain, _, _| *gain = 0)),
        ("product 1 gives the scale", |c| {
            change_sum(c, |gain, _, _| *gain = 3)
        }),
        ("term 0 has the scale", |c| {
            change_sum(c, |_, factors, _| factors[0].1 = Scale::pow2(5))
        }),
        ("a factor or the constant", |c| {
            change_sum(c, |_, factors, _| factors[0].0 = f64::NAN)
        }),
        ("a factor or the constant", |c| {
            change_sum(c, |_, _, constant| *constant = f64::INFINITY)
        }),
        ("an operand has level 2, below the result's 3", |c| {
            node(c, 13).level = 3
        }),
        ("an operand has layout #0, not #1", |c| {
            assert!(
                c.graph
                    .set_operands(NodeId::new(13), &[0, 2, 3, 3, 8].map(NodeId::new))
            )
        }),
        ("combine takes 1 to 4096 operands, not 0", |c| {
            node(c, 0).op = CircuitOp::Combine {
                products: 0,
                gain: 1,
                factors: vec![],
                constant: 0.0,
            }
        }),
        ("a gain of NaN", |c| {
            node(c, 15).op = CircuitOp::Gain { factor: f64::NAN }
        }),
        ("the result's scale is", |c| {
            node(c, 15).op = CircuitOp::Gain { factor: 0.25 }
        }),
        ("layout #2 is not what the elements are in layout #1", |c| {
            node(c, 16).op = CircuitOp::View { elements: vec![0] }
        }),
        ("layout #2 is not what the elements are in layout #1", |c| {
            node(c, 16).op = CircuitOp::View { elements: vec![2] }
        }),
        ("a gain of 2 for 0 products", |c| {
            if let CircuitOp::Combine { gain, .. } = &mut node(c, 14).op {
                *gain = 2;
            }
        }),
    ];
    assert_eq!(circuit().graph.operands(id(6)), [id(4), id(5)]);
    for (expected, change) in cases {
        let found = faults(change);
        assert!(found.contains(expected), "{expected:?} is not in:\n{found}");
    }
}
