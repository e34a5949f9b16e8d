//! Round trips of texts, errors with their places, and hostile texts.

use super::*;
use crate::graph::NodeId;
use crate::origin::Origin;
use crate::tensor::{
    Comparison, Constant, Conv, Function, Input, MaxPool, Node, Output, Pool, Reduction, parse,
    verify,
};
use crate::value::{DType, Range};
use proptest::prelude::*;
use std::sync::Arc;

const SMALL: &str = r#"
module "cnn" · from "cnn.onnx, opset 17" · stage tensor
  shape            range                  | op
  [1,1,4,4]        [0.0, 1.0]             | %0 = input "image"                               ; port "image"
  [1,2,3,3]        [-1.22, 3.0]           | %1 = conv %0, @w, @b strides [1,1] pads [0,0,0,0] ; node 0 Conv "/conv"
  [1,2,3,3]        -                      | %4 = power %1 exponent 2                         ; node 1 Mul "/act", pass square
  [1,18]           -                      | %5 = reshape %4                                  ; node 2 Flatten "\"odd\" name"
  [1,2]            [-0.5, 0.25]           | %7 = gemm %5, @"fc weight"                       ; line 7
input "image" = %0 · f32 · batched
output "logits" = %7 · batched
const @w [2,1,2,2] = [0.5, -0.1, 0.0, 1e-7, 1.0, 2.0, 3.0, 4.0]
const @b [2] = [0.25, -0.75]
const @"fc weight" [2,18] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
exact %1 [-1.2249999, 3.0]
"#;

/// Equal nodes, ids included.
fn same(a: &Module, b: &Module) {
    assert_eq!(
        (&a.name, &a.source, &a.constants),
        (&b.name, &b.source, &b.constants)
    );
    assert_eq!((&a.inputs, &a.outputs), (&b.inputs, &b.outputs));
    assert_eq!(a.graph.ids(), b.graph.ids());
    for id in a.graph.ids() {
        assert_eq!(a.graph.get(id), b.graph.get(id));
        assert_eq!(a.graph.operands(id), b.graph.operands(id));
    }
}

#[test]
fn a_text_reads_back_and_keeps_its_ids() {
    let module = parse(SMALL, &[]).unwrap();
    assert_eq!(verify(&module), []);
    assert_eq!(print(&module), SMALL.trim_start());
    let node = module.graph.get(NodeId::new(4)).unwrap();
    assert_eq!(node.origin.to_string(), "node 1 Mul \"/act\", pass square");
    assert_eq!(
        module.graph.get(NodeId::new(1)).unwrap().range,
        Some(Range {
            lo: -1.2249999,
            hi: 3.0
        })
    );
    insta::assert_snapshot!(print(&module));
}

#[test]
fn large_constants_come_from_the_pool_if_they_fit() {
    let mut module = parse(SMALL, &[]).unwrap();
    let id = NodeId::new(7);
    let large = Tensor::new(vec![4, 18], (0..72).map(f64::from).collect()).unwrap();
    let weight = module.add_constant("large", large.clone());
    module.graph.get_mut(id).unwrap().op = Op::Gemm { weight, bias: None };
    module.graph.get_mut(id).unwrap().shape = vec![1, 4];
    let text = print(&module);
    let pool = |tensor| {
        [Constant {
            name: "large".into(),
            tensor: Arc::new(tensor),
        }]
    };
    same(&module, &parse(&text, &pool(large.clone())).unwrap());
    assert!(
        parse(&text, &[])
            .unwrap_err()
            .message
            .contains("not in the pool")
    );
    let mut other = large;
    other.data_mut()[5] = 5.000001;
    assert!(
        parse(&text, &pool(other))
            .unwrap_err()
            .message
            .contains("other values")
    );
}

#[test]
fn faults_have_their_place() {
    let fault = |from: &str, to: &str| {
        let error = parse(&SMALL.trim_start().replacen(from, to, 1), &[]).unwrap_err();
        (error.line, error.message)
    };
    let line = |from: &str, to: &str| fault(from, to).0;
    assert_eq!(line("stage tensor", "stage circuit"), 1);
    assert_eq!(line("power %1 exponent 2", "power %1"), 5);
    assert_eq!(line("power %1 exponent 2", "power %1 exponent -2"), 5);
    assert_eq!(
        line("power %1 exponent 2", "power %1 exponent 2 exponent 2"),
        5
    );
    assert_eq!(line("power %1 exponent 2", "power %1 exponent 2 odd"), 5);
    assert_eq!(line("power %1 exponent 2", "powder %1"), 5);
    assert_eq!(line("= power", "power"), 5);
    assert_eq!(line("gemm %5, @\"fc weight\"", "gemm %5, @nothing"), 7);
    assert_eq!(line("[1,18] ", "1,18"), 6);
    assert_eq!(line("; line 7", "; lime 7"), 7);
    assert_eq!(line("f32", "f16"), 8);
    assert_eq!(line("const @b [2]", "const @b [3]"), 11);
    assert_eq!(line("const @b", "const @w"), 11);
    assert_eq!(
        fault("%7 = gemm", "%4 = gemm").1,
        "a value is defined twice, used but not defined, or numbered too high"
    );
    assert_eq!(fault("%7 = gemm", "%4000000000 = gemm").0, 1);
    assert_eq!(fault("%7 = gemm", "%99999999999 = gemm").0, 7);
    let error = parse(
        "module \"x\" from \"y\" stage tensor\n  [1] - | %0 ? input",
        &[],
    )
    .unwrap_err();
    assert_eq!((error.line, error.column), (2, 14));
    assert_eq!(
        parse("", &[]).unwrap_err().to_string(),
        "line 1, column 1: the text is empty"
    );
}

fn any_origin() -> impl Strategy<Value = Origin> {
    let single = prop_oneof![
        (any::<u16>(), any::<String>(), "[A-Za-z]{0,5}|.{0,5}").prop_map(|(i, name, op)| {
            Origin::Onnx {
                index: i.into(),
                name,
                op,
            }
        }),
        any::<String>().prop_map(Origin::Port),
        any::<u16>().prop_map(|l| Origin::Text(l.into())),
        any::<String>().prop_map(Origin::Source),
        ("[a-z-]{1,8}|.{0,5}").prop_map(|p| Origin::Pass(p.into())),
    ];
    prop::collection::vec(single, 0..3).prop_map(|parts| match <[Origin; 1]>::try_from(parts) {
        Ok([one]) => one,
        Err(parts) => Origin::Merged(parts),
    })
}

fn any_op() -> impl Strategy<Value = Op> {
    let dims = || prop::collection::vec(0_usize..9, 0..4);
    let id = || (0_u32..3).prop_map(ConstId);
    let two = || prop::array::uniform2(0_usize..5);
    let four = || prop::array::uniform4(0_usize..5);
    prop_oneof![
        any::<String>().prop_map(|name| Op::Input { name }),
        (
            id(),
            prop::option::of(id()),
            two(),
            two(),
            four(),
            0_usize..4
        )
            .prop_map(
                |(weight, bias, strides, dilations, pads, group)| Op::Conv(Conv {
                    weight,
                    bias,
                    strides,
                    dilations,
                    pads,
                    group
                })
            ),
        (id(), prop::option::of(id())).prop_map(|(weight, bias)| Op::Gemm { weight, bias }),
        id().prop_map(|weight| Op::ConstMatMul { weight }),
        Just(Op::MatMul),
        (id(), id()).prop_map(|(scale, shift)| Op::Affine { scale, shift }),
        (two(), two(), four(), any::<bool>(), any::<bool>()).prop_map(
            |(kernel, strides, pads, count_include_pad, ceil_mode)| {
                Op::AveragePool(Pool {
                    kernel,
                    strides,
                    pads,
                    count_include_pad,
                    ceil_mode,
                })
            }
        ),
        (
            prop::collection::vec((0_usize..9, 0_usize..9), 0..4),
            any::<f32>()
        )
            .prop_map(|(pads, v)| {
                let (before, after) = pads.into_iter().unzip();
                Op::Pad {
                    before,
                    after,
                    value: finite(v.into()),
                }
            }),
        Just(Op::Reshape),
        dims().prop_map(|perm| Op::Transpose { perm }),
        Just(Op::Add),
        Just(Op::Sub),
        Just(Op::Mul),
        id().prop_map(|value| Op::AddConst { value }),
        id().prop_map(|value| Op::MulConst { value }),
        any::<u32>().prop_map(|exponent| Op::Power { exponent }),
        prop::collection::vec(any::<f64>().prop_map(finite), 0..4)
            .prop_map(|coefficients| Op::Polynomial { coefficients }),
        any_function().prop_map(Op::Function),
        (
            any_function(),
            any::<f64>().prop_map(finite),
            prop::collection::vec(any::<f64>().prop_map(finite), 0..4)
        )
            .prop_map(|(function, lo, coefficients)| Op::Approximation {
                function,
                domain: Range { lo, hi: 4.0 },
                coefficients
            }),
        any::<usize>().prop_map(|axis| Op::Softmax { axis }),
        any::<usize>().prop_map(|axis| Op::LogSoftmax { axis }),
        any::<usize>().prop_map(|axis| Op::Concat { axis }),
        id().prop_map(|index| Op::Take { index }),
        (prop::sample::select(&Reduction::ALL), dims())
            .prop_map(|(kind, axes)| Op::Reduce { kind, axes }),
        prop::sample::select(vec![
            Op::Div,
            Op::Max,
            Op::Min,
            Op::Compare(Comparison::Greater),
            Op::Compare(Comparison::GreaterOrEqual),
            Op::Compare(Comparison::Equal),
            Op::Where,
        ]),
        (two(), two(), two(), four(), any::<bool>()).prop_map(
            |(kernel, strides, dilations, pads, ceil_mode)| {
                Op::MaxPool(MaxPool {
                    kernel,
                    strides,
                    dilations,
                    pads,
                    ceil_mode,
                })
            }
        ),
        (any::<usize>(), any::<bool>(), any::<bool>()).prop_map(|(axis, smallest, last)| {
            Op::ArgMax {
                axis,
                smallest,
                last,
            }
        }),
        (any::<usize>(), any::<usize>(), any::<bool>(), any::<bool>()).prop_map(
            |(axis, k, smallest, values)| Op::TopK {
                axis,
                k,
                smallest,
                values,
            }
        ),
        id().prop_map(|table| Op::Lookup { table }),
    ]
}

/// Every function, with any parameters.
fn any_function() -> impl Strategy<Value = Function> {
    let parameters = prop::array::uniform2(any::<f64>().prop_map(finite));
    (
        prop::sample::select(crate::tensor::function::tests::NAMES),
        parameters,
    )
        .prop_map(|(name, values)| {
            let count = Function::parameter_names(name).unwrap().len();
            Function::new(name, &values[..count]).unwrap()
        })
}

/// NaN is not equal to itself, so the comparison of graphs leaves it out.
fn finite(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

prop_compose! {
    /// A module that is well formed as a graph, whether or not it has a meaning.
    pub(crate) fn any_module()(
        name: String,
        source: String,
        values in prop::collection::vec(any::<f64>().prop_map(finite), 3 * 3),
        names in prop::array::uniform3("[a-z.]{1,3}|.{0,4}"),
        nodes in prop::collection::vec((
            any_op(),
            prop::collection::vec(any::<prop::sample::Index>(), 0..3),
            prop::collection::vec(0_usize..1000, 0..5),
            prop::option::of((any::<f64>().prop_map(finite), any::<f64>().prop_map(finite))),
            any_origin(),
        ), 1..8),
        removed in any::<prop::sample::Index>(),
    ) -> Module {
        let mut module = Module { name, source, ..Module::default() };
        for (name, values) in names.iter().zip(values.chunks(3)) {
            module.add_constant(name, Tensor::from_vec(values.to_vec()));
        }
        let mut ids = vec![];
        for (op, operands, shape, range, origin) in nodes {
            let range = range.map(|(lo, hi)| Range { lo, hi });
            let operands: Vec<NodeId> =
                operands.iter().filter(|_| !ids.is_empty()).map(|i| *i.get(&ids)).collect();
            ids.push(module.graph.add(Node { op, shape, range, origin }, &operands).unwrap());
        }
        let id = *removed.get(&ids);
        if module.graph.users(id).is_empty() {
            module.graph.remove(id);
        }
        for id in module.graph.ids() {
            module.inputs.push(Input { name: format!("i{id}"), node: id, dtype: DType::F64, batched: id.index() % 2 == 0, clear: id.index() % 3 == 0 });
            module.outputs.push(Output { name: format!("o\n{id}"), node: id, dtype: DType::ALL[id.index() % 8], batched: id.index() % 2 == 1 });
        }
        module
    }
}

proptest! {
    #[test]
    fn modules_read_back(module in any_module()) {
        let text = print(&module);
        let read = parse(&text, &[]).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        same(&module, &read);
        prop_assert_eq!(print(&read), text);
        // Whatever the module means, the verifier says so without a panic, and evaluation is refused.
        let _ = verify(&module);
        let _ = crate::tensor::eval(&module, &crate::value::Tensors::new());
    }

    #[test]
    fn mutated_texts_never_panic(at in any::<prop::sample::Index>(), junk in ".{0,6}", cut in 0_usize..8) {
        let start = at.index(SMALL.len());
        let text: String = SMALL.chars().take(start).chain(junk.chars()).chain(SMALL.chars().skip(start + cut)).collect();
        if let Ok(module) = parse(&text, &[]) {
            let printed = print(&module);
            prop_assert_eq!(print(&parse(&printed, &[]).unwrap()), printed);
            if verify(&module).is_empty() {
                let x = Tensor::filled(vec![1, 1, 4, 4], 0.5).unwrap();
                let _ = crate::tensor::eval(&module, &crate::value::Tensors::from([("image".into(), x)]));
            }
        }
    }

    #[test]
    fn random_texts_never_panic(text in any::<String>(), line in "[%@#$\\[\\]\"\\\\|;=a-z0-9., -]{0,40}") {
        let _ = parse(&text, &[]);
        let _ = parse(&format!("module \"\" from \"\" stage tensor\n{line}"), &[]);
    }
}
