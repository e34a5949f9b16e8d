//! Programs written in Rust: operators on values that stand for encrypted numbers are noted down (symbolic execution), and
//! make the same module that a `.loom` text makes.
//!
//! Every function of the language is there ([`Trace::call`], and methods for the common ones), with the same rules of shapes and the
//! same messages. A faulty operation gives a value that stands for anything, and is told by [`trace`] with the line of
//! Rust that holds it. Loops and functions are those of Rust.

mod operand;
mod value;

pub use operand::{Argument, Operand};
pub use value::Traced;

use super::ast::Span;
use super::diagnostic::{Diagnostic, LoomError};
use super::lower::{Lowering, Stop, Value};
use super::{NoResources, Program};
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Module;
use cipherloom_ir::value::Range;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic::Location;
use std::rc::Rc;

/// A program that is being noted down.
#[derive(Clone)]
pub struct Trace {
    state: Rc<RefCell<State>>,
}

struct State {
    lowering: Lowering<'static>,
    /// The places of calls so far, a line each.
    calls: String,
    known: BTreeMap<String, Span>,
}

impl State {
    /// The place of a call, by the file's name alone: plans do not depend on the folder that they are built in.
    fn call(&mut self, at: &Location<'_>) -> Span {
        let file = at.file().rsplit(['/', '\\']).next().unwrap_or_default();
        let place = format!("{file}:{}:{}", at.line(), at.column());
        let span = match self.known.get(&place) {
            Some(span) => *span,
            None => {
                let start = self.calls.len();
                self.calls.push_str(&place);
                let span = Span {
                    start,
                    end: self.calls.len(),
                };
                self.calls.push('\n');
                self.known.insert(place.clone(), span);
                span
            }
        };
        self.lowering.called_from(place);
        span
    }
}

/// Notes down what a function does with the trace that it is given, and makes a program of it; `name` is its name.
///
/// ```
/// use cipherloom_compiler::loom::trace;
/// let program = trace("total", |t| {
///     let x = t.input("x", &[4], 0.0..=1.0);
///     t.output("y", 2.0 * &x + 1.0);
///     t.output("total", (&x * &x).sum());
/// })?;
/// assert_eq!(program.module.outputs.len(), 2);
/// # Ok::<(), cipherloom_compiler::loom::LoomError>(())
/// ```
///
/// # Errors
/// All faults, with the lines that they are in: shapes that do not fit, unknown functions, unused inputs, no output.
#[track_caller]
pub fn trace(name: &str, define: impl FnOnce(&Trace)) -> Result<Program, LoomError> {
    let here = Location::caller();
    let trace = Trace {
        state: Rc::new(RefCell::new(State {
            lowering: Lowering::new(name, name, "", &NoResources),
            calls: String::new(),
            known: BTreeMap::new(),
        })),
    };
    define(&trace);
    let mut state = trace.state.borrow_mut();
    let span = state.call(here);
    // Values that outlive the program note nothing that counts.
    let mut lowering = std::mem::replace(
        &mut state.lowering,
        Lowering::new(name, name, "", &NoResources),
    );
    if lowering.lacks_outputs() {
        let fault = Diagnostic::new(span, "the program has no output");
        lowering.refuse(fault.help("give it one: trace.output(name, value)"));
    }
    let calls = state.calls.clone();
    match lowering.finish() {
        Ok((module, places)) => Ok(Program {
            module,
            file: name.to_owned(),
            source: calls,
            places,
            traced: true,
        }),
        Err(faults) => Err(LoomError {
            file: name.to_owned(),
            source: calls,
            faults,
            traced: true,
        }),
    }
}

impl Trace {
    /// An encrypted input: its name, the sizes of its axes (none for a single number), and the range of its elements.
    #[track_caller]
    pub fn input(&self, name: &str, shape: &[usize], range: RangeInclusive<f64>) -> Traced {
        self.declare(name, false, shape, Some(range))
    }

    /// An input that is given in clear at run time: the client does not encrypt it, and the server sees its values.
    #[track_caller]
    pub fn clear_input(&self, name: &str, shape: &[usize], range: RangeInclusive<f64>) -> Traced {
        self.declare(name, true, shape, Some(range))
    }

    /// An encrypted input whose range is given when the program is compiled.
    #[track_caller]
    pub fn open_input(&self, name: &str, shape: &[usize]) -> Traced {
        self.declare(name, false, shape, None)
    }

    #[track_caller]
    fn declare(
        &self,
        name: &str,
        clear: bool,
        shape: &[usize],
        range: Option<RangeInclusive<f64>>,
    ) -> Traced {
        let found = self.note(|l, span| {
            let range = match range.map(|r| Range::new(*r.start(), *r.end())) {
                None => None,
                Some(Some(range)) if range.lo < range.hi => Some(range),
                Some(_) => {
                    let fault = Diagnostic::new(span, "the range is empty");
                    return Err(l.refuse(fault.help("write the smaller end first: 0.0..=1.0")));
                }
            };
            l.add_input(name, span, clear, shape.to_vec(), range)
        });
        self.value(found)
    }

    /// A constant.
    pub fn constant(&self, values: impl Operand) -> Traced {
        let (_, value) = values.operand().within(self);
        Traced::new(self.clone(), value)
    }

    /// A result, under a name.
    #[track_caller]
    pub fn output(&self, name: &str, value: impl Operand) {
        let (known, value) = value.operand().within(self);
        let _ = self.note(|l, span| {
            check_known(l, known, span)?;
            l.add_output(name, span, span, &value)
        });
    }

    /// A function of the language, by name, with the arguments that have no name and those that have: all of `docs/loom.md`.
    #[track_caller]
    pub fn call<const N: usize, const M: usize>(
        &self,
        function: &str,
        arguments: [Argument; N],
        named: [(&str, Argument); M],
    ) -> Traced {
        let mut all_known = true;
        let mut within = |argument: Argument| {
            let (known, value) = argument.within(self);
            all_known &= known;
            value
        };
        let plain = arguments.into_iter().map(&mut within).collect();
        let named: Vec<(String, Value)> = named
            .into_iter()
            .map(|(name, argument)| (name.to_owned(), within(argument)))
            .collect();
        let found = self.note(|l, span| {
            check_known(l, all_known, span)?;
            l.call_named(function, plain, named, span)
        });
        self.value(found)
    }

    /// A network's outputs for the values of its inputs, in their order. A first axis of 1 that counts samples may be left out.
    #[track_caller]
    pub fn network(&self, network: &Module, inputs: &[&Traced]) -> Vec<Traced> {
        let count = network.outputs.len();
        let given = inputs.iter().map(|v| Operand::operand(*v).within(self));
        let (known, values): (Vec<bool>, Vec<Value>) = given.unzip();
        let found = self.note(|l, span| {
            check_known(l, known.iter().all(|k| *k), span)?;
            let given = values.into_iter().map(|v| (None, v, span)).collect();
            l.call_network(network, given, span)
        });
        match found {
            Some(Value::Several(values)) => {
                let one = |v| Traced::new(self.clone(), v);
                values.into_iter().map(one).collect()
            }
            found => vec![self.value(found); count.max(1)],
        }
    }

    /// Carries an operation out at the caller's place.
    #[track_caller]
    fn note<T>(
        &self,
        operation: impl FnOnce(&mut Lowering<'static>, Span) -> Result<T, Stop>,
    ) -> Option<T> {
        let here = Location::caller();
        let mut state = self.state.borrow_mut();
        let span = state.call(here);
        operation(&mut state.lowering, span).ok()
    }

    fn value(&self, found: Option<Value>) -> Traced {
        Traced::new(self.clone(), found.unwrap_or(Value::Unknown))
    }
}

/// Refuses values of another program.
fn check_known(l: &mut Lowering<'_>, known: bool, span: Span) -> Result<(), Stop> {
    if known {
        return Ok(());
    }
    let text = "a value of another program: only constants can be shared";
    Err(l.refuse(Diagnostic::new(span, text)))
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").finish_non_exhaustive()
    }
}

/// A tensor of values of which there may be none.
fn tensor(shape: Vec<usize>, values: Vec<f64>) -> Value {
    match Tensor::new(shape, values) {
        Some(tensor) => Value::constant(tensor),
        None => Value::Unknown,
    }
}
