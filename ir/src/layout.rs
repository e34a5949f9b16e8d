//! Where the elements of a tensor lie in the slots of one or several ciphertexts.

use crate::value::element_count;

/// A packing: every element of a tensor has one slot within a vector whose length is a power of two (the
/// *period*) times the number of ciphertexts; each ciphertext's vector is repeated to fill all its slots.
///
/// Slots that hold no element hold zero or, after a linear transform with fewer rows than the period, copies.
/// Linear transforms never read them: the matrix has no entry there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layout {
    /// The tensor's shape.
    pub shape: Vec<usize>,
    /// The period of each ciphertext's slot vector, a power of two, at most the number of slots.
    pub period: usize,
    /// The number of ciphertexts.
    pub ciphertexts: usize,
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
            && (to.ciphertexts == 1 || to.period == self.period);
        let mut there = to.positions.clone();
        there.sort_unstable();
        let lands = |p: &u32| {
            there
                .binary_search(&((*p as usize % length) as u32))
                .is_ok()
        };
        fits && self.positions.iter().all(lands)
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
