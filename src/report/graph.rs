//! Which layer uses which: the report's graph.

use cipherloom_ir::plan::Plan;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Inputs, layers and outputs, and who uses whose results.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphReport {
    /// The inputs in order, the layers in the order of the report, the outputs in order.
    pub nodes: Vec<GraphNode>,
    /// Producer and user, by their places among the nodes, in ascending order.
    pub edges: Vec<[usize; 2]>,
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphNode {
    /// `input`, `layer` or `output`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// The graph of a plan's layers: steps that follow each other and come from one layer are one node.
pub(super) fn graph(plan: &Plan) -> GraphReport {
    let node = |kind, name: &str| GraphNode {
        kind,
        name: name.to_owned(),
    };
    let (mut nodes, mut edges) = (Vec::new(), BTreeSet::new());
    // Who wrote a register last.
    let mut producer = BTreeMap::new();
    for port in &plan.inputs {
        port.registers.iter().for_each(|r| {
            producer.insert(*r, nodes.len());
        });
        nodes.push(node("input", &port.name));
    }
    let mut layer: Option<&str> = None;
    for step in &plan.steps {
        if layer != Some(&step.origin) {
            layer = Some(&step.origin);
            nodes.push(node("layer", &step.origin));
        }
        let at = nodes.len() - 1;
        let from = step.op.operands();
        let from = from.iter().filter_map(|r| producer.get(r));
        edges.extend(from.filter(|p| **p != at).map(|p| [*p, at]));
        step.op.results().into_iter().for_each(|r| {
            producer.insert(r, at);
        });
    }
    for port in &plan.outputs {
        let from = port.registers.iter().filter_map(|r| producer.get(r));
        edges.extend(from.map(|p| [*p, nodes.len()]));
        nodes.push(node("output", &port.name));
    }
    GraphReport {
        nodes,
        edges: edges.into_iter().collect(),
    }
}
