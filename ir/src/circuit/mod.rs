//! The `circuit` stage: packed ciphertext values with level, scale, noise and layout.
//!
//! A value is one ciphertext or several (see [`Layout`]). A value at level l lives modulo q_0 .. q_l.
//! Scales are exact: [`CircuitOp::Add`] needs operands of equal scale and level.

pub(crate) mod read;
#[cfg(test)]
mod test_circuits;
pub(crate) mod text;
mod verify;
mod verify_combine;

pub use text::{parse, print};
pub(crate) use verify::matrix_faults;
pub use verify::{Fault, verify, verify_structure};

use crate::graph::{Dag, NodeId};
use crate::layout::Layout;
use crate::origin::Origin;
use crate::params::CkksLiteral;
use crate::scale::Scale;
use crate::value::{DType, Range, Tensor};
use std::fmt;
use std::sync::Arc;

/// A layout of a circuit; printed `#0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayoutId(pub u32);

impl fmt::Display for LayoutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A matrix of a circuit; printed `@name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatrixId(pub u32);

/// A constant vector of a circuit; printed `@name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VectorId(pub u32);

/// A sparse matrix over tensor elements (not slots), compressed by rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// The name, unique among matrices and vectors.
    pub name: String,
    /// The number of rows: elements of the result.
    pub rows: usize,
    /// The number of columns: elements of the operand.
    pub cols: usize,
    /// Row `r` has the entries `row_starts[r] .. row_starts[r + 1]`.
    pub row_starts: Vec<usize>,
    /// The column of each entry, ascending within a row.
    pub columns: Vec<u32>,
    /// The value of each entry.
    pub values: Vec<f64>,
}

impl Matrix {
    /// The entries of a row: columns and values.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let span = match (self.row_starts.get(row), self.row_starts.get(row + 1)) {
            (Some(&start), Some(&end)) => start..end,
            _ => 0..0,
        };
        let columns = self.columns.get(span.clone()).unwrap_or_default();
        let values = self.values.get(span).unwrap_or_default();
        columns
            .iter()
            .map(|c| *c as usize)
            .zip(values.iter().copied())
    }

    /// The number of stored entries.
    pub fn entries(&self) -> usize {
        self.values.len()
    }
}

/// How a matrix is applied: diagonals of the slot matrix by baby-step giant-step, then folds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformShape {
    /// Rows of the slot matrix repeat with this period, a power of two: the output period, or more.
    pub block_height: usize,
    /// Diagonal `d` is split as `d = giant + baby` with `baby = d mod baby_step`; a power of two.
    pub baby_step: usize,
    /// The number of non-zero diagonals over all blocks.
    pub diagonals: usize,
}

/// An operation of the circuit.
#[derive(Clone, Debug, PartialEq)]
pub enum CircuitOp {
    /// An encrypted input.
    Input {
        /// The input's name.
        name: String,
    },
    /// A matrix times the operand; the scale grows by `plain_scale`, the level stays.
    MatVec {
        /// The matrix over tensor elements.
        matrix: MatrixId,
        /// The scale at which the diagonals are encoded.
        plain_scale: Scale,
        /// How it is applied.
        shape: TransformShape,
    },
    /// Division by the last prime; level and scale fall.
    Rescale,
    /// Adds a constant vector (over tensor elements), encoded at the operand's own scale.
    AddVector {
        /// The vector.
        vector: VectorId,
    },
    /// Sum of two values of equal level, scale and layout.
    Add,
    /// Difference of two values of equal level, scale and layout.
    Sub,
    /// Elementwise product of two values, relinearised; scales multiply.
    Mul,
    /// Elementwise square, relinearised; the scale is squared.
    Square,
    /// Product with one number, encoded at `plain_scale`; the scale grows by it.
    MulScalar {
        /// The number.
        value: f64,
        /// Its scale.
        plain_scale: Scale,
    },
    /// Elementwise product with a constant vector (over tensor elements), encoded at `plain_scale`.
    MulVector {
        /// The vector.
        vector: VectorId,
        /// Its scale.
        plain_scale: Scale,
    },
    /// The same value at the node's lower level; the scale stays.
    DropLevel,
    /// Product with one number, by division of the scale by its magnitude: no plaintext, no level, no error.
    Gain {
        /// The number, not 0.
        factor: f64,
    },
    /// Some elements of the operand, where they lie: the ciphertexts that hold one of them. Nothing is computed.
    View {
        /// For each element of the result, that of the operand; no two alike.
        elements: Vec<u32>,
    },
    /// Sums over the slots that lie a multiple of the result's length (period times ciphertexts) apart; level and
    /// scale stay. The operand's length is a power of two times the result's.
    Fold,
    /// `gain * (x0 x1 + x2 x3 + ..) + c0 y0 + c1 y1 + .. + constant`: the sum before one relinearisation.
    ///
    /// The products share one scale S; the result's scale is S / gain, which relabels and costs nothing. Each
    /// factor's plaintext scale times its operand's scale is the result's scale. Operands may lie at higher levels
    /// than the node: their lower limbs are used.
    Combine {
        /// The number of products; operands 2i and 2i + 1 are the factors of product i.
        products: usize,
        /// What the sum of products is multiplied with; 1 where there are no products.
        gain: u32,
        /// For each further operand: the number that multiplies it, and the number's plaintext scale.
        factors: Vec<(f64, Scale)>,
        /// What is added to every element, encoded at the result's scale.
        constant: f64,
    },
}

/// The most operands of one [`CircuitOp::Combine`].
pub const MAX_COMBINED: usize = 4096;

impl CircuitOp {
    /// The keyword of the text form.
    pub fn name(&self) -> &'static str {
        match self {
            CircuitOp::Input { .. } => "input",
            CircuitOp::MatVec { .. } => "matvec",
            CircuitOp::Rescale => "rescale",
            CircuitOp::AddVector { .. } => "add_vector",
            CircuitOp::Add => "add",
            CircuitOp::Sub => "sub",
            CircuitOp::Mul => "mul",
            CircuitOp::Square => "square",
            CircuitOp::MulScalar { .. } => "mul_scalar",
            CircuitOp::MulVector { .. } => "mul_vector",
            CircuitOp::DropLevel => "drop_level",
            CircuitOp::Gain { .. } => "gain",
            CircuitOp::View { .. } => "view",
            CircuitOp::Fold => "fold",
            CircuitOp::Combine { .. } => "combine",
        }
    }

    /// The scales of its plaintexts.
    pub fn plain_scales(&self) -> Vec<&Scale> {
        match self {
            CircuitOp::MatVec { plain_scale, .. }
            | CircuitOp::MulScalar { plain_scale, .. }
            | CircuitOp::MulVector { plain_scale, .. } => vec![plain_scale],
            CircuitOp::Combine { factors, .. } => factors.iter().map(|(_, scale)| scale).collect(),
            _ => vec![],
        }
    }

    /// The number of operands.
    pub fn arity(&self) -> usize {
        match self {
            CircuitOp::Input { .. } => 0,
            CircuitOp::Add | CircuitOp::Sub | CircuitOp::Mul => 2,
            CircuitOp::Combine {
                products, factors, ..
            } => products.saturating_mul(2).saturating_add(factors.len()),
            _ => 1,
        }
    }
}

/// One operation and the value that it yields.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitNode {
    /// The operation; its operands are the node's edges in the graph.
    pub op: CircuitOp,
    /// The value's level.
    pub level: usize,
    /// The value's exact scale.
    pub scale: Scale,
    /// The value's packing.
    pub layout: LayoutId,
    /// The value's range (without margin).
    pub range: Range,
    /// The mean square of the value's elements, from calibration.
    pub mean_square: f64,
    /// The predicted variance of the error per slot, in units of the value.
    pub noise: f64,
    /// The mean square of the error that polynomials in place of functions cause, on the calibration samples; `None`
    /// where it is not known, or the value has no counterpart in the network.
    pub approximation: Option<f64>,
    /// Where the operation came from.
    pub origin: Origin,
}

impl CircuitNode {
    /// log2 of the error's predicted standard deviation.
    pub fn noise_bits(&self) -> f64 {
        0.5 * libm::log2(self.noise)
    }
}

/// An input or output of a circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// The name in the model.
    pub name: String,
    /// The node.
    pub node: NodeId,
    /// The tensor's shape, batch axis included.
    pub shape: Vec<usize>,
    /// The declared element type.
    pub dtype: DType,
    /// Whether axis 0 counts samples.
    pub batched: bool,
    /// For inputs: whether it is given in clear: everyone sees its values, the server too.
    pub clear: bool,
    /// For inputs: the accepted range, margin included. For outputs: the expected range.
    pub range: Range,
}

/// A constant vector over tensor elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// The name, unique among matrices and vectors.
    pub name: String,
    /// The values.
    pub tensor: Arc<Tensor>,
}

/// A network at the circuit stage.
#[derive(Clone, Debug)]
pub struct Circuit {
    /// The model's name.
    pub name: String,
    /// What it was read from.
    pub source: String,
    /// The scheme's parameters.
    pub params: CkksLiteral,
    /// The operations.
    pub graph: Dag<CircuitNode>,
    /// The layouts.
    pub layouts: Vec<Layout>,
    /// The matrices.
    pub matrices: Vec<Arc<Matrix>>,
    /// The vectors.
    pub vectors: Vec<Vector>,
    /// The inputs.
    pub inputs: Vec<Port>,
    /// The outputs.
    pub outputs: Vec<Port>,
}
