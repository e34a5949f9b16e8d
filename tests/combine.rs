//! A Chebyshev series as sums of products and multiples, from a circuit to its plan, simulated and under encryption.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

use cipherloom::{Client, Server, ServerPlan};
use cipherloom_compiler::emit::emit;
use cipherloom_ir::circuit::{self, Circuit, CircuitNode, CircuitOp, LayoutId, Port};
use cipherloom_ir::graph::Dag;
use cipherloom_ir::layout::Layout;
use cipherloom_ir::origin::Origin;
use cipherloom_ir::params::{CkksLiteral, ntt_primes_near};
use cipherloom_ir::plan::{self, Plan, StepOp, simulate};
use cipherloom_ir::security::Security;
use cipherloom_ir::tensor::{Input, Module, Node, Op, Output};
use cipherloom_ir::value::{DType, Range, Tensor, Tensors};
use cipherloom_ir::{NodeId, Scale};

/// More elements than slots, so that each value takes two ciphertexts.
const ELEMENTS: usize = 6000;

fn params() -> CkksLiteral {
    let mut q = ntt_primes_near(13, 38.0, 1, &[]);
    q.extend(ntt_primes_near(13, 33.0, 4, &[]));
    let p = ntt_primes_near(13, 42.0, 1, &q);
    CkksLiteral {
        log_n: 13,
        q,
        p,
        digit_size: 1,
        security: Security::Classical128,
    }
}

/// The identity, as the clear network that a plan carries.
fn clear() -> Module {
    let mut module = Module::default();
    let x = Node {
        op: Op::Input { name: "x".into() },
        shape: vec![1, ELEMENTS],
        range: Range::new(-1.0, 1.0),
        origin: Origin::Port("x".into()),
    };
    let node = module.graph.add(x, &[]).unwrap();
    module.inputs.push(Input {
        name: "x".into(),
        node,
        dtype: DType::F64,
        batched: true,
        clear: false,
    });
    module.outputs.push(Output {
        name: "y".into(),
        node,
        dtype: DType::F64,
        batched: true,
    });
    module
}

struct Builder {
    graph: Dag<CircuitNode>,
    q: Vec<u64>,
}

impl Builder {
    fn add(&mut self, op: CircuitOp, operands: &[NodeId], level: usize, scale: &Scale) -> NodeId {
        let node = CircuitNode {
            op,
            level,
            scale: scale.clone(),
            layout: LayoutId(0),
            range: Range { lo: -3.0, hi: 3.0 },
            mean_square: 0.5,
            noise: 1e-9,
            approximation: None,
            origin: Origin::pass("test"),
        };
        self.graph.add(node, operands).unwrap()
    }

    /// A sum and its rescale to the level below.
    fn sum(
        &mut self,
        pairs: &[(NodeId, NodeId)],
        gain: u32,
        terms: &[(NodeId, f64, Scale)],
        constant: f64,
        level: usize,
    ) -> (NodeId, Scale) {
        let mut operands: Vec<NodeId> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
        operands.extend(terms.iter().map(|(y, ..)| *y));
        let scale_of = |id: NodeId| self.graph.get(id).unwrap().scale.clone();
        let scale = match pairs {
            [(a, b), ..] => scale_of(*a)
                .mul(&scale_of(*b))
                .div(&Scale::from_u64(gain.into()).unwrap()),
            [] => scale_of(terms[0].0).mul(&terms[0].2),
        };
        let op = CircuitOp::Combine {
            products: pairs.len(),
            gain,
            factors: terms.iter().map(|(_, c, s)| (*c, s.clone())).collect(),
            constant,
        };
        let sum = self.add(op, &operands, level, &scale);
        let divided = scale.div_prime(self.q[level]);
        let rescaled = self.add(CircuitOp::Rescale, &[sum], level - 1, &divided);
        (rescaled, divided)
    }
}

/// `0.4 (T_2(x) T_4(x) + 0.25 T_2(x) - 0.5 x + 0.125) + 0.1 x`.
fn series() -> Circuit {
    let params = params();
    let mut b = Builder {
        graph: Dag::new(),
        q: params.q.clone(),
    };
    let s = Scale::pow2(33);
    let x = b.add(CircuitOp::Input { name: "x".into() }, &[], 4, &s);
    let (t2, s2) = b.sum(&[(x, x)], 2, &[], -1.0, 4);
    let (t4, s4) = b.sum(&[(t2, t2)], 2, &[], -1.0, 3);
    let product = s2.mul(&s4);
    let terms = [(t2, 0.25, s4), (x, -0.5, product.div(&s))];
    let (y, sy) = b.sum(&[(t2, t4)], 1, &terms, 0.125, 2);
    let plain = Scale::pow2(33);
    let terms = [(y, 0.4, plain.clone()), (x, 0.1, sy.mul(&plain).div(&s))];
    let (z, _) = b.sum(&[], 1, &terms, 0.0, 1);
    let port = |name: &str, node, size: f64| Port {
        name: name.into(),
        node,
        shape: vec![1, ELEMENTS],
        dtype: DType::F64,
        batched: true,
        clear: false,
        range: Range {
            lo: -size,
            hi: size,
        },
    };
    Circuit {
        name: "series".into(),
        source: "a test".into(),
        layouts: vec![Layout::dense(vec![1, ELEMENTS], params.slots())],
        params,
        graph: b.graph,
        matrices: vec![],
        vectors: vec![],
        inputs: vec![port("x", x, 1.0)],
        outputs: vec![port("y", z, 2.0)],
    }
}

fn expected(x: f64) -> f64 {
    let (t2, t4) = (2.0 * x * x - 1.0, 8.0 * x.powi(4) - 8.0 * x * x + 1.0);
    0.4 * (t2 * t4 + 0.25 * t2 - 0.5 * x + 0.125) + 0.1 * x
}

fn emitted() -> Plan {
    let circuit = series();
    assert_eq!(circuit::verify(&circuit), []);
    let plan = emit(&circuit, &clear(), 1.0).unwrap();
    assert_eq!(plan::verify(&plan), []);
    plan
}

/// The standard deviation of an output's error.
fn deviation(outputs: &Tensors, x: &[f64]) -> f64 {
    let y = outputs["y"].data();
    assert_eq!(y.len(), x.len());
    let squares = y.iter().zip(x).map(|(y, x)| (y - expected(*x)).powi(2));
    (squares.sum::<f64>() / x.len() as f64).sqrt()
}

#[test]
fn a_series_is_emitted_as_one_step_per_ciphertext_and_sum() {
    let plan = emitted();
    let sums = plan
        .steps
        .iter()
        .filter(|s| matches!(s.op, StepOp::Combine { rescale: true, .. }));
    assert_eq!((sums.count(), plan.steps.len()), (8, 8));
    assert_eq!(plan.keys.relinearization, Some(4));
    assert!(plan.keys.rotations.is_empty());
    let text = plan::print(&plan);
    let steps: Vec<&str> = text.lines().filter(|l| l.contains("= combine")).collect();
    insta::assert_snapshot!(steps.join("\n"));
    assert_eq!(plan::print(&plan::parse(&text, &plan).unwrap()), text);
}

#[test]
fn a_series_has_the_simulated_error_under_encryption() {
    let plan = emitted();
    let x: Vec<f64> = (0..ELEMENTS)
        .map(|i| (2.0 * i as f64 + 1.0) / ELEMENTS as f64 - 1.0)
        .collect();
    let tensor = Tensor::new(vec![1, ELEMENTS], x.clone()).unwrap();
    let inputs = Tensors::from([("x".to_owned(), tensor)]);
    let exact = deviation(&simulate(&plan, &inputs, None).unwrap(), &x);
    assert!(exact < 1e-12, "{exact}");
    let predicted = deviation(&simulate(&plan, &inputs, Some(1)).unwrap(), &x);

    let server_plan = ServerPlan::new(plan);
    let client = Client::new(server_plan.client_plan()).unwrap();
    let server = Server::new(server_plan, client.evaluation_key().unwrap()).unwrap();
    let encrypted = client.encrypt(&inputs).unwrap();
    let result = server.run(&encrypted).unwrap();
    let found = deviation(&client.decrypt(&result).unwrap(), &x);
    let ratio = found / predicted;
    assert!(
        (0.5..2.0).contains(&ratio),
        "{found} instead of {predicted}"
    );
}
