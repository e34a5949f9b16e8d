//! decompose: quotients, maxima, minima and products over axes of encrypted values become products, sums and functions
//! of one number, so that functions alone are left to be approximated.
//!
//! `a / b = a (1 / b)`, `max(a, b) = (a + b + |a - b|) / 2`, `min(a, b) = (a + b - |a - b|) / 2`; a product over axes
//! is multiplied up in halves. Functions that are simpler ones in disguise become those: a power with a whole
//! exponent, a clip without ends. Comparisons, and maxima over windows and axes, are left alone.

use super::{PassError, TensorPass};
use cipherloom_ir::tensor::{Function, Module, Op, Patch, Reduction};
use cipherloom_ir::value::{Tensor, element_count, strides};
use cipherloom_ir::{NodeId, Origin};

/// The pass; see the module's text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decompose;

/// Products over axes are multiplied up for at most so many factors.
const MAX_FACTORS: usize = 64;

impl TensorPass for Decompose {
    fn name(&self) -> &'static str {
        "decompose"
    }

    fn doc(&self) -> &'static str {
        "turn quotients, maxima, minima and products over axes into functions of one number"
    }

    fn run(&mut self, module: &Module) -> Result<Option<Patch>, PassError> {
        let one = |id| Rewrite::of(module, id)?.propose();
        Ok(module.graph.ids().into_iter().find_map(one))
    }
}

/// A node to be replaced.
struct Rewrite<'m> {
    module: &'m Module,
    id: NodeId,
    op: &'m Op,
    shape: &'m [usize],
    origin: &'m Origin,
    operands: Vec<NodeId>,
    patch: Patch,
}

impl<'m> Rewrite<'m> {
    fn of(module: &'m Module, id: NodeId) -> Option<Self> {
        let node = module.graph.get(id)?;
        Some(Self {
            module,
            id,
            op: &node.op,
            shape: &node.shape,
            origin: &node.origin,
            operands: module.graph.operands(id),
            patch: Patch::new(module),
        })
    }

    fn propose(mut self) -> Option<Patch> {
        match (self.op, &self.operands[..]) {
            (Op::Div, &[a, b]) => {
                let shape = self.module.graph.get(b)?.shape.clone();
                let inverse = self.add_shaped(Op::Function(Function::Reciprocal), &[b], shape);
                let quotient = self.add(Op::Mul, &[a, inverse]);
                Some(self.replace(quotient))
            }
            (Op::Max | Op::Min, &[a, b]) => {
                let sum = self.add(Op::Add, &[a, b]);
                let difference = self.add(Op::Sub, &[a, b]);
                let distance = self.add(Op::Function(Function::Abs), &[difference]);
                let join = if *self.op == Op::Max {
                    Op::Add
                } else {
                    Op::Sub
                };
                let twice = self.add(join, &[sum, distance]);
                let half = Tensor::new(vec![], vec![0.5])?;
                let half = self.patch.add_constant("half", half);
                let value = self.add(Op::MulConst { value: half }, &[twice]);
                Some(self.replace(value))
            }
            (
                Op::Reduce {
                    kind: Reduction::Prod,
                    axes,
                },
                &[x],
            ) => self.product(axes, x),
            (Op::Function(function), &[x]) => match simpler(function)? {
                Some(op) => {
                    self.patch.set_op(self.id, op);
                    Some(self.patch)
                }
                None => Some(self.replace(x)),
            },
            _ => None,
        }
    }

    fn add(&mut self, op: Op, operands: &[NodeId]) -> NodeId {
        self.add_shaped(op, operands, self.shape.to_vec())
    }

    fn add_shaped(&mut self, op: Op, operands: &[NodeId], shape: Vec<usize>) -> NodeId {
        self.patch
            .add(op, operands, shape, None, self.origin.clone())
    }

    fn replace(mut self, new: NodeId) -> Patch {
        self.patch.replace(self.id, new);
        self.patch
    }

    /// The elements that meet, one selection for each of them, multiplied pair by pair.
    fn product(mut self, axes: &[usize], x: NodeId) -> Option<Patch> {
        let from = self.module.graph.get(x)?.shape.as_slice();
        let (steps, count) = (strides(from), element_count(from)?);
        let results = element_count(self.shape)?;
        let factors = count / results.max(1);
        if factors > MAX_FACTORS {
            return None;
        }
        // For each result its elements, in order.
        let to = strides(self.shape);
        let mut groups = vec![Vec::with_capacity(factors); results];
        for element in 0..count {
            let place = |(axis, step): (usize, &usize)| match axes.contains(&axis) {
                true => 0,
                false => element / step % from.get(axis).copied().unwrap_or(1) * to[axis],
            };
            let at: usize = steps.iter().enumerate().map(place).sum();
            groups.get_mut(at)?.push(element as f64);
        }
        let mut values = Vec::with_capacity(factors);
        for factor in 0..factors {
            let index: Option<Vec<f64>> = groups.iter().map(|g| g.get(factor).copied()).collect();
            let index = Tensor::new(self.shape.to_vec(), index?)?;
            let index = self.patch.add_constant("factor", index);
            values.push(self.add(Op::Take { index }, &[x]));
        }
        while values.len() > 1 {
            let pairs: Vec<Vec<NodeId>> = values.chunks(2).map(<[_]>::to_vec).collect();
            values = pairs
                .into_iter()
                .map(|pair| match pair[..] {
                    [a, b] => self.add(Op::Mul, &[a, b]),
                    _ => pair[0],
                })
                .collect();
        }
        let only = *values.first()?;
        Some(self.replace(only))
    }
}

/// The operation that a function is in truth, `Some(None)` for the identity; `None` where there is no simpler one.
fn simpler(function: &Function) -> Option<Option<Op>> {
    /// Higher powers are better approximated than multiplied out.
    const MOST: f64 = 64.0;
    Some(match *function {
        Function::Pow { exponent: 1.0 } => None,
        Function::Pow { exponent: 0.5 } => Some(Op::Function(Function::Sqrt)),
        Function::Pow { exponent: -1.0 } => Some(Op::Function(Function::Reciprocal)),
        Function::Pow { exponent }
            if exponent.fract() == 0.0 && (2.0..=MOST).contains(&exponent) =>
        {
            Some(Op::Power {
                exponent: exponent as u32,
            })
        }
        Function::Clip { lo, hi } if lo == f64::NEG_INFINITY && hi == f64::INFINITY => None,
        Function::Clip { lo: 0.0, hi } if hi == f64::INFINITY => Some(Op::Function(Function::Relu)),
        Function::LeakyRelu { alpha: 0.0 } => Some(Op::Function(Function::Relu)),
        Function::LeakyRelu { alpha: 1.0 } => None,
        Function::LeakyRelu { alpha: -1.0 } => Some(Op::Function(Function::Abs)),
        Function::ThresholdedRelu { alpha: 0.0 } => Some(Op::Function(Function::Relu)),
        _ => return None,
    })
}
