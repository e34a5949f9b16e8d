//! Exact comparisons of two: what is compared is levels, as for maxima, so that the difference is a whole number, and a lookup of
//! its step or sign meets the index.
//!
//! A table of `2^t` entries is read negated below 0. That of a sign holds 0 at index 0 and 1 above. That of a step holds one number;
//! index 0 stands for a difference of 1, so that equal levels are read from the negated part. Comparisons of sums stay what they are:
//! to round them to levels first would lose more than a lookup's index error.

use super::entrants::{Copy, classes};
use super::error::IntegerError;
use super::network::{Builder, rows, selected};
use super::scalar::Scalar;
use crate::lower::network::pending::Pending;
use crate::lower::sparse;
use cipherloom_ir::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Builder<'_> {
    /// The exact step or sign of differences; `None` where the function is another one, or what is subtracted cannot be levels.
    pub(super) fn compared(
        &mut self,
        id: NodeId,
        differences: &Pending,
        function: &Scalar,
    ) -> Result<Option<Pending>, IntegerError> {
        if !self.exact.comparisons || !(function.is_step() || function.is_sign()) {
            return Ok(None);
        }
        let Some(sides) = sides(differences) else {
            return Ok(None);
        };
        let Some(entrants) = self.entrants(id, &sides, true)? else {
            return Ok(None);
        };
        let count = differences.bias.len();
        let number = |side: usize| entrants.numbers.get(&side).copied();
        let pair = |row: usize| Some(vec![number(row)?, number(count + row)?]);
        let Some(pairs) = (0..count).map(pair).collect::<Option<Vec<Vec<usize>>>>() else {
            return Ok(None);
        };
        let group = self.new_group();
        let classes = classes(entrants.places.len(), &pairs);
        self.enter(&entrants, &classes, group, 0);
        let pairs = pairs.iter().map(|pair| {
            let signs = pair.iter().zip([1.0, -1.0]);
            signs.map(|(element, sign)| (*element, sign)).collect()
        });
        let pairs = rows(entrants.places.len(), pairs);
        let differences = entrants.values.map(&pairs, &vec![0.0; count]);
        let made = self.push_lookup(id, differences, function.clone())?;
        if let Some(value) = self.network.values.get_mut(made) {
            value.is_comparison = true;
        }
        Ok(Some(Pending::of(made, count)))
    }

    /// Whether a value is exact comparisons.
    pub(super) fn is_comparison(&self, value: usize) -> bool {
        let value = self.network.values.get(value);
        value.is_some_and(|v| v.is_comparison)
    }

    /// A function of what exact comparisons tell, which takes no lookup: of two numbers everything is linear.
    pub(super) fn of_comparison(&self, operand: &Pending, function: &Scalar) -> Option<Pending> {
        let (value, factor, shift) = operand.as_copies()?;
        let (_, first) = self.looked_up(value)?;
        if !self.is_comparison(value) || !first.is_step() {
            return None;
        }
        let (at_0, at_1) = (function.eval(shift), function.eval(factor + shift));
        let slope = at_1 - at_0;
        let [(_, copies)] = operand.terms.as_slice() else {
            return None;
        };
        (slope.is_finite() && slope != 0.0).then(|| Pending {
            terms: vec![(value, Arc::new(sparse::scale(&selected(copies), slope)))],
            bias: vec![at_0; operand.bias.len()],
            name: String::new(),
        })
    }
}

/// The two sides of each difference: copies of what is subtracted from, by row, and of what is subtracted, behind them. `None`
/// where a row is no difference of two.
fn sides(differences: &Pending) -> Option<BTreeMap<usize, Copy>> {
    let count = differences.bias.len();
    let mut sides = BTreeMap::new();
    for (row, bias) in differences.bias.iter().enumerate() {
        let mut entries = differences.row(row);
        let (Some(one), Some(other), None) = (entries.next(), entries.next(), entries.next())
        else {
            return None;
        };
        let (a, b) = if one.2 > 0.0 {
            (one, other)
        } else {
            (other, one)
        };
        if !(a.2 > 0.0 && b.2 < 0.0) {
            return None;
        }
        // A positive factor changes no sign.
        let by = if a.2 == -b.2 { a.2 } else { 1.0 };
        sides.insert(row, (a.0, a.1, a.2 / by, bias / by));
        sides.insert(count + row, (b.0, b.1, -b.2 / by, 0.0));
    }
    Some(sides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(list: &[Vec<(usize, f64)>], bias: f64) -> Pending {
        Pending {
            terms: vec![(3, rows(4, list.iter().cloned()))],
            bias: vec![bias; list.len()],
            name: String::new(),
        }
    }

    #[test]
    fn differences_have_two_sides() {
        let list = [vec![(0, 2.0), (1, -2.0)], vec![(2, -1.0), (3, 0.5)]];
        let found = sides(&pending(&list, 1.0)).unwrap();
        let found: Vec<(usize, Copy)> = found.into_iter().collect();
        assert_eq!(
            found,
            [
                (0, (3, 0, 1.0, 0.5)),
                (1, (3, 3, 0.5, 1.0)),
                (2, (3, 1, 1.0, 0.0)),
                (3, (3, 2, 1.0, 0.0)),
            ]
        );
        for row in [
            vec![],
            vec![(0, 1.0)],
            vec![(0, 1.0), (1, 1.0)],
            vec![(0, -1.0), (1, -1.0)],
            vec![(0, 1.0), (1, -1.0), (2, 1.0)],
        ] {
            assert!(sides(&pending(&[list[0].clone(), row], 0.0)).is_none());
        }
    }
}
