//! Comparisons of one sum with several thresholds: one bootstrap serves them all.
//!
//! The table of a step holds one number, and half a turn further on it is read negated: its sign changes at index 0. The
//! rotated table read `r` entries further on is the table at the index plus `r`, so that its sign changes `r` entries earlier.
//! Rows that differ by constants alone are compared by one lookup, as long as the index and all places that are read lie
//! on one turn of the torus.
//!
//! The errors of what one bootstrap yields are not independent: in sums they count as if they were all alike. Nor are the truth values:
//! where a threshold is met, all smaller ones are, so that sums of them have fewer values.

use super::network::{Kind, Network};
use crate::lower::network::pending::Pending;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::{Add, Sub};

/// Outputs of one bootstrap, at most.
const MOST: usize = 256;

/// The entries of a row, weights as bits.
pub(super) type RowForm = Vec<(usize, usize, u64)>;

/// What a row is without its constant: equal rows have equal forms.
pub(super) fn form(pending: &Pending, row: usize) -> RowForm {
    let entries = pending.row(row);
    entries.map(|(v, c, w)| (v, c, w.to_bits())).collect()
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

/// Which elements of values come from one bootstrap, by value.
#[derive(Default)]
pub(super) struct Bootstraps(BTreeMap<usize, Made>);

/// How the elements of a value are made.
struct Made {
    /// The value whose bootstraps make them.
    maker: usize,
    /// For each element the number of its bootstrap there, and its place among the thresholds of that, if it is one.
    numbers: Vec<(usize, Option<usize>)>,
}

/// The value that makes a bootstrap, and its number.
type Bootstrap = (usize, usize);

impl Bootstraps {
    /// Notes that each group of a value's elements, by ascending constants, comes from one bootstrap.
    pub(super) fn note(&mut self, value: usize, groups: &[Vec<usize>]) {
        let mut numbers = vec![(0, None); groups.iter().map(Vec::len).sum()];
        for (number, rows) in groups.iter().enumerate() {
            let places = rows.iter().enumerate();
            places.for_each(|(place, row)| numbers[*row] = (number, Some(place)));
        }
        let maker = value;
        self.0.insert(value, Made { maker, numbers });
    }

    /// Notes that each of a value's elements comes from the bootstrap of another one's.
    pub(super) fn note_joint(&mut self, value: usize, maker: usize, len: usize) {
        let numbers = (0..len).map(|number| (number, None)).collect();
        self.0.insert(value, Made { maker, numbers });
    }

    /// The bootstrap of an element, if it makes others too, and the element's place among its thresholds.
    fn of(&self, value: usize, element: usize) -> Option<(Bootstrap, Option<usize>)> {
        let made = self.0.get(&value)?;
        let (number, place) = made.numbers.get(element)?;
        Some(((made.maker, *number), *place))
    }

    /// The smallest and the largest sum of parts from (value, element, parts where it is at its lower and at its upper end). Of
    /// one bootstrap's elements those with larger constants are at their upper ends first.
    pub(super) fn ends<T: Copy + Default + PartialOrd + Add<Output = T> + Sub<Output = T>>(
        &self,
        parts: impl Iterator<Item = (usize, usize, T, T)>,
    ) -> (T, T) {
        let less = |a: T, b: T| if b < a { b } else { a };
        let more = |a: T, b: T| if b > a { b } else { a };
        let mut together: BTreeMap<Bootstrap, Vec<(usize, T, T)>> = BTreeMap::new();
        let mut sum = (T::default(), T::default());
        for (value, element, lower, upper) in parts {
            match self.of(value, element) {
                Some((bootstrap, Some(place))) => {
                    let list = together.entry(bootstrap).or_default();
                    list.push((place, lower, upper));
                }
                _ => sum = (sum.0 + less(lower, upper), sum.1 + more(lower, upper)),
            }
        }
        for mut list in together.into_values() {
            list.sort_by_key(|(place, _, _)| Reverse(*place));
            let lowest = list
                .iter()
                .fold(T::default(), |s, (_, lower, _)| s + *lower);
            let (mut at, mut least, mut most) = (lowest, lowest, lowest);
            for (_, lower, upper) in list {
                at = at + (upper - lower);
                (least, most) = (less(least, at), more(most, at));
            }
            sum = (sum.0 + least, sum.1 + most);
        }
        sum
    }

    /// The variance of a sum, at most, from (value, element, deviation): deviations of elements of one bootstrap are added
    /// up, squares of the others.
    pub(super) fn variance(&self, parts: impl Iterator<Item = (usize, usize, f64)>) -> f64 {
        let mut together: BTreeMap<Bootstrap, f64> = BTreeMap::new();
        let mut sum = 0.0;
        for (value, element, deviation) in parts {
            match self.of(value, element) {
                Some((bootstrap, _)) => {
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

    #[test]
    fn thresholds_of_one_bootstrap_are_met_one_after_the_other() {
        let mut bootstraps = Bootstraps::default();
        // Of the first three elements, 1 has the largest constant and 2 the smallest.
        bootstraps.note(3, &[vec![2, 0, 1], vec![3]]);
        let ends = |weights: [f64; 4]| {
            let parts = weights.into_iter().enumerate();
            bootstraps.ends(parts.map(|(e, w)| (3, e, 0.0, w)))
        };
        assert_eq!(ends([1.0, 1.0, 1.0, 1.0]), (0.0, 4.0));
        // 1 without 0, and 0 without 2, but not 0 without 1.
        assert_eq!(ends([-1.0, 1.0, 0.0, 0.0]), (0.0, 1.0));
        assert_eq!(ends([1.0, -1.0, 0.0, 0.0]), (-1.0, 0.0));
        assert_eq!(ends([2.0, -1.0, -3.0, 0.0]), (-2.0, 1.0));
        assert_eq!(ends([-1.0, 1.0, 0.0, -1.0]), (-1.0, 1.0));
        let other = [(4, 0, 1_i128, -1), (4, 1, 0, 2)];
        assert_eq!(bootstraps.ends(other.into_iter()), (-1, 3));
    }
}
