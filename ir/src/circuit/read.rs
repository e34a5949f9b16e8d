//! The lines of a circuit's text.

use super::text::hash_matrix;
use super::{
    Circuit, CircuitNode, CircuitOp, LayoutId, Matrix, MatrixId, Port, TransformShape, Vector,
    VectorId,
};
use crate::graph::{Dag, NodeId};
use crate::layout::Layout;
use crate::origin::Origin;
use crate::scale::Scale;
use crate::tensor::read::{read_dtype, read_tensor};
use crate::text::{Args, Cursor, Line, MAX_POSITIONS, ParseError, ScaleTable, read_params};
use crate::value::Range;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads a line `matrix`, if it is one.
pub(super) fn read_matrix(
    line: &Line<'_>,
    pool: &[Arc<Matrix>],
    circuit: &mut Circuit,
) -> Result<(), ParseError> {
    let mut cursor = Cursor::new(line);
    if line.columns.is_some() || !cursor.accept("matrix") {
        return Ok(());
    }
    let name = cursor.name()?;
    let [rows, cols] = cursor.list::<usize>()?[..] else {
        return Err(cursor.error("a matrix has two sizes"));
    };
    let matrix = if cursor.accept("blake3") {
        let hash = cursor.text()?;
        let named = pool.iter().find(|m| m.name == name);
        let found = named.ok_or_else(|| {
            cursor.error(format!("@{name} is not spelled out, and not in the pool"))
        })?;
        if (found.rows, found.cols) != (rows, cols) || hash_matrix(found) != hash {
            return Err(cursor.error(format!(
                "the pool's @{name} has another shape or other entries"
            )));
        }
        Arc::clone(found)
    } else {
        cursor.expect("starts")?;
        let row_starts = cursor.list()?;
        cursor.expect("columns")?;
        let columns = cursor.list()?;
        cursor.equals()?;
        Arc::new(Matrix {
            name,
            rows,
            cols,
            row_starts,
            columns,
            values: cursor.list()?,
        })
    };
    circuit.matrices.push(matrix);
    cursor.end()
}

/// Reads a line `vector`, if it is one.
pub(super) fn read_vector(
    line: &Line<'_>,
    pool: &[Vector],
    circuit: &mut Circuit,
) -> Result<(), ParseError> {
    let mut cursor = Cursor::new(line);
    if line.columns.is_some() || !cursor.accept("vector") {
        return Ok(());
    }
    let name = cursor.name()?;
    let find = |name: &str| {
        pool.iter()
            .find(|v| v.name == name)
            .map(|v| Arc::clone(&v.tensor))
    };
    let tensor = read_tensor(&mut cursor, &name, find)?;
    circuit.vectors.push(Vector { name, tensor });
    cursor.end()
}

/// Reads a layout as [`super::text::spell_layout`] spells it; `budget` bounds the positions.
pub(crate) fn read_layout(
    cursor: &mut Cursor<'_, '_>,
    budget: &mut usize,
) -> Result<Layout, ParseError> {
    let shape = cursor.list()?;
    cursor.expect("period")?;
    let period = cursor.number()?;
    cursor.expect("ciphertexts")?;
    let ciphertexts = cursor.number()?;
    let samples = if cursor.accept("samples") {
        cursor.number()?
    } else {
        1
    };
    cursor.expect("at")?;
    Ok(Layout {
        shape,
        period,
        ciphertexts,
        samples,
        positions: cursor.positions(budget)?,
    })
}

/// What the line `exact` says of a node.
struct Exact {
    level: usize,
    scale: Scale,
    layout: LayoutId,
    range: Range,
    mean_square: f64,
    noise: f64,
    approximation: Option<f64>,
}

/// A row: the operation, its operands, and its origin.
type Row = (NodeId, CircuitOp, Vec<NodeId>, Origin);

/// Reads all other lines.
pub(super) fn read_lines(
    head: &Line<'_>,
    lines: &[Line<'_>],
    circuit: &mut Circuit,
) -> Result<(), ParseError> {
    let scales = ScaleTable::read(lines)?;
    let mut budget = MAX_POSITIONS;
    let mut exact: BTreeMap<NodeId, Exact> = BTreeMap::new();
    let mut rows: Vec<Row> = Vec::new();
    let matrices = circuit
        .matrices
        .iter()
        .enumerate()
        .map(|(i, m)| (m.name.clone(), MatrixId(i as u32)));
    let vectors = circuit
        .vectors
        .iter()
        .enumerate()
        .map(|(i, v)| (v.name.clone(), VectorId(i as u32)));
    let names = Names {
        matrices: matrices.collect(),
        vectors: vectors.collect(),
        scales: &scales,
    };
    for line in lines {
        let mut cursor = Cursor::new(line);
        if line.columns.is_some() {
            rows.push(read_row(line, cursor, &names, &mut budget)?);
            continue;
        }
        if read_params(line, &mut circuit.params)? {
            continue;
        }
        match cursor.word()? {
            "input" => circuit.inputs.push(read_port(&mut cursor)?),
            "output" => circuit.outputs.push(read_port(&mut cursor)?),
            "layout" => {
                if cursor.layout()? as usize != circuit.layouts.len() {
                    return Err(cursor.error("the layouts are not numbered in order"));
                }
                circuit.layouts.push(read_layout(&mut cursor, &mut budget)?);
            }
            "exact" => {
                let id = cursor.node()?;
                if exact
                    .insert(id, read_exact(&mut cursor, &scales)?)
                    .is_some()
                {
                    return Err(cursor.error(format!("{id} has two such lines")));
                }
            }
            // These were read before, since rows name them.
            "matrix" | "vector" | "scale" => continue,
            word => return Err(cursor.error(format!("{word:?} starts no line of this stage"))),
        }
        cursor.end()?;
    }
    let mut nodes = Vec::with_capacity(rows.len());
    for (id, op, operands, origin) in rows {
        let Exact {
            level,
            scale,
            layout,
            range,
            mean_square,
            noise,
            approximation,
        } = exact
            .remove(&id)
            .ok_or_else(|| head.error(format!("{id} has no line `exact`")))?;
        nodes.push((
            id,
            CircuitNode {
                op,
                level,
                scale,
                layout,
                range,
                mean_square,
                noise,
                approximation,
                origin,
            },
            operands,
        ));
    }
    circuit.graph = Dag::from_numbered(nodes).ok_or_else(|| {
        head.error("a value is defined twice, used but not defined, or numbered too high")
    })?;
    Ok(())
}

fn read_port(cursor: &mut Cursor<'_, '_>) -> Result<Port, ParseError> {
    let name = cursor.text()?;
    cursor.equals()?;
    let (node, shape, dtype) = (cursor.node()?, cursor.list()?, read_dtype(cursor)?);
    cursor.expect("range")?;
    let range = cursor.range()?;
    Ok(Port {
        name,
        node,
        shape,
        dtype,
        batched: cursor.accept("batched"),
        clear: cursor.accept("clear"),
        range,
    })
}

fn read_exact(cursor: &mut Cursor<'_, '_>, scales: &ScaleTable) -> Result<Exact, ParseError> {
    cursor.expect("level")?;
    let level = cursor.number()?;
    cursor.expect("scale")?;
    let scale = scales
        .get(cursor.any()?)
        .ok_or_else(|| cursor.error("this is no scale of the table"))?;
    cursor.expect("layout")?;
    let layout = LayoutId(cursor.layout()?);
    cursor.expect("range")?;
    let range = cursor.range()?;
    cursor.expect("mean_square")?;
    let mean_square = cursor.number()?;
    cursor.expect("noise")?;
    Ok(Exact {
        level,
        scale,
        layout,
        range,
        mean_square,
        noise: cursor.number()?,
        approximation: cursor.approximation()?,
    })
}

struct Names<'s> {
    matrices: BTreeMap<String, MatrixId>,
    vectors: BTreeMap<String, VectorId>,
    scales: &'s ScaleTable,
}

fn read_row(
    line: &Line<'_>,
    mut cursor: Cursor<'_, '_>,
    names: &Names<'_>,
    budget: &mut usize,
) -> Result<Row, ParseError> {
    let id = cursor.node()?;
    cursor.equals()?;
    let word = cursor.word()?;
    if word == "combine" {
        let (op, operands) = read_combine(&mut cursor, names.scales)?;
        return Ok((id, op, operands, line.origin()?));
    }
    if word == "view" {
        let operand = cursor.node()?;
        cursor.expect("elements")?;
        let elements = cursor.positions(budget)?;
        cursor.end()?;
        return Ok((
            id,
            CircuitOp::View { elements },
            vec![operand],
            line.origin()?,
        ));
    }
    let mut args = Args::read(cursor)?;
    let operands = args.nodes.clone();
    let name = args.names.first().cloned().unwrap_or_default();
    let vector = || {
        names
            .vectors
            .get(&name)
            .copied()
            .ok_or_else(|| line.error(format!("there is no vector @{name}")))
    };
    let (mut named, mut texts) = (0, 0);
    let op = match word {
        "input" => {
            texts = 1;
            CircuitOp::Input {
                name: args.texts.first().cloned().unwrap_or_default(),
            }
        }
        "matvec" => {
            named = 1;
            let matrix = names.matrices.get(&name).copied();
            CircuitOp::MatVec {
                matrix: matrix.ok_or_else(|| line.error(format!("there is no matrix @{name}")))?,
                plain_scale: names.scales.attribute(line, args.value("scale"))?,
                shape: TransformShape {
                    block_height: args.number("block", None)?,
                    baby_step: args.number("baby", None)?,
                    diagonals: args.number("diagonals", None)?,
                },
            }
        }
        "rescale" => CircuitOp::Rescale,
        "add_vector" => {
            named = 1;
            CircuitOp::AddVector { vector: vector()? }
        }
        "mul_vector" => {
            named = 1;
            let plain_scale = names.scales.attribute(line, args.value("scale"))?;
            CircuitOp::MulVector {
                vector: vector()?,
                plain_scale,
            }
        }
        "mul_scalar" => {
            let plain_scale = names.scales.attribute(line, args.value("scale"))?;
            CircuitOp::MulScalar {
                value: args.number("value", None)?,
                plain_scale,
            }
        }
        "add" => CircuitOp::Add,
        "sub" => CircuitOp::Sub,
        "mul" => CircuitOp::Mul,
        "square" => CircuitOp::Square,
        "drop_level" => CircuitOp::DropLevel,
        "gain" => CircuitOp::Gain {
            factor: args.number("value", None)?,
        },
        "fold" => CircuitOp::Fold,
        _ => return Err(line.error(format!("{word:?} is no operation of this stage"))),
    };
    args.end(named, texts)?;
    Ok((id, op, operands, line.origin()?))
}

/// `%1, %2 gain 2 plus %3 times 0.5 at $0 constant 1.0`.
fn read_combine(
    cursor: &mut Cursor<'_, '_>,
    scales: &ScaleTable,
) -> Result<(CircuitOp, Vec<NodeId>), ParseError> {
    let mut operands = Vec::new();
    while !cursor.accept("gain") {
        operands.push(cursor.node()?);
    }
    if operands.len() % 2 != 0 {
        return Err(cursor.error("the factors of products come in pairs"));
    }
    let (products, gain) = (operands.len() / 2, cursor.number()?);
    let mut factors = Vec::new();
    while cursor.accept("plus") {
        operands.push(cursor.node()?);
        factors.push(scales.factor(cursor)?);
    }
    cursor.expect("constant")?;
    let constant = cursor.number()?;
    cursor.end()?;
    let op = CircuitOp::Combine {
        products,
        gain,
        factors,
        constant,
    };
    Ok((op, operands))
}
