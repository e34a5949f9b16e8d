//! A small network with polynomials of degree 14 and 15: its levels, and its error under encryption against the predicted.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

use cipherloom::{Client, Server, ServerPlan};
use cipherloom_compiler::Compiler;
use cipherloom_ir::graph::NodeId;
use cipherloom_ir::origin::Origin;
use cipherloom_ir::plan::simulate;
use cipherloom_ir::tensor::{self, Function, Input, Module, Node, Op, Output, infer_shape};
use cipherloom_ir::value::{DType, Range, Tensor, Tensors};

const FEATURES: usize = 16;
const RUNS: usize = 6;

struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 30) as f64 - 1.0
    }

    fn tensor(&mut self, shape: &[usize], size: f64) -> Tensor {
        let count = shape.iter().product();
        let values = (0..count).map(|_| size * self.unit()).collect();
        Tensor::new(shape.to_vec(), values).unwrap()
    }
}

/// Interpolates a function at Chebyshev's nodes; the odd part of a ReLU is x/2.
fn approximation(function: Function, size: f64, degree: usize) -> Op {
    let n = degree + 1;
    let angle = |j: usize| std::f64::consts::PI * (j as f64 + 0.5) / n as f64;
    let coefficient = |k: usize| {
        let terms =
            (0..n).map(|j| function.eval(size * angle(j).cos()) * (k as f64 * angle(j)).cos());
        terms.sum::<f64>() * if k == 0 { 1.0 } else { 2.0 } / n as f64
    };
    let mut coefficients: Vec<f64> = (0..n).map(coefficient).collect();
    if function == Function::Relu {
        (3..n).step_by(2).for_each(|k| coefficients[k] = 0.0);
    }
    let domain = Range::new(-size, size).unwrap();
    Op::Approximation {
        function,
        domain,
        coefficients,
    }
}

fn add(module: &mut Module, op: Op, operand: NodeId) -> NodeId {
    let from = module.graph.get(operand).unwrap().shape.clone();
    let shape = infer_shape(module, &op, &[&from], &[]).unwrap();
    let node = Node {
        op,
        shape,
        range: None,
        origin: Origin::pass("test"),
    };
    module.graph.add(node, &[operand]).unwrap()
}

/// Three dense layers with a tanh and a ReLU between them.
fn network() -> Module {
    let mut random = Random(5);
    let mut module = Module::default();
    let x = Node {
        op: Op::Input { name: "x".into() },
        shape: vec![1, FEATURES],
        range: None,
        origin: Origin::Port("x".into()),
    };
    let x = module.graph.add(x, &[]).unwrap();
    module.inputs.push(Input {
        name: "x".into(),
        node: x,
        dtype: DType::F64,
        batched: true,
        clear: false,
    });
    let mut last = x;
    let layers = [
        (FEATURES, 24, Some((Function::Tanh, 8.0, 15))),
        (24, 24, Some((Function::Relu, 8.0, 14))),
        (24, 10, None),
    ];
    for (from, to, function) in layers {
        let weight = random.tensor(&[to, from], 0.6);
        let weight = module.add_constant("w", weight);
        let bias = random.tensor(&[to], 0.5);
        let bias = Some(module.add_constant("b", bias));
        last = add(&mut module, Op::Gemm { weight, bias }, last);
        if let Some((function, size, degree)) = function {
            last = add(&mut module, approximation(function, size, degree), last);
        }
    }
    module.outputs.push(Output {
        name: "y".into(),
        node: last,
        dtype: DType::F64,
        batched: true,
    });
    assert_eq!(tensor::verify(&module), []);
    module
}

fn samples(count: usize) -> Vec<Tensors> {
    let mut random = Random(6);
    let sample = |_| Tensors::from([("x".to_owned(), random.tensor(&[1, FEATURES], 1.0))]);
    (0..count).map(sample).collect()
}

/// The sum of squares of what two results differ by.
fn squares(a: &Tensors, b: &Tensors) -> f64 {
    let pairs = a["y"].data().iter().zip(b["y"].data());
    pairs.map(|(a, b)| (a - b) * (a - b)).sum()
}

#[test]
fn errors_of_polynomials_are_as_predicted() {
    let module = network();
    let compiled = Compiler::new().calibrate(samples(200)).compile(&module);
    let plan = compiled.unwrap().plan;
    // A matrix, 4 levels, a matrix, 4 levels, a matrix.
    assert_eq!(plan.params.max_level(), 11);
    let predicted = plan.outputs[0].noise.sqrt();
    let server_plan = ServerPlan::new(plan.clone());
    let client = Client::new(server_plan.client_plan()).unwrap();
    let server = Server::new(server_plan, client.evaluation_key().unwrap()).unwrap();
    let (mut found, mut simulated) = (0.0, 0.0);
    for (seed, sample) in samples(RUNS).iter().enumerate() {
        let clear = tensor::eval(&module, sample).unwrap();
        let exact = simulate(&plan, sample, None).unwrap();
        assert!(squares(&clear, &exact) < 1e-18);
        simulated += squares(&exact, &simulate(&plan, sample, Some(seed as u64)).unwrap());
        let result = server.run(&client.encrypt(sample).unwrap()).unwrap();
        found += squares(&exact, &client.decrypt(&result).unwrap());
    }
    let deviation = |squares: f64| (squares / (RUNS * 10) as f64).sqrt();
    let (found, simulated) = (deviation(found), deviation(simulated));
    println!("{predicted:e} predicted, {simulated:e} simulated, {found:e} found");
    for ratio in [found / predicted, simulated / predicted] {
        assert!(
            (0.6..1.7).contains(&ratio),
            "{predicted:e} predicted, {simulated:e} simulated, {found:e} found"
        );
    }
}
