//! What an operator's importer sees: its attributes, its inputs, and the module under construction.

mod attributes;
mod emit;

use super::clear::{Clear, Elem, MAX_RANK};
use super::error::Refusal;
use super::fold::Folding;
use cipherloom_ir::tensor::{ConstId, Module};
use cipherloom_ir::{NodeId, Origin};
use onnx_protobuf::NodeProto;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The largest size or count that an attribute may state.
const MAX_ATTRIBUTE: i64 = 1 << 24;

/// An encrypted value: the node that yields it.
#[derive(Clone, Debug)]
pub(crate) struct Encrypted {
    pub(crate) node: NodeId,
    pub(crate) shape: Vec<usize>,
    pub(crate) elem: Elem,
}

/// A value of the graph.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// It depends on an input of the model.
    Encrypted(Encrypted),
    /// It is known now.
    Clear(Clear),
}

impl Value {
    pub(crate) fn shape(&self) -> &[usize] {
        match self {
            Value::Encrypted(x) => &x.shape,
            Value::Clear(x) => x.shape(),
        }
    }

    pub(crate) fn elem(&self) -> Elem {
        match self {
            Value::Encrypted(x) => x.elem,
            Value::Clear(x) => x.elem,
        }
    }
}

/// The result of importing a node: the values of its outputs, in order.
pub(crate) type Outputs = Result<Vec<Value>, Refusal>;

/// The constants that the module has so far.
#[derive(Debug, Default)]
pub(crate) struct Constants {
    ids: BTreeMap<String, ConstId>,
    /// Elements of all of them.
    elements: usize,
    /// Elements of those that say which elements of a value are taken.
    computed: usize,
}

/// One node, to be imported.
pub(crate) struct Call<'a> {
    /// The version of ONNX's operators that the model uses.
    pub(crate) opset: i64,
    pub(crate) node: &'a NodeProto,
    pub(crate) inputs: Vec<Option<Value>>,
    pub(crate) module: &'a mut Module,
    pub(crate) constants: &'a mut Constants,
    pub(crate) origin: Origin,
    pub(crate) dir: Option<&'a Path>,
    /// Set while a node that reads constants alone is computed: they are inputs of the module then.
    pub(crate) folding: Option<Folding>,
    seen: BTreeSet<&'static str>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        opset: i64,
        node: &'a NodeProto,
        inputs: Vec<Option<Value>>,
        (module, constants): (&'a mut Module, &'a mut Constants),
        origin: Origin,
        dir: Option<&'a Path>,
    ) -> Self {
        Self {
            opset,
            node,
            inputs,
            module,
            constants,
            origin,
            dir,
            folding: None,
            seen: BTreeSet::new(),
        }
    }

    /// The node's name, for the constants that it makes.
    pub(crate) fn label(&self) -> &str {
        match &self.origin {
            Origin::Onnx { name, .. } => name,
            _ => "computed",
        }
    }

    /// Checks the number of inputs.
    pub(crate) fn arity(&self, least: usize, most: usize) -> Result<(), Refusal> {
        let count = self.inputs.len();
        let missing = self.inputs.iter().take(least).any(Option::is_none);
        if count > most {
            return Err(format!("{count} inputs are given, at most {most} allowed").into());
        }
        if count < least || missing {
            return Err(format!("{count} inputs are given, {least} needed").into());
        }
        Ok(())
    }

    /// An input that may be left out.
    pub(crate) fn optional(&self, position: usize) -> Option<Value> {
        self.inputs.get(position).cloned().flatten()
    }

    pub(crate) fn value(&self, position: usize) -> Result<Value, Refusal> {
        self.optional(position)
            .ok_or_else(|| format!("input {position} is missing").into())
    }

    /// An input that depends on the model's inputs.
    pub(crate) fn encrypted(&mut self, position: usize) -> Result<Encrypted, Refusal> {
        match self.value(position)? {
            Value::Encrypted(x) => Ok(x),
            Value::Clear(x) => self.lifted(&x).map_err(|reason| {
                Refusal::new(format!("input {position} {}", reason.reason))
                    .help("let the exporter fold constants")
            }),
        }
    }

    /// A constant as a value of the module, where the node reads constants alone.
    pub(crate) fn lifted(&mut self, x: &Clear) -> Result<Encrypted, Refusal> {
        let Some(folding) = &mut self.folding else {
            return Err(
                "is a constant, which this operator cannot combine with encrypted values".into(),
            );
        };
        let node = folding.lift(self.module, x, &self.origin)?;
        Ok(Encrypted {
            node,
            shape: x.shape().to_vec(),
            elem: x.elem,
        })
    }

    /// An input that must be known now; `what` names it.
    pub(crate) fn clear(&self, position: usize, what: &str) -> Result<Clear, Refusal> {
        match self.value(position)? {
            Value::Clear(x) => Ok(x),
            Value::Encrypted(_) => Err(encrypted_parameter(what)),
        }
    }

    /// An input that must be known now, if it is given.
    pub(crate) fn optional_clear(
        &self,
        position: usize,
        what: &str,
    ) -> Result<Option<Clear>, Refusal> {
        match self.optional(position) {
            None => Ok(None),
            Some(Value::Clear(x)) => Ok(Some(x)),
            Some(Value::Encrypted(_)) => Err(encrypted_parameter(what)),
        }
    }

    /// Integers that must be known now, if they are given; `what` names them.
    pub(crate) fn optional_ints(
        &self,
        position: usize,
        what: &str,
    ) -> Result<Option<Vec<i64>>, Refusal> {
        Ok(self
            .optional_clear(position, what)?
            .map(|c| c.ints())
            .transpose()?)
    }
}

fn encrypted_parameter(what: &str) -> Refusal {
    Refusal::new(format!(
        "the {what} depends on an input of the model, so it would be encrypted"
    ))
    .help(format!("make the {what} a constant of the model"))
}

/// An axis that may count from the end.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let count = rank as i64;
    let resolved = if axis < 0 {
        axis.checked_add(count)
    } else {
        Some(axis)
    };
    resolved
        .filter(|a| (0..count).contains(a))
        .map(|a| a as usize)
        .ok_or_else(|| format!("axis {axis} does not exist in {rank} axes").into())
}

/// Axes that may count from the end, sorted; repeats are refused.
pub(crate) fn axes(given: &[i64], rank: usize) -> Result<Vec<usize>, Refusal> {
    if rank > MAX_RANK || given.len() > MAX_RANK {
        return Err(format!("more than {MAX_RANK} axes").into());
    }
    let set = given
        .iter()
        .map(|a| axis(*a, rank))
        .collect::<Result<BTreeSet<_>, _>>()?;
    if set.len() != given.len() {
        return Err(format!("the axes {given:?} name one twice").into());
    }
    Ok(set.into_iter().collect())
}
