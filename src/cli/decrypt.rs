//! `decrypt`: outputs back to clear values.

use super::ui::Ui;
use cipherloom::backend::AnyClient;
use cipherloom::files::{self, Output};
use cipherloom::{ClientError, Error};
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `decrypt`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The client's plan
    #[arg(value_name = "CLIENT.plan")]
    plan: PathBuf,
    /// The secret key
    #[arg(long, value_name = "FILE")]
    secret_key: PathBuf,
    /// The encrypted outputs
    #[arg(value_name = "Y.ct")]
    input: PathBuf,
    /// Where to write the outputs
    #[arg(short, value_name = "OUT.npz")]
    output: PathBuf,
    /// Round the decrypted values to so many bits of their range before anything is computed of them, in steps well above the noise, so that a few results may be handed
    /// on; a mitigation, not a proof: see SECURITY.md
    #[arg(long, value_name = "BITS")]
    share: Option<u32>,
}

#[derive(Serialize)]
struct Outcome {
    samples: usize,
    outputs: Vec<String>,
    share: Option<u32>,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    let plan = super::read_client_plan(&args.plan)?;
    let ports = plan.results();
    let client = AnyClient::load(plan, &args.secret_key)?;
    let about_input = |e: Error| e.at(&args.input);
    let set = client
        .read(&files::read(&args.input)?)
        .map_err(about_input)?;
    if args.share.is_none() {
        ui.detail(
            "exact decrypted values can tell about the secret key: use --share to hand them on",
        );
    }
    let outputs = client.decrypt(&set, args.share).map_err(|e| match e {
        Error::Usage(_) | Error::Client(ClientError::Share { .. }) => e,
        other => about_input(other),
    })?;
    files::write(&[Output::public(
        &args.output,
        &super::output_bytes(&outputs, &ports, &args.output)?,
    )])?;
    ui.note(&format!("{} sample(s) decrypted", set.samples()));
    let outputs = ports.into_iter().map(|p| p.name).collect();
    ui.object(&Outcome {
        samples: set.samples(),
        outputs,
        share: args.share,
    })
}
