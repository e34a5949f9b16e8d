//! `diff`: what changed between two plans, and whether it stays within limits.

use super::ui::Ui;
use cipherloom::report::{Diff, Limit, Report, Summary};
use cipherloom::{CostModel, Error, ServerPlan, files};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// The report's form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    #[default]
    Text,
    /// One object
    Json,
}

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A compiled model's folder, its server.plan, or a file that `explain --format json` printed
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The same of what is compared with it
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// How much worse NEW may be, in the quantity's unit or in percent of OLD: latency=10%, precision=0.5, levels=0; repeatable. Where
    /// it is worse than that, the exit status is 1
    #[arg(long, value_name = "QUANTITY=AMOUNT[%]")]
    limit: Vec<Limit>,
    /// This machine's rates, as `calibrate` writes them, in place of built-in figures; for plans, not for printed reports
    #[arg(long, value_name = "FILE")]
    cost_model: Option<PathBuf>,
    /// The report's form
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn main(ui: Ui, args: &Args) -> Result<(), Error> {
    let costs = super::options::cost_model(args.cost_model.as_deref())?;
    let (old, new) = (summary(&args.old, &costs)?, summary(&args.new, &costs)?);
    let diff = Diff::new(&old, &new, &args.limit);
    if ui.json || args.format == Format::Json {
        Ui { json: true, ..ui }.object(&diff)?;
    } else {
        ui.result(&diff.text())?;
    }
    if diff.exceeded.is_empty() {
        Ok(())
    } else {
        Err(Error::Limits(diff.exceeded))
    }
}

/// What is compared of a plan or a printed report.
fn summary(path: &Path, costs: &CostModel) -> Result<Summary, Error> {
    let path = super::server_plan_path(path);
    let bytes = files::read(&path)?;
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        let text = String::from_utf8_lossy(&bytes);
        return Summary::from_json(&text).map_err(|e| {
            let text = format!("no report of `explain --format json`: {e}");
            Error::Usage(text).at(&path)
        });
    }
    let plan = ServerPlan::from_bytes(&bytes).map_err(|e| Error::from(e).at(&path))?;
    let report = Report::with_costs(plan.plan(), plan.id(), bytes.len() as u64, costs);
    Summary::of(&report).map_err(|e| Error::Internal(e.to_string()))
}
