//! Which layer uses which: the report's graph.

use cipherloom_ir::integer::IntegerPlan;
use cipherloom_ir::plan::{Plan, Register};
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
#[derive(Default)]
struct Builder {
    nodes: Vec<GraphNode>,
    edges: BTreeSet<[usize; 2]>,
    /// Who wrote a register last.
    producer: BTreeMap<Register, usize>,
}

impl Builder {
    fn node(&mut self, kind: &'static str, name: &str) -> usize {
        let name = name.to_owned();
        self.nodes.push(GraphNode { kind, name });
        self.nodes.len() - 1
    }

    fn writes(&mut self, at: usize, registers: &[Register]) {
        self.producer.extend(registers.iter().map(|r| (*r, at)));
    }

    fn reads(&mut self, at: usize, registers: &[Register]) {
        let from = registers.iter().filter_map(|r| self.producer.get(r));
        self.edges
            .extend(from.filter(|p| **p != at).map(|p| [*p, at]));
    }

    fn input(&mut self, name: &str, registers: &[Register]) {
        let at = self.node("input", name);
        self.writes(at, registers);
    }

    fn step(&mut self, layer: &str, operands: &[Register], results: &[Register]) {
        let same = |n: &&GraphNode| n.kind == "layer" && n.name == layer;
        let at = match self.nodes.last().filter(same) {
            Some(_) => self.nodes.len() - 1,
            None => self.node("layer", layer),
        };
        self.reads(at, operands);
        self.writes(at, results);
    }

    fn output(&mut self, name: &str, registers: &[Register]) {
        let at = self.node("output", name);
        self.reads(at, registers);
    }

    fn finish(self) -> GraphReport {
        GraphReport {
            nodes: self.nodes,
            edges: self.edges.into_iter().collect(),
        }
    }
}

pub(super) fn graph(plan: &Plan) -> GraphReport {
    let mut builder = Builder::default();
    for port in &plan.inputs {
        builder.input(&port.name, &port.registers);
    }
    for step in &plan.steps {
        builder.step(&step.origin, &step.op.operands(), &step.op.results());
    }
    for port in &plan.outputs {
        builder.output(&port.name, &port.registers);
    }
    builder.finish()
}

pub(super) fn integer_graph(plan: &IntegerPlan) -> GraphReport {
    let mut builder = Builder::default();
    for port in &plan.inputs {
        builder.input(&port.name, &[port.register]);
    }
    for step in &plan.steps {
        builder.step(&step.origin, step.op.operands(), &[step.dst]);
    }
    for port in &plan.outputs {
        builder.output(&port.name, &[port.register]);
    }
    builder.finish()
}
