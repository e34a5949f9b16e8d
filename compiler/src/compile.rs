//! The compiler as one object: passes, lowering, emission.

use crate::cost::{CostModel, estimates};
use crate::data::Evidence;
use crate::emit::{EmitError, emit};
use crate::lower::{Batch, InputKnowledge, LowerError, Options, lower};
use crate::pass::split_tail::{Split, split};
use crate::pass::{
    Accuracy, Approximated, Driver, OutputError, PassError, PrintAfter, measure, run_standard,
};
use crate::prefer::Preference;
use crate::workload::affordable;
use cipherloom_ir::Tensors;
use cipherloom_ir::circuit::{self, Circuit};
use cipherloom_ir::plan::{self, Plan, PlanApproximation};
use cipherloom_ir::security::Security;
use cipherloom_ir::tensor::Module;
use cipherloom_ir::value::Range;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The part of a sign's domain in which its approximation is undecided, unless another is asked for.
pub const DEAD_ZONE: f64 = 1.0 / 128.0;
/// The step that leaves a last softmax and the like to the client, for `stop_after` and reports.
pub const SPLIT_TAIL: &str = "split-tail";
/// The step that lowers to the circuit stage, for `stop_after` and reports.
pub const LOWER: &str = "lower";
/// The step that emits the plan, for reports.
pub const EMIT: &str = "emit";

/// Why a module cannot be compiled.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CompileError {
    /// An option is out of its bounds.
    #[error("{option} is {value}: {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A range or name is given for an input that the model has not.
    #[error("the model has no input {name:?}; it has {known:?}")]
    UnknownInput {
        /// The name.
        name: String,
        /// The names of the model's inputs.
        known: Vec<String>,
    },
    /// An input has neither samples nor a range.
    #[error(
        "the range of input {input:?} is not known\n   = help: give samples (--calibrate DATA.npz) or the range \
         itself (--input-range {input}=LO,HI)"
    )]
    NoRange {
        /// The input.
        input: String,
    },
    /// A pass refused the module.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The module cannot be lowered.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The circuit cannot be emitted: a mistake of the compiler.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The verifier found faults: a mistake of the compiler.
    #[error("the {stage} is faulty: {}", faults.join("; "))]
    Faults {
        /// The stage.
        stage: &'static str,
        /// All faults.
        faults: Vec<String>,
    },
    /// Compilation ended where it was asked to.
    #[error("stopped after {0}")]
    Stopped(String),
}

impl CompileError {
    /// Whether the compiler is at fault, not its input.
    pub fn is_internal(&self) -> bool {
        matches!(
            self,
            CompileError::Emit(_)
                | CompileError::Faults { .. }
                | CompileError::Pass(
                    PassError::Patch { .. } | PassError::Faults { .. } | PassError::Restless { .. }
                )
        )
    }
}

/// What one step of the compilation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// The pass, [`SPLIT_TAIL`], [`LOWER`] or [`EMIT`].
    pub name: String,
    /// The patches that a pass applied.
    pub patches: usize,
    /// The time that it took.
    pub time: Duration,
}

/// A compiled network.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The runnable plan.
    pub plan: Plan,
    /// The circuit.
    pub circuit: Circuit,
    /// The rewritten module.
    pub tensor: Module,
    /// Predicted precision of the outputs in bits: -log2 of the largest expected error over the largest value.
    pub output_bits: f64,
    /// Whether ranges come from intervals, since there were no samples; they are wider than needed then.
    pub from_intervals: bool,
    /// The functions that polynomials replaced.
    pub approximations: Vec<Approximated>,
    /// What they do to the outputs, where there are samples.
    pub output_error: Option<OutputError>,
    /// What each step did and how long it took.
    pub reports: Vec<StepReport>,
}

/// Compiles modules of the `tensor` stage to plans.
///
/// The same module and options give the same plan, byte for byte, on every machine.
#[derive(Clone, Debug)]
pub struct Compiler {
    options: Options,
    samples: Vec<Tensors>,
    ranges: Vec<(String, f64, f64)>,
    keep_tail: bool,
    maxima: bool,
    jumps: bool,
    dead_zone: f64,
    preference: Preference,
    print_after: PrintAfter,
    stop_after: Option<String>,
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new()
    }
}

impl Compiler {
    /// A compiler for 128 bits of classical security, margin 2, and noise at least 12 bits below the outputs.
    pub fn new() -> Self {
        Self {
            options: Options::default(),
            samples: Vec::new(),
            ranges: Vec::new(),
            keep_tail: false,
            maxima: false,
            jumps: false,
            dead_zone: DEAD_ZONE,
            preference: Preference::default(),
            print_after: PrintAfter::None,
            stop_after: None,
        }
    }

    /// The security target.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.options.security = security;
        self
    }

    /// The wanted precision of the outputs in bits: -log2 of the largest error over the largest output.
    #[must_use]
    pub fn precision(mut self, bits: f64) -> Self {
        self.options.precision = Some(bits);
        self
    }

    /// The factor by which values may exceed the ranges that samples show, at least 1.
    #[must_use]
    pub fn margin(mut self, margin: f64) -> Self {
        self.options.margin = margin;
        self
    }

    /// Samples from which value ranges are measured: one tensor for every input, of the module's shape.
    #[must_use]
    pub fn calibrate(mut self, samples: Vec<Tensors>) -> Self {
        self.samples = samples;
        self
    }

    /// Declares the range of an input's elements, which then replaces the measured one.
    #[must_use]
    pub fn input_range(mut self, name: &str, lo: f64, hi: f64) -> Self {
        self.ranges.push((name.to_owned(), lo, hi));
        self
    }

    /// What operations cost on the machine that is compiled for, in place of the built-in figures: packings and parameters
    /// are chosen by it, and latencies estimated.
    #[must_use]
    pub fn cost_model(mut self, model: CostModel) -> Self {
        self.options.cost = model;
        self
    }

    /// How many samples one run packs.
    #[must_use]
    pub fn batch(mut self, batch: Batch) -> Self {
        self.options.batch = batch;
        self
    }

    /// Whether a last softmax, function or index of the largest element is compiled in; without it the client computes
    /// them in clear ([`crate::pass::split_tail`]).
    #[must_use]
    pub fn keep_tail(mut self, keep: bool) -> Self {
        self.keep_tail = keep;
        self
    }

    /// Whether maxima over windows and axes are approximated ([`crate::pass::Decompose`]); without it they are refused.
    #[must_use]
    pub fn approximate_maxima(mut self, approximate: bool) -> Self {
        self.maxima = approximate;
        self
    }

    /// Whether comparisons, signs, steps and selections are approximated by compositions of polynomials; without it they are refused.
    #[must_use]
    pub fn approximate_jumps(mut self, approximate: bool) -> Self {
        self.jumps = approximate;
        self
    }

    /// The part of a sign's domain, to either side of 0, in which its approximation is undecided: 2^-16 to 1/2, [`DEAD_ZONE`] by
    /// default.
    #[must_use]
    pub fn dead_zone(mut self, part: f64) -> Self {
        self.dead_zone = part;
        self
    }

    /// What the plan is to be good at, where no other option says so exactly.
    #[must_use]
    pub fn prefer(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
    }

    /// After which passes [`Compiler::compile_with`] prints the module.
    #[must_use]
    pub fn print_after(mut self, print_after: PrintAfter) -> Self {
        self.print_after = print_after;
        self
    }

    /// Ends with [`CompileError::Stopped`] after a pass, or after [`LOWER`].
    #[must_use]
    pub fn stop_after(mut self, step: &str) -> Self {
        self.stop_after = Some(step.to_owned());
        self
    }

    /// Compiles a module.
    ///
    /// # Errors
    /// Options out of bounds, inputs without samples or range, operations without an encrypted form, and networks
    /// for which no secure parameters give the wanted precision.
    pub fn compile(&self, module: &Module) -> Result<Compiled, CompileError> {
        self.compile_with(module, &mut |_, _| {})
    }

    /// Compiles a module; `print` receives the texts that were asked for: the name of a step, and the module or
    /// circuit as that step left it. A step to stop after is printed too.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub fn compile_with(
        &self,
        module: &Module,
        print: &mut dyn FnMut(&str, &dyn fmt::Display),
    ) -> Result<Compiled, CompileError> {
        self.preference.compile(&self.options, &mut |options| {
            self.compile_for(module, options, print)
        })
    }

    /// Compiles a module with options that are chosen for a wish.
    fn compile_for(
        &self,
        module: &Module,
        options: &Options,
        print: &mut dyn FnMut(&str, &dyn fmt::Display),
    ) -> Result<Compiled, CompileError> {
        let ranges = self.check(module)?;
        let samples = affordable(module, &self.samples);
        let evidence = if samples.is_empty() {
            Evidence::Declared(&ranges)
        } else {
            Evidence::Samples(&samples)
        };
        let mut reports = Vec::new();
        let split = self.split_tail(module, print, &mut reports)?;
        let module = split.as_ref().map_or(module, |s| &s.body);
        let mut tensor = module.clone();
        let mut driver = Driver {
            print_after: self.print_after.clone(),
            stop_after: self.stop_after.clone(),
            verify_each: false,
            print: &mut |name, module| print(name, module),
        };
        let accuracy = Accuracy {
            margin: options.margin,
            precision: options.precision,
            maxima: self.maxima,
            jumps: self.jumps,
            dead_zone: self.dead_zone,
        };
        let outcome = run_standard(&mut driver, &mut tensor, evidence, accuracy)?;
        let finished = outcome.finished;
        for r in &finished.reports {
            reports.push(StepReport {
                name: r.pass.to_owned(),
                patches: r.patches,
                time: r.time,
            });
        }
        if let (true, Some(step)) = (finished.stopped, &self.stop_after) {
            print(step, &tensor);
            return Err(CompileError::Stopped(step.clone()));
        }

        let start = Instant::now();
        let inputs = InputKnowledge {
            samples: &samples,
            ranges: &ranges,
        };
        let lowered = lower(&tensor, inputs, options)?;
        let circuit = lowered.circuit;
        faults("circuit", circuit::verify(&circuit))?;
        reports.push(StepReport {
            name: LOWER.into(),
            patches: 0,
            time: start.elapsed(),
        });
        self.after(LOWER, true, print, &|| circuit::print(&circuit))?;

        let start = Instant::now();
        let clear = self.clear(module, evidence)?;
        let mut plan = emit(&circuit, &clear, options.margin)?;
        plan.tail = split.map(|s| s.tail);
        plan.estimates = estimates(&plan, &self.options.cost);
        plan.approximations = outcome.approximations.iter().map(in_plan).collect();
        faults("plan", plan::verify(&plan))?;
        reports.push(StepReport {
            name: EMIT.into(),
            patches: 0,
            time: start.elapsed(),
        });
        let (output_bits, from_intervals) = (lowered.output_bits, lowered.from_intervals);
        Ok(Compiled {
            plan,
            circuit,
            tensor,
            output_bits,
            from_intervals,
            approximations: outcome.approximations,
            output_error: outcome.output_error,
            reports,
        })
    }

    /// Cuts off what the client does, unless it is to be kept.
    fn split_tail(
        &self,
        module: &Module,
        print: &mut dyn FnMut(&str, &dyn fmt::Display),
        reports: &mut Vec<StepReport>,
    ) -> Result<Option<Split>, CompileError> {
        let start = Instant::now();
        let found = if self.keep_tail { None } else { split(module) };
        reports.push(StepReport {
            name: SPLIT_TAIL.into(),
            patches: usize::from(found.is_some()),
            time: start.elapsed(),
        });
        let text = || match &found {
            Some(Split { body, tail }) => format!("{body}\n{tail}"),
            None => module.to_string(),
        };
        self.after(SPLIT_TAIL, found.is_some(), print, &text)?;
        Ok(found)
    }

    /// Prints what a step left if that is asked for, and stops after it if that is; `changed` where it did anything.
    fn after(
        &self,
        step: &'static str,
        changed: bool,
        print: &mut dyn FnMut(&str, &dyn fmt::Display),
        text: &dyn Fn() -> String,
    ) -> Result<(), CompileError> {
        let wanted = match &self.print_after {
            PrintAfter::None => false,
            PrintAfter::All => changed,
            PrintAfter::Only(names) => names.contains(step),
        };
        let stop = self.stop_after.as_deref() == Some(step);
        if wanted || stop {
            print(step, &text());
        }
        if stop {
            return Err(CompileError::Stopped(step.into()));
        }
        Ok(())
    }

    /// The imported network with the range of each value.
    fn clear(&self, module: &Module, evidence: Evidence<'_>) -> Result<Module, CompileError> {
        let measured = measure(module, evidence).map_err(PassError::from)?;
        let mut clear = module.clone();
        for (id, range) in measured.ranges {
            if let Some(node) = clear.graph.get_mut(id) {
                node.range = Some(range);
            }
        }
        Ok(clear)
    }

    /// Checks the options and gives the declared ranges by input.
    fn check(&self, module: &Module) -> Result<BTreeMap<String, Range>, CompileError> {
        let refuse = |option, value: f64, reason| {
            Err(CompileError::Option {
                option,
                value: value.to_string(),
                reason,
            })
        };
        let margin = self.options.margin;
        if !(1.0..=1e6).contains(&margin) {
            return refuse(
                "the margin",
                margin,
                "it must be a number from 1 to 1000000",
            );
        }
        if !(1.0 / 65536.0..=0.5).contains(&self.dead_zone) {
            return refuse(
                "the dead zone",
                self.dead_zone,
                "it must be a part of the range from 2^-16 to 1/2",
            );
        }
        if let Some(bits) = self.options.precision
            && !(0.0..=40.0).contains(&bits)
        {
            return refuse(
                "the precision",
                bits,
                "it must be a number of bits from 0 to 40",
            );
        }
        // Ranges that the model itself declares come first.
        let declared = module.inputs.iter();
        let declared = declared.map(|i| (i, module.graph.get(i.node).and_then(|n| n.range)));
        let mut ranges: BTreeMap<String, Range> = declared
            .filter_map(|(i, range)| Some((i.name.clone(), range?)))
            .collect();
        for (name, lo, hi) in &self.ranges {
            if !module.inputs.iter().any(|i| i.name == *name) {
                let known = module.inputs.iter().map(|i| i.name.clone()).collect();
                return Err(CompileError::UnknownInput {
                    name: name.clone(),
                    known,
                });
            }
            let range = Range::new(*lo, *hi).ok_or_else(|| CompileError::Option {
                option: "the input range",
                value: format!("{name}={lo},{hi}"),
                reason: "it needs two finite numbers in ascending order",
            })?;
            ranges.insert(name.clone(), range);
        }
        if self.samples.is_empty()
            && let Some(input) = module.inputs.iter().find(|i| !ranges.contains_key(&i.name))
        {
            return Err(CompileError::NoRange {
                input: input.name.clone(),
            });
        }
        Ok(ranges)
    }
}

fn in_plan(a: &Approximated) -> PlanApproximation {
    PlanApproximation {
        origin: a.origin.to_string(),
        function: a.function.name().to_owned(),
        domain: a.domain,
        degree: a.degree as u32,
        sup_error: a.sup_error,
        rms_error: a.rms_error,
        dead_zone: a.dead_zone,
        fit: Some(plan::Fit {
            parameters: a.function.parameters(),
            seen: a.seen,
            stages: a.stages.clone(),
        }),
    }
}

fn faults<F: fmt::Display>(stage: &'static str, found: Vec<F>) -> Result<(), CompileError> {
    if found.is_empty() {
        return Ok(());
    }
    Err(CompileError::Faults {
        stage,
        faults: found.iter().map(F::to_string).collect(),
    })
}
