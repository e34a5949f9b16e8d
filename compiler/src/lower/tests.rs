//! Lowering against the clear interpreter: matrices, whole circuits and plans of small random networks.

mod folds;
mod gains;

use super::affine::affine_map;
use super::sparse::apply;
use super::{InputKnowledge, Lowered, Options, lower};
use crate::emit::emit;
use cipherloom_ir::plan::{self, Plan, Simulator};
use cipherloom_ir::tensor::{
    self, Conv, Function, Input, Module, Node, Op, Output, Pool, Reduction, infer_shape,
};
use cipherloom_ir::value::{DType, Range};
use cipherloom_ir::{NodeId, Origin, Tensor, Tensors};
use std::collections::BTreeMap;

/// A small generator for weights and samples.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 30) as f64 - 1.0
    }

    fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let count = shape.iter().product();
        Tensor::new(shape.to_vec(), (0..count).map(|_| self.unit()).collect()).unwrap()
    }
}

/// Builds modules by hand.
struct Net {
    module: Module,
    random: Random,
    last: NodeId,
}

impl Net {
    fn new(seed: u64, input: &[usize]) -> Self {
        let mut module = Module {
            name: "net".into(),
            source: "test".into(),
            ..Module::default()
        };
        let node = Node {
            op: Op::Input { name: "x".into() },
            shape: input.to_vec(),
            range: None,
            origin: Origin::Port("x".into()),
        };
        let last = module.graph.add(node, &[]).unwrap();
        module.inputs.push(Input {
            name: "x".into(),
            node: last,
            dtype: DType::F32,
            batched: input[0] == 1,
            clear: false,
        });
        Self {
            module,
            random: Random(seed),
            last,
        }
    }

    fn shape(&self, id: NodeId) -> Vec<usize> {
        self.module.graph.get(id).unwrap().shape.clone()
    }

    fn constant(&mut self, shape: &[usize]) -> tensor::ConstId {
        let tensor = self.random.tensor(shape);
        self.module.add_constant("w", tensor)
    }

    fn join(&mut self, op: Op, operands: &[NodeId], declared: &[usize]) -> NodeId {
        let shapes: Vec<Vec<usize>> = operands.iter().map(|o| self.shape(*o)).collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let shape = infer_shape(&self.module, &op, &shapes, declared).unwrap();
        let origin = Origin::Pass("test".into());
        self.last = self
            .module
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
            .unwrap();
        self.last
    }

    fn then(mut self, op: Op) -> Self {
        let last = self.last;
        self.join(op, &[last], &[]);
        self
    }

    fn conv(
        mut self,
        channels: usize,
        kernel: usize,
        stride: usize,
        pad: usize,
        group: usize,
    ) -> Self {
        let inner = self.shape(self.last)[1] / group;
        let weight = self.constant(&[channels, inner, kernel, kernel]);
        let bias = Some(self.constant(&[channels]));
        self.then(Op::Conv(Conv {
            weight,
            bias,
            strides: [stride; 2],
            dilations: [1; 2],
            pads: [pad; 4],
            group,
        }))
    }

    fn pool(self, kernel: usize, stride: usize, pad: usize, count_include_pad: bool) -> Self {
        self.then(Op::AveragePool(Pool {
            kernel: [kernel; 2],
            strides: [stride; 2],
            pads: [pad; 4],
            count_include_pad,
            ceil_mode: false,
        }))
    }

    fn flatten(mut self) -> Self {
        let (last, count) = (self.last, self.shape(self.last).iter().product());
        self.join(Op::Reshape, &[last], &[1, count]);
        self
    }

    fn gemm(mut self, out: usize) -> Self {
        let inner = *self.shape(self.last).last().unwrap();
        let weight = self.constant(&[out, inner]);
        let bias = Some(self.constant(&[out]));
        self.then(Op::Gemm { weight, bias })
    }

    fn square(self) -> Self {
        self.then(Op::Power { exponent: 2 })
    }

    fn polynomial(self, coefficients: &[f64]) -> Self {
        self.then(Op::Polynomial {
            coefficients: coefficients.to_vec(),
        })
    }

    fn done(mut self) -> Module {
        let batched = self.shape(self.last)[0] == 1;
        self.module.outputs.push(Output {
            name: "y".into(),
            node: self.last,
            dtype: DType::F32,
            batched,
        });
        assert_eq!(tensor::verify(&self.module), []);
        self.module
    }
}

fn samples(module: &Module, count: usize) -> Vec<Tensors> {
    let mut random = Random(99);
    let shape = |i: &Input| module.graph.get(i.node).unwrap().shape.clone();
    (0..count)
        .map(|_| {
            module
                .inputs
                .iter()
                .map(|i| (i.name.clone(), random.tensor(&shape(i))))
                .collect()
        })
        .collect()
}

fn compile(module: &Module, options: &Options) -> (Lowered, Plan) {
    let samples = samples(module, 32);
    let ranges = BTreeMap::new();
    let lowered = lower(
        module,
        InputKnowledge {
            samples: &samples,
            ranges: &ranges,
        },
        options,
    )
    .unwrap();
    let faults = cipherloom_ir::circuit::verify(&lowered.circuit);
    assert!(faults.is_empty(), "{faults:#?}");
    let plan = emit(&lowered.circuit, module, options.margin).unwrap();
    let faults = plan::verify(&plan);
    assert!(faults.is_empty(), "{faults:#?}");
    (lowered, plan)
}

/// Compiles, simulates without noise, and compares with the interpreter.
fn agree(module: &Module) -> (Lowered, Plan) {
    let (lowered, plan) = compile(
        module,
        &Options {
            precision: Some(8.0),
            ..Options::default()
        },
    );
    let simulator = Simulator::new(&plan).unwrap();
    for sample in samples(module, 4) {
        let clear = tensor::eval(module, &sample).unwrap();
        let simulated = simulator.run(&sample, None).unwrap();
        for (name, expected) in &clear {
            let found = &simulated[name];
            assert_eq!(found.shape(), expected.shape());
            for (a, b) in found.data().iter().zip(expected.data()) {
                assert!(
                    (a - b).abs() <= 1e-9 * (1.0 + b.abs()),
                    "{a} for {b} of {name}"
                );
            }
        }
    }
    (lowered, plan)
}

fn matvecs(plan: &Plan) -> usize {
    plan.transforms.len()
}

#[test]
fn every_affine_operation_is_its_matrix() {
    let mut nets = Vec::new();
    for (kernel, stride, pad, group) in [(3, 1, 1, 1), (3, 2, 0, 2), (2, 2, 1, 4), (1, 1, 0, 1)] {
        nets.push(Net::new(1, &[1, 4, 7, 6]).conv(8, kernel, stride, pad, group));
        nets.push(Net::new(2, &[1, 4, 7, 6]).pool(3, stride, pad, true));
        nets.push(Net::new(2, &[1, 4, 7, 6]).pool(3, stride, pad, false));
    }
    let mut dilated = Net::new(3, &[2, 2, 9, 8]);
    let weight = dilated.constant(&[3, 2, 3, 2]);
    let conv = Conv {
        weight,
        bias: None,
        strides: [2, 1],
        dilations: [2, 3],
        pads: [1, 0, 2, 3],
        group: 1,
    };
    nets.push(dilated.then(Op::Conv(conv)));
    for (ceil_mode, count_include_pad) in [(true, true), (true, false), (false, true)] {
        let pool = Pool {
            kernel: [3, 2],
            strides: [2, 2],
            pads: [1, 0, 1, 1],
            count_include_pad,
            ceil_mode,
        };
        nets.push(Net::new(4, &[1, 2, 8, 7]).then(Op::AveragePool(pool)));
    }
    nets.push(Net::new(5, &[3, 5]).gemm(4));
    let mut left = Net::new(6, &[2, 4, 3]);
    let weight = left.constant(&[5, 4]);
    nets.push(left.then(Op::ConstMatMul { weight }));
    let mut channels = Net::new(7, &[1, 3, 2, 2]);
    let (scale, shift) = (channels.constant(&[3]), channels.constant(&[3]));
    nets.push(channels.then(Op::Affine { scale, shift }));
    nets.push(Net::new(8, &[1, 2, 3]).then(Op::Pad {
        before: vec![0, 1, 2],
        after: vec![0, 0, 1],
        value: 0.5,
    }));
    nets.push(Net::new(9, &[2, 3, 4]).then(Op::Transpose {
        perm: vec![2, 0, 1],
    }));
    let mut sum = Net::new(10, &[3, 1]);
    let value = sum.constant(&[2, 1, 4]);
    nets.push(sum.then(Op::AddConst { value }));
    let mut factor = Net::new(11, &[2, 1, 4]);
    let value = factor.constant(&[3, 1]);
    nets.push(factor.then(Op::MulConst { value }));
    let mut taken = Net::new(12, &[2, 3]);
    let index = Tensor::new(vec![2, 4], vec![5.0, -1.0, 0.0, 3.0, 3.0, 1.0, -1.0, 2.0]);
    let index = taken.module.add_constant("index", index.unwrap());
    nets.push(taken.then(Op::Take { index }));
    for (seed, axes) in [
        (13, vec![0]),
        (14, vec![1, 2]),
        (15, vec![0, 2]),
        (16, vec![0, 1, 2]),
    ] {
        for kind in [Reduction::Sum, Reduction::Mean] {
            let axes = axes.clone();
            nets.push(Net::new(seed, &[2, 3, 4]).then(Op::Reduce { kind, axes }));
        }
    }
    for net in nets {
        let id = net.last;
        let module = net.done();
        let map = affine_map(&module, id).unwrap();
        let sample = samples(&module, 1).remove(0);
        let mut found = apply(&map.matrix, sample["x"].data());
        found.iter_mut().zip(&map.bias).for_each(|(f, b)| *f += b);
        let expected = tensor::eval(&module, &sample).unwrap();
        let op = &module.graph.get(id).unwrap().op;
        assert_eq!(found.len(), expected["y"].len());
        for (a, b) in found.iter().zip(expected["y"].data()) {
            assert!((a - b).abs() < 1e-12, "{a} for {b}: {op:?}");
        }
    }
}

#[test]
fn convolutional_networks_agree_with_the_interpreter() {
    agree(
        &Net::new(20, &[1, 1, 8, 8])
            .conv(3, 3, 2, 1, 1)
            .square()
            .flatten()
            .gemm(5)
            .done(),
    );
    agree(
        &Net::new(21, &[1, 2, 9, 7])
            .conv(4, 3, 1, 1, 2)
            .square()
            .conv(4, 2, 2, 0, 1)
            .square()
            .flatten()
            .gemm(3)
            .done(),
    );
    agree(
        &Net::new(22, &[1, 2, 8, 8])
            .conv(4, 3, 1, 0, 1)
            .pool(2, 2, 0, true)
            .square()
            .flatten()
            .gemm(6)
            .square()
            .gemm(2)
            .done(),
    );
    agree(&Net::new(23, &[1, 6]).gemm(20).square().gemm(3).done());
}

#[test]
fn several_ciphertexts_agree_with_the_interpreter() {
    let wide = Net::new(24, &[1, 5000]).gemm(40).square().gemm(3).done();
    let (_, plan) = agree(&wide);
    assert!(
        plan.inputs[0].layout.ciphertexts > 1,
        "{}",
        plan.inputs[0].layout.ciphertexts
    );
    // Wide in the middle: several results, elementwise steps on each.
    let middle = Net::new(25, &[1, 3, 30, 30])
        .conv(8, 3, 1, 1, 1)
        .square()
        .flatten()
        .gemm(3)
        .done();
    let (_, plan) = agree(&middle);
    let several = plan
        .transforms
        .iter()
        .any(|t| t.blocks.iter().any(|b| b.row > 0));
    assert!(several);
}

#[test]
fn sums_and_products_of_values_agree_with_the_interpreter() {
    // A residual block: the sum is part of the second matrix's step and takes no level of its own.
    let mut net = Net::new(30, &[1, 10]).gemm(8).square();
    let skip = net.last;
    net = net.gemm(8).square().gemm(8);
    let branch = net.last;
    net.join(Op::Add, &[branch, skip], &[]);
    let (_, plan) = agree(&net.square().gemm(2).done());
    assert_eq!(plan.params.max_level(), 7);
    // Two products whose scales differ.
    let mut net = Net::new(31, &[1, 6]).gemm(6);
    let x = net.last;
    let square = net.join(Op::Mul, &[x, x], &[]);
    let cube = net.join(Op::Mul, &[square, x], &[]);
    net.join(Op::Sub, &[cube, square], &[]);
    agree(&net.gemm(2).done());
    // Broadcasting.
    let mut net = Net::new(32, &[1, 4, 3]);
    let x = net.last;
    let row = net.constant(&[1, 3]);
    let narrow = net.join(
        Op::Gemm {
            weight: row,
            bias: None,
        },
        &[x],
        &[],
    );
    net.join(Op::Mul, &[x, narrow], &[]);
    agree(&net.done());
    // Two branches and the input itself, side by side along each axis, before a product and before a matrix.
    for (seed, axis) in [(34, 0), (35, 1), (36, 2)] {
        let mut net = Net::new(seed, &[2, 3, 2]);
        let x = net.last;
        let square = net.join(Op::Power { exponent: 2 }, &[x], &[]);
        let index = Tensor::new(vec![2, 3, 2], (0..12).map(f64::from).rev().collect());
        let index = net.module.add_constant("index", index.unwrap());
        let turned = net.join(Op::Take { index }, &[square], &[]);
        net.join(Op::Concat { axis }, &[turned, x, square, x], &[]);
        agree(&net.square().gemm(2).done());
    }
    // A product of two encrypted matrices.
    let mut net = Net::new(33, &[2, 3]);
    let x = net.last;
    let turned = net.join(Op::Transpose { perm: vec![1, 0] }, &[x], &[]);
    net.join(Op::MatMul, &[x, turned], &[]);
    agree(&net.done());
}

#[test]
fn polynomials_agree_with_the_interpreter() {
    for coefficients in [
        vec![0.3, 0.5, 0.25],
        vec![0.1, -2.0, 0.01],
        vec![0.0, 0.0, 0.0, 1.0],
        vec![0.2, 0.0, -0.3, 0.4],
        vec![0.0, 0.5, 0.0, 0.0, 0.1],
        vec![1.0, -0.5],
    ] {
        agree(
            &Net::new(40, &[1, 12])
                .gemm(6)
                .polynomial(&coefficients)
                .gemm(3)
                .done(),
        );
        agree(&Net::new(41, &[1, 6]).polynomial(&coefficients).done());
    }
}

#[test]
fn a_quadratic_takes_one_level() {
    let (_, plan) = agree(
        &Net::new(42, &[1, 12])
            .gemm(6)
            .polynomial(&[0.3, 0.5, 0.25])
            .gemm(3)
            .done(),
    );
    assert_eq!(plan.params.max_level(), 3);
    assert_eq!(matvecs(&plan), 2);
}

#[test]
fn linear_chains_become_one_matrix() {
    let net = Net::new(50, &[1, 1, 12, 12])
        .conv(2, 3, 1, 0, 1)
        .square()
        .pool(2, 2, 0, true)
        .conv(4, 3, 1, 0, 1);
    let (_, plan) = agree(
        &net.pool(3, 3, 0, true)
            .flatten()
            .gemm(10)
            .square()
            .gemm(3)
            .done(),
    );
    assert_eq!(matvecs(&plan), 3);
    assert_eq!(plan.params.max_level(), 5);
}

#[test]
fn simulated_noise_matches_its_prediction() {
    let module = Net::new(60, &[1, 1, 8, 8])
        .conv(3, 3, 2, 1, 1)
        .square()
        .flatten()
        .gemm(12)
        .square()
        .gemm(5)
        .done();
    let (lowered, plan) = compile(&module, &Options::default());
    assert!(lowered.output_bits >= 12.0, "{}", lowered.output_bits);
    let ratio = simulated_variance(&module, &plan, 400) / plan.outputs[0].noise;
    // The prediction's mean squares come from 32 samples of the same distribution.
    assert!((0.7..1.4).contains(&ratio), "{ratio}");
}

/// Windows overlap, and products have the same sign: what enters early adds up on many ways.
#[test]
fn simulated_noise_of_errors_that_meet_again_matches_its_prediction() {
    let module = Net::new(62, &[1, 1, 10, 10])
        .conv(2, 3, 1, 1, 1)
        .square()
        .conv(2, 3, 1, 1, 1)
        .square()
        .conv(2, 3, 2, 1, 1)
        .flatten()
        .square()
        .gemm(4)
        .done();
    let (_, plan) = compile(&module, &Options::default());
    let ratio = simulated_variance(&module, &plan, 400) / plan.outputs[0].noise;
    // Copies of a channel's errors are taken to meet with one sign, which they need not.
    assert!((0.6..1.6).contains(&ratio), "{ratio}");
}

/// The mean square of the simulated error of output `y`.
fn simulated_variance(module: &Module, plan: &Plan, count: usize) -> f64 {
    let simulator = Simulator::new(plan).unwrap();
    let (mut sum, mut elements) = (0.0, 0);
    for (seed, sample) in samples(module, count).iter().enumerate() {
        let exact = simulator.run(sample, None).unwrap();
        let noisy = simulator.run(sample, Some(seed as u64)).unwrap();
        for (a, b) in exact["y"].data().iter().zip(noisy["y"].data()) {
            sum += (a - b) * (a - b);
            elements += 1;
        }
    }
    sum / f64::from(elements)
}

/// Chebyshev coefficients of a smooth function over a domain, by interpolation.
fn series(f: impl Fn(f64) -> f64, domain: Range, degree: usize) -> Vec<f64> {
    let n = degree + 1;
    let angle = |j: usize| std::f64::consts::PI * (j as f64 + 0.5) / n as f64;
    let at = |t: f64| f(0.5 * (domain.lo + domain.hi) + 0.5 * (domain.hi - domain.lo) * t);
    let sum = |k: usize| {
        (0..n)
            .map(|j| at(angle(j).cos()) * (k as f64 * angle(j)).cos())
            .sum::<f64>()
    };
    (0..n)
        .map(|k| sum(k) * if k == 0 { 1.0 } else { 2.0 } / n as f64)
        .collect()
}

fn approximation(net: Net, function: Function, lo: f64, hi: f64, degree: usize) -> Net {
    let domain = Range::new(lo, hi).unwrap();
    let mut coefficients = series(|x| function.eval(x), domain, degree);
    if function == Function::Relu && lo == -hi {
        // Even but for x / 2.
        (3..=degree).step_by(2).for_each(|k| coefficients[k] = 0.0);
    }
    net.then(Op::Approximation {
        function,
        domain,
        coefficients,
    })
}

#[test]
fn approximations_agree_with_the_interpreter() {
    for degree in [1, 2, 3, 5, 8, 15, 31] {
        let net = Net::new(43, &[1, 12]).gemm(6);
        agree(
            &approximation(net, Function::Tanh, -7.0, 8.0, degree)
                .gemm(3)
                .done(),
        );
    }
    // A domain that is the input's own, several ciphertexts, an activation of an activation.
    let net = Net::new(44, &[1, 5000]);
    agree(
        &approximation(net, Function::Sigmoid, -1.0, 1.0, 7)
            .gemm(3)
            .done(),
    );
    let net = approximation(Net::new(45, &[1, 6]).gemm(6), Function::Tanh, -8.0, 8.0, 7);
    agree(&approximation(net, Function::Silu, -1.5, 1.5, 6).done());
}

/// Levels are those of the polynomials' degrees; a domain around zero takes none of its own, whatever makes the operand.
#[test]
fn approximations_take_the_levels_of_their_degree() {
    let relu = |net: Net, degree| approximation(net, Function::Relu, -8.0, 8.0, degree);
    for (degree, levels) in [(2, 3), (6, 5), (14, 6), (30, 7)] {
        let (_, plan) = agree(&relu(Net::new(46, &[1, 12]).gemm(6), degree).gemm(3).done());
        assert_eq!(plan.params.max_level(), levels, "{degree}");
    }
    let (_, plan) = agree(
        &relu(Net::new(47, &[1, 12]).gemm(6).square(), 7)
            .gemm(3)
            .done(),
    );
    assert_eq!(plan.params.max_level(), 6);
    let sum = Net::new(48, &[1, 12]).gemm(6);
    let net = approximation(
        approximation(sum, Function::Tanh, -8.0, 8.0, 3),
        Function::Silu,
        -2.0,
        3.0,
        3,
    );
    let (_, plan) = agree(&net.gemm(3).done());
    assert_eq!(plan.params.max_level(), 6);
}

#[test]
fn polynomials_of_high_degree_agree_with_the_interpreter() {
    let coefficients: Vec<f64> = (0..13)
        .map(|k| 0.5_f64.powi(k) * if k % 3 == 1 { -1.0 } else { 1.0 })
        .collect();
    let (_, plan) = agree(
        &Net::new(49, &[1, 12])
            .polynomial(&coefficients)
            .gemm(3)
            .done(),
    );
    assert_eq!(plan.params.max_level(), 5);
}

#[test]
fn simulated_noise_of_polynomials_matches_its_prediction() {
    let relu = |net: Net, hi: f64| approximation(net, Function::Relu, -hi, hi, 14);
    let module = relu(relu(Net::new(61, &[1, 16]).gemm(12), 9.0).gemm(12), 14.0)
        .gemm(4)
        .done();
    let (lowered, plan) = compile(&module, &Options::default());
    assert!(lowered.output_bits >= 12.0, "{}", lowered.output_bits);
    let ratio = simulated_variance(&module, &plan, 300) / plan.outputs[0].noise;
    assert!((0.7..1.4).contains(&ratio), "{ratio}");
}

#[test]
fn factors_move_into_what_their_operands_are_made_of() {
    // A product and a square with factors, each in a sum of its own.
    let mut net = Net::new(34, &[1, 10]).gemm(8);
    let a = net.last;
    net = net.gemm(8);
    let b = net.last;
    net.join(Op::Mul, &[a, b], &[]);
    let value = net.module.add_constant("half", Tensor::from_vec(vec![0.5]));
    let net = net.then(Op::MulConst { value });
    let (_, plan) = agree(&net.done());
    assert_eq!(plan.params.max_level(), 3);
    let mut net = Net::new(35, &[1, 10]).gemm(8).square();
    let value = net
        .module
        .add_constant("three", Tensor::from_vec(vec![3.0]));
    net = net.then(Op::MulConst { value });
    let (_, plan) = agree(&net.done());
    assert_eq!(plan.params.max_level(), 2);
}

#[test]
fn intervals_bound_what_samples_do_not_show() {
    let module = Net::new(70, &[1, 6]).gemm(4).square().gemm(2).done();
    let ranges = BTreeMap::from([("x".to_owned(), Range::new(-1.0, 1.0).unwrap())]);
    let inputs = InputKnowledge {
        samples: &[],
        ranges: &ranges,
    };
    let options = Options {
        precision: Some(6.0),
        ..Options::default()
    };
    let lowered = lower(&module, inputs, &options).unwrap();
    assert!(lowered.from_intervals);
    let bound = lowered.circuit.outputs[0].range;
    for sample in samples(&module, 200) {
        let outputs = tensor::eval(&module, &sample).unwrap();
        assert!(outputs["y"].data().iter().all(|y| bound.contains(*y)));
    }
    let nothing = InputKnowledge {
        samples: &[],
        ranges: &BTreeMap::new(),
    };
    let refused = lower(&module, nothing, &options).unwrap_err();
    assert!(refused.to_string().contains("--calibrate"), "{refused}");
    assert!(refused.to_string().contains("--input-range"), "{refused}");
}

#[test]
fn too_many_levels_are_refused_with_their_layers() {
    let mut net = Net::new(80, &[1, 4]);
    for _ in 0..130 {
        net = net.square();
    }
    let module = net.done();
    let ranges = BTreeMap::from([("x".to_owned(), Range::new(-1.0, 1.0).unwrap())]);
    let inputs = InputKnowledge {
        samples: &[],
        ranges: &ranges,
    };
    let refused = lower(&module, inputs, &Options::default())
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("levels") && refused.contains("levels 130 to 1:"),
        "{refused}"
    );
}

#[test]
fn precision_out_of_reach_says_what_takes_the_levels_and_what_helps() {
    let module = Net::new(81, &[1, 6]).gemm(4).square().gemm(3).done();
    let ranges = BTreeMap::from([("x".to_owned(), Range::new(-1.0, 1.0).unwrap())]);
    let inputs = InputKnowledge {
        samples: &[],
        ranges: &ranges,
    };
    let options = Options {
        precision: Some(40.0),
        ..Options::default()
    };
    let refused = lower(&module, inputs, &options).unwrap_err().to_string();
    for part in [
        "40.0 bits of precision over 3 levels; the best give",
        "level 3: pass test (matrix)",
        "level 2: pass test (square)",
        "--calibrate",
        "--precision",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let samples = samples(&module, 3);
    let inputs = InputKnowledge {
        samples: &samples,
        ..inputs
    };
    let refused = lower(&module, inputs, &options).unwrap_err().to_string();
    assert!(!refused.contains("--calibrate"), "{refused}");
}

#[test]
fn two_compilations_are_the_same() {
    let module = Net::new(90, &[1, 1, 8, 8])
        .conv(3, 3, 2, 1, 1)
        .square()
        .flatten()
        .gemm(5)
        .done();
    let (first, second) = (
        compile(&module, &Options::default()).1,
        compile(&module, &Options::default()).1,
    );
    assert_eq!(plan::plan_to_bytes(&first), plan::plan_to_bytes(&second));
}

/// The texts of both stages; a change of packing, levels or scales shows here.
fn texts(name: &str, module: &Module) {
    let (lowered, plan) = compile(module, &Options::default());
    insta::assert_snapshot!(
        format!("{name}.circuit"),
        cipherloom_ir::circuit::print(&lowered.circuit)
    );
    insta::assert_snapshot!(format!("{name}.plan"), plan::print(&plan));
}

#[test]
fn texts_of_small_networks() {
    let conv = Net::new(91, &[1, 1, 6, 6])
        .conv(2, 3, 2, 1, 1)
        .square()
        .flatten()
        .gemm(4);
    texts("conv", &conv.done());
    let mut residual = Net::new(92, &[1, 5]).gemm(4).square();
    let skip = residual.last;
    residual = residual.gemm(4).polynomial(&[0.1, 0.5, 0.25]);
    let branch = residual.last;
    residual.join(Op::Add, &[branch, skip], &[]);
    texts("residual", &residual.gemm(2).done());
}
