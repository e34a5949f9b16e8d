//! Programs written in Rust: the same modules as from a text, the same messages.

use super::super::{LoomError, Program, Traced, trace};
use super::{clear, program, run};
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Module;

/// The module's text without the names of its source and its origins.
fn shape_of(module: &Module) -> String {
    let mut module = module.clone();
    module.source.clear();
    module.name.clear();
    let text = module.to_string();
    let line = |l: &str| {
        l.split(" ; ")
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn same(traced: &Program, text: &str) {
    let read = program(text).unwrap();
    assert_eq!(shape_of(&traced.module), shape_of(&read.module));
}

#[test]
fn operators_make_what_a_text_makes() {
    let traced = trace("p", |t| {
        let x = t.input("x", &[2, 3], -1.0..=1.0);
        let z = t.input("z", &[3], 1.0..=2.0);
        let w = t.clear_input("w", &[3], 0.0..=1.0);
        t.output("m", &x * &w);
        t.output("a", 2.0 * &x + &z - 1.0);
        t.output("b", (1.0 - &x) / 4.0);
        t.output("c", -(&x * &z));
        t.output("d", &x / &z);
        t.output("e", 1.0 / &z);
        t.output("f", (&x - &z) * (&x - &z));
        t.output("g", x.matmul(&z));
        t.output("h", x.pow(3.0));
        t.output("i", &x + [10.0, 20.0, 30.0]);
        t.output("j", [[1.0], [2.0]].operand_plus(&x));
        t.output("k", z.greater(&x));
        t.output("l", &Tensor::from_vec(vec![1.0, 2.0, 3.0]) * &z);
    });
    let text = "input x: encrypted[2, 3] in -1..1\ninput z: encrypted[3] in 1..2\n\
                input w: clear[3] in 0..1\noutput m = x * w\noutput a = 2 * x + z - 1\n\
                output b = (1 - x) / 4\noutput c = -(x * z)\noutput d = x / z\noutput e = 1 / z\n\
                output f = (x - z) * (x - z)\noutput g = x @ z\noutput h = x^3\noutput i = x + [10, 20, 30]\n\
                output j = [[1], [2]] + x\noutput k = z > x\noutput l = [1, 2, 3] * z\n";
    same(&traced.unwrap(), text);
}

/// A constant on the left that is no number: through a traced constant.
trait OperandPlus {
    fn operand_plus(self, x: &Traced) -> Traced;
}

impl OperandPlus for [[f64; 1]; 2] {
    fn operand_plus(self, x: &Traced) -> Traced {
        x + self
    }
}

#[test]
fn functions_make_what_a_text_makes() {
    let traced = trace("p", |t| {
        let image = t.input("image", &[4, 4], 0.0..=1.0);
        let v = t.input("v", &[4], 0.5..=1.0);
        t.output("a", image.conv2d([[1.0, 0.0], [0.0, -1.0]]).flatten().sum());
        let same = [("padding", "same".into())];
        t.output(
            "b",
            t.call("conv2d", [(&image).into(), [[1.0; 3]; 3].into()], same),
        );
        t.output("c", v.dot([4.0, 3.0, 2.0, 1.0]));
        t.output("d", v.dot(&v).sqrt());
        t.output("e", v.polynomial(&[1.0, 2.0, 3.0]));
        t.output("f", image.reshape(&[2, 8]).transpose().sum_along(-1));
        t.output("g", v.rotate(1).slice(0, 2));
        t.output("h", t.call("concat", [(&v).into(), v.tanh().into()], []));
        t.output("i", image.mean() + v.norm());
        // Loops and functions are those of Rust.
        let square = |x: &Traced| x * x;
        let total = (0..3).map(|_| square(&v)).reduce(|a, b| a + b);
        t.output("j", total.unwrap());
    });
    let text = "input image: encrypted[4, 4] in 0..1\ninput v: encrypted[4] in 0.5..1\n\
                output a = sum(flatten(conv2d(image, [[1, 0], [0, -1]])))\n\
                output b = conv2d(image, full([3, 3], 1), padding=\"same\")\noutput c = dot(v, [4, 3, 2, 1])\n\
                output d = sqrt(dot(v, v))\noutput e = polynomial(v, [1, 2, 3])\n\
                output f = sum(transpose(reshape(image, [2, 8])), -1)\noutput g = slice(rotate(v, 1), 0, 2, axis=0)\n\
                output h = concat(v, tanh(v))\noutput i = mean(image) + norm(v)\n\
                output j = v * v + v * v + v * v\n";
    let traced = traced.unwrap();
    let read = program(text).unwrap();
    let given: [(&str, &[f64]); 2] = [("image", &[0.25; 16]), ("v", &[0.5, 0.75, 1.0, 0.625])];
    assert_eq!(clear(&traced.module, &given), run(text, &given));
    assert_eq!(traced.module.outputs.len(), read.module.outputs.len());
}

#[test]
fn networks_are_functions() {
    let net =
        program("input x: encrypted[3] in 0..1\noutput twice = 2 * x\noutput total = sum(x)\n")
            .unwrap();
    let traced = trace("p", |t| {
        let x = t.input("x", &[3], 0.0..=1.0);
        let found = t.network(&net.module, &[&(&x + 1.0)]);
        t.output("twice", &found[0] - 1.0);
        t.output("sum", &found[1]);
    });
    let found = clear(&traced.unwrap().module, &[("x", &[0.0, 0.5, 1.0])]);
    assert_eq!(found["twice"].data(), [1.0, 2.0, 3.0]);
    assert_eq!(found["sum"].data(), [4.5]);
}

/// The message with places of this file as line 0, which moves with every edit.
fn message(result: Result<Program, LoomError>) -> String {
    let text = result.unwrap_err().to_string();
    let line = |l: &str| match l.split_once("tracing.rs:") {
        Some((before, _)) => format!("{before}tracing.rs"),
        None => l.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn faults_name_the_line_of_rust() {
    let error = trace("p", |t| {
        let x = t.input("x", &[3], 0.0..=1.0);
        t.output("y", &x + [1.0, 2.0]);
    })
    .unwrap_err();
    let here = line!() - 3;
    assert!(
        error.to_string().contains(&format!("tracing.rs:{here}:")),
        "{error}"
    );

    let mut outside = None;
    let first = trace("first", |t| {
        let x = t.input("x", &[3], 0.0..=1.0);
        t.output("y", &x);
        outside = Some(x);
    });
    assert!(first.is_ok());
    let outside = outside.unwrap();
    // A value that outlives its program is none of another.
    let faults = message(trace("p", |t| {
        let x = t.input("x", &[3], 0.0..=1.0);
        let _ = t.input("unused", &[], 0.0..=1.0);
        let _ = t.input("empty", &[2], 1.0..=1.0);
        let _ = t.input("x", &[2], 0.0..=1.0);
        let wrong = x.matmul([[1.0, 2.0]]);
        assert_eq!(wrong.shape(), None);
        // What is wrong is told once.
        t.output("wrong", (wrong + 1.0).sqrt());
        t.output("foreign", &x + &outside);
        t.output("unknown", x.apply("sqroot"));
        t.output(
            "argument",
            t.call("sum", [(&x).into()], [("axes", 0.into())]),
        );
        t.output("constant", t.constant([1.0, 2.0]) * 2.0);
        t.output("zero", &x / 0.0);
    }));
    let expected = [
        "the range is empty",
        "input `x` is declared already",
        "a matrix product of [3] with [1, 2]: 3 columns meet 1 rows",
        "a value of another program: only constants can be shared",
        "there is no function `sqroot`\n   = help: did you mean `sqrt`?",
        "`sum` has no parameter `axes`\n   = help: it is called so: sum(x, [axis], [keep])",
        "an output is an encrypted value, and this is a constant [2]",
        "a division by 0",
    ];
    let drawn = expected.map(|text| format!("\n  --> tracing.rs\n   = {text}"));
    let head = "8 faults in p".to_owned();
    for text in drawn.iter().chain([&head]) {
        assert!(faults.contains(text), "{text} is not in: {faults}");
    }
    assert_eq!(
        message(trace("p", |_| {})),
        "1 fault in p\n  --> tracing.rs\n   = the program has no output\n   = help: give it one: trace.output(name, value)"
    );
    let poles = trace("p", |t| {
        let x = t.input("x", &[3], -1.0..=1.0);
        t.output("y", x.inverse());
    });
    let poles = poles
        .unwrap()
        .check_domains(&Default::default())
        .unwrap_err();
    assert!(
        poles.to_string().contains("1 / x has no value at 0"),
        "{poles}"
    );
    assert!(poles.to_string().contains("tracing.rs:"), "{poles}");
}
