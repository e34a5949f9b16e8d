//! How values are spelled.

use crate::origin::Origin;
use crate::scale::Scale;
use crate::value::Range;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A quoted text on one line.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // Also the separators that some tools take for ends of lines.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `@name`, quoted where it must be.
pub(crate) fn name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | ':');
    if !name.is_empty() && name.chars().all(plain) {
        format!("@{name}")
    } else {
        format!("@{}", quote(name))
    }
}

fn word(text: &str) -> String {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    // These would be read as numbers.
    let number = ["inf", "NaN"].contains(&text);
    if starts && text.chars().all(plain) && !number {
        text.to_owned()
    } else {
        quote(text)
    }
}

/// The shortest spelling of a number that reads back exactly.
pub(crate) fn number(value: f64) -> String {
    format!("{value:?}")
}

/// log2 of the root of a mean square error, for people: `exact` for none, `-` where it is not known.
pub(crate) fn approximation(mean_square: Option<f64>) -> String {
    match mean_square {
        None => "-".into(),
        Some(0.0) => "exact".into(),
        Some(error) => format!("{:.1}", 0.5 * libm::log2(error)),
    }
}

/// The same so that it reads back exactly; empty where it is not known.
pub(crate) fn exact_approximation(mean_square: Option<f64>) -> String {
    mean_square.map_or_else(String::new, |e| format!(" approximation {}", number(e)))
}

/// `plus %3 times 0.5 at 2^40`: an operand, its factor and the factor's scale.
pub(crate) fn term(operand: &str, value: f64, scale: &str) -> String {
    format!("plus {operand} times {} at {scale}", number(value))
}

/// `[1,28,28]`.
pub(crate) fn shape(dims: &[usize]) -> String {
    let parts: Vec<String> = dims.iter().map(ToString::to_string).collect();
    format!("[{}]", parts.join(","))
}

/// A range that reads back exactly.
pub(crate) fn range(range: Range) -> String {
    format!("[{:?}, {:?}]", range.lo, range.hi)
}

/// A range with three digits, and whether it is exact all the same.
pub(crate) fn short_range(range: Range) -> (String, bool) {
    let short = |v: f64| format!("{v:.2e}").parse::<f64>().unwrap_or(v);
    let rounded = Range {
        lo: short(range.lo),
        hi: short(range.hi),
    };
    let exact =
        rounded.lo.to_bits() == range.lo.to_bits() && rounded.hi.to_bits() == range.hi.to_bits();
    (self::range(rounded), exact)
}

/// Positions, with runs of equal distance as `start+stride x count`.
pub(crate) fn positions(list: &[u32]) -> String {
    let mut parts = Vec::new();
    let mut rest = list;
    while let Some((&first, behind)) = rest.split_first() {
        let stride = behind
            .first()
            .map_or(0, |second| i64::from(*second) - i64::from(first));
        let ends = rest
            .windows(2)
            .position(|w| i64::from(w[1]) - i64::from(w[0]) != stride);
        let count = ends.map_or(rest.len(), |i| i + 1);
        if count < 3 || i32::try_from(stride).is_err() {
            parts.push(first.to_string());
            rest = behind;
        } else {
            parts.push(format!("{first}{stride:+}x{count}"));
            rest = rest.get(count..).unwrap_or_default();
        }
    }
    format!("[{}]", parts.join(" "))
}

/// An origin as a comment that reads back.
pub(crate) fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Onnx { index, name, op } => format!("node {index} {} {}", word(op), quote(name)),
        Origin::Port(name) => format!("port {}", quote(name)),
        Origin::Text(line) => format!("line {line}"),
        Origin::Source(place) => format!("source {}", quote(place)),
        Origin::Pass(pass) => format!("pass {}", word(pass)),
        Origin::Merged(parts) if parts.is_empty() => "merged".into(),
        Origin::Merged(parts) => parts
            .iter()
            .map(self::origin)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Free text as a comment that reads back; nothing for an empty one.
pub(crate) fn comment(text: &str) -> String {
    let plain = !text.starts_with('"')
        && text.trim() == text
        && quote(text).len() == text.len() + 2 + text.matches('"').count();
    if plain { text.to_owned() } else { quote(text) }
}

/// An operation and its comment, the comments in one column where the operations are short enough.
pub(crate) fn row(left: &str, op: &str, comment: &str) -> String {
    if comment.is_empty() {
        format!("{left} | {op}\n")
    } else {
        format!("{left} | {op:<48} ; {comment}\n")
    }
}

/// BLAKE3 over a shape and values, in hexadecimal.
pub(crate) fn hash_values(sizes: &[&[usize]], values: &[f64]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("cipherloom 2026 constant v1");
    for list in sizes {
        hasher.update(&(list.len() as u64).to_le_bytes());
        for size in *list {
            hasher.update(&(*size as u64).to_le_bytes());
        }
    }
    for value in values {
        hasher.update(&value.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The scales of a text: powers of two are spelled where they stand, others once, in a table, as `$0`.
#[derive(Default)]
pub(crate) struct Scales {
    numbers: BTreeMap<Scale, usize>,
    table: Vec<Scale>,
}

impl Scales {
    /// How a scale is spelled.
    pub(crate) fn spell(&mut self, scale: &Scale) -> String {
        let log = libm::round(scale.log2());
        if (0.0..16384.0).contains(&log) && *scale == Scale::pow2(log as u32) {
            return format!("2^{log}");
        }
        let next = self.table.len();
        let number = *self.numbers.entry(scale.clone()).or_insert(next);
        if number == next {
            self.table.push(scale.clone());
        }
        format!("${number}")
    }

    /// The table: one line per scale.
    pub(crate) fn table(&self) -> String {
        let line = |(i, s): (usize, &Scale)| format!("scale ${i} = {s} ; 2^{:.2}\n", s.log2());
        self.table.iter().enumerate().map(line).collect()
    }
}
