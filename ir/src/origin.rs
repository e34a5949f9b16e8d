//! Where an operation came from, so that an error can name what the user wrote.

use std::borrow::Cow;
use std::fmt;

/// The origin of an operation; rewrites hand it on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A node of an ONNX graph: its position in the file's node list, its name (may be empty) and its operator.
    Onnx {
        /// Position in the graph's node list.
        index: usize,
        /// The node's name, or its first output's name where it has none.
        name: String,
        /// The operator's name, such as `Conv`.
        op: String,
    },
    /// A model's input or output.
    Port(String),
    /// A line of an IR text.
    Text(usize),
    /// A place in a program: `prog.loom:7:13`.
    Source(String),
    /// A pass that made the operation of its own accord.
    Pass(Cow<'static, str>),
    /// Several origins that a rewrite merged, in order and without repeats.
    Merged(Vec<Origin>),
}

impl Origin {
    /// The origin of an operation that a pass made.
    pub const fn pass(name: &'static str) -> Origin {
        Origin::Pass(Cow::Borrowed(name))
    }

    /// The origin of an operation that stands for both.
    pub fn merge(&self, other: &Origin) -> Origin {
        let mut parts = self.parts();
        parts.extend(other.parts());
        parts.sort();
        parts.dedup();
        match <[Origin; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => Origin::Merged(parts),
        }
    }

    fn parts(&self) -> Vec<Origin> {
        match self {
            Origin::Merged(parts) => parts.clone(),
            other => vec![other.clone()],
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Onnx { index, name, op } => write!(f, "node {index} {op} {name:?}"),
            Origin::Port(name) => write!(f, "port {name:?}"),
            Origin::Text(line) => write!(f, "line {line}"),
            Origin::Source(place) => f.write_str(place),
            Origin::Pass(pass) => write!(f, "pass {pass}"),
            Origin::Merged(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{part}")?;
                }
                Ok(())
            }
        }
    }
}
