//! How often values occur: a histogram over a domain.

use cipherloom_ir::Range;

/// Bins of a histogram.
const BINS: usize = 512;
/// A bin counts at most so many times the mean, so that one value that occurs very often (padding, say) does not
/// outweigh all others.
const CAP: f64 = 64.0;

/// The density of values over a domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    domain: Range,
    bins: Vec<f64>,
    outside: f64,
    count: f64,
}

impl Density {
    /// No value yet, over a domain of positive width.
    pub fn new(domain: Range) -> Self {
        Self {
            domain,
            bins: vec![0.0; BINS],
            outside: 0.0,
            count: 0.0,
        }
    }

    /// Counts values; those outside of the domain are counted apart.
    pub fn add(&mut self, values: &[f64]) {
        let scale = BINS as f64 / (self.domain.hi - self.domain.lo);
        for value in values {
            let at = (value - self.domain.lo) * scale;
            self.count += 1.0;
            if (0.0..=BINS as f64).contains(&at) {
                self.bins[(at as usize).min(BINS - 1)] += 1.0;
            } else {
                self.outside += 1.0;
            }
        }
    }

    /// The number of values.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// The bins' centres and the shares of the values that they hold.
    pub fn shares(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let width = (self.domain.hi - self.domain.lo) / BINS as f64;
        let total = self.count.max(1.0);
        let centre = move |i: usize| self.domain.lo + (i as f64 + 0.5) * width;
        self.bins
            .iter()
            .enumerate()
            .map(move |(i, n)| (centre(i), n / total))
    }

    /// A weight function relative to its largest value, smoothed over neighbouring bins: it is 1 where most values are,
    /// and 0 where none is.
    pub fn weight(&self) -> impl Fn(f64) -> f64 + '_ {
        let cap = CAP * self.count / BINS as f64;
        let bin = |i: usize| self.bins.get(i).map_or(0.0, |n| n.min(cap));
        let smooth: Vec<f64> = (0..BINS)
            .map(|i| 0.5 * bin(i) + 0.25 * (bin(i.wrapping_sub(1)) + bin(i + 1)))
            .collect();
        let largest = smooth.iter().copied().fold(0.0, f64::max);
        let scale = BINS as f64 / (self.domain.hi - self.domain.lo);
        move |x| {
            let at = ((x - self.domain.lo) * scale).clamp(0.0, (BINS - 1) as f64);
            if largest > 0.0 {
                smooth[at as usize] / largest
            } else {
                1.0
            }
        }
    }

    /// The root of the mean square of `error` over the values inside of the domain, with one argument per bin.
    pub fn rms(&self, error: &dyn Fn(f64) -> f64) -> f64 {
        let inside = (self.count - self.outside).max(1.0);
        let sum: f64 = self
            .shares()
            .filter(|(_, share)| *share > 0.0)
            .map(|(x, share)| share * error(x) * error(x))
            .sum();
        libm::sqrt(sum * self.count / inside)
    }
}
