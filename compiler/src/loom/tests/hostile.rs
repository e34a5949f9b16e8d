//! Programs that ask for too much, and texts that are no programs.

use super::program;
use crate::loom::{format, read};
use proptest::prelude::*;

fn message(source: &str) -> String {
    match program(source) {
        Ok(_) => panic!("accepted: {}", &source[..source.len().min(200)]),
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 20_000, "{} bytes of message", text.len());
            text
        }
    }
}

const INPUT: &str = "input x: encrypted[4] in 0..1\n";

#[test]
fn depth_is_limited_before_anything_recurses() {
    for (open, close) in [("(", ")"), ("[", "]"), ("abs(", ")"), ("x[", "]")] {
        for depth in [45, 100_000] {
            let source = format!(
                "{INPUT}output y = {}x{}",
                open.repeat(depth),
                close.repeat(depth)
            );
            assert!(
                message(&source).contains("brackets within each other"),
                "{open}"
            );
            assert!(format("p", &source).is_err());
        }
    }
    let chains = [
        format!("{INPUT}output y = {}x", "-".repeat(100_000)),
        format!("{INPUT}output y = x{}", " + x".repeat(100_000)),
        format!("{INPUT}output y = x{}", " * x".repeat(500)),
        format!("{INPUT}output y = x{}", "[0:]".repeat(100_000)),
    ];
    for source in chains {
        assert!(message(&source).contains("operations within each other"));
    }
    // Just within the limits.
    let source = format!("{INPUT}output y = {}x{}", "(".repeat(40), ")".repeat(40));
    assert!(program(&source).is_ok());
    let source = format!("{INPUT}output y = x{}", " + x".repeat(100));
    assert!(program(&source).is_ok());
}

#[test]
fn a_short_text_cannot_ask_for_much() {
    let mut doubling = String::from(INPUT);
    doubling.push_str("fn f0(v) = v + v\n");
    for i in 1..40 {
        doubling.push_str(&format!("fn f{i}(v) = f{0}(v) + f{0}(v)\n", i - 1));
    }
    doubling.push_str("output y = f39(x)\n");
    assert!(message(&doubling).contains("more than 10000 operations"));
    let endless = format!("{INPUT}fn f(v) = f(v)\noutput y = f(x)");
    assert!(message(&endless).contains("operations and calls within each other"));
    for huge in [
        "full([100000, 100000], 1)",
        "zeros([1e15, 1e15])",
        "range(1e300)",
        "identity(1e9)",
        "pad(x, 1e15, 1e15)",
        "broadcast(x, [1e9, 4])",
    ] {
        let text = message(&format!("{INPUT}output y = x + {huge}"));
        assert!(
            text.contains(" elements") && text.contains("more than "),
            "{text}"
        );
    }
    let loops = format!(
        "{INPUT}let s = 0\nfor i in range(1e6) {{ for j in range(1e6) {{ s = s + 1 }} }}\noutput y = x + s"
    );
    assert!(message(&loops).contains("steps"));
    let memory = format!(
        "{INPUT}let s = 0\nfor i in range(1e6) {{ s = full([16777216], i) }}\noutput y = x"
    );
    assert!(message(&memory).contains("elements of constants"));
    let long = format!("{INPUT}output y = x + [{}]", "1, ".repeat(400_000));
    assert!(message(&long).contains("bytes, more than"));
}

/// Words and signs of the language, so that random texts come near to programs.
const PIECES: [&str; 48] = [
    "input ",
    "output ",
    "let ",
    "fn ",
    "for ",
    "in ",
    "return ",
    "model ",
    "encrypted",
    "clear",
    "x",
    "y",
    "f",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "..",
    "=",
    "==",
    "+",
    "-",
    "*",
    "/",
    "@",
    "^",
    "<",
    "1",
    "2.5",
    "1e9",
    "\"a\"",
    "\n",
    "\n",
    "\n",
    " ",
    "#c",
    "sum(",
    "conv2d(",
    "concat(",
    "reshape(",
    "x: encrypted[4] in 0..1\n",
    "output y = ",
    "let z = ",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_text_panics(picks in prop::collection::vec(0..PIECES.len(), 0..40), tail in "\\PC{0,12}") {
        let mut source: String = picks.iter().map(|i| PIECES[*i]).collect();
        source.push_str(&tail);
        for source in [source.clone(), format!("{INPUT}{source}")] {
            if let Err(error) = program(&source) {
                prop_assert!(!error.faults.is_empty());
                let _ = error.to_string();
            }
            if let Ok(once) = format("p", &source) {
                let again = format("p", &once);
                prop_assert_eq!(again.as_ref().ok(), Some(&once), "{}", source);
                let (before, after) = (read_result(&source), read_result(&once));
                prop_assert_eq!(before, after, "{}", source);
            }
        }
    }
}

/// The module's text without places, or that there is none.
fn read_result(source: &str) -> Option<String> {
    let module = read("p", source, &crate::loom::NoResources).ok()?.module;
    let text = module.to_string();
    Some(
        text.lines()
            .map(|l| l.split(';').next().unwrap_or(l).trim_end().to_owned() + "\n")
            .collect(),
    )
}
