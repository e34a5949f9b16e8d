//! What an expression stands for while a program is read.

use super::super::ast::Function;
use cipherloom_ir::tensor::Module;
use cipherloom_ir::{NodeId, Tensor};
use std::rc::Rc;
use std::sync::Arc;

/// A value.
#[derive(Clone)]
pub(in crate::loom) enum Value {
    /// Numbers that are known now.
    Constant(Constant),
    /// Numbers that are encrypted when the program runs.
    Encrypted(NodeId),
    /// A text.
    Text(String),
    /// Several results of a function.
    Several(Vec<Value>),
    /// A function of the program.
    Function(Rc<Function>),
    /// A function of the language, by name.
    Builtin(&'static str),
    /// A network that serves as a function.
    Model(Rc<Module>),
    /// The result of something faulty, of which no more is said.
    Unknown,
}

/// Numbers that are known now.
#[derive(Clone, Debug)]
pub(in crate::loom) struct Constant {
    pub(in crate::loom) tensor: Arc<Tensor>,
    /// The variable that holds it.
    pub(in crate::loom) name: Option<Rc<str>>,
}

impl Value {
    pub(in crate::loom) fn constant(tensor: impl Into<Arc<Tensor>>) -> Self {
        Value::Constant(Constant {
            tensor: tensor.into(),
            name: None,
        })
    }

    pub(in crate::loom) fn number(value: f64) -> Self {
        Self::constant(Tensor::new(vec![], vec![value]).unwrap_or_else(|| Tensor::from_vec(vec![])))
    }

    /// What kind of value it is, for people.
    pub(in crate::loom) fn kind(&self) -> &'static str {
        match self {
            Value::Constant(_) => "a constant",
            Value::Encrypted(_) => "an encrypted value",
            Value::Text(_) => "a text",
            Value::Several(_) => "several values",
            Value::Function(_) | Value::Builtin(_) => "a function",
            Value::Model(_) => "a network",
            Value::Unknown => "an unknown value",
        }
    }
}
