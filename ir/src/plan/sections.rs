//! The large arrays of a plan file, outside its protobuf message.
//!
//! Section 1 holds `f64` values, section 2 `f32` values (arrays that are exactly representable), section 3 `u32`
//! indices, all little endian. Arrays are dense, sparse, or runs of equal values (a diagonal of a convolution repeats one
//! weight along each row of an image), whichever is shortest. They do not overlap, and each states its full length, so a
//! reader knows how much it is going to allocate; [`Reader`] refuses what is out of proportion to the file.

use super::PlanError;
use super::proto::{Array, Indices, Layout as WireLayout};
use crate::container::Container;
use crate::layout::Layout;

/// What a reader allocates for arrays at most, whatever the file's size.
const BASE_BUDGET: u64 = 1 << 30;
/// And for each byte of the file.
const BUDGET_PER_BYTE: u64 = 64;
/// What an element of a dense layout counts for: the file holds nothing of it, while every check and packing makes a list
/// of all positions again.
const DENSE_ELEMENT: u64 = 64;

/// Collects arrays.
#[derive(Default)]
pub(crate) struct Writer {
    doubles: Vec<u8>,
    singles: Vec<u8>,
    indices: Vec<u8>,
}

impl Writer {
    /// Stores an array: as runs or non-zero values where these are less than half of what is stored otherwise.
    pub(crate) fn array(&mut self, values: &[f64]) -> Array {
        // A negative zero is stored, so that an array reads back bit for bit.
        let zero = |v: &f64| v.to_bits() == 0;
        let nonzero = values.iter().filter(|v| !zero(v)).count();
        let runs = values.chunk_by(|a, b| a.to_bits() == b.to_bits());
        let short = u32::try_from(values.len()).is_ok();
        let (sparse, count) = (2 * nonzero < values.len() && short, runs.clone().count());
        let runs_are_shorter = 2 * count < values.len().min(2 * nonzero) && short;
        let sparse = sparse && !runs_are_shorter;
        let mut array = Array {
            length: values.len() as u64,
            sparse,
            runs: runs_are_shorter,
            ..Array::default()
        };
        let mut kept: Vec<f64> = Vec::new();
        if array.runs {
            array.index_offset = self.indices.len() as u64 / 4;
            for run in runs {
                self.indices
                    .extend_from_slice(&(run.len() as u32).to_le_bytes());
                kept.extend(run.first());
            }
        } else if sparse {
            array.index_offset = self.indices.len() as u64 / 4;
            for (i, value) in values.iter().enumerate().filter(|(_, v)| !zero(v)) {
                self.indices.extend_from_slice(&(i as u32).to_le_bytes());
                kept.push(*value);
            }
        } else {
            kept.extend_from_slice(values);
        }
        array.stored = kept.len() as u64;
        array.single = kept
            .iter()
            .all(|v| f64::from(*v as f32).to_bits() == v.to_bits());
        if array.single {
            array.offset = self.singles.len() as u64 / 4;
            self.singles
                .extend(kept.iter().flat_map(|v| (*v as f32).to_le_bytes()));
        } else {
            array.offset = self.doubles.len() as u64 / 8;
            self.doubles
                .extend(kept.iter().flat_map(|v| v.to_le_bytes()));
        }
        array
    }

    /// Stores indices; yields their offset.
    pub(crate) fn indices(&mut self, list: &[u32]) -> u64 {
        let offset = self.indices.len() as u64 / 4;
        self.indices
            .extend(list.iter().flat_map(|i| i.to_le_bytes()));
        offset
    }

    /// Stores indices; yields where they are.
    pub(super) fn numbers(&mut self, list: &[u32]) -> Indices {
        Indices {
            offset: self.indices(list),
            count: list.len() as u64,
        }
    }

    /// Stores a layout.
    pub(crate) fn layout(&mut self, layout: &Layout) -> WireLayout {
        let dense = layout
            .positions
            .iter()
            .enumerate()
            .all(|(i, p)| i == *p as usize);
        let index_offset = if dense {
            0
        } else {
            self.indices(&layout.positions)
        };
        WireLayout {
            shape: layout.shape.iter().map(|d| *d as u64).collect(),
            period: layout.period as u64,
            ciphertexts: layout.ciphertexts as u64,
            index_offset,
            count: layout.positions.len() as u64,
            dense,
            more_samples: (layout.samples as u64).wrapping_sub(1),
        }
    }

    /// Sections 1 to 3.
    pub(crate) fn sections(&self) -> [&[u8]; 3] {
        [&self.doubles, &self.singles, &self.indices]
    }
}

/// Gives arrays back.
pub(crate) struct Reader<'a> {
    doubles: &'a [u8],
    singles: &'a [u8],
    indices: &'a [u8],
    /// Where the next array of each section may start, in elements.
    next: [u64; 3],
    /// Bytes that may still be allocated.
    budget: u64,
}

fn bad(what: &str) -> PlanError {
    PlanError::Malformed(what.to_owned())
}

impl<'a> Reader<'a> {
    pub(crate) fn new(container: &Container<'a>, file_length: usize) -> Result<Self, PlanError> {
        Ok(Self {
            doubles: container.section(1)?,
            singles: container.section(2)?,
            indices: container.section(3)?,
            next: [0; 3],
            budget: BASE_BUDGET.saturating_add(BUDGET_PER_BYTE.saturating_mul(file_length as u64)),
        })
    }

    /// The bytes of `count` elements, which must lie behind those that were given out before.
    fn take(&mut self, section: usize, offset: u64, count: u64) -> Result<&'a [u8], PlanError> {
        let (bytes, width) = match section {
            0 => (self.doubles, 8),
            1 => (self.singles, 4),
            _ => (self.indices, 4),
        };
        let next = &mut self.next[section.min(2)];
        if count == 0 {
            return Ok(&[]);
        }
        let end = offset
            .checked_add(count)
            .ok_or_else(|| bad("an array's end overflows"))?;
        if offset < *next {
            return Err(bad("two arrays overlap, or are out of order"));
        }
        let span = offset.checked_mul(width).zip(end.checked_mul(width));
        let span = span.and_then(|(s, e)| Some(usize::try_from(s).ok()?..usize::try_from(e).ok()?));
        let found = span
            .and_then(|s| bytes.get(s))
            .ok_or_else(|| bad("an array lies outside its section"))?;
        *next = end;
        Ok(found)
    }

    fn spend(&mut self, elements: u64, width: u64) -> Result<usize, PlanError> {
        let cost = elements.checked_mul(width).filter(|c| *c <= self.budget);
        let cost = cost.ok_or_else(|| bad("the arrays are out of proportion to the file"))?;
        self.budget -= cost;
        usize::try_from(elements).map_err(|_| bad("an array is too long"))
    }

    /// Indices.
    pub(crate) fn indices(&mut self, offset: u64, count: u64) -> Result<Vec<u32>, PlanError> {
        let bytes = self.take(2, offset, count)?;
        self.spend(count, 4)?;
        Ok(bytes
            .chunks_exact(4)
            .filter_map(|b| Some(u32::from_le_bytes(b.try_into().ok()?)))
            .collect())
    }

    /// An array.
    pub(crate) fn array(&mut self, array: Option<Array>) -> Result<Vec<f64>, PlanError> {
        let array = array.ok_or_else(|| bad("an array is missing"))?;
        let length = self.spend(array.length, 8)?;
        let stored = if array.single {
            let bytes = self.take(1, array.offset, array.stored)?;
            let value = |b: &[u8]| Some(f64::from(f32::from_le_bytes(b.try_into().ok()?)));
            bytes.chunks_exact(4).filter_map(value).collect::<Vec<_>>()
        } else {
            let bytes = self.take(0, array.offset, array.stored)?;
            let value = |b: &[u8]| Some(f64::from_le_bytes(b.try_into().ok()?));
            bytes.chunks_exact(8).filter_map(value).collect()
        };
        if array.runs {
            let lengths = self.indices(array.index_offset, array.stored)?;
            let total: u64 = lengths.iter().map(|l| u64::from(*l)).sum();
            if total != array.length || lengths.contains(&0) || array.sparse {
                return Err(bad("the runs of an array have another length"));
            }
            let runs = stored.iter().zip(lengths);
            let run = |(value, length): (&f64, u32)| std::iter::repeat_n(*value, length as usize);
            return Ok(runs.flat_map(run).collect());
        }
        if !array.sparse {
            return if stored.len() == length {
                Ok(stored)
            } else {
                Err(bad("an array has another length"))
            };
        }
        let positions = self.indices(array.index_offset, array.stored)?;
        if positions.windows(2).any(|w| w[0] >= w[1]) {
            return Err(bad("a sparse array's positions do not ascend"));
        }
        let mut values = vec![0.0; length];
        for (position, value) in positions.iter().zip(stored) {
            *values
                .get_mut(*position as usize)
                .ok_or_else(|| bad("a sparse array's position is too large"))? = value;
        }
        Ok(values)
    }

    /// Whole numbers.
    pub(super) fn numbers(&mut self, list: Option<Indices>) -> Result<Vec<u32>, PlanError> {
        let list = list.ok_or_else(|| bad("a list of numbers is missing"))?;
        self.indices(list.offset, list.count)
    }

    /// A layout, unchecked but for its allocation.
    pub(crate) fn layout(&mut self, layout: Option<WireLayout>) -> Result<Layout, PlanError> {
        let layout = layout.ok_or_else(|| bad("a layout is missing"))?;
        let positions = if layout.dense {
            let count = self.spend(layout.count, DENSE_ELEMENT)?;
            (0..u32::try_from(count).map_err(|_| bad("a layout is too long"))?).collect()
        } else {
            self.indices(layout.index_offset, layout.count)?
        };
        Ok(Layout {
            shape: shape(&layout.shape)?,
            period: size(layout.period)?,
            ciphertexts: size(layout.ciphertexts)?,
            samples: size(layout.more_samples.wrapping_add(1))?,
            positions,
        })
    }
}

/// A size of this machine.
pub(crate) fn size(value: u64) -> Result<usize, PlanError> {
    usize::try_from(value).map_err(|_| bad("a size is too large"))
}

/// A shape.
pub(crate) fn shape(dims: &[u64]) -> Result<Vec<usize>, PlanError> {
    dims.iter().map(|d| size(*d)).collect()
}
