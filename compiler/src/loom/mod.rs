//! Programs in the language of `.loom` files (`docs/loom.md`), read into the tensor stage.
//!
//! The text is cut into statements (`scan`), each is parsed by a grammar, and the statements are carried out one after
//! the other (`lower`): what depends on constants alone is computed at once, what depends on an encrypted input becomes
//! an operation of the module. Every operation's origin is its statement's place. Faults are gathered and drawn under the
//! source line.

mod ast;
mod builtin;
mod diagnostic;
mod expected;
mod format;
mod lower;
mod parse;
mod scan;
#[cfg(test)]
mod tests;
mod trace;

pub use ast::Span;
pub use builtin::signatures;
pub use diagnostic::{Diagnostic, LoomError};
pub use scan::{MAX_DEPTH, MAX_LENGTH};
pub use trace::{Argument, Operand, Trace, Traced, trace};

use cipherloom_ir::tensor::Module;
use cipherloom_ir::value::Range;
use cipherloom_ir::{NodeId, Tensor};
use std::collections::BTreeMap;

/// What a program may ask for beside its text: arrays and networks, by the paths that it gives.
pub trait Resources {
    /// An array of a `.npy` or `.npz` file; a name is needed where the file holds several.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn array(&self, path: &str, name: Option<&str>) -> Result<Tensor, String>;

    /// An ONNX network.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn model(&self, path: &str) -> Result<Module, String>;
}

/// No files: a program that asks for one is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoResources;

impl Resources for NoResources {
    fn array(&self, path: &str, _: Option<&str>) -> Result<Tensor, String> {
        Err(format!("{path} cannot be read: there are no files here"))
    }

    fn model(&self, path: &str) -> Result<Module, String> {
        Err(format!("{path} cannot be read: there are no files here"))
    }
}

/// A program that has been read and checked.
#[derive(Clone, Debug)]
pub struct Program {
    /// The network that it describes. Its inputs' declared ranges stand at their nodes.
    pub module: Module,
    file: String,
    source: String,
    /// Where each operation stands.
    places: BTreeMap<NodeId, Span>,
    /// Whether it was written in Rust: the source lists the places of calls, a line each.
    traced: bool,
}

/// Reads a program; `file` is its name in errors and origins.
///
/// # Errors
/// All faults: of syntax, and where there are none, of names, types, shapes and sizes.
pub fn read(file: &str, source: &str, resources: &dyn Resources) -> Result<Program, LoomError> {
    let (syntax, faults) = parse::parse(source);
    let refuse = |faults| LoomError {
        file: file.to_owned(),
        source: source.to_owned(),
        faults,
        traced: false,
    };
    if !faults.is_empty() {
        return Err(refuse(faults));
    }
    let (module, places) = lower::lower(&syntax, file, source, resources).map_err(refuse)?;
    Ok(Program {
        module,
        file: file.to_owned(),
        source: source.to_owned(),
        places,
        traced: false,
    })
}

/// The program in the one layout that `cipherloom fmt` gives; what it means is unchanged.
///
/// # Errors
/// All faults of syntax.
pub fn format(file: &str, source: &str) -> Result<String, LoomError> {
    let (syntax, faults) = parse::parse(source);
    if faults.is_empty() {
        return Ok(format::print(&syntax, source));
    }
    Err(LoomError {
        file: file.to_owned(),
        source: source.to_owned(),
        faults,
        traced: false,
    })
}

impl Program {
    /// Refuses functions that have no value somewhere within what the inputs' ranges allow: a root of negative numbers,
    /// a quotient whose divisor may be 0. `ranges` go before declared ones; where an input has neither, nothing is said.
    ///
    /// # Errors
    /// Each such function, drawn under its line with the range of its operand.
    pub fn check_domains(&self, ranges: &BTreeMap<String, Range>) -> Result<(), LoomError> {
        let faults = lower::domains(&self.module, &self.places, ranges);
        if faults.is_empty() {
            return Ok(());
        }
        Err(LoomError {
            file: self.file.clone(),
            source: self.source.clone(),
            faults,
            traced: self.traced,
        })
    }
}
