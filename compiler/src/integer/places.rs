//! The places of elements in the order of their size: each meets each other one, and counts what it lost.

use super::choice::Choice;
use super::error::IntegerError;
use super::network::{Builder, complement, rows};
use crate::lower::network::pending::Pending;
use crate::lower::sparse;
use cipherloom_ir::NodeId;
use cipherloom_ir::circuit::Matrix;

/// Truth values that one lookup counts: as many as the sets for two and two bits tell apart.
const COUNTED: usize = 16;

/// Truth values in rows of so many.
struct Truths {
    bits: Pending,
    each: usize,
}

impl Builder<'_> {
    /// The positions of the `k` largest elements of each lane, the largest first; of equal elements the first comes first, or
    /// the last. Places of a lane stand side by side.
    pub(super) fn places(
        &mut self,
        id: NodeId,
        operand: &Pending,
        lanes: &[Vec<usize>],
        (k, last): (usize, bool),
    ) -> Result<Choice, IntegerError> {
        let size = lanes.first().map_or(0, Vec::len);
        if size < 2 || k == 0 || k > size {
            return Err(self.malformed(id));
        }
        let lost = self.lost(id, operand, lanes, last)?;
        let count = lanes.len() * size;
        // Whether an element is among the first, by how many there are of them.
        let mut among: Vec<Pending> = vec![];
        for place in 0..k {
            among.push(if place + 1 == size {
                everywhere(count)
            } else if size == 2 {
                complement(&lost.bits)
            } else {
                self.at_most(id, &lost, place)?
            });
        }
        let mut holds: Option<Pending> = None;
        for (place, first) in among.iter().enumerate() {
            let here = match place.checked_sub(1).and_then(|p| among.get(p)) {
                Some(before) => first.plus(&before.scaled(-1.0)),
                None => first.clone(),
            };
            // The lanes' elements at this place.
            let to = (0..lanes.len() * k * size).map(|row| {
                let (lane, at, i) = (row / (k * size), row / size % k, row % size);
                (at == place).then_some(lane * size + i)
            });
            let to = sparse::selection(to, count);
            let here = here.map(&to, &vec![0.0; to.rows]);
            holds = Some(holds.map_or(here.clone(), |h| h.plus(&here)));
        }
        let positions = (0..lanes.len() * k * size).map(|row| (row % size) as f64);
        Ok(Choice {
            holds: holds.ok_or_else(|| self.malformed(id))?,
            constants: positions.collect(),
            each: size,
        })
    }

    /// For each element and each other one of its lane, whether the other one comes before it.
    fn lost(
        &mut self,
        id: NodeId,
        operand: &Pending,
        lanes: &[Vec<usize>],
        last: bool,
    ) -> Result<Truths, IntegerError> {
        let operand = self.without_increasing(operand);
        let size = lanes.first().map_or(0, Vec::len);
        let each = size.saturating_mul(size - 1) / 2;
        self.check_lookups(id, each.saturating_mul(lanes.len()))?;
        let mut pairs = vec![];
        for lane in lanes {
            for (i, a) in lane.iter().enumerate() {
                pairs.extend(lane.iter().skip(i + 1).map(|b| (*a, *b)));
            }
        }
        // Of equal elements the first wins, or the last.
        let sign = if last { 1.0 } else { -1.0 };
        let differences = pairs.iter().map(|(a, b)| vec![(*a, sign), (*b, -sign)]);
        let differences = rows(operand.bias.len(), differences);
        let differences = operand.map(&differences, &vec![0.0; differences.rows]);
        let step = self.step(id, &differences)?;
        let first_wins = if last { step } else { complement(&step) };
        let pair = |i: usize, j: usize| i * (2 * size - i - 1) / 2 + j - i - 1;
        let (mut terms, mut offsets) = (vec![], vec![]);
        for lane in 0..lanes.len() {
            for i in 0..size {
                for j in (0..size).filter(|j| *j != i) {
                    let first = i < j;
                    let column = lane * each + pair(i.min(j), i.max(j));
                    terms.push(vec![(column, if first { -1.0 } else { 1.0 })]);
                    offsets.push(if first { 1.0 } else { 0.0 });
                }
            }
        }
        Ok(Truths {
            bits: first_wins.map(&rows(pairs.len(), terms.into_iter()), &offsets),
            each: size - 1,
        })
    }

    /// Whether at most so many of each row hold. Where there are too many for one lookup, groups of them are counted first,
    /// as far as it matters.
    fn at_most(
        &mut self,
        id: NodeId,
        truths: &Truths,
        most: usize,
    ) -> Result<Pending, IntegerError> {
        let each = truths.each;
        let groups = each.div_ceil(COUNTED);
        if groups == 1 || groups * (most + 1) >= each {
            let sums = truths.sums(1, -1.0);
            let offset = vec![most as f64 + 0.5; sums.rows];
            return self.step(id, &truths.bits.map(&sums, &offset));
        }
        let sums = truths.sums(groups, 1.0);
        let (rows, counted) = (sums.rows / groups, groups * (most + 1));
        let mut bits: Option<Pending> = None;
        for count in 0..=most {
            let offset = vec![-(count as f64) - 0.5; sums.rows];
            let more = self.step(id, &truths.bits.map(&sums, &offset))?;
            let to = (0..rows * counted).map(|at| {
                let (row, within) = (at / counted, at % counted);
                (within / groups == count).then_some(row * groups + within % groups)
            });
            let to = sparse::selection(to, sums.rows);
            let more = more.map(&to, &vec![0.0; to.rows]);
            bits = Some(bits.map_or(more.clone(), |b| b.plus(&more)));
        }
        let bits = bits.ok_or_else(|| self.malformed(id))?;
        let each = counted;
        self.at_most(id, &Truths { bits, each }, most)
    }

    /// The operand of increasing functions in place of their results, which are in the same order.
    fn without_increasing(&self, operand: &Pending) -> Pending {
        if let Some(copied) = self.copied(operand)
            && copied.function.is_increasing()
        {
            let sign = if copied.factor < 0.0 { -1.0 } else { 1.0 };
            return copied.argument.scaled(sign);
        }
        operand.clone()
    }
}

impl Truths {
    /// Sums over groups of each row's truth values, times a factor.
    fn sums(&self, groups: usize, factor: f64) -> Matrix {
        let count = self.bits.bias.len();
        let size = self.each.div_ceil(groups.max(1));
        let row = |row: usize, group: usize| {
            let span = (group * size).min(self.each)..((group + 1) * size).min(self.each);
            span.map(|i| (row * self.each + i, factor)).collect()
        };
        let all = 0..count / self.each.max(1);
        let matrix = all.flat_map(|r| (0..groups).map(move |g| (r, g)));
        let matrix = rows(count, matrix.map(|(r, g)| row(r, g)));
        Matrix::clone(&matrix)
    }
}

/// 1 for each element.
fn everywhere(count: usize) -> Pending {
    Pending {
        terms: vec![],
        bias: vec![1.0; count],
        name: String::new(),
    }
}
