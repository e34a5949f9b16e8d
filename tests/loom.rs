//! Programs in the language of `.loom` files, compiled as they stand and run encrypted, against references written out here.
#![allow(clippy::unwrap_used)]

mod common;

use cipherloom::data::npz;
use cipherloom::{Client, Compiler, DType, Model, Server, Tensor, Tensors};
use common::{ok, refused};
use std::fs;
use std::path::Path;

/// Numbers within a range, both ends among them, in an order that looks like none.
fn numbers(count: usize, lo: f64, hi: f64, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let mut values: Vec<f64> = (0..count).map(|_| lo + (hi - lo) * next()).collect();
    values[0] = lo;
    values[count - 1] = hi;
    values
}

/// A program of `examples`, encrypted: `precision` is asked for, and reached by each output, in bits of the largest value.
struct Run {
    path: &'static str,
    precision: f64,
    keep_tail: bool,
    inputs: Vec<(&'static str, Vec<usize>, Vec<f64>)>,
    expected: Vec<(&'static str, Vec<f64>)>,
}

impl Run {
    fn new(path: &'static str, inputs: Vec<(&'static str, Vec<usize>, Vec<f64>)>) -> Self {
        Self {
            path,
            precision: 15.0,
            keep_tail: false,
            inputs,
            expected: vec![],
        }
    }

    fn gives(mut self, output: &'static str, expected: Vec<f64>) -> Self {
        self.expected.push((output, expected));
        self
    }

    /// Functions at this precision, computed encrypted even where the client could.
    fn to(mut self, bits: f64) -> Self {
        self.precision = bits;
        self.keep_tail = true;
        self
    }

    fn check(self) {
        let model = Model::from_loom(Path::new("examples").join(self.path));
        self.check_model(&model.map_err(|e| e.to_string()).unwrap());
    }

    fn check_model(self, model: &Model) {
        let compiler = Compiler::new()
            .precision(self.precision)
            .keep_tail(self.keep_tail);
        let compiled = compiler
            .compile(model)
            .map_err(|e| format!("{}: {e}", self.path))
            .unwrap();
        let mut client = Client::new(compiled.client_plan()).unwrap();
        for port in compiled.client_plan().inputs.iter().filter(|p| p.clear) {
            client.allow_clear(&port.name);
        }
        let server = Server::new(compiled.server_plan(), client.evaluation_key().unwrap()).unwrap();
        let tensors = self.inputs.into_iter();
        let given: Tensors = tensors
            .map(|(name, shape, data)| (name.to_owned(), Tensor::new(shape, data).unwrap()))
            .collect();
        let found = client
            .decrypt(&server.run(&client.encrypt(&given).unwrap()).unwrap())
            .unwrap();
        assert_eq!(found.len(), self.expected.len(), "{}", self.path);
        for (name, expected) in self.expected {
            let found = found[name].data();
            assert_eq!(found.len(), expected.len(), "{} {name}", self.path);
            let largest = expected.iter().fold(0.0_f64, |m, e| m.max(e.abs()));
            let error = found
                .iter()
                .zip(&expected)
                .map(|(f, e)| (f - e).abs())
                .fold(0.0, f64::max);
            let bits = -(error / largest).log2();
            println!("{} {name}: {bits:.1} bits", self.path);
            assert!(
                bits >= self.precision,
                "{} {name}: {bits:.1} bits, error {error}",
                self.path
            );
        }
    }
}

/// A cross-correlation of a square image with a square kernel.
fn correlate(image: &[f64], kernel: &[f64]) -> Vec<f64> {
    let side = |n: usize| (n as f64).sqrt() as usize;
    let (n, k) = (side(image.len()), side(kernel.len()));
    let places = (0..=n - k).flat_map(|i| (0..=n - k).map(move |j| (i, j)));
    let sum = |(i, j): (usize, usize)| {
        (0..k * k)
            .map(|t| kernel[t] * image[(i + t / k) * n + j + t % k])
            .sum()
    };
    places.map(sum).collect()
}

fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| f(*x, *y)).collect()
}

/// The product of a matrix of so many columns with another.
fn product(a: &[f64], inner: usize, b: &[f64]) -> Vec<f64> {
    let (rows, columns) = (a.len() / inner, b.len() / inner);
    let entry = |r: usize, c: usize| {
        (0..inner)
            .map(|k| a[r * inner + k] * b[k * columns + c])
            .sum()
    };
    (0..rows * columns)
        .map(|i| entry(i / columns, i % columns))
        .collect()
}

#[test]
fn hefactorys_programs_are_right_under_encryption() {
    let image = numbers(4096, 1.0, 4096.0, 1);
    Run::new(
        "hefactory/box_blur.loom",
        vec![("image", vec![64, 64], image.clone())],
    )
    .gives("blurred", correlate(&image, &[1.0 / 9.0; 9]))
    .check();
    Run::new(
        "hefactory/gx_kernel.loom",
        vec![("image", vec![64, 64], image.clone())],
    )
    .gives(
        "gradient",
        correlate(&image, &[-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0]),
    )
    .check();
    let up: Vec<f64> = (1..=8).map(f64::from).collect();
    let down: Vec<f64> = up.iter().rev().copied().collect();
    Run::new(
        "hefactory/dot_product.loom",
        vec![("a", vec![8], up.clone()), ("b", vec![8], down.clone())],
    )
    .gives("clear_product", vec![120.0])
    .gives("product", vec![120.0])
    .check();
    let (bits, others) = (
        [1., 0., 0., 1., 1., 0., 1., 0.],
        [1., 1., 0., 0., 1., 0., 0., 1.],
    );
    Run::new(
        "hefactory/hamming_distance.loom",
        vec![("a", vec![8], bits.into()), ("b", vec![8], others.into())],
    )
    .gives("distance", vec![4.0])
    .check();
    Run::new(
        "hefactory/linear_polynomial.loom",
        vec![("x", vec![8], up.clone())],
    )
    .gives("y", up.iter().map(|x| 3.0 * x + 7.0).collect())
    .check();
    Run::new(
        "hefactory/quadratic_polynomial.loom",
        vec![("x", vec![8], up.clone())],
    )
    .gives(
        "y",
        up.iter().map(|x| 2.0 * x * x + 3.0 * x + 7.0).collect(),
    )
    .check();
    let (v, a, b) = (
        numbers(16, 1.0, 16.0, 2),
        numbers(256, 1.0, 16.0, 3),
        numbers(256, 1.0, 16.0, 4),
    );
    let m: Vec<f64> = (1..=256).map(f64::from).collect();
    let inputs = vec![
        ("v", vec![16], v.clone()),
        ("a", vec![16, 16], a.clone()),
        ("b", vec![16, 16], b.clone()),
    ];
    Run::new("hefactory/matrix_multiplication.loom", inputs)
        .gives("of_vector", product(&m, 16, &v))
        .gives("of_matrices", product(&a, 16, &b))
        .check();
    let image = numbers(256, 1.0, 256.0, 5);
    let maps = [[1.0, 0.0, 0.0, -1.0], [0.0, 1.0, -1.0, 0.0]].map(|k| correlate(&image, &k));
    let activated = maps.each_ref().map(|m| {
        m.iter()
            .map(|x| 2.0 * x * x + 3.0 * x + 7.0)
            .collect::<Vec<_>>()
    });
    let weight: Vec<f64> = (1..=225 * 15).map(f64::from).collect();
    let sum = zip(&activated[0], &activated[1], |x, y| x + y);
    Run::new(
        "hefactory/dl_benchmark.loom",
        vec![("image", vec![16, 16], image.clone())],
    )
    .gives("scores", product(&sum, 225, &weight))
    .check();
}

/// With roots: to 8 bits of the largest output over the declared domain, 0 included.
#[test]
fn hefactorys_roots_are_right_under_encryption() {
    let image = numbers(256, 1.0, 256.0, 5);
    let maps = [[1.0, 0.0, 0.0, -1.0], [0.0, 1.0, -1.0, 0.0]].map(|k| correlate(&image, &k));
    Run::new(
        "hefactory/robert_cross.loom",
        vec![("image", vec![16, 16], image)],
    )
    .gives("edges", zip(&maps[0], &maps[1], f64::hypot))
    .to(8.0)
    .check();
    let (a, b) = (
        [1., 8., 3., 4.5, 8., 1., 2., 7.],
        [1., 1., 3.1, 4.5, 7., 8., 2., 3.],
    );
    let each = zip(&a, &b, |x, y| (x - y).abs());
    let distance = each.iter().map(|d| d * d).sum::<f64>().sqrt();
    Run::new(
        "hefactory/l2_distance.loom",
        vec![("a", vec![8], a.into()), ("b", vec![8], b.into())],
    )
    .gives("distance", vec![distance])
    .gives("each", each)
    .to(8.0)
    .check();
}

/// The dot product and the quadratic polynomial, written in Rust.
#[test]
fn programs_in_rust_are_right_under_encryption() {
    let up: Vec<f64> = (1..=8).map(f64::from).collect();
    let down: Vec<f64> = up.iter().rev().copied().collect();
    let dot_product = Model::trace("dot_product", |t| {
        let a = t.input("a", &[8], 1.0..=8.0);
        let b = t.input("b", &[8], 1.0..=8.0);
        t.output("clear_product", a.dot(down.clone()));
        t.output("product", a.dot(&b));
    });
    let inputs = vec![("a", vec![8], up.clone()), ("b", vec![8], down.clone())];
    Run::new("dot product in Rust", inputs)
        .gives("clear_product", vec![120.0])
        .gives("product", vec![120.0])
        .check_model(&dot_product.unwrap());
    let quadratic = Model::trace("quadratic_polynomial", |t| {
        let x = t.input("x", &[8], 1.0..=8.0);
        t.output("y", 2.0 * (&x * &x) + 3.0 * &x + 7.0);
    });
    Run::new("quadratic in Rust", vec![("x", vec![8], up.clone())])
        .gives(
            "y",
            up.iter().map(|x| 2.0 * x * x + 3.0 * x + 7.0).collect(),
        )
        .check_model(&quadratic.unwrap());
}

#[test]
fn other_examples_are_right_under_encryption() {
    let one = |path: &'static str, data: Vec<f64>| {
        let input = match path {
            "loom/logistic_regression.loom" => "features",
            path if path.contains("vector") => "v",
            _ => "x",
        };
        Run::new(path, vec![(input, vec![data.len()], data)])
    };
    let x = numbers(8, -4.0, 4.0, 6);
    one("loom/absolute_value.loom", x.clone())
        .gives("y", x.iter().map(|x| x.abs()).collect())
        .to(8.0)
        .check();
    let x = numbers(8, 1.0, 10.0, 7);
    one("loom/inverse.loom", x.clone())
        .gives("y", x.iter().map(|x| 1.0 / x).collect())
        .to(10.0)
        .check();
    let x = numbers(8, 0.0, 9.0, 8);
    one("loom/square_root.loom", x.clone())
        .gives("y", x.iter().map(|x| x.sqrt()).collect())
        .to(8.0)
        .check();
    let x = numbers(8, -8.0, 8.0, 9);
    one("loom/negation.loom", x.clone())
        .gives("y", x.iter().map(|x| -x).collect())
        .check();
    let x = numbers(8, -1.0, 1.0, 10);
    let polynomial = |x: &f64| 0.5 - x + 0.25 * x * x + 2.0 * x * x * x;
    one("loom/polynomial_evaluation.loom", x.clone())
        .gives("y", x.iter().map(polynomial).collect())
        .check();
    let weight = [0.6, -1.2, 0.3, 0.8, -0.5, 1.1, -0.7, 0.4];
    let score = 0.25 + zip(&x, &weight, |a, b| a * b).iter().sum::<f64>();
    let probability = vec![1.0 / (1.0 + (-score).exp())];
    one("loom/logistic_regression.loom", x.clone())
        .gives("probability", probability.clone())
        .to(10.0)
        .check();
    // The client finishes the sigmoid where it may.
    one("loom/logistic_regression.loom", x)
        .gives("probability", probability)
        .check();
    let v = numbers(4, -1.0, 1.0, 11);
    let m: Vec<f64> = (1..=12).map(f64::from).collect();
    one("loom/vector_matrix.loom", v.clone())
        .gives("y", product(&v, 4, &m))
        .check();
    let v = numbers(8, 0.0, 1.0, 12);
    let running: Vec<f64> = (1..=8).map(|n| v[..n].iter().sum()).collect();
    one("loom/vector_accumulation.loom", v)
        .gives("sum_of_all", vec![running[7]])
        .gives("running", running)
        .check();
}

/// Polynomials of one value and of others that share primes: none may lead the scales of another astray.
#[test]
fn functions_side_by_side_are_right_under_encryption() {
    let text = "input x: encrypted[4] in -2..2
input y: encrypted[4] in 0.5..3
output p = sigmoid(dot(x, [0.5, -1, 2, 0.25]) + 0.1)
output q = inverse(y) * abs(x)
output r = max(x, y)
output s = norm(x)
output t = sqrt(y) - x
";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("several.loom");
    fs::write(&path, text).unwrap();
    let (x, y) = (vec![-2.0, 1.5, 2.0, -1.0], vec![0.5, 3.0, 1.0, 2.0]);
    let score = 0.5 * x[0] - x[1] + 2.0 * x[2] + 0.25 * x[3] + 0.1;
    let one = |name, data| (name, vec![4], data);
    let squares: f64 = x.iter().map(|x| x * x).sum();
    Run::new("several", vec![one("x", x.clone()), one("y", y.clone())])
        .gives("p", vec![1.0 / (1.0 + (-score).exp())])
        .gives("q", zip(&x, &y, |x, y| x.abs() / y))
        .gives("r", zip(&x, &y, f64::max))
        .gives("s", vec![squares.sqrt()])
        .gives("t", zip(&x, &y, |x, y| y.sqrt() - x))
        .to(8.0)
        .check_model(&Model::from_loom(path).unwrap());
}

/// Comparisons in the middle of programs: the wanted precision outside of the dead zone.
#[test]
fn comparisons_are_right_outside_of_their_dead_zones() {
    // Differences are at least 2^-6 of the largest that can be, 4.
    let x = vec![-2.0, 2.0, 0.25, -0.5, 1.0, 1.5, -1.75, 0.0625];
    let z = vec![2.0, -2.0, 0.1875, -0.25, -1.0, 1.4375, 1.75, 0.0];
    let text = "input x: encrypted[8] in -2..2\ninput z: encrypted[8] in -2..2\n\
                output less = x < z\noutput chosen = where(x >= z, x, 2 * z) * 0.5\n\
                output count = sum(x > z)\noutput product = (x <= z) * x\noutput signs = sign(x - z) + step(z - x)\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("compare.loom");
    fs::write(&path, text).unwrap();
    let less = zip(&x, &z, |x, z| f64::from(u8::from(x < z)));
    let chosen = zip(&x, &z, |x, z| if x >= z { x } else { 2.0 * z } * 0.5);
    let count = less.iter().map(|l| 1.0 - l).sum();
    let product = zip(&x, &z, |x, z| if x <= z { x } else { 0.0 });
    let signs = zip(&x, &z, |x, z| if x > z { 1.0 } else { 0.0 });
    Run::new("compare", vec![("x", vec![8], x), ("z", vec![8], z)])
        .to(7.0)
        .gives("less", less)
        .gives("chosen", chosen)
        .gives("count", vec![count])
        .gives("product", product)
        .gives("signs", signs)
        .check_model(&Model::from_loom(path).unwrap());
}

/// A sign of what a polynomial gives, and a product behind it: noise must not carry a value past the end of a domain.
#[test]
fn signs_of_functions_are_right_under_encryption() {
    let text = "input x: encrypted[6] in -1..1\ninput y: encrypted[6] in -2..2\n\
                let a = clip(x, -0.5, 0.6)\nlet b = where(a > 0.1, a, 0.5 * y + 0.3)\n\
                output c = abs(a)\noutput d = 0.5 * (x + b) - 0.1\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signs.loom");
    fs::write(&path, text).unwrap();
    let x = vec![-1.0, 1.0, 0.3, -0.25, 0.75, -0.5];
    let y = vec![2.0, -2.0, 1.0, 0.5, -1.5, 1.75];
    let a: Vec<f64> = x.iter().map(|x: &f64| x.clamp(-0.5, 0.6)).collect();
    let b = zip(&a, &y, |a, y| if a > 0.1 { a } else { 0.5 * y + 0.3 });
    Run::new("signs", vec![("x", vec![6], x.clone()), ("y", vec![6], y)])
        .to(5.0)
        .gives("c", a.iter().map(|a| a.abs()).collect())
        .gives("d", zip(&x, &b, |x, b| 0.5 * (x + b) - 0.1))
        .check_model(&Model::from_loom(path).unwrap());
}

/// Equality of whole numbers, with a dead zone below the distance of two of them.
#[test]
fn whole_numbers_are_found_equal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let text = "input x: encrypted[4] in 0..9\ninput z: encrypted[4] in 0..9\noutput same = (x == z) * 3\n";
    fs::write(path.join("p.loom"), text).unwrap();
    let compile = "compile p.loom -o p --keep-tail --precision 6";
    ok(path, &format!("{compile} --dead-zone 0.1"));
    let text = common::unbroken(&ok(path, "explain p"));
    assert!(
        text.contains("sign") && text.contains("9.18e-1 to 0 on, undecided below"),
        "{text}"
    );
    let [x, z] = [[0.0, 9.0, 4.0, 5.0], [9.0, 9.0, 3.0, 5.0]].map(|v| Tensor::from_vec(v.to_vec()));
    let arrays = [("x", &x, DType::F64), ("z", &z, DType::F64)];
    fs::write(path.join("in.npz"), npz::write(&arrays, false).unwrap()).unwrap();
    ok(path, "infer p --input in.npz -o y.npy");
    let bytes = fs::read(path.join("y.npy")).unwrap();
    let same = npz::Arrays::open(&bytes, "y").unwrap().read("y").unwrap();
    for (same, expected) in same.data().iter().zip([0.0, 3.0, 0.0, 3.0]) {
        assert!(
            (same - expected).abs() < 3.0 / 64.0,
            "{same} for {expected}"
        );
    }
    // What no composition gives is refused, and the place named.
    let text = refused(path, "compile p.loom -o q --keep-tail --precision 40");
    assert!(
        text.contains("p.loom:3:") && text.contains("--dead-zone"),
        "{text}"
    );
    let text = refused(path, "compile p.loom -o q --dead-zone 0.7");
    assert!(text.contains("the dead zone"), "{text}");
    assert!(!path.join("q").exists());
}

/// Products with values in clear switch no key, yet are products.
#[test]
fn clear_inputs_go_in_as_they_are() {
    let text = "input x: encrypted[8] in -2..2\ninput w: clear[8] in -1..3\ninput m: clear[4, 8] in -1..1\n\
                output scaled = x * w + w\noutput square = (x * w + 1)^2\noutput product = m @ x\noutput own = w^2 - w\n";
    let (x, w, m) = (
        numbers(8, -2.0, 2.0, 3),
        numbers(8, -1.0, 3.0, 4),
        numbers(32, -1.0, 1.0, 5),
    );
    let scaled = zip(&x, &w, |x, w| x * w + w);
    let square = zip(&x, &w, |x, w| (x * w + 1.0).powi(2));
    let own = w.iter().map(|w| w * w - w).collect();
    let expected = product(&m, 8, &x);
    let inputs = vec![("x", vec![8], x), ("w", vec![8], w), ("m", vec![4, 8], m)];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clear.loom");
    fs::write(&path, text).unwrap();
    Run::new("clear", inputs)
        .gives("scaled", scaled)
        .gives("square", square)
        .gives("product", expected)
        .gives("own", own)
        .check_model(&Model::from_loom(path).unwrap());
}

/// The plan's maker cannot make a client send in clear what its user has not agreed to.
#[test]
fn clear_inputs_take_consent() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let text = "input x: encrypted[2] in 0..1\ninput w: clear[2] in 0..1\noutput y = x * w\n";
    fs::write(dir.join("p.loom"), text).unwrap();
    let [x, w] = [[0.5, 1.0], [0.25, 0.75]].map(|v| Tensor::from_vec(v.to_vec()));
    let arrays = [("x", &x, DType::F64), ("w", &w, DType::F64)];
    fs::write(dir.join("in.npz"), npz::write(&arrays, false).unwrap()).unwrap();
    ok(dir, "compile p.loom -o p");
    ok(
        dir,
        "keygen p/client.plan --secret-key s --eval-key e --public-key k",
    );
    for key in ["--secret-key s", "--public-key k"] {
        let encrypt = format!("encrypt p/client.plan {key} --input in.npz -o x.ct");
        let refusal = refused(dir, &encrypt);
        assert!(refusal.contains("declares input \"w\" clear"), "{refusal}");
        assert!(!dir.join("x.ct").exists());
        assert!(refused(dir, &format!("{encrypt} --clear x --clear w")).contains("--clear x"));
        ok(dir, &format!("{encrypt} --clear w"));
        ok(dir, "run p/server.plan --eval-key e x.ct -o y.ct");
        ok(dir, "decrypt p/client.plan --secret-key s y.ct -o y.npy");
        let bytes = fs::read(dir.join("y.npy")).unwrap();
        let found = npz::Arrays::open(&bytes, "y").unwrap().read("y").unwrap();
        for (found, expected) in found.data().iter().zip([0.125, 0.75]) {
            assert!((found - expected).abs() < 1e-3, "{found} for {expected}");
        }
        fs::remove_file(dir.join("x.ct")).unwrap();
    }
    assert!(ok(dir, "explain p").contains("clear input \"w\""));
    assert!(
        refused(dir, "compile p.loom -o t --backend tfhe --calibrate in.npz").contains("clear")
    );
}

#[test]
fn ten_programs_take_few_lines() {
    let mut lines = 0;
    let mut programs = 0;
    for entry in fs::read_dir("examples/hefactory").unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let counts = |l: &&str| !l.trim().is_empty() && !l.trim().starts_with('#');
        lines += text.lines().filter(counts).count();
        programs += 1;
    }
    assert_eq!(programs, 10);
    assert!(lines <= 100, "{lines} lines");
}

#[test]
fn the_command_line_takes_programs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::write(
        path.join("p.loom"),
        "input x:encrypted[ 4 ] in 0 .. 2 # four\noutput y=sqrt( x@ones([4,4])+1 )\n",
    )
    .unwrap();
    let mut input = Vec::new();
    let x = Tensor::from_vec(vec![0.0, 2.0, 1.0, 0.5]);
    cipherloom::data::npy::write(&x, cipherloom::DType::F64, &mut input).unwrap();
    fs::write(path.join("x.npy"), input).unwrap();
    // Formatting: what is to be done, done, and nothing left to do.
    assert!(refused(path, "fmt --check p.loom").contains("p.loom"));
    ok(path, "fmt p.loom");
    let formatted =
        "input x: encrypted[4] in 0..2  # four\noutput y = sqrt(x @ ones([4, 4]) + 1)\n";
    assert_eq!(fs::read_to_string(path.join("p.loom")).unwrap(), formatted);
    ok(path, "fmt --check p.loom");
    ok(path, "compile p.loom -o plan --keep-tail --precision 8");
    let text = ok(path, "explain plan");
    assert!(text.contains("p.loom:2:1"), "{text}");
    ok(path, "infer plan --input x.npy -o y.npy");
    let bytes = fs::read(path.join("y.npy")).unwrap();
    let y = cipherloom::data::npz::Arrays::open(&bytes, "y")
        .unwrap()
        .read("y")
        .unwrap();
    assert!(
        y.data().iter().all(|y| (y - 4.5_f64.sqrt()).abs() < 0.02),
        "{y:?}"
    );
    ok(path, "check p.loom --input x.npy --encrypted 1");
    // Faults name the line, and nothing is written.
    fs::write(
        path.join("bad.loom"),
        "input x: encrypted[4] in -1..1\noutput y = sqrt(x) + z\n",
    )
    .unwrap();
    let text = refused(path, "compile bad.loom -o bad");
    assert!(
        text.contains("bad.loom:2:22") && text.contains("there is no variable `z`"),
        "{text}"
    );
    assert!(refused(path, "fmt missing.loom").contains("missing.loom"));
    fs::write(
        path.join("pole.loom"),
        "input x: encrypted[4] in -1..1\noutput y = sqrt(x) + 1\n",
    )
    .unwrap();
    let text = refused(path, "compile pole.loom -o bad");
    assert!(
        text.contains("pole.loom:2:12") && text.contains("no value below 0"),
        "{text}"
    );
    // A narrower range leaves it out.
    ok(
        path,
        "compile pole.loom -o pole --input-range x=0,1 --precision 8",
    );
    // A program without ranges asks for them.
    fs::write(
        path.join("open.loom"),
        "input x: encrypted[4]\noutput y = x^2\n",
    )
    .unwrap();
    assert!(refused(path, "compile open.loom -o bad").contains("--input-range x=LO,HI"));
    ok(path, "compile open.loom -o open --input-range x=0,1");
}
