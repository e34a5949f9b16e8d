//! `decrypt`: outputs back to clear values.

use super::ui::Ui;
use cipherloom::data::PortSpec;
use cipherloom::files::{self, Output};
use cipherloom::{CiphertextSet, Error, finish, round_for_sharing};
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
    let ports: Vec<PortSpec> = plan.results().iter().map(PortSpec::from).collect();
    let client = super::read_client(plan, &args.secret_key)?;
    let about_input = |e: Error| e.at(&args.input);
    let set = CiphertextSet::from_bytes(
        client.params(),
        client.plan().plan_id,
        &files::read(&args.input)?,
    )
    .map_err(|e| about_input(e.into()))?;
    let mut outputs = client
        .decrypt_exact(&set)
        .map_err(|e| about_input(e.into()))?;
    match args.share {
        Some(bits) => round_for_sharing(client.plan(), &mut outputs, bits)?,
        None => ui.detail(
            "exact decrypted values can tell about the secret key: use --share to hand them on",
        ),
    }
    // What is shared is a function of the rounded values.
    let outputs = finish(client.plan(), &outputs)?;
    files::write(&[Output::public(
        &args.output,
        &super::output_bytes(&outputs, &ports, &args.output)?,
    )])?;
    ui.note(&format!("{} sample(s) decrypted", set.samples));
    let outputs = ports.into_iter().map(|p| p.name).collect();
    ui.object(&Outcome {
        samples: set.samples,
        outputs,
        share: args.share,
    })
}
