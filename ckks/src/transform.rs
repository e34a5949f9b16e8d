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
use cipherloom_ir::plan::{Diagonal, Transform};
use diagonals::Diagonals;
use std::collections::BTreeMap;

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
    /// For each row of blocks, by giant step: the products to sum up.
    rows: Vec<BTreeMap<u32, Vec<Term>>>,
    /// The diagonals modulo `q_0 .. q_level` and the special primes.
    diagonals: Diagonals,
}

/// One product of a diagonal and a rotated operand.
#[derive(Clone, Copy, Debug)]
struct Term {
    /// The column of blocks, which is the operand's index.
    column: usize,
    /// Index into the column's baby steps.
    baby: usize,
    /// Index into the diagonals.
    diagonal: usize,
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
        let step = transform.baby_step as u32;
        let count = |index: fn(&cipherloom_ir::plan::Block) -> u32| {
            transform
                .blocks
                .iter()
                .map(|b| index(b) as usize + 1)
                .max()
                .unwrap_or(0)
        };
        let mut babies = vec![Vec::new(); count(|b| b.col)];
        for block in &transform.blocks {
            babies[block.col as usize].extend(block.diagonals.iter().map(|d| d.rotation % step));
        }
        for list in &mut babies {
            list.sort_unstable();
            list.dedup();
        }
        let mut rows = vec![BTreeMap::<u32, Vec<Term>>::new(); count(|b| b.row)];
        let mut recipes: Vec<(u32, &Diagonal)> = Vec::new();
        for block in &transform.blocks {
            for diagonal in &block.diagonals {
                let (baby, giant) = (
                    diagonal.rotation % step,
                    diagonal.rotation - diagonal.rotation % step,
                );
                let column = block.col as usize;
                let baby = babies[column].binary_search(&baby).unwrap_or_default();
                let term = Term {
                    column,
                    baby,
                    diagonal: recipes.len(),
                };
                rows[block.row as usize]
                    .entry(giant)
                    .or_default()
                    .push(term);
                recipes.push((giant, diagonal));
            }
        }
        if rows
            .iter()
            .flatten()
            .any(|(_, terms)| terms.len() > MAX_TERMS)
        {
            return Err(CkksError::Transform {
                name: transform.name.clone(),
                reason: format!("a giant step sums up more than {MAX_TERMS} diagonals"),
            });
        }
        let shape = (transform.period, transform.level, &transform.plain_scale);
        let diagonals = Diagonals::encode(params, encoder, &recipes, shape, resident)?;
        Ok(Self {
            name: transform.name.clone(),
            level: transform.level,
            scale: transform.plain_scale.clone(),
            log_run: (params.slots() / transform.period).trailing_zeros(),
            folds: transform.folds.clone(),
            babies,
            rows,
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
        self.rows.len()
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
        baby_step,
        blocks,
        ..
    } = transform;
    if !period.is_power_of_two() || *period > params.slots() {
        return fault(format!(
            "period {period} is not a power of two of at most {} slots",
            params.slots()
        ));
    }
    if !baby_step.is_power_of_two() || *baby_step > 1 << 30 {
        return fault(format!("baby step {baby_step} is not a power of two"));
    }
    if let Some(fold) = transform
        .folds
        .iter()
        .find(|fold| **fold == 0 || **fold as usize >= params.slots())
    {
        return fault(format!("a fold by {fold}, outside 1 .. {}", params.slots()));
    }
    if blocks.is_empty() {
        return fault("no blocks".into());
    }
    // Rows and columns are numbered without gaps, so that there cannot be more of them than blocks.
    for (what, index) in [
        ("row", (|b| b.row) as fn(&cipherloom_ir::plan::Block) -> u32),
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
