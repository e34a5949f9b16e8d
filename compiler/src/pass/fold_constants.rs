//! fold-constants: chains of additions and multiplications with constants become one, a reshape of a reshape one
//! reshape, a permutation of a permutation one permutation; operations that change nothing go.
//!
//! Sums are moved behind products (`(x + a) c = x c + a c`), so that chains of both become one of each. It
//! leaves alone what has other users, and layers with weights (fold-scalings does those).

use super::elementwise::{keeps_shape, only_user, uniform};
use super::{PassError, TensorPass};
use crate::broadcast::zip;
use cipherloom_ir::tensor::{Module, Node, Op, Patch};
use cipherloom_ir::{NodeId, Tensor};

/// The pass; see the module's text.
#[derive(Clone, Copy, Debug, Default)]
pub struct FoldConstants;

impl TensorPass for FoldConstants {
    fn name(&self) -> &'static str {
        "fold-constants"
    }

    fn doc(&self) -> &'static str {
        "merge chains of constant additions, multiplications, reshapes and permutations, and drop what changes nothing"
    }

    fn run(&mut self, module: &Module) -> Result<Option<Patch>, PassError> {
        Ok(module
            .graph
            .ids()
            .into_iter()
            .find_map(|id| step(module, id)))
    }
}

fn step(module: &Module, id: NodeId) -> Option<Patch> {
    let node = module.graph.get(id)?;
    let [below_id] = module.graph.operands(id)[..] else {
        return None;
    };
    let below = module.graph.get(below_id)?;
    if changes_nothing(module, node, below) {
        let mut patch = Patch::new(module);
        patch.replace(id, below_id);
        return Some(patch);
    }
    if only_user(module, below_id) != Some(id) {
        return None;
    }
    let [source] = module.graph.operands(below_id)[..] else {
        return None;
    };
    let mut patch = Patch::new(module);
    let origin = node.origin.merge(&below.origin);
    let new = match (&below.op, &node.op) {
        (Op::AddConst { value: a }, Op::AddConst { value: b }) => {
            let (name, sum) = combined(module, *a, *b, |x, y| x + y)?;
            let value = patch.add_constant(name, sum);
            patch.add(
                Op::AddConst { value },
                &[source],
                node.shape.clone(),
                node.range,
                origin,
            )
        }
        (Op::MulConst { value: a }, Op::MulConst { value: b }) => {
            let (name, product) = combined(module, *a, *b, |x, y| x * y)?;
            let value = patch.add_constant(name, product);
            patch.add(
                Op::MulConst { value },
                &[source],
                node.shape.clone(),
                node.range,
                origin,
            )
        }
        (Op::AddConst { value: a }, Op::MulConst { value: c }) => {
            // (x + a) c = x c + a c.
            let (name, shift) = combined(module, *a, *c, |x, y| x * y)?;
            let x = module.graph.get(source)?;
            let shape = crate::broadcast::broadcast(&x.shape, module.tensor(*c)?.shape()).ok()?;
            let scaled = patch.add(node.op.clone(), &[source], shape, None, node.origin.clone());
            let value = patch.add_constant(name, shift);
            patch.add(
                Op::AddConst { value },
                &[scaled],
                node.shape.clone(),
                node.range,
                origin,
            )
        }
        (Op::Reshape, Op::Reshape) => patch.add(
            Op::Reshape,
            &[source],
            node.shape.clone(),
            node.range,
            origin,
        ),
        (Op::Transpose { perm: inner }, Op::Transpose { perm: outer }) => {
            let perm = outer
                .iter()
                .map(|p| inner.get(*p).copied())
                .collect::<Option<Vec<_>>>()?;
            patch.add(
                Op::Transpose { perm },
                &[source],
                node.shape.clone(),
                node.range,
                origin,
            )
        }
        _ => return None,
    };
    patch.replace(id, new);
    Some(patch)
}

/// The constants combined, under the name of the first.
fn combined(
    module: &Module,
    a: cipherloom_ir::tensor::ConstId,
    b: cipherloom_ir::tensor::ConstId,
    f: impl Fn(f64, f64) -> f64,
) -> Option<(&str, Tensor)> {
    let result = zip(module.tensor(a)?, module.tensor(b)?, f)?;
    // Overflow would make a fault out of a network that worked.
    result
        .data()
        .iter()
        .all(|x| x.is_finite())
        .then_some((module.constant(a)?.name.as_str(), result))
}

fn changes_nothing(module: &Module, node: &Node, below: &Node) -> bool {
    if node.shape != below.shape {
        return false;
    }
    let is = |id, wanted: f64| {
        module.tensor(id).is_some_and(|t| {
            keeps_shape(t, &below.shape) && uniform(t, &below.shape) == Some(wanted)
        })
    };
    match &node.op {
        Op::AddConst { value } => is(*value, 0.0),
        Op::MulConst { value } => is(*value, 1.0),
        Op::Reshape | Op::Power { exponent: 1 } => true,
        Op::Transpose { perm } => perm.iter().enumerate().all(|(i, p)| i == *p),
        Op::Pad { before, after, .. } => before.iter().chain(after).all(|p| *p == 0),
        Op::AveragePool(pool) => {
            pool.kernel == [1, 1] && pool.strides == [1, 1] && pool.pads == [0; 4]
        }
        Op::Polynomial { coefficients } => match coefficients[..] {
            [constant, linear, ref rest @ ..] => {
                constant == 0.0 && linear == 1.0 && rest.iter().all(|c| *c == 0.0)
            }
            _ => false,
        },
        _ => false,
    }
}
