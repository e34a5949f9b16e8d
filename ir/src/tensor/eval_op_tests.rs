//! Selections, reductions, comparisons, maxima and look-ups against hand-computed values and naive loops.

use super::*;
use crate::tensor::{Comparison, MaxPool, Reduction};
use crate::value::{Range, strides};

/// One operation on the input and on constants, which are given by `take` of the input's elements.
fn several(op: Op, shapes: &[(&[usize], &[f64])], x: &[f64]) -> Vec<f64> {
    let mut net = Net::new(&[x.len()]);
    let operands: Vec<NodeId> = shapes
        .iter()
        .map(|(shape, index)| {
            let index = net.constant(shape, index);
            net.node(Op::Take { index }, &[X], &[])
        })
        .collect();
    net.node(op, &operands, &[]);
    net.run(x).1
}

const SIX: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

#[test]
fn elements_are_taken_and_joined() {
    let mut net = Net::new(&[2, 3]);
    let index = net.constant(&[2, 2], &[5.0, -1.0, 0.0, 0.0]);
    net.node(Op::Take { index }, &[X], &[]);
    assert_eq!(net.run(&SIX), (vec![2, 2], vec![6.0, 0.0, 1.0, 1.0]));
    // Along the last axis rows alternate; along the first they follow.
    let parts: &[(&[usize], &[f64])] = &[(&[2, 1], &[0.0, 1.0]), (&[2, 2], &[2.0, 3.0, 4.0, 5.0])];
    let joined = several(Op::Concat { axis: 1 }, parts, &SIX);
    assert_eq!(joined, [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
    let parts: &[(&[usize], &[f64])] = &[(&[1, 2], &[0.0, 1.0]), (&[2, 2], &[2.0, 3.0, 4.0, 5.0])];
    assert_eq!(several(Op::Concat { axis: 0 }, parts, &SIX), SIX);
    assert_eq!(unary(Op::Concat { axis: 0 }, &[6], &[], &SIX), SIX);
}

#[test]
fn two_and_three_operands_broadcast() {
    let pair = |op: Op| {
        several(
            op,
            &[(&[3], &[0.0, 2.0, 4.0]), (&[2, 1], &[1.0, 3.0])],
            &SIX,
        )
    };
    // 1, 3, 5 against 2 and 4.
    assert_eq!(pair(Op::Max), [2.0, 3.0, 5.0, 4.0, 4.0, 5.0]);
    assert_eq!(pair(Op::Min), [1.0, 2.0, 2.0, 1.0, 3.0, 4.0]);
    assert_eq!(pair(Op::Div), [0.5, 1.5, 2.5, 0.25, 0.75, 1.25]);
    let greater = pair(Op::Compare(Comparison::Greater));
    assert_eq!(greater, [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    let equal = |comparison| {
        let operands: &[(&[usize], &[f64])] = &[(&[3], &[0.0, 1.0, 2.0]), (&[], &[1.0])];
        several(Op::Compare(comparison), operands, &SIX)
    };
    assert_eq!(equal(Comparison::Greater), [0.0, 0.0, 1.0]);
    assert_eq!(equal(Comparison::GreaterOrEqual), [0.0, 1.0, 1.0]);
    assert_eq!(equal(Comparison::Equal), [0.0, 1.0, 0.0]);
    // The condition is 0 where the index is -1.
    let operands: &[(&[usize], &[f64])] = &[
        (&[2, 1], &[-1.0, 0.0]),
        (&[3], &[0.0, 1.0, 2.0]),
        (&[1], &[5.0]),
    ];
    let chosen = several(Op::Where, operands, &SIX);
    assert_eq!(chosen, [6.0, 6.0, 6.0, 1.0, 2.0, 3.0]);
}

#[test]
fn indices_and_labels() {
    let arg = |axis, smallest, last| {
        let op = Op::ArgMax {
            axis,
            smallest,
            last,
        };
        unary(op, &[2, 3], &[], &[1.0, 7.0, 7.0, 2.0, 2.0, 9.0])
    };
    assert_eq!(arg(1, false, false), [1.0, 2.0]);
    assert_eq!(arg(1, false, true), [2.0, 2.0]);
    assert_eq!(arg(1, true, false), [0.0, 0.0]);
    assert_eq!(arg(1, true, true), [0.0, 1.0]);
    assert_eq!(arg(0, false, false), [1.0, 0.0, 1.0]);

    let top = |axis, k, smallest, values| {
        let op = Op::TopK {
            axis,
            k,
            smallest,
            values,
        };
        unary(op, &[2, 3], &[], &[1.0, 7.0, 7.0, 2.0, 2.0, 9.0])
    };
    assert_eq!(top(1, 2, false, false), [1.0, 2.0, 2.0, 0.0]);
    assert_eq!(top(1, 2, false, true), [7.0, 7.0, 9.0, 2.0]);
    assert_eq!(top(1, 1, true, false), [0.0, 0.0]);
    assert_eq!(top(0, 2, true, false), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    assert_eq!(top(0, 2, true, true), [1.0, 2.0, 7.0, 2.0, 7.0, 9.0]);

    let lookup = |x: f64| {
        let mut net = Net::new(&[1]);
        let table = net.constant(&[3], &[-1.0, 40.0, 7.0]);
        let y = net.node(Op::Lookup { table }, &[X], &[]);
        net.0.outputs.push(Output {
            name: "y".into(),
            node: y,
            dtype: DType::I64,
            batched: false,
        });
        let inputs = Tensors::from([("x".to_owned(), Tensor::from_vec(vec![x]))]);
        eval(&net.0, &inputs).map(|y| y["y"].data()[0])
    };
    assert_eq!(lookup(0.0), Ok(-1.0));
    assert_eq!(lookup(2.0), Ok(7.0));
    for bad in [-1.0, 3.0, 0.5, f64::NAN, f64::INFINITY] {
        let error = lookup(bad).unwrap_err().to_string();
        assert!(
            error.contains("is no index of a table of 3 elements"),
            "{error}"
        );
    }
}

#[test]
fn logarithms_of_softmax_are_exact_far_out() {
    let found = unary(Op::LogSoftmax { axis: 0 }, &[2], &[], &[0.0, 1000.0]);
    assert_eq!(found, [-1000.0, 0.0]);
    let found = unary(
        Op::LogSoftmax { axis: 1 },
        &[1, 2],
        &[],
        &[0.0, libm::log(3.0)],
    );
    assert!((found[0] - libm::log(0.25)).abs() < 1e-15);
    assert!((found[1] - libm::log(0.75)).abs() < 1e-15);
}

proptest! {
    #[test]
    fn chebyshev_sums(coefficients in prop::collection::vec(-2.0_f64..2.0, 1..24), lo in -5.0_f64..5.0, width in 0.1_f64..9.0, at in 0.0_f64..1.0) {
        let op = Op::Approximation {
            function: Function::Relu,
            domain: Range { lo, hi: lo + width },
            coefficients: coefficients.clone(),
        };
        let x = lo + at * width;
        let found = unary(op, &[1], &[], &[x])[0];
        // T_k(cos a) = cos(k a).
        let angle = (2.0 * at - 1.0).clamp(-1.0, 1.0).acos();
        let expected: f64 = coefficients.iter().enumerate().map(|(k, c)| c * (k as f64 * angle).cos()).sum();
        prop_assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn reductions_of_any_axes(
        shape in prop::collection::vec(1_usize..4, 1..5),
        mask in prop::collection::vec(any::<bool>(), 5),
        seed in 0_u64..1000,
    ) {
        let axes: Vec<usize> = (0..shape.len()).filter(|a| mask[*a]).collect();
        prop_assume!(!axes.is_empty());
        let count: usize = shape.iter().product();
        let x: Vec<f64> = (0..count as u64).map(|i| ((i * 37 + seed * 11) % 13) as f64 - 5.0).collect();
        let own = strides(&shape);
        let kept: Vec<usize> = (0..shape.len()).map(|a| if axes.contains(&a) { 1 } else { shape[a] }).collect();
        let to = strides(&kept);
        // The elements that come to each place.
        let mut groups = vec![vec![]; kept.iter().product()];
        for (i, value) in x.iter().enumerate() {
            let place: usize = (0..shape.len()).filter(|a| !axes.contains(a)).map(|a| i / own[a] % shape[a] * to[a]).sum();
            groups[place].push(*value);
        }
        for kind in Reduction::ALL {
            let found = unary(Op::Reduce { kind, axes: axes.clone() }, &shape, &[], &x);
            let expected: Vec<f64> = groups.iter().map(|g| match kind {
                Reduction::Sum => g.iter().sum(),
                Reduction::Mean => g.iter().sum::<f64>() / g.len() as f64,
                Reduction::Max => g.iter().copied().reduce(f64::max).unwrap(),
                Reduction::Min => g.iter().copied().reduce(f64::min).unwrap(),
                Reduction::Prod => g.iter().product(),
            }).collect();
            prop_assert_eq!(&found, &expected, "{:?}", kind);
        }
    }

    #[test]
    fn maxima_of_windows(
        size in prop::array::uniform2(1_usize..8),
        kernel in prop::array::uniform2(1_usize..4),
        steps in prop::array::uniform2(1_usize..3),
        dilations in prop::array::uniform2(1_usize..3),
        pads in prop::array::uniform4(0_usize..2),
        ceil_mode in any::<bool>(),
    ) {
        let op = Op::MaxPool(MaxPool { kernel, strides: steps, dilations, pads, ceil_mode });
        let [h, w] = size;
        let Ok(shape) = infer_shape(&Module::default(), &op, &[&[1, 1, h, w]], &[]) else {
            return Ok(());
        };
        let x: Vec<f64> = (0..h * w).map(|i| ((i * 29) % 17) as f64 - 20.0).collect();
        let mut expected = vec![];
        for oy in 0..shape[2] {
            for ox in 0..shape[3] {
                let mut best = f64::NEG_INFINITY;
                for ky in 0..kernel[0] {
                    for kx in 0..kernel[1] {
                        let y = (oy * steps[0] + ky * dilations[0]) as i64 - pads[0] as i64;
                        let x_at = (ox * steps[1] + kx * dilations[1]) as i64 - pads[1] as i64;
                        if (0..h as i64).contains(&y) && (0..w as i64).contains(&x_at) {
                            best = best.max(x[y as usize * w + x_at as usize]);
                        }
                    }
                }
                prop_assert!(best.is_finite(), "a window without an element");
                expected.push(best);
            }
        }
        prop_assert_eq!(unary(op, &[1, 1, h, w], &[], &x), expected);
    }
}
