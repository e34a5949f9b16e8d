//! How much of the torus each element of a lookup's result takes.

use super::intervals::Intervals;
use super::layers::Layers;
use super::statistics::Spread;
use rayon::prelude::*;

/// The smallest amplitude that is tried, as a power of two.
const LEAST: f64 = 13.0;
/// The amplitudes that are tried, in steps of this part of a power of two.
const STEPS: f64 = 4.0;
/// So many readers of an element are weighed, at most: of more, some that stand at equal distances.
const WEIGHED: usize = 256;
/// Amplitudes are tried under which one of so many weights is one of so many small integers: it is not rounded then.
const WHOLE: (usize, i32) = (12, 4);
/// So many weights of all elements of one bootstrap, at most.
const MOST_WHOLE: usize = 48;

/// The least variance of truth values: what no sample shows, as a leaf that none reaches, counts as if one of a thousand did.
pub(super) const LEAST_OF_TRUTHS: f64 = 1e-3;

/// What is known of a value beside its readers.
pub(super) struct Known<'a> {
    /// The variance of its noise.
    pub(super) bootstrap: f64,
    /// The least variance of its elements, as a part of their range.
    pub(super) least: f64,
    /// Its elements by the bootstraps that they come from.
    pub(super) groups: &'a [Vec<usize>],
}

/// What is read of a value: for each element the weights that the rows of layers give it, over its whole range, as parts
/// of the torus, and how much an error counts there.
pub(super) struct Readers(Vec<Vec<(f64, f64)>>);

impl Readers {
    pub(super) fn of(value: usize, len: usize, layers: &Layers<'_>, intervals: &Intervals) -> Self {
        let mut readers = vec![vec![]; len];
        for layer in layers.iter().filter(|l| l.reads(value)) {
            let rows = layer.gains.iter().zip(&layer.variances);
            let signal: f64 = rows.map(|(gain, variance)| gain * gain * variance).sum();
            let count = 1.0 / (signal + f64::MIN_POSITIVE);
            for (_, matrix) in layer.pending.terms.iter().filter(|(v, _)| *v == value) {
                for (row, gain) in layer.gains.iter().enumerate() {
                    for (column, weight) in matrix.row(row) {
                        let (lo, hi) = intervals.of(value, column);
                        readers[column].push((gain * weight * (hi - lo), count));
                    }
                }
            }
        }
        readers.iter_mut().for_each(|list| {
            list.retain(|(weight, _)| *weight != 0.0);
            let step = list.len().div_ceil(WEIGHED).max(1);
            let mut place = 0..;
            list.retain(|_| place.next().is_some_and(|i: usize| i.is_multiple_of(step)));
        });
        Self(readers)
    }

    /// The amplitude of each element at which rounded weights and noise together bring the smallest error. Elements of one bootstrap,
    /// as in `groups`, have one.
    pub(super) fn amplitudes(&self, spreads: &[Spread], known: Known<'_>) -> Vec<f64> {
        let steps = ((LEAST - 1.0) * STEPS) as i32;
        let one = |group: &Vec<usize>| {
            let usual = (0..=steps).map(|i| libm::exp2(-1.0 - f64::from(i) / STEPS));
            let whole = group.iter().flat_map(|e| self.0[*e].iter().take(WHOLE.0));
            let whole = whole.take(MOST_WHOLE);
            let whole =
                whole.flat_map(|(weight, _)| (1..=WHOLE.1).map(|k| weight.abs() / f64::from(k)));
            let whole = whole.filter(|a| (libm::exp2(-LEAST)..=0.5).contains(a));
            let mut best = (0.5, f64::INFINITY);
            for amplitude in usual.chain(whole) {
                let errors = group.iter().map(|e| {
                    let spread = relative(&spreads[*e], known.least);
                    error(&self.0[*e], amplitude, (spread, known.bootstrap))
                });
                let error = errors.sum();
                if error < best.1 {
                    best = (amplitude, error);
                }
            }
            best.0
        };
        let found: Vec<f64> = known.groups.par_iter().map(one).collect();
        let mut amplitudes = vec![0.5; self.0.len()];
        for (group, found) in known.groups.iter().zip(found) {
            group.iter().for_each(|e| amplitudes[*e] = found);
        }
        amplitudes
    }
}

/// The variance of an element as a part of its range, at least so much.
fn relative(spread: &Spread, least: f64) -> f64 {
    let width = spread.hi - spread.lo;
    if width > 0.0 {
        least.max(spread.variance / (width * width))
    } else {
        least
    }
}

/// What rounded weights and noise bring to the rows that read an element.
fn error(readers: &[(f64, f64)], amplitude: f64, (spread, bootstrap): (f64, f64)) -> f64 {
    let one = |(weight, count): &(f64, f64)| {
        let exact = weight / amplitude;
        let rounded = libm::round(exact);
        let part = (exact - rounded) * amplitude;
        (part * part * spread + rounded * rounded * bootstrap) * count
    };
    readers.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(groups: &[Vec<usize>]) -> Known<'_> {
        Known {
            bootstrap: 1e-8,
            least: 0.0,
            groups,
        }
    }

    #[test]
    fn one_reader_takes_a_whole_weight() {
        let spread = Spread {
            lo: 0.0,
            hi: 1.0,
            mean: 0.5,
            variance: 0.1,
        };
        let found = Readers(vec![vec![(0.03, 1.0)]]).amplitudes(&[spread], known(&[vec![0]]));
        assert_eq!(found, [0.03]);
        // Weights that fit no common unit are smaller than their range, and larger than noise.
        let several = vec![(0.03, 1.0), (-0.0171, 1.0), (0.0223, 1.0)];
        let found = Readers(vec![several]).amplitudes(&[spread], known(&[vec![0]]))[0];
        assert!(found < 0.01 && found > 1e-4, "{found}");
    }

    #[test]
    fn what_no_sample_shows_keeps_its_weight() {
        let spread = Spread {
            lo: 0.0,
            hi: 0.0,
            mean: 0.0,
            variance: 0.0,
        };
        let readers = Readers(vec![vec![(0.03, 1.0)]]);
        let groups = [vec![0]];
        let of = |least| {
            let known = Known {
                least,
                ..known(&groups)
            };
            libm::round(0.03 / readers.amplitudes(&[spread], known)[0])
        };
        assert_eq!((of(0.0), of(LEAST_OF_TRUTHS)), (0.0, 1.0));
    }

    #[test]
    fn elements_of_one_bootstrap_have_one_amplitude() {
        let spread = Spread {
            lo: 0.0,
            hi: 1.0,
            mean: 0.5,
            variance: 0.1,
        };
        let readers = Readers([0.3, 0.06, 0.2].map(|w| vec![(w, 1.0)]).to_vec());
        let groups = [vec![0, 1], vec![2]];
        let found = readers.amplitudes(&[spread; 3], known(&groups));
        // The smaller weight is whole too.
        assert!((found[0] - 0.06).abs() < 1e-12 && found[1] == found[0]);
        assert_eq!(found[2], 0.2);
    }
}
