//! decompose: quotients, maxima, minima and products over axes of encrypted values become products, sums and functions
//! of one number, so that functions alone are left to be approximated.
//!
//! `a / b = a (1 / b)`, `max(a, b) = (a + b + |a - b|) / 2`, `min(a, b) = (a + b - |a - b|) / 2`; a product over axes
//! is multiplied up in halves. Functions that are simpler ones in disguise become those: a power with a whole
//! exponent, a clip without ends. A softmax becomes `e / sum of e` with `e = exp(x - mean of x)`: the mean takes nothing
//! from the quotient and narrows the range that exp is needed on. Maxima over windows and axes become ones of two values
//! where that is asked for ([`Decompose::maxima`]), and comparisons, steps and selections become signs
//! ([`Decompose::jumps`]): `a > b = (1 + sign(a - b)) / 2`, `a = b` where `sign(a - b)^2 = 0`, `where(c, a, b) = b + c (a - b)`.

use super::{PassError, TensorPass};
use crate::broadcast::broadcast;
use cipherloom_ir::tensor::{Comparison, Function, MaxPool, Module, Op, Patch, Reduction};
use cipherloom_ir::value::{Tensor, element_count, strides};
use cipherloom_ir::{NodeId, Origin};

/// The pass; see the module's text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decompose {
    /// Whether maxima and minima over windows and axes become ones of two values, and these polynomials.
    pub maxima: bool,
    /// Whether maxima and minima of two values stay what they are.
    pub pairs: bool,
    /// Whether comparisons, steps and selections become signs, for [`super::Approximate`] to approximate.
    pub jumps: bool,
}

/// Products and maxima are taken of at most so many values.
const MAX_FACTORS: usize = 64;

impl TensorPass for Decompose {
    fn name(&self) -> &'static str {
        "decompose"
    }

    fn doc(&self) -> &'static str {
        "turn quotients, maxima, minima and products over axes into functions of one number"
    }

    fn run(&mut self, module: &Module) -> Result<Option<Patch>, PassError> {
        let one = |id| Rewrite::of(module, id)?.propose(*self);
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

/// What softmax and its logarithm are made of.
struct Exponentials {
    /// `x - mean of x`.
    centred: NodeId,
    /// Their exponentials.
    values: NodeId,
    /// The sum of those.
    sum: NodeId,
    /// The sum's shape.
    sum_shape: Vec<usize>,
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

    fn propose(
        mut self,
        Decompose {
            maxima,
            pairs,
            jumps,
        }: Decompose,
    ) -> Option<Patch> {
        match (self.op, &self.operands[..]) {
            (Op::Div, &[a, b]) => {
                let shape = self.module.graph.get(b)?.shape.clone();
                let inverse = self.add_shaped(Op::Function(Function::Reciprocal), &[b], shape);
                let quotient = self.add(Op::Mul, &[a, inverse]);
                Some(self.replace(quotient))
            }
            (Op::Max | Op::Min, &[a, b]) if !pairs => {
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
            ) => {
                let groups = self.over_axes(axes, x)?;
                self.tournament(x, groups, &Op::Mul)
            }
            (Op::Reduce { kind, axes }, &[x]) if maxima => {
                let join = match kind {
                    Reduction::Max => Op::Max,
                    Reduction::Min => Op::Min,
                    _ => return None,
                };
                let groups = self.over_axes(axes, x)?;
                self.tournament(x, groups, &join)
            }
            (Op::MaxPool(pool), &[x]) if maxima => {
                let groups = self.over_windows(pool, x)?;
                self.tournament(x, groups, &Op::Max)
            }
            (&Op::Softmax { axis }, &[x]) => {
                let Exponentials { values, sum, .. } = self.exponentials(axis, x)?;
                let value = self.add(Op::Div, &[values, sum]);
                Some(self.replace(value))
            }
            (&Op::LogSoftmax { axis }, &[x]) => {
                let found = self.exponentials(axis, x)?;
                let log = Op::Function(Function::Log);
                let log = self.add_shaped(log, &[found.sum], found.sum_shape);
                let value = self.add(Op::Sub, &[found.centred, log]);
                Some(self.replace(value))
            }
            (Op::Compare(comparison), &[a, b]) if jumps => {
                let value = match comparison {
                    Comparison::Greater => self.above(a, b),
                    // 1 where b > a does not hold.
                    Comparison::GreaterOrEqual => {
                        let less = self.above(b, a);
                        self.affine(less, -1.0, 1.0)
                    }
                    Comparison::Equal => {
                        let difference = self.add(Op::Sub, &[a, b]);
                        let sign = self.add(Op::Function(Function::Sign), &[difference]);
                        let unequal = self.add(Op::Power { exponent: 2 }, &[sign]);
                        self.affine(unequal, -1.0, 1.0)
                    }
                };
                Some(self.replace(value))
            }
            (Op::Where, &[condition, a, b]) if jumps => {
                let shape = |id| Some(self.module.graph.get(id)?.shape.as_slice());
                let both = broadcast(shape(a)?, shape(b)?).ok()?;
                let difference = self.add_shaped(Op::Sub, &[a, b], both);
                let chosen = self.add(Op::Mul, &[condition, difference]);
                let value = self.add(Op::Add, &[b, chosen]);
                Some(self.replace(value))
            }
            (Op::Function(Function::Step), &[x]) if jumps => {
                let value = self.positive(x);
                Some(self.replace(value))
            }
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

    /// 1 where `a > b`, else 0.
    fn above(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let difference = self.add(Op::Sub, &[a, b]);
        self.positive(difference)
    }

    /// 1 where `x > 0`, else 0; 1/2 at 0.
    fn positive(&mut self, x: NodeId) -> NodeId {
        let sign = self.add(Op::Function(Function::Sign), &[x]);
        self.affine(sign, 0.5, 0.5)
    }

    /// `factor x + summand`.
    fn affine(&mut self, x: NodeId, factor: f64, summand: f64) -> NodeId {
        let scalar = |value| Tensor::from_vec(vec![value]);
        let value = self.patch.add_constant("factor", scalar(factor));
        let scaled = self.add(Op::MulConst { value }, &[x]);
        let value = self.patch.add_constant("summand", scalar(summand));
        self.add(Op::AddConst { value }, &[scaled])
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

    /// `exp(x - mean of x)` along an axis, and their sum.
    fn exponentials(&mut self, axis: usize, x: NodeId) -> Option<Exponentials> {
        let mut shape = self.shape.to_vec();
        *shape.get_mut(axis)? = 1;
        let over = |kind| Op::Reduce {
            kind,
            axes: vec![axis],
        };
        let mean = self.add_shaped(over(Reduction::Mean), &[x], shape.clone());
        let centred = self.add(Op::Sub, &[x, mean]);
        let values = self.add(Op::Function(Function::Exp), &[centred]);
        let sum = self.add_shaped(over(Reduction::Sum), &[values], shape.clone());
        Some(Exponentials {
            centred,
            values,
            sum,
            sum_shape: shape,
        })
    }

    /// For each result of a reduction over axes its elements, in order.
    fn over_axes(&self, axes: &[usize], x: NodeId) -> Option<Vec<Vec<usize>>> {
        let from = self.module.graph.get(x)?.shape.as_slice();
        let (steps, count) = (strides(from), element_count(from)?);
        let results = element_count(self.shape)?;
        let to = strides(self.shape);
        let mut groups = vec![Vec::with_capacity(count / results.max(1)); results];
        for element in 0..count {
            let place = |(axis, step): (usize, &usize)| match axes.contains(&axis) {
                true => 0,
                false => element / step % from.get(axis).copied().unwrap_or(1) * to[axis],
            };
            let at: usize = steps.iter().enumerate().map(place).sum();
            groups.get_mut(at)?.push(element);
        }
        Some(groups)
    }

    /// For each window of a pooling its elements, in order, without the padding.
    fn over_windows(&self, pool: &MaxPool, x: NodeId) -> Option<Vec<Vec<usize>>> {
        let &[n, c, h, w] = self.module.graph.get(x)?.shape.as_slice() else {
            return None;
        };
        let &[_, _, oh, ow] = self.shape else {
            return None;
        };
        let taps = |axis: usize, size: usize, position: usize| {
            let start = position * pool.strides[axis];
            (0..pool.kernel[axis])
                .filter_map(move |k| {
                    (start + k * pool.dilations[axis]).checked_sub(pool.pads[axis])
                })
                .filter(move |at| *at < size)
        };
        let mut groups = Vec::with_capacity(n * c * oh * ow);
        for plane in 0..n * c {
            for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
                let rows = taps(0, h, oy);
                let elements =
                    rows.flat_map(|y| taps(1, w, ox).map(move |x| (plane * h + y) * w + x));
                groups.push(elements.collect());
            }
        }
        Some(groups)
    }

    /// The elements that meet, one selection for each of them, joined pair by pair. Where a group is smaller than others
    /// its last element meets itself, which changes no maximum.
    fn tournament(mut self, x: NodeId, groups: Vec<Vec<usize>>, join: &Op) -> Option<Patch> {
        let most = groups.iter().map(Vec::len).max()?;
        if !(1..=MAX_FACTORS).contains(&most) {
            return None;
        }
        let mut values = Vec::with_capacity(most);
        for factor in 0..most {
            let pick = |g: &Vec<usize>| g.get(factor).or(g.last()).map(|i| *i as f64);
            let index: Option<Vec<f64>> = groups.iter().map(pick).collect();
            let index = Tensor::new(self.shape.to_vec(), index?)?;
            let index = self.patch.add_constant("factor", index);
            values.push(self.add(Op::Take { index }, &[x]));
        }
        while values.len() > 1 {
            let pairs: Vec<Vec<NodeId>> = values.chunks(2).map(<[_]>::to_vec).collect();
            values = pairs
                .into_iter()
                .map(|pair| match pair[..] {
                    [a, b] => self.add(join.clone(), &[a, b]),
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
