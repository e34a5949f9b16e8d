//! Encoded vectors.

use crate::error::CkksError;
use crate::kernel::Buffer;
use crate::params::Parameters;
use crate::poly::{Domain, Poly};
use cipherloom_ir::Scale;
use zeroize::{DefaultIsZeroes, Zeroize};

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Complex64 {
    /// Real part.
    pub re: f64,
    /// Imaginary part.
    pub im: f64,
}

impl DefaultIsZeroes for Complex64 {}

/// An encoded slot vector: a ring element in the NTT domain without special limbs, and its exact scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Plaintext {
    poly: Poly,
    scale: Scale,
}

impl Plaintext {
    /// A plaintext of a ring element, which must be in the NTT domain and without special limbs.
    pub fn new(poly: Poly, scale: Scale) -> Result<Self, CkksError> {
        poly.expect(Domain::Ntt)?;
        if poly.has_special() {
            return Err(CkksError::Shape);
        }
        Ok(Self { poly, scale })
    }

    /// The ring element, in the NTT domain.
    pub fn poly(&self) -> &Poly {
        &self.poly
    }

    /// The level.
    pub fn level(&self) -> usize {
        self.poly.level()
    }

    /// The exact scale.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }
}

impl Zeroize for Plaintext {
    /// Wipes the ring element; level and scale stay.
    fn zeroize(&mut self) {
        self.poly.zeroize();
    }
}

/// An encoded vector of a short period n in compact form: a polynomial in `X^(N/2n)` has 2n distinct values modulo
/// each prime, each of which serves N/2n consecutive positions of the NTT domain.
#[derive(Clone, PartialEq)]
pub struct PeriodicPoly {
    words: Buffer,
    width: usize,
    level: usize,
    special: bool,
    scale: Scale,
}

impl PeriodicPoly {
    /// The zero vector of a period: a power of two, at most the number of slots.
    pub fn zero(
        params: &Parameters,
        period: usize,
        level: usize,
        special: bool,
        scale: Scale,
    ) -> Result<Self, CkksError> {
        params.check_level(level)?;
        if !period.is_power_of_two() || period > params.slots() {
            return Err(CkksError::SlotCount {
                count: period,
                slots: params.slots(),
            });
        }
        let limbs = level + 1 + if special { params.p().len() } else { 0 };
        Ok(Self {
            words: Buffer::zeroed(2 * period * limbs),
            width: 2 * period,
            level,
            special,
            scale,
        })
    }

    /// The number of limbs: `q_0 .. q_level`, then the special primes if there are any.
    pub fn limbs(&self) -> usize {
        self.words.len() / self.width
    }

    /// The 2n distinct values modulo the prime of limb `i`, in the order of the NTT domain.
    pub fn limb(&self, i: usize) -> &[u64] {
        &self.words[i * self.width..(i + 1) * self.width]
    }

    /// The same, to write; words must stay below the limb's prime.
    pub fn limb_mut(&mut self, i: usize) -> &mut [u64] {
        &mut self.words[i * self.width..(i + 1) * self.width]
    }

    /// The period n.
    pub fn period(&self) -> usize {
        self.width / 2
    }

    /// The level.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Whether there are residues modulo the special primes.
    pub fn has_special(&self) -> bool {
        self.special
    }

    /// The exact scale.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// The whole ring element, each value repeated; without the special limbs.
    pub fn expand(&self, params: &Parameters) -> Poly {
        let mut poly = Poly::zero(params, self.level, false, Domain::Ntt);
        let run = params.n() / self.width;
        for i in 0..poly.limbs() {
            for (run, value) in poly.limb_mut(i).chunks_exact_mut(run).zip(self.limb(i)) {
                run.fill(*value);
            }
        }
        poly
    }
}

impl std::fmt::Debug for PeriodicPoly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            width,
            level,
            special,
            scale,
            ..
        } = self;
        write!(
            f,
            "PeriodicPoly(period {}, level {level}, special {special}, scale {scale:?})",
            width / 2
        )
    }
}
