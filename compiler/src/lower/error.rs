//! Why lowering refuses a module, in words that a person can act on.

use super::params::MAX_BATCH;
use cipherloom_ir::Origin;
use cipherloom_ir::security::Security;
use std::fmt;

/// Lines about levels that a message shows before it breaks off.
const MAX_LEVEL_LINES: usize = 12;

/// Why a module cannot be lowered.
#[derive(Clone, Debug, PartialEq)]
pub enum LowerError {
    /// Operations without an encrypted form: origin and keyword of each.
    Unsupported(Vec<(Origin, String)>),
    /// The module contradicts itself.
    Malformed(String),
    /// A value does not depend on any input.
    Constant(Origin),
    /// A product of encrypted matrices is too large to be spelled out.
    TooLarge {
        /// The operation.
        origin: Origin,
        /// The number of products.
        elements: usize,
    },
    /// More samples in a run than any ring has slots.
    Batch {
        /// The samples.
        samples: usize,
    },
    /// An input has neither samples nor a range.
    NoRange(String),
    /// A calibration sample lacks an input, or has it in another shape, or holds NaN or infinity.
    Sample {
        /// The sample.
        index: usize,
        /// The input.
        input: String,
    },
    /// Values become infinite within the given ranges.
    Unbounded(Origin),
    /// No secure parameters give the wanted precision.
    NoParameters {
        /// Levels that the network takes.
        depth: usize,
        /// The wanted bits.
        wanted: f64,
        /// Bits that the prediction must lie above the wish.
        slack: f64,
        /// The best precision found and the ring degree's logarithm.
        closest: Option<(f64, u32)>,
        /// The security target.
        security: Security,
        /// Whether ranges were bounded by intervals, for want of samples.
        from_intervals: bool,
        /// Whether some of the levels compute polynomials of higher degree.
        polynomials: bool,
        /// Which layers take which level, one line each, the highest level first.
        levels: Vec<String>,
    },
}

impl fmt::Display for LowerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LowerError::Unsupported(nodes) => {
                write!(f, "{} operations have no encrypted form", nodes.len())?;
                for (origin, op) in nodes {
                    write!(
                        f,
                        "\n   |  {origin}: {op} is no polynomial, and this backend computes polynomials"
                    )?;
                }
                write!(
                    f,
                    "\n   = help: retrain with a square or another polynomial in its place"
                )
            }
            LowerError::Malformed(what) => write!(f, "{what}"),
            LowerError::Constant(origin) => write!(
                f,
                "{origin}: the value is the same whatever the inputs are, so there is nothing to encrypt\n   = help: \
                 its weights may be zero by mistake; else compute it in clear and take it out of the model"
            ),
            LowerError::TooLarge { origin, elements } => write!(
                f,
                "{origin}: the product of two encrypted matrices takes {elements} products, too many\n   = help: \
                 multiply smaller matrices, or make one of them a constant of the model"
            ),
            LowerError::Batch { samples } => write!(
                f,
                "a run of {samples} samples: a ciphertext has at most {MAX_BATCH} slots, one for each sample\n   = \
                 help: ask for less (--batch N); a file of more samples is encrypted as several runs"
            ),
            LowerError::NoRange(input) => write!(
                f,
                "the range of input {input:?} is not known\n   = help: give samples (--calibrate DATA.npz) or \
                 the range itself (--input-range {input}=LO,HI)"
            ),
            LowerError::Sample { index, input } => write!(
                f,
                "calibration sample {index}: input {input:?} is missing, has another shape, or is not finite"
            ),
            LowerError::Unbounded(origin) => write!(
                f,
                "{origin}: the values become infinite within the given input ranges\n   = help: give samples \
                 (--calibrate DATA.npz) or narrower ranges (--input-range NAME=LO,HI)"
            ),
            LowerError::NoParameters {
                depth,
                wanted,
                slack,
                closest,
                security,
                from_intervals,
                polynomials,
                levels,
            } => {
                write!(
                    f,
                    "no parameters of {security}-bit security give {wanted:.1} bits of precision over {depth} levels"
                )?;
                if let Some((bits, log_n)) = closest {
                    let reached = (bits - slack).max(0.0);
                    write!(f, "; the best give {reached:.1}, at N = 2^{log_n}")?;
                }
                level_lines(f, levels)?;
                if *from_intervals {
                    write!(
                        f,
                        "\n   = help: give samples (--calibrate DATA.npz): declared ranges bound values far more \
                         widely than they occur"
                    )?;
                }
                if closest.is_some() {
                    write!(f, "\n   = help: ask for less (--precision BITS)")?;
                }
                if *polynomials {
                    write!(
                        f,
                        "\n   = help: a polynomial of degree d takes log2(d + 1) levels, rounded up: less precision \
                         (--precision BITS) or narrower ranges (--margin M) allow lower degrees"
                    )?;
                }
                write!(
                    f,
                    "\n   = help: take levels out: linear layers without an activation in between share one, and an \
                     activation of degree 2 takes one"
                )
            }
        }
    }
}

fn level_lines(f: &mut fmt::Formatter<'_>, levels: &[String]) -> fmt::Result {
    let shown = if levels.len() > MAX_LEVEL_LINES {
        MAX_LEVEL_LINES - 1
    } else {
        levels.len()
    };
    for line in levels.iter().take(shown) {
        write!(f, "\n   |  {line}")?;
    }
    if shown < levels.len() {
        write!(f, "\n   |  .. and {} levels more", levels.len() - shown)?;
    }
    Ok(())
}

impl std::error::Error for LowerError {}
