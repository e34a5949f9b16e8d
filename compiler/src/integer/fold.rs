//! Tables over the whole torus: sums as the samples have them take half of it, and only the largest possible ones the rest.
//!
//! Half a turn further on, a table is read negated. Its numbers are taken relative to the mean of what the function is at both
//! ends of the half, so that the table goes on where it stopped: a ReLU's largest value stays, a square rises further. Sums
//! twice as far apart have half of the noise. Only beyond the range of the samples, with room, is the function another.

use super::coding::Budget;
use super::scalar::Scalar;

/// The range of sums that a table is made for, as a multiple of the samples'.
const ROOM: f64 = 1.5;
/// So much the gains have to grow for it.
const LEAST_GAIN: f64 = 1.2;
/// Places at which the extremes of a function are looked for.
const PLACES: u32 = 256;

/// Rows of which each table covers half of the torus around a middle.
pub(super) struct Fold {
    /// For each row, the sum in the middle of its table.
    pub(super) centres: Vec<f64>,
    /// For each row, which part of the torus a difference of 1 takes.
    pub(super) gains: Vec<f64>,
    /// For each row, the interval of what lookups yield, reflected part included.
    pub(super) results: Vec<(f64, f64)>,
}

/// What rows range over.
pub(super) struct Ranges<'a> {
    /// Of each row over the samples.
    pub(super) usual: &'a [(f64, f64)],
    /// The largest possible ones.
    pub(super) possible: &'a [(f64, f64)],
    /// The clipping range of a row's results.
    pub(super) clip: &'a dyn Fn(usize) -> (f64, f64),
    /// The gains without it.
    pub(super) gains: &'a [f64],
}

impl Fold {
    /// Folded rows, where they gain much by it.
    pub(super) fn of(
        function: &Scalar,
        ranges: &Ranges<'_>,
        budget: &Budget,
        bits: u32,
    ) -> Option<Self> {
        let (reach, entry) = (budget.usual_reach(), libm::exp2(-1.0 - f64::from(bits)));
        let (half, whole) = (0.25 - reach - 2.0 * entry, 0.5 - reach - 3.0 * entry);
        let mut fold = Self {
            centres: vec![],
            gains: vec![],
            results: vec![],
        };
        let mut grown = 0.0;
        let rows = ranges.usual.iter().zip(ranges.possible).zip(ranges.gains);
        for (row, ((usual, possible), plain)) in rows.enumerate() {
            let (centre, width, half) = if function.is_distance() {
                // It goes on as itself, over the whole torus.
                (0.0, possible.1.max(-possible.0), whole)
            } else {
                let (centre, width) = roomy(*usual, *possible);
                (centre, width, half)
            };
            let farthest = (possible.1 - centre).max(centre - possible.0);
            if width <= 0.0 || farthest <= 0.0 || half <= 0.0 {
                return None;
            }
            let gain = (half / width).min(whole / farthest);
            grown += libm::log(gain / plain);
            fold.centres.push(centre);
            fold.gains.push(gain);
            fold.results.push(results(
                function,
                (centre, 0.25 / gain),
                (ranges.clip)(row),
            )?);
        }
        let mean = libm::exp(grown / fold.gains.len().max(1) as f64);
        (mean >= LEAST_GAIN).then_some(fold)
    }
}

/// Middle and half of the width of what sums usually are, with room.
fn roomy(usual: (f64, f64), possible: (f64, f64)) -> (f64, f64) {
    let (middle, room) = (0.5 * (usual.0 + usual.1), 0.5 * ROOM * (usual.1 - usual.0));
    let (lo, hi) = (
        (middle - room).max(possible.0),
        (middle + room).min(possible.1),
    );
    (0.5 * (lo + hi), 0.5 * (hi - lo))
}

/// The interval that is as far from the mean of a function's ends as its values within a clipping range are, in both directions;
/// `None` where it has no values.
fn results(
    function: &Scalar,
    (centre, half): (f64, f64),
    (lo, hi): (f64, f64),
) -> Option<(f64, f64)> {
    let at = |i: u32| {
        let place = 2.0 * f64::from(i) / f64::from(PLACES) - 1.0;
        function.eval(centre + half * place).clamp(lo, hi)
    };
    let middle = 0.5 * (at(0) + at(PLACES));
    let farthest = (0..=PLACES)
        .map(|i| (at(i) - middle).abs())
        .try_fold(0.0, |most, x: f64| x.is_finite().then(|| f64::max(most, x)))?;
    let reach = if farthest > 0.0 {
        farthest
    } else {
        0.5 * (hi - lo)
    };
    Some((middle - reach, middle + reach))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherloom_ir::integer::SETS;
    use cipherloom_ir::tensor::Function;

    #[test]
    fn functions_go_on_where_their_tables_end() {
        let relu = Scalar::function(Function::Relu);
        // The reflected part of a ReLU yields nothing new, that of a square goes twice as far.
        assert_eq!(results(&relu, (0.5, 2.5), (0.0, 10.0)), Some((0.0, 3.0)));
        assert_eq!(results(&relu, (0.5, 2.5), (0.0, 2.0)), Some((0.0, 2.0)));
        let square = Scalar::power(2);
        assert_eq!(results(&square, (0.0, 2.0), (0.0, 9.0)), Some((0.0, 8.0)));
        assert_eq!(results(&relu, (-5.0, 1.0), (0.0, 4.0)), Some((-2.0, 2.0)));
    }

    #[test]
    fn only_rows_with_much_room_are_folded() {
        let budget = Budget::new(SETS[1], -128.0);
        let relu = Scalar::function(Function::Relu);
        let fold = |usual: (f64, f64)| {
            let ranges = Ranges {
                usual: &[usual],
                possible: &[(-10.0, 10.0)],
                clip: &|_| (0.0, 10.0),
                gains: &[0.02],
            };
            Fold::of(&relu, &ranges, &budget, 9)
        };
        // A distance takes the whole torus.
        let ranges = Ranges {
            usual: &[(-9.0, 1.0)],
            possible: &[(-10.0, 8.0)],
            clip: &|_| (0.0, 10.0),
            gains: &[0.02],
        };
        let distance = Scalar::function(Function::Abs);
        let distance = Fold::of(&distance, &ranges, &budget, 9).unwrap();
        assert_eq!(distance.centres, [0.0]);
        assert!(distance.gains[0] > 0.045 && distance.gains[0] < 0.05);
        let narrow = fold((-2.0, 3.0)).unwrap();
        assert_eq!(narrow.centres, [0.5]);
        // Everything possible has its place on the torus, and what is usual on half of it.
        let gain = narrow.gains[0];
        assert!(gain > 0.04 && gain * 10.5 < 0.5 && gain * 1.5 * 2.5 < 0.25);
        assert!(fold((-9.0, 9.0)).is_none());
    }
}
