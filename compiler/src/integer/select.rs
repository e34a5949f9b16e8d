//! Largest elements, by comparisons of two at a time.

use super::error::IntegerError;
use super::network::{Builder, rows, selected};
use super::scalar::Scalar;
use crate::lower::network::pending::Pending;
use cipherloom_ir::NodeId;
use cipherloom_ir::tensor::{Function, MaxPool};
use cipherloom_ir::value::element_count;

/// The elements of each window of a pooling, by the elements of its result.
pub(super) fn windows(pool: &MaxPool, from: &[usize], out: &[usize]) -> Option<Vec<Vec<usize>>> {
    let (&[n, c, h, w], &[_, _, oh, ow]) = (from, out) else {
        return None;
    };
    let taps = |axis: usize, size: usize, position: usize| {
        let at = move |k: usize| {
            (position * pool.strides[axis] + k * pool.dilations[axis]).checked_sub(pool.pads[axis])
        };
        (0..pool.kernel[axis])
            .filter_map(at)
            .filter(move |at| *at < size)
    };
    let mut windows = Vec::with_capacity(element_count(out)?);
    for plane in 0..n * c {
        for oy in 0..oh {
            for ox in 0..ow {
                let row = |y: usize| taps(1, w, ox).map(move |x| (plane * h + y) * w + x);
                windows.push(taps(0, h, oy).flat_map(row).collect());
            }
        }
    }
    Some(windows)
}

/// The elements along an axis, for each element of the result.
pub(super) fn lanes(shape: &[usize], axis: usize) -> Option<Vec<Vec<usize>>> {
    let inner = element_count(shape.get(axis + 1..)?)?;
    let (size, outer) = (*shape.get(axis)?, element_count(shape.get(..axis)?)?);
    let lane = |o: usize, i: usize| (0..size).map(move |k| (o * size + k) * inner + i).collect();
    Some(
        (0..outer)
            .flat_map(|o| (0..inner).map(move |i| lane(o, i)))
            .collect(),
    )
}

/// For each element of a shape, its place where the elements along an axis come one after the other, lane by lane.
pub(super) fn by_lanes(shape: &[usize], axis: usize) -> Option<Vec<usize>> {
    let mut places = vec![0; element_count(shape)?];
    for (place, element) in lanes(shape, axis)?.into_iter().flatten().enumerate() {
        *places.get_mut(element)? = place;
    }
    Some(places)
}

/// Which rows of an operand meet, and which stay.
pub(super) struct Round {
    pub(super) pairs: Vec<(usize, usize)>,
    pub(super) next: Vec<Vec<(usize, f64)>>,
    /// For each row of the next operand, the pair that it comes from.
    from_pair: Vec<Option<usize>>,
    pub(super) windows: Vec<Vec<usize>>,
}

impl Round {
    pub(super) fn of(windows: &[Vec<usize>]) -> Self {
        let mut round = Self {
            pairs: vec![],
            next: vec![],
            from_pair: vec![],
            windows: vec![],
        };
        for window in windows {
            let start = round.next.len();
            for pair in window.chunks(2) {
                if let [a, b] = *pair {
                    round.from_pair.push(Some(round.pairs.len()));
                    round.pairs.push((a, b));
                    round.next.push(vec![(a, 0.5), (b, 0.5)]);
                } else {
                    round.from_pair.push(None);
                    round.next.push(pair.iter().map(|a| (*a, 1.0)).collect());
                }
            }
            round.windows.push((start..round.next.len()).collect());
        }
        round
    }

    /// The differences of pairs.
    pub(super) fn differences(&self, current: &Pending) -> Pending {
        let pairs = self.pairs.iter().map(|(a, b)| vec![(*a, 1.0), (*b, -1.0)]);
        let differences = rows(current.bias.len(), pairs);
        current.map(&differences, &vec![0.0; differences.rows])
    }

    /// What goes on: of each pair half of the sum and, times a factor, its distance.
    pub(super) fn joined(&self, current: &Pending, distances: &Pending, factor: f64) -> Pending {
        let of_pair = |p: &Option<usize>| p.iter().map(|p| (*p, factor)).collect();
        let halves = rows(self.pairs.len(), self.from_pair.iter().map(of_pair));
        let zeros = vec![0.0; self.next.len()];
        let next = rows(current.bias.len(), self.next.iter().cloned());
        let distances = distances.map(&halves, &zeros);
        current.map(&next, &zeros).plus(&distances)
    }
}

/// `factor * function(argument) + shift`: copies of what one lookup gives.
pub(super) struct Copied {
    pub(super) argument: Pending,
    pub(super) function: Scalar,
    pub(super) factor: f64,
    shift: f64,
}

impl Builder<'_> {
    /// An operand whose elements are copies of the results of one lookup.
    pub(super) fn copied(&self, operand: &Pending) -> Option<Copied> {
        let (value, factor, shift) = operand.as_copies()?;
        let (inner, function) = self.looked_up(value)?;
        let [(_, copies)] = operand.terms.as_slice() else {
            return None;
        };
        Some(Copied {
            argument: inner.map(&selected(copies), &vec![0.0; copies.rows]),
            function: function.clone(),
            factor,
            shift,
        })
    }

    /// An operand that grows with the argument of one lookup: the largest of it is that of the largest argument, so that the
    /// function is looked up once for each window.
    fn grown(&self, operand: &Pending) -> Option<Copied> {
        let copied = self.copied(operand)?;
        (copied.factor > 0.0 && copied.function.grows()).then_some(copied)
    }

    /// The largest element of each window, by a tournament: `max(a, b) = (a + b + |a - b|) / 2`, whose terms are bounded
    /// more closely than those of `b + relu(a - b)`. All windows play at once.
    pub(super) fn largest(
        &mut self,
        id: NodeId,
        operand: Pending,
        mut windows: Vec<Vec<usize>>,
        smallest: bool,
    ) -> Result<Pending, IntegerError> {
        if windows.iter().any(Vec::is_empty) {
            return Err(self.malformed(id));
        }
        if let Some(found) = self.exact_largest(id, &operand, &windows, smallest)? {
            return Ok(found);
        }
        if let Some(grown) = self.grown(&operand) {
            let found = self.largest(id, grown.argument, windows, smallest)?;
            let mut found = self.lookup(id, &found, grown.function)?;
            found = found.scaled(grown.factor);
            found.bias.iter_mut().for_each(|b| *b += grown.shift);
            return Ok(found);
        }
        let sign = if smallest { -1.0 } else { 1.0 };
        let mut current = operand.scaled(sign);
        while windows.iter().any(|w| w.len() > 1) {
            let round = Round::of(&windows);
            let differences = round.differences(&current);
            let distances = self.lookup(id, &differences, Scalar::function(Function::Abs))?;
            current = round.joined(&current, &distances, 0.5);
            windows = round.windows;
        }
        // What windows of one element left lies where it was.
        let order = rows(
            current.bias.len(),
            windows
                .iter()
                .map(|w| w.iter().map(|i| (*i, 1.0)).collect()),
        );
        Ok(current.map(&order, &vec![0.0; order.rows]).scaled(sign))
    }
}
