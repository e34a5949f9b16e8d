//! `keygen`: the secret key, and the evaluation keys that the plan needs.

use super::ui::Ui;
use cipherloom::backend::AnyClient;
use cipherloom::files::{self, Output};
use cipherloom::{ClientError, Error, report};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Arguments of `keygen`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The client's plan
    #[arg(value_name = "CLIENT.plan")]
    plan: PathBuf,
    /// Where to write the secret key, readable by its owner alone; a file that is there is never replaced
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
    check_targets(&args)?;
    let plan_id = plan.plan_id();
    let client = AnyClient::new(plan)?;
    // Refused before anything long begins.
    let public = match &args.public_key {
        Some(_) => Some(client.public_key_bytes()?),
        None => None,
    };
    let eval = client.evaluation_key_bytes()?;

    let mut outputs = vec![Output::public(&args.eval_key, &eval)];
    if let (Some(path), Some(bytes)) = (&args.public_key, &public) {
        outputs.push(Output::public(path, bytes));
    }
    let secret_bytes = save_secret(&client, &args.secret_key)?;
    if let Err(failed) = files::write(&outputs) {
        // Nothing was made with this key yet; where it cannot be removed, the error still tells why the rest is missing.
        let _ = fs::remove_file(&args.secret_key);
        return Err(failed);
    }
    let key_id = client.key_id();
    ui.note(&format!(
        "secret key {} ({}), evaluation keys {} ({}); keep the first to yourself",
        args.secret_key.display(),
        report::human_bytes(secret_bytes),
        args.eval_key.display(),
        report::human_bytes(eval.len() as u64)
    ));
    ui.object(&Outcome {
        plan_id,
        key_id,
        secret_key_bytes: secret_bytes,
        eval_key_bytes: eval.len() as u64,
        public_key_bytes: public.map(|bytes| bytes.len() as u64),
    })
}

/// Refuses one file for two keys, and to replace a secret key, before any key is made.
fn check_targets(args: &Args) -> Result<(), Error> {
    let paths = [&args.secret_key, &args.eval_key];
    let mut targets = BTreeSet::new();
    for path in paths.into_iter().chain(&args.public_key) {
        if !targets.insert(target(path)) {
            let text = format!("{}: two keys cannot go into one file", path.display());
            return Err(Error::Usage(text));
        }
    }
    if fs::symlink_metadata(&args.secret_key).is_ok() {
        return Err(exists(&args.secret_key));
    }
    Ok(())
}

/// The path, its folder in canonical form where it exists.
fn target(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")));
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

fn exists(path: &Path) -> Error {
    Error::Usage(format!(
        "{} exists, and a secret key is never replaced: move it away, or choose another file",
        path.display()
    ))
}

/// Writes the secret key; yields the number of bytes.
fn save_secret(client: &AnyClient, path: &Path) -> Result<u64, Error> {
    client.save_secret(path).map_err(|e| match e {
        ClientError::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
            exists(path)
        }
        ClientError::File { path, source } => Error::Write { path, source },
        other => other.into(),
    })
}
