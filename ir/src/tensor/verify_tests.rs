//! A good module, and one bad twin for each rule. The rules for shapes have twins of their own (`shape_tests.rs`).

use super::*;
use crate::tensor::{ConstId, parse};
use crate::value::{Range, Tensor};
use std::sync::Arc;

const GOOD: &str = r#"
module "m" from "m.onnx" stage tensor
  [1,2] [0.0, 1.0] | %0 = input "x" ; port "x"
  [1,2] -          | %1 = gemm %0, @w, @b ; node 0 Gemm "fc"
  [1,2] -          | %2 = add %1, %0 ; node 1 Add "sum"
input "x" = %0 f32 batched
output "y" = %2 batched
const @w [2,2] = [1.0, 2.0, 3.0, 4.0]
const @b [2] = [0.5, -0.5]
"#;

fn faults(change: impl FnOnce(&mut Module)) -> String {
    let mut module = parse(GOOD, &[]).unwrap();
    change(&mut module);
    verify(&module).iter().map(|f| format!("{f}\n")).collect()
}

fn node(module: &mut Module, index: usize) -> &mut crate::tensor::Node {
    module.graph.get_mut(NodeId::new(index)).unwrap()
}

#[test]
fn the_good_twin_has_no_fault() {
    assert_eq!(faults(|_| ()), "");
}

#[test]
fn each_bad_twin_is_found() {
    type Change = fn(&mut Module);
    let cases: &[(&str, Change)] = &[
        ("the graph has a cycle at or before %1, %2", |m| {
            assert!(m.graph.set_operands(NodeId::new(1), &[NodeId::new(2)]));
        }),
        (
            "%2 (node 1 Add \"sum\"): add takes 2 operands, not 1",
            |m| {
                assert!(m.graph.set_operands(NodeId::new(2), &[NodeId::new(1)]));
            },
        ),
        (
            "%2 (node 1 Add \"sum\"): add yields [1, 2], not [1, 3]",
            |m| node(m, 2).shape = vec![1, 3],
        ),
        ("constant 7 does not exist", |m| {
            node(m, 1).op = Op::Gemm {
                weight: ConstId(7),
                bias: None,
            }
        }),
        ("the range [1, 0] is empty", |m| {
            node(m, 1).range = Some(Range { lo: 1.0, hi: 0.0 })
        }),
        ("constant @w is not finite at element 3", |m| {
            Arc::make_mut(&mut m.constants[0].tensor).data_mut()[3] = f64::NAN;
        }),
        ("two constants are named @w", |m| {
            m.constants[1].name = "w".into()
        }),
        ("the weight has 3 columns", |m| {
            m.constants[0].tensor = Arc::new(Tensor::filled(vec![2, 3], 0.0).unwrap());
        }),
        ("two inputs are named \"x\"", |m| {
            m.inputs.push(m.inputs[0].clone())
        }),
        ("%0 is registered as two inputs", |m| {
            m.inputs.push(m.inputs[0].clone())
        }),
        ("input \"x\" names the missing node %9", |m| {
            m.inputs[0].node = NodeId::new(9)
        }),
        ("registered as input \"x\" but is add", |m| {
            m.inputs[0].node = NodeId::new(2)
        }),
        ("an input that the module does not list", |m| {
            m.inputs.clear()
        }),
        ("input \"x\" is batched, but its axis 0 is not 1", |m| {
            node(m, 0).shape = vec![2, 2]
        }),
        ("the module has no output", |m| m.outputs.clear()),
        ("two outputs are named \"y\"", |m| {
            m.outputs.push(m.outputs[0].clone())
        }),
        ("output \"y\" names the missing node %9", |m| {
            m.outputs[0].node = NodeId::new(9)
        }),
        ("output \"y\" is batched, but its axis 0 is not 1", |m| {
            node(m, 2).shape = vec![2]
        }),
        ("has no element", |m| node(m, 0).shape = vec![1, 0]),
        ("more than 268435456 elements", |m| {
            node(m, 0).shape = vec![usize::MAX, 2]
        }),
    ];
    for (expected, change) in cases {
        let found = faults(change);
        assert!(found.contains(expected), "{expected:?} is not in:\n{found}");
    }
}
