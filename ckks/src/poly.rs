//! Ring elements as residues.

use crate::error::CkksError;
use crate::kernel::{self, Buffer};
use crate::parallel;
use crate::params::Parameters;
use zeroize::Zeroize;

/// How the words of a limb represent the ring element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Coefficients of 1, X, .. X^(N-1).
    Coefficient,
    /// Values at the odd powers of a 2N-th root of unity, in bit-reversed order.
    Ntt,
}

/// A ring element: residues modulo `q_0 .. q_level` and, with special limbs, modulo every special prime.
///
/// Limb i has N words, each below its prime.
#[derive(Clone, PartialEq, Eq)]
pub struct Poly {
    words: Buffer,
    n: usize,
    level: usize,
    special: bool,
    domain: Domain,
}

impl Poly {
    /// Whether all residues are 0.
    pub fn is_zero(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// The zero of the ring.
    ///
    /// `level` must be a level of the parameters: check with [`Parameters::check_level`] what comes from outside.
    pub fn zero(params: &Parameters, level: usize, special: bool, domain: Domain) -> Self {
        let limbs = level + 1 + if special { params.p().len() } else { 0 };
        Self {
            words: Buffer::zeroed(limbs * params.n()),
            n: params.n(),
            level,
            special,
            domain,
        }
    }

    /// A ring element of unspecified words: write all of them before you read.
    pub(crate) fn unwritten(params: &Parameters, level: usize, special: bool) -> Self {
        let limbs = level + 1 + if special { params.p().len() } else { 0 };
        let words = Buffer::unspecified(limbs * params.n());
        Self {
            words,
            n: params.n(),
            level,
            special,
            domain: Domain::Ntt,
        }
    }

    /// The ring element with the given N coefficients, of 1, X, ..; in the coefficient domain, in time that does not
    /// depend on their values.
    ///
    /// # Errors
    /// [`CkksError::Shape`] for another number of coefficients, [`CkksError::Level`] for a level that the parameters do not have.
    pub fn from_signed(
        params: &Parameters,
        level: usize,
        special: bool,
        coefficients: &[i64],
    ) -> Result<Self, CkksError> {
        params.check_level(level)?;
        if coefficients.len() != params.n() {
            return Err(CkksError::Shape);
        }
        let mut poly = Self::zero(params, level, special, Domain::Coefficient);
        for (i, limb) in poly.words.chunks_exact_mut(params.n()).enumerate() {
            let modulus = &params.limb(level, i).modulus;
            limb.iter_mut()
                .zip(coefficients)
                .for_each(|(word, c)| *word = modulus.signed_residue(*c));
        }
        Ok(poly)
    }

    /// The level.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Whether there are residues modulo the special primes.
    pub fn has_special(&self) -> bool {
        self.special
    }

    /// The domain.
    pub fn domain(&self) -> Domain {
        self.domain
    }

    /// Declares in which domain the words are, after they were written by hand.
    pub fn set_domain(&mut self, domain: Domain) {
        self.domain = domain;
    }

    /// The number of limbs.
    pub fn limbs(&self) -> usize {
        self.words.len() / self.n
    }

    /// The words of limb `i` of [`Poly::limbs`]: `q_0 .. q_level` first, then the special primes.
    pub fn limb(&self, i: usize) -> &[u64] {
        &self.words[i * self.n..(i + 1) * self.n]
    }

    /// The words of limb `i`, to write; they must stay below the limb's prime.
    pub fn limb_mut(&mut self, i: usize) -> &mut [u64] {
        &mut self.words[i * self.n..(i + 1) * self.n]
    }

    pub(crate) fn limbs_mut(&mut self) -> impl Iterator<Item = &mut [u64]> {
        self.words.chunks_exact_mut(self.n)
    }

    /// The same element modulo fewer primes: a level that is not higher, without special limbs.
    pub(crate) fn truncated(&self, level: usize) -> Self {
        let len = (level + 1) * self.n;
        let mut words = Buffer::unspecified(len);
        words.copy_from_slice(&self.words[..len]);
        Self {
            words,
            n: self.n,
            level,
            special: false,
            domain: self.domain,
        }
    }

    pub(crate) fn expect(&self, domain: Domain) -> Result<(), CkksError> {
        if self.domain == domain {
            Ok(())
        } else {
            Err(CkksError::Domain {
                found: self.domain,
                expected: domain,
            })
        }
    }

    fn same_shape(&self, other: &Self) -> Result<(), CkksError> {
        if self.n != other.n || self.special != other.special {
            return Err(CkksError::Shape);
        }
        if self.level != other.level {
            return Err(CkksError::LevelMismatch {
                left: self.level,
                right: other.level,
            });
        }
        other.expect(self.domain)
    }

    fn fits(&self, params: &Parameters) -> Result<(), CkksError> {
        let special = if self.special { params.p().len() } else { 0 };
        let fits = self.n == params.n()
            && self.level <= params.max_level()
            && self.limbs() == self.level + 1 + special;
        if fits { Ok(()) } else { Err(CkksError::Shape) }
    }

    fn for_each_limb(
        &mut self,
        params: &Parameters,
        task: impl Fn(&crate::params::Limb, usize, &mut [u64]) + Sync + Send,
    ) {
        let level = self.level;
        let limbs = self.limbs_mut().enumerate().collect();
        parallel::for_each(limbs, |(i, words)| task(params.limb(level, i), i, words));
    }

    /// To the NTT domain; nothing happens where the element is there already.
    pub fn to_ntt(&mut self, params: &Parameters) {
        if self.domain == Domain::Coefficient {
            self.for_each_limb(params, |limb, _, words| limb.ntt.forward(words));
            self.domain = Domain::Ntt;
        }
    }

    /// To the coefficient domain; nothing happens where the element is there already.
    pub fn to_coefficients(&mut self, params: &Parameters) {
        if self.domain == Domain::Ntt {
            self.for_each_limb(params, |limb, _, words| limb.ntt.inverse(words));
            self.domain = Domain::Coefficient;
        }
    }

    /// `self += other`.
    pub fn add_assign(&mut self, other: &Self, params: &Parameters) -> Result<(), CkksError> {
        self.same_shape(other)?;
        self.fits(params)?;
        self.for_each_limb(params, |limb, i, words| {
            kernel::add_assign(&limb.modulus, words, other.limb(i))
        });
        Ok(())
    }

    /// `self -= other`.
    pub fn sub_assign(&mut self, other: &Self, params: &Parameters) -> Result<(), CkksError> {
        self.same_shape(other)?;
        self.fits(params)?;
        self.for_each_limb(params, |limb, i, words| {
            kernel::sub_assign(&limb.modulus, words, other.limb(i))
        });
        Ok(())
    }

    /// `self = -self`.
    pub fn negate(&mut self, params: &Parameters) -> Result<(), CkksError> {
        self.fits(params)?;
        self.for_each_limb(params, |limb, _, words| {
            kernel::negate_assign(&limb.modulus, words)
        });
        Ok(())
    }

    /// `self *= other`; both in the NTT domain.
    pub fn mul_assign(&mut self, other: &Self, params: &Parameters) -> Result<(), CkksError> {
        self.expect(Domain::Ntt)?;
        self.same_shape(other)?;
        self.fits(params)?;
        self.for_each_limb(params, |limb, i, words| {
            kernel::mul_assign(&limb.modulus, words, other.limb(i))
        });
        Ok(())
    }

    /// The image under `X -> X^galois` for an odd `galois`; in the NTT domain.
    pub fn automorphism(&self, galois: usize, params: &Parameters) -> Result<Self, CkksError> {
        self.expect(Domain::Ntt)?;
        self.fits(params)?;
        if galois.is_multiple_of(2) {
            return Err(CkksError::Shape);
        }
        let permutation = params.automorphism(galois % (2 * self.n));
        let mut image = Self::unwritten(params, self.level, self.special);
        image.for_each_limb(params, |_, i, words| permutation.apply(words, self.limb(i)));
        Ok(image)
    }
}

impl Zeroize for Poly {
    /// Wipes all words, so that nothing of them is left in a buffer that is used again.
    fn zeroize(&mut self) {
        self.words.zeroize();
    }
}

impl std::fmt::Debug for Poly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            n,
            level,
            special,
            domain,
            ..
        } = self;
        write!(
            f,
            "Poly(n {n}, level {level}, special {special}, {domain:?})"
        )
    }
}
