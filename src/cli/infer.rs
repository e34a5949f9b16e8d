//! `infer`: all roles in one process, to try things out.

use super::options::CompileOptions;
use super::ui::Ui;
use cipherloom::backend::{AnyClient, AnyServer, AnyServerPlan};
use cipherloom::files::{self, Output};
use cipherloom::{Error, memory};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `infer`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An .onnx file, a .loom program, or the folder of a compiled model
    #[arg(value_name = "MODEL|DIR")]
    model: PathBuf,
    /// The inputs: an array per input of the model, named as it
    #[arg(long, value_name = "IN.npz")]
    input: PathBuf,
    /// Where to write the outputs
    #[arg(id = "results", short = 'o', value_name = "OUT.npz")]
    output: PathBuf,
    /// How many threads to use; all cores without it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    options: CompileOptions,
}

#[derive(Serialize)]
struct Outcome {
    samples: usize,
    /// Seconds of the evaluation alone, of all samples.
    latency_s: f64,
    threads: usize,
    peak_rss_bytes: Option<u64>,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    super::with_threads(args.threads, || execute(ui, &args))
}

fn execute(ui: Ui, args: &Args) -> Result<(), Error> {
    let plan = compiled(ui, &args.model, &args.options)?;
    let (inputs, outputs) = (plan.inputs(), plan.results());
    let given = super::read_inputs(&args.input, &inputs)?;
    let (_, excursions) = cipherloom::check::clear_results(&plan, &super::split(&given, &inputs)?)?;
    super::warn_of(ui, &excursions);

    let client = AnyClient::of_own(plan.client_plan())?;
    let server = AnyServer::new(plan, &client, args.options.max_memory)?;
    let ciphertexts = client.encrypt(&given)?;
    let progress = ui.progress("run", server.work(&ciphertexts));
    let start = Instant::now();
    let results = server.run_with(&ciphertexts, &mut |done, _| progress.set(done))?;
    let latency_s = start.elapsed().as_secs_f64();
    drop(progress);
    let results = client.decrypt(&results, None)?;
    files::write(&[Output::public(
        &args.output,
        &super::output_bytes(&results, &outputs, &args.output)?,
    )])?;

    let (samples, threads) = (ciphertexts.samples(), rayon::current_num_threads());
    ui.note(&format!(
        "{samples} sample(s) in {latency_s:.4} s on {threads} thread(s)"
    ));
    ui.object(&Outcome {
        samples,
        latency_s,
        threads,
        peak_rss_bytes: memory::peak_rss(),
    })
}

/// The plan of a compiled model's folder, or of a model that is compiled now.
pub(super) fn compiled(
    ui: Ui,
    path: &Path,
    options: &CompileOptions,
) -> Result<AnyServerPlan, Error> {
    if path.is_dir() {
        if !options.is_default() {
            let text = format!(
                "{} is compiled already: options of compilation do not apply",
                path.display()
            );
            return Err(Error::Usage(text));
        }
        return super::read_any_server_plan(&path.join("server.plan"));
    }
    let model = options.model(path)?;
    let compiled = options.compiler(&model)?.compile_any(&model)?;
    options.warn(ui, &compiled);
    Ok(compiled.server_plan())
}
