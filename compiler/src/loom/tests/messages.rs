//! Wrong programs and what is said of them, word for word.

use super::program;
use std::fmt::Write;

/// Each is a program after the line `input x: encrypted[4] in 0..1`, unless it begins with `!`.
const WRONG: [&str; 66] = [
    "!",
    "!output y = 1",
    "!input x: encrypted[4]",
    "output y = ",
    "output y = x +",
    "output y = (x",
    "output y = x)",
    "output y = [x, (x]",
    "let = 3",
    "let for = 3\noutput y = x",
    "let w 3\noutput y = x",
    "output y = x $ 2",
    "output y = 3x",
    "output y = x ** 2",
    "output y = \"unclosed",
    "input: encrypted[3]",
    "input z: secret[3] in 0..1",
    "input z: encrypted[3] in 0",
    "input z: encrypted[3] in 1..0\noutput y = x + z",
    "input z: encrypted[0] in 0..1\noutput y = x",
    "input z: encrypted[1.5] in 0..1\noutput y = x",
    "input z: encrypted[x] in 0..1\noutput y = x",
    "input z: encrypted[100000, 100000] in 0..1\noutput y = x",
    "input z: clear[4] in 1..0\noutput y = x + z",
    "input x: encrypted[4] in 0..1\noutput y = x",
    "input z: encrypted[4] in 0..1\noutput y = x",
    "output y = z",
    "output y = sigmiod(x)",
    "output y = undefined(x)",
    "let sum = 3\noutput y = x",
    "let a = 1\nlet a = 2\noutput y = x * a",
    "b = 2\noutput y = x",
    "output y = 1 + 2",
    "output y = \"text\"",
    "output y = x\noutput y = x + 1",
    "output y = x + [1, 2, 3]",
    "output y = x @ [[1, 2], [3, 4]]",
    "output y = x @ 3",
    "output y = [[1, 2], [3]] @ x",
    "output y = x + \"one\"",
    "output y = x / 0",
    "output y = x / [1, 0, 2, 3]",
    "output y = 2^x",
    "output y = x^5000",
    "output y = x[4]",
    "output y = x[0, 0]",
    "output y = x[2:2]",
    "output y = x[x]",
    "output y = reshape(x, [3, -1])",
    "output y = sum(x, axis=1)",
    "output y = sum()",
    "output y = sum(x, axes=0)",
    "output y = abs(x, 1)",
    "output y = sqrt(x, x=x)",
    "output y = conv2d(x, [[1, 1]])",
    "output y = conv2d(reshape(x, [2, 2]), x)",
    "output y = conv2d(reshape(x, [2, 2]), ones([3, 3]))",
    "output y = dense(x, [[1, 2, 3]])",
    "output y = concat(x, [[1]])",
    "output y = load(\"w.npz\")",
    "output y = model \"net.onnx\"",
    "fn f(a, b) = a + b\noutput y = f(x)",
    "fn f(a) {\n    let b = 2 * a\n}\noutput y = f(x)",
    "fn f(a) = a @ ones([3, 3])\noutput y = f(x)\nreturn x",
    "let w = full([2, 2], 1\nlet v = (x\noutput z == x\noutput y = 2 x",
    "fn f(a) = a + q\noutput y = x + [1, 2]\noutput z = f(x) + unknown\nlet w = sum(x, 3)\noutput v = x * w",
];

#[test]
fn wrong_programs_are_refused_in_these_words() {
    let mut text = String::new();
    for wrong in WRONG {
        let source = match wrong.strip_prefix('!') {
            Some(whole) => whole.to_owned(),
            None => format!("input x: encrypted[4] in 0..1\n{wrong}"),
        };
        match program(&source) {
            Ok(_) => panic!("accepted: {source}"),
            Err(error) => writeln!(text, "error: {error}\n").unwrap(),
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn poles_are_refused_under_their_line() {
    let mut text = String::new();
    for wrong in [
        "input x: encrypted[4] in -1..1\noutput y = sqrt(x) + 1",
        "input x: encrypted[4] in 0..1\noutput y = inverse(x)",
        "input x: encrypted[4] in -2..2\noutput y = 1 / (x + 1.5)",
        "input x: encrypted[4] in 1..2\ninput z: encrypted[4] in -1..1\noutput y = x / z",
        "input x: encrypted[4] in 0..3\nfn f(v) = log(v - 1)\noutput y = f(x) * 2",
        "input x: encrypted[4] in -1..1\noutput y = x^1.5",
        "input x: encrypted[4] in -1..1\nlet a = 1 / x\nlet b = log(x)\noutput y = sqrt(a) + b\noutput z = inverse(x - 2) + sqrt(x)",
    ] {
        let found = program(wrong).unwrap_or_else(|e| panic!("{e}"));
        let error = found.check_domains(&Default::default()).unwrap_err();
        writeln!(text, "error: {error}\n").unwrap();
    }
    insta::assert_snapshot!(text);
    for right in [
        "input x: encrypted[4] in -1..1\noutput y = sqrt(x^2)",
        "input x: encrypted[4] in 0..9\noutput y = sqrt(x)",
        "input x: encrypted[4] in 0.5..1\noutput y = inverse(x) + 1 / (x + 1)",
        "input x: encrypted[4] in -1..1\noutput y = norm(x)",
    ] {
        let found = program(right).unwrap_or_else(|e| panic!("{e}"));
        assert!(found.check_domains(&Default::default()).is_ok(), "{right}");
    }
}
