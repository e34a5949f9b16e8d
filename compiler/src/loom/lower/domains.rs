//! Functions that have no value somewhere within what the inputs' ranges allow.

use super::super::ast::Span;
use super::super::diagnostic::Diagnostic;
use super::port_out;
use crate::data::Evidence;
use crate::pass::{RangeError, measure};
use cipherloom_ir::NodeId;
use cipherloom_ir::tensor::{Function, Module, Op, Pole};
use cipherloom_ir::value::Range;
use std::collections::BTreeMap;

/// The faulty functions of a module. Bounds are those of interval arithmetic; after the first fault nothing is known of
/// what depends on it, so that each is told once.
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
    let Err(RangeError::NotFinite { node, .. }) = measure(module, evidence) else {
        return vec![];
    };
    let Some(found) = module.graph.get(node) else {
        return vec![];
    };
    let operands = module.graph.operands(node);
    let (function, operand) = match (&found.op, &operands[..]) {
        (Op::Function(function), [operand]) => (function.clone(), *operand),
        (Op::Div, [_, divisor]) => (Function::Reciprocal, *divisor),
        _ => return vec![],
    };
    let Some(pole) = function.pole() else {
        return vec![];
    };
    let mut part = module.clone();
    part.outputs = vec![port_out("operand".into(), operand, false)];
    part.prune();
    let range = measure(&part, evidence)
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
    vec![Diagnostic::new(span, text).help(advice)]
}

/// Where a pole lies, in words.
fn place(pole: Pole) -> &'static str {
    match pole {
        Pole::Negative => "below 0",
        Pole::NonPositive => "at 0 and below",
        Pole::Zero => "at 0",
    }
}
