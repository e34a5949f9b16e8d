//! Models compiled while a crate is built, for build scripts.
//!
//! A build script reads models, compiles them, and embeds their plans:
//!
//! ```no_run
//! use cipherloom::{Compiler, Range, build::Build};
//!
//! fn main() -> Result<(), cipherloom::Error> {
//!     let mut build = Build::new()?;
//!     let model = build.model("models/digits.onnx")?;
//!     let compiled = Compiler::new()
//!         .input_range("input", Range { lo: 0.0, hi: 1.0 })
//!         .compile(&model)?;
//!     build.embed("digits", &compiled)?;
//!     build.finish()
//! }
//! ```
//!
//! The crate includes what that wrote, and has a module of constants for each model ([`Build::embed`]):
//!
//! ```ignore
//! mod plans {
//!     include!(concat!(env!("OUT_DIR"), "/plans.rs"));
//! }
//! let client = Client::new(client_plan_from_bytes(plans::digits::CLIENT_PLAN)?)?;
//! ```
//!
//! All files are the same, byte for byte, for the same models and options, on every machine and in every folder. The script
//! runs again when a file that it has read changes. `docs/build.md` says
//! how a pipeline fails when a plan's cost or precision changes.

use crate::files::{self, Output};
use crate::report::Report;
use crate::{Compiled, Error, Model, Stage};
use cipherloom_ir::plan::client_plan_to_bytes;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What is built of a crate's models.
#[derive(Clone, Debug)]
pub struct Build {
    package: PathBuf,
    out: PathBuf,
    read: Vec<PathBuf>,
    embedded: Vec<Embedded>,
}

/// One embedded model.
#[derive(Clone, Debug)]
struct Embedded {
    /// The name of its module and folder.
    name: String,
    /// What it is of, for people.
    title: String,
    plan_id: String,
}

impl Build {
    /// Builds into `OUT_DIR` from paths below the package's folder, as cargo names both to a build script.
    ///
    /// # Errors
    /// [`Error::Usage`] outside of a build script.
    pub fn new() -> Result<Self, Error> {
        let folder = |name: &str| {
            let found = std::env::var_os(name).map(PathBuf::from);
            found.ok_or_else(|| {
                let text = format!("{name} is not set: `Build::new` is for build scripts");
                Error::Usage(text)
            })
        };
        Ok(Self::between(
            folder("CARGO_MANIFEST_DIR")?,
            folder("OUT_DIR")?,
        ))
    }

    /// Builds into a folder from paths below another.
    pub fn between(package: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        Self {
            package: package.into(),
            out: out.into(),
            read: vec![],
            embedded: vec![],
        }
    }

    /// Reads an ONNX model or a program, by its path below the package's folder. The build depends on all files that it
    /// consists of.
    ///
    /// # Errors
    /// As [`Model::from_file`].
    pub fn model(&mut self, path: impl AsRef<Path>) -> Result<Model, Error> {
        let model = Model::from_file(self.depends_on(path))?;
        for path in model.files()? {
            self.depends_on(path);
        }
        Ok(model)
    }

    /// Lets the build depend on a file below the package's folder, such as calibration samples, and gives its full path.
    pub fn depends_on(&mut self, path: impl AsRef<Path>) -> PathBuf {
        let path = self.package.join(path);
        if !self.read.contains(&path) {
            self.read.push(path.clone());
        }
        path
    }

    /// Writes a compiled model into a folder of its name, and gives it a module of that name in `plans.rs`, with the
    /// constants `ID` (the plan's id), `SERVER_PLAN`, `CLIENT_PLAN` (the bytes of both plans), `CIRCUIT` (the text of the circuit
    /// stage, for snapshots) and `REPORT` (what `explain --format json` prints, for limits of cost and precision).
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is no lower-case Rust name or has been used, [`Error::Write`].
    pub fn embed(&mut self, name: &str, compiled: &Compiled) -> Result<(), Error> {
        let first = |c: char| c.is_ascii_lowercase();
        let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(first) || !name.chars().all(rest) || KEYWORDS.contains(&name) {
            return Err(Error::Usage(format!(
                "{name:?} names no module: it needs lower-case letters, digits and _, and is no keyword"
            )));
        }
        if self.embedded.iter().any(|e| e.name == name) {
            return Err(Error::Usage(format!("{name:?} is embedded already")));
        }
        let dir = self.out.join(name);
        let server = compiled.server_plan();
        let bytes = server.to_bytes();
        let report = Report::new(server.plan(), server.id(), bytes.len() as u64);
        let json = serde_json::to_string(&report).map_err(|e| Error::Internal(e.to_string()))?;
        fs::create_dir_all(&dir).map_err(|source| Error::Write {
            path: dir.clone(),
            source,
        })?;
        files::write(&[
            Output::public(&dir.join("server.plan"), &bytes),
            Output::public(
                &dir.join("client.plan"),
                &client_plan_to_bytes(&compiled.client_plan()),
            ),
            Output::public(
                &dir.join("circuit.txt"),
                compiled.text(Stage::Circuit).as_bytes(),
            ),
            Output::public(&dir.join("explain.json"), format!("{json}\n").as_bytes()),
        ])?;
        self.embedded.push(Embedded {
            name: name.to_owned(),
            title: format!("{} from {}", report.name, report.source),
            plan_id: report.plan_id,
        });
        Ok(())
    }

    /// The lines that tell cargo when to run the script again.
    pub fn directives(&self) -> Vec<String> {
        let line = |path: &PathBuf| format!("cargo::rerun-if-changed={}", path.display());
        self.read.iter().map(line).collect()
    }

    /// Writes `plans.rs` and prints the lines for cargo.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn finish(self) -> Result<(), Error> {
        let path = self.out.join("plans.rs");
        files::write(&[Output::public(&path, self.source().as_bytes())])?;
        for line in self.directives() {
            println!("{line}");
        }
        Ok(())
    }

    /// The text of `plans.rs`; it names no folder of this machine.
    fn source(&self) -> String {
        let mut out = String::new();
        for Embedded {
            name,
            title,
            plan_id,
        } in &self.embedded
        {
            let file = |file: &str| format!("(concat!(env!(\"OUT_DIR\"), \"/{name}/{file}\"))");
            let title: String = title
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            // Writing to a string cannot fail.
            let _ = write!(
                out,
                "/// {title}.\n\
                 // A crate may use only some of these.\n\
                 #[allow(dead_code, unreachable_pub)]\n\
                 pub mod {name} {{\n    \
                 /// The plan's id.\n    \
                 pub const ID: &str = {plan_id:?};\n    \
                 /// The server's plan, weights included.\n    \
                 pub const SERVER_PLAN: &[u8] = include_bytes!{};\n    \
                 /// The client's plan.\n    \
                 pub const CLIENT_PLAN: &[u8] = include_bytes!{};\n    \
                 /// The text of the circuit.\n    \
                 pub const CIRCUIT: &str = include_str!{};\n    \
                 /// What `cipherloom explain --format json` prints.\n    \
                 pub const REPORT: &str = include_str!{};\n}}\n",
                file("server.plan"),
                file("client.plan"),
                file("circuit.txt"),
                file("explain.json")
            );
        }
        out
    }
}

/// Words that no module can have for a name.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];
