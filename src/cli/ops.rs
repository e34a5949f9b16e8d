//! `ops`: the ONNX operators that can be compiled.

use super::ui::Ui;
use cipherloom::Error;
use cipherloom::onnx::{IR_VERSIONS, OPSETS, operators};
use serde::Serialize;
use std::fmt::Write;

/// Arguments of `ops`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Outcome {
    opsets: [i64; 2],
    ir_versions: [i64; 2],
    operators: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    /// Empty for ONNX's own operators.
    domain: &'static str,
    name: &'static str,
    /// The versions of the domain in which it is read.
    opsets: [i64; 2],
    /// `exact`, `approximate`, `client` or `constants`.
    ckks: &'static str,
    /// `linear`, `lookup`, `client` or `constants`.
    tfhe: &'static str,
    limits: &'static str,
}

/// What the words of the columns mean.
const LEGEND: &str = "
exact        additions, multiplications and data movement; only noise is added
approximate  by a polynomial that is fitted on the range of its operand
linear       sums with constant weights; products of two encrypted values are lookups of squares
lookup       by table lookups, a bootstrap for each element or several; maxima and comparisons of what activations or small whole
             inputs give are exact
client       not under encryption: the client finishes it after decryption, where it comes last
constants    on weights and shapes alone, while compiling";

pub(crate) fn main(ui: Ui, _args: Args) -> Result<(), Error> {
    let operators: Vec<Row> = operators()
        .map(|operator| Row {
            domain: operator.domain,
            name: operator.name,
            opsets: bounds(operator.opsets()),
            ckks: operator.computation.name(),
            tfhe: operator.by_tables().name(),
            limits: operator.limits,
        })
        .collect();
    let mut text = format!(
        "ONNX operators, opsets {} to {}\n\n{:<34} {:<7} {:<12} {:<10} limits\n",
        OPSETS.start(),
        OPSETS.end(),
        "operator",
        "opsets",
        "ckks",
        "tfhe"
    );
    for row in &operators {
        let name = match row.domain {
            "" => row.name.to_owned(),
            domain => format!("{domain}.{}", row.name),
        };
        let line = format!(
            "{name:<34} {:<7} {:<12} {:<10} {}",
            format!("{}-{}", row.opsets[0], row.opsets[1]),
            row.ckks,
            row.tfhe,
            row.limits
        );
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push_str(LEGEND);
    ui.result(&text)?;
    ui.object(&Outcome {
        opsets: bounds(OPSETS),
        ir_versions: bounds(IR_VERSIONS),
        operators,
    })
}

fn bounds(range: std::ops::RangeInclusive<i64>) -> [i64; 2] {
    [*range.start(), *range.end()]
}
