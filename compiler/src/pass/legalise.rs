//! legalise: refuses what has no encrypted form under CKKS, all of it at once; it changes nothing.
//!
//! Polynomials and linear maps have one, and functions that polynomials approximate.

use super::split_tail::must_begin;
use super::{PassError, TensorPass};
use crate::report::{Row, draw};
use cipherloom_ir::tensor::{Function, Module, Op, Patch, Reduction};
use cipherloom_ir::{NodeId, Origin};
use std::fmt;

/// The pass; see the module's text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Legalise {
    /// Whether signs are approximated, as [`super::Decompose::jumps`] says.
    pub jumps: bool,
}

/// An operation without an encrypted form.
#[derive(Clone, Debug, PartialEq)]
pub struct IllegalNode {
    /// The operation.
    pub node: NodeId,
    /// Where it came from.
    pub origin: Origin,
    /// Its keyword.
    pub op: &'static str,
    /// The shapes of its operands.
    pub inputs: Vec<Vec<usize>>,
    /// Its shape.
    pub output: Vec<usize>,
    /// Why it has no encrypted form.
    pub reason: String,
    /// What to do about it.
    pub help: String,
}

/// All operations without an encrypted form.
#[derive(Clone, Debug, PartialEq)]
pub struct IllegalNodes {
    /// What the module was read from.
    pub source: String,
    /// The number of operations of the module, inputs not counted.
    pub operations: usize,
    /// The operations, by id.
    pub nodes: Vec<IllegalNode>,
}

impl TensorPass for Legalise {
    fn name(&self) -> &'static str {
        "legalise"
    }

    fn doc(&self) -> &'static str {
        "refuse operations without an encrypted form, all at once"
    }

    fn run(&mut self, module: &Module) -> Result<Option<Patch>, PassError> {
        let refusal = if self.jumps {
            refusal_but_signs
        } else {
            refusal_of
        };
        match refused(module, refusal) {
            None => Ok(None),
            Some(found) => Err(PassError::Illegal(found)),
        }
    }
}

fn refusal_but_signs(op: &Op, operand: &[usize], last: bool) -> Option<(String, &'static str)> {
    match op {
        Op::Function(Function::Sign) => None,
        op => refusal_of(op, operand, last),
    }
}

/// Why an operation has no encrypted form, and what to do about it; `None` where it has one. `last` where nothing but
/// an output reads it.
fn refusal_of(op: &Op, operand: &[usize], last: bool) -> Option<(String, &'static str)> {
    const AFTER: &str = "stop before it with `--output NAME`, and do the rest after decryption";
    const TABLES: &str = "compile it with `--backend tfhe`, or stop before it with `--output NAME`, and do the rest after decryption";
    const COMPARISONS: &str = "compile it with `--backend tfhe`, approximate it with `--approx compare`, or stop before it with `--output NAME`, and do the rest after decryption";
    const AVERAGES: &str = "retrain with averages (AveragePool, ReduceMean) instead, or approximate it with `--approx maxpool`";
    let (reason, help) = match op {
        Op::Function(function) if function.is_step() => (
            format!(
                "{} jumps, and no polynomial comes near a jump",
                function.formula()
            ),
            match function {
                Function::Sign | Function::Step => COMPARISONS,
                _ => TABLES,
            },
        ),
        Op::Softmax { .. } | Op::LogSoftmax { .. } => (
            "a softmax divides by encrypted values, which no polynomial does".into(),
            AFTER,
        ),
        Op::Div => (
            "it divides by an encrypted value, which no polynomial does".into(),
            AFTER,
        ),
        Op::MaxPool(pool) => (maximum(pool.kernel.iter().product()), AVERAGES),
        Op::Max | Op::Min => (maximum(2), AVERAGES),
        Op::Reduce {
            kind: Reduction::Max | Reduction::Min,
            axes,
        } => {
            let size = |axis: &usize| operand.get(*axis).copied().unwrap_or(1);
            (maximum(axes.iter().map(size).product()), AVERAGES)
        }
        Op::Reduce {
            kind: Reduction::Prod,
            ..
        } => (
            "a product over an axis takes a level for each factor's bit, and its range is unknown"
                .into(),
            "write it as products of two values",
        ),
        Op::Compare(_) | Op::Where => (
            "it compares or selects by encrypted values, which this backend cannot do".into(),
            COMPARISONS,
        ),
        Op::ArgMax { .. } | Op::TopK { .. } | Op::Lookup { .. } => {
            ("positions would depend on encrypted values".into(), TABLES)
        }
        // Replaced by polynomials later.
        Op::Function(_)
        | Op::Input { .. }
        | Op::Conv(_)
        | Op::Gemm { .. }
        | Op::ConstMatMul { .. }
        | Op::MatMul
        | Op::Affine { .. }
        | Op::AveragePool(_)
        | Op::Pad { .. }
        | Op::Reshape
        | Op::Transpose { .. }
        | Op::Add
        | Op::Sub
        | Op::Mul
        | Op::AddConst { .. }
        | Op::MulConst { .. }
        | Op::Power { .. }
        | Op::Polynomial { .. }
        | Op::Approximation { .. }
        | Op::Concat { .. }
        | Op::Take { .. }
        | Op::Reduce {
            kind: Reduction::Sum | Reduction::Mean,
            ..
        } => return None,
    };
    let help = if last {
        "it comes last: compile without `--keep-tail`, and the client computes it after decryption"
    } else {
        help
    };
    Some((reason, help))
}

/// Why a maximum or minimum of so many values is refused, and what a polynomial one takes: for each halving one of degree
/// 30 for |x|, which errs by 0.28 / 30 (Bernstein 1914) and of which half counts.
fn maximum(values: usize) -> String {
    const DEPTH: u32 = 5;
    let levels = DEPTH * values.max(2).next_power_of_two().ilog2();
    format!(
        "a maximum or minimum needs comparisons, which this backend has not; of {values} values it would take {levels} levels by \
         polynomials of degree 30, with an error of 0.5 % of the largest difference at each of them"
    )
}

/// Why an operation has no encrypted form, and what to do about it; told its operand's shape and whether
/// nothing but an output reads it.
pub(crate) type Refusal = fn(&Op, &[usize], bool) -> Option<(String, &'static str)>;

/// All operations of a module that a backend refuses.
pub(crate) fn refused(module: &Module, refusal: Refusal) -> Option<IllegalNodes> {
    let ids = module.graph.ids().into_iter();
    let nodes: Vec<IllegalNode> = ids.filter_map(|id| illegal(module, id, refusal)).collect();
    if nodes.is_empty() {
        return None;
    }
    Some(IllegalNodes {
        source: module.source.clone(),
        operations: module.graph.len() - module.inputs.len().min(module.graph.len()),
        nodes,
    })
}

fn illegal(module: &Module, id: NodeId, refusal: Refusal) -> Option<IllegalNode> {
    let node = module.graph.get(id)?;
    let last = module.graph.users(id).is_empty() && must_begin(&node.op);
    let below = module.graph.operands(id);
    let operand = below.first().and_then(|o| module.graph.get(*o));
    let operand = operand.map_or(&[][..], |o| &o.shape);
    let (reason, help) = refusal(&node.op, operand, last)?;
    Some(IllegalNode {
        node: id,
        origin: node.origin.clone(),
        op: node.op.name(),
        inputs: below
            .iter()
            .filter_map(|o| Some(module.graph.get(*o)?.shape.clone()))
            .collect(),
        output: node.shape.clone(),
        reason,
        help: help.to_owned(),
    })
}

/// Drawn without the leading `error: `.
impl fmt::Display for IllegalNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |n: &IllegalNode| {
            let (place, op, name) = match &n.origin {
                Origin::Onnx { index, name, op } => {
                    (format!("node {index}"), op.clone(), name.clone())
                }
                other => (n.node.to_string(), n.op.to_owned(), other.to_string()),
            };
            let shapes: Vec<String> = n.inputs.iter().map(|s| format!("{s:?}")).collect();
            let signature = format!("{} -> {:?}", shapes.join(", "), n.output);
            Row {
                place,
                op,
                name,
                signature,
                reason: n.reason.clone(),
                help: Some(n.help.clone()),
            }
        };
        let verb = if self.nodes.len() == 1 { "has" } else { "have" };
        let headline = format!(
            "{} of {} operations {verb} no encrypted form",
            self.nodes.len(),
            self.operations
        );
        draw(
            f,
            &headline,
            &self.source,
            &self.nodes.iter().map(row).collect::<Vec<_>>(),
        )
    }
}
