//! Functions that have no value somewhere within what the inputs' ranges allow.

use super::super::ast::Span;
use super::super::diagnostic::Diagnostic;
use super::port_out;
use crate::data::Evidence;
use crate::pass::{RangeError, measure};
use cipherloom_ir::NodeId;
use cipherloom_ir::tensor::{Function, Module, Op, Pole};
use cipherloom_ir::value::Range;
use std::collections::{BTreeMap, BTreeSet};

/// Faults that are looked for.
const MOST: usize = 32;

/// The faulty functions of a module. Bounds are those of interval arithmetic; nothing is known of what depends on a
/// fault, so that each is told once.
pub(in crate::loom) fn domains(
    module: &Module,
    places: &BTreeMap<NodeId, Span>,
    given: &BTreeMap<String, Range>,
) -> Vec<Diagnostic> {
    let mut ranges = BTreeMap::new();
    for input in &module.inputs {
        let declared = module.graph.get(input.node).and_then(|n| n.range);
        match given.get(&input.name).copied().or(declared) {
            Some(range) => ranges.insert(input.name.clone(), range),
            None => return vec![],
        };
    }
    let evidence = Evidence::Declared(&ranges);
    let mut faults = Vec::new();
    let mut unknown = BTreeSet::new();
    while faults.len() < MOST {
        // What has poles, and does not depend on a fault.
        let open = |id: &NodeId| !unknown.contains(id) && function(module, *id).is_some();
        let part = part_of(module, module.graph.ids().into_iter().filter(open));
        let Err(RangeError::NotFinite { node, .. }) = measure(&part, evidence) else {
            break;
        };
        let Some(fault) = fault(module, places, evidence, node) else {
            break;
        };
        faults.push(fault);
        let mut reached = vec![node];
        while let Some(id) = reached.pop() {
            if unknown.insert(id) {
                reached.extend(module.graph.users(id));
            }
        }
    }
    faults
}

/// The part of a module that makes these nodes.
fn part_of(module: &Module, nodes: impl Iterator<Item = NodeId>) -> Module {
    let mut part = module.clone();
    part.outputs = nodes
        .map(|id| port_out(id.to_string(), id, false))
        .collect();
    part.prune();
    part
}

/// The function of one number that a node computes, its pole and its operand, if it has a pole.
fn function(module: &Module, node: NodeId) -> Option<(Function, Pole, NodeId)> {
    let (function, operand) = match (
        &module.graph.get(node)?.op,
        &module.graph.operands(node)[..],
    ) {
        (Op::Function(function), [operand]) => (function.clone(), *operand),
        (Op::Div, [_, divisor]) => (Function::Reciprocal, *divisor),
        _ => return None,
    };
    let pole = function.pole()?;
    Some((function, pole, operand))
}

/// The fault of a function whose pole lies within its operand's range.
fn fault(
    module: &Module,
    places: &BTreeMap<NodeId, Span>,
    evidence: Evidence<'_>,
    node: NodeId,
) -> Option<Diagnostic> {
    let (function, pole, operand) = function(module, node)?;
    let range = measure(&part_of(module, std::iter::once(operand)), evidence)
        .ok()
        .and_then(|m| m.ranges.get(&operand).copied());
    let values = range.map_or(String::new(), |r| {
        format!(
            ", and its operand takes values from {:.4} to {:.4}",
            r.lo, r.hi
        )
    });
    let text = format!(
        "{} has no value {}{values}",
        function.formula(),
        place(pole)
    );
    let span = places.get(&node).copied().unwrap_or_default();
    let advice = "keep the operand away from there (add a constant, clip it, narrow the inputs' ranges), or give samples \
                  (--calibrate DATA.npz)";
    Some(Diagnostic::new(span, text).help(advice))
}

/// Where a pole lies, in words.
fn place(pole: Pole) -> &'static str {
    match pole {
        Pole::Negative => "below 0",
        Pole::NonPositive => "at 0 and below",
        Pole::Zero => "at 0",
    }
}
