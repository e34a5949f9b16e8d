//! The execution of a linear transform: doubly hoisted, prime by prime.
//!
//! 1. Each operand is decomposed once.
//! 2. For one prime at a time: the digits, all baby rotations (times the special modulus, without division), and for
//!    each giant step the sum of products with diagonals. Memory is bounded by one prime's rotations per thread.
//! 3. The sums' second parts are divided by the special modulus and decomposed.
//! 4. For one prime at a time: key switches by the giant steps, added up.
//! 5. Folds likewise, then one division, fused with the rescale.

use super::LinearTransform;
use super::diagonals::strip;
use crate::automorphism::Automorphism;
use crate::ciphertext::Ciphertext;
use crate::division::{Divisor, divide};
use crate::error::{CkksError, KeyName};
use crate::evaluator::{Evaluator, same_level, same_scale};
use crate::kernel::{self, Broadcast, Buffer};
use crate::keys::{KeyStore, SwitchingKey};
use crate::parallel;
use crate::params::Parameters;
use crate::poly::Poly;
use crate::switching::{
    Decomposition, Extra, Pair, Switch, decompose, limbs_of, unwritten_pair, zero_pair,
};
use std::ops::Range;
use std::sync::Arc;

/// Words of a row that are worked on at a time, so that all rotations of a piece stay in the second-level cache.
const PIECE: usize = 2048;
/// Words of a line of the cache.
const LINE: usize = 8;

/// A key and its automorphism; none for the identity.
type Step<'k> = Option<Move<'k>>;

/// A key and its automorphism.
type Move<'k> = (&'k SwitchingKey, Arc<Automorphism>);

impl Evaluator {
    /// A linear transform: one operand per column of blocks, one result per row, in the scale of the operands times
    /// that of the diagonals; rescaled in the last division if asked for.
    ///
    /// Operands have the transform's level and one scale. Keys are needed for each baby and giant step and fold.
    pub fn linear_transform(
        &self,
        transform: &LinearTransform,
        operands: &[&Ciphertext],
        keys: &dyn KeyStore,
        rescale: bool,
    ) -> Result<Vec<Ciphertext>, CkksError> {
        let (params, level) = (self.params(), transform.level);
        self.check_operands(transform, operands, rescale)?;
        let step = |steps: &u32| -> Result<Step<'_>, CkksError> {
            if *steps == 0 {
                return Ok(None);
            }
            let key = self.key(keys, KeyName::Rotation(*steps), level)?;
            Ok(Some((key, params.automorphism(key.galois_element()))))
        };
        let steps =
            |all: &mut dyn Iterator<Item = &u32>| all.map(step).collect::<Result<Vec<_>, _>>();
        let babies = transform
            .babies
            .iter()
            .map(|b| steps(&mut b.iter()))
            .collect::<Result<Vec<_>, _>>()?;
        let giants = transform
            .giants
            .iter()
            .map(|g| steps(&mut g.iter()))
            .collect::<Result<Vec<_>, _>>()?;
        let folds = steps(&mut transform.folds.iter())?;

        let sums = self.baby_steps(transform, operands, &babies);
        let mut totals = self.giant_steps(sums, &giants, level)?;
        for fold in folds.iter().flatten() {
            self.fold(&mut totals, fold, level)?;
        }
        let divisor = if rescale {
            Divisor::SpecialAndLast
        } else {
            Divisor::Special
        };
        let inputs: Vec<&Poly> = totals.iter().flatten().collect();
        let mut parts = divide(params, &inputs, divisor)?.into_iter();
        let mut scale = operands.first().map_or_else(
            || transform.scale.clone(),
            |x| x.scale.mul(&transform.scale),
        );
        if rescale {
            scale = scale.div_prime(params.q()[level]);
        }
        let mut next = || parts.next().ok_or(CkksError::Shape);
        totals
            .iter()
            .map(|_| Ciphertext::new(next()?, next()?, scale.clone()))
            .collect()
    }

    fn check_operands(
        &self,
        transform: &LinearTransform,
        operands: &[&Ciphertext],
        rescale: bool,
    ) -> Result<(), CkksError> {
        let level = transform.level;
        let max = self.params().max_level();
        if level > max || (rescale && level == 0) {
            return Err(CkksError::Level {
                level,
                min: usize::from(rescale),
                max,
            });
        }
        if operands.len() != transform.operands() {
            let reason = format!(
                "{} operands instead of {}",
                operands.len(),
                transform.operands()
            );
            return Err(CkksError::Transform {
                name: transform.name.clone(),
                reason,
            });
        }
        let limbs = level + 1 + self.params().p().len();
        let words = self.params().n() >> transform.log_run;
        if transform.diagonals.limbs() != limbs || transform.diagonals.width() != words {
            return Err(CkksError::Shape);
        }
        for x in operands {
            self.check(x)?;
            same_level(level, x.level())?;
            same_scale(&operands[0].scale, &x.scale)?;
        }
        Ok(())
    }

    /// Steps 1 and 2: for each row and giant step, the sum of products, times the special modulus.
    fn baby_steps(
        &self,
        transform: &LinearTransform,
        operands: &[&Ciphertext],
        babies: &[Vec<Step<'_>>],
    ) -> Vec<Vec<Pair>> {
        let (params, level) = (self.params(), transform.level);
        // An operand without a rotation needs no digits.
        let rotated: Vec<bool> = babies
            .iter()
            .map(|b| b.iter().any(Option::is_some))
            .collect();
        let inputs: Vec<&Poly> = operands
            .iter()
            .zip(&rotated)
            .filter(|(_, r)| **r)
            .map(|(x, _)| &x.c1)
            .collect();
        let mut decompositions = decompose(params, &inputs).into_iter();
        let decompositions: Vec<Option<Decomposition<'_>>> = rotated
            .iter()
            .map(|r| if *r { decompositions.next() } else { None })
            .collect();

        let mut sums: Vec<Pair> = transform
            .giants
            .iter()
            .flatten()
            .map(|_| unwritten_pair(params, level))
            .collect();
        parallel::for_each(limbs_of(&mut sums), |(limb, mut outs)| {
            let mut space = Buffer::unspecified(params.digits(level) * params.n());
            for (column, x) in operands.iter().enumerate() {
                let digits = decompositions[column]
                    .as_ref()
                    .map(|d| d.digits_at(params, limb, &mut space));
                let rotated = Rotated {
                    params,
                    at: (level, limb),
                    x,
                    digits,
                    babies: &babies[column],
                };
                transform.multiply_limb(&rotated, column, &mut outs);
            }
        });
        let mut sums = sums.into_iter();
        transform
            .giants
            .iter()
            .map(|row| sums.by_ref().take(row.len()).collect())
            .collect()
    }

    /// Steps 3 and 4: the sum of the rotations of each row's sums by its giant steps.
    fn giant_steps(
        &self,
        sums: Vec<Vec<Pair>>,
        giants: &[Vec<Step<'_>>],
        level: usize,
    ) -> Result<Vec<Pair>, CkksError> {
        let params = self.params();
        let mut totals = Vec::with_capacity(sums.len());
        let mut moving: Vec<(usize, &Move<'_>, Pair)> = Vec::new();
        for (row, (sums, giants)) in sums.into_iter().zip(giants).enumerate() {
            let mut total = None;
            for (sum, giant) in sums.into_iter().zip(giants) {
                match giant {
                    None => total = Some(sum),
                    Some(step) => moving.push((row, step, sum)),
                }
            }
            totals.push(total.unwrap_or_else(|| zero_pair(params, level)));
        }
        if moving.is_empty() {
            return Ok(totals);
        }
        let inputs: Vec<&Poly> = moving.iter().map(|(_, _, [_, second])| second).collect();
        let divided = divide(params, &inputs, Divisor::Special)?;
        let decompositions = decompose(params, &divided.iter().collect::<Vec<_>>());
        parallel::for_each(limbs_of(&mut totals), |(limb, mut outs)| {
            let mut space = Buffer::unspecified(params.digits(level) * params.n());
            for ((row, (key, phi), [first, _]), decomposition) in moving.iter().zip(&decompositions)
            {
                let digits = decomposition.digits_at(params, limb, &mut space);
                let switch = Switch {
                    key,
                    automorphism: Some(phi),
                    extra: [Some(Extra::Plain(first)), None],
                };
                let [out0, out1] = &mut outs[*row];
                switch.limb(params, (level, limb, 0), &digits, [out0, out1], true);
            }
        });
        Ok(totals)
    }

    /// `total += rotate(total, fold)` for each total.
    fn fold(&self, totals: &mut [Pair], fold: &Move<'_>, level: usize) -> Result<(), CkksError> {
        let params = self.params();
        let inputs: Vec<&Poly> = totals.iter().map(|[_, second]| second).collect();
        let divided = divide(params, &inputs, Divisor::Special)?;
        let decompositions = decompose(params, &divided.iter().collect::<Vec<_>>());
        parallel::for_each(limbs_of(totals), |(limb, outs)| {
            let n = params.n();
            let mut space = Buffer::unspecified(params.digits(level) * n);
            let mut before = Buffer::unspecified(n);
            let (key, phi) = fold;
            for ([out0, out1], decomposition) in outs.into_iter().zip(&decompositions) {
                let digits = decomposition.digits_at(params, limb, &mut space);
                before.copy_from_slice(out0);
                let switch = Switch {
                    key,
                    automorphism: Some(phi),
                    extra: [Some(Extra::Row(&before)), None],
                };
                switch.limb(params, (level, limb, 0), &digits, [out0, out1], true);
            }
        });
        Ok(())
    }
}

/// An operand modulo one prime, and the rotations that are asked for.
struct Rotated<'a> {
    params: &'a Parameters,
    /// The level and the limb.
    at: (usize, usize),
    x: &'a Ciphertext,
    digits: Option<Vec<&'a [u64]>>,
    babies: &'a [Step<'a>],
}

impl Rotated<'_> {
    /// A piece of all rotations, times the special modulus: a pair of rows each, one after the other.
    fn write(&self, piece: &Range<usize>, stride: usize, rows: &mut [u64]) {
        let (params, (level, limb)) = (self.params, self.at);
        for (baby, rows) in self.babies.iter().zip(rows.chunks_exact_mut(2 * stride)) {
            let (row0, row1) = rows.split_at_mut(stride);
            let (row0, row1) = (&mut row0[..piece.len()], &mut row1[..piece.len()]);
            match (baby, &self.digits) {
                (Some((key, phi)), Some(digits)) => {
                    let extra = [Some(Extra::TimesSpecial(&self.x.c0)), None];
                    let switch = Switch {
                        key,
                        automorphism: Some(phi),
                        extra,
                    };
                    let at = (level, limb, piece.start);
                    switch.limb(params, at, digits, [row0, row1], false);
                }
                // The operand itself; the special modulus is zero modulo its own primes.
                _ if limb > level => rows.fill(0),
                _ => {
                    let modulus = &params.limb_at(limb).modulus;
                    let special = modulus.mul_montgomery(1, params.special_factor(limb));
                    let special = modulus.shoup(special);
                    let (c0, c1) = (self.x.c0.limb(limb), self.x.c1.limb(limb));
                    kernel::mul_shoup(modulus, row0, &c0[piece.clone()], special);
                    kernel::mul_shoup(modulus, row1, &c1[piece.clone()], special);
                }
            }
        }
    }
}

impl LinearTransform {
    /// Adds the products of one column's rotations modulo one prime to the sums of all rows and giant steps; the
    /// first column sets them.
    fn multiply_limb(&self, x: &Rotated<'_>, column: usize, outs: &mut [[&mut [u64]; 2]]) {
        let (params, limb, groups) = (x.params, x.at.1, &self.columns[column]);
        if column == 0 {
            for (sum, [out0, out1]) in outs.iter_mut().enumerate() {
                if groups.iter().all(|g| g.sum != sum) {
                    out0.fill(0);
                    out1.fill(0);
                }
            }
        }
        // What is expanded at use is expanded once for the whole limb.
        let n = params.n();
        let piece = match self.diagonals.is_resident(limb) {
            true => PIECE.min(n),
            false => n,
        };
        // Rows that start in different lines of the cache do not drive one another out of it.
        let stride = piece + LINE;
        let strip = strip(x.babies.len());
        let modulus = &params.limb(self.level, limb).modulus;
        let mut rows = Buffer::unspecified(2 * x.babies.len() * stride);
        for offset in (0..n).step_by(piece) {
            x.write(&(offset..offset + piece), stride, &mut rows);
            let diagonals = &self.diagonals;
            diagonals.for_each_group(params, limb, column, groups, |groups, words| {
                for start in (0..piece).step_by(strip) {
                    let strip = offset + start..offset + piece.min(start + strip);
                    for (group, words) in groups.iter().zip(words) {
                        let [out0, out1] = &mut outs[group.sum];
                        let work = Broadcast {
                            factors: words.at(strip.start),
                            terms: &group.babies,
                            rows: &rows,
                            stride,
                            start,
                            log_run: self.log_run,
                            accumulate: column > 0,
                        };
                        let (out0, out1) = (&mut out0[strip.clone()], &mut out1[strip.clone()]);
                        kernel::mac_broadcast(modulus, out0, out1, &work);
                    }
                }
            });
        }
    }
}
