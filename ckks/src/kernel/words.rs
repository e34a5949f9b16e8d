//! Residues that are kept for long and streamed often: as 32-bit words where the prime allows it.
//!
//! Keys and diagonals are read from memory far more often than they are computed with; words of half the size take
//! half the time to arrive.

use super::{Buffer, Modulus};

/// A number type that residues are kept in.
pub(crate) trait Word: Copy + Into<u64> {
    /// Whether it has 32 bits; 64 otherwise.
    const NARROW: bool;
}

impl Word for u32 {
    const NARROW: bool = true;
}

impl Word for u64 {
    const NARROW: bool = false;
}

/// Residues modulo one prime.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Words {
    buffer: Buffer,
    narrow: bool,
}

/// A view of residues.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Row<'a> {
    /// Modulo a prime below 2^32.
    Narrow(&'a [u32]),
    /// Modulo any prime.
    Wide(&'a [u64]),
}

impl<'a> Row<'a> {
    /// The residues from a position on.
    pub(crate) fn from(self, at: usize) -> Self {
        match self {
            Row::Narrow(words) => Row::Narrow(&words[at..]),
            Row::Wide(words) => Row::Wide(&words[at..]),
        }
    }
}

impl Row<'_> {
    /// The number of residues.
    pub(crate) fn len(&self) -> usize {
        match self {
            Row::Narrow(words) => words.len(),
            Row::Wide(words) => words.len(),
        }
    }

    /// Writes as many residues as `out` has, from a position on.
    pub(crate) fn copy_to(self, at: usize, out: &mut [u64]) {
        match self {
            Row::Narrow(words) => {
                let words = &words[at..at + out.len()];
                let pairs = out.iter_mut().zip(words);
                pairs.for_each(|(to, from)| *to = u64::from(*from));
            }
            Row::Wide(words) => out.copy_from_slice(&words[at..at + out.len()]),
        }
    }
}

impl Words {
    /// `len` residues of unspecified value: write before you read.
    pub(crate) fn unspecified(modulus: &Modulus, len: usize) -> Self {
        let narrow = modulus.p < 1 << 32;
        Self {
            buffer: Buffer::unspecified(if narrow { len.div_ceil(2) } else { len }),
            narrow,
        }
    }

    /// Writes residues from position `at` on.
    pub(crate) fn write(&mut self, at: usize, residues: &[u64]) {
        if self.narrow {
            let target = &mut self.buffer.narrow_mut()[at..at + residues.len()];
            target
                .iter_mut()
                .zip(residues)
                .for_each(|(word, residue)| *word = *residue as u32);
        } else {
            self.buffer[at..at + residues.len()].copy_from_slice(residues);
        }
    }

    /// All residues.
    pub(crate) fn row(&self) -> Row<'_> {
        if self.narrow {
            Row::Narrow(self.buffer.narrow())
        } else {
            Row::Wide(&self.buffer)
        }
    }

    /// The bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        8 * self.buffer.len()
    }
}
