//! `fmt`: programs in their one layout.

use super::ui::Ui;
use cipherloom::files::{self, Output};
use cipherloom::{Error, loom, read_program};
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `fmt`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The programs, .loom files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Change nothing; end with status 1 if a file is not in the layout
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
struct Outcome {
    files: usize,
    /// Those that were written anew.
    formatted: Vec<PathBuf>,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    // All are read and laid out before the first is written.
    let mut changed = Vec::new();
    for path in &args.files {
        let source = read_program(path)?;
        let text = loom::format(&path.display().to_string(), &source)?;
        if text != source {
            changed.push((path.clone(), text));
        }
    }
    let formatted: Vec<PathBuf> = changed.iter().map(|(path, _)| path.clone()).collect();
    if args.check {
        let names: Vec<String> = formatted.iter().map(|p| p.display().to_string()).collect();
        if !names.is_empty() {
            let text = format!(
                "not in the layout of `cipherloom fmt`: {}",
                names.join(", ")
            );
            return Err(Error::Usage(text));
        }
    } else {
        let outputs: Vec<Output<'_>> = changed
            .iter()
            .map(|(path, text)| Output::public(path, text.as_bytes()))
            .collect();
        files::write(&outputs)?;
        for path in &formatted {
            ui.note(&format!("formatted {}", path.display()));
        }
    }
    ui.object(&Outcome {
        files: args.files.len(),
        formatted,
    })
}
