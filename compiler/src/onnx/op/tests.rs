//! Operators on constants against their formulas, written as plain loops.

use crate::onnx::call::Value;
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::fold::{Spent, fold};
use cipherloom_ir::{Origin, Tensor};
use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::{AttributeProto, NodeProto};

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        type_: AttributeType::INTS.into(),
        ints: values.to_vec(),
        ..Default::default()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        type_: AttributeType::INT.into(),
        i: value,
        ..Default::default()
    }
}

fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        type_: AttributeType::STRING.into(),
        s: value.into(),
        ..Default::default()
    }
}

fn tensor(shape: &[usize], seed: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let data = (0..count).map(|i| ((i * 37 + seed * 11) % 23) as f64 / 8.0 - 1.25);
    Tensor::new(shape.to_vec(), data.collect()).unwrap()
}

fn real(tensor: &Tensor) -> Option<Value> {
    Some(Value::Clear(Clear::new("c", Elem::F64, tensor.clone())))
}

fn whole(values: &[i64], shape: &[usize]) -> Option<Value> {
    let data = values.iter().map(|v| *v as f64).collect();
    let tensor = Tensor::new(shape.to_vec(), data).unwrap();
    Some(Value::Clear(Clear::new("i", Elem::Int("i64"), tensor)))
}

fn run(
    op_type: &str,
    opset: i64,
    attribute: Vec<AttributeProto>,
    inputs: Vec<Option<Value>>,
) -> Tensor {
    let node = NodeProto {
        op_type: op_type.into(),
        output: vec!["y".into()],
        attribute,
        ..Default::default()
    };
    let import = super::find("", op_type).unwrap().import;
    let origin = Origin::Onnx {
        index: 0,
        name: "y".into(),
        op: op_type.into(),
    };
    let spent = &mut Spent::default();
    let values = fold(import, opset, &node, inputs, (origin, None), spent).unwrap();
    let [Value::Clear(y)] = &values[..] else {
        panic!("{values:?}")
    };
    y.tensor.as_ref().clone()
}

fn assert_close(found: &Tensor, shape: &[usize], expected: &[f64]) {
    assert_eq!(found.shape(), shape);
    for (a, b) in found.data().iter().zip(expected) {
        assert!((a - b).abs() < 1e-12 * b.abs().max(1.0), "{a} {b}");
    }
}

#[test]
fn operators_are_listed_once_and_sorted() {
    let names: Vec<_> = super::operators().map(|o| (o.domain, o.name)).collect();
    assert!(names.is_sorted_by(|a, b| a < b));
}

#[test]
fn every_operator_is_read_in_some_version() {
    for operator in super::operators() {
        assert!(!operator.opsets().is_empty(), "{}", operator.name);
    }
}

#[test]
fn transposed_convolutions_spread_each_element() {
    // [N, C, W] = [1, 4, 3], two groups, kernel [4, 3, 2].
    let (x, w) = (tensor(&[1, 4, 3], 1), tensor(&[4, 3, 2], 2));
    let (stride, dilation, before, after, extra) = (3, 2, 1, 0, 2);
    let size = stride * 2 + dilation + 1 + extra - before - after;
    let mut expected = vec![0.0; 6 * size];
    for c in 0..4 {
        for p in 0..3 {
            for m in 0..3 {
                for k in 0..2 {
                    let at = p * stride + k * dilation;
                    if let Some(at) = at.checked_sub(before).filter(|a| *a < size) {
                        let map = c / 2 * 3 + m;
                        expected[map * size + at] +=
                            x.data()[c * 3 + p] * w.data()[(c * 3 + m) * 2 + k];
                    }
                }
            }
        }
    }
    let attributes = vec![
        ints("strides", &[3]),
        ints("dilations", &[2]),
        ints("pads", &[1, 0]),
        ints("output_padding", &[2]),
        int("group", 2),
    ];
    let y = run("ConvTranspose", 17, attributes, vec![real(&x), real(&w)]);
    assert_close(&y, &[1, 6, size], &expected);
}

#[test]
fn convolutions_over_three_axes() {
    let (x, w) = (tensor(&[1, 2, 3, 2, 2], 3), tensor(&[2, 1, 2, 2, 1], 4));
    let at = |c: usize, d: i64, h: usize, w: usize| {
        let inside = (0..3).contains(&d);
        if inside {
            x.data()[((c * 3 + d as usize) * 2 + h) * 2 + w]
        } else {
            0.0
        }
    };
    // Groups of one channel; depth padded by 1 in front, stride 2.
    let mut expected = vec![];
    for c in 0..2 {
        for d in 0..2_i64 {
            for column in 0..2 {
                let taps = (0..2).flat_map(|kd| (0..2).map(move |kh| (kd, kh)));
                expected.push(
                    taps.map(|(kd, kh)| {
                        w.data()[(c * 2 + kd) * 2 + kh] * at(c, 2 * d - 1 + kd as i64, kh, column)
                    })
                    .sum::<f64>(),
                );
            }
        }
    }
    let attributes = vec![
        ints("strides", &[2, 1, 1]),
        ints("pads", &[1, 0, 0, 0, 0, 0]),
        int("group", 2),
    ];
    let y = run("Conv", 17, attributes, vec![real(&x), real(&w)]);
    assert_close(&y, &[1, 2, 2, 1, 2], &expected);
}

#[test]
fn pools_over_three_axes() {
    let x = tensor(&[1, 1, 3, 2, 4], 5);
    let window = |d: usize, column: usize| {
        let x = x.data();
        (0..2).flat_map(move |kd| {
            (0..2).flat_map(move |h| (0..2).map(move |w| x[((d + kd) * 2 + h) * 4 + column + w]))
        })
    };
    let places: Vec<_> = (0..2).flat_map(|d| [(d, 0), (d, 2)]).collect();
    let attributes = || {
        vec![
            ints("kernel_shape", &[2, 2, 2]),
            ints("strides", &[1, 1, 2]),
        ]
    };
    let means: Vec<f64> = places
        .iter()
        .map(|(d, c)| window(*d, *c).sum::<f64>() / 8.0)
        .collect();
    let y = run("AveragePool", 17, attributes(), vec![real(&x)]);
    assert_close(&y, &[1, 1, 2, 1, 2], &means);
    let maxima: Vec<f64> = places
        .iter()
        .map(|(d, c)| window(*d, *c).fold(f64::MIN, f64::max))
        .collect();
    let y = run("MaxPool", 17, attributes(), vec![real(&x)]);
    assert_close(&y, &[1, 1, 2, 1, 2], &maxima);
    for p in [1, 2, 3] {
        let norms: Vec<f64> = places
            .iter()
            .map(|(d, c)| {
                let sum: f64 = window(*d, *c)
                    .map(|v| libm::pow(v.abs(), f64::from(p)))
                    .sum();
                libm::pow(sum, 1.0 / f64::from(p))
            })
            .collect();
        let attributes = [attributes(), vec![int("p", i64::from(p))]].concat();
        let y = run("LpPool", 17, attributes, vec![real(&x)]);
        assert_close(&y, &[1, 1, 2, 1, 2], &norms);
    }
}

#[test]
fn reductions_over_axes() {
    let x = tensor(&[2, 7, 3], 6);
    let column = |i: usize, k: usize| {
        let x = x.data();
        (0..7).map(move |j| x[(i * 7 + j) * 3 + k])
    };
    let over = |f: &dyn Fn(&mut dyn Iterator<Item = f64>) -> f64| -> Vec<f64> {
        let places = (0..2).flat_map(|i| (0..3).map(move |k| (i, k)));
        places.map(|(i, k)| f(&mut column(i, k))).collect()
    };
    type Formula = &'static dyn Fn(&mut dyn Iterator<Item = f64>) -> f64;
    let formulas: [(&str, Formula); 8] = [
        ("ReduceSum", &|x| x.sum()),
        ("ReduceMean", &|x| x.sum::<f64>() / 7.0),
        ("ReduceProd", &|x| x.product()),
        ("ReduceMax", &|x| x.fold(f64::MIN, f64::max)),
        ("ReduceMin", &|x| x.fold(f64::MAX, f64::min)),
        ("ReduceSumSquare", &|x| x.map(|v| v * v).sum()),
        ("ReduceL1", &|x| x.map(f64::abs).sum()),
        ("ReduceLogSumExp", &|x| libm::log(x.map(libm::exp).sum())),
    ];
    for (name, formula) in formulas {
        let expected = over(formula);
        let by_input = run(
            name,
            18,
            vec![int("keepdims", 0)],
            vec![real(&x), whole(&[-2], &[1])],
        );
        assert_close(&by_input, &[2, 3], &expected);
        let by_attribute = run(name, 11, vec![ints("axes", &[1])], vec![real(&x)]);
        assert_close(&by_attribute, &[2, 1, 3], &expected);
    }
    let all = run("ReduceSum", 13, vec![], vec![real(&x)]);
    assert_close(&all, &[1, 1, 1], &[x.data().iter().sum()]);
    let none = vec![int("noop_with_empty_axes", 1)];
    let same = run("ReduceSum", 13, none, vec![real(&x)]);
    assert_close(&same, &[2, 7, 3], x.data());
}

#[test]
fn sums_of_products_by_letters() {
    let (a, b) = (tensor(&[2, 3, 4], 7), tensor(&[4, 2, 5], 8));
    // y[k, i] = sum over j, l of a[i, j, l] b[l, i, k].
    let mut expected = vec![];
    for k in 0..5 {
        for i in 0..2 {
            let pairs = (0..3).flat_map(|j| (0..4).map(move |l| (j, l)));
            let product = |(j, l): (usize, usize)| {
                a.data()[(i * 3 + j) * 4 + l] * b.data()[(l * 2 + i) * 5 + k]
            };
            expected.push(pairs.map(product).sum::<f64>());
        }
    }
    let equation = |text: &str| vec![string("equation", text)];
    let inputs = vec![real(&a), real(&b)];
    let y = run("Einsum", 12, equation("ijl,lik->ki"), inputs);
    assert_close(&y, &[5, 2], &expected);
    // A trace, an outer product, and three operands.
    let square = tensor(&[3, 3], 9);
    let trace = square.data()[0] + square.data()[4] + square.data()[8];
    let y = run("Einsum", 12, equation("ii->"), vec![real(&square)]);
    assert_close(&y, &[], &[trace]);
    let (u, v) = (tensor(&[2], 1), tensor(&[3], 2));
    let outer: Vec<f64> = u
        .data()
        .iter()
        .flat_map(|x| v.data().iter().map(move |y| x * y))
        .collect();
    let y = run("Einsum", 12, equation("i,j"), vec![real(&u), real(&v)]);
    assert_close(&y, &[2, 3], &outer);
    let form: f64 = (0..2)
        .flat_map(|i| (0..3).map(move |j| (i, j)))
        .map(|(i, j)| u.data()[i] * a.data()[(i * 3 + j) * 4] * v.data()[j])
        .sum();
    let first = Tensor::new(vec![2, 3], (0..6).map(|i| a.data()[i * 4]).collect()).unwrap();
    let inputs = vec![real(&u), real(&first), real(&v)];
    let y = run("Einsum", 12, equation("i,ij,j->"), inputs);
    assert_close(&y, &[], &[form]);
}

#[test]
fn running_sums() {
    let x = Tensor::from_vec(vec![1.0, 2.0, 4.0]);
    let sum = |exclusive, reverse| {
        let attributes = vec![int("exclusive", exclusive), int("reverse", reverse)];
        run("CumSum", 14, attributes, vec![real(&x), whole(&[0], &[])])
    };
    assert_close(&sum(0, 0), &[3], &[1.0, 3.0, 7.0]);
    assert_close(&sum(1, 0), &[3], &[0.0, 1.0, 3.0]);
    assert_close(&sum(0, 1), &[3], &[7.0, 6.0, 4.0]);
    assert_close(&sum(1, 1), &[3], &[6.0, 4.0, 0.0]);
}

#[test]
fn blocks_of_channels_and_back() {
    // onnx: test_depthtospace_example, one column of it.
    let x = Tensor::new(vec![1, 8, 1, 1], (0..8).map(f64::from).collect()).unwrap();
    let attributes = |mode: &str| vec![int("blocksize", 2), string("mode", mode)];
    let dcr = run("DepthToSpace", 13, attributes("DCR"), vec![real(&x)]);
    assert_close(
        &dcr,
        &[1, 2, 2, 2],
        &[0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0],
    );
    let crd = run("DepthToSpace", 13, attributes("CRD"), vec![real(&x)]);
    assert_close(&crd, &[1, 2, 2, 2], x.data());
    let back = run(
        "SpaceToDepth",
        13,
        vec![int("blocksize", 2)],
        vec![real(&dcr)],
    );
    assert_close(&back, &[1, 8, 1, 1], x.data());
}

#[test]
fn triangles_and_positions() {
    let x = Tensor::new(vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let upper = run("Trilu", 14, vec![], vec![real(&x), whole(&[1], &[])]);
    assert_close(&upper, &[2, 3], &[0.0, 2.0, 3.0, 0.0, 0.0, 6.0]);
    let lower = run("Trilu", 14, vec![int("upper", 0)], vec![real(&x)]);
    assert_close(&lower, &[2, 3], &[1.0, 0.0, 0.0, 4.0, 5.0, 0.0]);
    let places = run("NonZero", 13, vec![], vec![real(&upper)]);
    assert_close(&places, &[2, 3], &[0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    let count = run("Size", 13, vec![], vec![real(&x)]);
    assert_close(&count, &[], &[6.0]);
    let mean = run("Mean", 13, vec![], vec![real(&x), real(&upper)]);
    assert_close(&mean, &[2, 3], &[0.5, 2.0, 3.0, 2.0, 2.5, 6.0]);
}

#[test]
fn whole_numbers_become_real_along_an_axis() {
    let scale = Tensor::from_vec(vec![0.5, 2.0]);
    let inputs = vec![
        whole(&[1, 2, 3, 4], &[2, 2]),
        real(&scale),
        whole(&[1, 0], &[2]),
    ];
    let y = run("DequantizeLinear", 13, vec![int("axis", 0)], inputs);
    assert_close(&y, &[2, 2], &[0.0, 0.5, 6.0, 8.0]);
}
