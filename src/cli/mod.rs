//! The command line: one file per command.

mod bench;
mod calibrate;
mod check;
mod compile;
mod completions;
mod decrypt;
mod diff;
mod encrypt;
mod explain;
mod fmt;
mod infer;
mod keygen;
mod man;
mod ops;
mod options;
mod run;
mod ui;

use cipherloom::backend::{AnyClientPlan, AnyServerPlan};
use cipherloom::data::{self, PortSpec};
use cipherloom::metrics::Excursion;
use cipherloom::{Error, Tensors, files};
use clap::{Parser, Subcommand};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use ui::Ui;

/// Compile neural networks to circuits over encrypted data, and run them.
#[derive(Debug, Parser)]
#[command(name = "cipherloom", version, about, max_term_width = 110)]
struct Cli {
    /// Print one JSON object on standard output and nothing else
    #[arg(long, global = true)]
    json: bool,
    /// Print no notes and no progress
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print details on standard error
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compile a network or program: writes DIR/server.plan and DIR/client.plan
    Compile(compile::Args),
    /// Say what a plan costs and why
    Explain(explain::Args),
    /// Say what changed between two plans, and whether it stays within limits
    Diff(diff::Args),
    /// Make a secret key and the evaluation keys that a plan needs
    Keygen(keygen::Args),
    /// Encrypt inputs
    Encrypt(encrypt::Args),
    /// Execute a plan on encrypted inputs
    Run(run::Args),
    /// Decrypt outputs
    Decrypt(decrypt::Args),
    /// Compile, encrypt, run and decrypt in one process, to try things out
    Infer(infer::Args),
    /// Compare clear, simulated and encrypted results on the same samples
    Check(check::Args),
    /// Measure how fast a plan runs on this machine
    Bench(bench::Args),
    /// Measure this machine's rates for --cost-model
    Calibrate(calibrate::Args),
    /// Lay .loom programs out
    Fmt(fmt::Args),
    /// List the supported ONNX operators
    Ops(ops::Args),
    /// Print what a shell needs to complete commands and options
    Completions(completions::Args),
    /// Print the manual page, or write a page per command
    Man(man::Args),
}

/// An error as `--json` prints it.
#[derive(Serialize)]
struct Failure {
    error: String,
    exit_status: u8,
}

/// Parses the command line, executes the command and says how it went.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return refuse_usage(&usage),
    };
    let ui = Ui {
        json: cli.json,
        quiet: cli.quiet,
        verbose: cli.verbose,
    };
    let outcome = match cli.command {
        Command::Compile(args) => compile::main(ui, args),
        Command::Explain(args) => explain::main(ui, args),
        Command::Diff(args) => diff::main(ui, &args),
        Command::Keygen(args) => keygen::main(ui, args),
        Command::Encrypt(args) => encrypt::main(ui, args),
        Command::Run(args) => run::main(ui, args),
        Command::Decrypt(args) => decrypt::main(ui, args),
        Command::Infer(args) => infer::main(ui, args),
        Command::Check(args) => check::main(ui, args),
        Command::Bench(args) => bench::main(ui, args),
        Command::Calibrate(args) => calibrate::main(ui, args),
        Command::Fmt(args) => fmt::main(ui, args),
        Command::Ops(args) => ops::main(ui, args),
        Command::Completions(args) => completions::main(ui, &args),
        Command::Man(args) => man::main(ui, args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(ui, &error),
    }
}

/// Says what is wrong: the text on standard error and, with `--json`, an object on standard output.
fn refuse(ui: Ui, error: &Error) -> ExitCode {
    ui::stderr(&format!("error: {error}"));
    let failure = Failure {
        error: error.to_string(),
        exit_status: error.exit_status(),
    };
    // A comparison has been printed already. Where standard output is gone, the exit status still tells.
    if !matches!(error, Error::Limits(_)) {
        let _ = ui.object(&failure);
    }
    ExitCode::from(error.exit_status())
}

/// Help and version are results; all else that the parser reports is a usage error, status 1.
fn refuse_usage(usage: &clap::Error) -> ExitCode {
    if !usage.use_stderr() {
        // `clap` prints to standard output; where that is gone there is nothing left to do.
        let _ = usage.print();
        return ExitCode::SUCCESS;
    }
    let text = usage.render().to_string();
    ui::stderr(text.trim_end());
    let ui = Ui {
        json: std::env::args_os().any(|arg| arg == "--json"),
        quiet: false,
        verbose: false,
    };
    let _ = ui.object(&Failure {
        error: text,
        exit_status: 1,
    });
    ExitCode::from(1)
}

/// Reads `client.plan`, of either backend.
fn read_client_plan(path: &Path) -> Result<AnyClientPlan, Error> {
    AnyClientPlan::from_bytes(&files::read(path)?).map_err(|e| e.at(path))
}

/// The path of `server.plan`, given itself or by its folder.
fn server_plan_path(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join("server.plan")
    } else {
        path.to_owned()
    }
}

/// Reads `server.plan`, of either backend.
fn read_any_server_plan(path: &Path) -> Result<AnyServerPlan, Error> {
    AnyServerPlan::from_bytes(&files::read(path)?).map_err(|e| e.at(path))
}

/// Reads inputs and checks them against the ports' shapes and ranges.
fn read_inputs(path: &Path, ports: &[PortSpec]) -> Result<Tensors, Error> {
    data::read_inputs(&files::read(path)?, ports, true).map_err(|e| Error::from(e).at(path))
}

/// Splits what [`read_inputs`] returned; it has been checked already.
fn split(inputs: &Tensors, ports: &[PortSpec]) -> Result<Vec<Tensors>, Error> {
    data::split(inputs, ports)
        .ok_or_else(|| Error::Internal("checked inputs cannot be split".into()))
}

/// The bytes of a file with outputs; a path that ends in `.npy` asks for a single array.
fn output_bytes(outputs: &Tensors, ports: &[PortSpec], path: &Path) -> Result<Vec<u8>, Error> {
    let single = path.extension().is_some_and(|e| e == "npy");
    if single && ports.len() != 1 {
        let text = format!(
            "{}: a .npy file holds one array, the model has {} outputs",
            path.display(),
            ports.len()
        );
        return Err(Error::Usage(text));
    }
    let bytes = data::write_outputs(outputs, ports, single);
    let bytes = bytes.ok_or_else(|| Error::Internal("an output is missing".into()))?;
    bytes.map_err(|source| Error::Write {
        path: path.into(),
        source,
    })
}

/// Runs `work` on so many threads; on all cores without a number.
fn with_threads<T: Send>(
    threads: Option<usize>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let Some(threads) = threads else {
        return work();
    };
    if threads == 0 || threads > 1024 {
        return Err(Error::Usage(format!(
            "--threads {threads}: a number from 1 to 1024"
        )));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|e| Error::Internal(format!("threads cannot be started: {e}")))?
        .install(work)
}

/// Warns of values that left their range inside the network, by layer.
fn warn_of(ui: Ui, excursions: &[Excursion]) {
    for e in excursions {
        ui.warning(&format!(
            "{}: {:.3} % of its values, in {} sample(s), the first being {}, leave the range {} (margin included), as far \
             as {}",
            e.layer,
            100.0 * e.share,
            e.samples,
            e.first,
            e.range,
            e.value
        ));
    }
}
