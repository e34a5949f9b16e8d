//! Products, products of encrypted matrices, and polynomials.

use super::super::LowerError;
use super::super::affine::matmul_indices;
use super::super::sparse::{self, RowBuilder, selection};
use super::Kind;
use super::make::Builder;
use super::pending::Pending;
use cipherloom_ir::value::{Range, element_count};
use cipherloom_ir::{NodeId, Origin};
use std::sync::Arc;

/// Products of encrypted matrices are spelled out element by element up to this many products.
const MAX_PRODUCT_TERMS: usize = 1 << 20;

/// Values whose range is not known yet are taken to be of this size.
const UNKNOWN_RANGE: f64 = 4.0;

impl Builder<'_> {
    fn square_of(&mut self, id: NodeId, value: usize) -> usize {
        let old = self
            .network
            .values
            .iter()
            .position(|v| matches!(v.kind, Kind::Square(a) if a == value));
        if let Some(old) = old {
            return old;
        }
        let (shape, stride) = (
            self.network.values[value].shape.clone(),
            self.network.values[value].stride,
        );
        let made = self.push(id, Kind::Square(value), shape, String::new());
        self.network.values[made].stride = stride;
        made
    }

    fn mul_of(&mut self, id: NodeId, a: usize, b: usize) -> usize {
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
        let (shape, stride) = (
            self.network.values[a].shape.clone(),
            self.network.values[a].stride,
        );
        let made = self.push(id, Kind::Mul(a, b), shape, String::new());
        self.network.values[made].stride = stride;
        made
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
        let shape = |id| {
            self.module
                .graph
                .get(id)
                .map(|n| n.shape.clone())
                .unwrap_or_default()
        };
        let out = shape(id);
        if shape(a) == out && shape(b) == out {
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
        let shape = |id| {
            self.module
                .graph
                .get(id)
                .map(|n| n.shape.clone())
                .unwrap_or_default()
        };
        let (sa, sb, out) = (shape(a), shape(b), shape(id));
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
        let pending = |id| {
            self.pending
                .get(&id)
                .cloned()
                .ok_or_else(|| self.malformed(id))
        };
        let pa = pending(a)?.map(&spread(&left, &sa), &zeros);
        let pb = pending(b)?.map(&spread(&right, &sb), &zeros);
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

    pub(super) fn polynomial(
        &mut self,
        id: NodeId,
        operand: NodeId,
        coefficients: &[f64],
    ) -> Result<Pending, LowerError> {
        let degree = coefficients.iter().rposition(|c| *c != 0.0).unwrap_or(0);
        let coefficient = |k: usize| coefficients.get(k).copied().unwrap_or(0.0);
        let pending = self
            .pending
            .get(&operand)
            .cloned()
            .ok_or_else(|| self.malformed(operand))?;
        if degree <= 1 {
            let mut result = pending.scaled(coefficient(1));
            result.bias.iter_mut().for_each(|b| *b += coefficient(0));
            return Ok(result);
        }
        let monomial = coefficients[..degree].iter().all(|c| *c == 0.0);
        if monomial {
            let (value, matrix, factor) = self.selected(operand)?;
            let power = self.power(id, value, degree);
            let factor = coefficient(degree) * libm::pow(factor, degree as f64);
            let bias = vec![0.0; matrix.rows];
            let terms = vec![(power, Arc::new(sparse::scale(&matrix, factor)))];
            return Ok(Pending {
                terms,
                bias,
                name: String::new(),
            });
        }
        if degree == 2 {
            // a x^2 + b x + c = a (x + b/2a)^2 + (c - b^2/4a): the shift joins the bias before, the rest what follows.
            let (a, b, c) = (coefficient(2), coefficient(1), coefficient(0));
            let shift = b / (2.0 * a);
            let range = self
                .module
                .graph
                .get(operand)
                .and_then(|n| n.range)
                .map_or(UNKNOWN_RANGE, Range::max_abs);
            // A shift far beyond the values would square a large number and cancel it again.
            if shift.abs() <= 4.0 * range {
                let mut shifted = pending;
                shifted.bias.iter_mut().for_each(|v| *v += shift);
                let shape = self
                    .module
                    .graph
                    .get(operand)
                    .map(|n| n.shape.clone())
                    .unwrap_or_default();
                let base = self.materialise(operand, &shifted, &shape)?;
                let square = self.square_of(id, base);
                let len = self.network.values[square].len();
                let mut result = Pending::of(square, len).scaled(a);
                result.bias = vec![c - b * b / (4.0 * a); len];
                return Ok(result);
            }
        }
        let base = self.make(operand)?;
        let len = self.network.values[base].len();
        let mut result = Pending::of(base, len).scaled(coefficient(1));
        if coefficient(1) == 0.0 {
            result.terms.clear();
        }
        for k in 2..=degree {
            if coefficient(k) != 0.0 {
                let power = self.power(id, base, k);
                result = result.plus(&Pending::of(power, len).scaled(coefficient(k)));
            }
        }
        result.bias.iter_mut().for_each(|b| *b += coefficient(0));
        Ok(result)
    }

    /// `value^k` with a depth of ceil(log2 k); powers that exist are used again.
    fn power(&mut self, id: NodeId, value: usize, k: usize) -> usize {
        if k <= 1 {
            return value;
        }
        let low = self.power(id, value, k / 2);
        let high = self.power(id, value, k - k / 2);
        self.mul_of(id, low, high)
    }
}
