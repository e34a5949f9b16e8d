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
    name: &'static str,
    /// `encrypted`, `constants` (computed while compiling) or `no`, by backend.
    ckks: &'static str,
    tfhe: &'static str,
    limits: &'static str,
}

pub(crate) fn main(ui: Ui, _args: Args) -> Result<(), Error> {
    let operators: Vec<Row> = operators()
        .map(|operator| Row {
            name: operator.name,
            ckks: if operator.encrypted {
                "encrypted"
            } else {
                "constants"
            },
            tfhe: "no",
            limits: operator.limits,
        })
        .collect();
    let mut text = format!(
        "ONNX operators, opsets {} to {}\n\n{:<20} {:<10} {:<5} limits\n",
        OPSETS.start(),
        OPSETS.end(),
        "operator",
        "ckks",
        "tfhe"
    );
    for row in &operators {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<20} {:<10} {:<5} {}",
            row.name, row.ckks, row.tfhe, row.limits
        );
    }
    text.push_str("\nencrypted: on encrypted values; constants: on weights and shapes alone, while compiling; no: not yet");
    ui.result(&text)?;
    let bounds = |range: std::ops::RangeInclusive<i64>| [*range.start(), *range.end()];
    ui.object(&Outcome {
        opsets: bounds(OPSETS),
        ir_versions: bounds(IR_VERSIONS),
        operators,
    })
}
