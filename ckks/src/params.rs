//! Frozen parameters and the tables that follow from them.

use crate::automorphism::Automorphism;
use crate::error::CkksError;
use crate::kernel::{Modulus, Shoup};
use crate::ntt::Ntt;
use cipherloom_ir::params::{CkksLiteral, ParameterError};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// log2 of the smallest ring degree that this crate handles.
const MIN_LOG_N: u32 = 4;

/// Checked, frozen parameters with their tables; cheap to clone.
#[derive(Clone)]
pub struct Parameters(Arc<Tables>);

/// What depends on one prime alone.
pub(crate) struct Limb {
    pub(crate) modulus: Modulus,
    pub(crate) ntt: Ntt,
}

struct Tables {
    literal: CkksLiteral,
    /// The chain's primes, then the special ones.
    limbs: Vec<Limb>,
    tables: DivisionTables,
    /// The special modulus modulo each chain prime, in Montgomery form.
    special_factors: Vec<u64>,
    automorphisms: Mutex<BTreeMap<usize, Arc<Automorphism>>>,
}

/// Exact centred conversions, for each set of primes that is ever divided by or decomposed into.
struct DivisionTables {
    /// By digit, then by the number of its primes that are alive, less one.
    digits: Vec<Vec<Conversion>>,
    /// By the special primes.
    special: Conversion,
    /// By the special primes and the chain prime of each level; none at level 0.
    special_and_last: Vec<Option<Conversion>>,
    /// By the chain prime of each level alone; none at level 0.
    last: Vec<Option<Conversion>>,
}

/// The conversion of a number modulo a product D of primes, taken in `(-D/2, D/2]`, to other primes; and the
/// division by D.
///
/// With `y_j = x_j (D/d_j)^-1 mod d_j`, the number is `sum y_j D/d_j - u D` with `u = round(sum y_j/d_j)`
/// (Halevi, Polyakov and Shoup, CT-RSA 2019, section 2).
pub(crate) struct Conversion {
    /// The limbs of D, as indices into the limbs of the parameters.
    pub(crate) sources: Vec<usize>,
    /// `N^-1 (D/d_j)^-1 mod d_j`: follows an unscaled inverse transform.
    pub(crate) hat_inverse: Vec<Shoup>,
    /// `1/d_j`.
    pub(crate) inverses: Vec<f64>,
    /// For each limb of the parameters, in Montgomery form: `D/d_j` for each j, then `-D`.
    pub(crate) factors: Vec<Vec<u64>>,
    /// For each limb of the parameters that is not a source: `D^-1`.
    pub(crate) divide: Vec<Shoup>,
}

impl Conversion {
    fn new(limbs: &[Limb], sources: Vec<usize>) -> Self {
        let prime = |j: usize| limbs[j].modulus.p;
        let others = |j: usize| sources.iter().filter(move |s| **s != j).map(|s| prime(*s));
        let hat_inverse = sources
            .iter()
            .map(|j| {
                let m = &limbs[*j].modulus;
                m.shoup(m.mul(
                    m.invert(m.product(others(*j))),
                    limbs[*j].ntt.n_inverse().value,
                ))
            })
            .collect();
        let factors = limbs
            .iter()
            .map(|limb| {
                let m = &limb.modulus;
                let hats = sources.iter().map(|j| m.product(others(*j)));
                let minus = m.negate(m.product(sources.iter().map(|j| prime(*j))));
                hats.chain([minus % m.p]).map(|f| m.montgomery(f)).collect()
            })
            .collect();
        let divide = limbs
            .iter()
            .map(|limb| {
                limb.modulus.shoup(
                    limb.modulus
                        .invert(limb.modulus.product(sources.iter().map(|j| prime(*j)))),
                )
            })
            .collect();
        let inverses = sources.iter().map(|j| 1.0 / prime(*j) as f64).collect();
        Self {
            sources,
            hat_inverse,
            inverses,
            factors,
            divide,
        }
    }
}

impl Parameters {
    /// Freezes parameters that pass every check of [`CkksLiteral::check`], the security table included.
    pub fn new(literal: &CkksLiteral) -> Result<Self, ParameterError> {
        literal.check()?;
        Self::freeze(literal)
    }

    /// Freezes parameters of any security, for tests.
    #[cfg(any(test, feature = "insecure-test-parameters"))]
    pub fn insecure_for_tests(literal: &CkksLiteral) -> Result<Self, ParameterError> {
        literal.check_structure()?;
        Self::freeze(literal)
    }

    fn freeze(literal: &CkksLiteral) -> Result<Self, ParameterError> {
        if literal.log_n < MIN_LOG_N {
            return Err(ParameterError::RingDegree {
                log_n: literal.log_n,
                security: literal.security,
            });
        }
        let limb = |p: &u64| {
            let modulus = Modulus::new(*p);
            let ntt = Ntt::new(literal.n(), modulus)
                .ok_or(ParameterError::NotAnNttPrime { modulus: *p })?;
            Ok(Limb { modulus, ntt })
        };
        let limbs = literal
            .q
            .iter()
            .chain(&literal.p)
            .map(limb)
            .collect::<Result<Vec<_>, _>>()?;
        let (chain, special) = (
            literal.q.len(),
            literal.q.len()..literal.q.len() + literal.p.len(),
        );
        let conversion = |sources: Vec<usize>| Conversion::new(&limbs, sources);
        let digits = (0..chain)
            .step_by(literal.digit_size)
            .map(|start| {
                (start..(start + literal.digit_size).min(chain))
                    .map(|end| conversion((start..=end).collect()))
                    .collect()
            })
            .collect();
        let tables = DivisionTables {
            digits,
            special: conversion(special.clone().collect()),
            special_and_last: (0..chain)
                .map(|level| {
                    (level > 0).then(|| conversion(special.clone().chain([level]).collect()))
                })
                .collect(),
            last: (0..chain)
                .map(|level| (level > 0).then(|| conversion(vec![level])))
                .collect(),
        };
        let special_factor = |limb: &Limb| {
            let m = &limb.modulus;
            m.montgomery(m.product(literal.p.iter().copied()))
        };
        let special_factors = limbs.iter().take(chain).map(special_factor).collect();
        let automorphisms = Mutex::new(BTreeMap::new());
        let literal = literal.clone();
        Ok(Self(Arc::new(Tables {
            literal,
            limbs,
            tables,
            special_factors,
            automorphisms,
        })))
    }

    /// The numbers that were frozen.
    pub fn literal(&self) -> &CkksLiteral {
        &self.0.literal
    }

    /// The ring degree N.
    pub fn n(&self) -> usize {
        self.0.literal.n()
    }

    /// log2 of the ring degree.
    pub fn log_n(&self) -> u32 {
        self.0.literal.log_n
    }

    /// The number of slots, N/2.
    pub fn slots(&self) -> usize {
        self.0.literal.slots()
    }

    /// The highest level.
    pub fn max_level(&self) -> usize {
        self.0.literal.max_level()
    }

    /// The chain's primes, q_0 first.
    pub fn q(&self) -> &[u64] {
        &self.0.literal.q
    }

    /// The special primes.
    pub fn p(&self) -> &[u64] {
        &self.0.literal.p
    }

    /// The number of chain primes per key-switching digit.
    pub fn digit_size(&self) -> usize {
        self.0.literal.digit_size
    }

    /// The number of key-switching digits at a level: `ceil((level + 1) / digit_size)`.
    pub fn digits(&self, level: usize) -> usize {
        (level + 1).div_ceil(self.digit_size())
    }

    /// The chain primes of a digit that are alive at a level.
    pub fn digit_range(&self, digit: usize, level: usize) -> Range<usize> {
        let start = digit * self.digit_size();
        start..(start + self.digit_size()).min(level + 1)
    }

    /// The prime of limb `limb` of a ring element at `level`: `q_0 .. q_level`, then the special primes.
    ///
    /// `None` where a ring element at that level has no such limb.
    pub fn prime(&self, level: usize, limb: usize) -> Option<u64> {
        let index = self.limb_index(level, limb);
        (level <= self.max_level())
            .then(|| self.0.limbs.get(index).map(|l| l.modulus.p))
            .flatten()
    }

    /// Refuses a level beyond the chain.
    pub fn check_level(&self, level: usize) -> Result<(), CkksError> {
        let max = self.max_level();
        if level <= max {
            Ok(())
        } else {
            Err(CkksError::Level { level, min: 0, max })
        }
    }

    /// Transforms the coefficients of a polynomial in `X^(N/m)` modulo one prime into its m distinct values.
    ///
    /// `coefficients` holds m residues, m a power of two and at most N; `limb` counts `q_0 .. q_level`, then the
    /// special primes, for the given `level`. Afterwards word j is the value at positions `j N/m .. (j+1) N/m` of the
    /// whole ring's NTT order. A slot vector of period n is such a polynomial with m = 2n.
    pub fn subring_ntt(
        &self,
        level: usize,
        limb: usize,
        coefficients: &mut [u64],
    ) -> Result<(), CkksError> {
        self.check_level(level)?;
        let table = self
            .0
            .limbs
            .get(self.limb_index(level, limb))
            .ok_or(CkksError::Shape)?;
        let m = coefficients.len();
        if !m.is_power_of_two() || m > self.n() {
            return Err(CkksError::SlotCount {
                count: m / 2,
                slots: self.slots(),
            });
        }
        table.ntt.forward_subring(coefficients);
        Ok(())
    }

    /// The residue of a signed number modulo the prime of a limb, in time that does not depend on the number.
    ///
    /// `None` where a ring element at that level has no such limb.
    pub fn residue(&self, level: usize, limb: usize, value: i64) -> Option<u64> {
        self.0
            .limbs
            .get(self.limb_index(level, limb))
            .map(|l| l.modulus.signed_residue(value))
    }

    /// The index into the parameters' limbs of a limb of a ring element at `level`.
    pub(crate) fn limb_index(&self, level: usize, limb: usize) -> usize {
        if limb <= level {
            limb
        } else {
            limb - level - 1 + self.q().len()
        }
    }

    pub(crate) fn limb(&self, level: usize, limb: usize) -> &Limb {
        &self.0.limbs[self.limb_index(level, limb)]
    }

    /// A limb by its index among all.
    pub(crate) fn limb_at(&self, index: usize) -> &Limb {
        &self.0.limbs[index]
    }

    /// The special modulus modulo a chain prime, in Montgomery form.
    pub(crate) fn special_factor(&self, index: usize) -> u64 {
        self.0.special_factors[index]
    }

    /// The conversion out of a digit at a level.
    pub(crate) fn digit_conversion(&self, digit: usize, level: usize) -> &Conversion {
        &self.0.tables.digits[digit][self.digit_range(digit, level).len() - 1]
    }

    /// The division by the special modulus, and by the last prime of a level above 0 too if asked for.
    pub(crate) fn special_division(
        &self,
        level: usize,
        rescale: bool,
    ) -> Result<&Conversion, CkksError> {
        if !rescale {
            return Ok(&self.0.tables.special);
        }
        self.0.tables.special_and_last[level]
            .as_ref()
            .ok_or(CkksError::Level {
                level,
                min: 1,
                max: self.max_level(),
            })
    }

    /// The division by the last prime of a level above 0.
    pub(crate) fn rescale_division(&self, level: usize) -> Result<&Conversion, CkksError> {
        self.0.tables.last[level].as_ref().ok_or(CkksError::Level {
            level,
            min: 1,
            max: self.max_level(),
        })
    }

    /// The permutation of a Galois element, computed once.
    pub(crate) fn automorphism(&self, galois: usize) -> Arc<Automorphism> {
        let mut known = self
            .0
            .automorphisms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known
            .entry(galois)
            .or_insert_with(|| Arc::new(Automorphism::new(self.log_n(), galois)))
            .clone()
    }
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.literal.fmt(f)
    }
}
