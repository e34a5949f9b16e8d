//! `completions`: what shells need to complete a command line.

use super::ui::Ui;
use cipherloom::Error;
use clap::CommandFactory;
use clap_complete::Shell;
use serde::Serialize;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Serialize)]
struct Outcome {
    shell: String,
    script: String,
}

pub(crate) fn main(ui: Ui, args: &Args) -> Result<(), Error> {
    let mut script = Vec::new();
    let mut command = super::Cli::command();
    clap_complete::generate(args.shell, &mut command, "cipherloom", &mut script);
    let script = String::from_utf8(script).map_err(|e| Error::Internal(e.to_string()))?;
    ui.result(&script)?;
    ui.object(&Outcome {
        shell: args.shell.to_string(),
        script,
    })
}
