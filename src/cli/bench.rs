//! `bench`: how fast a plan runs on this machine, on keys and inputs made for it.

use super::ui::Ui;
use cipherloom::Error;
use cipherloom::backend::{AnyClient, AnyServer};
use cipherloom::bench::{self, Limit, Measured, Part, Spread};
use cipherloom::files::{self, Output};
use cipherloom::report::{AnyReport, human_bytes};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A compiled model's folder, or its server.plan
    #[arg(value_name = "DIR|PLAN")]
    plan: PathBuf,
    /// How many runs to measure; without it as many as fit into the time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: Option<u32>,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    time: f64,
    /// How many threads to use; all cores without it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The most memory that a run may use; matrices that do not fit are expanded at use, which is slower
    #[arg(long, value_name = "BYTES")]
    max_memory: Option<u64>,
    /// This machine's rates, as `calibrate` writes them, in place of built-in figures
    #[arg(long, value_name = "FILE")]
    cost_model: Option<PathBuf>,
}

/// Reads a time that a measurement may take.
fn seconds(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok();
    let sensible = value.filter(|s| (0.0..=86_400.0).contains(s));
    sensible.ok_or_else(|| "seconds are a number from 0 to 86400".into())
}

/// What `--json` prints. Times are in seconds.
#[derive(Serialize)]
struct Outcome {
    name: String,
    plan_id: String,
    threads: usize,
    runs: usize,
    /// Samples that one run packs.
    samples: usize,
    /// One run: the evaluation alone, with plan and keys loaded and expanded.
    latency_s: Spread,
    /// What `explain` expects on so many threads.
    expected_latency_s: f64,
    samples_per_s: f64,
    load_s: Load,
    /// The peak of a process that does `run` alone; null where the system does not tell.
    peak_rss_bytes: Option<u64>,
    eval_key_bytes: u64,
    plan_bytes: u64,
    layers: Vec<Part>,
    operations: Vec<Part>,
}

/// What precedes a server's first run.
#[derive(Default, Serialize)]
struct Load {
    /// Reading and checking the plan.
    plan: f64,
    /// Expanding keys and constants.
    server: f64,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    super::with_threads(args.threads, || execute(ui, &args))
}

fn execute(ui: Ui, args: &Args) -> Result<(), Error> {
    let costs = super::options::cost_model(args.cost_model.as_deref())?;
    let path = super::server_plan_path(&args.plan);
    let (plan, plan_seconds) = timed(|| super::read_any_server_plan(&path))?;
    let client = AnyClient::of_own(plan.client_plan())?;
    let keys = client.evaluation_key_bytes()?;
    let inputs = client.encrypt(&bench::inputs(&plan)?)?;
    let peak = peak_of_run(args, &path, &keys, &client.write(&inputs)?)?;

    let (server, server_seconds) = timed(|| {
        let server = AnyServer::within(plan.clone(), &keys, args.max_memory);
        server.map_err(|e| e.at(&path))
    })?;
    let limit = Limit {
        runs: args.runs.map(|runs| runs as usize),
        time: Duration::from_secs_f64(args.time),
    };
    let bar = ui.progress("bench", 0);
    let measured = bench::measure(&server, &inputs, limit, &mut |done, all| {
        bar.set_length(all);
        bar.set(done);
    })?;
    drop(bar);

    let load = Load {
        plan: plan_seconds,
        server: server_seconds,
    };
    let plan_bytes = plan.to_bytes().len() as u64;
    let report = AnyReport::new(&plan, plan_bytes, &costs);
    let expected = plan.expected_seconds(&costs, rayon::current_num_threads());
    let mut outcome = outcome(&report, &measured, inputs.samples());
    outcome.expected_latency_s = expected;
    outcome.load_s = load;
    outcome.peak_rss_bytes = peak;
    outcome.eval_key_bytes = keys.len() as u64;
    outcome.plan_bytes = plan_bytes;
    ui.result(&text(&outcome))?;
    ui.object(&outcome)
}

fn timed<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(T, f64), Error> {
    let start = Instant::now();
    Ok((work()?, start.elapsed().as_secs_f64()))
}

/// The peak memory of `run`, in a process of its own: this one holds the client's side too.
fn peak_of_run(
    args: &Args,
    plan: &Path,
    keys: &[u8],
    ciphertexts: &[u8],
) -> Result<Option<u64>, Error> {
    let io = |source| Error::Write {
        path: std::env::temp_dir(),
        source,
    };
    let dir = tempfile::tempdir().map_err(io)?;
    let at = |name: &str| dir.path().join(name);
    files::write(&[
        Output::public(&at("eval.key"), keys),
        Output::public(&at("x.ct"), ciphertexts),
    ])?;
    let own = |e| Error::Internal(format!("`run` cannot be started: {e}"));
    let mut run = Command::new(std::env::current_exe().map_err(own)?);
    run.args(["run", "--json", "--quiet", "--eval-key"])
        .arg(at("eval.key"))
        .arg("-o")
        .arg(at("y.ct"))
        .arg(format!("--threads={}", rayon::current_num_threads()));
    if let Some(bytes) = args.max_memory {
        run.arg(format!("--max-memory={bytes}"));
    }
    run.arg("--").arg(plan).arg(at("x.ct"));
    let done = run.stdin(Stdio::null()).output().map_err(own)?;
    let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
    if !done.status.success() {
        let reason = told.get("error").and_then(|e| e.as_str());
        let text = format!("`run` fails: {}", reason.unwrap_or("without a reason"));
        return Err(Error::Usage(text));
    }
    Ok(told.get("peak_rss_bytes").and_then(|bytes| bytes.as_u64()))
}

/// The outcome of the runs themselves.
fn outcome(report: &AnyReport, measured: &Measured, samples: usize) -> Outcome {
    let (name, plan_id) = match report {
        AnyReport::Ckks(report) => (&report.name, &report.plan_id),
        AnyReport::Tfhe(report) => (&report.name, &report.plan_id),
    };
    let latency_s = Spread::of(measured.runs.clone());
    Outcome {
        name: name.clone(),
        plan_id: plan_id.clone(),
        threads: rayon::current_num_threads(),
        runs: measured.runs.len(),
        samples,
        samples_per_s: samples as f64 / latency_s.median,
        latency_s,
        expected_latency_s: 0.0,
        load_s: Load::default(),
        peak_rss_bytes: None,
        eval_key_bytes: 0,
        plan_bytes: 0,
        layers: measured.layers(report),
        operations: measured.operations(report),
    }
}

/// The figures for people.
fn text(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = render(outcome, &mut out);
    out
}

fn render(o: &Outcome, out: &mut String) -> std::fmt::Result {
    let l = &o.latency_s;
    writeln!(out, "{} · plan {}", o.name, o.plan_id)?;
    writeln!(
        out,
        "latency     {} (median), {} (least), {} (most), {} between quartiles; {} expected; {} runs on {} thread(s)",
        milliseconds(l.median),
        milliseconds(l.min),
        milliseconds(l.max),
        milliseconds(l.quartiles),
        milliseconds(o.expected_latency_s),
        o.runs,
        o.threads
    )?;
    writeln!(
        out,
        "throughput  {:.1} samples a second, {} a run",
        o.samples_per_s, o.samples
    )?;
    writeln!(
        out,
        "loading     plan {}, keys and constants {}",
        milliseconds(o.load_s.plan),
        milliseconds(o.load_s.server)
    )?;
    writeln!(
        out,
        "memory      {} at the peak of `run`; evaluation keys {}, plan {}",
        o.peak_rss_bytes
            .map_or_else(|| "unknown".into(), human_bytes),
        human_bytes(o.eval_key_bytes),
        human_bytes(o.plan_bytes)
    )?;
    for (title, parts) in [("layer", &o.layers), ("operation", &o.operations)] {
        let whole: f64 = parts.iter().map(|p| p.seconds).sum();
        writeln!(out, "\n        time  share  steps | {title}")?;
        for part in parts {
            writeln!(
                out,
                "{:>12}  {:>4.1}%  {:>5} | {}",
                milliseconds(part.seconds),
                100.0 * part.seconds / whole.max(f64::MIN_POSITIVE),
                part.steps,
                part.name
            )?;
        }
    }
    Ok(())
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", 1e3 * seconds)
}
