//! What has no form at the integer stage: all of it is refused at once.

use super::error::IntegerError;
use crate::pass::refused;
use cipherloom_ir::tensor::{Comparison, Module, Op, Reduction};

pub(super) fn check(module: &Module) -> Result<(), IntegerError> {
    match refused(module, refusal) {
        None => Ok(()),
        Some(found) => Err(IntegerError::Unsupported(found)),
    }
}

/// Why an operation has no form here, and what to do about it.
fn refusal(op: &Op, _operand: &[usize], last: bool) -> Option<(String, &'static str)> {
    const AFTER: &str = "stop before it with `--output NAME`, and do the rest after decryption";
    let reason = match op {
        Op::Softmax { .. } | Op::LogSoftmax { .. } => {
            "a softmax over so many values is none of the forms that are taken apart"
        }
        Op::Div => "it divides by an encrypted value, which no table of one number does",
        Op::Compare(Comparison::Equal) => {
            "values are rounded under encryption, so that equality means nothing"
        }
        Op::Reduce {
            kind: Reduction::Prod,
            ..
        } => "a product over an axis has too many factors",
        Op::TopK { values: true, .. } => {
            "it hands out several of the largest elements themselves, where their positions alone have a form"
        }
        Op::Approximation { .. } => "it is a polynomial of another backend",
        _ => return None,
    };
    let help = if last {
        "it comes last: compile without `--keep-tail`, and the client computes it after decryption"
    } else {
        AFTER
    };
    Some((reason.to_owned(), help))
}
