//! Linear transforms by diagonals: `y_row = sum over columns and diagonals of diagonal * rotate(x_col, rotation)`.
//!
//! A rotation splits into a giant step g and a baby step b, and a diagonal is rotated by -g beforehand:
//! `sum_g rotate(sum_b rotate(diagonal, -g) * rotate(x, b), g)` (Halevi and Shoup, CRYPTO 2018, section 4). Vectors
//! and diagonals of period n are rotated as vectors of all N/2 slots, which is the same.

mod apply;
mod diagonals;
#[cfg(test)]
mod tests;

use crate::encoding::Encoder;
use crate::error::CkksError;
use crate::kernel::MAX_TERMS;
use crate::params::Parameters;
use cipherloom_ir::Scale;
use cipherloom_ir::plan::{Block, Diagonal, Transform};
use diagonals::Diagonals;
use std::collections::{BTreeMap, BTreeSet};

/// A linear transform, its diagonals encoded compactly: 2n words per diagonal and resident prime for period n.
pub struct LinearTransform {
    name: String,
    level: usize,
    scale: Scale,
    /// log2 of the number of consecutive NTT positions that one word of a diagonal serves.
    log_run: u32,
    folds: Vec<u32>,
    /// For each column of blocks, the baby steps that occur, ascending.
    babies: Vec<Vec<u32>>,
    /// For each row of blocks, the giant steps that occur, ascending: one sum each.
    giants: Vec<Vec<u32>>,
    /// For each column, what is summed up of it.
    columns: Vec<Vec<Group>>,
    /// The diagonals modulo `q_0 .. q_level` and the special primes.
    diagonals: Diagonals,
}

/// Products of diagonals with rotations of one operand, for one sum.
#[derive(Clone, Debug)]
struct Group {
    /// Which sum, counted over all rows and their giant steps.
    sum: usize,
    /// For each product, which of the column's baby steps it takes.
    babies: Vec<u32>,
    /// The first of its diagonals; the others follow.
    first: usize,
}

/// The rotations of a transform, split into steps.
struct Split<'a> {
    babies: Vec<Vec<u32>>,
    giants: Vec<Vec<u32>>,
    columns: Vec<Vec<Group>>,
    /// In the order in which the groups name them: the giant step, in slots, and the diagonal.
    recipes: Vec<(u32, &'a Diagonal)>,
}

/// The column, row and giant step of a group.
type GroupKey = (u32, u32, u32);

impl<'a> Split<'a> {
    fn new(transform: &'a Transform) -> Self {
        let (step, samples) = (transform.baby_step as u32, transform.samples as u32);
        let count = |index: fn(&Block) -> u32| {
            let last = transform.blocks.iter().map(|b| index(b) as usize + 1);
            last.max().unwrap_or(0)
        };
        let mut babies = vec![BTreeSet::new(); count(|b| b.col)];
        let mut giants = vec![BTreeSet::new(); count(|b| b.row)];
        let mut products: BTreeMap<GroupKey, Vec<(u32, &Diagonal)>> = BTreeMap::new();
        for block in &transform.blocks {
            for diagonal in &block.diagonals {
                let baby = diagonal.rotation % step * samples;
                let giant = diagonal.rotation * samples - baby;
                babies[block.col as usize].insert(baby);
                giants[block.row as usize].insert(giant);
                let group = products.entry((block.col, block.row, giant)).or_default();
                group.push((baby, diagonal));
            }
        }
        let sorted = |sets: Vec<BTreeSet<u32>>| -> Vec<Vec<u32>> {
            sets.into_iter().map(|s| s.into_iter().collect()).collect()
        };
        let (babies, giants) = (sorted(babies), sorted(giants));
        let sums: BTreeMap<(u32, u32), usize> = (0_u32..)
            .zip(&giants)
            .flat_map(|(row, giants)| giants.iter().map(move |g| (row, *g)))
            .enumerate()
            .map(|(sum, key)| (key, sum))
            .collect();
        let mut columns = vec![Vec::new(); babies.len()];
        let mut recipes = Vec::new();
        for ((column, row, giant), terms) in products {
            let steps = &babies[column as usize];
            let index = |baby: &u32| steps.binary_search(baby).unwrap_or_default() as u32;
            columns[column as usize].push(Group {
                sum: sums.get(&(row, giant)).copied().unwrap_or_default(),
                babies: terms.iter().map(|(baby, _)| index(baby)).collect(),
                first: recipes.len(),
            });
            recipes.extend(terms.iter().map(|(_, diagonal)| (giant, *diagonal)));
        }
        Self {
            babies,
            giants,
            columns,
            recipes,
        }
    }
}

impl LinearTransform {
    /// Encodes the diagonals of a transform, on all threads of the current pool.
    ///
    /// Refused are descriptions that contradict themselves or the parameters.
    pub fn new(
        params: &Parameters,
        encoder: &Encoder,
        transform: &Transform,
    ) -> Result<Self, CkksError> {
        Self::with_resident(params, encoder, transform, usize::MAX)
    }

    /// [`Self::new`] with the diagonals expanded modulo the first `resident` limbs alone (`q_0 .. q_level`, then the special
    /// primes). Modulo the others they are kept as integers and expanded each time the transform is applied, which takes
    /// one transform of 2n words per diagonal and limb. Results are the same to the bit.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_resident(
        params: &Parameters,
        encoder: &Encoder,
        transform: &Transform,
        resident: usize,
    ) -> Result<Self, CkksError> {
        validate(params, transform)?;
        let samples = transform.samples as u32;
        let Split {
            babies,
            giants,
            columns,
            recipes,
        } = Split::new(transform);
        if columns.iter().flatten().any(|g| g.babies.len() > MAX_TERMS) {
            return Err(CkksError::Transform {
                name: transform.name.clone(),
                reason: format!("a giant step sums up more than {MAX_TERMS} diagonals"),
            });
        }
        let period = transform.period * transform.samples;
        let log_run = (params.slots() / period).trailing_zeros();
        let shape = (period, transform.level, &transform.plain_scale);
        let layout = (&columns[..], &babies[..]);
        let diagonals = Diagonals::encode(params, encoder, &recipes, layout, shape, resident)?;
        Ok(Self {
            name: transform.name.clone(),
            level: transform.level,
            scale: transform.plain_scale.clone(),
            log_run,
            folds: transform.folds.iter().map(|f| f * samples).collect(),
            babies,
            giants,
            columns,
            diagonals,
        })
    }

    /// The transform's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The level at which it is applied.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The number of operands.
    pub fn operands(&self) -> usize {
        self.babies.len()
    }

    /// The number of results.
    pub fn results(&self) -> usize {
        self.giants.len()
    }

    /// The bytes that the diagonals take in memory.
    pub fn bytes(&self) -> usize {
        self.diagonals.bytes()
    }
}

fn validate(params: &Parameters, transform: &Transform) -> Result<(), CkksError> {
    params.check_level(transform.level)?;
    let fault = |reason: String| {
        Err(CkksError::Transform {
            name: transform.name.clone(),
            reason,
        })
    };
    let Transform {
        period,
        samples,
        baby_step,
        blocks,
        ..
    } = transform;
    let width = period.checked_mul(*samples);
    let powers = period.is_power_of_two() && samples.is_power_of_two();
    if !powers || width.is_none_or(|w| w > params.slots()) {
        return fault(format!(
            "period {period} for {samples} samples is not a power of two of at most {} slots",
            params.slots()
        ));
    }
    if !baby_step.is_power_of_two() || *baby_step > 1 << 30 {
        return fault(format!("baby step {baby_step} is not a power of two"));
    }
    if let Some(fold) = transform
        .folds
        .iter()
        .find(|fold| **fold == 0 || **fold as usize >= params.slots() / samples)
    {
        let end = params.slots() / samples;
        return fault(format!("a fold by {fold}, outside 1 .. {end}"));
    }
    if blocks.is_empty() {
        return fault("no blocks".into());
    }
    // Rows and columns are numbered without gaps, so that there cannot be more of them than blocks.
    for (what, index) in [
        ("row", (|b| b.row) as fn(&Block) -> u32),
        ("column", |b| b.col),
    ] {
        let mut indices: Vec<u32> = blocks.iter().map(index).collect();
        indices.sort_unstable();
        indices.dedup();
        if indices
            .last()
            .is_some_and(|last| *last as usize + 1 != indices.len())
        {
            return fault(format!("a {what} has no block"));
        }
    }
    for diagonal in blocks.iter().flat_map(|b| &b.diagonals) {
        if diagonal.rotation as usize >= *period {
            return fault(format!(
                "rotation {} is not below the period {period}",
                diagonal.rotation
            ));
        }
        if diagonal.values.len() != *period {
            return fault(format!(
                "a diagonal has {} values instead of {period}",
                diagonal.values.len()
            ));
        }
    }
    Ok(())
}

impl std::fmt::Debug for LinearTransform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let diagonals = self.diagonals.count();
        write!(
            f,
            "LinearTransform({:?}, level {}, {diagonals} diagonals)",
            self.name, self.level
        )
    }
}
