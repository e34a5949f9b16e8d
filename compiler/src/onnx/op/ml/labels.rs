//! The classes of a classifier (attributes `classlabels_ints` and `classlabels_strings` or `classlabels_int64s`).
//!
//! Whole numbers are looked up in a table. Words are not: the label is the position of the word, and the module's
//! source names the words, so that people see which is which.

use crate::onnx::call::{Call, Encrypted};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Op;

/// Characters of the words that are named, at most.
const MAX_NAMED: usize = 400;

pub(super) enum Labels {
    Numbers(Vec<i64>),
    Words(Vec<String>),
}

impl Labels {
    /// Reads the attributes, of which one must name a class.
    pub(super) fn of(call: &mut Call<'_>) -> Result<Self, Refusal> {
        // Classifiers of trees have a name of their own for the numbers.
        let mut numbers = call.ints("classlabels_ints")?.unwrap_or_default();
        numbers.extend(call.ints("classlabels_int64s")?.unwrap_or_default());
        let words = call.strings("classlabels_strings")?.unwrap_or_default();
        match (numbers.is_empty(), words.is_empty()) {
            (false, true) => Ok(Self::Numbers(numbers)),
            (true, false) => Ok(Self::Words(words)),
            (true, true) => Err("it names no class".into()),
            (false, false) => Err("it names the classes twice, by numbers and by words".into()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Words(words) => words.len(),
        }
    }

    /// The label of the largest of the scores `[N, classes]`, `[N]`; the first of equal ones.
    pub(super) fn of_largest(
        &self,
        call: &mut Call<'_>,
        scores: &Encrypted,
    ) -> Result<Encrypted, Refusal> {
        let op = Op::ArgMax {
            axis: 1,
            smallest: false,
            last: false,
        };
        let position = call.emit(op, &[scores], &[])?;
        let count = position.shape.iter().product();
        let position = call.reshape(&position, &[count])?;
        let label = match self {
            Self::Numbers(numbers) if !numbers.iter().copied().eq(0..numbers.len() as i64) => {
                let table = numbers.iter().map(|n| *n as f64).collect();
                let table = Clear::new("classes", Elem::F64, Tensor::from_vec(table));
                let table = call.constant(&table)?;
                call.emit(Op::Lookup { table }, &[&position], &[])?
            }
            Self::Numbers(_) => position,
            Self::Words(words) => {
                name_words(call, words);
                position
            }
        };
        Ok(Encrypted {
            elem: Elem::Int("i64"),
            ..label
        })
    }
}

/// Says in the module's source what the numbers of the first output stand for.
fn name_words(call: &mut Call<'_>, words: &[String]) {
    let Some(output) = call.node.output.first().filter(|n| !n.is_empty()) else {
        return;
    };
    let plain = |c: char| c.is_alphanumeric() || " _-./".contains(c);
    let clean = |text: &str| -> String { text.chars().filter(|c| plain(*c)).collect() };
    let mut list = String::new();
    for (position, word) in words.iter().enumerate() {
        if list.len() > MAX_NAMED {
            list.push_str(", ..");
            break;
        }
        let separator = if position == 0 { "" } else { ", " };
        list.push_str(&format!("{separator}{position} = {}", clean(word)));
    }
    let note = format!("; {} is {list}", clean(output));
    call.module.source.push_str(&note);
}
