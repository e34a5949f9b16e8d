//! Each pass on small modules: the operations that are left, and the same values as before.

use super::*;
use crate::data::Evidence;
use cipherloom_ir::tensor::{
    ConstId, Conv, Function, Input, Node, Op, Output, eval, eval_all, parse, verify,
};
use cipherloom_ir::value::{DType, element_count};
use cipherloom_ir::{NodeId, Origin, Range, Tensor, Tensors};
use std::collections::BTreeMap;

/// A module under construction; values are reproducible and look random.
struct Builder {
    module: Module,
    state: u64,
}

impl Builder {
    fn new() -> Self {
        let module = Module {
            name: "test".into(),
            source: "test".into(),
            ..Module::default()
        };
        Self { module, state: 1 }
    }

    fn next(&mut self) -> f64 {
        self.state = self
            .state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((self.state >> 40) as f64) / f64::from(1 << 23) - 1.0
    }

    fn random(&mut self, shape: &[usize]) -> Tensor {
        let count = element_count(shape).unwrap();
        let data = (0..count).map(|_| self.next()).collect();
        Tensor::new(shape.to_vec(), data).unwrap()
    }

    fn constant(&mut self, name: &str, shape: &[usize]) -> ConstId {
        let tensor = self.random(shape);
        self.module.add_constant(name, tensor)
    }

    fn scalar(&mut self, value: f64) -> ConstId {
        self.module
            .add_constant("scalar", Tensor::filled(vec![], value).unwrap())
    }

    fn input(&mut self, shape: &[usize]) -> NodeId {
        let node = self.add_shaped(Op::Input { name: "x".into() }, &[], shape);
        self.module.inputs.push(Input {
            name: "x".into(),
            node,
            dtype: DType::F32,
            batched: true,
            clear: false,
        });
        node
    }

    fn add(&mut self, op: Op, operands: &[NodeId]) -> NodeId {
        self.add_shaped(op, operands, &[])
    }

    fn add_shaped(&mut self, op: Op, operands: &[NodeId], declared: &[usize]) -> NodeId {
        let shapes: Vec<Vec<usize>> = operands
            .iter()
            .map(|o| self.module.graph.get(*o).unwrap().shape.clone())
            .collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let shape =
            cipherloom_ir::tensor::infer_shape(&self.module, &op, &shapes, declared).unwrap();
        let index = self.module.graph.len();
        let origin = Origin::Onnx {
            index,
            name: format!("n{index}"),
            op: op.name().into(),
        };
        self.module
            .graph
            .add(
                Node {
                    op,
                    shape,
                    range: None,
                    origin,
                },
                operands,
            )
            .unwrap()
    }

    fn output(mut self, node: NodeId) -> Module {
        let batched = self.module.graph.get(node).unwrap().shape[0] == 1;
        self.module.outputs.push(Output {
            name: "y".into(),
            node,
            dtype: DType::F32,
            batched,
        });
        assert_eq!(verify(&self.module), []);
        self.module
    }

    fn gemm(&mut self, x: NodeId, inner: usize, out: usize) -> NodeId {
        let weight = self.constant("w", &[out, inner]);
        let bias = Some(self.constant("b", &[out]));
        self.add(Op::Gemm { weight, bias }, &[x])
    }

    fn conv(&mut self, x: NodeId, weight: &[usize], group: usize, pad: usize) -> NodeId {
        let (weight, bias) = (self.constant("w", weight), None);
        let conv = Conv {
            weight,
            bias,
            strides: [1, 1],
            dilations: [1, 1],
            pads: [pad; 4],
            group,
        };
        self.add(Op::Conv(conv), &[x])
    }

    fn affine(&mut self, x: NodeId, channels: usize) -> NodeId {
        let (scale, shift) = (
            self.constant("scale", &[channels]),
            self.constant("shift", &[channels]),
        );
        self.add(Op::Affine { scale, shift }, &[x])
    }
}

const ACCURACY: Accuracy = Accuracy {
    margin: 2.0,
    precision: None,
    maxima: false,
    jumps: false,
    dead_zone: 1.0 / 128.0,
};

/// Runs one pass; the keywords of the operations that are left, in order, after checking that the values stayed.
fn run(module: &Module, pass: &mut dyn TensorPass) -> Vec<String> {
    let mut rewritten = module.clone();
    let mut driver = Driver {
        print_after: PrintAfter::None,
        stop_after: None,
        verify_each: true,
        print: &mut |_, _| {},
    };
    driver.run(&mut rewritten, &mut [pass]).unwrap();
    let shape = module
        .graph
        .get(module.inputs[0].node)
        .unwrap()
        .shape
        .clone();
    let mut values = Builder::new();
    for _ in 0..3 {
        let inputs: Tensors = [("x".to_owned(), values.random(&shape))].into();
        let (before, after) = (
            eval(module, &inputs).unwrap(),
            eval(&rewritten, &inputs).unwrap(),
        );
        for (name, expected) in &before {
            assert_eq!(expected.shape(), after[name].shape());
            for (a, b) in expected.data().iter().zip(after[name].data()) {
                assert!(
                    (a - b).abs() <= 1e-12 * (1.0 + a.abs()),
                    "{name}: {a} became {b}"
                );
            }
        }
    }
    rewritten
        .graph
        .topological()
        .unwrap()
        .into_iter()
        .map(|id| describe(&rewritten, id))
        .collect()
}

fn describe(module: &Module, id: NodeId) -> String {
    let op = &module.graph.get(id).unwrap().op;
    match op {
        Op::Power { exponent } => format!("power {exponent}"),
        Op::Polynomial { coefficients } => format!("polynomial {coefficients:?}"),
        Op::Transpose { perm } => format!("transpose {perm:?}"),
        other => other.name().to_owned(),
    }
}

#[test]
fn constant_chains_merge() {
    let mut b = Builder::new();
    let x = b.input(&[1, 2, 3]);
    let (c, d, e) = (
        b.constant("c", &[3]),
        b.constant("d", &[2, 1]),
        b.scalar(3.0),
    );
    let y = b.add(Op::AddConst { value: c }, &[x]);
    let y = b.add(Op::MulConst { value: d }, &[y]);
    let y = b.add(Op::AddConst { value: e }, &[y]);
    let y = b.add(Op::MulConst { value: e }, &[y]);
    let y = b.add_shaped(Op::Reshape, &[y], &[1, 6]);
    let y = b.add_shaped(Op::Reshape, &[y], &[3, 2]);
    let y = b.add(Op::Transpose { perm: vec![1, 0] }, &[y]);
    let y = b.add(Op::Transpose { perm: vec![1, 0] }, &[y]);
    let zero = b.scalar(0.0);
    let y = b.add(Op::AddConst { value: zero }, &[y]);
    let module = b.output(y);
    assert_eq!(
        run(&module, &mut FoldConstants),
        ["input", "mul_const", "add_const", "reshape"]
    );
}

#[test]
fn constants_that_enlarge_or_have_other_users_stay() {
    let mut b = Builder::new();
    let x = b.input(&[1, 3]);
    let zeros = b
        .module
        .add_constant("zeros", Tensor::filled(vec![2, 3], 0.0).unwrap());
    let y = b.add(Op::AddConst { value: zeros }, &[x]);
    let c = b.constant("c", &[3]);
    let shared = b.add(Op::MulConst { value: c }, &[y]);
    let other = b.add(Op::MulConst { value: c }, &[shared]);
    let y = b.add(Op::Add, &[shared, other]);
    let module = b.output(y);
    assert_eq!(
        run(&module, &mut FoldConstants),
        ["input", "mul_const", "add_const", "mul_const", "add"]
    );
}

#[test]
fn scalings_behind_a_layer_fold() {
    let mut b = Builder::new();
    let x = b.input(&[1, 4, 5, 5]);
    let y = b.conv(x, &[6, 2, 3, 3], 2, 1);
    let y = b.affine(y, 6);
    let c = b.constant("c", &[6, 1, 1]);
    let y = b.add(Op::MulConst { value: c }, &[y]);
    let y = b.add(Op::AddConst { value: c }, &[y]);
    let y = b.add(Op::Power { exponent: 2 }, &[y]);
    let y = b.add_shaped(Op::Reshape, &[y], &[1, 150]);
    let y = b.gemm(y, 150, 7);
    let y = b.affine(y, 7);
    let c = b.constant("c", &[1, 7]);
    let y = b.add(Op::AddConst { value: c }, &[y]);
    let module = b.output(y);
    assert_eq!(
        run(&module, &mut FoldScalings),
        ["input", "conv", "power 2", "reshape", "gemm"]
    );
}

#[test]
fn scalings_before_a_layer_fold_where_padding_allows() {
    let build = |pad: usize, shifted: bool| {
        let mut b = Builder::new();
        let x = b.input(&[1, 4, 5, 5]);
        let y = if shifted {
            b.affine(x, 4)
        } else {
            let c = b.constant("c", &[4, 1, 1]);
            b.add(Op::MulConst { value: c }, &[x])
        };
        let y = b.conv(y, &[6, 2, 3, 3], 2, pad);
        b.output(y)
    };
    assert_eq!(run(&build(0, true), &mut FoldScalings), ["input", "conv"]);
    assert_eq!(run(&build(1, false), &mut FoldScalings), ["input", "conv"]);
    assert_eq!(
        run(&build(1, true), &mut FoldScalings),
        ["input", "affine", "conv"]
    );

    let mut b = Builder::new();
    let x = b.input(&[1, 3, 4]);
    let c = b.constant("c", &[4]);
    let y = b.add(Op::AddConst { value: c }, &[x]);
    let y = b.add(Op::MulConst { value: c }, &[y]);
    let y = b.gemm(y, 4, 2);
    let module = b.output(y);
    assert_eq!(run(&module, &mut FoldScalings), ["input", "gemm"]);
}

#[test]
fn scalings_that_weights_cannot_hold_stay() {
    // Per position, not per channel; per row of a stack of vectors; enlarging; a layer with a second user.
    let mut b = Builder::new();
    let x = b.input(&[1, 1, 3, 3]);
    let y = b.conv(x, &[2, 1, 1, 1], 1, 0);
    let c = b.constant("c", &[3, 3]);
    let y = b.add(Op::MulConst { value: c }, &[y]);
    let module = b.output(y);
    assert_eq!(
        run(&module, &mut FoldScalings),
        ["input", "conv", "mul_const"]
    );

    let mut b = Builder::new();
    let x = b.input(&[1, 3, 4]);
    let y = b.gemm(x, 4, 4);
    let y = b.affine(y, 3);
    let y = b.gemm(y, 4, 2);
    let module = b.output(y);
    assert_eq!(
        run(&module, &mut FoldScalings),
        ["input", "gemm", "affine", "gemm"]
    );

    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let c = b.constant("c", &[2, 4]);
    let y = b.add(Op::MulConst { value: c }, &[x]);
    let y = b.gemm(y, 4, 2);
    let module = b.output(y);
    assert_eq!(
        run(&module, &mut FoldScalings),
        ["input", "mul_const", "gemm"]
    );

    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let y = b.gemm(x, 4, 4);
    let z = b.affine(y, 4);
    let y = b.add(Op::Add, &[y, z]);
    let module = b.output(y);
    assert_eq!(
        run(&module, &mut FoldScalings),
        ["input", "gemm", "affine", "add"]
    );
}

#[test]
fn polynomials_that_are_spelled_out_become_one_operation() {
    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let y = b.add(Op::Mul, &[x, x]);
    assert_eq!(run(&b.output(y), &mut FusePolynomial), ["input", "power 2"]);

    // 0.5 x^2 + 3 x - 1, written as a sum.
    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let (half, three, minus_one) = (b.scalar(0.5), b.scalar(3.0), b.scalar(-1.0));
    let square = b.add(Op::Power { exponent: 2 }, &[x]);
    let square = b.add(Op::MulConst { value: half }, &[square]);
    let linear = b.add(Op::MulConst { value: three }, &[x]);
    let sum = b.add(Op::Add, &[square, linear]);
    let y = b.add(Op::AddConst { value: minus_one }, &[sum]);
    assert_eq!(
        run(&b.output(y), &mut FusePolynomial),
        ["input", "polynomial [-1.0, 3.0, 0.5]"]
    );

    // The same by Horner's rule, then squared twice as x^4 of another value.
    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let (half, three) = (b.scalar(0.5), b.scalar(3.0));
    let y = b.add(Op::MulConst { value: half }, &[x]);
    let y = b.add(Op::AddConst { value: three }, &[y]);
    let y = b.add(Op::Mul, &[y, x]);
    let y = b.gemm(y, 4, 4);
    let y = b.add(Op::Mul, &[y, y]);
    let y = b.add(Op::Mul, &[y, y]);
    let left = run(&b.output(y), &mut FusePolynomial);
    assert_eq!(
        left,
        ["input", "polynomial [0.0, 3.0, 0.5]", "gemm", "power 4"]
    );
}

#[test]
fn polynomials_stop_at_values_that_are_needed_otherwise() {
    // y = x^2 is an operand of a layer too, so y^2 is not written as x^4.
    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let square = b.add(Op::Mul, &[x, x]);
    let layer = b.gemm(square, 4, 4);
    let fourth = b.add(Op::Mul, &[square, square]);
    let y = b.add(Op::Add, &[layer, fourth]);
    let left = run(&b.output(y), &mut FusePolynomial);
    assert_eq!(left, ["input", "power 2", "gemm", "power 2", "add"]);

    // Constants per element, and products of different values, stay.
    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let c = b.constant("c", &[4]);
    let z = b.add(Op::AddConst { value: c }, &[x]);
    let y = b.add(Op::Mul, &[x, z]);
    let left = run(&b.output(y), &mut FusePolynomial);
    assert_eq!(left, ["input", "add_const", "mul"]);

    // Broadcasting: [1, 4] times [4, 1].
    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let z = b.add(Op::Transpose { perm: vec![1, 0] }, &[x]);
    let y = b.add(Op::Mul, &[x, z]);
    let y = b.add(Op::Mul, &[y, y]);
    let left = run(&b.output(y), &mut FusePolynomial);
    assert_eq!(left, ["input", "transpose [1, 0]", "mul", "power 2"]);
}

#[test]
fn origins_survive_rewrites() {
    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let y = b.gemm(x, 4, 4);
    let y = b.affine(y, 4);
    let y = b.add(Op::Mul, &[y, y]);
    let y = b.add(Op::Mul, &[y, y]);
    let mut module = b.output(y);
    let range: BTreeMap<String, Range> = [("x".to_owned(), Range::new(0.0, 1.0).unwrap())].into();
    let mut printed = vec![];
    let mut print = |pass: &'static str, _: &Module| printed.push(pass);
    let mut driver = Driver {
        print_after: PrintAfter::All,
        stop_after: None,
        verify_each: true,
        print: &mut print,
    };
    let evidence = Evidence::Declared(&range);
    let outcome = run_standard(&mut driver, &mut module, evidence, ACCURACY).unwrap();
    let (finished, statistics) = (outcome.finished, outcome.statistics);
    assert_eq!(printed, ["fold-scalings", "fuse-polynomial", "find-ranges"]);
    assert!(!finished.stopped);
    let origins: Vec<String> = module
        .graph
        .topological()
        .unwrap()
        .iter()
        .map(|id| module.graph.get(*id).unwrap().origin.to_string())
        .collect();
    assert_eq!(
        origins,
        [
            "node 0 input \"n0\"",
            "node 1 gemm \"n1\", node 2 affine \"n2\"",
            "node 3 mul \"n3\", node 4 mul \"n4\"",
        ]
    );
    for id in module.graph.ids() {
        assert!(statistics.mean_square.contains_key(&id));
        assert!(module.graph.get(id).unwrap().range.is_some());
    }
}

#[test]
fn the_driver_stops_where_told() {
    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let y = b.add(Op::Function(Function::Sign), &[x]);
    let mut module = b.output(y);
    let mut driver = Driver {
        print_after: PrintAfter::None,
        stop_after: Some("fold-scalings".into()),
        verify_each: true,
        print: &mut |_, _| {},
    };
    let evidence = Evidence::Samples(&[]);
    let outcome = run_standard(&mut driver, &mut module, evidence, ACCURACY).unwrap();
    let finished = outcome.finished;
    assert!(finished.stopped);
    assert_eq!(
        finished.reports.iter().map(|r| r.pass).collect::<Vec<_>>(),
        [
            "fuse-function",
            "decompose",
            "fold-constants",
            "fold-scalings"
        ]
    );
    driver.stop_after = None;
    let error = run_standard(&mut driver, &mut module, evidence, ACCURACY).unwrap_err();
    let PassError::Illegal(illegal) = &error else {
        panic!("{error}")
    };
    assert_eq!(illegal.nodes.len(), 1);
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn sampled_ranges_are_those_of_the_values() {
    let mut b = Builder::new();
    let x = b.input(&[1, 4]);
    let y = b.gemm(x, 4, 3);
    let y = b.add(Op::Power { exponent: 2 }, &[y]);
    let samples: Vec<Tensors> = (0..5)
        .map(|_| [("x".to_owned(), b.random(&[1, 4]))].into())
        .collect();
    let module = b.output(y);
    let measured = measure(&module, Evidence::Samples(&samples)).unwrap();
    for id in module.graph.ids() {
        let values: Vec<f64> = samples
            .iter()
            .flat_map(|s| {
                eval_all(&module, s)
                    .unwrap()
                    .remove(&id)
                    .unwrap()
                    .into_data()
            })
            .collect();
        assert_eq!(
            measured.ranges[&id],
            Range::of(values.iter().copied()).unwrap()
        );
        let mean: f64 = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        assert!((measured.statistics.mean_square[&id] - mean).abs() < 1e-12);
    }
    assert_eq!(
        measure(&module, Evidence::Samples(&[])),
        Err(RangeError::NoSample)
    );
}

#[test]
fn declared_ranges_hold_for_every_input_and_are_reached_by_linear_maps() {
    let mut b = Builder::new();
    let x = b.input(&[1, 2, 4, 4]);
    let y = b.conv(x, &[3, 2, 3, 3], 1, 1);
    let y = b.affine(y, 3);
    let c = b.constant("c", &[4]);
    let y = b.add(Op::AddConst { value: c }, &[y]);
    let linear = b.add(Op::MulConst { value: c }, &[y]);
    let y = b.add(Op::Mul, &[linear, linear]);
    let y = b.add(
        Op::Polynomial {
            coefficients: vec![0.1, -0.5, 0.2, 0.05],
        },
        &[y],
    );
    let z = b.add(Op::Sub, &[y, linear]);
    let z = b.add(Op::Mul, &[z, y]);
    let z = b.add(Op::Function(Function::Tanh), &[z]);
    let z = b.add_shaped(Op::Reshape, &[z], &[1, 48]);
    let z = b.gemm(z, 48, 5);
    let mut random = Builder::new();
    let module = b.output(z);
    let range = Range::new(-0.5, 1.0).unwrap();
    let declared: BTreeMap<String, Range> = [("x".to_owned(), range)].into();
    let measured = measure(&module, Evidence::Declared(&declared)).unwrap();
    for _ in 0..200 {
        // Inputs at the corners of the box reach furthest.
        let mut input = random.random(&[1, 2, 4, 4]);
        input
            .data_mut()
            .iter_mut()
            .for_each(|v| *v = if *v < 0.0 { range.lo } else { range.hi });
        for (id, value) in eval_all(&module, &[("x".to_owned(), input)].into()).unwrap() {
            let widened = measured.ranges[&id].widened(1.0 + 1e-12);
            for v in value.data() {
                assert!(
                    widened.contains(*v),
                    "{id}: {v} not in {:?}",
                    measured.ranges[&id]
                );
            }
        }
    }
    // For a linear map the bound is reached at the corner that its weights' signs name.
    let mut best = 0.0_f64;
    let id = linear;
    for sign in [1.0, -1.0] {
        for element in 0..48 {
            let mut corner = Tensor::filled(vec![1, 2, 4, 4], range.lo).unwrap();
            let base = eval_all(&module, &[("x".to_owned(), corner.clone())].into()).unwrap()[&id]
                .data()[element];
            let raised: Vec<bool> = (0..32)
                .map(|i| {
                    let mut probe = corner.clone();
                    probe.data_mut()[i] = range.hi;
                    let value = eval_all(&module, &[("x".to_owned(), probe)].into()).unwrap()[&id]
                        .data()[element];
                    sign * (value - base) > 0.0
                })
                .collect();
            for (v, raise) in corner.data_mut().iter_mut().zip(raised) {
                *v = if raise { range.hi } else { range.lo };
            }
            let value =
                eval_all(&module, &[("x".to_owned(), corner)].into()).unwrap()[&id].data()[element];
            best = best.max(value.abs());
        }
    }
    assert!(
        (best - measured.ranges[&id].max_abs()).abs() < 1e-9 * best,
        "{best} {:?}",
        measured.ranges[&id]
    );

    let none = BTreeMap::new();
    assert_eq!(
        measure(&module, Evidence::Declared(&none)),
        Err(RangeError::MissingInput("x".into()))
    );
    let other: BTreeMap<String, Range> = [("z".to_owned(), range)].into();
    assert_eq!(
        measure(&module, Evidence::Declared(&other)),
        Err(RangeError::UnknownInput("z".into()))
    );
}

/// A network of one operation over `[1,2,4,4]`.
fn one_operation(op: &str, shape: &str) -> Module {
    let text = format!(
        r#"module "one" · from "one.onnx, opset 17" · stage tensor
  shape range | op
  [1,2,4,4] - | %0 = input "x"
  {shape} - | %1 = {op} ; node 0 Op "/op"
input "x" = %0 · f32 · batched
output "y" = %1 · f32 · batched
"#
    );
    parse(&text, &[]).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn softmaxes_become_functions_with_the_same_values() {
    for op in ["softmax", "log_softmax"] {
        for axis in 1..4 {
            let module = one_operation(&format!("{op} %0 axis {axis}"), "[1,2,4,4]");
            let left = run(&module, &mut Decompose::default()).join(" ");
            assert!(left.contains("exp") && !left.contains("softmax"), "{left}");
        }
    }
}

#[test]
fn maxima_become_those_of_two_values_where_asked_for() {
    let pool = "max_pool %0 kernel [3,2] strides [2,1] dilations [1,2] pads [1,0,1,1]";
    let pooled = one_operation(pool, "[1,2,2,3]");
    let reduced = one_operation("reduce_max %0 axes [2,3]", "[1,2,1,1]");
    for module in [pooled, reduced] {
        let left = run(
            &module,
            &mut Decompose {
                maxima: true,
                ..Decompose::default()
            },
        )
        .join(" ");
        assert!(left.contains("abs") && !left.contains("max"), "{left}");
        assert_eq!(run(&module, &mut Decompose::default()).len(), 2);
    }
}
