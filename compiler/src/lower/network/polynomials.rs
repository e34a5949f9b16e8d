//! Powers and polynomials of one value.
//!
//! A square, a power and a polynomial of low degree are computed from powers, whose factors move into the matrix that
//! follows. Anything higher is a [`Kind::Polynomial`]: the matrix before it brings its operand to [-1, 1].

use super::super::LowerError;
use super::super::polynomial::{Program, from_monomials};
use super::super::sparse;
use super::make::{Builder, unit_entries};
use super::pending::Pending;
use super::{Exact, Kind};
use cipherloom_ir::NodeId;
use cipherloom_ir::tensor::Function;
use cipherloom_ir::value::Range;
use std::sync::Arc;

/// Values whose range is not known yet are taken to be of this size.
const UNKNOWN_RANGE: f64 = 4.0;

/// Polynomials up to this degree are sums of powers.
const MAX_POWERS: usize = 4;

/// Sums of powers may cancel down to this part of their largest summands.
const CANCELLATION: f64 = 64.0;

impl Builder<'_> {
    /// A polynomial with coefficients of 1, x, x^2 ..
    pub(super) fn polynomial(
        &mut self,
        id: NodeId,
        operand: NodeId,
        coefficients: &[f64],
    ) -> Result<Pending, LowerError> {
        self.polynomial_for(id, operand, coefficients, None)
    }

    /// The same, which stands for a function.
    fn polynomial_for(
        &mut self,
        id: NodeId,
        operand: NodeId,
        coefficients: &[f64],
        function: Option<&Function>,
    ) -> Result<Pending, LowerError> {
        let degree = coefficients.iter().rposition(|c| *c != 0.0).unwrap_or(0);
        let coefficient = |k: usize| coefficients.get(k).copied().unwrap_or(0.0);
        let pending = self.pending_of(operand)?;
        if degree <= 1 {
            let mut result = pending.scaled(coefficient(1));
            result.bias.iter_mut().for_each(|b| *b += coefficient(0));
            return Ok(result);
        }
        let monomial = coefficients[..degree].iter().all(|c| *c == 0.0);
        if monomial {
            self.network.inexact |= function.is_some();
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
        let known = self.module.graph.get(operand).and_then(|n| n.range);
        if degree == 2 {
            // a x^2 + b x + c = a (x + b/2a)^2 + (c - b^2/4a): the shift joins the bias before, the rest what follows.
            let (a, b, c) = (coefficient(2), coefficient(1), coefficient(0));
            let shift = b / (2.0 * a);
            // A shift far beyond the values would square a large number and cancel it again.
            if shift.abs() <= 4.0 * known.map_or(UNKNOWN_RANGE, Range::max_abs) {
                let mut shifted = pending;
                shifted.bias.iter_mut().for_each(|v| *v += shift);
                let shape = self.shape_of(operand);
                let base = self.materialise(operand, &shifted, &shape)?;
                let constant = c - b * b / (4.0 * a);
                let square = match function {
                    None => self.square_of(id, base),
                    Some(function) => {
                        let exact = Exact::new(function, 1.0, -shift).solved(a, constant);
                        self.square_for(id, base, exact)
                    }
                };
                let len = self.network.values[square].len();
                let mut result = Pending::of(square, len).scaled(a);
                result.bias = vec![constant; len];
                return Ok(result);
            }
        }
        self.network.inexact |= function.is_some();
        let range = known.unwrap_or(Range {
            lo: -UNKNOWN_RANGE,
            hi: UNKNOWN_RANGE,
        });
        if degree > MAX_POWERS || cancels(coefficients, range) {
            // The series is the same polynomial everywhere, but its parts stay small within its domain alone.
            let domain = range.widened(self.margin);
            let series = from_monomials(coefficients, domain.lo, domain.hi);
            return self.series(id, operand, domain, &series, None);
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

    /// The Chebyshev series `sum c_k T_k(t)` with t = (2 x - lo - hi) / (hi - lo), and the function that it stands for.
    pub(super) fn series(
        &mut self,
        id: NodeId,
        operand: NodeId,
        domain: Range,
        coefficients: &[f64],
        function: Option<&Function>,
    ) -> Result<Pending, LowerError> {
        let degree = coefficients.iter().rposition(|c| *c != 0.0).unwrap_or(0);
        let width = domain.hi - domain.lo;
        let usable = width > 0.0 && width.is_finite() && coefficients.iter().all(|c| c.is_finite());
        if !usable {
            return Err(self.malformed(id));
        }
        let (scale, shift) = (2.0 / width, -(domain.lo + domain.hi) / width);
        let coefficient = |k: usize| coefficients.get(k).copied().unwrap_or(0.0);
        if degree <= 1 {
            self.network.inexact |= function.is_some();
            let mut result = self.pending_of(operand)?.scaled(scale * coefficient(1));
            let constant = coefficient(0) + shift * coefficient(1);
            result.bias.iter_mut().for_each(|b| *b += constant);
            return Ok(result);
        }
        if degree == 2 {
            // One level as a square: c2 (2 t^2 - 1) + c1 t + c0 with t = scale x + shift.
            let (c0, c1, c2) = (coefficient(0), coefficient(1), coefficient(2));
            let monomials = [
                c0 - c2 + shift * (c1 + 2.0 * c2 * shift),
                scale * (c1 + 4.0 * c2 * shift),
                2.0 * c2 * scale * scale,
            ];
            let vertex = (monomials[1] / (2.0 * monomials[2])).abs();
            if vertex <= 4.0 * domain.max_abs() {
                return self.polynomial_for(id, operand, &monomials, function);
            }
        }
        let mut scaled = self.pending_of(operand)?.scaled(scale);
        scaled.bias.iter_mut().for_each(|b| *b += shift);
        // Copies of elements are copied after the polynomial, not before.
        let (base, copies) = match scaled.as_copies() {
            Some((value, factor, bias)) => {
                let (len, shape) = {
                    let v = &self.network.values[value];
                    (v.len(), v.shape.clone())
                };
                let mut own = Pending::of(value, len).scaled(factor);
                own.bias = vec![bias; len];
                own.name.clone_from(&scaled.name);
                (
                    self.materialise(operand, &own, &shape)?,
                    scaled.terms.first().map(|t| t.1.clone()),
                )
            }
            None => (
                self.materialise(operand, &scaled, &self.shape_of(operand))?,
                None,
            ),
        };
        let program = Arc::new(Program::new(coefficients));
        let (shape, stride) = {
            let v = &self.network.values[base];
            (v.shape.clone(), v.stride)
        };
        let kind = Kind::Polynomial {
            operand: base,
            program,
        };
        let made = self.push(id, kind, shape, String::new());
        self.network.values[made].stride = stride;
        if let Some(function) = function {
            let exact = Exact::over(function, domain);
            self.network.exact.insert(made, exact);
        }
        let result = Pending::of(made, self.network.values[made].len());
        Ok(match copies {
            Some(copies) => Pending {
                terms: vec![(made, Arc::new(unit_entries(&copies)))],
                bias: vec![0.0; copies.rows],
                name: String::new(),
            },
            None => result,
        })
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

/// Whether the summands of a polynomial may cancel to a small part of themselves within a range.
fn cancels(coefficients: &[f64], range: Range) -> bool {
    let r = range.max_abs();
    let summands: f64 = coefficients
        .iter()
        .rev()
        .fold(0.0, |sum, c| sum * r + c.abs());
    let value = |x: f64| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    let points = (0..=32).map(|i| range.lo + (range.hi - range.lo) * f64::from(i) / 32.0);
    summands > CANCELLATION * points.map(|x| value(x).abs()).fold(0.0, f64::max)
}
