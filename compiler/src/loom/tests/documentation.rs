//! The reference: each program in it is read, and what it says of values is computed.

use super::clear;
use crate::loom::{Resources, read, signatures};
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{Module, parse};

const REFERENCE: &str = include_str!("../../../../docs/loom.md");

/// The files that the reference's examples name.
struct Files;

impl Resources for Files {
    fn array(&self, _: &str, name: Option<&str>) -> Result<Tensor, String> {
        let shape = match name {
            Some("weight") => vec![2, 3],
            _ => vec![2],
        };
        let count: usize = shape.iter().product();
        Tensor::new(shape, (1..=count).map(|i| i as f64).collect()).ok_or("shape".into())
    }

    fn model(&self, _: &str) -> Result<Module, String> {
        let text = "module \"net\" · from \"net\" · stage tensor\n[1,4] - | %0 = input \"in\"\n[1,4] - | %1 = power %0 exponent 2\ninput \"in\" = %0 · f32 · \
                    batched\noutput \"out\" = %1 · batched\n";
        parse(text, &[]).map_err(|e| e.to_string())
    }
}

fn blocks() -> Vec<&'static str> {
    let parts = REFERENCE.split("```loom\n").skip(1);
    parts
        .map(|p| p.split("```").next().unwrap_or_default())
        .collect()
}

fn numbers(text: &str) -> Vec<f64> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || "-.e".contains(c)));
    words
        .filter(|w| !w.is_empty())
        .map(|w| w.parse().unwrap())
        .collect()
}

#[test]
fn every_example_is_read_and_gives_what_it_says() {
    let (mut examples, mut results) = (0, 0);
    for block in blocks() {
        let program = read("reference.loom", block, &Files).unwrap_or_else(|e| panic!("{e}"));
        examples += 1;
        for line in block.lines().filter_map(|l| l.strip_prefix("# gives ")) {
            // `# gives y = [...] for x = [...]; z = [...]`
            let (outputs, inputs) = line.split_once(" for ").unwrap();
            let pairs = |text: &'static str| {
                let pair = |p: &'static str| {
                    p.split_once('=')
                        .map(|(n, v)| (n.trim(), numbers(v)))
                        .unwrap()
                };
                text.split(';').map(pair).collect::<Vec<_>>()
            };
            let inputs = pairs(inputs);
            let borrowed: Vec<(&str, &[f64])> = inputs.iter().map(|(n, v)| (*n, &v[..])).collect();
            let found = clear(&program.module, &borrowed);
            for (name, expected) in pairs(outputs) {
                let found = found[name].data();
                assert_eq!(found.len(), expected.len(), "{line}");
                assert!(
                    found
                        .iter()
                        .zip(&expected)
                        .all(|(f, e)| (f - e).abs() < 1e-3),
                    "{line}: {found:?}"
                );
                results += 1;
            }
        }
    }
    assert!(
        examples >= 9 && results >= 12,
        "{examples} examples, {results} results"
    );
}

#[test]
fn every_function_is_in_the_reference() {
    for (group, functions) in signatures() {
        for function in functions {
            let shown = REFERENCE.contains(&format!("`{function}`"));
            assert!(shown, "{group}: {function} is not in docs/loom.md");
        }
    }
}
