//! A transform's diagonals: expanded modulo some of the primes, and kept as integers where they are not.
//!
//! Expanded, a diagonal of period n takes 2n words for each prime. The primes that there is no room for are expanded
//! from 2n integer coefficients while their limb is worked on, the diagonals of one giant step at a time.

use crate::encoding::{Coefficients, Encoder};
use crate::error::CkksError;
use crate::kernel::{self, Buffer, Words};
use crate::parallel;
use crate::params::Parameters;
use cipherloom_ir::Scale;
use cipherloom_ir::plan::Diagonal;

/// The diagonals of a transform.
pub(super) struct Diagonals {
    /// By limb, then diagonal, in Montgomery form; empty for a limb that is expanded at use.
    resident: Vec<Vec<Words>>,
    /// The coefficients of each diagonal; none where all limbs are resident.
    coefficients: Vec<Coefficients>,
    count: usize,
    level: usize,
    /// 2n for period n.
    width: usize,
}

/// What one diagonal becomes.
type Encoded = (Vec<Words>, Coefficients);

impl Diagonals {
    /// Encodes diagonals, each rotated by minus its giant step, and expands the first `resident` limbs.
    pub(super) fn encode(
        params: &Parameters,
        encoder: &Encoder,
        recipes: &[(u32, &Diagonal)],
        (period, level, scale): (usize, usize, &Scale),
        resident: usize,
    ) -> Result<Self, CkksError> {
        let limbs = level + 1 + params.p().len();
        let held = resident.min(limbs);
        let (width, keep) = (2 * period, held < limbs);
        let mut results: Vec<Result<Encoded, CkksError>> = Vec::with_capacity(recipes.len());
        results.resize_with(recipes.len(), || Err(CkksError::Shape));
        // Some diagonals at a time, so that a task is worth handing to another thread.
        let jobs = results.chunks_mut(16).zip(recipes.chunks(16)).collect();
        parallel::for_each(
            jobs,
            |(results, recipes): (&mut [_], &[(u32, &Diagonal)])| {
                let mut space = Buffer::unspecified(width);
                for (result, (giant, diagonal)) in results.iter_mut().zip(recipes) {
                    let mut values = diagonal.values.clone();
                    values.rotate_right(*giant as usize % period);
                    *result = encoder
                        .coefficients(&values, level, scale)
                        .map(|coefficients| {
                            let words = (0..held)
                                .map(|limb| expand(params, &coefficients, level, limb, &mut space))
                                .collect();
                            let kept = if keep {
                                coefficients
                            } else {
                                Coefficients::default()
                            };
                            (words, kept)
                        });
                }
            },
        );
        let mut all = Self {
            resident: (0..limbs).map(|_| Vec::new()).collect(),
            coefficients: Vec::new(),
            count: recipes.len(),
            level,
            width,
        };
        for result in results {
            let (words, coefficients) = result?;
            for (limb, words) in all.resident.iter_mut().zip(words) {
                limb.push(words);
            }
            if keep {
                all.coefficients.push(coefficients);
            }
        }
        Ok(all)
    }

    /// The diagonals modulo a limb, if they are resident.
    pub(super) fn resident(&self, limb: usize) -> Option<&[Words]> {
        let words = self.resident.get(limb)?;
        (words.len() == self.count).then_some(words)
    }

    /// One diagonal modulo a limb that is not resident, expanded now; `space` holds 2n words.
    pub(super) fn expand(
        &self,
        params: &Parameters,
        diagonal: usize,
        limb: usize,
        space: &mut [u64],
    ) -> Words {
        expand(
            params,
            &self.coefficients[diagonal],
            self.level,
            limb,
            space,
        )
    }

    /// The number of limbs.
    pub(super) fn limbs(&self) -> usize {
        self.resident.len()
    }

    /// 2n for period n.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The number of diagonals.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let words = self.resident.iter().flatten().map(Words::bytes);
        let coefficients = self.coefficients.iter().map(Coefficients::bytes);
        words.chain(coefficients).sum()
    }
}

/// The values modulo a limb of the polynomial with the given coefficients, in Montgomery form.
fn expand(
    params: &Parameters,
    coefficients: &Coefficients,
    level: usize,
    limb: usize,
    space: &mut [u64],
) -> Words {
    let limb = params.limb(level, limb);
    let modulus = &limb.modulus;
    coefficients.reduce_into(modulus, 1, space);
    limb.ntt.forward_subring(space);
    kernel::mul_shoup_assign(modulus, space, modulus.shoup(modulus.one));
    let mut words = Words::unspecified(modulus, space.len());
    words.write(0, space);
    words
}
