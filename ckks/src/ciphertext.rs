//! Ciphertexts.

use crate::error::CkksError;
use crate::parallel;
use crate::params::Parameters;
use crate::poly::{Domain, Poly};
use crate::xof::{Seed, uniform_limb};
use cipherloom_ir::Scale;

/// An encryption of `c0 + c1 s`, at an exact scale; both parts in the NTT domain without special limbs.
#[derive(Clone, Debug, PartialEq)]
pub struct Ciphertext {
    pub(crate) c0: Poly,
    pub(crate) c1: Poly,
    pub(crate) scale: Scale,
}

impl Ciphertext {
    /// A ciphertext of two ring elements of one level in the NTT domain, without special limbs.
    pub fn new(c0: Poly, c1: Poly, scale: Scale) -> Result<Self, CkksError> {
        c0.expect(Domain::Ntt)?;
        c1.expect(Domain::Ntt)?;
        if c0.level() != c1.level() {
            return Err(CkksError::LevelMismatch {
                left: c0.level(),
                right: c1.level(),
            });
        }
        if c0.has_special() || c1.has_special() || c0.limb(0).len() != c1.limb(0).len() {
            return Err(CkksError::Shape);
        }
        Ok(Self { c0, c1, scale })
    }

    /// The part that the secret key does not multiply.
    pub fn c0(&self) -> &Poly {
        &self.c0
    }

    /// The part that the secret key multiplies.
    pub fn c1(&self) -> &Poly {
        &self.c1
    }

    /// The level: residues modulo `q_0 .. q_level`.
    pub fn level(&self) -> usize {
        self.c0.level()
    }

    /// The exact scale.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }
}

/// A fresh encryption under the secret key whose uniform part `c1` is given by a seed: half the size.
#[derive(Clone, Debug, PartialEq)]
pub struct SeededCiphertext {
    c0: Poly,
    seed: Seed,
    scale: Scale,
}

impl SeededCiphertext {
    /// The domain of the seeds of ciphertexts.
    const CONTEXT: &'static str = "cipherloom 2026 ciphertext c1";

    /// A ciphertext of `c0`, in the NTT domain without special limbs, and the seed of [`Self::uniform_part`].
    pub fn new(c0: Poly, seed: Seed, scale: Scale) -> Result<Self, CkksError> {
        c0.expect(Domain::Ntt)?;
        if c0.has_special() {
            Err(CkksError::Shape)
        } else {
            Ok(Self { c0, seed, scale })
        }
    }

    /// The uniform part that a seed gives, at a level of the parameters, in the NTT domain.
    pub fn uniform_part(params: &Parameters, seed: &Seed, level: usize) -> Poly {
        let mut c1 = Poly::unwritten(params, level, false);
        let limbs = c1.limbs_mut().enumerate().collect();
        parallel::for_each(limbs, |(i, words)| {
            let prime = params.limb(level, i).modulus.p;
            uniform_limb(seed, Self::CONTEXT, 0, i, prime, words);
        });
        c1
    }

    /// The ciphertext, with its uniform part written out.
    pub fn expand(&self, params: &Parameters) -> Ciphertext {
        let c1 = Self::uniform_part(params, &self.seed, self.c0.level());
        Ciphertext {
            c0: self.c0.clone(),
            c1,
            scale: self.scale.clone(),
        }
    }

    /// The part that the secret key does not multiply.
    pub fn c0(&self) -> &Poly {
        &self.c0
    }

    /// The seed.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The level.
    pub fn level(&self) -> usize {
        self.c0.level()
    }

    /// The exact scale.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }
}
