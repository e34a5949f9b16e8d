//! Why a model cannot be imported: all faults at once, each with its reason and a way out.

use super::prescan::ScanError;
use crate::report::{Row, draw};
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// Why a model cannot be imported.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said, or why the file is no model.
        reason: String,
    },
    /// The bytes are no protobuf message of an acceptable form.
    #[error("{source_name} is no ONNX file: {fault}")]
    Scan {
        /// What was read.
        source_name: String,
        /// The first offence.
        fault: ScanError,
    },
    /// The bytes are a protobuf message, but no ONNX model.
    #[error("{source_name} is no ONNX file: {reason}")]
    Parse {
        /// What was read.
        source_name: String,
        /// What the parser said.
        reason: String,
    },
    /// The model was read, but parts of it are wrong or have no encrypted form.
    #[error("{0}")]
    Model(Box<ModelError>),
}

/// All faults of a model that could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelError {
    /// What the model was read from, for people: `mlp.onnx (opset 17)`.
    pub source: String,
    /// The number of nodes of the graph.
    pub nodes: usize,
    /// Faults of the model itself, its inputs, outputs and initializers.
    pub model_faults: Vec<ModelFault>,
    /// Faults of nodes, in the file's order.
    pub node_faults: Vec<NodeFault>,
}

/// What a [`ModelFault`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The file as a whole.
    Model,
    /// An input of the graph.
    Input(String),
    /// An output of the graph, or a value that was asked for as one.
    Output(String),
    /// A weight.
    Initializer(String),
}

/// A fault outside the nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFault {
    /// What it is about.
    pub subject: Subject,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A node that cannot be imported.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFault {
    /// Its position in the graph's node list.
    pub index: usize,
    /// Its name, or its first output's name where it has none.
    pub name: String,
    /// Its operator, with the domain where that is not ONNX's own.
    pub op: String,
    /// Types and shapes of its inputs, such as `f32[1,6,24,24]`; `?` where unknown.
    pub inputs: Vec<String>,
    /// Types and shapes of its outputs, as far as the file declares them.
    pub outputs: Vec<String>,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Why one node is refused, before its place is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) help: Option<String>,
}

impl Refusal {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::new(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self::new(reason)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Model => f.write_str("model"),
            Subject::Input(name) => write!(f, "input {name:?}"),
            Subject::Output(name) => write!(f, "output {name:?}"),
            Subject::Initializer(name) => write!(f, "initializer {name:?}"),
        }
    }
}

/// Drawn without the leading `error: `.
impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headline = match (self.model_faults.len(), self.node_faults.len()) {
            (0, n) => format!("{n} of {} nodes cannot be compiled", self.nodes),
            (1, 0) => "the model cannot be imported".to_owned(),
            (m, 0) => format!("the model cannot be imported, for {m} reasons"),
            (_, n) => format!(
                "the model cannot be imported, and {n} of its {} nodes cannot be compiled",
                self.nodes
            ),
        };
        let model = self.model_faults.iter().map(|fault| Row {
            place: fault.subject.to_string(),
            reason: fault.reason.clone(),
            help: fault.help.clone(),
            ..Row::default()
        });
        let nodes = self.node_faults.iter().map(|fault| Row {
            place: format!("node {}", fault.index),
            op: fault.op.clone(),
            name: fault.name.clone(),
            signature: format!("{} -> {}", list(&fault.inputs), list(&fault.outputs)),
            reason: fault.reason.clone(),
            help: fault.help.clone(),
        });
        draw(
            f,
            &headline,
            &self.source,
            &model.chain(nodes).collect::<Vec<_>>(),
        )
    }
}

fn list(shapes: &[String]) -> String {
    if shapes.is_empty() {
        "()".to_owned()
    } else {
        shapes.join(", ")
    }
}
