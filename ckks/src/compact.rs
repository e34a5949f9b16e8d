//! Ciphertexts that are kept: 32-bit words modulo primes below 2^32.

use crate::ciphertext::{Ciphertext, SeededCiphertext};
use crate::error::CkksError;
use crate::kernel::{Row, Words};
use crate::params::Parameters;
use crate::poly::{Domain, Poly};
use cipherloom_ir::Scale;

/// A ciphertext in words no larger than its primes ask for: half the size where these are below 2^32.
#[derive(Clone)]
pub struct CompactCiphertext {
    /// The limbs of both parts, in the NTT domain.
    parts: [Vec<Words>; 2],
    scale: Scale,
}

impl CompactCiphertext {
    /// The compact form of a ciphertext of these parameters.
    ///
    /// # Errors
    /// [`CkksError::Level`] or [`CkksError::Shape`] for a ciphertext of other parameters.
    pub fn new(params: &Parameters, from: &Ciphertext) -> Result<Self, CkksError> {
        Ok(Self {
            parts: [compact(params, from.c0())?, compact(params, from.c1())?],
            scale: from.scale().clone(),
        })
    }

    /// The compact form of a seeded ciphertext of these parameters, its uniform part written out.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_seeded(params: &Parameters, from: &SeededCiphertext) -> Result<Self, CkksError> {
        params.check_level(from.level())?;
        let uniform = SeededCiphertext::uniform_part(params, from.seed(), from.level());
        Ok(Self {
            parts: [compact(params, from.c0())?, compact(params, &uniform)?],
            scale: from.scale().clone(),
        })
    }

    /// The ciphertext in full words.
    pub fn expand(&self, params: &Parameters) -> Ciphertext {
        let [c0, c1] = [0, 1].map(|part| {
            let mut poly = Poly::zero(params, self.level(), false, Domain::Ntt);
            for (i, words) in poly.limbs_mut().enumerate() {
                self.words(part, i, 0, words.len()).copy_to(0, words);
            }
            poly
        });
        Ciphertext {
            c0,
            c1,
            scale: self.scale.clone(),
        }
    }

    /// The level.
    pub fn level(&self) -> usize {
        self.parts[0].len().saturating_sub(1)
    }

    /// The exact scale.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// The bytes in memory.
    pub fn bytes(&self) -> usize {
        self.parts.iter().flatten().map(Words::bytes).sum()
    }

    /// Whether both parts have limbs of these parameters.
    pub(crate) fn fits(&self, params: &Parameters) -> bool {
        let [c0, c1] = &self.parts;
        let whole = |(i, words): (usize, &Words)| {
            let prime = params.q().get(i).copied().unwrap_or(0);
            words.bytes() == params.n() * if prime < 1 << 32 { 4 } else { 8 }
        };
        c0.len() == c1.len() && [c0, c1].iter().all(|p| p.iter().enumerate().all(whole))
    }

    /// `len` words of a part's limb, from position `at` on.
    pub(crate) fn words(&self, part: usize, limb: usize, at: usize, len: usize) -> Row<'_> {
        match self.parts[part][limb].row() {
            Row::Narrow(words) => Row::Narrow(&words[at..at + len]),
            Row::Wide(words) => Row::Wide(&words[at..at + len]),
        }
    }
}

fn compact(params: &Parameters, poly: &Poly) -> Result<Vec<Words>, CkksError> {
    params.check_level(poly.level())?;
    poly.expect(Domain::Ntt)?;
    if poly.has_special() || poly.limb(0).len() != params.n() {
        return Err(CkksError::Shape);
    }
    let limb = |i: usize| {
        let mut words = Words::unspecified(&params.limb_at(i).modulus, params.n());
        words.write(0, poly.limb(i));
        words
    };
    Ok((0..=poly.level()).map(limb).collect())
}

impl std::fmt::Debug for CompactCiphertext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "CompactCiphertext(level {}, {:?})",
            self.level(),
            self.scale
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, random_poly, toy, toy_single};
    use crate::xof::Seed;

    #[test]
    fn ciphertexts_come_back() {
        let wide = toy(5, &[50.0, 30.0, 50.0], &[50.0, 49.0], 1);
        for (params, narrow) in [(toy_single(5), 3), (wide, 1)] {
            let mut rng = Rng(2);
            let scale = Scale::pow2(20);
            let [c0, c1] = [0, 1].map(|_| random_poly(&params, &mut rng, 2, false));
            let full = Ciphertext::new(c0.clone(), c1, scale.clone()).unwrap();
            let compact = CompactCiphertext::new(&params, &full).unwrap();
            assert_eq!(compact.expand(&params), full);
            assert_eq!(compact.bytes(), 2 * 32 * (4 * narrow + 8 * (3 - narrow)));
            let seeded = SeededCiphertext::new(c0, Seed([7; 32]), scale.clone()).unwrap();
            let compact = CompactCiphertext::from_seeded(&params, &seeded).unwrap();
            assert_eq!(compact.expand(&params), seeded.expand(&params));
            let small = toy_single(4);
            assert!(CompactCiphertext::new(&small, &full).is_err());
            assert!(CompactCiphertext::from_seeded(&small, &seeded).is_err());
        }
    }
}
