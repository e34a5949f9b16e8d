//! The text form of the `circuit` stage.
//!
//! The columns show level, log2 of the scale, log2 of the noise's standard deviation, log2 of the root of the mean square
//! error of approximations, layout and range for people.
//! What reads back exactly stands below: the lines `exact`, the table of scales, layouts, matrices and vectors.
//! Matrices of more than 64 entries and vectors of more than 64 values are named by their hash.

use super::read::{read_matrix, read_vector};
use super::{Circuit, CircuitNode, CircuitOp, Matrix, Vector};
use crate::graph::{Dag, NodeId};
use crate::layout::Layout;
use crate::tensor::text::{spell_numbers, spell_tensor};
use crate::text::{self, INLINE, ParseError, Scales};
use std::fmt::Write;
use std::sync::Arc;

/// The text of a circuit.
pub fn print(circuit: &Circuit) -> String {
    let mut scales = Scales::default();
    let (mut rows, mut exact) = (String::new(), String::new());
    for id in circuit
        .graph
        .topological()
        .unwrap_or_else(|_| circuit.graph.ids())
    {
        let Some(node) = circuit.graph.get(id) else {
            continue;
        };
        let (range, _) = text::short_range(node.range);
        let (log_scale, noise) = (node.scale.log2(), node.noise_bits());
        let left = format!(
            "  {:>4} {log_scale:>7.2} {noise:>7.1} {:>7}  {:<6} {range:<22}",
            node.level,
            text::approximation(node.approximation),
            node.layout.to_string()
        );
        let op = format!(
            "{id} = {}",
            spell_op(circuit, &node.op, &circuit.graph.operands(id), &mut scales)
        );
        rows.push_str(&text::row(&left, &op, &text::origin(&node.origin)));
        exact.push_str(&spell_exact(id, node, &mut scales));
    }
    let mut out = format!(
        "module {} · from {} · stage circuit\n",
        text::quote(&circuit.name),
        text::quote(&circuit.source)
    );
    out.push_str(&text::print_params(&circuit.params));
    out.push_str(&summary(circuit));
    out.push_str(&format!(
        "  {:>4} {:>7} {:>7} {:>7}  {:<6} {:<22} | op\n",
        "lvl", "scale", "noise", "approx", "layout", "range"
    ));
    out.push_str(&rows);
    for (word, ports) in [("input", &circuit.inputs), ("output", &circuit.outputs)] {
        for p in ports {
            let batched = if p.batched { " · batched" } else { "" };
            let clear = if p.clear { " · clear" } else { "" };
            let (name, shape, dtype) =
                (text::quote(&p.name), text::shape(&p.shape), p.dtype.name());
            let _ = writeln!(
                out,
                "{word} {name} = {} · {shape} · {dtype} · range {}{batched}{clear}",
                p.node,
                text::range(p.range)
            );
        }
    }
    for (i, layout) in circuit.layouts.iter().enumerate() {
        let _ = writeln!(out, "layout #{i} {}", spell_layout(layout));
    }
    for m in &circuit.matrices {
        out.push_str(&spell_matrix(m));
    }
    for v in &circuit.vectors {
        let _ = writeln!(
            out,
            "vector {} {}",
            text::name(&v.name),
            spell_tensor(&v.tensor)
        );
    }
    out + &scales.table() + &exact
}

/// A line of counts, as a comment.
fn summary(circuit: &Circuit) -> String {
    let ids = circuit.graph.ids();
    let count = |of: fn(&CircuitOp) -> usize| -> usize {
        let nodes = ids.iter().filter_map(|id| circuit.graph.get(*id));
        nodes.map(|n| of(&n.op)).sum()
    };
    let multiplications = |op: &CircuitOp| match op {
        CircuitOp::Mul | CircuitOp::Square => 1,
        CircuitOp::Combine { products, .. } => *products,
        _ => 0,
    };
    let levels = || {
        ids.iter()
            .filter_map(|id| circuit.graph.get(*id))
            .map(|n| n.level)
    };
    let depth = levels().max().unwrap_or(0) - levels().min().unwrap_or(0);
    format!(
        "; depth {depth} of {} · ct*ct {} · matvec {} · rescale {}\n",
        circuit.params.max_level(),
        count(multiplications),
        count(|op| usize::from(matches!(op, CircuitOp::MatVec { .. }))),
        count(|op| usize::from(matches!(op, CircuitOp::Rescale))),
    )
}

fn spell_exact(id: NodeId, node: &CircuitNode, scales: &mut Scales) -> String {
    format!(
        "exact {id} level {} scale {} layout {} range {} mean_square {} noise {}{}\n",
        node.level,
        scales.spell(&node.scale),
        node.layout,
        text::range(node.range),
        text::number(node.mean_square),
        text::number(node.noise),
        text::exact_approximation(node.approximation)
    )
}

fn spell_op(circuit: &Circuit, op: &CircuitOp, operands: &[NodeId], scales: &mut Scales) -> String {
    let mut parts: Vec<String> = operands.iter().map(ToString::to_string).collect();
    let vector = |id: &super::VectorId| match circuit.vectors.get(id.0 as usize) {
        Some(v) => text::name(&v.name),
        // What does not exist has no name that reads back.
        None => format!("@?{}", id.0),
    };
    let mut attributes = String::new();
    match op {
        CircuitOp::Input { name } => parts.insert(0, text::quote(name)),
        CircuitOp::MatVec {
            matrix,
            plain_scale,
            shape,
        } => {
            parts.push(match circuit.matrices.get(matrix.0 as usize) {
                Some(m) => text::name(&m.name),
                None => format!("@?{}", matrix.0),
            });
            let _ = write!(
                attributes,
                " scale {} block {} baby {} diagonals {}",
                scales.spell(plain_scale),
                shape.block_height,
                shape.baby_step,
                shape.diagonals
            );
        }
        CircuitOp::AddVector { vector: id } => parts.push(vector(id)),
        CircuitOp::MulVector {
            vector: id,
            plain_scale,
        } => {
            parts.push(vector(id));
            let _ = write!(attributes, " scale {}", scales.spell(plain_scale));
        }
        CircuitOp::MulScalar { value, plain_scale } => {
            let _ = write!(
                attributes,
                " value {} scale {}",
                text::number(*value),
                scales.spell(plain_scale)
            );
        }
        CircuitOp::Gain { factor } => {
            let _ = write!(attributes, " value {}", text::number(*factor));
        }
        CircuitOp::View { elements } => {
            let _ = write!(attributes, " elements {}", text::positions(elements));
        }
        CircuitOp::Combine {
            products,
            gain,
            factors,
            constant,
        } => {
            let terms = parts.split_off(products.saturating_mul(2).min(parts.len()));
            let _ = write!(attributes, " gain {gain}");
            for (operand, (value, plain_scale)) in terms.iter().zip(factors) {
                let term = text::term(operand, *value, &scales.spell(plain_scale));
                let _ = write!(attributes, " {term}");
            }
            let _ = write!(attributes, " constant {}", text::number(*constant));
        }
        _ => {}
    }
    let parts = parts.join(", ");
    let blank = if parts.is_empty() { "" } else { " " };
    format!("{}{blank}{parts}{attributes}", op.name())
}

/// Shape, period, number of ciphertexts and positions.
pub(crate) fn spell_layout(layout: &Layout) -> String {
    format!(
        "{} period {} ciphertexts {}{} at {}",
        text::shape(&layout.shape),
        layout.period,
        layout.ciphertexts,
        spell_samples(layout.samples),
        text::positions(&layout.positions)
    )
}

/// How many samples lie side by side, where there are several.
pub(crate) fn spell_samples(samples: usize) -> String {
    if samples == 1 {
        String::new()
    } else {
        format!(" samples {samples}")
    }
}

/// The hash by which a large matrix is named.
pub(super) fn hash_matrix(m: &Matrix) -> String {
    let columns: Vec<usize> = m.columns.iter().map(|c| *c as usize).collect();
    text::hash_values(&[&[m.rows, m.cols], &m.row_starts, &columns], &m.values)
}

fn spell_matrix(m: &Matrix) -> String {
    let head = format!("matrix {} [{},{}]", text::name(&m.name), m.rows, m.cols);
    if m.values.len() > INLINE || m.row_starts.len() > INLINE || m.columns.len() > INLINE {
        return format!(
            "{head} blake3 {} ; {} entries\n",
            text::quote(&hash_matrix(m)),
            m.entries()
        );
    }
    let columns: Vec<usize> = m.columns.iter().map(|c| *c as usize).collect();
    let (starts, columns) = (text::shape(&m.row_starts), text::shape(&columns));
    format!(
        "{head} starts {starts} columns {columns} = {}\n",
        spell_numbers(&m.values)
    )
}

/// Reads the text of a circuit. Large matrices and vectors are taken from the pools, by name and hash.
///
/// # Errors
/// The first fault, with line and column. What reads well may still be faulty: see [`super::verify`].
pub fn parse(
    text: &str,
    matrices: &[Arc<Matrix>],
    vectors: &[Vector],
) -> Result<Circuit, ParseError> {
    let lines = text::lines(text)?;
    let Some((head, rest)) = lines.split_first() else {
        return Err(ParseError {
            line: 1,
            column: 1,
            message: "the text is empty".into(),
        });
    };
    let (name, source) = crate::tensor::read::read_head(head, "circuit")?;
    let mut circuit = Circuit {
        name,
        source,
        params: text::no_params(),
        graph: Dag::new(),
        layouts: vec![],
        matrices: vec![],
        vectors: vec![],
        inputs: vec![],
        outputs: vec![],
    };
    for line in rest {
        read_matrix(line, matrices, &mut circuit)?;
        read_vector(line, vectors, &mut circuit)?;
    }
    super::read::read_lines(head, rest, &mut circuit)?;
    Ok(circuit)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
