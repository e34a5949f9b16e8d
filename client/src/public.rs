//! The public key, with which anyone can encrypt for its owner.

use crate::ClientError;
use crate::client::Encryptor;
use crate::keygen::{error, fresh_seed, masked_zero};
use crate::random::SecretRng;
use crate::sampler;
use crate::secret::SecretPoly;
use cipherloom_ckks::packing::{pack_poly, unpack_poly};
use cipherloom_ckks::set::CiphertextSet;
use cipherloom_ckks::wire::AnyCiphertext;
use cipherloom_ckks::xof::{Seed, uniform_limb};
use cipherloom_ckks::{Ciphertext, CkksError, Domain, Parameters, Plaintext, Poly};
use cipherloom_ir::container::{self, Container, KeyId, Kind, PlanId};
use cipherloom_ir::params::CkksLiteral;
use cipherloom_ir::plan::ClientPlan;
use cipherloom_ir::value::Tensors;

/// The domain of the seeds of public keys.
const CONTEXT: &str = "cipherloom 2026 public key a";
/// What error messages call the file.
const WHAT: &str = "public key";

/// A public encryption key: `(-a s + e, a)` at the highest level, with `a` given by a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicKey {
    plan_id: PlanId,
    key_id: KeyId,
    /// What `b` was made for.
    params: CkksLiteral,
    seed: Seed,
    b: Poly,
}

fn uniform(params: &Parameters, seed: &Seed) -> Poly {
    let mut a = Poly::zero(params, params.max_level(), false, Domain::Ntt);
    for (i, prime) in params.q().iter().enumerate() {
        uniform_limb(seed, CONTEXT, 0, i, *prime, a.limb_mut(i));
    }
    a
}

impl PublicKey {
    pub(crate) fn generate(
        params: &Parameters,
        plan_id: PlanId,
        key_id: KeyId,
        secret: &SecretPoly,
    ) -> Result<Self, ClientError> {
        let mut rng = SecretRng::from_os()?;
        let seed = fresh_seed()?;
        let secret = secret.restricted(params, params.max_level(), false);
        let b = masked_zero(params, &mut rng, &secret, &uniform(params, &seed))?;
        Ok(Self {
            plan_id,
            key_id,
            params: params.literal().clone(),
            seed,
            b,
        })
    }

    /// The id of the secret key that decrypts.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The bytes of a public key file.
    ///
    /// # Errors
    /// [`ClientError::Ckks`] for a key of other parameters.
    pub fn to_bytes(&self, params: &Parameters) -> Result<Vec<u8>, ClientError> {
        if self.params != *params.literal() {
            return Err(CkksError::Shape.into());
        }
        let mut body = Vec::new();
        pack_poly(params, &self.b, &mut body)?;
        Ok(container::write(
            Kind::PublicKey,
            self.plan_id,
            self.key_id,
            &[&self.seed.0, &body],
        ))
    }

    /// Reads a public key file of the given plan.
    ///
    /// # Errors
    /// [`ClientError::Container`] for a damaged file or one of another kind or plan, [`ClientError::Malformed`] or
    /// [`ClientError::Ckks`] where it does not fit the parameters.
    pub fn from_bytes(
        bytes: &[u8],
        params: &Parameters,
        plan_id: PlanId,
    ) -> Result<Self, ClientError> {
        let file = Container::read(bytes, Kind::PublicKey)?;
        file.expect_plan(plan_id)?;
        let seed = file
            .section(0)?
            .try_into()
            .map_err(|_| ClientError::Malformed {
                what: WHAT,
                reason: "its seed does not have 32 bytes".into(),
            })?;
        let b = unpack_poly(params, params.max_level(), false, file.section(1)?, WHAT)?;
        Ok(Self {
            plan_id,
            key_id: file.key_id,
            params: params.literal().clone(),
            seed: Seed(seed),
            b,
        })
    }
}

/// Encrypts for the owner of a public key.
pub struct PublicClient {
    encryptor: Encryptor,
    key: PublicKey,
    /// Both halves of the key.
    pair: [Poly; 2],
}

impl PublicClient {
    /// A client that can encrypt but not decrypt.
    ///
    /// # Errors
    /// [`ClientError::Parameters`] or [`ClientError::Plan`] for a plan that is refused, [`ClientError::Container`] or
    /// [`ClientError::Malformed`] for a key of another plan or of other parameters.
    pub fn new(plan: ClientPlan, key: PublicKey) -> Result<Self, ClientError> {
        let params = Parameters::new(&plan.params)?;
        Self::with_parameters(plan, params, key)
    }

    pub(crate) fn with_parameters(
        plan: ClientPlan,
        params: Parameters,
        key: PublicKey,
    ) -> Result<Self, ClientError> {
        if key.plan_id != plan.plan_id {
            return Err(container::ContainerError::OtherPlan {
                found: key.plan_id,
                expected: plan.plan_id,
            }
            .into());
        }
        // A key is made or read for its parameters alone, so that equal ones mean limbs that fit.
        if key.params != *params.literal() {
            return Err(ClientError::Malformed {
                what: WHAT,
                reason: "its parameters are not those of the plan".into(),
            });
        }
        let pair = [key.b.clone(), uniform(&params, &key.seed)];
        Ok(Self {
            encryptor: Encryptor::new(plan, params)?,
            key,
            pair,
        })
    }

    /// As [`crate::Client::allow_clear`].
    pub fn allow_clear(&mut self, input: &str) {
        self.encryptor.allow_clear(input);
    }

    /// The plan.
    pub fn plan(&self) -> &ClientPlan {
        self.encryptor.plan()
    }

    /// Encrypts samples; see [`crate::Client::encrypt`]. The noise is that of [`cipherloom_ir::noise::NoiseModel::fresh_public`].
    ///
    /// # Errors
    /// As for [`crate::Client::encrypt`].
    pub fn encrypt(&self, inputs: &Tensors) -> Result<CiphertextSet, ClientError> {
        let mut rng = SecretRng::from_os()?;
        self.encryptor
            .encrypt(inputs, self.key.key_id, |plaintext| {
                self.encrypt_one(&mut rng, plaintext)
            })
    }

    /// `(b u + e0 + m, a u + e1)` for a ternary u.
    fn encrypt_one(
        &self,
        rng: &mut SecretRng,
        plaintext: &Plaintext,
    ) -> Result<AnyCiphertext, ClientError> {
        let params = self.encryptor.params();
        let level = plaintext.level();
        let ephemeral = sampler::ternary(rng, params.n());
        let ephemeral = SecretPoly::from_signed(params, level, false, &ephemeral)?;
        let mut half = |key: &Poly| -> Result<Poly, ClientError> {
            let mut part = Poly::zero(params, level, false, Domain::Ntt);
            for i in 0..=level {
                part.limb_mut(i).copy_from_slice(key.limb(i));
            }
            part.mul_assign(&ephemeral, params)?;
            part.add_assign(&*error(params, rng, level, false)?, params)?;
            Ok(part)
        };
        let [b, a] = &self.pair;
        let (mut c0, c1) = (half(b)?, half(a)?);
        c0.add_assign(plaintext.poly(), params)?;
        Ok(AnyCiphertext::Full(Ciphertext::new(
            c0,
            c1,
            plaintext.scale().clone(),
        )?))
    }
}
