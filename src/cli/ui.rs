//! Where things are said: results on standard output, everything else on standard error.

use cipherloom::Error;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

/// How much is said, and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ui {
    /// One JSON object on standard output and nothing else.
    pub(crate) json: bool,
    /// No notes and no progress.
    pub(crate) quiet: bool,
    /// Details.
    pub(crate) verbose: bool,
}

impl Ui {
    /// A result for people; nothing with `--json`.
    pub(crate) fn result(self, text: &str) -> Result<(), Error> {
        if self.json { Ok(()) } else { print(text) }
    }

    /// The one JSON object; nothing without `--json`.
    pub(crate) fn object(self, object: &impl Serialize) -> Result<(), Error> {
        if !self.json {
            return Ok(());
        }
        print(&serde_json::to_string(object).map_err(|e| Error::Internal(e.to_string()))?)
    }

    /// A note on standard error, unless `-q`.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            stderr(text);
        }
    }

    /// A detail on standard error, with `-v`.
    pub(crate) fn detail(self, text: &str) {
        if self.verbose && !self.quiet {
            stderr(text);
        }
    }

    /// A warning on standard error; `-q` does not silence it.
    pub(crate) fn warning(self, text: &str) {
        stderr(&format!("warning: {text}"));
    }

    /// A progress bar on standard error: seen only if that is a terminal and the work takes more than a second.
    pub(crate) fn progress(self, what: &str, length: usize) -> Progress {
        if self.quiet || !std::io::stderr().is_terminal() {
            return Progress(None);
        }
        let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{msg:24} [{bar:40}] {pos}/{len} {eta}");
        bar.set_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        bar.set_message(what.to_owned());
        Progress(Some(bar))
    }
}

/// A progress bar, or none.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// There is so much to do.
    pub(crate) fn set_length(&self, length: usize) {
        if let Some(bar) = &self.0 {
            bar.set_length(length as u64);
        }
    }

    /// So much is done.
    pub(crate) fn set(&self, done: usize) {
        if let Some(bar) = &self.0 {
            if bar.is_hidden() && bar.elapsed() > Duration::from_secs(1) {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_position(done as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Writes a line to standard output; a reader that has gone away is a failure, not a panic.
fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(text.trim_end_matches('\n').as_bytes())
        .and_then(|()| out.write_all(b"\n"));
    let fault = |source| Error::Write {
        path: Path::new("standard output").into(),
        source,
    };
    written.and_then(|()| out.flush()).map_err(fault)
}

/// Writes a line to standard error, where there is nobody left to tell if that fails.
pub(crate) fn stderr(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
