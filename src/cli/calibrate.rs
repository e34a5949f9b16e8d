//! `calibrate`: measures this machine's rates for `--cost-model`.

use super::ui::Ui;
use cipherloom::calibrate::calibrate;
use cipherloom::files::{self, Output};
use cipherloom::{CostModel, Error};
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `calibrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write the rates
    #[arg(short, value_name = "FILE")]
    output: PathBuf,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome {
    machine: String,
    memory_bytes_per_s: f64,
    /// The ring degrees that were measured, as logarithms.
    rings: Vec<u32>,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    let bar = ui.progress("calibrate", 0);
    let model = calibrate(&mut |done, all| {
        bar.set_length(all);
        bar.set(done);
    })?;
    drop(bar);
    files::write(&[Output::public(&args.output, model.to_text().as_bytes())])?;
    ui.result(&text(&model))?;
    ui.object(&Outcome {
        machine: model.machine,
        memory_bytes_per_s: model.memory_bytes_per_s,
        rings: model.rings.into_keys().collect(),
    })
}

/// The rates for people.
fn text(model: &CostModel) -> String {
    let mut lines = vec![
        format!(
            "{}; memory {:.1} GB/s",
            model.machine,
            1e-9 * model.memory_bytes_per_s
        ),
        "microseconds a limb of N words:".into(),
        "   N    words     NTT  convert    key  diagonal  pass  serial share".into(),
    ];
    for (log_n, ring) in &model.rings {
        for (words, r) in [("32 bits", ring.narrow), ("64 bits", ring.wide)] {
            lines.push(format!(
                "  2^{log_n:<2}  {words}  {:>6.1}  {:>7.2}  {:>5.2}  {:>8.2}  {:>4.1}  {:>10.1} %",
                r.ntt,
                r.convert,
                r.key,
                r.diagonal,
                r.pass,
                100.0 * ring.serial_share
            ));
        }
    }
    lines.join("\n")
}
