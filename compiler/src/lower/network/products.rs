//! Products, and products of encrypted matrices.

use super::super::LowerError;
use super::super::affine::matmul_indices;
use super::super::sparse::{self, RowBuilder, selection};
use super::make::Builder;
use super::pending::Pending;
use super::{Exact, Kind};
use cipherloom_ir::value::element_count;
use cipherloom_ir::{NodeId, Origin};
use std::sync::Arc;

/// Products of encrypted matrices are spelled out element by element up to this many products.
const MAX_PRODUCT_TERMS: usize = 1 << 20;

impl Builder<'_> {
    pub(super) fn square_of(&mut self, id: NodeId, value: usize) -> usize {
        let old = self.network.values.iter().enumerate().position(|(v, old)| {
            // What stands for a function is no square of its operand to whoever asks for one.
            matches!(old.kind, Kind::Square(a) if a == value)
                && !self.network.exact.contains_key(&v)
        });
        if let Some(old) = old {
            return old;
        }
        self.push_elementwise(id, Kind::Square(value), value)
    }

    /// A square of its own that stands for a function.
    pub(super) fn square_for(&mut self, id: NodeId, value: usize, exact: Exact) -> usize {
        let made = self.push_elementwise(id, Kind::Square(value), value);
        self.network.exact.insert(made, exact);
        made
    }

    /// A value of an operand's shape and stride.
    fn push_elementwise(&mut self, id: NodeId, kind: Kind, operand: usize) -> usize {
        let (shape, stride) = {
            let operand = &self.network.values[operand];
            (operand.shape.clone(), operand.stride)
        };
        let made = self.push(id, kind, shape, String::new());
        self.network.values[made].stride = stride;
        made
    }

    pub(super) fn mul_of(&mut self, id: NodeId, a: usize, b: usize) -> usize {
        if a == b {
            return self.square_of(id, a);
        }
        let (a, b) = (a.min(b), a.max(b));
        let old = self
            .network
            .values
            .iter()
            .position(|v| matches!(v.kind, Kind::Mul(x, y) if (x, y) == (a, b)));
        if let Some(old) = old {
            return old;
        }
        self.push_elementwise(id, Kind::Mul(a, b), a)
    }

    pub(super) fn product(
        &mut self,
        id: NodeId,
        a: NodeId,
        b: NodeId,
    ) -> Result<Pending, LowerError> {
        if a == b {
            return self.polynomial(id, a, &[0.0, 0.0, 1.0]);
        }
        let out = self.shape_of(id);
        if self.shape_of(a) == out && self.shape_of(b) == out {
            let ((va, ma, fa), (vb, mb, fb)) = (self.selected(a)?, self.selected(b)?);
            if ma == mb {
                let made = self.mul_of(id, va, vb);
                let len = ma.rows;
                let matrix = Arc::new(sparse::scale(&ma, fa * fb));
                return Ok(Pending {
                    terms: vec![(made, matrix)],
                    bias: vec![0.0; len],
                    name: String::new(),
                });
            }
        }
        let (pa, pb) = (self.broadcast(id, a)?, self.broadcast(id, b)?);
        let va = self.materialise(id, &pa, &out)?;
        let vb = self.materialise(id, &pb, &out)?;
        let made = self.mul_of(id, va, vb);
        Ok(Pending::of(made, element_count(&out).unwrap_or(0)))
    }

    pub(super) fn matmul(
        &mut self,
        id: NodeId,
        a: NodeId,
        b: NodeId,
    ) -> Result<Pending, LowerError> {
        let (sa, sb, out) = (self.shape_of(a), self.shape_of(b), self.shape_of(id));
        let (left, right) = matmul_indices(&sa, &sb, &out).ok_or_else(|| self.malformed(id))?;
        let k = left.first().map_or(0, Vec::len);
        let terms = left.len() * k;
        if terms > MAX_PRODUCT_TERMS {
            let origin = self
                .module
                .graph
                .get(id)
                .map_or(Origin::Pass("lower".into()), |n| n.origin.clone());
            return Err(LowerError::TooLarge {
                origin,
                elements: terms,
            });
        }
        let spread = |rows: &[Vec<usize>], shape: &[usize]| {
            let sources: Vec<usize> = rows.iter().flatten().copied().collect();
            selection(
                sources.into_iter().map(Some),
                element_count(shape).unwrap_or(0),
            )
        };
        let wide = vec![left.len(), k];
        let zeros = vec![0.0; terms];
        let pa = self.pending_of(a)?.map(&spread(&left, &sa), &zeros);
        let pb = self.pending_of(b)?.map(&spread(&right, &sb), &zeros);
        let (va, vb) = (
            self.materialise(id, &pa, &wide)?,
            self.materialise(id, &pb, &wide)?,
        );
        let made = self.mul_of(id, va, vb);
        let mut rows = RowBuilder::new(terms);
        for r in 0..left.len() {
            (0..k).for_each(|i| rows.push(r * k + i, 1.0));
            rows.end_row();
        }
        let bias = vec![0.0; left.len()];
        Ok(Pending {
            terms: vec![(made, Arc::new(rows.finish()))],
            bias,
            name: String::new(),
        })
    }
}
