//! The clear interpreter: a module's values in `f64`, one sample at a time.
//!
//! Sums have a fixed order and transcendental functions come from `libm`, so results are the same on every machine.

use super::kernels::{self, Plane};
use super::shape::infer_shape;
use super::{ConstId, Module, Node, Op};
use crate::graph::NodeId;
use crate::origin::Origin;
use crate::value::{Tensor, Tensors};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// Why a module cannot be evaluated on the given inputs.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum EvalError {
    /// An input is missing.
    #[error("input {0:?} is missing")]
    MissingInput(String),
    /// An input has another shape than the module's.
    #[error("input {name:?} has shape {found:?}; the model takes {expected:?}")]
    InputShape {
        /// The input.
        name: String,
        /// The shape given.
        found: Vec<usize>,
        /// The shape wanted.
        expected: Vec<usize>,
    },
    /// The module is faulty: it would not pass [`super::verify`].
    #[error("{node} ({origin}): {message}")]
    Faulty {
        /// The guilty node.
        node: NodeId,
        /// Its origin.
        origin: Origin,
        /// What is wrong.
        message: String,
    },
    /// The graph has a cycle, or an output is missing from it.
    #[error("the module's graph has a cycle or lacks an output's node")]
    Graph,
}

/// Evaluates one sample and returns the outputs by name.
///
/// # Errors
/// A missing input, one of another shape, or a module that [`super::verify`] would refuse; never a panic.
pub fn eval(module: &Module, inputs: &Tensors) -> Result<Tensors, EvalError> {
    let values = run(module, inputs, false)?;
    let output = |o: &super::Output| {
        let value = values.get(&o.node).ok_or(EvalError::Graph)?;
        Ok((o.name.clone(), value.as_ref().clone()))
    };
    module.outputs.iter().map(output).collect()
}

/// Evaluates one sample and returns the value of every node.
///
/// # Errors
/// Those of [`eval`].
pub fn eval_all(module: &Module, inputs: &Tensors) -> Result<BTreeMap<NodeId, Tensor>, EvalError> {
    let values = run(module, inputs, true)?;
    Ok(values
        .into_iter()
        .map(|(id, value)| (id, Arc::unwrap_or_clone(value)))
        .collect())
}

/// The value of one node, from the values of its operands; that of an input from `inputs`.
///
/// # Errors
/// Those of [`eval`]; operands are as many as the node has, or it is faulty.
pub fn eval_node(
    module: &Module,
    id: NodeId,
    inputs: &Tensors,
    operands: &[Arc<Tensor>],
) -> Result<Arc<Tensor>, EvalError> {
    let node = module.graph.get(id).ok_or(EvalError::Graph)?;
    value_of(module, inputs, id, node, operands)
}

/// The values of all nodes, or of those that are outputs.
fn run(
    module: &Module,
    inputs: &Tensors,
    keep_all: bool,
) -> Result<BTreeMap<NodeId, Arc<Tensor>>, EvalError> {
    let order = module.graph.topological().map_err(|_| EvalError::Graph)?;
    let mut values: BTreeMap<NodeId, Arc<Tensor>> = BTreeMap::new();
    let mut readers: BTreeMap<NodeId, usize> = BTreeMap::new();
    if !keep_all {
        for id in &order {
            readers.insert(*id, module.graph.users(*id).len());
        }
        for output in &module.outputs {
            *readers.entry(output.node).or_default() += 1;
        }
    }
    for id in order {
        let Some(node) = module.graph.get(id) else {
            continue;
        };
        let ids = module.graph.operands(id);
        let operands: Vec<Arc<Tensor>> = ids
            .iter()
            .map(|o| values.get(o).cloned().ok_or(EvalError::Graph))
            .collect::<Result<_, _>>()?;
        let value = value_of(module, inputs, id, node, &operands)?;
        drop(operands);
        values.insert(id, value);
        if !keep_all {
            let mut once = ids;
            once.sort_unstable();
            once.dedup();
            for operand in once {
                if let Some(left) = readers.get_mut(&operand) {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        values.remove(&operand);
                    }
                }
            }
        }
    }
    Ok(values)
}

fn value_of(
    module: &Module,
    inputs: &Tensors,
    id: NodeId,
    node: &Node,
    operands: &[Arc<Tensor>],
) -> Result<Arc<Tensor>, EvalError> {
    let faulty = |message: String| EvalError::Faulty {
        node: id,
        origin: node.origin.clone(),
        message,
    };
    if let Op::Input { name } = &node.op {
        let value = inputs
            .get(name)
            .ok_or_else(|| EvalError::MissingInput(name.clone()))?;
        if value.shape() != node.shape {
            return Err(EvalError::InputShape {
                name: name.clone(),
                found: value.shape().to_vec(),
                expected: node.shape.clone(),
            });
        }
        return Ok(Arc::new(value.clone()));
    }
    let shapes: Vec<&[usize]> = operands.iter().map(|o| o.shape()).collect();
    let shape = infer_shape(module, &node.op, &shapes, &node.shape).map_err(faulty)?;
    if shape != node.shape {
        return Err(faulty(format!(
            "{} yields {shape:?}, not {:?}",
            node.op.name(),
            node.shape
        )));
    }
    if let Op::Lookup { table } = &node.op {
        check_lookup(module, *table, operands).map_err(faulty)?;
    }
    let data = compute(module, &node.op, operands, &shape)
        .ok_or_else(|| faulty("an operand is missing".into()))?;
    Tensor::new(shape, data)
        .map(Arc::new)
        .ok_or_else(|| faulty("the value does not fill its shape".into()))
}

/// Whether all elements are indices of the table: no shape tells that before.
fn check_lookup(module: &Module, table: ConstId, operands: &[Arc<Tensor>]) -> Result<(), String> {
    let size = module.tensor(table).map_or(0, |t| t.len());
    let is_index = |x: &f64| x.fract() == 0.0 && 0.0 <= *x && *x < size as f64;
    let mut values = operands.iter().flat_map(|o| o.data());
    match values.find(|x| !is_index(x)) {
        Some(x) => Err(format!("{x} is no index of a table of {size} elements")),
        None => Ok(()),
    }
}

/// The elements of a node's value; shapes have been checked. `None` where an operand or constant is missing.
fn compute(
    module: &Module,
    op: &Op,
    operands: &[Arc<Tensor>],
    shape: &[usize],
) -> Option<Vec<f64>> {
    let constant = |id: ConstId| module.tensor(id).map(Arc::as_ref);
    let x = operands.first()?.as_ref();
    let each = |f: &dyn Fn(f64) -> f64| x.data().iter().map(|v| f(*v)).collect();
    let pair =
        |f: &dyn Fn(f64, f64) -> f64| Some(kernels::zip_tensors(x, operands.get(1)?, shape, f));
    Some(match op {
        Op::Input { .. } => return None,
        Op::Conv(conv) => {
            let bias = match conv.bias {
                Some(id) => Some(constant(id)?),
                None => None,
            };
            let plane = |axis: usize| Plane {
                stride: conv.strides[axis],
                dilation: conv.dilations[axis],
                before: conv.pads[axis],
            };
            kernels::conv(
                x,
                constant(conv.weight)?,
                bias,
                conv.group,
                [plane(0), plane(1)],
                shape,
            )
        }
        Op::Gemm { weight, bias } => {
            let product = kernels::gemm(x, constant(*weight)?);
            match bias {
                Some(bias) => {
                    let bias = constant(*bias)?;
                    kernels::zip(
                        (&product, shape),
                        (bias.data(), bias.shape()),
                        shape,
                        |a, b| a + b,
                    )
                }
                None => product,
            }
        }
        Op::ConstMatMul { weight } => kernels::matmul(constant(*weight)?, x),
        Op::MatMul => kernels::matmul(x, operands.get(1)?),
        Op::Affine { scale, shift } => {
            let (scale, shift) = (constant(*scale)?, constant(*shift)?);
            let plane: usize = x.shape().iter().skip(2).product();
            let channels = scale.data().iter().zip(shift.data()).cycle();
            let rows = x.data().chunks(plane.max(1)).zip(channels);
            rows.flat_map(|(row, (a, b))| row.iter().map(move |v| a * v + b))
                .collect()
        }
        Op::AveragePool(pool) => kernels::average_pool(x, pool, shape),
        Op::Pad { before, value, .. } => kernels::pad(x, before, *value, shape),
        Op::Reshape => x.data().to_vec(),
        Op::Transpose { perm } => kernels::transpose(x, perm, shape),
        Op::Add => pair(&|a, b| a + b)?,
        Op::Sub => pair(&|a, b| a - b)?,
        Op::Mul => pair(&|a, b| a * b)?,
        Op::Div => pair(&|a, b| a / b)?,
        Op::Max => pair(&|a, b| if a < b { b } else { a })?,
        Op::Min => pair(&|a, b| if b < a { b } else { a })?,
        Op::Compare(comparison) => pair(&|a, b| f64::from(u8::from(comparison.holds(a, b))))?,
        Op::Where => {
            let condition = kernels::expand(x, shape);
            let (a, b) = (
                kernels::expand(operands.get(1)?, shape),
                kernels::expand(operands.get(2)?, shape),
            );
            let chosen = condition.iter().zip(a.iter().zip(&b));
            chosen
                .map(|(c, (a, b))| if *c != 0.0 { *a } else { *b })
                .collect()
        }
        Op::AddConst { value } => kernels::zip_tensors(x, constant(*value)?, shape, |a, b| a + b),
        Op::MulConst { value } => kernels::zip_tensors(x, constant(*value)?, shape, |a, b| a * b),
        Op::Power { exponent } => each(&|v| power(v, *exponent)),
        Op::Polynomial { coefficients } => {
            each(&|v| coefficients.iter().rev().fold(0.0, |sum, c| sum * v + c))
        }
        Op::Function(function) => each(&|v| function.eval(v)),
        Op::Approximation {
            domain,
            coefficients,
            ..
        } => {
            let (sum, width) = (domain.lo + domain.hi, domain.hi - domain.lo);
            each(&|v| chebyshev(coefficients, (2.0 * v - sum) / width))
        }
        Op::Softmax { axis } => kernels::softmax(x, *axis),
        Op::LogSoftmax { axis } => kernels::log_softmax(x, *axis),
        Op::Concat { axis } => {
            let parts: Vec<&Tensor> = operands.iter().map(Arc::as_ref).collect();
            kernels::concat(&parts, *axis)
        }
        Op::Take { index } => constant(*index)?
            .data()
            .iter()
            .map(|i| if *i < 0.0 { 0.0 } else { x.data()[*i as usize] })
            .collect(),
        Op::Reduce { kind, axes } => kernels::reduce(x, axes, *kind),
        Op::MaxPool(pool) => kernels::max_pool(x, pool, shape),
        Op::ArgMax {
            axis,
            smallest,
            last,
        } => kernels::arg_max(x, *axis, *smallest, *last),
        Op::TopK {
            axis,
            k,
            smallest,
            values,
        } => kernels::top_k(x, *axis, *k, *smallest, *values),
        Op::Lookup { table } => {
            let table = constant(*table)?;
            each(&|v| table.data()[v as usize])
        }
    })
}

/// `sum c_k T_k(t)` by Clenshaw's recurrence.
pub(crate) fn chebyshev(coefficients: &[f64], t: f64) -> f64 {
    let (mut next, mut after) = (0.0, 0.0);
    for c in coefficients.iter().skip(1).rev() {
        (next, after) = (c + 2.0 * t * next - after, next);
    }
    coefficients.first().copied().unwrap_or(0.0) + t * next - after
}

/// `base^exponent` by squaring.
fn power(mut base: f64, mut exponent: u32) -> f64 {
    let mut result = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
#[path = "eval_tests.rs"]
mod tests;
