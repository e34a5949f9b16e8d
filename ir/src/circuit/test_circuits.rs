//! A small circuit that holds every operation, for the tests of this stage.

use super::*;
use crate::params::ntt_primes_near;
use crate::security::Security;

fn params() -> CkksLiteral {
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

/// Levels 4 to 0; every operation once.
pub(super) fn circuit() -> Circuit {
    let params = params();
    let q = params.q.clone();
    let mut graph = Dag::new();
    let mut add = |op: CircuitOp, operands: &[NodeId], level: usize, scale: &Scale, layout: u32| {
        let node = CircuitNode {
            op,
            level,
            scale: scale.clone(),
            layout: LayoutId(layout),
            range: Range { lo: -1.0, hi: 0.1 },
            mean_square: 0.25,
            noise: 1e-9,
            approximation: (level < 3).then_some(1e-4),
            origin: Origin::Onnx {
                index: 2,
                name: "/fc".into(),
                op: "Gemm".into(),
            },
        };
        graph.add(node, operands).unwrap()
    };
    let (s, w) = (Scale::pow2(26), Scale::pow2(24));
    let x = add(CircuitOp::Input { name: "x".into() }, &[], 4, &s, 0);
    let shape = TransformShape {
        block_height: 4,
        baby_step: 2,
        diagonals: 3,
    };
    let s1 = s.mul(&w);
    let m = add(
        CircuitOp::MatVec {
            matrix: MatrixId(0),
            plain_scale: w.clone(),
            shape,
        },
        &[x],
        4,
        &s1,
        1,
    );
    let s2 = s1.div_prime(q[4]);
    let m = add(CircuitOp::Rescale, &[m], 3, &s2, 1);
    let b = add(
        CircuitOp::AddVector {
            vector: VectorId(0),
        },
        &[m],
        3,
        &s2,
        1,
    );
    let s3 = s2.mul(&s2);
    let squared = add(CircuitOp::Square, &[b], 3, &s3, 1);
    let product = add(CircuitOp::Mul, &[b, m], 3, &s3, 1);
    let sum = add(CircuitOp::Add, &[squared, product], 3, &s3, 1);
    let difference = add(CircuitOp::Sub, &[sum, squared], 3, &s3, 1);
    let s4 = s3.div_prime(q[3]);
    let rescaled = add(CircuitOp::Rescale, &[difference], 2, &s4, 1);
    let s5 = s4.mul(&w);
    let y = add(
        CircuitOp::MulVector {
            vector: VectorId(0),
            plain_scale: w.clone(),
        },
        &[rescaled],
        2,
        &s5,
        1,
    );
    let s6 = s5.div_prime(q[2]);
    let y = add(CircuitOp::Rescale, &[y], 1, &s6, 1);
    let s7 = s6.mul(&Scale::pow2(3));
    let y = add(
        CircuitOp::MulScalar {
            value: 0.1,
            plain_scale: Scale::pow2(3),
        },
        &[y],
        1,
        &s7,
        1,
    );
    let low = y;
    let y = add(CircuitOp::DropLevel, &[y], 0, &s7, 1);
    // Two products with operands at level 3, and a term at level 2.
    let s8 = s3.div(&Scale::pow2(1));
    let combined = add(
        CircuitOp::Combine {
            products: 2,
            gain: 2,
            factors: vec![(-0.75, s8.div(&s4))],
            constant: 0.25,
        },
        &[b, m, b, b, rescaled],
        2,
        &s8,
        1,
    );
    let s9 = s8.mul(&Scale::pow2(3));
    add(
        CircuitOp::Combine {
            products: 0,
            gain: 1,
            factors: vec![(0.5, Scale::pow2(3)), (1e-3, s9.div(&s7))],
            constant: 0.0,
        },
        &[combined, low],
        1,
        &s9,
        1,
    );
    let halved = add(
        CircuitOp::Gain { factor: -0.5 },
        &[b],
        3,
        &s2.mul(&Scale::pow2(1)),
        1,
    );
    let elements = vec![1];
    add(
        CircuitOp::View { elements },
        &[halved],
        3,
        &s2.mul(&Scale::pow2(1)),
        2,
    );
    let port = |name: &str, node, shape: Vec<usize>| Port {
        name: name.into(),
        node,
        shape,
        dtype: DType::F32,
        batched: true,
        clear: false,
        range: Range { lo: -2.0, hi: 2.0 },
    };
    Circuit {
        name: "tiny".into(),
        source: "tiny.onnx, opset 17".into(),
        params,
        graph,
        layouts: vec![
            Layout {
                shape: vec![1, 4],
                period: 4,
                ciphertexts: 1,
                samples: 1,
                positions: vec![3, 2, 1, 0],
            },
            Layout::dense(vec![1, 2], 4096),
            Layout {
                shape: vec![1],
                period: 2,
                ciphertexts: 1,
                samples: 1,
                positions: vec![1],
            },
        ],
        matrices: vec![Arc::new(Matrix {
            name: "fc.weight".into(),
            rows: 2,
            cols: 4,
            row_starts: vec![0, 3, 4],
            columns: vec![0, 1, 3, 2],
            values: vec![0.5, -0.1, 3.0, 1e-7],
        })],
        vectors: vec![Vector {
            name: "fc.bias".into(),
            tensor: Arc::new(Tensor::from_vec(vec![1.0, -0.3])),
        }],
        inputs: vec![port("x", x, vec![1, 4])],
        outputs: vec![port("y", y, vec![1, 2])],
    }
}
