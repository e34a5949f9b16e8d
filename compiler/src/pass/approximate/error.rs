//! Why functions cannot be replaced by polynomials, drawn for people.

use super::Approximated;
use crate::report::{Row, draw};
use cipherloom_ir::Origin;
use std::fmt;

/// Why functions cannot be replaced.
#[derive(Clone, Debug, PartialEq)]
pub enum ApproximationError {
    /// Functions without a value somewhere in their ranges.
    Domains {
        /// What the module was read from.
        source: String,
        /// Origin, keyword and reason of each.
        functions: Vec<(Origin, &'static str, String)>,
    },
    /// Functions that polynomials of the highest degrees do not approximate to the wanted precision.
    Imprecise {
        /// What the module was read from.
        source: String,
        /// The wanted precision in bits.
        precision: f64,
        /// Origin, keyword and reason of each.
        functions: Vec<(Origin, &'static str, String)>,
    },
    /// The outputs are not good enough even at the highest degrees.
    OutOfReach {
        /// What the module was read from.
        source: String,
        /// The wanted precision in bits; without one, decisions were to be kept.
        precision: Option<f64>,
        /// The precision reached on the samples, in bits: of the largest error, relative to the largest output.
        reached: f64,
        /// The share of samples that keep their argmax, or side of the threshold.
        agreement: f64,
        /// The functions at their highest degrees.
        layers: Vec<Approximated>,
    },
}

/// Drawn without the leading `error: `.
impl fmt::Display for ApproximationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApproximationError::Domains { source, functions } => {
                let rows: Vec<Row> = functions
                    .iter()
                    .map(|(origin, name, reason)| {
                        let help = "give samples (--calibrate DATA.npz) or a narrower input range \
                                    (--input-range NAME=LO,HI) that keep its operand away from there";
                        row(origin, name, reason.clone(), Some(help.into()))
                    })
                    .collect();
                let functions = if rows.len() == 1 {
                    "function has"
                } else {
                    "functions have"
                };
                let headline = format!("{} {functions} no polynomial over the range", rows.len());
                draw(f, &headline, source, &rows)
            }
            ApproximationError::Imprecise {
                source,
                precision,
                functions,
            } => {
                let rows: Vec<Row> = functions
                    .iter()
                    .map(|(origin, name, reason)| row(origin, name, reason.clone(), None))
                    .collect();
                let functions = if rows.len() == 1 {
                    "function has"
                } else {
                    "functions have"
                };
                let headline = format!(
                    "{} {functions} no polynomial of {precision:.1} bits over the range",
                    rows.len()
                );
                draw(f, &headline, source, &rows)?;
                write!(
                    f,
                    "\n   = help: ask for less (--precision BITS), or narrow the range (--input-range NAME=LO,HI)"
                )
            }
            ApproximationError::OutOfReach {
                source,
                precision,
                reached,
                agreement,
                layers,
            } => {
                let headline = match precision {
                    Some(bits) => format!(
                        "polynomials of the highest degrees give {reached:.1} bits of precision on the samples, not {bits:.1} and \
                         a quarter of a bit for noise"
                    ),
                    None => format!(
                        "polynomials of the highest degrees are expected to keep {:.1} % of the decisions, which is not enough",
                        100.0 * agreement
                    ),
                };
                let rows: Vec<Row> = layers
                    .iter()
                    .map(|l| {
                        let reason = format!(
                            "degree {} on [{:.4}, {:.4}] errs by {:.2e}, {} levels",
                            l.degree, l.domain.lo, l.domain.hi, l.sup_error, l.depth
                        );
                        row(&l.origin, l.function.name(), reason, None)
                    })
                    .collect();
                draw(f, &headline, source, &rows)?;
                if precision.is_some() {
                    write!(f, "\n   = help: ask for less (--precision BITS)")?;
                }
                write!(
                    f,
                    "\n   = help: a smaller margin (--margin M) narrows the ranges; smooth activations (Silu, Gelu, Tanh) and \
                     squares need lower degrees than Relu"
                )
            }
        }
    }
}

fn row(origin: &Origin, name: &str, reason: String, help: Option<String>) -> Row {
    let (place, op, name) = match origin {
        Origin::Onnx { index, name, op } => (format!("node {index}"), op.clone(), name.clone()),
        other => (other.to_string(), name.to_owned(), String::new()),
    };
    Row {
        place,
        op,
        name,
        signature: String::new(),
        reason,
        help,
    }
}

impl std::error::Error for ApproximationError {}
