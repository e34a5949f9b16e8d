//! `man`: the manual's pages, one for the tool and one for each command.

use super::ui::Ui;
use cipherloom::Error;
use cipherloom::files::{self, Output};
use clap::CommandFactory;
use clap_mangen::Man;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder for a page per command, made if it is not there; without it the tool's own page is printed
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    /// The files that were written.
    files: Vec<PathBuf>,
    /// The tool's own page, where no folder is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    let Some(dir) = args.dir else {
        let page = page(&super::Cli::command())?;
        ui.result(&page)?;
        return ui.object(&Outcome {
            files: vec![],
            page: Some(page),
        });
    };
    let pages = pages(&dir)?;
    fs::create_dir_all(&dir).map_err(|source| Error::Write {
        path: dir.clone(),
        source,
    })?;
    let outputs: Vec<Output<'_>> = pages
        .iter()
        .map(|(path, text)| Output::public(path, text.as_bytes()))
        .collect();
    files::write(&outputs)?;
    ui.note(&format!("{}: {} pages", dir.display(), pages.len()));
    ui.object(&Outcome {
        files: pages.into_iter().map(|(path, _)| path).collect(),
        page: None,
    })
}

/// All pages and where they go.
fn pages(dir: &Path) -> Result<Vec<(PathBuf, String)>, Error> {
    let mut tool = super::Cli::command();
    // Hands global options and full names down to the commands.
    tool.build();
    let mut pages = vec![(dir.join("cipherloom.1"), page(&tool)?)];
    for command in tool.get_subcommands().filter(|c| c.get_name() != "help") {
        let name = format!("cipherloom-{}", command.get_name());
        let text = page(command)?;
        pages.push((dir.join(format!("{name}.1")), text));
    }
    Ok(pages)
}

/// One page, in roff.
fn page(command: &clap::Command) -> Result<String, Error> {
    let mut text = Vec::new();
    let internal = |e: &dyn std::fmt::Display| Error::Internal(e.to_string());
    Man::new(command.clone())
        .render(&mut text)
        .map_err(|e| internal(&e))?;
    String::from_utf8(text).map_err(|e| internal(&e))
}
