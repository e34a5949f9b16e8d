//! The options of compilation, which `compile`, `infer` and `check` share.

use super::ui::Ui;
use cipherloom::{
    AnyCompiled, Batch, Compiler, CostModel, Error, Model, Preference, Range, Security, data,
    files, onnx,
};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// What encrypted results are computed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// Approximate arithmetic on packed vectors
    Ckks,
    /// Look-up tables on small integers; takes samples (--calibrate)
    Tfhe,
    /// Whichever is faster and meets what is asked for; `explain` says why
    #[default]
    Auto,
}

impl From<Backend> for cipherloom::Backend {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Ckks => Self::Ckks,
            Backend::Tfhe => Self::Tfhe,
            Backend::Auto => Self::Auto,
        }
    }
}

/// What is approximated only on request, for it takes many levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Approximable {
    /// MaxPool, GlobalMaxPool, ReduceMax and ReduceMin
    Maxpool,
    /// Comparisons, signs, steps and selections, which are undecided close to equality (`--dead-zone`); always within programs
    Compare,
}

/// What a plan is to be good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wish {
    /// The least time of a run on one thread, noise 12 bits below the outputs
    Latency,
    /// The most samples a second, as `--batch max`
    Throughput,
    /// The fewest bytes of keys and ciphertexts: the smallest of three plans, with the time of keys counted once, 4 and 16 times
    Size,
    /// Outputs to 24, 20 or 16 bits, whichever can be reached
    Precision,
}

impl From<Wish> for Preference {
    fn from(wish: Wish) -> Self {
        match wish {
            Wish::Latency => Self::Latency,
            Wish::Throughput => Self::Throughput,
            Wish::Size => Self::Size,
            Wish::Precision => Self::Precision,
        }
    }
}

/// How a network is compiled.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CompileOptions {
    /// Samples from which value ranges are measured
    #[arg(long, value_name = "DATA.npz")]
    pub(crate) calibrate: Option<PathBuf>,
    /// The range of an input's values; repeatable
    #[arg(long, value_name = "NAME=LO,HI", value_parser = input_range)]
    pub(crate) input_range: Vec<(String, Range)>,
    /// What encrypted results are computed with
    #[arg(long, value_enum)]
    pub(crate) backend: Option<Backend>,
    /// Bits of security, 128, 192 or 256, against classical attacks; default 128
    #[arg(long, value_name = "BITS")]
    pub(crate) security: Option<u32>,
    /// Count the bits of security against quantum attacks
    #[arg(long)]
    pub(crate) quantum: bool,
    /// Wanted precision of the outputs; refused if it cannot be reached
    #[arg(long, value_name = "BITS")]
    pub(crate) precision: Option<f64>,
    /// What the plan is to be good at, where no other option says so exactly; default latency
    #[arg(long, value_enum, value_name = "WISH")]
    pub(crate) prefer: Option<Wish>,
    /// For the TFHE backend, the probability with which a lookup or a decrypted number may be wrong, such as 2^-64; default 2^-128
    #[arg(long, value_name = "P", value_parser = probability, allow_hyphen_values = true)]
    pub(crate) failure_probability: Option<f64>,
    /// For the TFHE backend, the share of the samples that shall keep their decision, simulated with noise; default 0.99
    #[arg(long, value_name = "SHARE")]
    pub(crate) agreement: Option<f64>,
    /// Margin of ranges; default 2
    #[arg(long, value_name = "M")]
    pub(crate) margin: Option<f64>,
    /// The most memory that a run may use: a plan that needs more is refused
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_memory: Option<u64>,
    /// Compile a last Softmax, Sigmoid or ArgMax in, instead of leaving it to the client
    #[arg(long)]
    pub(crate) keep_tail: bool,
    /// Approximate what is refused otherwise, for it takes many levels
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) approx: Vec<Approximable>,
    /// The part of a comparison's range, to either side of equality, in which its result is undecided; default 1/128
    #[arg(long, value_name = "PART")]
    pub(crate) dead_zone: Option<f64>,
    /// How many samples one run packs: a number or `max`; default 1
    #[arg(long, value_name = "N|max", value_parser = batch)]
    pub(crate) batch: Option<Batch>,
    /// This machine's rates, as `calibrate` writes them, in place of built-in figures
    #[arg(long, value_name = "FILE")]
    pub(crate) cost_model: Option<PathBuf>,
    /// Stop at this value of the model
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
}

impl CompileOptions {
    /// Whether no option is given but the limit of memory, which applies to runs too.
    pub(crate) fn is_default(&self) -> bool {
        self.calibrate.is_none()
            && self.input_range.is_empty()
            && self.backend.is_none()
            && self.security.is_none()
            && !self.quantum
            && self.precision.is_none()
            && self.failure_probability.is_none()
            && self.agreement.is_none()
            && self.margin.is_none()
            && self.prefer.is_none()
            && self.cost_model.is_none()
            && !self.keep_tail
            && self.approx.is_empty()
            && self.dead_zone.is_none()
            && self.batch.is_none()
            && self.output.is_none()
    }

    /// Reads the model, after all options have been checked.
    pub(crate) fn model(&self, path: &Path) -> Result<Model, Error> {
        self.check_together()?;
        if path.extension().is_some_and(|e| e == "loom") {
            if self.output.is_some() {
                let text =
                    "--output is for ONNX models: a program says itself what its outputs are";
                return Err(Error::Usage(text.into()));
            }
            return Model::from_loom(path);
        }
        Model::from_onnx_with(
            path,
            &onnx::Options {
                outputs: self.output.iter().cloned().collect(),
            },
        )
    }

    /// The compiler with these options, its samples read.
    pub(crate) fn compiler(&self, model: &Model) -> Result<Compiler, Error> {
        let bits = self.security.unwrap_or(128);
        let security = Security::from_bits(bits, self.quantum);
        let unknown = || {
            Error::Usage(format!(
                "--security {bits}: the targets are 128, 192 and 256"
            ))
        };
        let mut compiler = Compiler::new()
            .security(security.ok_or_else(unknown)?)
            .backend(self.backend.unwrap_or_default().into());
        if let Some(log2) = self.failure_probability {
            compiler = compiler.failure_probability(log2);
        }
        if let Some(share) = self.agreement {
            compiler = compiler.agreement(share);
        }
        for (name, range) in &self.input_range {
            compiler = compiler.input_range(name, *range);
        }
        if let Some(bits) = self.precision {
            compiler = compiler.precision(bits);
        }
        // A batch that is asked for, be it 1, goes before the wish for throughput.
        let wish = |wish: &Wish| *wish != Wish::Throughput || self.batch.is_none();
        if let Some(wish) = self.prefer.filter(wish) {
            compiler = compiler.prefer(wish.into());
        }
        if let Some(margin) = self.margin {
            compiler = compiler.margin(margin);
        }
        compiler = compiler
            .keep_tail(self.keep_tail)
            .approximate_maxima(self.approx.contains(&Approximable::Maxpool))
            .approximate_jumps(self.approx.contains(&Approximable::Compare));
        if let Some(part) = self.dead_zone {
            compiler = compiler.dead_zone(part);
        }
        if let Some(batch) = self.batch {
            compiler = compiler.batch(batch);
        }
        if let Some(bytes) = self.max_memory {
            compiler = compiler.max_memory(bytes);
        }
        if self.cost_model.is_some() {
            compiler = compiler.cost_model(self.costs()?);
        }
        if let Some(path) = &self.calibrate {
            let ports = model.inputs();
            let inputs = data::read_inputs(&files::read(path)?, &ports, false)
                .map_err(|e| Error::from(e).at(path))?;
            compiler = compiler.calibrate(&super::split(&inputs, &ports)?);
        }
        Ok(compiler)
    }

    /// Warns of what was compiled, and says why for a backend.
    pub(crate) fn warn(&self, ui: Ui, compiled: &AnyCompiled) {
        #[cfg(not(feature = "tfhe"))]
        let _ = compiled;
        if let Some(log2) = self.failure_probability.filter(|log2| *log2 > -128.0) {
            ui.warning(&format!(
                "--failure-probability allows failures of a probability of 2^{log2:.1}: who sees a failure learns about the secret \
                 key; results of the TFHE backend should stay with the key's owner"
            ));
        }
        #[cfg(feature = "tfhe")]
        if let AnyCompiled::Tfhe(compiled) = compiled
            && !compiled.agrees()
        {
            ui.warning(&format!(
                "{:.1} % of the calibration samples keep their decision, simulated with noise, and fewer of them or of further \
                 samples than the {:.1} % that are asked for (--agreement); no published parameter set comes nearer",
                100.0 * compiled.agreement(),
                100.0 * compiled.wanted_agreement()
            ));
        }
    }

    /// The cost model that is asked for.
    pub(crate) fn costs(&self) -> Result<CostModel, Error> {
        cost_model(self.cost_model.as_deref())
    }

    /// Refuses options that do not go together.
    fn check_together(&self) -> Result<(), Error> {
        if self.backend == Some(Backend::Tfhe) && self.batch.is_some_and(|b| b != Batch::Samples(1))
        {
            let text = "--batch: the TFHE backend evaluates samples one by one";
            return Err(Error::Usage(text.into()));
        }
        Ok(())
    }
}

/// Reads a number from 1, or `max`.
fn batch(text: &str) -> Result<Batch, String> {
    if text == "max" {
        return Ok(Batch::Max);
    }
    match text.parse::<u32>() {
        Ok(0) | Err(_) => Err("a batch is a number from 1, or `max`".into()),
        Ok(samples) => Ok(Batch::Samples(samples as usize)),
    }
}

/// The cost model of a file, or the built-in one.
pub(crate) fn cost_model(path: Option<&Path>) -> Result<CostModel, Error> {
    let Some(path) = path else {
        return Ok(CostModel::built_in().clone());
    };
    let text = String::from_utf8_lossy(&files::read(path)?).into_owned();
    CostModel::from_text(&text).map_err(|e| Error::from(e).at(path))
}

/// Reads a probability as `2^-64` or as a number; yields log2 of it.
fn probability(text: &str) -> Result<f64, String> {
    let shape = "a probability is written 2^-64 or as a number between 0 and 1";
    let log2 = match text.strip_prefix("2^") {
        Some(exponent) => exponent.parse::<f64>().ok(),
        None => text.parse::<f64>().ok().map(f64::log2),
    };
    log2.filter(|log2| log2.is_finite() && *log2 < 0.0)
        .ok_or_else(|| shape.into())
}

/// Reads `NAME=LO,HI`; the name may itself hold an equals sign.
fn input_range(text: &str) -> Result<(String, Range), String> {
    let shape = "a range is written NAME=LO,HI";
    let (name, limits) = text.rsplit_once('=').ok_or(shape)?;
    let (lo, hi) = limits.split_once(',').ok_or(shape)?;
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .map_err(|_| format!("{text:?} is no number; {shape}"))
    };
    let (lo, hi) = (number(lo)?, number(hi)?);
    let range = Range::new(lo, hi).ok_or("a range has two finite ends, the lower one first")?;
    if name.is_empty() {
        Err(shape.into())
    } else {
        Ok((name.to_owned(), range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_read() {
        assert_eq!(probability("2^-64"), Ok(-64.0));
        assert_eq!(probability("0.25"), Ok(-2.0));
        for bad in ["", "2^", "2^3", "0", "1", "-1", "nan", "2^nan", "2^-inf"] {
            assert!(probability(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn batches_are_read() {
        assert_eq!(batch("max"), Ok(Batch::Max));
        assert_eq!(batch("64"), Ok(Batch::Samples(64)));
        for bad in ["", "0", "-1", "many", "99999999999"] {
            assert!(batch(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(
            input_range("a=b=-1,2.5").unwrap(),
            ("a=b".into(), Range { lo: -1.0, hi: 2.5 })
        );
        for bad in [
            "", "x", "x=1", "=1,2", "x=2,1", "x=nan,1", "x=0,inf", "x=a,b",
        ] {
            assert!(input_range(bad).is_err(), "{bad}");
        }
    }
}
