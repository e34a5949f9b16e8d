//! Matrices over values whose every element has a ciphertext of its own: weighted sums.

use super::{EmitError, Emitter, fault};
use cipherloom_ir::circuit::{CircuitNode, CircuitOp, Matrix, MatrixId};
use cipherloom_ir::layout::Layout;
use cipherloom_ir::plan::{StepOp, Weights};
use cipherloom_ir::{NodeId, Scale};
use std::sync::Arc;

impl Emitter<'_> {
    /// Whether every element of a value has a ciphertext of its own, whose slots are the samples.
    pub(super) fn is_separate(&self, id: NodeId) -> bool {
        let slots = self.circuit.params.slots();
        self.layout(id)
            .is_ok_and(|l| l.samples > 1 && l.samples == slots && l.period == 1)
    }

    /// For a square that only a matrix reads, behind a rescale each: the square's rescale.
    pub(super) fn joined_square(&self, id: NodeId, node: &CircuitNode) -> Option<NodeId> {
        if node.op != CircuitOp::Square || !self.is_separate(id) {
            return None;
        }
        let rescaled = self.sole_rescale(id)?;
        let (matrix, user) = self.sole_user(rescaled)?;
        let joins = matches!(user.op, CircuitOp::MatVec { .. }) && self.is_separate(matrix);
        (joins && self.sole_rescale(matrix).is_some()).then_some(rescaled)
    }

    /// Emits the matrix `id` with the rescale and the bias that follow it.
    pub(super) fn weighted_sums(
        &mut self,
        id: NodeId,
        operand: NodeId,
        matrix: MatrixId,
        plain_scale: &Scale,
        rescaled: Option<NodeId>,
    ) -> Result<(), EmitError> {
        let mut last = rescaled.unwrap_or(id);
        self.fused.insert(last);
        let (from, to) = (self.layout(operand)?, self.layout(id)?);
        let matrix = self.circuit.matrices.get(matrix.0 as usize);
        let matrix = matrix.ok_or_else(|| fault(id, "its matrix is missing"))?;
        let mut bias = Vec::new();
        if let Some((user, node)) = self.sole_user(last)
            && let CircuitOp::AddVector { vector } = node.op
        {
            let vector = self.circuit.vectors.get(vector.0 as usize);
            let vector = vector.ok_or_else(|| fault(user, "its vector is missing"))?;
            let packed = to.pack(vector.tensor.data());
            bias = packed
                .ok_or_else(|| fault(user, "its vector does not fit its layout"))?
                .concat();
            last = user;
            self.fused.insert(last);
        }
        let matrix = moved(matrix, from, to);
        let matrix = matrix.ok_or_else(|| fault(id, "its matrix does not fit the layouts"))?;
        let weights = self.plan.weights.len() as u32;
        self.plan.weights.push(Weights {
            matrix,
            plain_scale: plain_scale.clone(),
            bias,
        });
        let (src, dst) = (self.registers(operand)?, self.fresh(last)?);
        let op = StepOp::WeightedSums {
            weights,
            src,
            dst: dst.clone(),
            squares: self.squared.contains(&operand),
            rescale: rescaled.is_some(),
        };
        self.step(last, op)?;
        self.registers.insert(last, dst);
        Ok(())
    }
}

/// A matrix over elements as one over ciphertexts of one element each.
fn moved(matrix: &Arc<Matrix>, from: &Layout, to: &Layout) -> Option<Arc<Matrix>> {
    if (matrix.rows, matrix.cols) != (to.len(), from.len()) {
        return None;
    }
    let in_place = |l: &Layout| {
        let mut places = l.positions.iter().enumerate();
        l.ciphertexts == l.len() && places.all(|(i, p)| i == *p as usize)
    };
    if in_place(from) && in_place(to) {
        return Some(matrix.clone());
    }
    let mut rows: Vec<Vec<(u32, f64)>> = vec![Vec::new(); to.ciphertexts];
    for row in 0..matrix.rows {
        let place = |(c, value): (usize, f64)| Some((*from.positions.get(c)?, value));
        let mut entries = matrix.row(row).map(place).collect::<Option<Vec<_>>>()?;
        entries.sort_unstable_by_key(|(column, _)| *column);
        *rows.get_mut(*to.positions.get(row)? as usize)? = entries;
    }
    let mut result = Matrix {
        name: matrix.name.clone(),
        rows: to.ciphertexts,
        cols: from.ciphertexts,
        row_starts: vec![0],
        columns: Vec::with_capacity(matrix.columns.len()),
        values: Vec::with_capacity(matrix.values.len()),
    };
    for row in rows {
        result.columns.extend(row.iter().map(|(column, _)| *column));
        result.values.extend(row.iter().map(|(_, value)| *value));
        result.row_starts.push(result.columns.len());
    }
    Some(Arc::new(result))
}
