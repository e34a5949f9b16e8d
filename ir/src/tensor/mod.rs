//! The `tensor` stage: shapes, value ranges and layers, as the user's model wrote them.
//!
//! A module describes one sample: a symbolic batch axis is 1 here, and axis 0 of every shape is kept.

mod eval;
pub(crate) mod function;
mod kernels;
mod op;
mod patch;
pub(crate) mod read;
mod shape;
pub(crate) mod text;
mod verify;

pub use crate::text::ParseError;
pub(crate) use eval::chebyshev;
pub use eval::{EvalError, eval, eval_all, eval_node};
pub use function::{Function, Parity, Pole};
pub use op::{Comparison, Conv, MaxPool, Op, Pool, Reduction};
pub use patch::{Applied, Patch, PatchError};
pub use read::parse;
pub use shape::{MAX_ELEMENTS, MAX_RANK, infer_shape};
pub use text::print;
pub use verify::{Fault, verify};

use crate::graph::{Dag, NodeId};
use crate::origin::Origin;
use crate::value::{DType, Range, Tensor};
use std::fmt;
use std::sync::Arc;

/// A constant tensor of a module; printed `@name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConstId(pub u32);

/// A constant: its name and values. Large tensors are shared, not copied.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// The name, unique in the module.
    pub name: String,
    /// The values.
    pub tensor: Arc<Tensor>,
}

/// One operation and the value that it yields.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The operation; its operands are the node's edges in the graph.
    pub op: Op,
    /// The shape of the value, batch axis included.
    pub shape: Vec<usize>,
    /// The range of the value's elements over all samples, once known (without margin).
    pub range: Option<Range>,
    /// Where the operation came from.
    pub origin: Origin,
}

/// An input of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name that the model gives it.
    pub name: String,
    /// Its node, whose operation is [`Op::Input`].
    pub node: NodeId,
    /// The declared element type.
    pub dtype: DType,
    /// Whether axis 0 counts samples: it is 1 or symbolic in the model.
    pub batched: bool,
    /// Whether the input is given in clear: everyone sees its values, the server too.
    pub clear: bool,
}

/// An output of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The name that the model gives it.
    pub name: String,
    /// The node that yields it.
    pub node: NodeId,
    /// The element type that the model declares.
    pub dtype: DType,
    /// Whether axis 0 counts samples.
    pub batched: bool,
}

/// A network at the tensor stage.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// The model's name.
    pub name: String,
    /// What it was read from, for people: `mlp.onnx, opset 17`.
    pub source: String,
    /// The operations.
    pub graph: Dag<Node>,
    /// The constants.
    pub constants: Vec<Constant>,
    /// The inputs, in the model's order.
    pub inputs: Vec<Input>,
    /// The outputs, in the model's order.
    pub outputs: Vec<Output>,
}

/// The same nodes of the same ids, and all else the same.
impl PartialEq for Module {
    fn eq(&self, other: &Self) -> bool {
        let ids = self.graph.ids();
        let same = |id: &NodeId| {
            self.graph.get(*id) == other.graph.get(*id)
                && self.graph.operands(*id) == other.graph.operands(*id)
        };
        (&self.name, &self.source) == (&other.name, &other.source)
            && self.constants == other.constants
            && (&self.inputs, &self.outputs) == (&other.inputs, &other.outputs)
            && ids == other.graph.ids()
            && ids.iter().all(same)
    }
}

impl Module {
    /// Adds a constant; a name that is taken gets a suffix.
    pub fn add_constant(&mut self, name: &str, tensor: impl Into<Arc<Tensor>>) -> ConstId {
        let taken = |candidate: &str| self.constants.iter().any(|c| c.name == candidate);
        let mut unique = name.to_owned();
        let mut suffix = 1;
        while taken(&unique) {
            suffix += 1;
            unique = format!("{name}.{suffix}");
        }
        self.constants.push(Constant {
            name: unique,
            tensor: tensor.into(),
        });
        ConstId(self.constants.len() as u32 - 1)
    }

    /// A constant.
    pub fn constant(&self, id: ConstId) -> Option<&Constant> {
        self.constants.get(id.0 as usize)
    }

    /// A constant's values; `None` for an id of another module.
    pub fn tensor(&self, id: ConstId) -> Option<&Arc<Tensor>> {
        self.constant(id).map(|c| &c.tensor)
    }

    /// Removes nodes that reach no output (inputs stay), and constants that nothing uses.
    pub fn prune(&mut self) {
        let mut live = std::collections::BTreeSet::new();
        let mut stack: Vec<NodeId> = self.outputs.iter().map(|o| o.node).collect();
        stack.extend(self.inputs.iter().map(|i| i.node));
        while let Some(id) = stack.pop() {
            if live.insert(id) {
                stack.extend(self.graph.operands(id));
            }
        }
        for id in self.graph.ids() {
            if !live.contains(&id) {
                self.graph.remove(id);
            }
        }
        let mut used = vec![false; self.constants.len()];
        for id in self.graph.ids() {
            if let Some(node) = self.graph.get(id) {
                for constant in node.op.constants() {
                    if let Some(flag) = used.get_mut(constant.0 as usize) {
                        *flag = true;
                    }
                }
            }
        }
        let mut renumbered = vec![ConstId(0); used.len()];
        let mut kept = Vec::new();
        for (i, constant) in std::mem::take(&mut self.constants).into_iter().enumerate() {
            if used[i] {
                renumbered[i] = ConstId(kept.len() as u32);
                kept.push(constant);
            }
        }
        self.constants = kept;
        for id in self.graph.ids() {
            if let Some(node) = self.graph.get_mut(id) {
                for constant in node.op.constants_mut() {
                    if let Some(new) = renumbered.get(constant.0 as usize) {
                        *constant = *new;
                    }
                }
            }
        }
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self))
    }
}
