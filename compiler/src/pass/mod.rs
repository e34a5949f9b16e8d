//! The pass driver and the passes over the `tensor` stage.
//!
//! A pass reads a module and proposes a [`Patch`]; only the [`Driver`] applies patches, verifies, prints and
//! times. Passes run until they propose nothing more, so each need make only one step at a time.
//!
//! The usual order is that of [`standard`]: functions that were spelled out first, while their constants still stand
//! beside them, and what is a function in disguise ([`Decompose`]); then constants, then scalings into their
//! neighbours, then polynomials. [`Legalise`] comes before anything is measured; then [`Approximate`] replaces
//! functions, and [`FindRanges`] comes last, on the rewritten module.

mod approximate;
mod decompose;
mod driver;
mod elementwise;
mod find_ranges;
mod fold_constants;
mod fold_scalings;
mod fuse_function;
mod fuse_polynomial;
mod interval;
mod legalise;
pub mod split_tail;
#[cfg(test)]
mod tests;

pub use approximate::{Accuracy, Approximate, Approximated, ApproximationError, OutputError};
pub use decompose::Decompose;
pub use driver::{Driver, Finished, PassReport, PrintAfter};
pub use find_ranges::{FindRanges, Measured, RangeError, Statistics, measure};
pub use fold_constants::FoldConstants;
pub use fold_scalings::FoldScalings;
pub use fuse_function::FuseFunction;
pub use fuse_polynomial::FusePolynomial;
pub(crate) use legalise::refused;
pub use legalise::{IllegalNode, IllegalNodes, Legalise};

use crate::data::Evidence;
use cipherloom_ir::tensor::{Fault, Module, Patch, PatchError};
use thiserror::Error;

/// A pass over the `tensor` stage.
pub trait TensorPass {
    /// The name on the command line: `fold-constants`.
    fn name(&self) -> &'static str;

    /// What it does and what it leaves alone, in one sentence.
    fn doc(&self) -> &'static str;

    /// Whether to run it again after a patch, until it proposes none.
    fn repeats(&self) -> bool {
        true
    }

    /// Proposes one step; nothing where all is done.
    ///
    /// # Errors
    /// What the pass cannot accept in the module.
    fn run(&mut self, module: &Module) -> Result<Option<Patch>, PassError>;
}

/// Why the passes failed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PassError {
    /// Operations without an encrypted form.
    #[error("{0}")]
    Illegal(IllegalNodes),
    /// Ranges cannot be found.
    #[error("{0}")]
    Ranges(#[from] RangeError),
    /// Functions cannot be replaced by polynomials.
    #[error("{0}")]
    Approximation(ApproximationError),
    /// A pass proposed what does not fit the module: a mistake of the pass.
    #[error("pass {pass} proposed an impossible rewrite: {error}")]
    Patch {
        /// The pass.
        pass: &'static str,
        /// Why it is impossible.
        error: PatchError,
    },
    /// The verifier found faults: a mistake of the pass.
    #[error("after pass {pass}: {}", list(faults))]
    Faults {
        /// The pass.
        pass: &'static str,
        /// All faults.
        faults: Vec<Fault>,
    },
    /// A pass found something to do again and again: a mistake of the pass.
    #[error("pass {pass} does not come to rest after {steps} steps")]
    Restless {
        /// The pass.
        pass: &'static str,
        /// How often it ran.
        steps: usize,
    },
}

fn list(faults: &[Fault]) -> String {
    faults
        .iter()
        .map(Fault::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// The rewriting passes in their order, without range finding; maxima over windows and axes are refused.
pub fn standard() -> Vec<Box<dyn TensorPass>> {
    rewriting(false, false)
}

fn rewriting(maxima: bool, jumps: bool) -> Vec<Box<dyn TensorPass>> {
    let decompose = Decompose {
        maxima,
        jumps,
        ..Decompose::default()
    };
    vec![
        Box::new(FuseFunction),
        Box::new(decompose),
        Box::new(FoldConstants),
        Box::new(FoldScalings),
        Box::new(FusePolynomial),
        Box::new(Legalise { jumps }),
    ]
}

/// What the passes found and did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What each pass did.
    pub finished: Finished,
    /// Of the values of the rewritten module.
    pub statistics: Statistics,
    /// The functions that polynomials replaced.
    pub approximations: Vec<Approximated>,
    /// What they do to the outputs, where there are samples.
    pub output_error: Option<OutputError>,
}

/// Runs the standard passes, replaces functions by polynomials and then finds ranges, on evidence for the module's
/// inputs.
///
/// # Errors
/// As [`Driver::run`].
pub fn run_standard(
    driver: &mut Driver<'_>,
    module: &mut Module,
    evidence: Evidence<'_>,
    accuracy: Accuracy,
) -> Result<Outcome, PassError> {
    let mut rewriting = rewriting(accuracy.maxima, accuracy.jumps);
    let mut approximate = Approximate::new(evidence, accuracy);
    let mut ranges = FindRanges::new(evidence);
    let mut passes: Vec<&mut dyn TensorPass> = rewriting
        .iter_mut()
        .map(|p| p.as_mut() as &mut dyn TensorPass)
        .collect();
    passes.push(&mut approximate);
    passes.push(&mut ranges);
    let finished = driver.run(module, &mut passes)?;
    Ok(Outcome {
        finished,
        statistics: ranges.statistics,
        approximations: approximate.replaced,
        output_error: approximate.outputs,
    })
}
