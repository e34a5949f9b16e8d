//! The secret key: the only place of the workspace where one exists.

use crate::ClientError;
use crate::random::{SecretRng, os_random};
use crate::sampler;
use cipherloom_ckks::{Parameters, Poly};
use cipherloom_ir::container::{self, Container, KeyId, Kind, PlanId};
use cipherloom_ir::params::CkksLiteral;
use cipherloom_ir::plan::ClientPlan;
use cipherloom_ir::security::Security;
use prost::Message;
use std::fmt;
use std::ops::Deref;
use zeroize::Zeroizing;

/// What error messages call the file.
const WHAT: &str = "secret key";

/// A uniform ternary secret of one plan; wiped from memory when dropped, and never shown.
pub struct SecretKey {
    plan_id: PlanId,
    key_id: KeyId,
    params: CkksLiteral,
    /// -1, 0 or 1 for each of the N coefficients.
    coefficients: Zeroizing<Vec<i8>>,
}

impl SecretKey {
    /// A fresh key for a plan, from the operating system's randomness.
    ///
    /// # Errors
    /// [`ClientError::Randomness`] where the system gives none, [`ClientError::Parameters`] for parameters without meaning.
    pub fn generate(plan: &ClientPlan) -> Result<Self, ClientError> {
        plan.params.check_structure()?;
        let mut rng = SecretRng::from_os()?;
        let mut key_id = KeyId::default();
        os_random(&mut key_id.0)?;
        let wide = sampler::ternary(&mut rng, plan.params.n());
        let coefficients = Zeroizing::new(wide.iter().map(|c| *c as i8).collect());
        Ok(Self {
            plan_id: plan.plan_id,
            key_id,
            params: plan.params.clone(),
            coefficients,
        })
    }

    /// The key's random id, which all that was made with it carries.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The plan that the key belongs to.
    pub fn plan_id(&self) -> PlanId {
        self.plan_id
    }

    /// The bytes of `secret.key`, wiped when dropped.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let header = Header::of(&self.params).encode_to_vec();
        let body: Zeroizing<Vec<u8>> =
            Zeroizing::new(self.coefficients.iter().map(|c| *c as u8).collect());
        Zeroizing::new(container::write(
            Kind::SecretKey,
            self.plan_id,
            self.key_id,
            &[&header, &body],
        ))
    }

    /// Reads `secret.key`.
    ///
    /// # Errors
    /// [`ClientError::Container`] for a damaged file or one of another kind or plan, [`ClientError::Malformed`] where it
    /// contradicts the plan's parameters or holds no ternary key.
    pub fn from_bytes(bytes: &[u8], plan: &ClientPlan) -> Result<Self, ClientError> {
        let malformed = |reason: &str| ClientError::Malformed {
            what: WHAT,
            reason: reason.to_owned(),
        };
        let file = Container::read(bytes, Kind::SecretKey)?;
        file.expect_plan(plan.plan_id)?;
        let header = Header::decode(file.section(0)?).map_err(|e| malformed(&e.to_string()))?;
        if header != Header::of(&plan.params) {
            return Err(malformed("its parameters are not those of the plan"));
        }
        let body = file.section(1)?;
        if body.len() != plan.params.n() {
            return Err(malformed("it does not have one coefficient per power of X"));
        }
        // All bytes are looked at, whatever they are: adding one maps -1, 0, 1 to 0, 1, 2.
        let strange = body.iter().fold(0_u16, |strange, byte| {
            strange | (2_u16.wrapping_sub(u16::from(byte.wrapping_add(1))) >> 15)
        });
        if strange != 0 {
            return Err(malformed("a coefficient is not -1, 0 or 1"));
        }
        Ok(Self {
            plan_id: plan.plan_id,
            key_id: file.key_id,
            params: plan.params.clone(),
            coefficients: Zeroizing::new(body.iter().map(|byte| *byte as i8).collect()),
        })
    }

    /// The key as a ring element in the NTT domain.
    ///
    /// # Errors
    /// [`ClientError::Malformed`] for parameters other than the key's own.
    pub(crate) fn element(
        &self,
        params: &Parameters,
        level: usize,
        special: bool,
    ) -> Result<SecretPoly, ClientError> {
        if self.params != *params.literal() {
            return Err(ClientError::Malformed {
                what: WHAT,
                reason: "its parameters are not those of the plan".into(),
            });
        }
        let wide: Zeroizing<Vec<i64>> =
            Zeroizing::new(self.coefficients.iter().map(|c| i64::from(*c)).collect());
        SecretPoly::from_signed(params, level, special, &wide)
    }
}

impl fmt::Debug for SecretKey {
    /// The ids alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, plan {})", self.key_id, self.plan_id)
    }
}

/// The parameters that the key was made for.
#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(uint32, tag = "1")]
    log_n: u32,
    #[prost(uint64, repeated, tag = "2")]
    q: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    p: Vec<u64>,
    #[prost(uint64, tag = "4")]
    digit_size: u64,
    /// The target's place in the security table.
    #[prost(uint32, tag = "5")]
    security: u32,
}

impl Header {
    fn of(params: &CkksLiteral) -> Self {
        let security = Security::ALL.iter().position(|s| *s == params.security);
        Self {
            log_n: params.log_n,
            q: params.q.clone(),
            p: params.p.clone(),
            digit_size: params.digit_size as u64,
            security: security.unwrap_or_default() as u32,
        }
    }
}

/// A ring element that depends on secrets; its words are wiped when it is dropped.
pub(crate) struct SecretPoly(Zeroizing<Poly>);

impl SecretPoly {
    /// A ring element in the NTT domain with the given coefficients.
    pub(crate) fn from_signed(
        params: &Parameters,
        level: usize,
        special: bool,
        coefficients: &[i64],
    ) -> Result<Self, ClientError> {
        let mut secret = Self::new(Poly::from_signed(params, level, special, coefficients)?);
        secret.0.to_ntt(params);
        Ok(secret)
    }

    /// Takes over a ring element.
    pub(crate) fn new(poly: Poly) -> Self {
        Self(Zeroizing::new(poly))
    }

    /// The element, to change it.
    pub(crate) fn poly_mut(&mut self) -> &mut Poly {
        &mut self.0
    }

    /// The same element modulo fewer primes: at a level that is not higher, with or without the special limbs it has.
    pub(crate) fn restricted(&self, params: &Parameters, level: usize, special: bool) -> Self {
        let mut out = Self::new(Poly::zero(params, level, special, self.0.domain()));
        for i in 0..out.0.limbs() {
            let source = if i <= level {
                i
            } else {
                i + self.0.level() - level
            };
            out.0.limb_mut(i).copy_from_slice(self.0.limb(source));
        }
        out
    }
}

impl Deref for SecretPoly {
    type Target = Poly;

    fn deref(&self) -> &Poly {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::toy_plan;
    use cipherloom_ir::container::ContainerError;

    #[test]
    fn a_key_comes_back_and_shows_nothing() {
        let plan = toy_plan();
        let key = SecretKey::generate(&plan).unwrap();
        let back = SecretKey::from_bytes(&key.to_bytes(), &plan).unwrap();
        assert_eq!(
            (back.key_id, &back.coefficients),
            (key.key_id, &key.coefficients)
        );
        assert_eq!(
            format!("{key:?}"),
            format!("SecretKey({}, plan {})", key.key_id, plan.plan_id)
        );
        let other = SecretKey::generate(&plan).unwrap();
        assert!(other.key_id != key.key_id && other.coefficients != key.coefficients);
        assert!(key.coefficients.iter().all(|c| (-1..=1).contains(c)));
        assert!((-1..=1).all(|c| key.coefficients.contains(&c)));
    }

    #[test]
    fn damaged_and_foreign_keys_are_refused() {
        let plan = toy_plan();
        let bytes = SecretKey::generate(&plan).unwrap().to_bytes();
        for i in (0..bytes.len()).step_by(11) {
            let mut damaged = bytes.clone();
            damaged[i] ^= 4;
            assert!(SecretKey::from_bytes(&damaged, &plan).is_err());
            assert!(SecretKey::from_bytes(&bytes[..i], &plan).is_err());
        }
        let mut foreign = plan.clone();
        foreign.plan_id.0[0] ^= 1;
        let refused = SecretKey::from_bytes(&bytes, &foreign);
        assert!(matches!(
            refused,
            Err(ClientError::Container(ContainerError::OtherPlan { .. }))
        ));
        // Files whose checksum fits.
        let write = |header: &Header, body: &[u8]| {
            let sections = [&header.encode_to_vec()[..], body];
            let file = container::write(Kind::SecretKey, plan.plan_id, KeyId::default(), &sections);
            SecretKey::from_bytes(&file, &plan)
        };
        let (header, n) = (Header::of(&plan.params), plan.params.n());
        assert!(write(&header, &vec![0; n]).is_ok());
        assert!(write(&header, &vec![255; n]).is_ok());
        for strange in [2, 3, 127, 128, 254] {
            let mut body = vec![1; n];
            body[n - 1] = strange;
            assert!(
                matches!(write(&header, &body), Err(ClientError::Malformed { .. })),
                "{strange}"
            );
        }
        assert!(write(&header, &vec![0; n - 1]).is_err());
        let weaker = Header {
            security: 1,
            ..header
        };
        assert!(write(&weaker, &vec![0; n]).is_err());
    }
}
