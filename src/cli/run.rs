//! `run`: executes a plan on ciphertexts. It never reads a secret key.

use super::ui::Ui;
use cipherloom::backend::AnyServer;
use cipherloom::files::{self, Output};
use cipherloom::{Error, memory};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's plan
    #[arg(value_name = "SERVER.plan")]
    plan: PathBuf,
    /// The client's evaluation keys
    #[arg(long, value_name = "FILE")]
    eval_key: PathBuf,
    /// The encrypted inputs
    #[arg(value_name = "X.ct")]
    input: PathBuf,
    /// Where to write the encrypted outputs
    #[arg(short, value_name = "Y.ct")]
    output: PathBuf,
    /// How many threads to use; all cores without it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The most memory to use; matrices that do not fit are expanded at use, which is slower
    #[arg(long, value_name = "BYTES")]
    max_memory: Option<u64>,
}

/// What `--json` prints: seconds of the evaluation alone, of all samples.
#[derive(Serialize)]
struct Outcome {
    latency_s: f64,
    threads: usize,
    peak_rss_bytes: Option<u64>,
    samples: usize,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    super::with_threads(args.threads, || execute(ui, &args))
}

fn execute(ui: Ui, args: &Args) -> Result<(), Error> {
    let plan = super::read_any_server_plan(&args.plan)?;
    let start = Instant::now();
    let keys = files::read(&args.eval_key)?;
    let server =
        AnyServer::within(plan, &keys, args.max_memory).map_err(|e| e.at(&args.eval_key))?;
    drop(keys);
    ui.detail(&format!(
        "loaded and expanded in {:.3} s",
        start.elapsed().as_secs_f64()
    ));
    let about_input = |e: Error| e.at(&args.input);
    let inputs = server
        .read(&files::read(&args.input)?)
        .map_err(about_input)?;

    let progress = ui.progress("run", server.work(&inputs));
    let start = Instant::now();
    let outputs = server
        .run_with(&inputs, &mut |done, _| progress.set(done))
        .map_err(about_input)?;
    let latency_s = start.elapsed().as_secs_f64();
    drop(progress);

    files::write(&[Output::public(&args.output, &server.write(&outputs)?)])?;
    let threads = rayon::current_num_threads();
    let samples = inputs.samples();
    ui.note(&format!(
        "{samples} sample(s) in {latency_s:.4} s on {threads} thread(s)"
    ));
    ui.object(&Outcome {
        latency_s,
        threads,
        peak_rss_bytes: memory::peak_rss(),
        samples,
    })
}
