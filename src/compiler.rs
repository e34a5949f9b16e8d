//! The compiler as a user sees it: options in, a plan out.

use crate::files::{self, Output};
use crate::{Backend, CostModel, Error, Model, ServerPlan};
use cipherloom_compiler::Preference;
use cipherloom_compiler::compile::{CompileError, LOWER, SPLIT_TAIL, StepReport};
use cipherloom_compiler::integer::DEFAULT_AGREEMENT;
use cipherloom_compiler::lower::Batch;
use cipherloom_compiler::pass::{self, PrintAfter};
use cipherloom_ir::circuit::{self, Circuit};
use cipherloom_ir::integer::noise::DEFAULT_LOG2_FAILURE;
use cipherloom_ir::plan::{self, ClientPlan};
use cipherloom_ir::security::Security;
use cipherloom_ir::tensor::{self, Module};
use cipherloom_ir::{Range, Tensors};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

/// Options of compilation, and the compiler.
///
/// ```no_run
/// # fn main() -> Result<(), cipherloom::Error> {
/// use cipherloom::{Compiler, Model, Range, Security};
/// let model = Model::from_onnx("lenet.onnx")?;
/// let compiled = Compiler::new()
///     .security(Security::Classical128)
///     .input_range("input", Range { lo: 0.0, hi: 1.0 })
///     .compile(&model)?;
/// compiled.save("lenet")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Compiler {
    inner: cipherloom_compiler::Compiler,
    pub(crate) jumps: bool,
    /// Whether maxima are approximated.
    pub(crate) maxima: bool,
    pub(crate) backend: Backend,
    pub(crate) security: Security,
    pub(crate) samples: Vec<Tensors>,
    pub(crate) ranges: BTreeMap<String, Range>,
    pub(crate) precision: Option<f64>,
    pub(crate) margin: Option<f64>,
    pub(crate) keep_tail: bool,
    pub(crate) log2_failure: f64,
    pub(crate) agreement: f64,
    pub(crate) max_memory: Option<u64>,
    pub(crate) print_after: PrintAfter,
    pub(crate) stop_after: Option<String>,
}

impl Default for Compiler {
    fn default() -> Self {
        Self {
            inner: cipherloom_compiler::Compiler::default(),
            jumps: false,
            maxima: false,
            backend: Backend::default(),
            security: Security::Classical128,
            samples: Vec::new(),
            ranges: BTreeMap::new(),
            precision: None,
            margin: None,
            keep_tail: false,
            log2_failure: DEFAULT_LOG2_FAILURE,
            agreement: DEFAULT_AGREEMENT,
            max_memory: None,
            print_after: PrintAfter::default(),
            stop_after: None,
        }
    }
}

/// A stage of the intermediate representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Shapes and layers.
    Tensor,
    /// Packed values with level, scale and noise.
    Circuit,
    /// Steps on registers.
    Plan,
}

impl Stage {
    /// The stage's name.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Tensor => "tensor",
            Stage::Circuit => "circuit",
            Stage::Plan => "plan",
        }
    }

    /// The stage that a pass yields.
    pub fn after(pass: &str) -> Self {
        if pass == LOWER {
            Stage::Circuit
        } else {
            Stage::Tensor
        }
    }
}

/// The names of the passes, in order: those over the tensor stage, and the change to the circuit stage.
pub fn passes() -> Vec<&'static str> {
    let mut names = vec![SPLIT_TAIL];
    names.extend(pass::standard().iter().map(|pass| pass.name()));
    names.extend(["approximate", "find-ranges", LOWER]);
    names
}

impl Compiler {
    /// The default options: 128 bits of security against classical attacks, margin 2.
    pub fn new() -> Self {
        Self::default()
    }

    /// What [`Self::compile_any`] compiles for: by default whichever backend is faster and meets what is asked for.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// log2 of the failure probability that each lookup and each decrypted number of the TFHE backend may have; -128 by
    /// default. A failure that is likely enough to be seen tells of the secret key.
    #[must_use]
    pub fn failure_probability(mut self, log2: f64) -> Self {
        self.log2_failure = log2;
        self
    }

    /// The share of the samples that shall keep their decision under the TFHE backend, simulated with noise; 0.99 by default. A
    /// smaller one may make do with cheaper parameters.
    #[must_use]
    pub fn agreement(mut self, share: f64) -> Self {
        self.agreement = share;
        self
    }

    /// The security target.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self.inner = self.inner.security(security);
        self
    }

    /// Samples from which value ranges are measured: each holds one tensor for every input, in the model's shape.
    #[must_use]
    pub fn calibrate(mut self, samples: &[Tensors]) -> Self {
        self.samples.extend_from_slice(samples);
        self
    }

    /// The range of an input's values. Without samples, the ranges inside the network are bounded from these.
    #[must_use]
    pub fn input_range(mut self, input: &str, range: Range) -> Self {
        self.inner = self.inner.input_range(input, range.lo, range.hi);
        self.ranges.insert(input.to_owned(), range);
        self
    }

    /// The wanted precision of the outputs in bits: -log2 of the largest error over the largest output.
    #[must_use]
    pub fn precision(mut self, bits: f64) -> Self {
        self.precision = Some(bits);
        self.inner = self.inner.precision(bits);
        self
    }

    /// The factor by which values may exceed their measured or declared ranges; 2, or 1 for a program without samples, whose
    /// declared ranges are meant as they stand.
    #[must_use]
    pub fn margin(mut self, margin: f64) -> Self {
        self.margin = Some(margin);
        self
    }

    /// How many samples one run packs: by default one, for the lowest latency.
    #[must_use]
    pub fn batch(mut self, batch: Batch) -> Self {
        self.inner = self.inner.batch(batch);
        self
    }

    /// Whether a last softmax, sigmoid or index of the largest element is compiled in, instead of leaving it to the client.
    #[must_use]
    pub fn keep_tail(mut self, keep: bool) -> Self {
        self.keep_tail = keep;
        self.inner = self.inner.keep_tail(keep);
        self
    }

    /// Whether the maxima of MaxPool, ReduceMax and the like are approximated, two values at a time. Under CKKS each such step
    /// takes the levels of a polynomial for |x|; without it they are refused. Under TFHE they take about half of the lookups of
    /// exact ones.
    #[must_use]
    pub fn approximate_maxima(mut self, approximate: bool) -> Self {
        self.maxima = approximate;
        self.inner = self.inner.approximate_maxima(approximate);
        self
    }

    /// Whether comparisons, signs, steps and selections within an ONNX model are approximated by compositions of polynomials;
    /// without it they are refused. In a program they always are. Under TFHE they are lookups whose indices may be off then, as far as
    /// they would be exact.
    #[must_use]
    pub fn approximate_jumps(mut self, approximate: bool) -> Self {
        self.jumps = approximate;
        self
    }

    /// The part of a comparison's domain, to either side of equality, in which its result is undecided: 2^-16 to 1/2, by
    /// default 1/128.
    #[must_use]
    pub fn dead_zone(mut self, part: f64) -> Self {
        self.inner = self.inner.dead_zone(part);
        self
    }

    /// What operations cost on the machine that is compiled for, in place of the built-in figures. The plan is a function of
    /// the model, the options and these rates.
    #[must_use]
    pub fn cost_model(mut self, model: CostModel) -> Self {
        self.inner = self.inner.cost_model(model);
        self
    }

    /// What the plan is to be good at, where no other option says so exactly.
    #[must_use]
    pub fn prefer(mut self, preference: Preference) -> Self {
        self.inner = self.inner.prefer(preference);
        self
    }

    /// The bytes that running the plan may need.
    #[must_use]
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// Lets [`Self::compile_with`] print the network after a pass of [`passes`], or with `all` after each.
    #[must_use]
    pub fn print_after(mut self, pass: &str) -> Self {
        match &mut self.print_after {
            PrintAfter::All => {}
            _ if pass == "all" => self.print_after = PrintAfter::All,
            PrintAfter::Only(names) => {
                names.insert(pass.to_owned());
            }
            PrintAfter::None => self.print_after = PrintAfter::Only([pass.to_owned()].into()),
        }
        self
    }

    /// Lets [`Self::compile_with`] end after a pass of [`passes`] with [`CompileError::Stopped`].
    #[must_use]
    pub fn stop_after(mut self, pass: &str) -> Self {
        self.stop_after = Some(pass.to_owned());
        self
    }

    /// Compiles a model for the CKKS backend.
    ///
    /// # Errors
    /// Operations without an encrypted form, unknown ranges, a precision that cannot be reached, too much memory.
    pub fn compile(&self, model: &Model) -> Result<Compiled, Error> {
        self.compile_with(model, &mut |_, _| ())
    }

    /// [`Self::compile`]; `print` is given each pass and text that was asked for, that of a pass to stop after too.
    ///
    /// # Errors
    /// As [`Self::compile`], a pass that does not exist, and [`CompileError::Stopped`].
    pub fn compile_with(
        &self,
        model: &Model,
        print: &mut dyn FnMut(&str, &dyn Display),
    ) -> Result<Compiled, Error> {
        let named = match &self.print_after {
            PrintAfter::Only(names) => names.iter().chain(&self.stop_after).collect(),
            _ => self.stop_after.iter().collect::<Vec<_>>(),
        };
        let known = passes();
        if let Some(name) = named
            .into_iter()
            .find(|name| !known.contains(&name.as_str()))
        {
            return Err(Error::Usage(format!(
                "there is no pass {name:?}; the passes are {}",
                known.join(", ")
            )));
        }
        let as_declared = model.program().is_some() && self.samples.is_empty();
        if let (Some(program), true) = (model.program(), as_declared) {
            program.check_domains(&self.ranges)?;
        }
        let mut compiler = self
            .inner
            .clone()
            .margin(self.margin.unwrap_or(if as_declared { 1.0 } else { 2.0 }))
            .approximate_jumps(self.jumps || model.program().is_some())
            .calibrate(self.samples.clone())
            .print_after(self.print_after.clone());
        if let Some(pass) = &self.stop_after {
            compiler = compiler.stop_after(pass);
        }
        let compiled = compiler.compile_with(model.module(), print)?;
        let needed = cipherloom_ir::plan::residency(&compiled.plan, self.max_memory).bytes;
        if let Some(limit) = self.max_memory.filter(|limit| needed > *limit) {
            return Err(Error::MaxMemory { needed, limit });
        }
        Ok(Compiled {
            tensor: compiled.tensor,
            circuit: compiled.circuit,
            plan: ServerPlan::new(compiled.plan),
            output_bits: compiled.output_bits,
            from_intervals: compiled.from_intervals,
            passes: compiled.reports,
        })
    }
}

/// A compiled model.
#[derive(Clone, Debug)]
pub struct Compiled {
    tensor: Module,
    circuit: Circuit,
    plan: ServerPlan,
    output_bits: f64,
    from_intervals: bool,
    passes: Vec<StepReport>,
}

impl Compiled {
    /// What the server needs.
    pub fn server_plan(&self) -> ServerPlan {
        self.plan.clone()
    }

    /// What a client needs, without the model's weights.
    pub fn client_plan(&self) -> ClientPlan {
        self.plan.client_plan()
    }

    /// The text of a stage.
    pub fn text(&self, stage: Stage) -> String {
        match stage {
            Stage::Tensor => tensor::print(&self.tensor),
            Stage::Circuit => circuit::print(&self.circuit),
            Stage::Plan => plan::print(self.plan.plan()),
        }
    }

    /// The precision that is predicted of the outputs: -log2 of the largest expected error over the largest value.
    pub fn predicted_precision_bits(&self) -> f64 {
        self.output_bits
    }

    /// Whether ranges were bounded from declared ones, for want of samples; they are wider than needed then.
    pub fn ranges_are_bounds(&self) -> bool {
        self.from_intervals
    }

    /// What each pass did and how long it took.
    pub fn passes(&self) -> &[StepReport] {
        &self.passes
    }

    /// Writes `server.plan` and `client.plan` to a folder, which is made if it is not there, and returns their paths.
    ///
    /// # Errors
    /// [`Error::Write`]; neither file has then been replaced by half of a new one.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<(PathBuf, PathBuf), Error> {
        let client_plan = plan::client_plan_to_bytes(&self.client_plan());
        save(dir.as_ref(), &self.plan.to_bytes(), &client_plan)
    }

    /// States in the plan why the backend was chosen.
    pub(crate) fn set_choice(&mut self, choice: String) {
        let mut plan = self.plan.plan().clone();
        plan.estimates.choice = choice;
        self.plan = ServerPlan::new(plan);
    }

    /// The network after the passes.
    pub(crate) fn tensor(&self) -> &Module {
        &self.tensor
    }
}

/// Writes the bytes of both plans to a folder.
pub(crate) fn save(
    dir: &Path,
    server_plan: &[u8],
    client_plan: &[u8],
) -> Result<(PathBuf, PathBuf), Error> {
    fs::create_dir_all(dir).map_err(|source| Error::Write {
        path: dir.into(),
        source,
    })?;
    let (server, client) = (dir.join("server.plan"), dir.join("client.plan"));
    files::write(&[
        Output::public(&server, server_plan),
        Output::public(&client, client_plan),
    ])?;
    Ok((server, client))
}

impl From<CompileError> for Error {
    fn from(error: CompileError) -> Self {
        if error.is_internal() {
            Error::Internal(error.to_string())
        } else {
            Error::Compile(error)
        }
    }
}
