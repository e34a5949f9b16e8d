//! The interpreter against hand-computed values and against naive loops straight from the definitions.

use super::*;
use crate::tensor::{Conv, Function, Input, Output, Pool};
use crate::value::DType;
use proptest::prelude::*;

struct Net(Module);

impl Net {
    fn new(shape: &[usize]) -> Self {
        let mut net = Net(Module::default());
        let node = net.node(Op::Input { name: "x".into() }, &[], shape);
        net.0.inputs.push(Input {
            name: "x".into(),
            node,
            dtype: DType::F64,
            batched: false,
            clear: false,
        });
        net
    }
    fn node(&mut self, op: Op, operands: &[NodeId], declared: &[usize]) -> NodeId {
        let shapes: Vec<Vec<usize>> = operands
            .iter()
            .map(|o| self.0.graph.get(*o).unwrap().shape.clone())
            .collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let shape = infer_shape(&self.0, &op, &shapes, declared).unwrap();
        let node = Node {
            op,
            shape,
            range: None,
            origin: Origin::Port("t".into()),
        };
        self.0.graph.add(node, operands).unwrap()
    }
    fn constant(&mut self, shape: &[usize], data: &[f64]) -> ConstId {
        self.0
            .add_constant("c", Tensor::new(shape.to_vec(), data.to_vec()).unwrap())
    }
    /// The output of the last node for the given input.
    fn run(mut self, x: &[f64]) -> (Vec<usize>, Vec<f64>) {
        let node = *self.0.graph.ids().last().unwrap();
        self.0.outputs = vec![Output {
            name: "y".into(),
            node,
            dtype: DType::F32,
            batched: false,
        }];
        assert_eq!(crate::tensor::verify(&self.0), []);
        let x = Tensor::new(
            self.0
                .graph
                .get(self.0.inputs[0].node)
                .unwrap()
                .shape
                .clone(),
            x.to_vec(),
        )
        .unwrap();
        let inputs = Tensors::from([("x".to_owned(), x)]);
        let all = eval_all(&self.0, &inputs).unwrap();
        let y = eval(&self.0, &inputs).unwrap().remove("y").unwrap();
        assert_eq!(all[&node], y);
        (y.shape().to_vec(), y.into_data())
    }
}

const X: NodeId = NodeId::new(0);

/// One operation on one input.
fn unary(op: Op, shape: &[usize], declared: &[usize], x: &[f64]) -> Vec<f64> {
    let mut net = Net::new(shape);
    net.node(op, &[X], declared);
    net.run(x).1
}

#[test]
fn hand_computed_values() {
    let six = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(
        unary(Op::Transpose { perm: vec![1, 0] }, &[2, 3], &[], &six),
        [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
    );
    assert_eq!(unary(Op::Reshape, &[2, 3], &[6], &six), six);
    let pad = Op::Pad {
        before: vec![1, 0],
        after: vec![0, 2],
        value: 9.0,
    };
    assert_eq!(
        unary(pad, &[2, 3], &[], &six),
        [
            9.0, 9.0, 9.0, 9.0, 9.0, 1.0, 2.0, 3.0, 9.0, 9.0, 4.0, 5.0, 6.0, 9.0, 9.0
        ]
    );
    assert_eq!(
        unary(Op::Power { exponent: 3 }, &[2], &[], &[2.0, -3.0]),
        [8.0, -27.0]
    );
    let polynomial = Op::Polynomial {
        coefficients: vec![1.0, -2.0, 0.5],
    };
    assert_eq!(unary(polynomial, &[2], &[], &[2.0, -4.0]), [-1.0, 17.0]);
    assert_eq!(
        unary(Op::Function(Function::Relu), &[2], &[], &[2.0, -4.0]),
        [2.0, 0.0]
    );
    let sigmoid = unary(
        Op::Function(Function::Sigmoid),
        &[3],
        &[],
        &[0.0, 800.0, -800.0],
    );
    assert_eq!(sigmoid, [0.5, 1.0, 0.0]);
    let tanh = unary(Op::Function(Function::Tanh), &[1], &[], &[0.5]);
    assert!((tanh[0] - 0.462_117_157_260_009_8).abs() < 1e-15);
    let softmax = unary(
        Op::Softmax { axis: 0 },
        &[2, 2],
        &[],
        &[0.0, 1000.0, 0.0, 1000.0],
    );
    assert_eq!(softmax, [0.5; 4]);
    let softmax = unary(
        Op::Softmax { axis: 1 },
        &[1, 2],
        &[],
        &[0.0, libm::log(3.0)],
    );
    assert!((softmax[0] - 0.25).abs() < 1e-15 && (softmax[1] - 0.75).abs() < 1e-15);
    let pool = Pool {
        kernel: [2, 2],
        strides: [2, 2],
        pads: [0; 4],
        count_include_pad: false,
        ceil_mode: true,
    };
    let nine: Vec<f64> = (1..=9).map(f64::from).collect();
    // A window that hangs over is divided by the elements that it holds, not by its size.
    assert_eq!(
        unary(Op::AveragePool(pool.clone()), &[1, 1, 3, 3], &[], &nine),
        [3.0, 4.5, 7.5, 9.0]
    );
    let padded = Pool {
        pads: [1; 4],
        ceil_mode: false,
        ..pool
    };
    assert_eq!(
        unary(Op::AveragePool(padded.clone()), &[1, 1, 3, 3], &[], &nine),
        [1.0, 2.5, 5.5, 7.0]
    );
    let counted = Pool {
        count_include_pad: true,
        ..padded
    };
    assert_eq!(
        unary(Op::AveragePool(counted), &[1, 1, 3, 3], &[], &nine),
        [0.25, 1.25, 2.75, 7.0]
    );
}

#[test]
fn products_and_broadcasts() {
    let mut net = Net::new(&[1, 3]);
    let weight = net.constant(&[2, 3], &[1.0, 0.0, -1.0, 2.0, 2.0, 2.0]);
    let bias = net.constant(&[2], &[10.0, 20.0]);
    net.node(
        Op::Gemm {
            weight,
            bias: Some(bias),
        },
        &[X],
        &[],
    );
    assert_eq!(net.run(&[1.0, 2.0, 3.0]), (vec![1, 2], vec![8.0, 32.0]));
    let mut net = Net::new(&[2, 2]);
    let weight = net.constant(&[2], &[1.0, 10.0]);
    net.node(Op::ConstMatMul { weight }, &[X], &[]);
    assert_eq!(net.run(&[1.0, 2.0, 3.0, 4.0]), (vec![2], vec![31.0, 42.0]));
    let mut net = Net::new(&[2, 2]);
    net.node(Op::MatMul, &[X, X], &[]);
    assert_eq!(net.run(&[1.0, 2.0, 3.0, 4.0]).1, [7.0, 10.0, 15.0, 22.0]);
    let mut net = Net::new(&[2, 1]);
    let value = net.constant(&[3], &[1.0, 2.0, 3.0]);
    let sum = net.node(Op::AddConst { value }, &[X], &[]);
    let scaled = net.node(Op::MulConst { value }, &[sum], &[]);
    net.node(Op::Sub, &[scaled, X], &[]);
    assert_eq!(
        net.run(&[1.0, -1.0]),
        (vec![2, 3], vec![1.0, 5.0, 11.0, 1.0, 3.0, 7.0])
    );
    let mut net = Net::new(&[1, 2, 2]);
    let (scale, shift) = (
        net.constant(&[2], &[2.0, 3.0]),
        net.constant(&[2], &[0.0, 1.0]),
    );
    let y = net.node(Op::Affine { scale, shift }, &[X], &[]);
    net.node(Op::Mul, &[y, y], &[]);
    assert_eq!(net.run(&[1.0, 2.0, 3.0, 4.0]).1, [4.0, 16.0, 100.0, 169.0]);
}

#[test]
fn faults_are_errors() {
    let mut net = Net::new(&[2]);
    let y = net.node(Op::Power { exponent: 2 }, &[X], &[]);
    net.0.outputs.push(Output {
        name: "y".into(),
        node: y,
        dtype: DType::F32,
        batched: false,
    });
    let input = |data: &[f64]| Tensors::from([("x".to_owned(), Tensor::from_vec(data.to_vec()))]);
    assert_eq!(
        eval(&net.0, &Tensors::new()),
        Err(EvalError::MissingInput("x".into()))
    );
    assert!(matches!(
        eval(&net.0, &input(&[1.0])),
        Err(EvalError::InputShape { .. })
    ));
    net.0.graph.get_mut(y).unwrap().shape = vec![3];
    assert!(matches!(
        eval(&net.0, &input(&[1.0, 2.0])),
        Err(EvalError::Faulty { .. })
    ));
    net.0.graph.set_operands(y, &[y]);
    assert_eq!(eval(&net.0, &input(&[1.0, 2.0])), Err(EvalError::Graph));
}

/// Convolution straight from the ONNX definition.
fn naive_conv(x: &Tensor, weight: &Tensor, bias: &[f64], conv: &Conv, shape: &[usize]) -> Vec<f64> {
    let (xs, ws) = (x.shape(), weight.shape());
    let mut out = vec![];
    for n in 0..shape[0] {
        for (m, start) in bias.iter().enumerate() {
            for oy in 0..shape[2] {
                for ox in 0..shape[3] {
                    let mut sum = *start;
                    for k in 0..ws[1] {
                        let c = m / (ws[0] / conv.group) * ws[1] + k;
                        for ky in 0..ws[2] {
                            for kx in 0..ws[3] {
                                let y = (oy * conv.strides[0] + ky * conv.dilations[0]) as i64
                                    - conv.pads[0] as i64;
                                let z = (ox * conv.strides[1] + kx * conv.dilations[1]) as i64
                                    - conv.pads[1] as i64;
                                if (0..xs[2] as i64).contains(&y) && (0..xs[3] as i64).contains(&z)
                                {
                                    let at =
                                        ((n * xs[1] + c) * xs[2] + y as usize) * xs[3] + z as usize;
                                    sum += x.data()[at]
                                        * weight.data()
                                            [((m * ws[1] + k) * ws[2] + ky) * ws[3] + kx];
                                }
                            }
                        }
                    }
                    out.push(sum);
                }
            }
        }
    }
    out
}

proptest! {
    #[test]
    fn convolution_agrees_with_the_definition(
        (group, per_group, per_out, n) in (1_usize..3, 1_usize..3, 1_usize..3, 1_usize..3),
        (kh, kw, h, w) in (1_usize..4, 1_usize..4, 1_usize..8, 1_usize..8),
        strides in prop::array::uniform2(1_usize..4),
        dilations in prop::array::uniform2(1_usize..3),
        pads in prop::array::uniform4(0_usize..4),
    ) {
        let mut net = Net::new(&[n, group * per_group, h, w]);
        let values = |count: usize| (0..count).map(|i| libm::sin(i as f64 * 1.7)).collect::<Vec<_>>();
        let ws = [group * per_out, per_group, kh, kw];
        let weight = net.constant(&ws, &values(ws.iter().product()));
        let bias = net.constant(&ws[..1], &values(ws[0]));
        let conv = Conv { weight, bias: Some(bias), strides, dilations, pads, group };
        let op = Op::Conv(conv.clone());
        prop_assume!(infer_shape(&net.0, &op, &[&[n, group * per_group, h, w]], &[]).is_ok());
        net.node(op, &[X], &[]);
        let weight = net.0.tensor(weight).unwrap().clone();
        let x = Tensor::new(vec![n, group * per_group, h, w], values(n * group * per_group * h * w)).unwrap();
        let (shape, y) = net.run(x.data());
        let naive = naive_conv(&x, &weight, &values(ws[0]), &conv, &shape);
        for (a, b) in y.iter().zip(&naive) {
            prop_assert!((a - b).abs() < 1e-12);
        }
        prop_assert_eq!(y.len(), naive.len());
    }

    #[test]
    fn averages_agree_with_the_definition(
        (h, w) in (1_usize..8, 1_usize..8),
        kernel in prop::array::uniform2(1_usize..4),
        strides in prop::array::uniform2(1_usize..4),
        pads in prop::array::uniform4(0_usize..3),
        count_include_pad: bool,
        ceil_mode: bool,
    ) {
        let mut net = Net::new(&[1, 2, h, w]);
        let op = Op::AveragePool(Pool { kernel, strides, pads, count_include_pad, ceil_mode });
        prop_assume!(infer_shape(&net.0, &op, &[&[1, 2, h, w]], &[]).is_ok());
        net.node(op, &[X], &[]);
        let x: Vec<f64> = (0..2 * h * w).map(|i| libm::sin(i as f64 * 1.7)).collect();
        let (shape, y) = net.run(&x);
        for (i, found) in y.iter().enumerate() {
            let (c, oy, ox) = (i / (shape[2] * shape[3]), i / shape[3] % shape[2], i % shape[3]);
            let (mut sum, mut count) = (0.0, 0);
            for py in oy * strides[0]..oy * strides[0] + kernel[0] {
                for px in ox * strides[1]..ox * strides[1] + kernel[1] {
                    let padded = py < h + pads[0] + pads[2] && px < w + pads[1] + pads[3];
                    let inner = py >= pads[0] && py < h + pads[0] && px >= pads[1] && px < w + pads[1];
                    if inner {
                        sum += x[(c * h + py - pads[0]) * w + px - pads[1]];
                    }
                    count += usize::from(if count_include_pad { padded } else { inner });
                }
            }
            prop_assert!(count > 0 && (found - sum / count as f64).abs() < 1e-12);
        }
    }

    #[test]
    fn broadcasting_and_transposition_agree_with_indices(
        dims in prop::collection::vec((1_usize..4, 0..3_u8), 0..4),
        cut in 0_usize..4,
        seed in 0_usize..24,
    ) {
        // Each axis is whole in both operands, or 1 in one of them; the second loses its first `cut` axes.
        let a_shape: Vec<usize> = dims.iter().map(|(d, k)| if *k == 1 { 1 } else { *d }).collect();
        let b_full: Vec<usize> = dims.iter().map(|(d, k)| if *k == 2 { 1 } else { *d }).collect();
        let b_shape = b_full[cut.min(b_full.len())..].to_vec();
        let mut net = Net::new(&a_shape);
        let b: Vec<f64> = (0..b_shape.iter().product()).map(|i| 100.0 * i as f64).collect();
        let value = net.constant(&b_shape, &b);
        let sum = net.node(Op::AddConst { value }, &[X], &[]);
        let mut perm: Vec<usize> = (0..dims.len()).collect();
        if !perm.is_empty() {
            let len = perm.len();
            perm.rotate_left(seed % len);
            perm.swap(0, seed / 4 % len);
        }
        net.node(Op::Transpose { perm: perm.clone() }, &[sum], &[]);
        let a: Vec<f64> = (0..a_shape.iter().product()).map(|i| i as f64).collect();
        let (shape, y) = net.run(&a);
        for (flat, found) in y.iter().enumerate() {
            let mut index = vec![0; shape.len()];
            let mut rest = flat;
            for axis in (0..shape.len()).rev() {
                index[perm[axis]] = rest % shape[axis];
                rest /= shape[axis];
            }
            let at = |own: &[usize]| {
                let index = &index[index.len() - own.len()..];
                own.iter().zip(index).fold(0, |flat, (d, i)| flat * d + if *d == 1 { 0 } else { *i })
            };
            prop_assert_eq!(*found, at(&a_shape) as f64 + 100.0 * at(&b_shape) as f64);
        }
    }
}

#[path = "eval_op_tests.rs"]
mod more;
