//! Largest elements and their positions, by comparisons of two at a time.

use super::error::IntegerError;
use super::network::{Builder, complement, rows, selected};
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

/// Which rows of an operand meet, and which stay.
struct Round {
    pairs: Vec<(usize, usize)>,
    next: Vec<Vec<(usize, f64)>>,
    /// For each row of the next operand, the pair that it comes from.
    from_pair: Vec<Option<usize>>,
    windows: Vec<Vec<usize>>,
}

impl Round {
    fn of(windows: &[Vec<usize>]) -> Self {
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
}

/// `factor * function(argument) + shift`, which grows with the argument.
struct Grown {
    argument: Pending,
    function: Scalar,
    factor: f64,
    shift: f64,
}

impl Builder<'_> {
    /// An operand that grows with the argument of one lookup: the largest of it is that of the largest argument, so that the
    /// function is looked up once for each window.
    fn grown(&self, operand: &Pending) -> Option<Grown> {
        let (value, factor, shift) = operand.as_copies().filter(|(_, factor, _)| *factor > 0.0)?;
        let (inner, function) = self.looked_up(value)?;
        let [(_, copies)] = operand.terms.as_slice() else {
            return None;
        };
        function.grows().then(|| Grown {
            argument: inner.map(&selected(copies), &vec![0.0; copies.rows]),
            function: function.clone(),
            factor,
            shift,
        })
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
            let count = current.bias.len();
            let differences = round.pairs.iter().map(|(a, b)| vec![(*a, 1.0), (*b, -1.0)]);
            let differences = rows(count, differences);
            let differences = current.map(&differences, &vec![0.0; differences.rows]);
            let distances = self.lookup(id, &differences, Scalar::function(Function::Abs))?;
            let halves = round
                .from_pair
                .iter()
                .map(|p| p.iter().map(|p| (*p, 0.5)).collect());
            let halves = rows(round.pairs.len(), halves);
            let zeros = vec![0.0; round.next.len()];
            let distances = distances.map(&halves, &zeros);
            let next = rows(count, round.next.into_iter());
            current = current.map(&next, &zeros).plus(&distances);
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

    /// The position of the largest element of each lane: each element meets each other one, and who wins all is it.
    pub(super) fn position(
        &mut self,
        id: NodeId,
        operand: &Pending,
        lanes: &[Vec<usize>],
        last: bool,
    ) -> Result<Pending, IntegerError> {
        let mut pairs = vec![];
        // For each lane and place in it: the meetings, and whether it is the first of them.
        let mut meetings = vec![];
        for lane in lanes {
            let base = meetings.len();
            meetings.resize(base + lane.len(), vec![]);
            for i in 0..lane.len() {
                for j in i + 1..lane.len() {
                    meetings[base + i].push((pairs.len(), true));
                    meetings[base + j].push((pairs.len(), false));
                    pairs.push((lane[i], lane[j]));
                }
            }
        }
        if pairs.is_empty() {
            return Err(self.malformed(id));
        }
        // Of equal elements the first wins, or the last.
        let sign = if last { 1.0 } else { -1.0 };
        let differences = pairs.iter().map(|(i, j)| vec![(*i, sign), (*j, -sign)]);
        let differences = rows(operand.bias.len(), differences);
        let differences = operand.map(&differences, &vec![0.0; differences.rows]);
        let step = self.step(id, &differences)?;
        let first_wins = if last { step } else { complement(&step) };
        let size = lanes.first().map_or(0, Vec::len);
        let won = if size == 2 {
            // The second of two has won where the first has not.
            let second = complement(&first_wins);
            return Ok(second);
        } else {
            let sums = meetings.iter().map(|m| {
                let sign = |first: bool| if first { 1.0 } else { -1.0 };
                m.iter().map(|(p, first)| (*p, sign(*first))).collect()
            });
            let sums = rows(pairs.len(), sums);
            let offset = |m: &Vec<(usize, bool)>| {
                let lost = m.iter().filter(|(_, first)| !first).count() as f64;
                lost - (size as f64 - 1.0) + 0.5
            };
            let offsets: Vec<f64> = meetings.iter().map(offset).collect();
            self.step(id, &first_wins.map(&sums, &offsets))?
        };
        let places =
            (0..lanes.len()).map(|l| (0..size).map(|k| (l * size + k, k as f64)).collect());
        let places = rows(lanes.len() * size, places);
        Ok(won.map(&places, &vec![0.0; places.rows]))
    }
}
