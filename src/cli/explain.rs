//! `explain`: what a plan costs and why.

use super::ui::Ui;
use cipherloom::Error;
use cipherloom::backend::AnyServerPlan;
use cipherloom::files;
use cipherloom::report::AnyReport;
use clap::ValueEnum;
use std::path::PathBuf;

/// The report's form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    #[default]
    Text,
    /// One object
    Json,
    /// A page that needs no other file
    Html,
}

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A compiled model's folder, or its server.plan
    #[arg(value_name = "DIR|PLAN")]
    plan: PathBuf,
    /// This machine's rates, as `calibrate` writes them, in place of built-in figures
    #[arg(long, value_name = "FILE")]
    cost_model: Option<PathBuf>,
    /// The report's form
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    let path = super::server_plan_path(&args.plan);
    let model = super::options::cost_model(args.cost_model.as_deref())?;
    let bytes = files::read(&path)?;
    let plan = AnyServerPlan::from_bytes(&bytes).map_err(|e| e.at(&path))?;
    let report = AnyReport::new(&plan, bytes.len() as u64, &model);
    match args.format {
        _ if ui.json => ui.object(&report),
        Format::Text => ui.result(&report.text()),
        Format::Html => ui.result(&report.html()),
        Format::Json => Ui { json: true, ..ui }.object(&report),
    }
}
