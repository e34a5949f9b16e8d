//! fuse-polynomial: products, powers, sums and uniform constants that together compute one polynomial of one value
//! become a single operation: `x * x`, `(a x + b) x + c`, `0.5 x^2 + x`, a square of a square.
//!
//! A power stays a power (`power`), anything else becomes coefficients (`polynomial`). It looks through values that
//! only such operations use; it leaves alone linear expressions (fold-constants does those), constants that differ
//! from element to element, and degrees beyond [`MAX_DEGREE`], or [`MAX_POWER`] for a plain power, whose coefficients
//! would lose precision.

use super::elementwise::uniform;
use super::{PassError, TensorPass};
use cipherloom_ir::tensor::{Module, Node, Op, Patch};
use cipherloom_ir::{NodeId, Origin};
use std::collections::BTreeMap;

/// The highest degree of a polynomial that is put together here.
const MAX_DEGREE: usize = 16;

/// The highest plain power that is put together here.
const MAX_POWER: usize = 64;

/// The pass; see the module's text.
#[derive(Clone, Copy, Debug, Default)]
pub struct FusePolynomial;

impl TensorPass for FusePolynomial {
    fn name(&self) -> &'static str {
        "fuse-polynomial"
    }

    fn doc(&self) -> &'static str {
        "put products, powers, sums and constants that compute a polynomial of one value together"
    }

    fn run(&mut self, module: &Module) -> Result<Option<Patch>, PassError> {
        let Ok(order) = module.graph.topological() else {
            return Ok(None);
        };
        let mut found: BTreeMap<NodeId, Expression> = BTreeMap::new();
        for id in &order {
            if let Some(node) = module.graph.get(*id) {
                let expression = expression(module, &found, *id, node)
                    .unwrap_or_else(|| Expression::of(*id, node));
                found.insert(*id, expression);
            }
        }
        // The last expression first: what it looks through then dies, and is not written a second time.
        Ok(order
            .iter()
            .rev()
            .find_map(|id| propose(module, *id, found.get(id)?)))
    }
}

/// A value as a polynomial of another one.
#[derive(Clone)]
struct Expression {
    root: NodeId,
    /// Coefficients of 1, root, root^2, ...; the last is not zero unless it is the only one.
    coefficients: Vec<f64>,
    origin: Origin,
}

impl Expression {
    /// The value as itself.
    fn of(id: NodeId, node: &Node) -> Self {
        Self {
            root: id,
            coefficients: vec![0.0, 1.0],
            origin: node.origin.clone(),
        }
    }

    fn new(root: NodeId, mut coefficients: Vec<f64>, origin: Origin) -> Option<Self> {
        while coefficients.len() > 1 && coefficients.last() == Some(&0.0) {
            coefficients.pop();
        }
        let degree = coefficients.len() - 1;
        let plain = coefficients.iter().filter(|c| **c != 0.0).count() == 1;
        let most = if plain { MAX_POWER } else { MAX_DEGREE };
        (degree <= most && coefficients.iter().all(|c| c.is_finite())).then_some(Self {
            root,
            coefficients,
            origin,
        })
    }
}

/// The node's value as a polynomial of a value below; `None` where it is none.
fn expression(
    module: &Module,
    found: &BTreeMap<NodeId, Expression>,
    id: NodeId,
    node: &Node,
) -> Option<Expression> {
    let operands = module.graph.operands(id);
    // A value that others need too is not looked through: it is computed anyhow.
    let seen = |operand: NodeId| -> Option<Expression> {
        let below = module.graph.get(operand)?;
        if below.shape != node.shape {
            return None;
        }
        if open(module, operand) {
            found.get(&operand).cloned()
        } else {
            Some(Expression::of(operand, below))
        }
    };
    let first = seen(*operands.first()?)?;
    let p = &first.coefficients;
    let (coefficients, origin) = match &node.op {
        Op::AddConst { value } => {
            let mut sum = p.clone();
            *sum.first_mut()? += uniform(module.tensor(*value)?, &node.shape)?;
            (sum, node.origin.clone())
        }
        Op::MulConst { value } => {
            let factor = uniform(module.tensor(*value)?, &node.shape)?;
            (p.iter().map(|c| c * factor).collect(), node.origin.clone())
        }
        Op::Power { exponent } => {
            let exponent = usize::try_from(*exponent)
                .ok()
                .filter(|e| (p.len() - 1).saturating_mul(*e) <= MAX_POWER)?;
            let power = (0..exponent).fold(vec![1.0], |power, _| product(&power, p));
            (power, node.origin.clone())
        }
        Op::Polynomial { coefficients }
            if (p.len() - 1).saturating_mul(coefficients.len()) <= MAX_POWER =>
        {
            let zero = vec![0.0];
            let composed = coefficients
                .iter()
                .rev()
                .fold(zero, |sum, c| total(&product(&sum, p), &[*c], 1.0));
            (composed, node.origin.clone())
        }
        Op::Add | Op::Sub | Op::Mul => {
            let second = seen(*operands.get(1)?)?;
            if second.root != first.root {
                return None;
            }
            let q = &second.coefficients;
            let result = match node.op {
                Op::Add => total(p, q, 1.0),
                Op::Sub => total(p, q, -1.0),
                _ => product(p, q),
            };
            (result, merged(&node.origin, &second, module))
        }
        _ => return None,
    };
    let origin = merged(&origin, &first, module);
    Expression::new(first.root, coefficients, origin)
}

/// Both origins; a root's own origin stays with the root.
fn merged(origin: &Origin, expression: &Expression, module: &Module) -> Origin {
    match module.graph.get(expression.root) {
        Some(root) if root.origin == expression.origin => origin.clone(),
        _ => origin.merge(&expression.origin),
    }
}

/// Whether all that use a value are operations that this pass looks at.
fn open(module: &Module, id: NodeId) -> bool {
    let fusable = |user: &NodeId| {
        matches!(
            module.graph.get(*user).map(|n| &n.op),
            Some(
                Op::AddConst { .. }
                    | Op::MulConst { .. }
                    | Op::Power { .. }
                    | Op::Polynomial { .. }
                    | Op::Add
                    | Op::Sub
                    | Op::Mul
            )
        )
    };
    !module.outputs.iter().any(|o| o.node == id) && module.graph.users(id).iter().all(fusable)
}

fn propose(module: &Module, id: NodeId, expression: &Expression) -> Option<Patch> {
    let node = module.graph.get(id)?;
    let degree = expression.coefficients.len() - 1;
    if degree < 2 {
        return None;
    }
    let (last, front) = expression.coefficients.split_last()?;
    let op = if *last == 1.0 && front.iter().all(|c| *c == 0.0) {
        Op::Power {
            exponent: u32::try_from(degree).ok()?,
        }
    } else {
        Op::Polynomial {
            coefficients: expression.coefficients.clone(),
        }
    };
    if node.op == op && module.graph.operands(id) == [expression.root] {
        return None;
    }
    let mut patch = Patch::new(module);
    let new = patch.add(
        op,
        &[expression.root],
        node.shape.clone(),
        node.range,
        expression.origin.clone(),
    );
    patch.replace(id, new);
    Some(patch)
}

fn product(p: &[f64], q: &[f64]) -> Vec<f64> {
    let mut result = vec![0.0; (p.len() + q.len()).saturating_sub(1)];
    for (i, a) in p.iter().enumerate() {
        for (j, b) in q.iter().enumerate() {
            result[i + j] += a * b;
        }
    }
    result
}

/// `p + sign q`.
fn total(p: &[f64], q: &[f64], sign: f64) -> Vec<f64> {
    let at = |v: &[f64], i: usize| v.get(i).copied().unwrap_or(0.0);
    (0..p.len().max(q.len()))
        .map(|i| at(p, i) + sign * at(q, i))
        .collect()
}
