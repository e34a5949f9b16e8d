//! The verifier of the `tensor` stage.

use super::shape::infer_shape;
use super::{Module, Op};
pub use crate::fault::Fault;
use crate::graph::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// All faults of a module: cycles, arities, shapes, missing or non-finite constants, ports.
pub fn verify(module: &Module) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Err(cycle) = module.graph.topological() {
        let nodes: Vec<String> = cycle.iter().take(8).map(|n| n.to_string()).collect();
        faults.push(Fault::general(format!(
            "the graph has a cycle at or before {}",
            nodes.join(", ")
        )));
    }
    constants(module, &mut faults);
    ports(module, &mut faults);
    for id in module.graph.ids() {
        faults.extend(node(module, id).into_iter().filter_map(|message| {
            module
                .graph
                .get(id)
                .map(|n| Fault::at(id, &n.origin, message))
        }));
    }
    faults
}

fn constants(module: &Module, faults: &mut Vec<Fault>) {
    let mut names = BTreeSet::new();
    for constant in &module.constants {
        if !names.insert(&constant.name) {
            faults.push(Fault::general(format!(
                "two constants are named @{}",
                constant.name
            )));
        }
        if let Some(i) = constant.tensor.data().iter().position(|v| !v.is_finite()) {
            faults.push(Fault::general(format!(
                "constant @{} is not finite at element {i}",
                constant.name
            )));
        }
    }
}

fn ports(module: &Module, faults: &mut Vec<Fault>) {
    let mut names = BTreeSet::new();
    let mut registered = BTreeMap::new();
    for input in &module.inputs {
        let name = &input.name;
        if !names.insert(name) {
            faults.push(Fault::general(format!("two inputs are named {name:?}")));
        }
        if registered.insert(input.node, name).is_some() {
            faults.push(Fault::general(format!(
                "{} is registered as two inputs",
                input.node
            )));
        }
        match module.graph.get(input.node) {
            None => faults.push(Fault::general(format!(
                "input {name:?} names the missing node {}",
                input.node
            ))),
            Some(node) => {
                if node.op != (Op::Input { name: name.clone() }) {
                    let message = format!("registered as input {name:?} but is {}", node.op.name());
                    faults.push(Fault::at(input.node, &node.origin, message));
                }
                if input.batched && node.shape.first() != Some(&1) {
                    let message = format!("input {name:?} is batched, but its axis 0 is not 1");
                    faults.push(Fault::at(input.node, &node.origin, message));
                }
            }
        }
    }
    for id in module.graph.ids() {
        if let Some(node) = module.graph.get(id)
            && matches!(node.op, Op::Input { .. })
            && !registered.contains_key(&id)
        {
            faults.push(Fault::at(
                id,
                &node.origin,
                "an input that the module does not list",
            ));
        }
    }
    if module.outputs.is_empty() {
        faults.push(Fault::general("the module has no output"));
    }
    let mut names = BTreeSet::new();
    for output in &module.outputs {
        if !names.insert(&output.name) {
            faults.push(Fault::general(format!(
                "two outputs are named {:?}",
                output.name
            )));
        }
        match module.graph.get(output.node) {
            None => {
                let message = format!(
                    "output {:?} names the missing node {}",
                    output.name, output.node
                );
                faults.push(Fault::general(message));
            }
            Some(node) if output.batched && node.shape.first() != Some(&1) => {
                let message = format!(
                    "output {:?} is batched, but its axis 0 is not 1",
                    output.name
                );
                faults.push(Fault::at(output.node, &node.origin, message));
            }
            Some(_) => {}
        }
    }
}

fn node(module: &Module, id: NodeId) -> Vec<String> {
    let mut messages = Vec::new();
    let Some(node) = module.graph.get(id) else {
        return messages;
    };
    let operands = module.graph.operands(id);
    let shapes: Vec<&[usize]> = operands
        .iter()
        .filter_map(|o| module.graph.get(*o))
        .map(|n| n.shape.as_slice())
        .collect();
    match infer_shape(module, &node.op, &shapes, &node.shape) {
        Ok(shape) if shape != node.shape => {
            messages.push(format!(
                "{} yields {shape:?}, not {:?}",
                node.op.name(),
                node.shape
            ));
        }
        Ok(_) => {}
        Err(message) => messages.push(message),
    }
    if let Some(range) = node.range
        && crate::value::Range::new(range.lo, range.hi).is_none()
    {
        messages.push(format!("the range {range} is empty or not finite"));
    }
    messages
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
