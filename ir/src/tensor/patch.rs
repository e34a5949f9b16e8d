//! Patches: what a pass proposes; only the driver applies them.
use super::{ConstId, Module, Op};
use crate::graph::NodeId;
use crate::origin::Origin;
use crate::value::{Range, Tensor};

/// A proposed rewrite: new nodes and constants, and which old values they replace.
///
/// Ids that [`Patch::add`] returns may be used as operands of later nodes of the same patch.
#[derive(Clone, Debug, Default)]
pub struct Patch {}

impl Patch {
    /// An empty patch for the module.
    pub fn new(_module: &Module) -> Self {
        Self {}
    }
    /// Proposes a constant.
    pub fn add_constant(&mut self, _name: &str, _tensor: Tensor) -> ConstId {
        ConstId(0)
    }
    /// Proposes a node; the id is valid in this patch and, after it was applied, in the module.
    pub fn add(&mut self, _op: Op, _operands: &[NodeId], _shape: Vec<usize>, _range: Option<Range>, _origin: Origin) -> NodeId {
        NodeId::new(0)
    }
    /// Proposes that all users of `old` (and outputs) use `new`.
    pub fn replace(&mut self, _old: NodeId, _new: NodeId) {}
    /// Whether nothing is proposed.
    pub fn is_empty(&self) -> bool {
        true
    }
    /// Applies the patch and prunes what is dead.
    pub fn apply(self, _module: &mut Module) {}
}
