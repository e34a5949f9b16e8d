//! Comparisons of one sum with several thresholds: one bootstrap serves them all.
//!
//! The table of a step holds one number, and half a turn further on it is read negated: its sign changes at index 0. The
//! rotated table read `r` entries further on is the table at the index plus `r`, so that its sign changes `r` entries earlier.
//! Rows that differ by constants alone are compared by one lookup, as long as the index and all places that are read lie
//! on one turn of the torus.
//!
//! The errors of what one bootstrap yields are not independent: in sums they count as if they were all alike.

use super::network::{Kind, Network};
use crate::lower::network::pending::Pending;
use std::collections::BTreeMap;

/// Outputs of one bootstrap, at most.
const MOST: usize = 256;

/// The entries of a row, weights as bits.
pub(super) type RowForm = Vec<(usize, usize, u64)>;

/// What a row is without its constant: equal rows have equal forms.
pub(super) fn form(pending: &Pending, row: usize) -> RowForm {
    let terms = pending.terms.iter();
    let entries = terms.flat_map(|(v, m)| m.row(row).map(|(c, w)| (*v, c, w.to_bits())));
    entries.collect()
}

/// The rows that differ by constants alone, each group by ascending constant; groups in the order of their first rows.
pub(super) fn groups(pending: &Pending) -> Vec<Vec<usize>> {
    let mut forms: BTreeMap<RowForm, Vec<usize>> = BTreeMap::new();
    for row in 0..pending.bias.len() {
        forms.entry(form(pending, row)).or_default().push(row);
    }
    let mut groups: Vec<Vec<usize>> = vec![];
    for mut rows in forms.into_values() {
        rows.sort_by(|a, b| pending.bias[*a].total_cmp(&pending.bias[*b]));
        groups.extend(rows.chunks(MOST).map(<[usize]>::to_vec));
    }
    groups.sort_by_key(|rows| rows.iter().min().copied());
    groups
}

impl Network {
    /// Whether a sum is compared with several thresholds, or several functions of it are looked up.
    pub(super) fn shares(&self) -> bool {
        let compares = self.values.iter().any(|value| match &value.kind {
            Kind::Lookup { operand, function } if function.is_step() => {
                groups(operand).len() < operand.bias.len()
            }
            _ => false,
        });
        compares || !self.joint().is_empty()
    }
}

/// Which elements of values come from one bootstrap: for each such value the one that makes it, and for each element the number of
/// its bootstrap there.
#[derive(Default)]
pub(super) struct Bootstraps(BTreeMap<usize, (usize, Vec<usize>)>);

impl Bootstraps {
    /// Notes that each group of a value's elements comes from one bootstrap.
    pub(super) fn note(&mut self, value: usize, groups: &[Vec<usize>]) {
        let mut numbers = vec![0; groups.iter().map(Vec::len).sum()];
        for (number, rows) in groups.iter().enumerate() {
            rows.iter().for_each(|row| numbers[*row] = number);
        }
        self.0.insert(value, (value, numbers));
    }

    /// Notes that each of a value's elements comes from the bootstrap of another one's.
    pub(super) fn note_joint(&mut self, value: usize, maker: usize, len: usize) {
        self.0.insert(value, (maker, (0..len).collect()));
    }

    /// The variance of a sum, at most, from (value, element, deviation): deviations of elements of one bootstrap are added
    /// up, squares of the others.
    pub(super) fn variance(&self, parts: impl Iterator<Item = (usize, usize, f64)>) -> f64 {
        let mut together: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        let mut sum = 0.0;
        for (value, element, deviation) in parts {
            let found = self.0.get(&value);
            match found.and_then(|(maker, n)| Some((*maker, *n.get(element)?))) {
                Some(bootstrap) => {
                    *together.entry(bootstrap).or_default() += deviation.abs();
                }
                None => sum += deviation * deviation,
            }
        }
        sum + together.values().map(|d| d * d).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integer::network::rows;

    fn pending(list: &[(usize, f64, f64)]) -> Pending {
        let matrix = rows(3, list.iter().map(|(c, w, _)| vec![(*c, *w)]));
        Pending {
            terms: vec![(0, matrix)],
            bias: list.iter().map(|(_, _, b)| *b).collect(),
            name: String::new(),
        }
    }

    #[test]
    fn rows_of_one_sum_are_grouped_by_ascending_constant() {
        let list = [
            (1, 1.0, 0.5),
            (0, 1.0, 2.0),
            (1, 1.0, -3.0),
            (1, -1.0, 0.0),
            (0, 1.0, 1.0),
        ];
        assert_eq!(groups(&pending(&list)), [vec![2, 0], vec![4, 1], vec![3]]);
        let many: Vec<_> = (0..300).map(|i| (2, 1.0, -f64::from(i))).collect();
        let found = groups(&pending(&many));
        let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(lengths, [44, 256]);
    }

    #[test]
    fn errors_of_one_bootstrap_may_be_alike() {
        let mut bootstraps = Bootstraps::default();
        bootstraps.note(3, &[vec![0, 2], vec![1]]);
        let variance = |parts: &[(usize, usize, f64)]| bootstraps.variance(parts.iter().copied());
        assert_eq!(variance(&[(3, 0, 1.0), (3, 2, -2.0)]), 9.0);
        assert_eq!(variance(&[(3, 0, 1.0), (3, 1, -2.0)]), 5.0);
        assert_eq!(variance(&[(4, 0, 1.0), (4, 2, -2.0)]), 5.0);
        bootstraps.note_joint(5, 5, 2);
        bootstraps.note_joint(6, 5, 2);
        let variance = |parts: &[(usize, usize, f64)]| bootstraps.variance(parts.iter().copied());
        assert_eq!(variance(&[(5, 0, 1.0), (6, 0, -2.0)]), 9.0);
        assert_eq!(variance(&[(5, 0, 1.0), (6, 1, -2.0)]), 5.0);
    }
}
