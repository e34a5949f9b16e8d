//! `encrypt`: inputs to ciphertexts, under the secret key or a public one.

use super::ui::Ui;
use cipherloom::backend::AnyClient;
use cipherloom::files::{self, Output};
use cipherloom::{Error, Parameters, PublicClient, PublicKey, report};
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `encrypt`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The client's plan
    #[arg(value_name = "CLIENT.plan")]
    plan: PathBuf,
    #[command(flatten)]
    key: Key,
    /// The inputs: an array per input of the model, named as it
    #[arg(long, value_name = "IN.npz")]
    input: PathBuf,
    /// An input that the plan declares clear, and that may be sent without encryption; repeatable
    #[arg(long, value_name = "NAME")]
    clear: Vec<String>,
    /// Where to write the ciphertexts
    #[arg(short, value_name = "X.ct")]
    output: PathBuf,
}

/// One of the two keys.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Key {
    /// The secret key
    #[arg(long, value_name = "FILE")]
    secret_key: Option<PathBuf>,
    /// A public key
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    samples: usize,
    bytes: u64,
}

pub(crate) fn main(ui: Ui, args: Args) -> Result<(), Error> {
    let plan = super::read_client_plan(&args.plan)?;
    let ports = plan.inputs();
    let clear = plan.clear_inputs();
    if let Some(name) = args.clear.iter().find(|n| !clear.contains(&n.as_str())) {
        let text = format!("--clear {name}: the plan declares no such input clear");
        return Err(Error::Usage(text));
    }
    let inputs = || super::read_inputs(&args.input, &ports);
    // The key is checked before the inputs are read.
    let (samples, bytes) = match (&args.key.secret_key, &args.key.public_key) {
        (Some(path), _) => {
            let mut client = AnyClient::load(plan, path)?;
            args.clear.iter().for_each(|name| client.allow_clear(name));
            let set = client.encrypt(&inputs()?)?;
            (set.samples(), client.write(&set)?)
        }
        (None, Some(path)) => {
            let plan = plan.for_public_key()?;
            let params = Parameters::new(&plan.params)?;
            let key = PublicKey::from_bytes(&files::read(path)?, &params, plan.plan_id);
            let key = key.map_err(|e| Error::from(e).at(path))?;
            let mut client = PublicClient::new(plan, key)?;
            args.clear.iter().for_each(|name| client.allow_clear(name));
            let set = client.encrypt(&inputs()?)?;
            (set.samples, set.to_bytes(&params)?)
        }
        (None, None) => {
            return Err(Error::Usage(
                "--secret-key or --public-key is needed".into(),
            ));
        }
    };
    files::write(&[Output::public(&args.output, &bytes)])?;
    let bytes = bytes.len() as u64;
    ui.note(&format!(
        "{samples} sample(s) encrypted, {}",
        report::human_bytes(bytes)
    ));
    ui.object(&Outcome { samples, bytes })
}
