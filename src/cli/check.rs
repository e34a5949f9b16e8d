//! `check`: the same samples in clear, simulated with noise, and encrypted.

use super::options::CompileOptions;
use super::ui::Ui;
use cipherloom::check::{CheckReport, EncryptedSample, check_any};
use cipherloom::data;
use cipherloom::report::human_bytes;
use cipherloom::{Error, files};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An .onnx file, a .loom program, or the folder of a compiled model
    #[arg(value_name = "MODEL|DIR")]
    model: PathBuf,
    /// The inputs: an array per input of the model, named as it
    #[arg(long, value_name = "IN.npz")]
    input: PathBuf,
    /// The samples' classes, to count accuracies
    #[arg(long, value_name = "L.npy")]
    labels: Option<PathBuf>,
    /// How many samples to encrypt, the first ones
    #[arg(long, value_name = "K", default_value_t = 0)]
    encrypted: usize,
    /// How many threads to use; all cores without it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    options: CompileOptions,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    super::with_threads(args.threads, || execute(ui, &args))
}

fn execute(ui: Ui, args: &Args) -> Result<(), Error> {
    let plan = super::infer::compiled(ui, &args.model, &args.options)?;
    let ports = plan.inputs();
    let samples = super::split(&super::read_inputs(&args.input, &ports)?, &ports)?;
    let labels = match &args.labels {
        Some(path) => {
            let labels = data::read_labels(&files::read(path)?, samples.len());
            Some(labels.map_err(|e| Error::from(e).at(path))?)
        }
        None => None,
    };
    let progress = ui.progress("check", samples.len() + args.encrypted.min(samples.len()));
    let found = check_any(
        &plan,
        &samples,
        labels.as_deref(),
        args.encrypted,
        args.options.max_memory,
        &|done, total| {
            progress.set_length(total);
            progress.set(done);
        },
    )?;
    drop(progress);
    super::warn_of(ui, &found.excursions);
    ui.result(&text(&found.report, &found.encrypted))?;
    ui.object(&found.report)
}

/// The figures for people.
fn text(report: &CheckReport, samples: &[EncryptedSample]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = render(report, samples, &mut out);
    out
}

fn render(report: &CheckReport, samples: &[EncryptedSample], out: &mut String) -> std::fmt::Result {
    let (s, e) = (&report.simulated, &report.encrypted);
    if !samples.is_empty() {
        writeln!(
            out,
            "sample  clear  encrypted  label  latency    largest error"
        )?;
        for (i, sample) in samples.iter().enumerate() {
            let class = |c: Option<usize>| c.map_or_else(|| "-".into(), |c| c.to_string());
            writeln!(
                out,
                "{i:>6}  {:>5}  {:>9}  {:>5}  {:>6.1} ms  {:.2e}",
                class(sample.clear),
                class(sample.encrypted),
                class(sample.label),
                1e3 * sample.latency_s,
                sample.max_abs_error
            )?;
        }
        writeln!(out)?;
    }
    writeln!(out, "           samples  accuracy  agreement  error (bits)")?;
    writeln!(
        out,
        "clear      {:>7}  {:>8}",
        report.samples,
        percent(report.clear.accuracy)
    )?;
    writeln!(
        out,
        "simulated  {:>7}  {:>8}  {:>9}  {:>12}",
        report.samples,
        percent(s.accuracy),
        percent(s.agreement),
        bits(s.error_bits)
    )?;
    if samples.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "encrypted  {:>7}  {:>8}  {:>9}  {:>12}, {} predicted",
        e.samples,
        percent(e.accuracy),
        percent(e.agreement),
        bits(e.error_bits),
        bits(e.predicted_error_bits)
    )?;
    if let Some(ratio) = e.noise_ratio {
        writeln!(out, "noise: {ratio:.2} times the predicted deviation")?;
    }
    if let Some(latency) = e.latency_s {
        writeln!(
            out,
            "latency {:.1} ms (median), {:.1} ms (least), {} thread(s); peak memory {}",
            1e3 * latency.median,
            1e3 * latency.min,
            rayon::current_num_threads(),
            e.peak_rss_bytes
                .map_or_else(|| "unknown".into(), human_bytes)
        )?;
    }
    Ok(())
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{:.2} %", 100.0 * share))
}

fn bits(bits: Option<f64>) -> String {
    bits.map_or_else(|| "-".into(), |bits| format!("{bits:.1}"))
}
