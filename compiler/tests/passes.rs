//! Each pass on small texts: `passes/NAME.txt` holds a module below a line `# run: PASS`; the module that the pass
//! leaves, or its error, is a snapshot. Rewrites must keep the values.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cipherloom_compiler::compile::SPLIT_TAIL;
use cipherloom_compiler::data::Evidence;
use cipherloom_compiler::pass::split_tail::{Split, split};
use cipherloom_compiler::pass::{Driver, FindRanges, PrintAfter, TensorPass, standard};
use cipherloom_ir::tensor::{Module, eval, parse};
use cipherloom_ir::{Range, Tensor, Tensors};
use std::collections::BTreeMap;
use std::path::Path;

fn run(module: &mut Module, command: &str) -> Result<(), String> {
    let mut words = command.split_whitespace();
    let name = words.next().unwrap();
    let declared: BTreeMap<String, Range> = words
        .map(|word| {
            let (input, range) = word.split_once('=').unwrap();
            let (lo, hi) = range.split_once(',').unwrap();
            (
                input.to_owned(),
                Range::new(lo.parse().unwrap(), hi.parse().unwrap()).unwrap(),
            )
        })
        .collect();
    let mut ranges = FindRanges::new(Evidence::Declared(&declared));
    let mut rewriting = standard();
    let mut all: Vec<&mut dyn TensorPass> = rewriting.iter_mut().map(|p| p.as_mut() as _).collect();
    all.push(&mut ranges);
    all.retain(|p| p.name() == name);
    assert_eq!(all.len(), 1, "no pass {name}");
    let mut driver = Driver {
        print_after: PrintAfter::None,
        stop_after: None,
        verify_each: true,
        print: &mut |_, _| {},
    };
    driver
        .run(module, &mut all)
        .map(|_| ())
        .map_err(|e| e.to_string())
}

/// Runs a pass, or the split, which yields a second module.
fn run_any(module: &mut Module, command: &str) -> Result<Option<Module>, String> {
    if command != SPLIT_TAIL {
        return run(module, command).map(|()| None);
    }
    let Some(Split { body, tail }) = split(module) else {
        return Err("there is no tail".into());
    };
    *module = body;
    Ok(Some(tail))
}

#[test]
fn passes_leave_what_the_snapshots_say() {
    for path in common::files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/passes"),
        "txt",
    ) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        let command = first.strip_prefix("# run: ").unwrap();
        let before = parse(rest, &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(cipherloom_ir::tensor::verify(&before), [], "{name}");
        let mut after = before.clone();
        let result = match run_any(&mut after, command) {
            Err(error) => format!("error: {error}"),
            Ok(tail) => {
                for scale in [1.0, -0.7, 0.1] {
                    let input = &before.inputs[0];
                    let shape = before.graph.get(input.node).unwrap().shape.clone();
                    let mut x = Tensor::filled(shape, scale).unwrap();
                    x.data_mut()
                        .iter_mut()
                        .enumerate()
                        .for_each(|(i, v)| *v += 0.3 * i as f64);
                    let inputs: Tensors = [(input.name.clone(), x)].into();
                    let (a, b) = (
                        eval(&before, &inputs).unwrap(),
                        eval(&after, &inputs).unwrap(),
                    );
                    let b = match &tail {
                        Some(tail) => eval(tail, &b).unwrap(),
                        None => b,
                    };
                    for (output, a) in &a {
                        for (x, y) in a.data().iter().zip(b[output].data()) {
                            assert!(
                                (x - y).abs() < 1e-12 * (1.0 + x.abs()),
                                "{name}: {x} became {y}"
                            );
                        }
                    }
                }
                match &tail {
                    Some(tail) => {
                        assert_eq!(cipherloom_ir::tensor::verify(tail), [], "{name}");
                        assert_eq!(cipherloom_ir::tensor::verify(&after), [], "{name}");
                        format!("{after}\n{tail}")
                    }
                    None => after.to_string(),
                }
            }
        };
        insta::with_settings!({ description => command, omit_expression => true }, {
            insta::assert_snapshot!(name, result);
        });
    }
}
