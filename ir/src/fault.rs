//! What the verifiers of the graph stages report.

use crate::graph::NodeId;
use crate::origin::Origin;
use std::fmt;

/// A fault of a module or circuit, under the guilty operation where there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The node; `None` for a fault of the whole (parameters, constants, ports).
    pub node: Option<NodeId>,
    /// The node's origin.
    pub origin: Option<Origin>,
    /// What is wrong.
    pub message: String,
}

impl Fault {
    /// A fault of no particular operation.
    pub fn general(message: impl Into<String>) -> Self {
        Self {
            node: None,
            origin: None,
            message: message.into(),
        }
    }

    /// A fault of one operation.
    pub fn at(node: NodeId, origin: &Origin, message: impl Into<String>) -> Self {
        Self {
            node: Some(node),
            origin: Some(origin.clone()),
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = self.node {
            write!(f, "{node}")?;
            if let Some(origin) = &self.origin {
                write!(f, " ({origin})")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
