//! Interval arithmetic over a module: what is certain of every value, given the ranges of the inputs.
//!
//! A value is a centre and a radius per element. A linear map with matrix A takes the centre through itself and
//! the radius through |A| (entry by entry), which is exact for a box of inputs. Products, powers and polynomials
//! are bounded element by element, as if their operands were independent; so are functions, by their monotone pieces.

mod nonlinear;

use super::find_ranges::RangeError;
use crate::broadcast::map;
use cipherloom_ir::tensor::{EvalError, Input, Module, Op, Output, Pool, Reduction, eval};
use cipherloom_ir::value::DType;
use cipherloom_ir::{NodeId, Origin, Range, Tensor, Tensors};
use nonlinear::nonlinear;
use std::collections::BTreeMap;

/// Centre and radius of each element.
#[derive(Clone, Debug)]
pub(super) struct Interval {
    pub(super) centre: Tensor,
    pub(super) radius: Tensor,
}

impl Interval {
    pub(super) fn lo(&self) -> Tensor {
        join(&self.centre, &self.radius, |c, r| c - r)
    }

    pub(super) fn hi(&self) -> Tensor {
        join(&self.centre, &self.radius, |c, r| c + r)
    }

    pub(super) fn between(lo: &Tensor, hi: &Tensor) -> Self {
        Self {
            centre: join(lo, hi, |l, h| 0.5 * (l + h)),
            radius: join(lo, hi, |l, h| 0.5 * (h - l)),
        }
    }

    /// The smallest range that holds all elements.
    pub(super) fn range(&self) -> Option<Range> {
        Range::of(
            self.lo()
                .into_data()
                .into_iter()
                .chain(self.hi().into_data()),
        )
    }
}

/// `f` of two tensors of one shape.
fn join(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Tensor {
    let mut result = a.clone();
    result
        .data_mut()
        .iter_mut()
        .zip(b.data())
        .for_each(|(x, y)| *x = f(*x, *y));
    result
}

/// The interval of every node.
pub(super) fn propagate(
    module: &Module,
    declared: &BTreeMap<String, Range>,
) -> Result<BTreeMap<NodeId, Interval>, RangeError> {
    let order = module
        .graph
        .topological()
        .map_err(|_| RangeError::Eval(EvalError::Graph))?;
    let mut found = BTreeMap::new();
    for id in order {
        let Some(node) = module.graph.get(id) else {
            continue;
        };
        let operands: Vec<Interval> = module
            .graph
            .operands(id)
            .iter()
            .filter_map(|o| found.get(o).cloned())
            .collect();
        let interval = match &node.op {
            Op::Input { name } => {
                let range = declared
                    .get(name)
                    .ok_or_else(|| RangeError::MissingInput(name.clone()))?;
                let filled = |value| {
                    Tensor::filled(node.shape.clone(), value)
                        .ok_or(RangeError::Eval(EvalError::Graph))
                };
                Interval::between(&filled(range.lo)?, &filled(range.hi)?)
            }
            // The two factors of a square are not independent.
            Op::Mul if is_square(module, id) => {
                through(module, &Op::Power { exponent: 2 }, &node.shape, &operands)?
            }
            op => through(module, op, &node.shape, &operands)?,
        };
        found.insert(id, interval);
    }
    Ok(found)
}

fn is_square(module: &Module, id: NodeId) -> bool {
    matches!(module.graph.operands(id)[..], [a, b] if a == b)
}

fn through(
    module: &Module,
    op: &Op,
    shape: &[usize],
    operands: &[Interval],
) -> Result<Interval, RangeError> {
    let graph = || RangeError::Eval(EvalError::Graph);
    let x = operands.first().ok_or_else(graph)?;
    let same = |f: &dyn Fn(f64, f64) -> (f64, f64)| {
        let (mut lo, mut hi) = (x.lo(), x.hi());
        for (l, h) in lo.data_mut().iter_mut().zip(hi.data_mut()) {
            (*l, *h) = f(*l, *h);
        }
        Interval::between(&lo, &hi)
    };
    Ok(match op {
        Op::Power { exponent } => same(&|l, h| power(l, h, *exponent)),
        Op::Polynomial { coefficients } => same(&|l, h| polynomial(l, h, coefficients)),
        Op::Function(_)
        | Op::Approximation { .. }
        | Op::Softmax { .. }
        | Op::LogSoftmax { .. }
        | Op::Concat { .. }
        | Op::Reduce {
            kind: Reduction::Max | Reduction::Min | Reduction::Prod,
            ..
        }
        | Op::Div
        | Op::Max
        | Op::Min
        | Op::Compare(_)
        | Op::Where
        | Op::MaxPool(_)
        | Op::ArgMax { .. }
        | Op::TopK { .. }
        | Op::Lookup { .. } => nonlinear(module, op, shape, operands)?,
        Op::Add | Op::Sub => {
            let y = operands.get(1).ok_or_else(graph)?;
            Interval {
                centre: apply(module, op, shape, &[x.centre.clone(), y.centre.clone()])?,
                radius: apply(
                    module,
                    &Op::Add,
                    shape,
                    &[x.radius.clone(), y.radius.clone()],
                )?,
            }
        }
        // |x y - cx cy| <= |cx| ry + rx |cy| + rx ry.
        Op::Mul | Op::MatMul => {
            let y = operands.get(1).ok_or_else(graph)?;
            let (ax, ay) = (map(&x.centre, f64::abs), map(&y.centre, f64::abs));
            let term = |a: &Tensor, b: &Tensor| apply(module, op, shape, &[a.clone(), b.clone()]);
            let cross = join(&term(&ax, &y.radius)?, &term(&x.radius, &ay)?, |p, q| p + q);
            let radius = join(&cross, &term(&x.radius, &y.radius)?, |p, q| p + q);
            Interval {
                centre: term(&x.centre, &y.centre)?,
                radius,
            }
        }
        linear => {
            let mut module = module.clone();
            let centre = apply(&module, linear, shape, std::slice::from_ref(&x.centre))?;
            let magnitude = magnitude(&mut module, linear);
            let radius = match magnitude {
                Some(op) => apply(&module, &op, shape, std::slice::from_ref(&x.radius))?,
                // A sum with a constant only repeats the radius where it broadcasts.
                None => {
                    let zero = Tensor::filled(shape.to_vec(), 0.0).ok_or_else(graph)?;
                    crate::broadcast::zip(&x.radius, &zero, |r, z| r + z).ok_or_else(graph)?
                }
            };
            Interval { centre, radius }
        }
    })
}

/// The operation with the magnitudes of its factors and without its summand; `None` for a sum with a constant.
fn magnitude(module: &mut Module, op: &Op) -> Option<Op> {
    let mut absolute = |id| {
        let tensor = module
            .tensor(id)
            .map(|t| map(t, f64::abs))
            .unwrap_or_else(|| Tensor::from_vec(vec![]));
        module.add_constant("magnitude", tensor)
    };
    Some(match op {
        Op::AddConst { .. } => return None,
        Op::Conv(conv) => {
            let mut conv = conv.clone();
            conv.weight = absolute(conv.weight);
            conv.bias = None;
            Op::Conv(conv)
        }
        Op::Gemm { weight, .. } => Op::Gemm {
            weight: absolute(*weight),
            bias: None,
        },
        Op::ConstMatMul { weight } => Op::ConstMatMul {
            weight: absolute(*weight),
        },
        Op::MulConst { value } => Op::MulConst {
            value: absolute(*value),
        },
        Op::Affine { scale, shift } => {
            let (scale, zero) = (
                absolute(*scale),
                module.tensor(*shift).map(|t| map(t, |_| 0.0)),
            );
            let zero = zero.unwrap_or_else(|| Tensor::from_vec(vec![]));
            Op::Affine {
                scale,
                shift: module.add_constant("zero", zero),
            }
        }
        Op::Pad { before, after, .. } => Op::Pad {
            before: before.clone(),
            after: after.clone(),
            value: 0.0,
        },
        Op::AveragePool(pool) => Op::AveragePool(Pool { ..pool.clone() }),
        other => other.clone(),
    })
}

/// Evaluates one operation.
fn apply(
    module: &Module,
    op: &Op,
    shape: &[usize],
    operands: &[Tensor],
) -> Result<Tensor, RangeError> {
    let graph = || RangeError::Eval(EvalError::Graph);
    let mut one = Module {
        constants: module.constants.clone(),
        ..Module::default()
    };
    let mut inputs = Tensors::new();
    let mut ids = vec![];
    let add = |one: &mut Module, op: Op, shape: Vec<usize>, operands: &[NodeId]| {
        let origin = Origin::Pass("find-ranges".into());
        one.graph.add(
            cipherloom_ir::tensor::Node {
                op,
                shape,
                range: None,
                origin,
            },
            operands,
        )
    };
    for (i, operand) in operands.iter().enumerate() {
        let name = i.to_string();
        let op = Op::Input { name: name.clone() };
        let node = add(&mut one, op, operand.shape().to_vec(), &[]).ok_or_else(graph)?;
        one.inputs.push(Input {
            name: name.clone(),
            node,
            dtype: DType::F64,
            batched: false,
            clear: false,
        });
        inputs.insert(name, operand.clone());
        ids.push(node);
    }
    let node = add(&mut one, op.clone(), shape.to_vec(), &ids).ok_or_else(graph)?;
    one.outputs.push(Output {
        name: "y".into(),
        node,
        dtype: DType::F64,
        batched: false,
    });
    eval(&one, &inputs)?.remove("y").ok_or_else(graph)
}

fn power(lo: f64, hi: f64, exponent: u32) -> (f64, f64) {
    let at = |x: f64| (0..exponent).fold(1.0, |p, _| p * x);
    let (a, b) = (at(lo), at(hi));
    match exponent % 2 {
        0 if lo <= 0.0 && hi >= 0.0 => (0.0, a.max(b)),
        _ => (a.min(b), a.max(b)),
    }
}

/// Exact for a parabola; else the Taylor form around the centre: `p(c) +- sum |p_k(c)| r^k`.
fn polynomial(lo: f64, hi: f64, coefficients: &[f64]) -> (f64, f64) {
    let at = |x: f64| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    if let [_, b, a] = *coefficients {
        let vertex = -b / (2.0 * a);
        let mut ends = vec![at(lo), at(hi)];
        if lo < vertex && vertex < hi {
            ends.push(at(vertex));
        }
        return ends
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
                (l.min(*v), h.max(*v))
            });
    }
    let (centre, radius) = (0.5 * (lo + hi), 0.5 * (hi - lo));
    // Repeated division by (x - centre) leaves the Taylor coefficients.
    let mut taylor = coefficients.to_vec();
    for low in 0..taylor.len() {
        for i in (low..taylor.len() - 1).rev() {
            taylor[i] += centre * taylor[i + 1];
        }
    }
    let middle = taylor.first().copied().unwrap_or(0.0);
    let spread = taylor
        .iter()
        .skip(1)
        .rev()
        .fold(0.0, |sum, c| (sum + c.abs()) * radius);
    (middle - spread, middle + spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_polynomials_hold_and_parabolas_are_exact() {
        assert_eq!(power(-2.0, 1.0, 2), (0.0, 4.0));
        assert_eq!(power(-2.0, 1.0, 3), (-8.0, 1.0));
        assert_eq!(polynomial(-1.0, 2.0, &[1.0, -2.0, 1.0]), (0.0, 4.0));
        let cubic = [0.3, -1.0, 0.5, 2.0];
        let (lo, hi) = polynomial(-0.7, 1.1, &cubic);
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for i in 0..=1000 {
            let x = -0.7 + 1.8 * f64::from(i) / 1000.0;
            let y = cubic.iter().rev().fold(0.0, |sum, c| sum * x + c);
            (least, most) = (least.min(y), most.max(y));
        }
        assert!(
            lo <= least && most <= hi && hi - lo < 3.0 * (most - least),
            "{lo} {least} {most} {hi}"
        );
    }
}
