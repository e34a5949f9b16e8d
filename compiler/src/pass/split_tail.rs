//! split-tail: what follows the last layer and has no cheap encrypted form is left to the client, which computes it in
//! clear of the decrypted values.
//!
//! The tail is a suffix of the network that begins with functions, a softmax, an index of the largest element or a
//! comparison. Nothing of it leads back to a weight: not to a matrix, not to a constant of several values, so that the
//! client's plan tells nothing of the model but its output's form (class labels stay).
//!
//! A function that could be approximated begins the tail only where there is a layer before it, where the tail needs
//! no input of the network, and where the server has not more values to hand out for it: `conv, relu, global average`
//! goes on encrypted up to the average. What has no encrypted form begins it anyway.

use cipherloom_ir::plan::may_finish;
use cipherloom_ir::tensor::{ConstId, Input, Module, Node, Op, Output, Reduction};
use cipherloom_ir::value::{DType, element_count};
use cipherloom_ir::{NodeId, Origin};
use std::collections::{BTreeMap, BTreeSet};

/// A network in two parts.
#[derive(Clone, Debug)]
pub struct Split {
    /// What runs encrypted; its outputs are the tail's inputs, by name.
    pub body: Module,
    /// What the client computes; its outputs are the network's.
    pub tail: Module,
}

/// Cuts the tail off; `None` where there is none. Node ids of the body are those of the module.
pub fn split(module: &Module) -> Option<Split> {
    let order = module.graph.topological().ok()?;
    let served = served(module, &order);
    let late = Cut::new(module, &order, &served, must_begin);
    let early = Cut::new(module, &order, &served, may_begin)
        .filter(|cut| !served.is_empty() && !cut.takes_an_input(module));
    let cut = match (early, late) {
        (Some(early), late) if early.elements <= late_elements(module, late.as_ref()) => early,
        (_, late) => late?,
    };
    Some(cut.apply(module, &order))
}

/// Nodes with weights, and all that they need: they stay with the server.
fn served(module: &Module, order: &[NodeId]) -> BTreeSet<NodeId> {
    let mut served = BTreeSet::new();
    for id in order.iter().rev() {
        let weights = module
            .graph
            .get(*id)
            .is_some_and(|n| has_weights(module, &n.op));
        if weights || module.graph.users(*id).iter().any(|u| served.contains(u)) {
            served.insert(*id);
        }
    }
    served
}

fn has_weights(module: &Module, op: &Op) -> bool {
    let several = |id: &ConstId| {
        let values = module.tensor(*id).map(|t| t.data()).unwrap_or_default();
        values.windows(2).any(|w| w[0] != w[1])
    };
    match op {
        // Where elements go, and what classes are called, is no secret of the model. A table of other numbers is data.
        Op::Take { .. } => false,
        Op::Lookup { table } => !module
            .tensor(*table)
            .is_some_and(|t| names_classes(t.data())),
        op => !may_finish(op) || op.constants().iter().any(several),
    }
}

/// Whether they are whole numbers, each of them once.
fn names_classes(table: &[f64]) -> bool {
    let mut seen = BTreeSet::new();
    table
        .iter()
        .all(|label| label.fract() == 0.0 && seen.insert(label.to_bits()))
}

/// What has no encrypted form, or none that is worth its levels.
pub(super) fn must_begin(op: &Op) -> bool {
    match op {
        Op::Function(function) => function.is_step(),
        Op::Softmax { .. }
        | Op::LogSoftmax { .. }
        | Op::ArgMax { .. }
        | Op::TopK { .. }
        | Op::Compare(_)
        | Op::Where
        | Op::MaxPool(_)
        | Op::Lookup { .. } => true,
        Op::Reduce { kind, .. } => matches!(kind, Reduction::Max | Reduction::Min),
        _ => false,
    }
}

/// Whether an operation of a position, or of what is known of it, takes no lookup: a function of each element, or an affine map.
fn follows_a_choice(op: &Op) -> bool {
    matches!(
        op,
        Op::Function(_)
            | Op::Power { .. }
            | Op::Polynomial { .. }
            | Op::Lookup { .. }
            | Op::AddConst { .. }
            | Op::MulConst { .. }
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Take { .. }
    )
}

/// What the client can do exactly and the server only nearly.
fn may_begin(op: &Op) -> bool {
    let nearly = matches!(
        op,
        Op::Function(_)
            | Op::Div
            | Op::Max
            | Op::Min
            | Op::Reduce {
                kind: Reduction::Prod,
                ..
            }
    );
    nearly || must_begin(op)
}

/// The encrypted values that the network would hand out with a cut, or without one.
fn late_elements(module: &Module, cut: Option<&Cut>) -> usize {
    let outputs = || {
        module
            .outputs
            .iter()
            .map(|o| elements(module, o.node))
            .sum()
    };
    cut.map_or_else(outputs, |c| c.elements)
}

fn elements(module: &Module, id: NodeId) -> usize {
    let shape = module.graph.get(id).map(|n| n.shape.as_slice());
    shape.and_then(element_count).unwrap_or(usize::MAX / 2)
}

/// A place to cut.
struct Cut {
    tail: BTreeSet<NodeId>,
    /// The values that go from the body to the tail, the network's own outputs first.
    values: Vec<NodeId>,
    elements: usize,
}

impl Cut {
    fn new(
        module: &Module,
        order: &[NodeId],
        served: &BTreeSet<NodeId>,
        begins: fn(&Op) -> bool,
    ) -> Option<Self> {
        let mut tail = BTreeSet::new();
        // Positions that the server has to find, and what follows from them alone: it costs nothing there.
        let mut chosen = BTreeSet::new();
        for id in order {
            let Some(node) = module.graph.get(*id) else {
                continue;
            };
            let operands = module.graph.operands(*id);
            let of_chosen = operands.iter().any(|o| chosen.contains(o));
            let place = matches!(node.op, Op::ArgMax { .. } | Op::TopK { values: false, .. });
            if place && served.contains(id) || of_chosen && follows_a_choice(&node.op) {
                chosen.insert(*id);
            }
            let follows = || operands.iter().any(|o| tail.contains(o));
            let begins = begins(&node.op) && !chosen.contains(id);
            if !served.contains(id) && (begins || follows()) {
                tail.insert(*id);
            }
        }
        let outputs = module.outputs.iter().map(|o| o.node);
        let operands = tail.iter().flat_map(|id| module.graph.operands(*id));
        let mut values: Vec<NodeId> = Vec::new();
        for id in outputs.chain(operands) {
            if !tail.contains(&id) && !values.contains(&id) {
                values.push(id);
            }
        }
        if tail.is_empty() || values.is_empty() {
            return None;
        }
        let elements = values.iter().map(|id| elements(module, *id)).sum();
        Some(Self {
            tail,
            values,
            elements,
        })
    }

    /// Whether the server would hand back an input as it is.
    fn takes_an_input(&self, module: &Module) -> bool {
        let given = |id: &NodeId| {
            let node = module.graph.get(*id);
            node.is_none_or(|n| matches!(n.op, Op::Input { .. }))
        };
        self.values.iter().any(given)
    }

    fn apply(&self, module: &Module, order: &[NodeId]) -> Split {
        let samples = module.inputs.iter().all(|i| i.batched);
        let mut body = module.clone();
        let mut tail = Module {
            name: module.name.clone(),
            source: module.source.clone(),
            ..Module::default()
        };
        body.outputs.clear();
        let mut names = self.names(module);
        let mut moved: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        for id in &self.values {
            let Some(node) = module.graph.get(*id) else {
                continue;
            };
            let name = names.remove(id).unwrap_or_default();
            let batched = samples && node.shape.first() == Some(&1);
            let known = module.outputs.iter().find(|o| o.node == *id);
            body.outputs.push(Output {
                name: name.clone(),
                node: *id,
                dtype: known.map_or(DType::F32, |o| o.dtype),
                batched,
            });
            let input = Node {
                op: Op::Input { name: name.clone() },
                shape: node.shape.clone(),
                range: None,
                origin: node.origin.clone(),
            };
            if let Some(made) = tail.graph.add(input, &[]) {
                moved.insert(*id, made);
                tail.inputs.push(Input {
                    name,
                    node: made,
                    dtype: DType::F64,
                    batched,
                    clear: false,
                });
            }
        }
        for id in order.iter().filter(|id| self.tail.contains(id)) {
            let Some(node) = module.graph.get(*id) else {
                continue;
            };
            let mut node = Node {
                range: None,
                ..node.clone()
            };
            for constant in node.op.constants_mut() {
                if let Some(found) = module.constant(*constant) {
                    *constant = tail.add_constant(&found.name, found.tensor.clone());
                }
            }
            let operands = module.graph.operands(*id);
            let operands: Vec<NodeId> = operands
                .iter()
                .filter_map(|o| moved.get(o).copied())
                .collect();
            if let Some(made) = tail.graph.add(node, &operands) {
                moved.insert(*id, made);
            }
        }
        for output in &module.outputs {
            if let Some(node) = moved.get(&output.node) {
                tail.outputs.push(Output {
                    node: *node,
                    ..output.clone()
                });
            }
        }
        body.prune();
        Split { body, tail }
    }

    /// A name for each value: the output's own, or that of the node that yields it.
    fn names(&self, module: &Module) -> BTreeMap<NodeId, String> {
        let mut taken: BTreeSet<String> = module.outputs.iter().map(|o| o.name.clone()).collect();
        let mut names = BTreeMap::new();
        for id in &self.values {
            if let Some(output) = module.outputs.iter().find(|o| o.node == *id) {
                names.insert(*id, output.name.clone());
                continue;
            }
            let base = module.graph.get(*id).map_or_else(String::new, |node| {
                match (&node.op, &node.origin) {
                    (Op::Input { name }, _) => name.clone(),
                    (_, Origin::Onnx { name, .. }) if !name.is_empty() => name.clone(),
                    (op, _) => op.name().to_owned(),
                }
            });
            let mut name = base.clone();
            let mut suffix = 1;
            while !taken.insert(name.clone()) {
                suffix += 1;
                name = format!("{base}.{suffix}");
            }
            names.insert(*id, name);
        }
        names
    }
}
