//! Where the elements of a tensor lie in the slots of one or several ciphertexts.

use crate::value::element_count;
use std::collections::BTreeSet;

/// A packing: every element of a tensor has one slot within a vector whose length is a power of two (the
/// *period*) times the number of ciphertexts; each ciphertext's vector is repeated to fill all its slots.
///
/// Slots that hold no element hold zero or, after a linear transform with fewer rows than the period, copies.
/// Linear transforms never read them: the matrix has no entry there.
///
/// With several samples in a run, each slot of the period is a block of as many consecutive slots, one for each
/// sample: the element at `slot` of sample s lies in slot `slot * samples + s`. All samples go through the same
/// operations, rotations by multiples of `samples`; with a period of 1 every element has a ciphertext of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layout {
    /// The tensor's shape.
    pub shape: Vec<usize>,
    /// The period of each ciphertext's slot vector, a power of two, at most the number of slots.
    pub period: usize,
    /// The number of ciphertexts.
    pub ciphertexts: usize,
    /// The samples that lie side by side, a power of two.
    pub samples: usize,
    /// For each element, row by row: `ciphertext * period + slot`, no two alike.
    pub positions: Vec<u32>,
}

impl Layout {
    /// The row-major layout in one or several ciphertexts of at most `slots` slots.
    pub fn dense(shape: Vec<usize>, slots: usize) -> Self {
        let count: usize = shape.iter().product();
        let period = count.max(1).next_power_of_two().min(slots);
        Self {
            shape,
            period,
            ciphertexts: count.div_ceil(period).max(1),
            samples: 1,
            positions: (0..count as u32).collect(),
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether the tensor has no element.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Whether the elements of a value in this layout can be summed up to one in the other by sums of ciphertexts and
    /// rotations: every element has the slot of an element there, up to multiples of that layout's length.
    pub fn folds_onto(&self, to: &Layout) -> bool {
        let length = |l: &Layout| l.period.checked_mul(l.ciphertexts);
        let (Some(own), Some(length)) = (length(self), length(to)) else {
            return false;
        };
        let fits = length > 0
            && own > length
            && own.is_multiple_of(length)
            && (own / length).is_power_of_two()
            && (to.ciphertexts == 1 || to.period == self.period)
            && to.samples == self.samples;
        let mut there = to.positions.clone();
        there.sort_unstable();
        let lands = |p: &u32| {
            there
                .binary_search(&((*p as usize % length) as u32))
                .is_ok()
        };
        fits && self.positions.iter().all(lands)
    }

    /// Where some elements lie, as a tensor of their own: in their slots of the ciphertexts that hold one of them. `None`
    /// where an element does not exist.
    pub fn view(&self, elements: &[u32], shape: Vec<usize>) -> Option<Self> {
        let held = self.holders(elements)?;
        let position = |e: &u32| {
            let (ciphertext, slot) = self.place(*self.positions.get(*e as usize)?);
            let kept = held.binary_search(&ciphertext).ok()?;
            u32::try_from(kept * self.period + slot).ok()
        };
        Some(Self {
            shape,
            ciphertexts: held.len(),
            positions: elements.iter().map(position).collect::<Option<_>>()?,
            ..*self
        })
    }

    /// The ciphertexts that hold one of these elements, ascending. `None` where an element does not exist.
    pub fn holders(&self, elements: &[u32]) -> Option<Vec<usize>> {
        let holder = |e: &u32| Some(self.place(*self.positions.get(*e as usize)?).0);
        let held: Option<BTreeSet<usize>> = elements.iter().map(holder).collect();
        Some(held?.into_iter().collect())
    }

    /// The slot vectors (one of length `period` per ciphertext) that hold the values; other slots are zero.
    /// `None` where the number of values is not the number of elements.
    pub fn pack(&self, values: &[f64]) -> Option<Vec<Vec<f64>>> {
        if values.len() != self.positions.len() {
            return None;
        }
        let mut slots = vec![vec![0.0; self.period]; self.ciphertexts];
        for (value, position) in values.iter().zip(&self.positions) {
            let (ciphertext, slot) = (
                *position as usize / self.period,
                *position as usize % self.period,
            );
            *slots.get_mut(ciphertext)?.get_mut(slot)? = *value;
        }
        Some(slots)
    }

    /// The slot vectors (one of length `period * samples` per ciphertext) of several samples, at most
    /// [`Self::samples`], one after another; slots without a value hold `filler` where an element of a missing
    /// sample would lie, and zero elsewhere.
    pub fn pack_all(&self, values: &[f64], filler: f64) -> Option<Vec<Vec<f64>>> {
        let count = self.positions.len();
        let full = count.checked_mul(self.samples)?;
        if values.len() > full || count == 0 || !values.len().is_multiple_of(count) {
            return None;
        }
        let mut slots = vec![vec![0.0; self.period * self.samples]; self.ciphertexts];
        for (element, position) in self.positions.iter().enumerate() {
            let (ciphertext, slot) = self.place(*position);
            let block = slots.get_mut(ciphertext)?;
            let block = block.get_mut(slot * self.samples..(slot + 1) * self.samples)?;
            for (sample, slot) in block.iter_mut().enumerate() {
                *slot = values
                    .get(sample * count + element)
                    .copied()
                    .unwrap_or(filler);
            }
        }
        Some(slots)
    }

    /// The values of all samples, one sample after another, out of slot vectors at least `period * samples` long.
    pub fn unpack_all(&self, slots: &[Vec<f64>]) -> Option<Vec<f64>> {
        let value = |sample: usize, position: &u32| {
            let (ciphertext, slot) = self.place(*position);
            slots
                .get(ciphertext)?
                .get(slot * self.samples + sample)
                .copied()
        };
        (0..self.samples)
            .flat_map(|sample| self.positions.iter().map(move |p| value(sample, p)))
            .collect()
    }

    /// The ciphertext and the slot of its period for a position.
    fn place(&self, position: u32) -> (usize, usize) {
        let (position, period) = (position as usize, self.period.max(1));
        (position / period, position % period)
    }

    /// The values of the elements, row by row, out of slot vectors at least `period` long.
    pub fn unpack(&self, slots: &[Vec<f64>]) -> Option<Vec<f64>> {
        let value = |position: &u32| {
            let (ciphertext, slot) = (
                *position as usize / self.period,
                *position as usize % self.period,
            );
            slots.get(ciphertext)?.get(slot).copied()
        };
        self.positions.iter().map(value).collect()
    }

    /// What is wrong with the layout, for ciphertexts of so many slots.
    pub fn faults(&self, slots: usize) -> Vec<String> {
        let mut faults = Vec::new();
        let width = self.period.checked_mul(self.samples);
        if !self.samples.is_power_of_two() || width.is_none_or(|w| w > slots) {
            faults.push(format!(
                "{} samples of period {} do not divide {slots} slots",
                self.samples, self.period
            ));
        }
        if !self.period.is_power_of_two() || self.period > slots {
            faults.push(format!(
                "the layout's period {} does not divide {slots} slots",
                self.period
            ));
        }
        if self.ciphertexts == 0 {
            faults.push("the layout has no ciphertext".into());
        }
        if element_count(&self.shape) != Some(self.positions.len()) || self.positions.is_empty() {
            faults.push(format!(
                "the layout has {} positions for shape {:?}",
                self.positions.len(),
                self.shape
            ));
        }
        let end = self.period.saturating_mul(self.ciphertexts);
        if self.positions.iter().any(|p| *p as usize >= end) {
            faults.push(format!("a position of the layout is not below {end}"));
        }
        let mut sorted = self.positions.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|w| w[0] == w[1]) {
            faults.push("two elements of the layout have one position".into());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_lie_side_by_side() {
        let mut layout = Layout::dense(vec![1, 3], 2);
        layout.samples = 4;
        assert_eq!(layout.faults(8), Vec::<String>::new());
        assert_eq!(layout.faults(4).len(), 1);
        // Two samples of three elements in two ciphertexts of two blocks of four slots; the others are filled up.
        let slots = layout
            .pack_all(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.5)
            .unwrap();
        assert_eq!(slots[0], [1.0, 4.0, 0.5, 0.5, 2.0, 5.0, 0.5, 0.5]);
        assert_eq!(slots[1], [3.0, 6.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]);
        let back = layout.unpack_all(&slots).unwrap();
        assert_eq!(back[..6], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(back[6..], [0.5; 6]);
        // No whole samples, or too many of them.
        assert_eq!(layout.pack_all(&[1.0; 4], 0.0), None);
        assert_eq!(layout.pack_all(&[1.0; 15], 0.0), None);
        assert_eq!(layout.unpack_all(&slots[..1]), None);
        // One sample lies as it always did.
        layout.samples = 1;
        assert_eq!(
            layout.pack_all(&[1.0, 2.0, 3.0], 9.0),
            layout.pack(&[1.0, 2.0, 3.0])
        );
    }

    #[test]
    fn views_lie_where_their_elements_do() {
        // Six elements in two ciphertexts of period 4.
        let layout = Layout {
            ciphertexts: 2,
            ..Layout::dense(vec![6], 4)
        };
        assert_eq!(layout.holders(&[5, 0]), Some(vec![0, 1]));
        let view = layout.view(&[5, 0], vec![2]).unwrap();
        assert_eq!((view.ciphertexts, &view.positions[..]), (2, &[5, 0][..]));
        // A ciphertext without any of them is left out.
        let view = layout.view(&[5, 4], vec![2]).unwrap();
        assert_eq!((view.ciphertexts, &view.positions[..]), (1, &[1, 0][..]));
        let slots = layout.pack(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(view.unpack(&slots[1..]), Some(vec![6.0, 5.0]));
        assert_eq!(
            (layout.view(&[6], vec![1]), layout.holders(&[6])),
            (None, None)
        );
    }
}
