//! Lookups that tell whether several truth values all come out right: the paths of trees, an element that beats all others.

use super::network::{Kind, Network, Value};
use crate::lower::network::pending::Pending;
use std::ops::Range;

/// All parts of a number of cases; paths are so short that their parts are whole.
const ALL: u128 = 1 << 96;

/// What has to hold: an element of a value, or its opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Literal {
    /// The value and the element.
    pub(super) truth: (usize, usize),
    pub(super) holds: bool,
}

/// What has to hold, by ascending truth value; each is there once.
pub(super) type Path = Vec<Literal>;

impl Network {
    /// The path of each element of a value; `None` where one of them is none.
    pub(super) fn paths(&self, value: &Value) -> Option<Vec<Path>> {
        let Kind::Lookup { operand, function } = &value.kind else {
            return None;
        };
        let plain = value.copies == 1 && value.grid.is_none() && value.levels.is_none();
        if !plain || !function.is_step() || !self.reads_truths(operand) {
            return None;
        }
        (0..operand.bias.len())
            .map(|row| path(operand, row))
            .collect()
    }

    /// Whether all that a sum reads are truth values.
    pub(super) fn reads_truths(&self, pending: &Pending) -> bool {
        let terms = pending.terms.iter().filter(|(_, m)| m.entries() > 0);
        terms.map(|(v, _)| v).all(|v| self.values[*v].is_step())
    }
}

fn path(operand: &Pending, row: usize) -> Option<Path> {
    let entries = operand.row(row).map(|(v, e, w)| ((v, e), w));
    let mut entries: Vec<((usize, usize), f64)> = entries.collect();
    entries.sort_by_key(|(truth, _)| *truth);
    let one = entries.first()?.1.abs();
    let alike = |(_, w): &((usize, usize), f64)| (w.abs() - one).abs() <= 1e-9 * one;
    if !entries.iter().all(alike) {
        return None;
    }
    // The first sum above 0 is the largest that there can be.
    let most = entries.iter().filter(|(_, w)| *w > 0.0).count();
    let first = libm::floor(-operand.bias.get(row)? / one) + 1.0;
    let literal = |(truth, w): &((usize, usize), f64)| Literal {
        truth: *truth,
        holds: *w > 0.0,
    };
    (first == most as f64).then(|| entries.iter().map(literal).collect())
}

/// The runs of paths of which always exactly one comes out right.
pub(super) fn trees(paths: &[&Path]) -> Vec<Range<usize>> {
    let part = |path: &Path| ALL.checked_shr(path.len() as u32).unwrap_or(0);
    let mut found = vec![];
    let (mut start, mut sum) = (0, 0);
    for (last, path) in paths.iter().enumerate() {
        sum += part(path);
        while sum > ALL {
            sum -= part(paths[start]);
            start += 1;
        }
        if sum == ALL && is_tree(&paths[start..=last], &mut vec![]) {
            found.push(start..last + 1);
            (start, sum) = (last + 1, 0);
        }
    }
    found
}

/// Whether one of the paths comes out right, whatever the truth values are beside those that are known.
fn is_tree(paths: &[&Path], known: &mut Vec<(usize, usize)>) -> bool {
    let [first, others @ ..] = paths else {
        return false;
    };
    if others.is_empty() {
        return first.len() == known.len();
    }
    let holds = |path: &Path, truth: (usize, usize)| {
        let at = path.binary_search_by_key(&truth, |l| l.truth).ok()?;
        path.get(at).map(|l| l.holds)
    };
    // What all of them ask for, as the root does.
    let mut asked = first.iter().map(|l| l.truth);
    let root = asked
        .find(|truth| !known.contains(truth) && others.iter().all(|p| holds(p, *truth).is_some()));
    let Some(root) = root else {
        return false;
    };
    known.push(root);
    let (yes, no): (Vec<&Path>, Vec<&Path>) = paths
        .iter()
        .copied()
        .partition(|p| holds(p, root) == Some(true));
    let found = is_tree(&yes, known) && is_tree(&no, known);
    known.pop();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(literals: &[i32]) -> Path {
        let literal = |l: &i32| Literal {
            truth: (0, l.unsigned_abs() as usize),
            holds: *l > 0,
        };
        let mut path: Path = literals.iter().map(literal).collect();
        path.sort();
        path
    }

    #[test]
    fn trees_are_found_in_a_row_of_paths() {
        let list: Vec<Path> = [
            // A tree, a path that belongs to none, a stump and two more.
            &[1, 2][..],
            &[1, -2, 3],
            &[1, -2, -3],
            &[-1],
            &[4, 5, 6],
            &[7],
            &[-7],
            &[1, 2],
            &[1, 3],
        ]
        .map(path)
        .to_vec();
        let list: Vec<&Path> = list.iter().collect();
        assert_eq!(trees(&list), [0..4, 5..7]);
    }

    #[test]
    fn paths_that_overlap_are_no_tree() {
        // As many cases as there are, but 1 and 2 may hold together.
        let list: Vec<Path> = [&[1, 2][..], &[1, -2], &[-2, 3], &[2, -3]]
            .map(path)
            .to_vec();
        let list: Vec<&Path> = list.iter().collect();
        assert!(trees(&list).is_empty());
    }
}
