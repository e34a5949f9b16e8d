//! Good and bad twins of every shape rule.

use super::*;
use crate::tensor::Module;
use crate::value::Tensor;

struct Bench(Module);

impl Bench {
    fn constant(&mut self, shape: &[usize]) -> ConstId {
        self.0
            .add_constant("c", Tensor::filled(shape.to_vec(), 0.5).unwrap())
    }
    fn infer(&self, op: Op, operands: &[&[usize]]) -> Option<Vec<usize>> {
        infer_shape(&self.0, &op, operands, &[]).ok()
    }
}

fn bench() -> Bench {
    Bench(Module::default())
}

fn conv(weight: ConstId) -> Conv {
    Conv {
        weight,
        bias: None,
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0; 4],
        group: 1,
    }
}

fn pool() -> Pool {
    Pool {
        kernel: [3, 3],
        strides: [2, 2],
        pads: [0; 4],
        count_include_pad: false,
        ceil_mode: false,
    }
}

#[test]
fn convolutions() {
    let mut b = bench();
    let w = b.constant(&[5, 1, 5, 5]);
    let lola = Conv {
        strides: [2, 2],
        pads: [1, 1, 0, 0],
        ..conv(w)
    };
    assert_eq!(
        b.infer(Op::Conv(lola), &[&[1, 1, 28, 28]]),
        Some(vec![1, 5, 13, 13])
    );
    let dilated = Conv {
        dilations: [2, 3],
        ..conv(w)
    };
    assert_eq!(
        b.infer(Op::Conv(dilated), &[&[1, 1, 28, 28]]),
        Some(vec![1, 5, 20, 16])
    );
    assert_eq!(b.infer(Op::Conv(conv(w)), &[&[1, 2, 28, 28]]), None);
    assert_eq!(b.infer(Op::Conv(conv(w)), &[&[1, 1, 4, 28]]), None);
    assert_eq!(b.infer(Op::Conv(conv(w)), &[&[1, 28, 28]]), None);
    assert_eq!(
        b.infer(
            Op::Conv(Conv {
                strides: [0, 1],
                ..conv(w)
            }),
            &[&[1, 1, 28, 28]]
        ),
        None
    );
    assert_eq!(
        b.infer(
            Op::Conv(Conv {
                dilations: [1, 0],
                ..conv(w)
            }),
            &[&[1, 1, 28, 28]]
        ),
        None
    );
    assert_eq!(
        b.infer(
            Op::Conv(Conv {
                dilations: [usize::MAX, 1],
                ..conv(w)
            }),
            &[&[1, 1, 28, 28]]
        ),
        None
    );
    assert_eq!(
        b.infer(
            Op::Conv(Conv {
                pads: [usize::MAX, 0, 0, 0],
                ..conv(w)
            }),
            &[&[1, 1, 28, 28]]
        ),
        None
    );
    assert_eq!(
        b.infer(
            Op::Conv(Conv {
                pads: [1 << 40, 0, 0, 0],
                ..conv(w)
            }),
            &[&[1, 1, 28, 28]]
        ),
        None
    );
    let grouped = b.constant(&[4, 2, 3, 3]);
    assert_eq!(
        b.infer(
            Op::Conv(Conv {
                group: 2,
                ..conv(grouped)
            }),
            &[&[1, 4, 3, 3]]
        ),
        Some(vec![1, 4, 1, 1])
    );
    assert_eq!(
        b.infer(
            Op::Conv(Conv {
                group: 3,
                ..conv(grouped)
            }),
            &[&[1, 6, 3, 3]]
        ),
        None
    );
    assert_eq!(
        b.infer(
            Op::Conv(Conv {
                group: 0,
                ..conv(grouped)
            }),
            &[&[1, 4, 3, 3]]
        ),
        None
    );
    let (bias, short) = (b.constant(&[4]), b.constant(&[3]));
    let with = |bias| {
        Op::Conv(Conv {
            group: 2,
            bias: Some(bias),
            ..conv(grouped)
        })
    };
    assert!(b.infer(with(bias), &[&[1, 4, 3, 3]]).is_some());
    assert!(b.infer(with(short), &[&[1, 4, 3, 3]]).is_none());
}

#[test]
fn pools_round_as_onnx_does() {
    let b = bench();
    let pooled = |pool, size: usize| {
        b.infer(Op::AveragePool(pool), &[&[1, 1, size, size]])
            .map(|s| s[2])
    };
    assert_eq!(pooled(pool(), 8), Some(3));
    assert_eq!(
        pooled(
            Pool {
                ceil_mode: true,
                ..pool()
            },
            8
        ),
        Some(4)
    );
    // A window of the rounded-up count that would start behind the input is dropped.
    let small = Pool {
        kernel: [1, 1],
        strides: [2, 2],
        ceil_mode: true,
        ..pool()
    };
    assert_eq!(pooled(small, 4), Some(2));
    assert_eq!(
        pooled(
            Pool {
                pads: [1; 4],
                ..pool()
            },
            8
        ),
        Some(4)
    );
    assert_eq!(
        pooled(
            Pool {
                pads: [3, 0, 0, 0],
                ..pool()
            },
            8
        ),
        None
    );
    assert_eq!(pooled(pool(), 2), None);
    assert_eq!(
        pooled(
            Pool {
                kernel: [0, 1],
                ..pool()
            },
            8
        ),
        None
    );
}

#[test]
fn products_and_sums() {
    let mut b = bench();
    let (w, v, bad) = (b.constant(&[4, 3]), b.constant(&[4]), b.constant(&[5]));
    let gemm = |bias| Op::Gemm { weight: w, bias };
    assert_eq!(b.infer(gemm(Some(v)), &[&[2, 7, 3]]), Some(vec![2, 7, 4]));
    assert_eq!(b.infer(gemm(None), &[&[3]]), Some(vec![4]));
    assert_eq!(b.infer(gemm(Some(bad)), &[&[1, 3]]), None);
    assert_eq!(b.infer(gemm(None), &[&[1, 4]]), None);
    assert_eq!(b.infer(gemm(None), &[&[]]), None);
    assert_eq!(
        b.infer(
            Op::Gemm {
                weight: v,
                bias: None
            },
            &[&[1, 4]]
        ),
        None
    );
    assert_eq!(
        b.infer(
            Op::Gemm {
                weight: ConstId(77),
                bias: None
            },
            &[&[1, 4]]
        ),
        None
    );
    assert_eq!(
        b.infer(Op::ConstMatMul { weight: w }, &[&[2, 3, 5]]),
        Some(vec![2, 4, 5])
    );
    assert_eq!(
        b.infer(Op::ConstMatMul { weight: w }, &[&[3]]),
        Some(vec![4])
    );
    assert_eq!(
        b.infer(Op::ConstMatMul { weight: v }, &[&[4, 5]]),
        Some(vec![5])
    );
    assert_eq!(b.infer(Op::ConstMatMul { weight: w }, &[&[2, 4]]), None);
    assert_eq!(
        b.infer(Op::MatMul, &[&[6, 1, 2, 3], &[5, 3, 4]]),
        Some(vec![6, 5, 2, 4])
    );
    assert_eq!(b.infer(Op::MatMul, &[&[2, 2, 3], &[5, 3, 4]]), None);
    assert_eq!(b.infer(Op::MatMul, &[&[], &[5, 3, 4]]), None);
    assert_eq!(b.infer(Op::MatMul, &[&[2, 3]]), None);
    assert_eq!(
        b.infer(Op::Add, &[&[2, 1, 3], &[4, 1]]),
        Some(vec![2, 4, 3])
    );
    assert_eq!(b.infer(Op::Sub, &[&[2, 3], &[2, 4]]), None);
    assert_eq!(
        b.infer(Op::MulConst { value: v }, &[&[3, 1]]),
        Some(vec![3, 4])
    );
    assert_eq!(b.infer(Op::AddConst { value: v }, &[&[1, 5]]), None);
    assert_eq!(
        b.infer(Op::Affine { scale: v, shift: v }, &[&[1, 4, 2]]),
        Some(vec![1, 4, 2])
    );
    assert_eq!(
        b.infer(
            Op::Affine {
                scale: v,
                shift: bad
            },
            &[&[1, 4, 2]]
        ),
        None
    );
    assert_eq!(b.infer(Op::Affine { scale: v, shift: v }, &[&[4]]), None);
}

#[test]
fn rearrangements() {
    let b = bench();
    let pad = |before: &[usize], value| Op::Pad {
        before: before.to_vec(),
        after: vec![0, 1],
        value,
    };
    assert_eq!(b.infer(pad(&[2, 0], 0.0), &[&[1, 3]]), Some(vec![3, 4]));
    assert_eq!(b.infer(pad(&[2], 0.0), &[&[1, 3]]), None);
    assert_eq!(b.infer(pad(&[2, 0], f64::NAN), &[&[1, 3]]), None);
    assert_eq!(b.infer(pad(&[usize::MAX, 0], 0.0), &[&[1, 3]]), None);
    let perm = |perm: &[usize]| Op::Transpose {
        perm: perm.to_vec(),
    };
    assert_eq!(
        b.infer(perm(&[1, 2, 0]), &[&[2, 3, 4]]),
        Some(vec![3, 4, 2])
    );
    assert_eq!(b.infer(perm(&[1, 1, 0]), &[&[2, 3, 4]]), None);
    assert_eq!(b.infer(perm(&[1, 0]), &[&[2, 3, 4]]), None);
    let reshape = |to: &[usize]| infer_shape(&b.0, &Op::Reshape, &[&[2, 6]], to).ok();
    assert_eq!(reshape(&[3, 4]), Some(vec![3, 4]));
    assert_eq!(reshape(&[3, 5]), None);
    assert_eq!(reshape(&[usize::MAX, usize::MAX]), None);
    assert_eq!(b.infer(Op::Power { exponent: 0 }, &[&[1]]), None);
    assert_eq!(
        b.infer(
            Op::Polynomial {
                coefficients: vec![]
            },
            &[&[1]]
        ),
        None
    );
    assert_eq!(
        b.infer(
            Op::Polynomial {
                coefficients: vec![f64::INFINITY]
            },
            &[&[1]]
        ),
        None
    );
    let softmax = |axis| Op::Softmax { axis };
    assert_eq!(b.infer(softmax(1), &[&[1, 3]]), Some(vec![1, 3]));
    assert_eq!(b.infer(softmax(2), &[&[1, 3]]), None);
    assert_eq!(b.infer(Op::Power { exponent: 2 }, &[&[1, 0]]), None);
    assert_eq!(b.infer(Op::Power { exponent: 2 }, &[&[1; 17]]), None);
}

#[test]
fn functions_and_approximations() {
    use crate::tensor::Function;
    use crate::value::Range;
    let b = bench();
    let clip = |lo, hi| Op::Function(Function::Clip { lo, hi });
    assert_eq!(b.infer(clip(0.0, 6.0), &[&[1, 3]]), Some(vec![1, 3]));
    assert_eq!(b.infer(clip(6.0, 0.0), &[&[1, 3]]), None);
    assert_eq!(b.infer(clip(0.0, 6.0), &[&[1], &[1]]), None);
    let approximation = |lo, hi, coefficients: &[f64]| Op::Approximation {
        function: Function::Relu,
        domain: Range { lo, hi },
        coefficients: coefficients.to_vec(),
    };
    assert_eq!(
        b.infer(approximation(-1.0, 1.0, &[0.5]), &[&[2]]),
        Some(vec![2])
    );
    assert_eq!(b.infer(approximation(1.0, 1.0, &[0.5]), &[&[2]]), None);
    assert_eq!(b.infer(approximation(2.0, 1.0, &[0.5]), &[&[2]]), None);
    assert_eq!(
        b.infer(approximation(0.0, f64::INFINITY, &[0.5]), &[&[2]]),
        None
    );
    assert_eq!(b.infer(approximation(-1.0, 1.0, &[]), &[&[2]]), None);
    assert_eq!(
        b.infer(approximation(-1.0, 1.0, &[f64::NAN]), &[&[2]]),
        None
    );
}

#[test]
fn joined_and_taken_elements() {
    let mut b = bench();
    let concat = |axis| Op::Concat { axis };
    assert_eq!(
        b.infer(concat(1), &[&[1, 3], &[1, 4], &[1, 1]]),
        Some(vec![1, 8])
    );
    assert_eq!(b.infer(concat(1), &[&[1, 3]]), Some(vec![1, 3]));
    for (axis, operands) in [
        (1, &[][..]),
        (2, &[&[1, 3][..], &[1, 3]]),
        (1, &[&[1, 3], &[2, 3]]),
        (1, &[&[1, 3], &[1, 3, 1]]),
        (0, &[&[MAX_ELEMENTS], &[MAX_ELEMENTS]]),
    ] {
        assert_eq!(b.infer(concat(axis), operands), None, "{axis} {operands:?}");
    }
    let mut take = |index: &[f64]| {
        let index = b.0.add_constant("i", Tensor::from_vec(index.to_vec()));
        b.infer(Op::Take { index }, &[&[2, 2]])
    };
    assert_eq!(take(&[0.0, 3.0, -1.0]), Some(vec![3]));
    for bad in [4.0, -2.0, 0.5, f64::NAN, f64::INFINITY] {
        assert_eq!(take(&[0.0, bad]), None, "{bad}");
    }
    assert_eq!(b.infer(Op::Take { index: ConstId(99) }, &[&[2, 2]]), None);
}

#[test]
fn reductions_indices_and_tables() {
    use crate::tensor::Reduction;
    let mut b = bench();
    let reduce = |axes: &[usize]| Op::Reduce {
        kind: Reduction::Mean,
        axes: axes.to_vec(),
    };
    assert_eq!(b.infer(reduce(&[1, 2]), &[&[2, 3, 4]]), Some(vec![2, 1, 1]));
    for axes in [&[][..], &[3], &[1, 1], &[2, 1]] {
        assert_eq!(b.infer(reduce(axes), &[&[2, 3, 4]]), None, "{axes:?}");
    }
    let arg = |axis| Op::ArgMax {
        axis,
        smallest: false,
        last: false,
    };
    assert_eq!(b.infer(arg(0), &[&[2, 3]]), Some(vec![1, 3]));
    assert_eq!(b.infer(arg(2), &[&[2, 3]]), None);
    let (table, matrix) = (b.constant(&[3]), b.constant(&[3, 1]));
    assert_eq!(b.infer(Op::Lookup { table }, &[&[2, 1]]), Some(vec![2, 1]));
    assert_eq!(b.infer(Op::Lookup { table: matrix }, &[&[2, 1]]), None);
    let pair: &[&[usize]] = &[&[2, 1], &[3]];
    for op in [Op::Div, Op::Max, Op::Min] {
        assert_eq!(b.infer(op, pair), Some(vec![2, 3]));
    }
    assert_eq!(b.infer(Op::Max, &[&[2], &[3]]), None);
    assert_eq!(b.infer(Op::Where, &[&[2, 1], &[3], &[]]), Some(vec![2, 3]));
    assert_eq!(b.infer(Op::Where, &[&[2, 1], &[3]]), None);
    assert_eq!(b.infer(Op::Where, &[&[2], &[3], &[]]), None);
}

#[test]
fn maximum_windows_hold_an_element() {
    use crate::tensor::MaxPool;
    let b = bench();
    let infer = |change: fn(&mut MaxPool), size: usize| {
        let mut pool = MaxPool {
            kernel: [3, 3],
            strides: [2, 2],
            dilations: [1, 1],
            pads: [0; 4],
            ceil_mode: false,
        };
        change(&mut pool);
        b.infer(Op::MaxPool(pool), &[&[1, 2, size, size]])
    };
    assert_eq!(infer(|_| (), 7), Some(vec![1, 2, 3, 3]));
    assert_eq!(infer(|p| p.dilations = [2, 1], 7), Some(vec![1, 2, 2, 3]));
    assert_eq!(infer(|p| p.pads = [1, 1, 1, 1], 7), Some(vec![1, 2, 4, 4]));
    assert_eq!(infer(|p| p.pads = [3, 0, 0, 0], 7), None);
    assert_eq!(infer(|p| p.kernel = [8, 1], 7), None);
    assert_eq!(infer(|p| p.strides = [0, 1], 7), None);
    // Two taps, one before and one behind the only element.
    let around = |p: &mut MaxPool| {
        *p = MaxPool {
            kernel: [2, 2],
            strides: [1, 1],
            dilations: [2, 2],
            pads: [1; 4],
            ceil_mode: false,
        }
    };
    assert_eq!(infer(around, 1), None);
    // Vast windows are looked at without walking over them.
    let vast = |p: &mut MaxPool| {
        p.kernel = [1 << 40, 3];
        p.pads = [(1 << 40) - 1, 0, 0, 0];
    };
    assert_eq!(infer(vast, 7), Some(vec![1, 2, 4, 3]));
}
