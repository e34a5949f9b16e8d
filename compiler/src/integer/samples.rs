//! Samples that are made up between the given ones.

use super::statistics::spread;
use cipherloom_ir::{Tensor, Tensors};
use std::collections::BTreeMap;

/// So many are made up in any case where numbers are compared.
const COMPARED: usize = 256;
/// An element with no more values than this over the samples takes no others.
const DISTINCT: usize = 32;

/// What samples tell of an element.
struct Element {
    /// Where it has no negative numbers, or no positive ones, made-up ones have none either.
    ends: (f64, f64),
    /// How far made-up samples may be from given ones.
    width: f64,
    /// The values, ascending, where they are few.
    values: Vec<f64>,
    /// Where all elements take whole numbers alone, the smallest and the largest of them: others are none of theirs.
    whole: Option<(f64, f64)>,
}

/// Samples, and more near them: a smoothed bootstrap (Silverman, "Density estimation", 1986, section 6.4) with uniform
/// kernels, over a low-discrepancy sequence.
///
/// Few samples tell little of how many others are near a border. Where thresholds were learned from the samples, none of
/// them is near.
///
/// There will be `least` of them, without those that are of no use.
pub(super) fn with_made_up(
    samples: Vec<Tensors>,
    least: usize,
    compared: bool,
    of_use: impl Fn(&Tensors) -> bool,
) -> Vec<Tensors> {
    let count = samples.len();
    let wanted = least
        .saturating_sub(count)
        .max(if compared { COMPARED } else { 0 });
    let smoothing = 1.06 * libm::pow(count.max(1) as f64, -0.2) * libm::sqrt(3.0);
    let mut inputs = BTreeMap::new();
    for (name, first) in samples.first().into_iter().flatten() {
        let tensors: Vec<&Tensor> = samples.iter().filter_map(|s| s.get(name)).collect();
        let whole = whole(&tensors);
        let elements = (0..first.len()).map(|e| Element::of(&tensors, e, (smoothing, whole)));
        inputs.insert(name.clone(), elements.collect::<Vec<_>>());
    }
    let mut all = samples;
    for i in 0..wanted {
        let Some(mut sample) = all.get(i % count.max(1)).cloned() else {
            break;
        };
        for (name, tensor) in &mut sample {
            let elements = inputs.get(name).map_or(&[][..], |list| list.as_slice());
            for (e, (x, element)) in tensor.data_mut().iter_mut().zip(elements).enumerate() {
                *x = element.moved(*x, place(i, e));
            }
        }
        if of_use(&sample) {
            all.push(sample);
        }
    }
    all
}

/// The smallest and the largest number, where all of them are whole.
fn whole(tensors: &[&Tensor]) -> Option<(f64, f64)> {
    let numbers = || tensors.iter().flat_map(|t| t.data().iter().copied());
    let found = spread(numbers());
    let whole = numbers().all(|x| x == libm::rint(x));
    whole.then_some((found.lo, found.hi))
}

/// From -1 to 1: additive recurrences of the plastic number.
fn place(sample: usize, element: usize) -> f64 {
    let sum = 0.754_877_666_246_692_7 * (sample + 1) as f64
        + 0.569_840_290_998_053_3 * (element + 1) as f64;
    2.0 * (sum - libm::floor(sum)) - 1.0
}

impl Element {
    fn of(
        tensors: &[&Tensor],
        element: usize,
        (smoothing, whole): (f64, Option<(f64, f64)>),
    ) -> Self {
        let column = || {
            tensors
                .iter()
                .filter_map(|t| t.data().get(element).copied())
        };
        let found = spread(column());
        let mut values: Vec<f64> = column().collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        if values.len() > DISTINCT || 2 * values.len() > tensors.len() {
            values.clear();
        }
        let end = |free: bool, end: f64| if free { end } else { 0.0 };
        Self {
            ends: (
                end(found.lo < 0.0, f64::NEG_INFINITY),
                end(found.hi > 0.0, f64::INFINITY),
            ),
            width: smoothing * libm::sqrt(found.variance),
            values,
            whole,
        }
    }

    fn moved(&self, x: f64, place: f64) -> f64 {
        let moved = (x + place * self.width).clamp(self.ends.0, self.ends.1);
        let nearer = |a: &f64, b: &f64| (a - moved).abs().total_cmp(&(b - moved).abs());
        let nearest = self.values.iter().copied().min_by(nearer);
        nearest.unwrap_or(match self.whole {
            Some((lo, hi)) => libm::rint(moved).clamp(lo, hi),
            None => moved,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_samples_stay_near_and_within() {
        let sample = |i: usize| {
            let data = vec![i as f64 * 0.37 % 1.0, (i % 3) as f64, 5.0];
            Tensors::from([("x".to_owned(), Tensor::from_vec(data))])
        };
        let given: Vec<Tensors> = (0..100).map(sample).collect();
        let all = with_made_up(given.clone(), 512, false, |_| true);
        assert_eq!(all.len(), 512);
        assert_eq!(all[..100], given[..]);
        let element = |i: usize, e: usize| all[i]["x"].data()[e];
        let mean = (100..512).map(|i| element(i, 0)).sum::<f64>() / 412.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
        for i in 100..512 {
            assert!((0.0..=1.2).contains(&element(i, 0)));
            assert!([0.0, 1.0, 2.0].contains(&element(i, 1)));
            assert_eq!(element(i, 2), 5.0);
        }
        assert!((100..512).any(|i| element(i, 0) > 1.0));
        let small = with_made_up(given, 512, false, |s| s["x"].data()[0] <= 0.5);
        assert!(small.len() < 400 && small[100..].iter().all(|s| s["x"].data()[0] <= 0.5));
        let wholes: Vec<Tensors> = (0..8)
            .map(|i| Tensors::from([("x".to_owned(), Tensor::from_vec(vec![f64::from(i), 3.0]))]))
            .collect();
        let made_up = with_made_up(wholes, 64, false, |_| true);
        let numbers = || made_up[8..].iter().map(|s| s["x"].data()[0]);
        assert!(numbers().all(|x| (0.0..=7.0).contains(&x) && x == x.round()));
        assert!(numbers().any(|x| x == 0.0) && numbers().any(|x| x == 7.0));
        // Enough samples are left as they are, unless numbers are compared.
        let many: Vec<Tensors> = (0..600).map(sample).collect();
        assert_eq!(with_made_up(many.clone(), 512, false, |_| true).len(), 600);
        assert_eq!(
            with_made_up(many, 512, true, |_| true).len(),
            600 + COMPARED
        );
    }
}
