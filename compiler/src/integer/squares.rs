//! Squares of sums that differ by constants: `(l + b)^2 = l^2 + 2 b l + b^2` takes one lookup for all b. Distances of an
//! encrypted vector to clear ones are such sums, and in their differences the squares vanish.

use super::error::IntegerError;
use super::network::Builder;
use super::scalar::Scalar;
use super::shared::{RowForm, form};
use crate::lower::network::pending::Pending;
use crate::lower::sparse;
use cipherloom_ir::NodeId;
use std::collections::BTreeMap;

impl Builder<'_> {
    /// The square of each element.
    pub(super) fn square(&mut self, id: NodeId, x: &Pending) -> Result<Pending, IntegerError> {
        let count = x.bias.len();
        let mut forms: BTreeMap<RowForm, usize> = BTreeMap::new();
        let (mut first, mut sources) = (vec![], vec![]);
        for row in 0..count {
            let form = *forms.entry(form(x, row)).or_insert_with(|| {
                first.push(Some(row));
                first.len() - 1
            });
            sources.push(Some(form));
        }
        let forms = first.len();
        if 2 * forms > count {
            return self.lookup(id, x, Scalar::power(2));
        }
        let selection = sparse::selection(first.into_iter(), count);
        let mut linear = x.map(&selection, &vec![0.0; forms]);
        linear.bias.iter_mut().for_each(|b| *b = 0.0);
        let squares = self.lookup(id, &linear, Scalar::power(2))?;
        let spread = sparse::selection(sources.into_iter(), forms);
        // 2 b (l + b) - b^2
        let twice = super::network::rows(
            count,
            x.bias.iter().enumerate().map(|(r, b)| vec![(r, 2.0 * b)]),
        );
        let minus: Vec<f64> = x.bias.iter().map(|b| -b * b).collect();
        let rest = x.map(&twice, &minus);
        Ok(squares.map(&spread, &vec![0.0; count]).plus(&rest))
    }
}
