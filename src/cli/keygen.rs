//! `keygen`: the secret key, and the evaluation keys that the plan needs.

use super::ui::Ui;
use cipherloom::files::{self, Output};
use cipherloom::{Client, Error, report};
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `keygen`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The client's plan
    #[arg(value_name = "CLIENT.plan")]
    plan: PathBuf,
    /// Where to write the secret key, readable by its owner alone; a file that is there is replaced
    #[arg(long, value_name = "FILE")]
    secret_key: PathBuf,
    /// Where to write the evaluation keys for the server
    #[arg(long, value_name = "FILE")]
    eval_key: PathBuf,
    /// Where to write a public key, with which others can encrypt
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    plan_id: String,
    key_id: String,
    secret_key_bytes: u64,
    eval_key_bytes: u64,
    public_key_bytes: Option<u64>,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    let plan = super::read_client_plan(&args.plan)?;
    let plan_id = plan.plan_id.to_string();
    let client = Client::new(plan)?;
    let secret = client.secret_key().to_bytes();
    let eval = cipherloom::keys_to_bytes(
        client.params(),
        client.plan().plan_id,
        &client.evaluation_key()?,
    )?;
    let public = match &args.public_key {
        Some(_) => Some(client.public_key()?.to_bytes(client.params())?),
        None => None,
    };

    let mut outputs = vec![
        Output::private(&args.secret_key, &secret),
        Output::public(&args.eval_key, &eval),
    ];
    if let (Some(path), Some(bytes)) = (&args.public_key, &public) {
        outputs.push(Output::public(path, bytes));
    }
    files::write(&outputs)?;
    let key_id = client.secret_key().key_id().to_string();
    ui.note(&format!(
        "secret key {} ({}), evaluation keys {} ({}); keep the first to yourself",
        args.secret_key.display(),
        report::human_bytes(secret.len() as u64),
        args.eval_key.display(),
        report::human_bytes(eval.len() as u64)
    ));
    ui.object(&Outcome {
        plan_id,
        key_id,
        secret_key_bytes: secret.len() as u64,
        eval_key_bytes: eval.len() as u64,
        public_key_bytes: public.map(|bytes| bytes.len() as u64),
    })
}
