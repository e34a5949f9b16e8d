//! Every value as a linear form of independent sources: fresh inputs and outputs of bootstraps.
//!
//! Variances add up over independent values alone, and intervals lose what cancels: both are right only when a value
//! that reaches a sum on two ways is counted once. So linear steps are composed back to their sources.

use super::{Matrix, noise};
use crate::integer::TfheSet;
use std::collections::BTreeMap;

/// The most multiply-adds that composing all linear steps of a plan may take; a plan is a file and may say anything.
const MAX_WORK: u64 = 1 << 31;

/// An element of an input or a bootstrap's output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) lo: i64,
    pub(super) hi: i64,
    /// Values are `lo` plus multiples of this; 0 for a single value.
    pub(super) stride: i64,
    pub(super) log_delta: u32,
    /// The step that made it, and its place there; `None` for an input.
    pub(super) made: Option<(u32, u32)>,
    /// Where its bootstrap made other sources too, the first of them: their errors are no independent ones.
    pub(super) shared: Option<u32>,
    /// Where all there is to it is a sign: the index of its bootstrap from which on it is the other one, and whether that is `hi`.
    pub(super) turn: Option<(i64, bool)>,
}

/// A sum of words of sources, and a constant phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    /// Sources by ascending number, with the factors of their words.
    pub(super) terms: Vec<(u32, i64)>,
    pub(super) constant: i128,
}

/// How the elements of a register are known.
#[derive(Clone, Debug)]
pub(super) enum Elements {
    /// They are the sources from this number on.
    Sources(u32),
    /// They are sums.
    Forms(Vec<Form>),
}

impl Elements {
    pub(super) fn form(&self, element: usize) -> Form {
        match self {
            Elements::Sources(base) => Form {
                terms: vec![(base.saturating_add(element as u32), 1)],
                constant: 0,
            },
            Elements::Forms(forms) => forms.get(element).cloned().unwrap_or_default(),
        }
    }
}

/// What a form may be: phases, unreduced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Phases {
    pub(super) lo: i128,
    pub(super) hi: i128,
    /// Values are `lo` plus multiples of this; 0 for a single value.
    pub(super) stride: i128,
}

impl Phases {
    /// The same values, which are known to lie between two ends: these move inwards to the next of the values.
    pub(super) fn within(self, (lo, hi): (i128, i128)) -> Option<Phases> {
        let stride = self.stride.max(1);
        let up = |phase: i128| {
            let steps = phase.checked_sub(self.lo)?.checked_add(stride - 1)?;
            self.lo.checked_add(steps.div_euclid(stride) * stride)
        };
        Some(Phases {
            lo: up(lo.max(self.lo))?,
            hi: up(hi.min(self.hi).checked_sub(stride - 1)?)?,
            stride: self.stride,
        })
    }
}

impl Phases {
    /// What is among these values or among others: as many as both, and what lies between on the grid that both share.
    pub(super) fn or(self, other: Phases) -> Option<Phases> {
        let apart = other.lo.checked_sub(self.lo)?;
        Some(Phases {
            lo: self.lo.min(other.lo),
            hi: self.hi.max(other.hi),
            stride: gcd(gcd(self.stride, other.stride), apart),
        })
    }
}

impl Form {
    /// The form times `factor / 2^shift`; `None` where it is no sum of whole words, or overflows.
    pub(super) fn times(&self, factor: i128, shift: u32) -> Option<Form> {
        let unit = 1_i128.checked_shl(shift)?;
        let scaled = |weight: i128| {
            let product = weight.checked_mul(factor)?;
            (product % unit == 0).then_some(product / unit)
        };
        let term = |(id, weight): &(u32, i64)| {
            let weight = scaled(i128::from(*weight))?;
            Some((*id, i64::try_from(weight).ok()?))
        };
        let terms: Option<Vec<(u32, i64)>> = self.terms.iter().map(term).collect();
        let mut terms = terms?;
        terms.retain(|(_, weight)| *weight != 0);
        Some(Form {
            terms,
            constant: scaled(self.constant)?,
        })
    }

    /// The factor of a source, if it is in the form.
    pub(super) fn weight(&self, source: u32) -> Option<i64> {
        let found = self.terms.binary_search_by_key(&source, |term| term.0);
        self.terms.get(found.ok()?).map(|term| term.1)
    }

    /// Adds `factor` times another form; `None` where a weight overflows.
    pub(super) fn plus(&self, other: &Form, factor: i64) -> Option<Form> {
        let mut terms = Vec::with_capacity(self.terms.len() + other.terms.len());
        let (mut left, mut right) = (self.terms.iter().peekable(), other.terms.iter().peekable());
        loop {
            let next = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some(l), Some(r)) if l.0 == r.0 => {
                    let sum = l.1.checked_add(r.1.checked_mul(factor)?)?;
                    let id = l.0;
                    left.next();
                    right.next();
                    (id, sum)
                }
                (Some(l), r) if r.is_none_or(|r| l.0 < r.0) => {
                    let term = **l;
                    left.next();
                    term
                }
                (_, Some(r)) => {
                    let term = (r.0, r.1.checked_mul(factor)?);
                    right.next();
                    term
                }
                (Some(_), None) => break,
            };
            if next.1 != 0 {
                terms.push(next);
            }
        }
        let constant = other.constant.checked_mul(i128::from(factor))?;
        Some(Form {
            terms,
            constant: self.constant.checked_add(constant)?,
        })
    }

    /// The interval of the form, sources taken as independent but for signs that one bootstrap tells: these turn one after the
    /// other as its index grows. `None` where it overflows.
    pub(super) fn phases(&self, sources: &[Source]) -> Option<Phases> {
        let (mut lo, mut hi, mut stride) = (self.constant, self.constant, 0_i128);
        // For each bootstrap, what its signs sum up to at the smallest index, and by how much each turn changes that.
        let mut signs: BTreeMap<u32, (i128, Vec<(i64, i128)>)> = BTreeMap::new();
        for (id, weight) in &self.terms {
            let source = sources.get(*id as usize)?;
            let unit = i128::from(*weight).checked_mul(1_i128 << source.log_delta)?;
            let (a, b) = (
                unit.checked_mul(i128::from(source.lo))?,
                unit.checked_mul(i128::from(source.hi))?,
            );
            stride = gcd(stride, unit.checked_mul(i128::from(source.stride))?);
            if let (Some(first), Some((index, rises))) = (source.shared, source.turn) {
                let (before, after) = if rises { (a, b) } else { (b, a) };
                let (sum, turns) = signs.entry(first).or_default();
                *sum = sum.checked_add(before)?;
                turns.push((index, after.checked_sub(before)?));
                continue;
            }
            lo = lo.checked_add(a.min(b))?;
            hi = hi.checked_add(a.max(b))?;
        }
        for (mut sum, mut turns) in signs.into_values() {
            turns.sort_unstable();
            let (mut least, mut most) = (sum, sum);
            for together in turns.chunk_by(|a, b| a.0 == b.0) {
                for (_, change) in together {
                    sum = sum.checked_add(*change)?;
                }
                (least, most) = (least.min(sum), most.max(sum));
            }
            lo = lo.checked_add(least)?;
            hi = hi.checked_add(most)?;
        }
        Some(Phases { lo, hi, stride })
    }

    /// The variance of the form's error, at most: whatever the errors of one bootstrap's outputs have in common, the
    /// deviation of their sum is not above the sum of their deviations.
    pub(super) fn variance(&self, sources: &[Source], set: &TfheSet) -> f64 {
        let (mut fresh, mut made) = (0.0, 0.0);
        let mut together: BTreeMap<u32, f64> = BTreeMap::new();
        for (id, weight) in &self.terms {
            let weight = (*weight as f64).abs();
            let Some(source) = sources.get(*id as usize) else {
                continue;
            };
            match (source.made, source.shared) {
                (None, _) => fresh += weight * weight,
                (Some(_), None) => made += weight * weight,
                (Some(_), Some(first)) => *together.entry(first).or_default() += weight,
            }
        }
        made += together.values().map(|sum| sum * sum).sum::<f64>();
        fresh * noise::fresh(set) + made * noise::bootstrap(set)
    }
}

/// The greatest common divisor; that of 0 and a number is the number.
pub(super) fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    // Strides are powers of two before long, and divisions of such wide numbers take most of the time.
    if a.is_power_of_two() && b & (a - 1) == 0 {
        b = 0;
    }
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i128::try_from(a).unwrap_or(i128::MAX)
}

/// The forms of a linear step's rows. `operands` are the registers with their lengths; `spent` counts the work of the
/// whole plan.
///
/// # Errors
/// In words, a weight that overflows or too much work.
pub(super) fn compose(
    matrix: &Matrix,
    operands: &[(&Elements, usize)],
    log_delta: u32,
    spent: &mut u64,
) -> Result<Vec<Form>, String> {
    let mut starts = Vec::with_capacity(operands.len());
    let mut columns = 0;
    for (_, length) in operands {
        starts.push(columns);
        columns += length;
    }
    let row = |row: usize| -> Result<Form, String> {
        let mut terms: Vec<(u32, i64)> = Vec::new();
        let bias = i128::from(matrix.bias.get(row).copied().unwrap_or(0));
        let mut constant = bias << log_delta;
        for (column, weight) in matrix.row(row) {
            let operand = starts.partition_point(|start| *start <= column) - 1;
            let overflow = || format!("the weights of row {row} overflow");
            let (Some((elements, _)), Some(start)) = (operands.get(operand), starts.get(operand))
            else {
                continue;
            };
            match elements {
                Elements::Sources(base) => {
                    terms.push((base.saturating_add((column - start) as u32), weight));
                }
                Elements::Forms(forms) => {
                    let Some(form) = forms.get(column - start) else {
                        continue;
                    };
                    for (id, inner) in &form.terms {
                        terms.push((*id, inner.checked_mul(weight).ok_or_else(overflow)?));
                    }
                    let shift = form.constant.checked_mul(i128::from(weight));
                    constant = shift
                        .and_then(|s| constant.checked_add(s))
                        .ok_or_else(overflow)?;
                }
            }
        }
        *spent = spent.saturating_add(terms.len() as u64 + 1);
        if *spent > MAX_WORK {
            return Err(
                "the linear steps are too large to be checked: merge those that follow one another"
                    .into(),
            );
        }
        merged(terms, constant).ok_or_else(|| format!("the weights of row {row} overflow"))
    };
    (0..matrix.rows()).map(row).collect()
}

/// A form of terms in any order.
fn merged(mut terms: Vec<(u32, i64)>, constant: i128) -> Option<Form> {
    if !terms.is_sorted_by(|a, b| a.0 < b.0) {
        terms.sort_unstable_by_key(|(id, _)| *id);
        let mut out: Vec<(u32, i64)> = Vec::with_capacity(terms.len());
        for (id, weight) in terms {
            match out.last_mut() {
                Some(last) if last.0 == id => last.1 = last.1.checked_add(weight)?,
                _ => out.push((id, weight)),
            }
        }
        out.retain(|(_, weight)| *weight != 0);
        terms = out;
    }
    Some(Form { terms, constant })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(lo: i64, hi: i64, stride: i64) -> Source {
        Source {
            lo,
            hi,
            stride,
            log_delta: 2,
            made: None,
            shared: None,
            turn: None,
        }
    }

    #[test]
    fn signs_that_one_bootstrap_tells_turn_one_after_the_other() {
        let sign = |shared, turn| Source {
            made: Some((0, 0)),
            shared,
            turn,
            ..source(-1, 1, 2)
        };
        let one = |index| sign(Some(0), Some((index, true)));
        let sources = [
            one(-1),
            one(-4),
            sign(Some(0), Some((-4, false))),
            sign(None, Some((0, true))),
        ];
        let ends = |weights: [i64; 4]| {
            let form = Form {
                terms: (0..4).zip(weights).filter(|(_, w)| *w != 0).collect(),
                constant: 8,
            };
            let phases = form.phases(&sources).unwrap();
            assert_eq!(phases.stride, 8);
            // In units of a weight.
            ((phases.lo - 8) / 4, (phases.hi - 8) / 4)
        };
        // From -4 on the second is 1, from -1 on the first too.
        assert_eq!(ends([1, 1, 0, 0]), (-2, 2));
        assert_eq!(ends([1, -1, 0, 0]), (-2, 0));
        assert_eq!(ends([-1, 1, 0, 0]), (0, 2));
        // Two that turn at one index never differ from what they are together.
        assert_eq!(ends([0, 1, 1, 0]), (0, 0));
        assert_eq!(ends([0, 1, -1, 0]), (-2, 2));
        // Others turn when they please.
        assert_eq!(ends([-1, 1, 0, 1]), (-1, 3));
    }

    #[test]
    fn outputs_of_one_bootstrap_count_as_one() {
        let made = |place, shared| Source {
            made: Some((0, place)),
            shared,
            ..source(0, 1, 1)
        };
        let sources = [
            source(0, 1, 1),
            made(0, Some(1)),
            made(1, Some(1)),
            made(0, None),
        ];
        let form = |weights: [i64; 4]| Form {
            terms: (0..4).zip(weights).collect(),
            constant: 0,
        };
        let set = crate::integer::SETS[0];
        let units = |weights| {
            form(weights).variance(&sources, &set) / crate::integer::noise::bootstrap(&set)
        };
        // Two of one bootstrap may be off alike, to whatever side.
        assert!((units([0, 2, -3, 0]) - 25.0).abs() < 1e-9);
        assert!((units([0, 2, 0, 3]) - 13.0).abs() < 1e-9);
        assert!(units([5, 0, 0, 0]) < 1e-9);
    }

    #[test]
    fn equal_sources_cancel_and_add_up() {
        let sources = [source(0, 3, 1), source(-2, 2, 2)];
        let x = Elements::Sources(0);
        let minus = Matrix::from_rows("m", 2, [(vec![(0, 1), (1, -1)], 1)]).unwrap();
        let first = Elements::Forms(compose(&minus, &[(&x, 2)], 2, &mut 0).unwrap());
        let difference = first.form(0);
        assert_eq!(difference.terms, [(0, 1), (1, -1)]);
        let phases = difference.phases(&sources).unwrap();
        // 0..3 minus -2..2, plus 1, in units of 4.
        let expected = Phases {
            lo: -4,
            hi: 24,
            stride: 4,
        };
        assert_eq!(phases, expected);
        // (x - y + 1) + y is x + 1, with the variance of x alone.
        let plus = Matrix::from_rows("p", 3, [(vec![(0, 1), (2, 1)], 0)]).unwrap();
        let sum = compose(&plus, &[(&first, 1), (&x, 2)], 2, &mut 0).unwrap();
        assert_eq!(
            sum[0],
            Form {
                terms: vec![(0, 1)],
                constant: 4
            }
        );
        assert_eq!(
            difference.plus(&Elements::Sources(1).form(0), 1),
            Some(sum[0].clone())
        );
        let set = crate::integer::SETS[0];
        let ratio = difference.variance(&sources, &set) / sum[0].variance(&sources, &set);
        assert!((ratio - 2.0).abs() < 1e-12);
    }

    #[test]
    fn overflows_are_refused() {
        let large = Matrix::from_rows("l", 1, [(vec![(0, i64::MAX)], 0)]).unwrap();
        let first =
            Elements::Forms(compose(&large, &[(&Elements::Sources(0), 1)], 0, &mut 0).unwrap());
        let twice = Matrix::from_rows("t", 1, [(vec![(0, 2)], 0)]).unwrap();
        assert!(compose(&twice, &[(&first, 1)], 0, &mut 0).is_err());
        let mut spent = MAX_WORK;
        assert!(compose(&twice, &[(&Elements::Sources(0), 1)], 0, &mut spent).is_err());
        assert!(first.form(0).plus(&first.form(0), 1).is_none());
    }

    #[test]
    fn unions_lie_on_the_grid_of_both() {
        let phases = |lo, hi, stride| Phases { lo, hi, stride };
        assert_eq!(phases(0, 12, 4).or(phases(2, 8, 6)), Some(phases(0, 12, 2)));
        assert_eq!(
            phases(5, 5, 0).or(phases(-7, -7, 0)),
            Some(phases(-7, 5, 12))
        );
        assert_eq!(phases(5, 5, 0).or(phases(5, 5, 0)), Some(phases(5, 5, 0)));
    }

    #[test]
    fn parts_of_forms_are_whole_or_nothing() {
        let form = Form {
            terms: vec![(0, 4), (3, -8)],
            constant: 16,
        };
        let half = Form {
            terms: vec![(0, -6), (3, 12)],
            constant: -24,
        };
        assert_eq!(form.times(-3, 1), Some(half));
        assert_eq!((form.times(1, 3), form.times(1, 200)), (None, None));
        assert_eq!(form.times(0, 0), Some(Form::default()));
    }

    #[test]
    fn divisors() {
        assert_eq!((gcd(0, -6), gcd(-4, 6), gcd(0, 0)), (6, 2, 0));
    }
}
