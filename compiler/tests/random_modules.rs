//! Random small modules: each compiles to a plan that verifies and simulates to the clear result, or is refused with
//! a typed error; none makes the compiler panic or contradict itself.

#![allow(clippy::unwrap_used)]

use cipherloom_compiler::{CompileError, Compiled, Compiler};
use cipherloom_ir::plan::{self, Simulator};
use cipherloom_ir::tensor::{
    self, Conv, Input, Module, Node, Op, Output, Pool, Reduction, infer_shape,
};
use cipherloom_ir::value::DType;
use cipherloom_ir::{NodeId, Origin, Tensor, Tensors};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.word() % count as u64) as usize
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// A number in [0, 1).
    fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A constant: mostly ordinary, sometimes zero, with zero rows, huge or tiny.
    fn constant(&mut self, shape: &[usize]) -> Tensor {
        let count: usize = shape.iter().product();
        let row = count / shape.first().copied().unwrap_or(1).max(1);
        let factor = self.pick(&[1.0, 1.0, 1.0, 1.0, 0.0, 1e6, 1e-9, 1e-3]);
        let sparse = self.below(4) == 0;
        let mut data = Vec::with_capacity(count);
        for i in 0..count {
            let dropped = sparse && (i / row.max(1)).is_multiple_of(2);
            let value = factor * (2.0 * self.unit() - 1.0);
            data.push(if dropped { 0.0 } else { value });
        }
        Tensor::new(shape.to_vec(), data).unwrap()
    }
}

struct Case {
    module: Module,
    nodes: Vec<NodeId>,
    random: Random,
    ranges: BTreeMap<String, (f64, f64)>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut case = Case {
            module: Module {
                name: "random".into(),
                source: "test".into(),
                ..Module::default()
            },
            nodes: vec![],
            random: Random(seed),
            ranges: BTreeMap::new(),
        };
        let shapes: [&[usize]; 10] = [
            &[1],
            &[1, 1],
            &[1, 3],
            &[1, 5],
            &[1, 17],
            &[1, 2, 3, 3],
            &[1, 1, 5, 4],
            &[1, 3, 1, 1],
            &[2, 3],
            &[1, 4, 4],
        ];
        let shape = case.random.pick(&shapes);
        for name in ["x", "y"].iter().take(1 + case.random.below(2)) {
            let other = case.random.pick(&shapes);
            let shape = if case.random.below(3) == 0 {
                other
            } else {
                shape
            };
            case.input(name, shape);
        }
        for _ in 0..1 + case.random.below(6) {
            case.step();
        }
        for i in 0..1 + case.random.below(3) {
            // The last value is the likeliest output.
            let node = if i == 0 && case.random.below(4) > 0 {
                *case.nodes.last().unwrap()
            } else {
                case.random.pick(&case.nodes)
            };
            let batched = case.shape(node).first() == Some(&1);
            case.module.outputs.push(Output {
                name: format!("out{i}"),
                node,
                dtype: DType::F32,
                batched,
            });
        }
        case
    }

    fn shape(&self, id: NodeId) -> Vec<usize> {
        self.module.graph.get(id).unwrap().shape.clone()
    }

    fn input(&mut self, name: &str, shape: &[usize]) {
        let node = Node {
            op: Op::Input { name: name.into() },
            shape: shape.to_vec(),
            range: None,
            origin: Origin::Port(name.into()),
        };
        let node = self.module.graph.add(node, &[]).unwrap();
        self.nodes.push(node);
        self.module.inputs.push(Input {
            name: name.into(),
            node,
            dtype: DType::F32,
            batched: shape[0] == 1,
            clear: false,
        });
        let scale = self
            .random
            .pick(&[1.0, 1.0, 1.0, 255.0, 0.0, 1e-12, 1e12, 1e-4]);
        let range = match self.random.below(4) {
            0 => (0.0, scale),
            1 => (scale, scale),
            _ => (-scale, scale),
        };
        self.ranges.insert(name.into(), range);
    }

    fn constant(&mut self, shape: &[usize]) -> tensor::ConstId {
        let tensor = self.random.constant(shape);
        self.module.add_constant("c", tensor)
    }

    /// Adds a random operation; one that does not fit its operand is left out.
    fn step(&mut self) {
        let operand = self.random.pick(&self.nodes);
        let other = self.random.pick(&self.nodes);
        let shape = self.shape(operand);
        let last = *shape.last().unwrap_or(&1);
        let mut declared = vec![];
        let mut operands = vec![operand];
        let op = match self.random.below(20) {
            0 | 1 => {
                let out = self.random.pick(&[1, 2, 5, 16]);
                let weight = self.constant(&[out, last]);
                let bias = (self.random.below(2) == 0).then(|| self.constant(&[out]));
                Op::Gemm { weight, bias }
            }
            2 if shape.len() >= 2 => {
                let rows = self.random.pick(&[1, 3]);
                let weight = self.constant(&[rows, shape[shape.len() - 2]]);
                Op::ConstMatMul { weight }
            }
            3 | 4 if shape.len() == 4 => {
                let (out, kernel) = (self.random.pick(&[1, 2, 3]), self.random.pick(&[1, 2, 3]));
                let weight = self.constant(&[out, shape[1], kernel, kernel]);
                let bias = (self.random.below(2) == 0).then(|| self.constant(&[out]));
                Op::Conv(Conv {
                    weight,
                    bias,
                    strides: [1 + self.random.below(2), 1 + self.random.below(3)],
                    dilations: [1 + self.random.below(2), 1],
                    pads: [self.random.below(3), 0, 1, self.random.below(2)],
                    group: 1,
                })
            }
            5 if shape.len() >= 2 => {
                let (scale, shift) = (self.constant(&[shape[1]]), self.constant(&[shape[1]]));
                Op::Affine { scale, shift }
            }
            6 if shape.len() == 4 => Op::AveragePool(Pool {
                kernel: [self.random.pick(&[1, 2, 3]), 2],
                strides: [1 + self.random.below(2); 2],
                pads: [0, self.random.below(2), 0, 0],
                count_include_pad: self.random.below(2) == 0,
                ceil_mode: self.random.below(2) == 0,
            }),
            7 => {
                let mut before = vec![0; shape.len()];
                *before.last_mut().unwrap() = self.random.below(3);
                let after = vec![0; shape.len()];
                let value = self.random.pick(&[0.0, 1.5]);
                Op::Pad {
                    before,
                    after,
                    value,
                }
            }
            8 => {
                declared = vec![1, shape.iter().product()];
                Op::Reshape
            }
            9 => {
                let mut perm: Vec<usize> = (0..shape.len()).collect();
                perm[shape.len().min(1)..].reverse();
                Op::Transpose { perm }
            }
            10 => {
                operands.push(other);
                self.random.pick(&[Op::Add, Op::Sub])
            }
            11 => {
                operands.push(other);
                Op::Mul
            }
            12 => {
                operands.push(other);
                Op::MatMul
            }
            13 => {
                let value = self.constant(&[last]);
                Op::AddConst { value }
            }
            14 => {
                let value = self.constant(&[last]);
                Op::MulConst { value }
            }
            15 => Op::Power {
                exponent: self.random.pick(&[1, 2, 2, 3]),
            },
            16 if !shape.is_empty() => {
                operands.push(other);
                if self.random.below(3) == 0 {
                    operands.push(operand);
                }
                let axis = self.random.below(shape.len());
                Op::Concat { axis }
            }
            17 => {
                let elements = shape.iter().product::<usize>();
                let count = 1 + self.random.below(6);
                // An index of -1 gives zero.
                let index = (0..count).map(|_| self.random.below(elements + 1) as f64 - 1.0);
                let index = Tensor::new(vec![1, count], index.collect()).unwrap();
                let index = self.module.add_constant("index", index);
                Op::Take { index }
            }
            18 => {
                let axes = (0..shape.len()).filter(|_| self.random.below(2) == 0);
                let axes = axes.collect();
                let kind = self.random.pick(&[Reduction::Sum, Reduction::Mean]);
                Op::Reduce { kind, axes }
            }
            _ => {
                let count = 1 + self.random.below(4);
                let coefficients = self.random.constant(&[count]).data().to_vec();
                Op::Polynomial { coefficients }
            }
        };
        let shapes: Vec<Vec<usize>> = operands.iter().map(|o| self.shape(*o)).collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let Ok(shape) = infer_shape(&self.module, &op, &shapes, &declared) else {
            return;
        };
        if shape.iter().product::<usize>() > 200 {
            return;
        }
        let node = Node {
            op,
            shape,
            range: None,
            origin: Origin::Pass(format!("step {}", self.nodes.len()).into()),
        };
        let node = self.module.graph.add(node, &operands).unwrap();
        self.nodes.push(node);
    }

    fn sample(&mut self) -> Tensors {
        let mut sample = Tensors::new();
        for input in &self.module.inputs {
            let shape = self.module.graph.get(input.node).unwrap().shape.clone();
            let (lo, hi) = self.ranges[&input.name];
            let count = shape.iter().product();
            let data = (0..count)
                .map(|_| lo + (hi - lo) * self.random.unit())
                .collect();
            sample.insert(input.name.clone(), Tensor::new(shape, data).unwrap());
        }
        sample
    }
}

/// Compiles and compares; says how it went in a word.
fn attempt(seed: u64) -> Result<&'static str, String> {
    let mut case = Case::new(seed);
    case.module.prune();
    if !tensor::verify(&case.module).is_empty() {
        return Ok("not verified");
    }
    let samples: Vec<Tensors> = (0..3).map(|_| case.sample()).collect();
    let mut compiler = Compiler::new();
    if case.random.below(2) == 0 {
        compiler = compiler.calibrate(samples.clone());
    } else {
        for (name, (lo, hi)) in &case.ranges {
            compiler = compiler.input_range(name, *lo, *hi);
        }
    }
    match compiler.compile(&case.module) {
        Ok(compiled) => compare(&case.module, &compiled, &samples).map(|()| "compiled"),
        Err(error) if error.is_internal() => Err(error.to_string()),
        Err(CompileError::Lower(error)) => {
            let text = format!("{error:?}");
            let words = ["Constant", "NoParameters", "Unbounded"];
            let known = words.iter().find(|w| text.starts_with(**w));
            known.copied().ok_or_else(|| error.to_string())
        }
        Err(CompileError::Pass(_)) => Ok("refused by a pass"),
        Err(error) => Err(error.to_string()),
    }
}

fn compare(module: &Module, compiled: &Compiled, samples: &[Tensors]) -> Result<(), String> {
    let plan = &compiled.plan;
    let faults = plan::verify(plan);
    if !faults.is_empty() {
        return Err(format!("{faults:?}"));
    }
    if !compiled.output_bits.is_finite() || compiled.output_bits < 12.0 {
        return Err(format!("{} bits", compiled.output_bits));
    }
    let (bytes, id) = plan::plan_to_bytes(plan);
    match plan::plan_from_bytes(&bytes) {
        Ok((_, read)) if read == id => {}
        other => return Err(format!("the plan does not come back: {:?}", other.err())),
    }
    let simulator = Simulator::new(plan).map_err(|e| e.to_string())?;
    for sample in samples {
        let clear = tensor::eval(module, sample).map_err(|e| e.to_string())?;
        for seed in [None, Some(1)] {
            let found = simulator.run(sample, seed).map_err(|e| e.to_string())?;
            for port in &plan.outputs {
                let (clear, found) = (&clear[&port.name], &found[&port.name]);
                if clear.shape() != found.shape() {
                    return Err(format!("{}: shape {:?}", port.name, found.shape()));
                }
                let largest = port.range.max_abs();
                let unit = if largest > 0.0 { largest } else { 1.0 };
                let allowed = unit * if seed.is_some() { 1.0 / 1024.0 } else { 1e-9 };
                for (c, f) in clear.data().iter().zip(found.data()) {
                    if (c - f).abs() > allowed || !f.is_finite() {
                        return Err(format!("{}: {f} instead of {c}, noise {seed:?}", port.name));
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn random_modules_compile_or_are_refused_with_a_reason() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    let count = std::env::var("CIPHERLOOM_RANDOM_MODULES").ok();
    let count: u64 = count.and_then(|c| c.parse().ok()).unwrap_or(150);
    for seed in 0..count {
        match catch_unwind(AssertUnwindSafe(|| attempt(seed))) {
            Ok(Ok(outcome)) => *counts.entry(outcome).or_default() += 1,
            Ok(Err(error)) => failures.push(format!("seed {seed}: {error}")),
            Err(_) => failures.push(format!("seed {seed}: a panic")),
        }
    }
    println!("{counts:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(counts["compiled"] > count as usize / 3, "{counts:?}");
}
