//! A small plan that holds every kind of step, for the tests of this stage.

use super::*;
use crate::graph::NodeId;
use crate::layout::Layout;
use crate::origin::Origin;
use crate::params::ntt_primes_near;
use crate::security::Security;
use crate::tensor::{Conv, Input, Module, Node, Op, Output};
use crate::value::{Range, Tensor};

pub(super) fn params() -> CkksLiteral {
    let mut q = ntt_primes_near(13, 30.0, 1, &[]);
    q.extend(ntt_primes_near(13, 26.0, 4, &[]));
    let p = ntt_primes_near(13, 34.0, 1, &q);
    CkksLiteral {
        log_n: 13,
        q,
        p,
        digit_size: 1,
        security: Security::Classical128,
    }
}

/// The probabilities of the two elements of [`plan`]'s output, and the label of the larger one.
fn tail() -> Module {
    let text = r#"
module "tail" · from "tiny.onnx, opset 17" · stage tensor
  shape            range                  | op
  [1,1,1,2]        -                      | %0 = input "y"           ; port "y"
  [1,1,1,2]        -                      | %1 = softmax %0 axis 3   ; node 7 Softmax "/out"
  [1,1,1,1]        -                      | %2 = arg_max %1 axis 3   ; node 8 ArgMax "/class"
  [1,1,1,1]        -                      | %3 = lookup %2, @labels  ; node 9 ArrayFeatureExtractor "/label"
input "y" = %0 · f64 · batched
output "probabilities" = %1 · batched
output "label" = %3 · i64 · batched
const @labels [2] = [-1.0, 7.0]
"#;
    tensor::parse(text, &[]).unwrap()
}

fn clear() -> Module {
    let mut module = Module {
        name: "tiny".into(),
        source: "tiny.onnx, opset 17".into(),
        ..Module::default()
    };
    let weight = module.add_constant(
        "w",
        Tensor::new(vec![1, 1, 2, 2], vec![0.5, 0.0, -0.1, 2.0]).unwrap(),
    );
    let bias = module.add_constant("b", Tensor::from_vec(vec![1.0]));
    let range = Range::new(-1.0, 1.0);
    let x = Node {
        op: Op::Input { name: "x".into() },
        shape: vec![1, 1, 2, 4],
        range,
        origin: Origin::Port("x".into()),
    };
    let x = module.graph.add(x, &[]).unwrap();
    let conv = Conv {
        weight,
        bias: Some(bias),
        strides: [1, 2],
        dilations: [1, 1],
        pads: [0; 4],
        group: 1,
    };
    let origin = Origin::Onnx {
        index: 0,
        name: "/conv".into(),
        op: "Conv".into(),
    };
    let merged = origin.merge(&Origin::pass("fold"));
    let y = Node {
        op: Op::Conv(conv),
        shape: vec![1, 1, 1, 2],
        range: None,
        origin,
    };
    let y = module.graph.add(y, &[x]).unwrap();
    let z = Node {
        op: Op::Mul,
        shape: vec![1, 1, 1, 2],
        range,
        origin: merged,
    };
    let z = module.graph.add(z, &[y, y]).unwrap();
    assert_eq!(z, NodeId::new(2));
    module.inputs.push(Input {
        name: "x".into(),
        node: x,
        dtype: DType::F32,
        batched: true,
        clear: false,
    });
    module.outputs.push(Output {
        name: "y".into(),
        node: z,
        dtype: DType::F32,
        batched: true,
    });
    module
}

/// Levels 4 to 0; every operation once.
pub(super) fn plan() -> Plan {
    let params = params();
    let q = |level: usize| params.q[level];
    let (s, w) = (Scale::pow2(26), Scale::pow2(24));
    let diagonal = |rotation, values: [f64; 8]| Diagonal {
        rotation,
        values: values.to_vec(),
    };
    let block = |row, col, diagonals| Block {
        row,
        col,
        diagonals,
    };
    let transform = Transform {
        name: "conv".into(),
        period: 8,
        samples: 1,
        level: 4,
        plain_scale: w.clone(),
        baby_step: 4,
        folds: vec![2],
        blocks: vec![
            block(
                0,
                0,
                vec![
                    diagonal(0, [0.5; 8]),
                    diagonal(5, [0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, -7.0]),
                ],
            ),
            block(
                1,
                0,
                vec![diagonal(3, [0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])],
            ),
        ],
    };
    let one = Range { lo: -1.0, hi: 1.0 };
    let step = |op, level, scale: &Scale, free: &[u32]| Step {
        op,
        free: free.iter().map(|r| Register(*r)).collect(),
        level,
        scale: scale.clone(),
        range: one,
        noise: 1e-9,
        approximation: (level == 0).then_some(1e-4),
        origin: "node 0 Conv \"/conv\"".into(),
    };
    let r = Register;
    let s3 = s.mul(&w).div_prime(q(4));
    let square = s3.mul(&s3).div_prime(q(3));
    let scaled = square.mul(&w).div_prime(q(2));
    let again = scaled.mul(&w);
    let last = again.div_prime(q(1));
    let steps = vec![
        step(
            StepOp::LinearTransform {
                transform: 0,
                src: vec![r(0)],
                dst: vec![r(1), r(2)],
                rescale: true,
                bias: vec![0, 1],
            },
            3,
            &s3,
            &[0],
        ),
        step(
            StepOp::Mul {
                dst: r(3),
                a: r(1),
                b: r(2),
                rescale: true,
            },
            2,
            &square,
            &[2],
        ),
        step(
            StepOp::Square {
                dst: r(4),
                a: r(1),
                rescale: true,
            },
            2,
            &square,
            &[1],
        ),
        step(
            StepOp::Add {
                dst: r(5),
                a: r(3),
                b: r(4),
            },
            2,
            &square,
            &[],
        ),
        step(
            StepOp::Sub {
                dst: r(6),
                a: r(5),
                b: r(4),
            },
            2,
            &square,
            &[5, 4, 3],
        ),
        step(
            StepOp::AddVector {
                dst: r(7),
                a: r(6),
                vector: 0,
            },
            2,
            &square,
            &[6],
        ),
        step(
            StepOp::MulVector {
                dst: r(8),
                a: r(7),
                vector: 1,
                plain_scale: w.clone(),
                rescale: true,
            },
            1,
            &scaled,
            &[7],
        ),
        step(
            StepOp::MulScalar {
                dst: r(9),
                a: r(8),
                value: 0.3,
                plain_scale: w.clone(),
                rescale: false,
            },
            1,
            &again,
            &[8],
        ),
        step(
            StepOp::Rescale {
                dst: r(10),
                a: r(9),
            },
            0,
            &last,
            &[9],
        ),
        step(
            StepOp::Combine {
                dst: r(12),
                products: vec![(r(10), r(10))],
                gain: 1024,
                terms: vec![(r(10), -0.75, last.div(&Scale::pow2(10)))],
                constant: 0.25,
                rescale: false,
            },
            0,
            &last.mul(&last).div(&Scale::pow2(10)),
            &[12],
        ),
    ];
    let input = PlanPort {
        name: "x".into(),
        shape: vec![1, 1, 2, 4],
        dtype: DType::F32,
        batched: true,
        clear: false,
        range: Range { lo: -2.0, hi: 2.0 },
        layout: Layout {
            shape: vec![1, 1, 2, 4],
            period: 8,
            ciphertexts: 1,
            samples: 1,
            positions: vec![7, 6, 5, 4, 3, 2, 1, 0],
        },
        level: 4,
        scale: s.clone(),
        registers: vec![r(0)],
        noise: 1e-10,
    };
    let output = PlanPort {
        name: "y".into(),
        shape: vec![1, 1, 1, 2],
        range: one,
        layout: Layout::dense(vec![1, 1, 1, 2], 4096),
        level: 0,
        scale: last,
        registers: vec![r(10)],
        ..input.clone()
    };
    let mut plan = Plan {
        name: "tiny".into(),
        source: "tiny.onnx, opset 17".into(),
        inputs: vec![input],
        outputs: vec![output],
        transforms: vec![transform],
        weights: vec![],
        vectors: vec![
            SlotVector {
                name: "bias.0".into(),
                values: vec![1.0; 8],
            },
            SlotVector {
                name: "bias.1".into(),
                values: vec![0.1, -0.0, 1e-300, 3.0],
            },
        ],
        steps,
        keys: KeyRequest::default(),
        estimates: Estimates {
            ntts: 1,
            limb_macs: 2,
            latency_s: 0.5,
            eval_key_bytes: 3,
            run_bytes: 4,
            choice: String::new(),
        },
        margin: 2.0,
        clear: clear(),
        tail: Some(tail()),
        approximations: vec![PlanApproximation {
            origin: "node 1 Relu \"/act\"".into(),
            function: "relu".into(),
            domain: Range { lo: -3.5, hi: 3.5 },
            degree: 14,
            sup_error: 0.035,
            rms_error: 1e-3,
            dead_zone: 0.25,
            fit: Some(Fit {
                parameters: vec![],
                seen: Range { lo: -2.5, hi: 3.0 },
                stages: vec![vec![0.5, 1.0, -0.25], vec![0.0, 1.5, 0.0, -0.5]],
            }),
        }],
        params,
    };
    // Drop a level somewhere on the way, so that this operation occurs too.
    plan.steps.insert(
        5,
        Step {
            op: StepOp::DropLevel {
                dst: r(11),
                a: r(6),
                level: 1,
            },
            level: 1,
            free: vec![r(11)],
            ..plan.steps[5].clone()
        },
    );
    plan.keys = plan.required_keys();
    plan
}

/// Results of the weighted sums of [`weighted`].
pub(super) const ROWS: u32 = 40;

/// The plan with a step of weighted sums of squares, number 5.
pub(super) fn weighted() -> Plan {
    let mut plan = plan();
    let (w, q) = (Scale::pow2(24), plan.params.q.clone());
    plan.weights = vec![Weights {
        matrix: Arc::new(Matrix {
            name: "fc".into(),
            rows: ROWS as usize,
            cols: 2,
            row_starts: (0..=ROWS as usize).collect(),
            columns: (0..ROWS).map(|row| row % 2).collect(),
            values: (0..ROWS).map(|row| 0.1 * f64::from(row) - 1.0).collect(),
        }),
        plain_scale: w.clone(),
        bias: (0..ROWS).map(|row| 0.25 * f64::from(row)).collect(),
    }];
    let before = plan.steps[5].clone();
    let operand = before.op.operands()[0];
    let results: Vec<Register> = (13..13 + ROWS).map(Register).collect();
    let square = before.scale.mul(&before.scale);
    let step = Step {
        op: StepOp::WeightedSums {
            weights: 0,
            src: vec![operand, operand],
            dst: results.clone(),
            squares: true,
            rescale: true,
        },
        level: 0,
        free: results,
        scale: square.mul(&w).div_prime(q[2]).div_prime(q[1]),
        range: Range { lo: -9.0, hi: 9.0 },
        ..plan.steps[4].clone()
    };
    plan.steps.insert(5, step);
    plan.keys = plan.required_keys();
    plan
}
