//! Parts of a graph that compute one value from one other, element by element, and their values in clear.

use crate::pass::elementwise::uniform;
use cipherloom_ir::NodeId;
use cipherloom_ir::tensor::{Module, Node, Op};
use std::collections::{BTreeMap, BTreeSet};

/// The most operations that are put together; the longest spelling in use has 9.
const MAX_OPERATIONS: usize = 24;

/// Operations between a root and a result: each reads the root, or others of them, and only the result is read elsewhere.
pub(super) struct Region {
    pub(super) root: NodeId,
    /// The operations in an order in which they can be computed; the last is the result.
    pub(super) inner: Vec<NodeId>,
    /// How many of them are functions.
    pub(super) functions: usize,
    /// How many of them are neither functions nor linear: products, quotients, comparisons.
    pub(super) others: usize,
}

impl Region {
    pub(super) fn result(&self) -> Option<NodeId> {
        self.inner.last().copied()
    }

    /// The result where the root's element is x; `None` where an operation's constant is not uniform.
    pub(super) fn eval(&self, module: &Module, x: f64) -> Option<f64> {
        let mut values = BTreeMap::from([(self.root, x)]);
        for id in &self.inner {
            let node = module.graph.get(*id)?;
            let operands: Option<Vec<f64>> = module
                .graph
                .operands(*id)
                .iter()
                .map(|o| values.get(o).copied())
                .collect();
            values.insert(*id, value(module, node, &operands?)?);
        }
        values.get(&self.result()?).copied()
    }

    fn new(module: &Module, root: NodeId, expanded: &BTreeSet<(usize, NodeId)>) -> Self {
        let inner: Vec<NodeId> = expanded.iter().map(|(_, id)| *id).collect();
        let ops = || inner.iter().filter_map(|id| module.graph.get(*id));
        let functions = ops().filter(|n| matches!(n.op, Op::Function(_))).count();
        let linear = |op: &Op| {
            matches!(
                op,
                Op::AddConst { .. } | Op::MulConst { .. } | Op::Add | Op::Sub
            )
        };
        let others = ops().filter(|n| !linear(&n.op)).count() - functions;
        Self {
            root,
            functions,
            others,
            inner,
        }
    }
}

/// The regions of which a node is the result, from the narrowest to the widest. Where all operations are linear or
/// products, there is none: those are polynomials.
pub(super) fn regions(
    module: &Module,
    positions: &BTreeMap<NodeId, usize>,
    id: NodeId,
) -> Vec<Region> {
    let mut found = vec![];
    let Some(shape) = module.graph.get(id).map(|n| &n.shape) else {
        return found;
    };
    let position = |id: NodeId| positions.get(&id).copied().unwrap_or(0);
    let mut expanded = BTreeSet::new();
    // What the expanded operations read, by position: the last one reads none of the others' results.
    let mut frontier = BTreeSet::from([(position(id), id)]);
    let mut polynomial = true;
    while let Some((at, next)) = frontier.pop_last() {
        let Some(node) = module.graph.get(next).filter(|n| n.shape == *shape) else {
            break;
        };
        if frontier.is_empty() && next != id && !polynomial {
            found.push(Region::new(module, next, &expanded));
        }
        let inside = |user: &NodeId| expanded.contains(&(position(*user), *user));
        let free = next == id
            || module.outputs.iter().all(|o| o.node != next)
                && module.graph.users(next).iter().all(inside);
        if !free || expanded.len() == MAX_OPERATIONS || !is_elementwise(module, node) {
            break;
        }
        polynomial &= is_polynomial(&node.op);
        expanded.insert((at, next));
        frontier.extend(
            module
                .graph
                .operands(next)
                .into_iter()
                .map(|o| (position(o), o)),
        );
    }
    found
}

fn is_polynomial(op: &Op) -> bool {
    !matches!(
        op,
        Op::Function(_) | Op::Div | Op::Max | Op::Min | Op::Compare(_) | Op::Where
    )
}

fn is_elementwise(module: &Module, node: &Node) -> bool {
    match &node.op {
        Op::AddConst { value: c } | Op::MulConst { value: c } => module
            .tensor(*c)
            .is_some_and(|t| uniform(t, &node.shape).is_some()),
        Op::Function(_)
        | Op::Power { .. }
        | Op::Polynomial { .. }
        | Op::Add
        | Op::Sub
        | Op::Mul
        | Op::Div
        | Op::Max
        | Op::Min
        | Op::Compare(_)
        | Op::Where => true,
        _ => false,
    }
}

/// An operation's value for one element of each operand.
fn value(module: &Module, node: &Node, operands: &[f64]) -> Option<f64> {
    let constant = |id| uniform(module.tensor(id)?, &node.shape);
    Some(match (&node.op, operands) {
        (Op::AddConst { value }, [x]) => x + constant(*value)?,
        (Op::MulConst { value }, [x]) => x * constant(*value)?,
        (Op::Function(function), [x]) => function.eval(*x),
        (Op::Power { exponent }, [x]) => libm::pow(*x, f64::from(*exponent)),
        (Op::Polynomial { coefficients }, [x]) => {
            coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
        }
        (Op::Add, [a, b]) => a + b,
        (Op::Sub, [a, b]) => a - b,
        (Op::Mul, [a, b]) => a * b,
        (Op::Div, [a, b]) => a / b,
        (Op::Max, [a, b]) => a.max(*b),
        (Op::Min, [a, b]) => a.min(*b),
        (Op::Compare(comparison), [a, b]) => f64::from(u8::from(comparison.holds(*a, *b))),
        (Op::Where, [condition, a, b]) => {
            if *condition != 0.0 {
                *a
            } else {
                *b
            }
        }
        _ => return None,
    })
}
