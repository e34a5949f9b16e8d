//! The directed acyclic graph beneath the `tensor` and `circuit` stages; the only file that sees petgraph.
//!
//! Every node yields one value, so a node's id is also its value's id. All orders are by id, never by hash.

use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;
use std::collections::BTreeSet;
use std::fmt;

/// A node of a [`Dag`] and the value that it yields; printed as in the text form, `%7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The id with the given number.
    pub const fn new(index: usize) -> Self {
        // Graphs have fewer than 2^32 nodes: petgraph's own index type is u32.
        Self(index as u32)
    }

    /// The number of this id.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A graph whose nodes carry a `T` and whose edges say which operand of the user they are.
#[derive(Clone, Debug)]
pub struct Dag<T> {
    inner: StableDiGraph<T, u32>,
}

impl<T> Default for Dag<T> {
    fn default() -> Self {
        Self {
            inner: StableDiGraph::new(),
        }
    }
}

impl<T> Dag<T> {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node that uses `operands`, in order; the same operand may stand twice.
    ///
    /// Operands that are not in the graph are an error of the caller and are refused with `None`.
    pub fn add(&mut self, data: T, operands: &[NodeId]) -> Option<NodeId> {
        if operands.iter().any(|o| !self.contains(*o)) {
            return None;
        }
        let node = self.inner.add_node(data);
        let id = NodeId::new(node.index());
        self.connect(id, operands);
        Some(id)
    }

    /// A graph of the given nodes with just these ids; operands may be named before they are defined, so that the
    /// result may have a cycle. `None` where an id occurs twice, an operand is missing, or an id is out of all
    /// proportion to the number of nodes.
    pub fn from_numbered(nodes: Vec<(NodeId, T, Vec<NodeId>)>) -> Option<Self>
    where
        T: Clone,
    {
        let mut edges: Vec<(NodeId, Vec<NodeId>)> = Vec::with_capacity(nodes.len());
        let limit = nodes.len().saturating_mul(16).saturating_add(4096);
        let mut sorted = nodes;
        sorted.sort_by_key(|(id, ..)| *id);
        let mut graph = Self::new();
        let mut gaps = Vec::new();
        for (id, data, operands) in sorted {
            if id.index() >= limit {
                return None;
            }
            // petgraph numbers nodes in order: gaps are filled for now and removed in the end.
            while graph.inner.node_count() < id.index() {
                gaps.push(graph.inner.add_node(data.clone()));
            }
            if graph.inner.add_node(data).index() != id.index() {
                return None;
            }
            edges.push((id, operands));
        }
        for gap in gaps {
            graph.inner.remove_node(gap);
        }
        edges
            .into_iter()
            .all(|(id, operands)| graph.set_operands(id, &operands))
            .then_some(graph)
    }

    fn connect(&mut self, user: NodeId, operands: &[NodeId]) {
        for (position, operand) in operands.iter().enumerate() {
            self.inner
                .add_edge(index(*operand), index(user), position as u32);
        }
    }

    /// Replaces all operands of `user`; `false`, and nothing done, if a node is missing.
    pub fn set_operands(&mut self, user: NodeId, operands: &[NodeId]) -> bool {
        if !self.contains(user) || operands.iter().any(|o| !self.contains(*o)) {
            return false;
        }
        let old: Vec<_> = self
            .inner
            .edges_directed(index(user), Direction::Incoming)
            .map(|e| e.id())
            .collect();
        for edge in old {
            self.inner.remove_edge(edge);
        }
        self.connect(user, operands);
        true
    }

    /// Lets every user of `old` use `new` instead.
    pub fn replace_uses(&mut self, old: NodeId, new: NodeId) {
        if old == new {
            return;
        }
        for user in self.users(old) {
            let operands: Vec<_> = self
                .operands(user)
                .into_iter()
                .map(|o| if o == old { new } else { o })
                .collect();
            self.set_operands(user, &operands);
        }
    }

    /// Removes a node and its edges, and returns what it carried.
    pub fn remove(&mut self, id: NodeId) -> Option<T> {
        self.inner.remove_node(index(id))
    }

    /// Whether the node exists.
    pub fn contains(&self, id: NodeId) -> bool {
        self.inner.contains_node(index(id))
    }

    /// What the node carries.
    pub fn get(&self, id: NodeId) -> Option<&T> {
        self.inner.node_weight(index(id))
    }

    /// What the node carries, to change it.
    pub fn get_mut(&mut self, id: NodeId) -> Option<&mut T> {
        self.inner.node_weight_mut(index(id))
    }

    /// The operands of a node, in order.
    pub fn operands(&self, id: NodeId) -> Vec<NodeId> {
        let mut found: Vec<(u32, NodeId)> = self
            .inner
            .edges_directed(index(id), Direction::Incoming)
            .map(|e| (*e.weight(), NodeId::new(e.source().index())))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// The nodes that use a node, each once, by id.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let users: BTreeSet<NodeId> = self
            .inner
            .neighbors_directed(index(id), Direction::Outgoing)
            .map(|n| NodeId::new(n.index()))
            .collect();
        users.into_iter().collect()
    }

    /// All nodes, by id.
    pub fn ids(&self) -> Vec<NodeId> {
        self.inner
            .node_indices()
            .map(|n| NodeId::new(n.index()))
            .collect()
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.inner.node_count()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The nodes so that operands come before users, the smallest ready id first;
    /// `Err` holds the nodes that lie on a cycle or behind one.
    pub fn topological(&self) -> Result<Vec<NodeId>, Vec<NodeId>> {
        let bound = self
            .inner
            .node_indices()
            .map(|n| n.index() + 1)
            .max()
            .unwrap_or(0);
        let mut waiting = vec![0_usize; bound];
        let mut ready = BTreeSet::new();
        for id in self.ids() {
            waiting[id.index()] = self
                .inner
                .edges_directed(index(id), Direction::Incoming)
                .count();
            if waiting[id.index()] == 0 {
                ready.insert(id);
            }
        }
        let mut order = Vec::with_capacity(self.len());
        while let Some(id) = ready.pop_first() {
            order.push(id);
            for edge in self.inner.edges_directed(index(id), Direction::Outgoing) {
                let user = NodeId::new(edge.target().index());
                waiting[user.index()] -= 1;
                if waiting[user.index()] == 0 {
                    ready.insert(user);
                }
            }
        }
        if order.len() == self.len() {
            Ok(order)
        } else {
            let done: BTreeSet<_> = order.into_iter().collect();
            Err(self
                .ids()
                .into_iter()
                .filter(|id| !done.contains(id))
                .collect())
        }
    }
}

fn index(id: NodeId) -> NodeIndex<u32> {
    NodeIndex::new(id.index())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_keep_their_order_and_may_repeat() {
        let mut g = Dag::new();
        let a = g.add("a", &[]).unwrap();
        let b = g.add("b", &[]).unwrap();
        let c = g.add("c", &[b, a, b]).unwrap();
        assert_eq!(g.operands(c), [b, a, b]);
        assert_eq!(g.users(b), [c]);
        g.replace_uses(b, a);
        assert_eq!(g.operands(c), [a, a, a]);
        assert_eq!(g.topological().unwrap(), [a, b, c]);
        assert!(g.set_operands(a, &[c]));
        assert_eq!(g.topological().unwrap_err(), [a, c]);
        assert!(g.add("d", &[NodeId::new(9)]).is_none());
        let id = NodeId::new;
        let g = Dag::from_numbered(vec![(id(5), "y", vec![id(2), id(2)]), (id(2), "x", vec![])])
            .unwrap();
        assert_eq!(
            (g.ids(), g.operands(id(5)), g.get(id(2))),
            (vec![id(2), id(5)], vec![id(2); 2], Some(&"x"))
        );
        assert!(Dag::from_numbered(vec![(id(1), "x", vec![]), (id(1), "y", vec![])]).is_none());
        assert!(Dag::from_numbered(vec![(id(1), "x", vec![id(0)])]).is_none());
        assert!(Dag::from_numbered(vec![(id(1 << 30), "x", vec![])]).is_none());
    }
}
