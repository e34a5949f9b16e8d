//! Evaluation keys and the public key.

use crate::ClientError;
use crate::random::{SecretRng, os_random};
use crate::sampler;
use crate::secret::SecretPoly;
use cipherloom_ckks::error::KeyName;
use cipherloom_ckks::xof::Seed;
use cipherloom_ckks::{Domain, Parameters, Poly, SeededEvaluationKeys, SeededSwitchingKey};
use cipherloom_ir::container::KeyId;
use cipherloom_ir::plan::KeyRequest;

/// A fresh public seed.
pub(crate) fn fresh_seed() -> Result<Seed, ClientError> {
    let mut seed = Seed([0; 32]);
    os_random(&mut seed.0)?;
    Ok(seed)
}

/// A fresh Gaussian error, in the NTT domain.
pub(crate) fn error(
    params: &Parameters,
    rng: &mut SecretRng,
    level: usize,
    special: bool,
) -> Result<SecretPoly, ClientError> {
    let coefficients = sampler::gaussian(rng, params.n());
    SecretPoly::from_signed(params, level, special, &coefficients)
}

/// `-a s + e` for a public uniform `a`: the masked part of everything that is encrypted under the secret key.
pub(crate) fn masked_zero(
    params: &Parameters,
    rng: &mut SecretRng,
    secret: &SecretPoly,
    uniform: &Poly,
) -> Result<Poly, ClientError> {
    let mut masked = uniform.clone();
    masked.mul_assign(secret, params)?;
    masked.negate(params)?;
    let error = error(params, rng, uniform.level(), uniform.has_special())?;
    masked.add_assign(&error, params)?;
    Ok(masked)
}

/// All keys of a request. `secret` is the secret key at the highest level, with special limbs.
pub(crate) fn evaluation_keys(
    params: &Parameters,
    request: &KeyRequest,
    secret: &SecretPoly,
    key_id: KeyId,
) -> Result<SeededEvaluationKeys, ClientError> {
    let maker = KeyMaker { params, secret };
    let relinearization = request
        .relinearization
        .map(|level| (KeyName::Relinearization, level));
    let rotations = request
        .rotations
        .iter()
        .map(|spec| (KeyName::Rotation(spec.steps), spec.level));
    let conjugation = request
        .conjugation
        .map(|level| (KeyName::Conjugation, level));
    let wanted: Vec<(KeyName, u32)> = relinearization
        .into_iter()
        .chain(rotations)
        .chain(conjugation)
        .collect();
    let mut keys = SeededEvaluationKeys {
        key_id,
        ..Default::default()
    };
    for ((name, _), key) in wanted.iter().zip(maker.make_all(&wanted)?) {
        match name {
            KeyName::Relinearization => keys.relinearization = Some(key),
            KeyName::Rotation(steps) => {
                keys.rotations.insert(*steps, key);
            }
            KeyName::Conjugation => keys.conjugation = Some(key),
        }
    }
    Ok(keys)
}

struct KeyMaker<'a> {
    params: &'a Parameters,
    secret: &'a SecretPoly,
}

impl KeyMaker<'_> {
    /// One key per request, in order.
    fn make_all(&self, wanted: &[(KeyName, u32)]) -> Result<Vec<SeededSwitchingKey>, ClientError> {
        let make = |(name, level): &(KeyName, u32)| self.make(*name, *level);
        #[cfg(not(target_family = "wasm"))]
        {
            use rayon::prelude::*;
            wanted.par_iter().map(make).collect()
        }
        #[cfg(target_family = "wasm")]
        wanted.iter().map(make).collect()
    }

    /// The key from s^2 or from the image of s under the automorphism, to s, for levels up to `level`.
    fn make(&self, name: KeyName, level: u32) -> Result<SeededSwitchingKey, ClientError> {
        let (params, level) = (self.params, level as usize);
        params.check_level(level)?;
        let secret = self.secret.restricted(params, level, true);
        let mut source = match name {
            KeyName::Relinearization => {
                let mut square = secret.restricted(params, level, true);
                square.poly_mut().mul_assign(&secret, params)?;
                square
            }
            _ => SecretPoly::new(secret.automorphism(name.galois_element(params), params)?),
        };
        source
            .poly_mut()
            .mul_assign(&special_modulus(params, level), params)?;
        let (seed, mut rng) = (fresh_seed()?, SecretRng::from_os()?);
        let digits = params.digits(level);
        let mut halves = Vec::with_capacity(digits);
        for digit in 0..digits {
            let uniform = SeededSwitchingKey::uniform_half(params, &seed, digit, level);
            let mut half = masked_zero(params, &mut rng, &secret, &uniform)?;
            for limb in params.digit_range(digit, level) {
                let prime = params.prime(level, limb).unwrap_or(1);
                add_limb(half.limb_mut(limb), source.limb(limb), prime);
            }
            halves.push(half);
        }
        Ok(SeededSwitchingKey::new(params, level, seed, halves)?)
    }
}

/// The special modulus P as a ring element: a constant has the same value everywhere in the NTT domain.
fn special_modulus(params: &Parameters, level: usize) -> Poly {
    let mut poly = Poly::zero(params, level, true, Domain::Ntt);
    for (i, prime) in params.q().iter().take(level + 1).enumerate() {
        let product = params.p().iter().fold(1_u128, |product, p| {
            product * u128::from(*p) % u128::from(*prime)
        });
        poly.limb_mut(i).fill(product as u64);
    }
    poly
}

/// `a += b` modulo a prime, without a branch: of the sum and the sum less the prime, the one that has not wrapped around is
/// the smaller.
fn add_limb(a: &mut [u64], b: &[u64], prime: u64) {
    for (a, b) in a.iter_mut().zip(b) {
        let sum = *a + *b;
        *a = sum.min(sum.wrapping_sub(prime));
    }
}
