//! What programs compute, against formulas written out here.

use super::{clear, program, run, run_with};
use crate::loom::Resources;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{Module, Op, parse};

const X: [f64; 6] = [0.5, -1.25, 2.0, 3.5, -0.75, 1.5];
const Y: [f64; 6] = [1.0, 2.0, -3.0, 0.25, 4.0, -2.5];

/// The output `y` of an expression of `x` [2, 3] and `z` [2, 3].
fn value(expression: &str) -> Tensor {
    let source = format!(
        "input x: encrypted[2, 3] in -4..4\ninput z: encrypted[2, 3] in -4..4\nlet c = [[1, 2, 3], [4, 5, 6]]\noutput y \
         = {expression}\noutput both = x + z"
    );
    run(&source, &[("x", &X), ("z", &Y)]).remove("y").unwrap()
}

fn expect(expression: &str, shape: &[usize], expected: &[f64]) {
    let found = value(expression);
    assert_eq!(found.shape(), shape, "{expression}");
    for (i, (f, e)) in found.data().iter().zip(expected).enumerate() {
        assert!(
            (f - e).abs() < 1e-12,
            "{expression}, element {i}: {f}, not {e}"
        );
    }
}

fn each(f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    X.iter().zip(Y).map(|(x, y)| f(*x, y)).collect()
}

#[test]
fn operators_join_encrypted_and_constant_values() {
    let all = [2, 3];
    expect("x + z", &all, &each(|x, y| x + y));
    expect("x - z", &all, &each(|x, y| x - y));
    expect("x * z", &all, &each(|x, y| x * y));
    expect("x / z", &all, &each(|x, y| x / y));
    expect("-x", &all, &each(|x, _| -x));
    expect("2 - x", &all, &each(|x, _| 2.0 - x));
    expect("x - 2", &all, &each(|x, _| x - 2.0));
    expect("x / 4", &all, &each(|x, _| x / 4.0));
    expect("3 / z", &all, &each(|_, y| 3.0 / y));
    expect("x^3", &all, &each(|x, _| x * x * x));
    expect("z^-2", &all, &each(|_, y| 1.0 / (y * y)));
    expect("-x^2", &all, &each(|x, _| -(x * x)));
    expect("x * x", &all, &each(|x, _| x * x));
    expect("(x > z) + 0 * x", &all, &each(|x, y| f64::from(x > y)));
    expect("x >= 2", &all, &each(|x, _| f64::from(x >= 2.0)));
    expect("x < 2", &all, &each(|x, _| f64::from(x < 2.0)));
    expect("x == 2", &all, &each(|x, _| f64::from(x == 2.0)));
    expect("x != z", &all, &each(|x, y| f64::from(x != y)));
    expect("2^3 * x - 10 / 4", &all, &each(|x, _| 8.0 * x - 2.5));
    expect("x - 1 - 2", &all, &each(|x, _| x - 3.0));
    expect("x - (1 - 2)", &all, &each(|x, _| x + 1.0));
    expect("x * (c > 3)", &all, &[0.0, 0.0, 0.0, 3.5, -0.75, 1.5]);
    // Broadcasting both ways.
    expect(
        "x + [10, 20, 30]",
        &all,
        &[10.5, 18.75, 32.0, 13.5, 19.25, 31.5],
    );
    expect(
        "x + [[10], [20]]",
        &all,
        &[10.5, 8.75, 12.0, 23.5, 19.25, 21.5],
    );
    expect(
        "x[0] + [[10], [20]]",
        &all,
        &[10.5, 8.75, 12.0, 20.5, 18.75, 22.0],
    );
}

#[test]
fn matrices_are_multiplied_as_numpy_does() {
    // c z^T, x c^T, and encrypted with encrypted.
    expect("c[0] @ z[0]", &[], &[1.0 + 4.0 - 9.0]);
    expect("x @ [1, 2, 3]", &[2], &[0.5 - 2.5 + 6.0, 3.5 - 1.5 + 4.5]);
    expect("[1, 2] @ x", &[3], &[7.5, -2.75, 5.0]);
    expect("x @ transpose(c)", &[2, 2], &[4.0, 7.75, 6.5, 19.25]);
    let products = [0, 1, 2].map(|k| X[k] * Y[k]).iter().sum::<f64>();
    expect("(x @ transpose(z))[0, 0]", &[], &[products]);
    expect("dot(x[0], z[0])", &[], &[products]);
    expect("dot([1, 2, 3], z[0])", &[], &[1.0 + 4.0 - 9.0]);
    expect("weighted_sum(x, [2, -1])", &[3], &[-2.5, -1.75, 2.5]);
    expect(
        "weighted_sum([x[0], z[0]], [2, -1])",
        &[3],
        &[0.0, -4.5, 7.0],
    );
}

#[test]
fn elements_are_joined_along_axes() {
    expect("sum(x)", &[], &[X.iter().sum()]);
    expect("sum(x, axis=0)", &[3], &[4.0, -2.0, 3.5]);
    expect(
        "sum(x, axis=[0, -1], keep=true)",
        &[1, 1],
        &[X.iter().sum()],
    );
    expect("mean(x, axis=1)", &[2], &[1.25 / 3.0, 4.25 / 3.0]);
    expect(
        "prod(x, axis=1)",
        &[2],
        &[0.5 * -1.25 * 2.0, 3.5 * -0.75 * 1.5],
    );
    expect("max(x, axis=0)", &[3], &[3.5, -0.75, 2.0]);
    expect("min(x)", &[], &[-1.25]);
    expect("argmax(x)", &[2], &[2.0, 0.0]);
    expect(
        "norm(x, axis=1)",
        &[2],
        &[
            (0.25_f64 + 1.5625 + 4.0).sqrt(),
            (12.25_f64 + 0.5625 + 2.25).sqrt(),
        ],
    );
    expect("max(x, z)", &[2, 3], &each(f64::max));
    expect("min(x, 1)", &[2, 3], &each(|x, _| x.min(1.0)));
    expect("max(0, x)", &[2, 3], &each(|x, _| x.max(0.0)));
    expect(
        "max(x, [0, 1, 2])",
        &[2, 3],
        &[0.5, 1.0, 2.0, 3.5, 1.0, 2.0],
    );
    expect("where(x > z, x, z)", &[2, 3], &each(f64::max));
    expect(
        "where(c > 3, x, -1)",
        &[2, 3],
        &[-1.0, -1.0, -1.0, 3.5, -0.75, 1.5],
    );
}

#[test]
fn elements_are_moved() {
    expect("x[1]", &[3], &X[3..]);
    expect("x[-1, 0]", &[], &[3.5]);
    expect("x[:, 1:]", &[2, 2], &[-1.25, 2.0, -0.75, 1.5]);
    expect("x[:, ::-1]", &[2, 3], &[2.0, -1.25, 0.5, 1.5, -0.75, 3.5]);
    expect("x[::, 0:3:2]", &[2, 2], &[0.5, 2.0, 3.5, 1.5]);
    expect("slice(x, 1, 3, axis=1)", &[2, 2], &[-1.25, 2.0, -0.75, 1.5]);
    expect("rotate(x, 1)", &[2, 3], &[-1.25, 2.0, 0.5, -0.75, 1.5, 3.5]);
    expect(
        "rotate(x, -1, axis=0)",
        &[2, 3],
        &[3.5, -0.75, 1.5, 0.5, -1.25, 2.0],
    );
    expect("transpose(x)", &[3, 2], &[0.5, 3.5, -1.25, -0.75, 2.0, 1.5]);
    expect("reshape(x, [3, -1])", &[3, 2], &X);
    expect("flatten(x)", &[6], &X);
    expect(
        "concat(x[0], z[1])",
        &[6],
        &[0.5, -1.25, 2.0, 0.25, 4.0, -2.5],
    );
    expect(
        "concat(x, [[7], [8]], axis=1)",
        &[2, 4],
        &[0.5, -1.25, 2.0, 7.0, 3.5, -0.75, 1.5, 8.0],
    );
    expect("[x[0], z[0]]", &[2, 3], &[0.5, -1.25, 2.0, 1.0, 2.0, -3.0]);
    expect("stack(x[0, 0], 9)", &[2], &[0.5, 9.0]);
    expect(
        "broadcast(x[0], [2, 3])",
        &[2, 3],
        &[0.5, -1.25, 2.0, 0.5, -1.25, 2.0],
    );
    expect(
        "pad(x[0], 1, [2], value=7)",
        &[6],
        &[7.0, 0.5, -1.25, 2.0, 7.0, 7.0],
    );
}

#[test]
fn functions_of_one_number_are_those_of_their_formulas() {
    let all = [2, 3];
    expect("abs(x)", &all, &each(|x, _| x.abs()));
    expect("sign(x)", &all, &each(|x, _| x.signum()));
    expect("inverse(z)", &all, &each(|_, y| 1.0 / y));
    expect("sqrt(x^2)", &all, &each(|x, _| x.abs()));
    expect("relu(x)", &all, &each(|x, _| x.max(0.0)));
    expect(
        "leaky_relu(x, 0.1)",
        &all,
        &each(|x, _| if x < 0.0 { 0.1 * x } else { x }),
    );
    expect("clip(x, -1, 1)", &all, &each(|x, _| x.clamp(-1.0, 1.0)));
    expect("sigmoid(x)", &all, &each(|x, _| 1.0 / (1.0 + (-x).exp())));
    expect("tanh(x)", &all, &each(|x, _| x.tanh()));
    expect("silu(x)", &all, &each(|x, _| x / (1.0 + (-x).exp())));
    expect("exp(x)", &all, &each(|x, _| x.exp()));
    expect(
        "elu(x)",
        &all,
        &each(|x, _| if x < 0.0 { x.exp() - 1.0 } else { x }),
    );
    expect(
        "polynomial(x, [1, 0, -2, 0.5])",
        &all,
        &each(|x, _| 1.0 - 2.0 * x * x + 0.5 * x * x * x),
    );
    let sums = [0, 3].map(|r| X[r..r + 3].iter().map(|x| x.exp()).sum::<f64>());
    let soft: Vec<f64> = X
        .iter()
        .enumerate()
        .map(|(i, x)| x.exp() / sums[i / 3])
        .collect();
    expect("softmax(x)", &all, &soft);
}

/// A cross-correlation, written out.
fn correlate(x: &[f64], width: usize, k: &[f64], kw: usize) -> Vec<f64> {
    let (height, kh) = (x.len() / width, k.len() / kw);
    let mut out = vec![];
    for i in 0..=height - kh {
        for j in 0..=width - kw {
            let terms = (0..kh * kw).map(|t| k[t] * x[(i + t / kw) * width + j + t % kw]);
            out.push(terms.sum());
        }
    }
    out
}

#[test]
fn images_are_convolved_and_pooled() {
    expect(
        "conv2d(x, [[1, -2]])",
        &[2, 2],
        &correlate(&X, 3, &[1.0, -2.0], 2),
    );
    let wide = correlate(
        &[
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, -1.25, 2.0, 0.0, 0.0, 3.5, -0.75, 1.5, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0,
        ],
        5,
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        3,
    );
    expect(
        "conv2d(x, reshape(range(1, 10), [3, 3]), padding=\"same\")",
        &[2, 3],
        &wide,
    );
    expect(
        "conv2d(x, [[[1, 0]], [[0, 1]]], bias=[1, 2])",
        &[2, 2, 2],
        &[1.5, -0.25, 4.5, 0.25, 0.75, 4.0, 1.25, 3.5],
    );
    expect("avg_pool(x, [2, 1])", &[1, 3], &[2.0, -1.0, 1.75]);
    expect("max_pool(x, [1, 3])", &[2, 1], &[2.0, 3.5]);
    expect("global_avg_pool(x)", &[], &[X.iter().sum::<f64>() / 6.0]);
}

#[test]
fn layers_are_those_of_frameworks() {
    expect(
        "dense(x, [[1, 2, 3], [0, 0, 1]], [10, 20])",
        &[2, 2],
        &[14.0, 22.0, 16.5, 21.5],
    );
    expect(
        "dense(x, [[1, 0, 0]], activation=abs)",
        &[2, 1],
        &[0.5, 3.5],
    );
    expect(
        "dense(x, [[0, 1, 0]], activation=\"relu\")",
        &[2, 1],
        &[0.0, 0.0],
    );
    let norm = each(|x, _| 2.0 * (x - 1.0) / (4.0_f64 + 1e-5).sqrt() + 0.5);
    expect(
        "batch_norm(x, full([3], 2), full([3], 0.5), ones(3), full([3], 4))",
        &[2, 3],
        &norm,
    );
    expect("activation(x, \"abs\")", &[2, 3], &each(|x, _| x.abs()));
    expect("residual(x, tanh)", &[2, 3], &each(|x, _| x + x.tanh()));
}

#[test]
fn functions_and_loops_are_carried_out() {
    let source = "
        input x: encrypted[4] in 0..1
        fn square(v) = v * v
        fn shifted(v, by=1) {
            let w = rotate(v, by)
            return w, v - w
        }
        fn power(v, n) {
            let result = v
            for i in range(1, n) {
                result = result * v
            }
            return result
        }
        let a, b = shifted(square(x), by=2)
        let total = 0
        for row in [[1, 2, 3, 4], [0, 0, 0, 1]] {
            total = total + dot(row, x)
        }
        for e in x { total = total + e }
        output a
        output b
        output total
        output cube = power(x, 3)";
    let x = [0.1, 0.2, 0.3, 0.5];
    let found = run(source, &[("x", &x)]);
    let close = |name: &str, expected: &[f64]| {
        let found = found[name].data();
        assert_eq!(found.len(), expected.len());
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(f, e)| (f - e).abs() < 1e-12),
            "{name}: {found:?}"
        );
    };
    close("a", &[0.09, 0.25, 0.01, 0.04]);
    close("b", &[0.01 - 0.09, 0.04 - 0.25, 0.09 - 0.01, 0.25 - 0.04]);
    close("total", &[0.1 + 0.4 + 0.9 + 2.0 + 0.5 + 1.1]);
    close("cube", &[0.001, 0.008, 0.027, 0.125]);
}

struct Files;

impl Resources for Files {
    fn array(&self, path: &str, name: Option<&str>) -> Result<Tensor, String> {
        match (path, name) {
            ("w.npz", Some("w")) => Ok(Tensor::new(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap()),
            _ => Err(format!("{path} has no array {name:?}")),
        }
    }

    fn model(&self, _: &str) -> Result<Module, String> {
        let text = "module \"net\" · from \"net\" · stage tensor\n[1,2] - | %0 = input \"in\"\n[1,2] - | %1 = power %0 exponent 2\ninput \"in\" = %0 · f32 · \
                    batched\noutput \"out\" = %1 · batched\n";
        parse(text, &[]).map_err(|e| e.to_string())
    }
}

#[test]
fn files_and_networks_are_used() {
    let source = "
        input x: encrypted[2] in 0..1
        let net = model \"net.onnx\"
        let w = load(\"w.npz\", \"w\")
        output y = w @ net(x + 1) + net(w[0])";
    let found = run_with(source, &[("x", &[1.0, 2.0])], &Files);
    assert_eq!(found["y"].data(), [4.0 + 18.0 + 1.0, 12.0 + 36.0 + 4.0]);
}

#[test]
fn operations_know_their_line() {
    let source =
        "input x: encrypted[2] in 1..2\n\nfn f(v) {\n    return sqrt(v)\n}\noutput y = f(x) * 2\n";
    let module = program(source).unwrap().module;
    let origins: Vec<(String, String)> = module
        .graph
        .ids()
        .into_iter()
        .filter_map(|id| module.graph.get(id))
        .map(|n| (n.op.name().to_owned(), n.origin.to_string()))
        .collect();
    let expected = [
        ("input", "port \"x\""),
        ("sqrt", "prog.loom:4:5"),
        ("mul_const", "prog.loom:6:1"),
    ];
    let expected: Vec<_> = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    assert_eq!(origins, expected);
}

#[test]
fn inputs_carry_their_ranges_and_constants_their_names() {
    let source = "input x: encrypted[3] in -2^2..2 * 3\nlet weight = [1, 2, 3]\noutput y = x * weight + weight";
    let module = program(source).unwrap().module;
    let node = module.graph.get(module.inputs[0].node).unwrap();
    assert_eq!(node.range.map(|r| (r.lo, r.hi)), Some((-4.0, 6.0)));
    let names: Vec<&str> = module.constants.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["weight"]);
    assert!(module.graph.ids().iter().any(|id| matches!(
        module.graph.get(*id).map(|n| &n.op),
        Some(Op::MulConst { .. })
    )));
    assert_eq!(
        clear(&module, &[("x", &[1.0, 1.0, 1.0])])["y"].data(),
        [2.0, 4.0, 6.0]
    );
}
