//! `compile`: a model to `server.plan` and `client.plan`.

use super::options::CompileOptions;
use super::ui::Ui;
use cipherloom::files::{self, Output};
use cipherloom::report::{AnyReport, IntegerReport, Report, human_bytes};
use cipherloom::{AnyCompiled, CompileError, Error, Stage, StepReport};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `compile`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The network, an .onnx file, or a .loom program
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The folder for server.plan and client.plan; made if it is not there
    #[arg(short, value_name = "DIR")]
    output_dir: PathBuf,
    #[command(flatten)]
    options: CompileOptions,
    /// Print the text of a stage, or write it to a file; repeatable
    #[arg(long, value_name = "tensor|circuit|plan[=FILE]", value_parser = emission)]
    emit: Vec<Emission>,
    /// Stop after a pass; no plan is written
    #[arg(long, value_name = "PASS")]
    stop_after: Option<String>,
    /// Print the network after a pass, or after all that change it
    #[arg(long, value_name = "PASS|all")]
    print_after: Vec<String>,
    /// Print how long each pass took
    #[arg(long)]
    time_passes: bool,
}

/// One `--emit`.
#[derive(Clone, Debug)]
struct Emission {
    stage: Stage,
    file: Option<PathBuf>,
}

fn emission(text: &str) -> Result<Emission, String> {
    let (stage, file) = match text.split_once('=') {
        Some((stage, file)) if !file.is_empty() => (stage, Some(file.into())),
        Some(_) => return Err("the file's name is missing after `=`".into()),
        None => (text, None),
    };
    let stage = match stage {
        "tensor" => Stage::Tensor,
        "circuit" => Stage::Circuit,
        "plan" => Stage::Plan,
        _ => return Err("the stages are tensor, circuit and plan".into()),
    };
    Ok(Emission { stage, file })
}

#[derive(Default, Serialize)]
struct Outcome {
    server_plan: Option<PathBuf>,
    client_plan: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_after: Option<String>,
    report: Option<AnyReport>,
    predicted_precision_bits: Option<f64>,
    passes: Vec<Pass>,
    /// What `--emit` without a file asked for, by stage.
    emitted: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Pass {
    name: String,
    patches: usize,
    seconds: f64,
}

impl From<&StepReport> for Pass {
    fn from(report: &StepReport) -> Self {
        Self {
            name: report.name.clone(),
            patches: report.patches,
            seconds: report.time.as_secs_f64(),
        }
    }
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    let model = args.options.model(&args.model)?;
    let mut compiler = args.options.compiler(&model)?;
    for pass in &args.print_after {
        compiler = compiler.print_after(pass);
    }
    if let Some(pass) = &args.stop_after {
        compiler = compiler.stop_after(pass);
    }
    // The text of a pass to stop after comes last.
    let mut last = String::new();
    let outcome = compiler.compile_any_with(&model, &mut |pass, text| {
        let wanted = args.print_after.iter().any(|p| p == "all" || p == pass);
        last = text.to_string();
        if wanted && args.stop_after.as_deref() != Some(pass) {
            super::ui::stderr(&format!("; after {pass}\n{}", last.trim_end()));
        }
    });
    match outcome {
        Ok(compiled) => finish(ui, &args, &compiled),
        Err(Error::Compile(CompileError::Stopped(pass))) => {
            let reached = Stage::after(&pass);
            if let Some(early) = args.emit.iter().find(|e| e.stage != reached) {
                let stage = early.stage.name();
                return Err(Error::Usage(format!(
                    "--emit {stage}: stopped after {pass}, at another stage"
                )));
            }
            let mut emitted = emit(ui, &args.emit, &|_| last.clone())?;
            if args.emit.is_empty() {
                ui.result(&last)?;
                emitted.insert(reached.name(), last);
            }
            ui.note("stopped; no plan is written");
            ui.object(&Outcome {
                stopped_after: Some(pass),
                emitted,
                ..Outcome::default()
            })
        }
        Err(error) => Err(error),
    }
}

/// Writes the plans, once nothing else can be refused, and says what they cost.
fn finish(ui: Ui, args: &Args, compiled: &AnyCompiled) -> Result<(), Error> {
    let (server, client) = compiled.save(&args.output_dir)?;
    let emitted = emit(ui, &args.emit, &|stage| compiled.text(stage))?;
    let passes = match compiled {
        AnyCompiled::Ckks(compiled) => compiled.passes(),
        #[cfg(feature = "tfhe")]
        AnyCompiled::Tfhe(_) => &[],
    };
    if args.time_passes {
        for pass in passes {
            let milliseconds = 1e3 * pass.time.as_secs_f64();
            super::ui::stderr(&format!(
                "{milliseconds:>10.3} ms  {:>4} patches  {}",
                pass.patches, pass.name
            ));
        }
    }
    args.options.warn(ui, compiled);
    if let AnyCompiled::Ckks(compiled) = compiled
        && compiled.ranges_are_bounds()
    {
        ui.note("ranges are bounds that follow from the declared ones; samples (--calibrate) give closer ones");
    }
    let bytes = fs::metadata(&server).map_or(0, |m| m.len());
    let report = AnyReport::new(&compiled.server_plan(), bytes, &args.options.costs()?);
    ui.note(&summary(&args.output_dir, &report, bytes));
    ui.object(&Outcome {
        server_plan: Some(server),
        client_plan: Some(client),
        stopped_after: None,
        predicted_precision_bits: compiled.predicted_precision_bits(),
        passes: passes.iter().map(Pass::from).collect(),
        emitted,
        report: Some(report),
    })
}

/// Prints or writes the texts that were asked for, and returns those for `--json`.
fn emit(
    ui: Ui,
    wanted: &[Emission],
    text: &dyn Fn(Stage) -> String,
) -> Result<BTreeMap<&'static str, String>, Error> {
    let mut emitted = BTreeMap::new();
    for Emission { stage, file } in wanted {
        let text = text(*stage);
        match file {
            Some(path) => files::write(&[Output::public(path, text.as_bytes())])?,
            None if ui.json => {
                emitted.insert(stage.name(), text);
            }
            None => ui.result(&text)?,
        }
    }
    Ok(emitted)
}

fn summary(dir: &Path, report: &AnyReport, plan_bytes: u64) -> String {
    let text = match report {
        AnyReport::Ckks(report) => ckks_summary(report),
        AnyReport::Tfhe(report) => tfhe_summary(report),
    };
    format!(
        "{}: {text}, a plan of {}",
        dir.display(),
        human_bytes(plan_bytes)
    )
}

fn ckks_summary(report: &Report) -> String {
    let bits = report
        .outputs
        .iter()
        .filter_map(|o| o.precision_bits)
        .fold(f64::INFINITY, f64::min);
    format!(
        "{}-bit security, N = 2^{}, noise {:.1} bits below the outputs, about {:.0} ms a run on one thread, {} of memory (at \
         least {}), {} of evaluation keys",
        report.security.target,
        report.parameters.log_n,
        bits,
        1e3 * report.cost.latency_s,
        human_bytes(report.cost.run_bytes),
        human_bytes(report.cost.least_run_bytes),
        human_bytes(report.cost.eval_key_bytes)
    )
}

fn tfhe_summary(report: &IntegerReport) -> String {
    format!(
        "{}-bit security, TFHE with the set for {} bits, {} bootstraps, about {:.0} ms a run on one thread, {} of memory, {} of \
         server keys",
        report.security.target,
        report.parameters.bits,
        report.cost.bootstraps,
        1e3 * report.cost.latency_s,
        human_bytes(report.cost.run_bytes),
        human_bytes(report.cost.eval_key_bytes)
    )
}
