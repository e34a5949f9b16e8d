//! The choice of a backend, and a model compiled for either.

use crate::backend::{AnyClientPlan, AnyServerPlan};
use crate::{Compiled, Compiler, Error, Model, Stage};
use cipherloom_compiler::CompileError;
use cipherloom_ir::integer::{SETS, lookup_seconds};
use cipherloom_ir::tensor::{Module, Op};
use std::fmt::Display;
use std::path::{Path, PathBuf};

#[cfg(feature = "tfhe")]
pub use tfhe::TfheCompiled;

/// What the TFHE backend must save to be chosen: below that, CKKS's precision and its small keys are worth more.
const WORTH_SECONDS: f64 = 5e-3;

/// What encrypted results are computed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Approximate arithmetic on packed vectors.
    Ckks,
    /// Look-up tables on small integers.
    Tfhe,
    /// Whichever is faster and meets what is asked for.
    #[default]
    Auto,
}

/// A model compiled for either backend.
#[derive(Clone, Debug)]
pub enum AnyCompiled {
    /// For the CKKS backend.
    Ckks(Box<Compiled>),
    /// For the TFHE backend.
    #[cfg(feature = "tfhe")]
    Tfhe(Box<TfheCompiled>),
}

impl AnyCompiled {
    /// What the server needs.
    pub fn server_plan(&self) -> AnyServerPlan {
        match self {
            Self::Ckks(compiled) => AnyServerPlan::Ckks(compiled.server_plan()),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(compiled) => AnyServerPlan::Tfhe(compiled.server_plan()),
        }
    }

    /// What a client needs, without the model's weights.
    pub fn client_plan(&self) -> AnyClientPlan {
        self.server_plan().client_plan()
    }

    /// The text of a stage. For the TFHE backend, one stage stands for circuit and plan.
    pub fn text(&self, stage: Stage) -> String {
        match self {
            Self::Ckks(compiled) => compiled.text(stage),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(compiled) => compiled.text(stage),
        }
    }

    /// The precision that is predicted of the outputs; for the TFHE backend, that of the calibration samples, simulated with
    /// noise. `None` where there is no error.
    pub fn predicted_precision_bits(&self) -> Option<f64> {
        match self {
            Self::Ckks(compiled) => Some(compiled.predicted_precision_bits()),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(compiled) => compiled.precision_bits(),
        }
    }

    /// Writes `server.plan` and `client.plan` to a folder, which is made if it is not there, and returns their paths.
    ///
    /// # Errors
    /// As [`Compiled::save`].
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<(PathBuf, PathBuf), Error> {
        let (server, client) = (self.server_plan().to_bytes(), self.client_plan().to_bytes());
        crate::compiler::save(dir.as_ref(), &server, &client)
    }
}

impl Compiler {
    /// Compiles a model for the backend that was asked for, or for the better one.
    ///
    /// # Errors
    /// As [`Self::compile`]; for the TFHE backend operations without a form there, missing samples and networks that no
    /// published parameter set can compute.
    pub fn compile_any(&self, model: &Model) -> Result<AnyCompiled, Error> {
        self.compile_any_with(model, &mut |_, _| ())
    }

    /// [`Self::compile_any`]; `print` is for the passes of the CKKS backend, as in [`Self::compile_with`].
    ///
    /// # Errors
    /// As [`Self::compile_any`] and [`Self::compile_with`].
    pub fn compile_any_with(
        &self,
        model: &Model,
        print: &mut dyn FnMut(&str, &dyn Display),
    ) -> Result<AnyCompiled, Error> {
        match self.backend {
            Backend::Ckks => Ok(AnyCompiled::Ckks(Box::new(
                self.compile_with(model, print)?,
            ))),
            Backend::Tfhe => self.compile_tfhe(model),
            Backend::Auto => self.compile_better(model, print),
        }
    }

    /// Compiles for the backend that is expected to be faster, of those that meet what is asked for.
    fn compile_better(
        &self,
        model: &Model,
        print: &mut dyn FnMut(&str, &dyn Display),
    ) -> Result<AnyCompiled, Error> {
        let mut ckks = match self.compile_with(model, print) {
            Ok(compiled) => compiled,
            Err(stopped @ Error::Compile(CompileError::Stopped(_))) => return Err(stopped),
            Err(refused) => return self.instead(model, refused),
        };
        let plan = ckks.server_plan();
        // The other backend takes one sample at a time.
        let samples = plan.plan().samples();
        let seconds = plan.plan().estimates.latency_s / samples.max(1) as f64;
        let each = if samples > 1 { " a sample" } else { "" };
        let expected = format!("{} expected on one thread{each}", duration(seconds));
        let least = least_seconds(ckks.tensor());
        let because = if least >= seconds {
            let text = "tfhe would take at least";
            format!("{text} {} for its table lookups", duration(least))
        } else {
            match self.compile_tfhe(model) {
                Ok(mut tfhe) => match rival(&tfhe) {
                    Ok(other) if other + WORTH_SECONDS < seconds => {
                        let text = format!(
                            "tfhe: {} expected on one thread; ckks would take {}",
                            duration(other),
                            duration(seconds)
                        );
                        set_choice(&mut tfhe, text);
                        return Ok(tfhe);
                    }
                    Ok(other) => format!("tfhe would take {}", duration(other)),
                    Err(reason) => reason,
                },
                Err(refused) => format!("tfhe has no plan: {}", first_line(&refused)),
            }
        };
        ckks.set_choice(format!("ckks: {expected}; {because}"));
        Ok(AnyCompiled::Ckks(Box::new(ckks)))
    }

    /// Compiles for the TFHE backend what the other one refuses; its refusal stands where both refuse.
    fn instead(&self, model: &Model, refused: Error) -> Result<AnyCompiled, Error> {
        let fits = matches!(refused, Error::Compile(_) | Error::MaxMemory { .. });
        if !fits || self.samples.is_empty() || self.stop_after.is_some() {
            return Err(refused);
        }
        let Ok(mut tfhe) = self.compile_tfhe(model) else {
            return Err(refused);
        };
        if rival(&tfhe).is_err() {
            return Err(refused);
        }
        let text = format!(
            "tfhe: ckks has no plan of this model: {}",
            first_line(&refused)
        );
        set_choice(&mut tfhe, text);
        Ok(tfhe)
    }

    #[cfg(not(feature = "tfhe"))]
    fn compile_tfhe(&self, _: &Model) -> Result<AnyCompiled, Error> {
        let text = "this build has no TFHE backend: build with the cargo feature `tfhe`";
        Err(Error::Usage(text.into()))
    }
}

/// Seconds that a model for the TFHE backend is expected to take, or why it may not be chosen.
fn rival(compiled: &AnyCompiled) -> Result<f64, String> {
    match compiled {
        AnyCompiled::Ckks(_) => Err(String::new()),
        #[cfg(feature = "tfhe")]
        AnyCompiled::Tfhe(compiled) if compiled.agrees() => {
            Ok(compiled.server_plan().plan().estimates.latency_s)
        }
        #[cfg(feature = "tfhe")]
        AnyCompiled::Tfhe(compiled) => Err(format!(
            "tfhe keeps {:.1} % of the samples' decisions alone",
            100.0 * compiled.agreement()
        )),
    }
}

fn set_choice(compiled: &mut AnyCompiled, choice: String) {
    match compiled {
        AnyCompiled::Ckks(compiled) => compiled.set_choice(choice),
        #[cfg(feature = "tfhe")]
        AnyCompiled::Tfhe(compiled) => compiled.set_choice(choice),
    }
}

/// Seconds that table lookups take at least: one for each element of a function that follows no other function.
fn least_seconds(module: &Module) -> f64 {
    let nonlinear = |id| {
        let op = module.graph.get(id).map(|node| &node.op);
        matches!(
            op,
            Some(
                Op::Function(_)
                    | Op::Approximation { .. }
                    | Op::Power { .. }
                    | Op::Polynomial { .. }
            )
        )
    };
    let nodes = module.graph.ids().into_iter().filter(|id| nonlinear(*id));
    let first = nodes.filter(|id| !module.graph.operands(*id).iter().any(|o| nonlinear(*o)));
    let elements = |id| {
        let node = module.graph.get(id);
        node.map_or(0, |n| n.shape.iter().product::<usize>())
    };
    let lookups: usize = first.map(elements).sum();
    lookups as f64 * lookup_seconds(&SETS[0])
}

fn first_line(error: &Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// Seconds for people.
fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.1} ms", 1e3 * seconds)
    } else {
        format!("{seconds:.2} s")
    }
}

#[cfg(feature = "tfhe")]
mod tfhe {
    use super::{AnyCompiled, Backend};
    use crate::metrics::{Comparison, Results};
    use crate::{Compiler, Error, Model, Stage};
    use cipherloom_compiler::integer::{
        IntegerCompiled, IntegerError, IntegerOptions, LayerReport, compile_integer,
    };
    use cipherloom_compiler::pass::PrintAfter;
    use cipherloom_ir::Tensors;
    use cipherloom_ir::integer::{IntegerSimulator, print};
    use cipherloom_ir::security::Security;
    use cipherloom_ir::tensor::{self, Module, eval};
    use cipherloom_runtime::TfheServerPlan;

    /// Calibration samples that are simulated to find the precision.
    const MEASURED: usize = 128;

    /// A model compiled for the TFHE backend.
    #[derive(Clone, Debug)]
    pub struct TfheCompiled {
        tensor: Module,
        plan: TfheServerPlan,
        found: IntegerCompiled,
        wanted_agreement: f64,
        precision_bits: Option<f64>,
    }

    impl TfheCompiled {
        /// What the server needs.
        pub fn server_plan(&self) -> TfheServerPlan {
            self.plan.clone()
        }

        /// The text of a stage; circuit and plan are one.
        pub fn text(&self, stage: Stage) -> String {
            match stage {
                Stage::Tensor => tensor::print(&self.tensor),
                Stage::Circuit | Stage::Plan => print(self.plan.plan()),
            }
        }

        /// The share of the samples' decisions that are kept, simulated with noise.
        pub fn agreement(&self) -> f64 {
            self.found.agreement
        }

        /// The share that was asked for.
        pub fn wanted_agreement(&self) -> f64 {
            self.wanted_agreement
        }

        /// Whether as many are kept as were asked for, of the samples and, by expectation, of further ones.
        pub fn agrees(&self) -> bool {
            self.found.agrees
        }

        /// -log2 of the largest error on calibration samples over the largest output, simulated with noise.
        pub fn precision_bits(&self) -> Option<f64> {
            self.precision_bits
        }

        /// What became of each layer.
        pub fn layers(&self) -> &[LayerReport] {
            &self.found.layers
        }

        pub(super) fn set_choice(&mut self, choice: String) {
            let mut plan = self.plan.plan().clone();
            plan.estimates.choice = choice;
            self.plan = TfheServerPlan::new(plan);
        }
    }

    impl Compiler {
        /// Compiles for the TFHE backend.
        pub(super) fn compile_tfhe(&self, model: &Model) -> Result<AnyCompiled, Error> {
            self.check_tfhe()?;
            if let Some(input) = model.module().inputs.iter().find(|input| input.clear) {
                let text = "inputs in clear are for `--backend ckks`";
                return Err(Error::Usage(format!("input {:?}: {text}", input.name)));
            }
            let options = IntegerOptions {
                log2_failure: self.log2_failure,
                agreement: self.agreement,
                margin: self.margin.unwrap_or(2.0),
                ranges: self.ranges.clone(),
                keep_tail: self.keep_tail,
                exact_maxima: !self.maxima,
                exact_comparisons: !self.jumps,
                ..IntegerOptions::default()
            };
            let found = compile_integer(model.module(), &self.samples, &options)?;
            let needed = found.plan.estimates.run_bytes;
            if let Some(limit) = self.max_memory.filter(|limit| needed > *limit) {
                return Err(Error::MaxMemory { needed, limit });
            }
            let precision_bits = precision(&found, &self.samples)?;
            if let (Some(wanted), Some(bits)) = (self.precision, precision_bits)
                && bits < wanted
            {
                return Err(Error::Usage(format!(
                    "a precision of {wanted} bits cannot be reached with the TFHE backend: the best plan has {bits:.1} on the \
                     calibration samples; compile with `--backend ckks`"
                )));
            }
            Ok(AnyCompiled::Tfhe(Box::new(TfheCompiled {
                tensor: found.plan.clear.clone(),
                plan: TfheServerPlan::new(found.plan.clone()),
                found,
                wanted_agreement: self.agreement,
                precision_bits,
            })))
        }

        /// Refuses options that the TFHE backend cannot follow.
        fn check_tfhe(&self) -> Result<(), Error> {
            let refuse = |text: &str| Err(Error::Usage(text.to_owned()));
            if self.security != Security::Classical128 {
                return refuse(
                    "the published parameter sets of the TFHE backend are for 128 bits against classical attacks: other targets \
                     of --security and --quantum take `--backend ckks`",
                );
            }
            let passes = self.stop_after.is_some() || self.print_after != PrintAfter::None;
            if passes && self.backend == Backend::Tfhe {
                return refuse(
                    "--stop-after and --print-after are for the passes of `--backend ckks`; `--emit plan` prints what the TFHE \
                     backend executes",
                );
            }
            Ok(())
        }
    }

    /// The precision on samples that are spread over all.
    fn precision(found: &IntegerCompiled, samples: &[Tensors]) -> Result<Option<f64>, Error> {
        let fault = |error: &dyn std::fmt::Display| Error::Internal(error.to_string());
        let simulator = IntegerSimulator::new(&found.plan);
        let mut compared = Comparison::default();
        let every = samples.len().div_ceil(MEASURED).max(1);
        for (i, sample) in samples.iter().step_by(every).enumerate() {
            let results = |encrypted| Results {
                encrypted,
                finished: Tensors::new(),
            };
            let clear = eval(&found.plan.clear, sample).map_err(|e| fault(&e))?;
            let simulated = simulator.run(sample, Some(i as u64));
            let simulated = simulated.map_err(|e| fault(&e))?;
            compared.add(&[], &results(clear), &results(simulated), None);
        }
        Ok(compared.error_bits())
    }

    impl From<IntegerError> for Error {
        fn from(error: IntegerError) -> Self {
            if error.is_internal() {
                Error::Internal(error.to_string())
            } else {
                Error::CompileInteger(error)
            }
        }
    }
}
