//! Evaluation keys: hybrid key switching with a gadget that does not depend on the level.
//!
//! Digit d covers the chain primes `q_(d a) .. q_(d a + a - 1)`, a being the digit size. A key from s' to s has for
//! each digit a pair `(b_d, a_d)` modulo `q_0 .. q_level` and the special primes, `a_d` uniform and
//! `b_d = -a_d s + e_d + P g_d s'`, where `P g_d` is P modulo the primes of digit d and 0 modulo all others. A key
//! made for a level serves every lower one with fewer limbs and digits (Han and Ki, CT-RSA 2020, section 3).

use crate::automorphism::{Automorphism, conjugation_element, rotation_element};
use crate::error::{CkksError, KeyName};
use crate::kernel::{self, Buffer, Row, Words};
use crate::parallel;
use crate::params::Parameters;
use crate::poly::{Domain, Poly};
use crate::xof::{Seed, uniform_limb};
use cipherloom_ir::container::KeyId;
use std::collections::BTreeMap;

impl KeyName {
    /// The Galois element g of the automorphism `X -> X^g` whose image of the secret key this key switches from; 1
    /// for the relinearisation key, which switches from the square.
    pub fn galois_element(self, params: &Parameters) -> usize {
        match self {
            KeyName::Relinearization => 1,
            KeyName::Rotation(steps) => rotation_element(params.log_n(), steps),
            KeyName::Conjugation => conjugation_element(params.log_n()),
        }
    }
}

/// A switching key with its uniform halves given by a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct SeededSwitchingKey {
    level: usize,
    seed: Seed,
    b: Vec<Poly>,
}

impl SeededSwitchingKey {
    /// The domain of the seeds of keys.
    const CONTEXT: &'static str = "cipherloom 2026 switching key a";

    /// A key of the halves `b_d`, one per digit at `level`, in the NTT domain with special limbs.
    pub fn new(
        params: &Parameters,
        level: usize,
        seed: Seed,
        b: Vec<Poly>,
    ) -> Result<Self, CkksError> {
        params.check_level(level)?;
        if b.len() != params.digits(level) {
            return Err(CkksError::Shape);
        }
        for part in &b {
            part.expect(Domain::Ntt)?;
            if part.level() != level || !part.has_special() || part.limb(0).len() != params.n() {
                return Err(CkksError::Shape);
            }
        }
        Ok(Self { level, seed, b })
    }

    /// The uniform half `a_d` of a digit that a seed gives, in the NTT domain with special limbs.
    pub fn uniform_half(params: &Parameters, seed: &Seed, digit: usize, level: usize) -> Poly {
        let mut a = Poly::zero(params, level, true, Domain::Ntt);
        for (i, words) in a.limbs_mut().enumerate() {
            Self::fill_uniform(params, seed, digit, params.limb_index(level, i), words);
        }
        a
    }

    fn fill_uniform(
        params: &Parameters,
        seed: &Seed,
        digit: usize,
        limb: usize,
        words: &mut [u64],
    ) {
        uniform_limb(
            seed,
            Self::CONTEXT,
            digit as u64,
            limb,
            params.limb_at(limb).modulus.p,
            words,
        );
    }

    /// The highest level that the key serves.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The seed of the uniform halves.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The halves `b_d`, one per digit.
    pub fn b(&self) -> &[Poly] {
        &self.b
    }

    /// The key in the form that inner products read, for the automorphism that `name` implies.
    pub fn expand(&self, params: &Parameters, name: KeyName) -> SwitchingKey {
        let mut key = SwitchingKey::allocate(params, self.level, name.galois_element(params));
        let automorphism = (key.galois != 1).then(|| params.automorphism(key.galois));
        let jobs = key.words.iter_mut().enumerate().collect();
        parallel::for_each(jobs, |(limb, words)| {
            self.expand_limb(params, automorphism.as_deref(), limb, words)
        });
        key
    }

    /// Fills limb `limb` of an expanded key.
    fn expand_limb(
        &self,
        params: &Parameters,
        automorphism: Option<&Automorphism>,
        limb: usize,
        words: &mut Words,
    ) {
        let n = params.n();
        let index = params.limb_index(self.level, limb);
        let modulus = &params.limb_at(index).modulus;
        let (mut uniform, mut permuted) = (Buffer::unspecified(n), Buffer::unspecified(n));
        for (d, b) in self.b.iter().enumerate() {
            Self::fill_uniform(params, &self.seed, d, index, &mut uniform);
            for (half, source) in [b.limb(limb), &uniform[..]].into_iter().enumerate() {
                match automorphism {
                    Some(automorphism) => automorphism.unpermute_blocks(&mut permuted, source),
                    None => permuted.copy_from_slice(source),
                }
                kernel::mul_shoup_assign(modulus, &mut permuted, modulus.shoup(modulus.one));
                words.write((2 * d + half) * n, &permuted);
            }
        }
    }
}

/// A switching key, expanded.
///
/// Words lie as `[limb][digit][b, a][N]` in Montgomery form, so that an inner product streams them, and take 32
/// bits where the prime does. A block of eight words of a key for an automorphism phi lies where the result of the inner
/// product `<phi(x), k>` needs it, its words in the order of the block of x that phi takes there: each block of the
/// result reads one of x, and the two results alone are permuted, within blocks.
pub struct SwitchingKey {
    level: usize,
    digits: usize,
    n: usize,
    galois: usize,
    words: Vec<Words>,
}

impl SwitchingKey {
    fn allocate(params: &Parameters, level: usize, galois: usize) -> Self {
        let digits = params.digits(level);
        let limbs = level + 1 + params.p().len();
        let n = params.n();
        Self {
            level,
            digits,
            n,
            galois,
            words: (0..limbs)
                .map(|i| Words::unspecified(&params.limb(level, i).modulus, digits * 2 * n))
                .collect(),
        }
    }

    /// The highest level that the key serves.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The Galois element of the automorphism for which the key was expanded.
    pub fn galois_element(&self) -> usize {
        self.galois
    }

    /// The bytes that the key takes in memory.
    pub fn bytes(&self) -> usize {
        self.words.iter().map(Words::bytes).sum()
    }

    /// Whether the key is one of these parameters.
    pub(crate) fn fits(&self, params: &Parameters) -> bool {
        let limbs = self.level + 1 + params.p().len();
        self.n == params.n()
            && self.level <= params.max_level()
            && self.digits == params.digits(self.level)
            && self.words.len() == limbs
    }

    /// The pairs `b_d, a_d` modulo limb `limb` of a ring element with special limbs at `level`.
    pub(crate) fn limb(&self, level: usize, limb: usize) -> Row<'_> {
        self.words[if limb <= level {
            limb
        } else {
            limb + self.level - level
        }]
        .row()
    }
}

impl std::fmt::Debug for SwitchingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "SwitchingKey(level {}, galois {})",
            self.level, self.galois
        )
    }
}

/// Where the evaluator finds keys: resident, mapped or streamed.
pub trait KeyStore: Sync {
    /// The relinearisation key, for an operand at `level`.
    fn relinearization(&self, level: usize) -> Result<&SwitchingKey, CkksError>;
    /// The key of a left rotation by `steps`, for an operand at `level`.
    fn rotation(&self, steps: u32, level: usize) -> Result<&SwitchingKey, CkksError>;
    /// The conjugation key, for an operand at `level`.
    fn conjugation(&self, level: usize) -> Result<&SwitchingKey, CkksError>;
}

/// Expanded evaluation keys, in memory.
#[derive(Debug, Default)]
pub struct EvaluationKeys {
    /// The id of the secret key that they were made with.
    pub key_id: KeyId,
    /// Switches from the square of the secret key.
    pub relinearization: Option<SwitchingKey>,
    /// By steps: switches from the rotated secret key.
    pub rotations: BTreeMap<u32, SwitchingKey>,
    /// Switches from the conjugated secret key.
    pub conjugation: Option<SwitchingKey>,
}

impl EvaluationKeys {
    /// The highest level that a key serves, if it is there.
    pub fn level(&self, name: KeyName) -> Option<usize> {
        let key = match name {
            KeyName::Relinearization => self.relinearization.as_ref(),
            KeyName::Rotation(steps) => self.rotations.get(&steps),
            KeyName::Conjugation => self.conjugation.as_ref(),
        };
        key.map(SwitchingKey::level)
    }

    /// The bytes that the keys take in memory.
    pub fn bytes(&self) -> usize {
        let single = [&self.relinearization, &self.conjugation];
        single
            .into_iter()
            .flatten()
            .chain(self.rotations.values())
            .map(SwitchingKey::bytes)
            .sum()
    }
}

fn usable(
    key: Option<&SwitchingKey>,
    name: KeyName,
    level: usize,
) -> Result<&SwitchingKey, CkksError> {
    let key = key.ok_or(CkksError::MissingKey { name })?;
    if key.level < level {
        Err(CkksError::KeyLevel {
            name,
            available: key.level,
            needed: level,
        })
    } else {
        Ok(key)
    }
}

impl KeyStore for EvaluationKeys {
    fn relinearization(&self, level: usize) -> Result<&SwitchingKey, CkksError> {
        usable(
            self.relinearization.as_ref(),
            KeyName::Relinearization,
            level,
        )
    }

    fn rotation(&self, steps: u32, level: usize) -> Result<&SwitchingKey, CkksError> {
        usable(self.rotations.get(&steps), KeyName::Rotation(steps), level)
    }

    fn conjugation(&self, level: usize) -> Result<&SwitchingKey, CkksError> {
        usable(self.conjugation.as_ref(), KeyName::Conjugation, level)
    }
}

/// Seeded evaluation keys, as they are stored and sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeededEvaluationKeys {
    /// The id of the secret key that they were made with.
    pub key_id: KeyId,
    /// Switches from the square of the secret key.
    pub relinearization: Option<SeededSwitchingKey>,
    /// By steps: switches from the rotated secret key.
    pub rotations: BTreeMap<u32, SeededSwitchingKey>,
    /// Switches from the conjugated secret key.
    pub conjugation: Option<SeededSwitchingKey>,
}

impl SeededEvaluationKeys {
    /// Expands all keys, on all threads of the current pool.
    pub fn expand(&self, params: &Parameters) -> EvaluationKeys {
        EvaluationKeys {
            key_id: self.key_id,
            relinearization: self
                .relinearization
                .as_ref()
                .map(|k| k.expand(params, KeyName::Relinearization)),
            rotations: self
                .rotations
                .iter()
                .map(|(r, k)| (*r, k.expand(params, KeyName::Rotation(*r))))
                .collect(),
            conjugation: self
                .conjugation
                .as_ref()
                .map(|k| k.expand(params, KeyName::Conjugation)),
        }
    }
}
