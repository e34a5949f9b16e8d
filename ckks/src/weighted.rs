//! Weighted sums of ciphertexts, or of their squares: a matrix whose entries multiply whole ciphertexts.
//!
//! This is the linear layer of a network whose every value has a ciphertext of its own, with one sample to a slot
//! (CryptoNets: Gilad-Bachrach et al., ICML 2016). There are no rotations and no plaintexts: entries are integers over
//! a scale. Sums of squares stay of degree two in the secret key until they are done, so that one relinearisation
//! serves a whole sum.

mod groups;
mod open;
#[cfg(test)]
mod tests;

use crate::compact::CompactCiphertext;
use crate::division::{Divisor, divide};
use crate::error::{CkksError, KeyName};
use crate::evaluator::round_scaled;
use crate::evaluator::{Evaluator, same_level, same_scale};
use crate::kernel::weighted::MAX_ROWS;
use crate::keys::KeyStore;
use crate::parallel;
use crate::params::Parameters;
use crate::poly::Poly;
use crate::switching::{Extra, Switch, decompose, switch_all};
use cipherloom_ir::Scale;
use cipherloom_ir::plan::{OPEN_SUMS, Weights};
use groups::{Piece, pieces};
use num_traits::ToPrimitive;
use open::open_sums;

/// The words of a cache line.
const LINE: usize = 8;
/// Entries stay below this in absolute value, so that they are exact.
const MAX_ENTRY: f64 = (1_u64 << 62) as f64;

/// A matrix of integers over a scale, its rows grouped by equal columns.
pub struct WeightedSums {
    name: String,
    scale: Scale,
    rows: usize,
    cols: usize,
    bias: Vec<f64>,
    pieces: Vec<Piece>,
}

impl WeightedSums {
    /// Rounds the entries of a matrix at its scale.
    ///
    /// # Errors
    /// [`CkksError::Transform`] for a matrix that contradicts itself or whose entries are too large.
    pub fn new(weights: &Weights) -> Result<Self, CkksError> {
        let matrix = &weights.matrix;
        let fault = |reason: &str| CkksError::Transform {
            name: matrix.name.clone(),
            reason: reason.to_owned(),
        };
        let fits = matrix.row_starts.len() == matrix.rows + 1
            && matrix.row_starts.windows(2).all(|w| w[0] <= w[1])
            && matrix.row_starts.last() == Some(&matrix.values.len())
            && matrix.columns.len() == matrix.values.len()
            && matrix.columns.iter().all(|c| (*c as usize) < matrix.cols)
            && (weights.bias.is_empty() || weights.bias.len() == matrix.rows);
        if !fits || matrix.rows == 0 || matrix.cols == 0 {
            return Err(fault("its rows, columns and entries do not fit together"));
        }
        let scale = weights.plain_scale.to_f64();
        let mut integers = Vec::with_capacity(matrix.values.len());
        for value in &matrix.values {
            let product = value * scale;
            // Small products are exact to less than half a unit as they are; others are rounded exactly.
            let integer = if product.abs() < (1_u64 << 50) as f64 {
                product.round() as i64
            } else if product.abs() < MAX_ENTRY {
                let exact = round_scaled(*value, &weights.plain_scale)?;
                exact
                    .to_i64()
                    .ok_or_else(|| fault("an entry is too large"))?
            } else {
                return Err(fault("an entry is too large"));
            };
            integers.push(integer);
        }
        Ok(Self {
            name: matrix.name.clone(),
            scale: weights.plain_scale.clone(),
            rows: matrix.rows,
            cols: matrix.cols,
            bias: weights.bias.clone(),
            pieces: pieces(matrix, &integers),
        })
    }

    /// The number of operands.
    pub fn operands(&self) -> usize {
        self.cols
    }

    /// The number of results.
    pub fn results(&self) -> usize {
        self.rows
    }
}

impl std::fmt::Debug for WeightedSums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name, rows, cols, ..
        } = self;
        write!(f, "WeightedSums({name:?}, {rows} x {cols})")
    }
}

/// What weighted sums are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summands {
    /// The operands.
    Values,
    /// Their squares: the sums are divided by the last prime, relinearised and divided by the next.
    Squares,
}

impl Evaluator {
    /// Weighted sums of operands of one level and scale, or of their squares.
    ///
    /// The result's scale is that of the operands (squared for squares) times the weights' scale, divided by the primes of
    /// the rescales; squares need `rescale` and a relinearisation key for the level below the operands'.
    ///
    /// # Errors
    /// Operands of another number, of different levels or scales, or too low for the rescales; a missing key.
    pub fn weighted_sums(
        &self,
        weights: &WeightedSums,
        operands: &[&CompactCiphertext],
        summands: Summands,
        rescale: bool,
        keys: &dyn KeyStore,
    ) -> Result<Vec<CompactCiphertext>, CkksError> {
        let params = self.params();
        let first = self.check_summands(weights, operands, summands, rescale)?;
        let (level, open) = (first.level(), self.open_scale(weights, first, summands));
        let parts = match summands {
            Summands::Values => 2,
            Summands::Squares => 3,
        };
        let row = parts * (level + 1) * params.n();
        let most = (OPEN_SUMS as usize / 8 / row).max(MAX_ROWS);
        let mut results: Vec<Option<CompactCiphertext>> = vec![None; weights.rows];
        // Zeros from the system cost nothing until they are written, by all threads. From a whole cache line on.
        let mut sums = vec![0_u64; row * most.min(weights.rows) + LINE];
        let start = sums.as_ptr().align_offset(LINE * size_of::<u64>());
        let sums = &mut sums[start..];
        let mut rest = &weights.pieces[..];
        while !rest.is_empty() {
            let (mut count, mut rows) = (0, 0);
            while count < rest.len() && (count == 0 || rows + rest[count].rows.len() <= most) {
                rows += rest[count].rows.len();
                count += 1;
            }
            let (pieces, behind) = rest.split_at(count);
            rest = behind;
            open_sums(
                params,
                pieces,
                operands,
                level,
                summands,
                &mut sums[..row * rows],
            );
            let indices = pieces.iter().flat_map(|p| p.rows.iter().copied());
            let sums = sums.chunks_exact(row);
            let mut jobs: Vec<_> = indices.zip(sums).map(|job| (job, None)).collect();
            parallel::for_each(jobs.iter_mut().collect(), |((row, sum), result): &mut _| {
                let bias = weights.bias.get(*row as usize).copied();
                let closed = self.close(elements(params, level, sum), &open, rescale, bias, keys);
                *result = Some(closed.and_then(|c| CompactCiphertext::new(params, &c)));
            });
            for ((row, _), result) in jobs {
                results[row as usize] = result.transpose()?;
            }
        }
        results
            .into_iter()
            .map(|r| r.ok_or(CkksError::Shape))
            .collect()
    }

    fn check_summands<'a>(
        &self,
        weights: &WeightedSums,
        operands: &[&'a CompactCiphertext],
        summands: Summands,
        rescale: bool,
    ) -> Result<&'a CompactCiphertext, CkksError> {
        let fault = |reason: String| CkksError::Transform {
            name: weights.name.clone(),
            reason,
        };
        let first = match operands.first() {
            Some(first) if operands.len() == weights.cols => *first,
            _ => {
                let (found, expected) = (operands.len(), weights.cols);
                return Err(fault(format!("{found} operands instead of {expected}")));
            }
        };
        let max = self.params().max_level();
        let min = match (summands, rescale) {
            (Summands::Squares, false) => {
                return Err(fault("sums of squares without a rescale".into()));
            }
            (Summands::Squares, true) => 2,
            (Summands::Values, rescale) => usize::from(rescale),
        };
        let level = first.level();
        if level < min || level > max {
            return Err(CkksError::Level { level, min, max });
        }
        for operand in operands {
            same_level(level, operand.level())?;
            same_scale(first.scale(), operand.scale())?;
            if !operand.fits(self.params()) {
                return Err(CkksError::Shape);
            }
        }
        Ok(first)
    }

    fn open_scale(
        &self,
        weights: &WeightedSums,
        operand: &CompactCiphertext,
        summands: Summands,
    ) -> Scale {
        let scale = operand.scale().mul(&weights.scale);
        match summands {
            Summands::Values => scale,
            Summands::Squares => scale.mul(operand.scale()),
        }
    }

    /// A finished sum: rescaled, relinearised if it has three parts, its bias added.
    fn close(
        &self,
        sum: Vec<Poly>,
        scale: &Scale,
        rescale: bool,
        bias: Option<f64>,
        keys: &dyn KeyStore,
    ) -> Result<crate::Ciphertext, CkksError> {
        let params = self.params();
        let level = sum.first().map_or(0, Poly::level);
        let parts: Vec<&Poly> = sum.iter().collect();
        let (divided, scale) = if rescale {
            let prime = params.q()[level];
            (
                divide(params, &parts, Divisor::Last)?,
                scale.div_prime(prime),
            )
        } else {
            (sum, scale.clone())
        };
        let closed = match &divided[..] {
            [d0, d1, d2] => {
                let level = d2.level();
                let key = self.key(keys, KeyName::Relinearization, level)?;
                let switch = Switch {
                    key,
                    automorphism: None,
                    extra: [d0, d1].map(|d| Some(Extra::TimesSpecial(d))),
                };
                let pairs: Vec<_> = decompose(params, &[d2])
                    .iter()
                    .flat_map(|d| switch_all(params, d, &[switch]))
                    .collect();
                let parts: Vec<&Poly> = pairs.iter().flatten().collect();
                let halves = divide(params, &parts, Divisor::SpecialAndLast)?;
                self.assemble(halves, scale.div_prime(params.q()[level]))?
            }
            _ => self.assemble(divided, scale)?,
        };
        match bias {
            Some(bias) if bias != 0.0 => self.add_scalar(&closed, bias),
            _ => Ok(closed),
        }
    }
}

/// The ring elements whose limbs lie one behind another.
fn elements(params: &Parameters, level: usize, words: &[u64]) -> Vec<Poly> {
    let element = |words: &[u64]| {
        let mut poly = Poly::unwritten(params, level, false);
        let limbs = poly.limbs_mut().zip(words.chunks_exact(params.n()));
        limbs.for_each(|(limb, words)| limb.copy_from_slice(words));
        poly
    };
    words
        .chunks_exact((level + 1) * params.n())
        .map(element)
        .collect()
}
