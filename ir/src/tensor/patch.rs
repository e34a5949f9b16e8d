//! Patches: what a pass proposes; only the driver applies them.
//!
//! The nodes and constants of a patch have provisional ids, which no module uses: they may stand wherever an id of
//! the module may stand in the same patch. [`Patch::apply`] says which ids they got.

use super::{ConstId, Module, Node, Op};
use crate::graph::NodeId;
use crate::origin::Origin;
use crate::value::{Range, Tensor};
use std::sync::Arc;
use thiserror::Error;

/// Provisional ids start here; a module has fewer nodes and constants.
const PROVISIONAL: u32 = 1 << 31;

/// Why a patch does not fit its module.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatchError {
    /// A node that neither the module nor the patch has (or that the patch adds only later).
    #[error("the patch names node {0}, which does not exist")]
    UnknownNode(NodeId),
    /// A constant that neither the module nor the patch has.
    #[error("the patch names constant {0}, which does not exist")]
    UnknownConstant(u32),
    /// A node without an operand at this position.
    #[error("node {node} has no operand {position}")]
    UnknownOperand {
        /// The node.
        node: NodeId,
        /// The position, from 0.
        position: usize,
    },
}

#[derive(Clone, Debug)]
enum Edit {
    Add {
        node: Node,
        operands: Vec<NodeId>,
    },
    Replace {
        old: NodeId,
        new: NodeId,
    },
    ReplaceOperand {
        user: NodeId,
        position: usize,
        new: NodeId,
    },
    SetOp {
        node: NodeId,
        op: Op,
    },
    SetRange {
        node: NodeId,
        range: Option<Range>,
    },
}

/// A proposed rewrite: new nodes and constants, and which old values they replace.
///
/// Ids that [`Patch::add`] returns may be used as operands of later nodes of the same patch.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    constants: Vec<(String, Arc<Tensor>)>,
    edits: Vec<Edit>,
    added: usize,
}

/// The ids that a patch's nodes got in the module.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    nodes: Vec<NodeId>,
}

impl Applied {
    /// The module's id of a node that the patch knew as `id`; ids of the module stay as they are.
    pub fn node(&self, id: NodeId) -> NodeId {
        provisional(id.index())
            .and_then(|i| self.nodes.get(i).copied())
            .unwrap_or(id)
    }
}

fn provisional(index: usize) -> Option<usize> {
    index.checked_sub(PROVISIONAL as usize)
}

impl Patch {
    /// An empty patch.
    pub fn new(_module: &Module) -> Self {
        Self::default()
    }

    /// Proposes a constant; a name that is taken gets a suffix. The id is valid in this patch alone.
    pub fn add_constant(&mut self, name: &str, tensor: impl Into<Arc<Tensor>>) -> ConstId {
        self.constants.push((name.to_owned(), tensor.into()));
        ConstId(PROVISIONAL + self.constants.len() as u32 - 1)
    }

    /// The values of a constant that this patch proposes.
    pub fn constant(&self, id: ConstId) -> Option<&Arc<Tensor>> {
        Some(&self.constants.get(provisional(id.0 as usize)?)?.1)
    }

    /// Proposes a node; the id is valid in this patch, and [`Applied::node`] translates it.
    pub fn add(
        &mut self,
        op: Op,
        operands: &[NodeId],
        shape: Vec<usize>,
        range: Option<Range>,
        origin: Origin,
    ) -> NodeId {
        self.edits.push(Edit::Add {
            node: Node {
                op,
                shape,
                range,
                origin,
            },
            operands: operands.to_vec(),
        });
        self.added += 1;
        NodeId::new(PROVISIONAL as usize + self.added - 1)
    }

    /// Proposes that all users of `old` (and outputs) use `new`. Nodes of this patch keep their operands, so that
    /// `new` itself may be computed from `old`.
    pub fn replace(&mut self, old: NodeId, new: NodeId) {
        self.edits.push(Edit::Replace { old, new });
    }

    /// Proposes that one user takes `new` as its operand `position` (from 0).
    pub fn replace_operand(&mut self, user: NodeId, position: usize, new: NodeId) {
        self.edits.push(Edit::ReplaceOperand {
            user,
            position,
            new,
        });
    }

    /// Proposes another operation for a node that keeps its operands, shape and range.
    pub fn set_op(&mut self, node: NodeId, op: Op) {
        self.edits.push(Edit::SetOp { node, op });
    }

    /// Proposes another range for a node.
    pub fn set_range(&mut self, node: NodeId, range: Option<Range>) {
        self.edits.push(Edit::SetRange { node, range });
    }

    /// Whether nothing is proposed.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Applies the edits in order and prunes what is dead.
    ///
    /// # Errors
    /// A patch that names what does not exist is refused as a whole: the module stays as it was.
    pub fn apply(self, module: &mut Module) -> Result<Applied, PatchError> {
        self.check(module)?;
        let constants: Vec<ConstId> = self
            .constants
            .iter()
            .map(|(name, tensor)| module.add_constant(name, tensor.clone()))
            .collect();
        let resolve_constants = |op: &mut Op| {
            for id in op.constants_mut() {
                if let Some(real) = provisional(id.0 as usize).and_then(|i| constants.get(i)) {
                    *id = *real;
                }
            }
        };
        let mut applied = Applied::default();
        for edit in self.edits {
            match edit {
                Edit::Add { mut node, operands } => {
                    resolve_constants(&mut node.op);
                    let operands: Vec<_> = operands.iter().map(|o| applied.node(*o)).collect();
                    let first = operands
                        .first()
                        .copied()
                        .unwrap_or(NodeId::new(PROVISIONAL as usize));
                    let id = module
                        .graph
                        .add(node, &operands)
                        .ok_or(PatchError::UnknownNode(first))?;
                    applied.nodes.push(id);
                }
                Edit::Replace { old, new } => {
                    let (old, new) = (applied.node(old), applied.node(new));
                    for user in module.graph.users(old) {
                        if !applied.nodes.contains(&user) {
                            let redirected = |o| if o == old { new } else { o };
                            let operands: Vec<_> = module
                                .graph
                                .operands(user)
                                .into_iter()
                                .map(redirected)
                                .collect();
                            module.graph.set_operands(user, &operands);
                        }
                    }
                    for output in module.outputs.iter_mut().filter(|o| o.node == old) {
                        output.node = new;
                    }
                }
                Edit::ReplaceOperand {
                    user,
                    position,
                    new,
                } => {
                    let user = applied.node(user);
                    let mut operands = module.graph.operands(user);
                    if let Some(operand) = operands.get_mut(position) {
                        *operand = applied.node(new);
                    }
                    module.graph.set_operands(user, &operands);
                }
                Edit::SetOp { node, mut op } => {
                    resolve_constants(&mut op);
                    if let Some(found) = module.graph.get_mut(applied.node(node)) {
                        found.op = op;
                    }
                }
                Edit::SetRange { node, range } => {
                    if let Some(found) = module.graph.get_mut(applied.node(node)) {
                        found.range = range;
                    }
                }
            }
        }
        module.prune();
        Ok(applied)
    }

    /// Whether everything that the patch names exists when its turn comes.
    fn check(&self, module: &Module) -> Result<(), PatchError> {
        let mut arities: Vec<usize> = Vec::new();
        let arity = |id: NodeId, arities: &[usize]| match provisional(id.index()) {
            Some(i) => arities.get(i).copied().ok_or(PatchError::UnknownNode(id)),
            None if module.graph.contains(id) => Ok(module.graph.operands(id).len()),
            None => Err(PatchError::UnknownNode(id)),
        };
        let constants_exist = |op: &Op| {
            op.constants().into_iter().try_for_each(|id| {
                let known = match provisional(id.0 as usize) {
                    Some(i) => i < self.constants.len(),
                    None => module.constant(id).is_some(),
                };
                if known {
                    Ok(())
                } else {
                    Err(PatchError::UnknownConstant(id.0))
                }
            })
        };
        for edit in &self.edits {
            match edit {
                Edit::Add { node, operands } => {
                    operands
                        .iter()
                        .try_for_each(|o| arity(*o, &arities).map(|_| ()))?;
                    constants_exist(&node.op)?;
                    arities.push(operands.len());
                }
                Edit::Replace { old, new } => {
                    arity(*old, &arities)?;
                    arity(*new, &arities)?;
                }
                Edit::ReplaceOperand {
                    user,
                    position,
                    new,
                } => {
                    arity(*new, &arities)?;
                    if arity(*user, &arities)? <= *position {
                        return Err(PatchError::UnknownOperand {
                            node: *user,
                            position: *position,
                        });
                    }
                }
                Edit::SetOp { node, op } => {
                    arity(*node, &arities)?;
                    constants_exist(op)?;
                }
                Edit::SetRange { node, .. } => {
                    arity(*node, &arities)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Input, Output, verify};
    use crate::value::DType;

    fn module() -> (Module, NodeId, NodeId) {
        let mut module = Module::default();
        let node = |op| Node {
            op,
            shape: vec![1, 2],
            range: None,
            origin: Origin::pass("test"),
        };
        let x = module
            .graph
            .add(node(Op::Input { name: "x".into() }), &[])
            .unwrap();
        let y = module
            .graph
            .add(node(Op::Power { exponent: 2 }), &[x])
            .unwrap();
        module.inputs.push(Input {
            name: "x".into(),
            node: x,
            dtype: DType::F32,
            batched: true,
            clear: false,
        });
        module.outputs.push(Output {
            name: "y".into(),
            node: y,
            dtype: DType::F32,
            batched: true,
        });
        (module, x, y)
    }

    #[test]
    fn a_patch_wraps_the_value_that_it_replaces() {
        let (mut module, x, y) = module();
        let mut patch = Patch::new(&module);
        assert!(patch.is_empty());
        let c = patch.add_constant("two", Tensor::filled(vec![1, 2], 2.0).unwrap());
        assert_eq!(patch.constant(c).unwrap().data(), [2.0, 2.0]);
        let double = patch.add(
            Op::MulConst { value: c },
            &[y],
            vec![1, 2],
            None,
            Origin::pass("test"),
        );
        patch.replace(y, double);
        let applied = patch.apply(&mut module).unwrap();
        let double = applied.node(double);
        assert_eq!(applied.node(x), x);
        assert_eq!(module.outputs[0].node, double);
        assert_eq!(module.graph.operands(double), [y]);
        assert_eq!(module.graph.operands(y), [x]);
        assert_eq!(module.constants[0].name, "two");
        assert_eq!(verify(&module), []);
        // Taking it out again prunes the node and its constant.
        let mut patch = Patch::new(&module);
        patch.replace(double, y);
        patch.set_op(y, Op::Power { exponent: 3 });
        patch.apply(&mut module).unwrap();
        assert_eq!((module.graph.len(), module.constants.len()), (2, 0));
        assert_eq!(module.graph.get(y).unwrap().op, Op::Power { exponent: 3 });
    }

    #[test]
    fn a_patch_that_names_what_is_not_there_changes_nothing() {
        let (mut module, x, y) = module();
        let before = module.to_string();
        let mut patch = Patch::new(&module);
        patch.set_op(y, Op::Power { exponent: 7 });
        patch.replace_operand(y, 1, x);
        assert_eq!(
            patch.clone().apply(&mut module).unwrap_err(),
            PatchError::UnknownOperand {
                node: y,
                position: 1
            }
        );
        let mut patch = Patch::new(&module);
        patch.replace(x, NodeId::new(99));
        assert_eq!(
            patch.apply(&mut module).unwrap_err(),
            PatchError::UnknownNode(NodeId::new(99))
        );
        let mut patch = Patch::new(&module);
        patch.set_op(y, Op::AddConst { value: ConstId(4) });
        assert_eq!(
            patch.apply(&mut module).unwrap_err(),
            PatchError::UnknownConstant(4)
        );
        assert_eq!(module.to_string(), before);
        assert_eq!(module.graph.get(y).unwrap().op, Op::Power { exponent: 2 });
    }
}
