//! Values that are one of several constants: truth values say which, and one of them alone holds. The position of the
//! largest element is such a value, and so is every function of it: a sum of truth values that takes no lookup.

use super::network::rows;
use super::scalar::{Part, Scalar};
use crate::lower::affine::affine_map;
use crate::lower::network::pending::Pending;
use crate::lower::sparse;
use cipherloom_ir::NodeId;
use cipherloom_ir::circuit::Matrix;
use cipherloom_ir::tensor::{Module, Op};

/// The elements of a value.
#[derive(Clone)]
pub(super) struct Choice {
    /// For each element one after the other, and each constant that it may be, whether it is that one.
    pub(super) holds: Pending,
    /// The constants, in the same order.
    pub(super) constants: Vec<f64>,
    /// How many there are for each element.
    pub(super) each: usize,
}

impl Choice {
    /// The value itself.
    pub(super) fn value(&self) -> Pending {
        let count = self.constants.len();
        let each = self.constants.chunks(self.each.max(1)).enumerate();
        let terms = each.map(|(element, constants)| {
            let column = |(i, c): (usize, &f64)| (element * self.each + i, *c);
            constants.iter().enumerate().map(column).collect()
        });
        let sums = rows(count, terms);
        self.holds.map(&sums, &vec![0.0; sums.rows])
    }

    /// What an operation of one operand makes of it; `None` where that is no choice.
    pub(super) fn after(&self, module: &Module, id: NodeId, op: &Op) -> Option<Self> {
        let function = match op {
            Op::Power { exponent } => Scalar::power(*exponent),
            Op::Polynomial { coefficients } => Scalar::of(Part::Polynomial(coefficients.clone())),
            Op::Function(function) => Scalar::function(function.clone()),
            Op::Lookup { table } => Scalar::of(Part::Table(module.tensor(*table)?.data().to_vec())),
            _ => {
                let map = affine_map(module, id)?;
                return self.moved(&map.matrix, &map.bias);
            }
        };
        let constants: Vec<f64> = self.constants.iter().map(|c| function.eval(*c)).collect();
        let finite = constants.iter().all(|c| c.is_finite());
        finite.then_some(Self {
            constants,
            ..self.clone()
        })
    }

    /// The elements in another order: for each place, the element that comes there.
    pub(super) fn in_order(&self, order: &[usize]) -> Option<Self> {
        let elements = self.constants.len() / self.each.max(1);
        let order = sparse::selection(order.iter().map(|i| Some(*i)), elements);
        self.moved(&order, &vec![0.0; order.rows])
    }

    /// Elements in other places, each with a factor and a summand.
    fn moved(&self, matrix: &Matrix, bias: &[f64]) -> Option<Self> {
        let (mut sources, mut constants) = (vec![], vec![]);
        for (row, summand) in bias.iter().enumerate() {
            let mut entries = matrix.row(row);
            let (element, factor) = entries.next()?;
            if entries.next().is_some() {
                return None;
            }
            for i in element * self.each..(element + 1) * self.each {
                sources.push(Some(i));
                constants.push(factor * self.constants.get(i)? + summand);
            }
        }
        let selection = sparse::selection(sources.into_iter(), self.constants.len());
        Some(Self {
            holds: self.holds.map(&selection, &vec![0.0; selection.rows]),
            constants,
            each: self.each,
        })
    }
}
