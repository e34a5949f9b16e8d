//! Rotations and the conjugation.

use super::Evaluator;
use crate::ciphertext::Ciphertext;
use crate::division::{Divisor, divide};
use crate::error::{CkksError, KeyName};
use crate::keys::KeyStore;
use crate::poly::Poly;
use crate::switching::{Extra, Switch, decompose, switch_all};

impl Evaluator {
    /// `a` rotated left by `steps` slots.
    pub fn rotate(
        &self,
        a: &Ciphertext,
        steps: u32,
        keys: &dyn KeyStore,
    ) -> Result<Ciphertext, CkksError> {
        let mut results = self.rotate_hoisted(a, &[steps], keys)?;
        results.pop().ok_or(CkksError::Shape)
    }

    /// `a` with every slot conjugated.
    pub fn conjugate(&self, a: &Ciphertext, keys: &dyn KeyStore) -> Result<Ciphertext, CkksError> {
        let mut results = self.automorphisms(a, &[KeyName::Conjugation], keys)?;
        results.pop().ok_or(CkksError::Shape)
    }

    /// `a` rotated left by each of `steps`, decomposed once (Halevi and Shoup, CRYPTO 2018, section 5).
    pub fn rotate_hoisted(
        &self,
        a: &Ciphertext,
        steps: &[u32],
        keys: &dyn KeyStore,
    ) -> Result<Vec<Ciphertext>, CkksError> {
        let slots = self.params.slots() as u32;
        let names: Vec<KeyName> = steps.iter().map(|s| KeyName::Rotation(s % slots)).collect();
        self.automorphisms(a, &names, keys)
    }

    fn automorphisms(
        &self,
        a: &Ciphertext,
        names: &[KeyName],
        keys: &dyn KeyStore,
    ) -> Result<Vec<Ciphertext>, CkksError> {
        let params = &self.params;
        self.check(a)?;
        let moving: Vec<KeyName> = names
            .iter()
            .copied()
            .filter(|n| *n != KeyName::Rotation(0))
            .collect();
        let found = moving.iter().map(|name| {
            let key = self.key(keys, *name, a.level())?;
            Ok((key, params.automorphism(key.galois_element())))
        });
        let found = found.collect::<Result<Vec<_>, CkksError>>()?;
        let extra = [Some(Extra::TimesSpecial(&a.c0)), None];
        let switches: Vec<Switch<'_>> = found
            .iter()
            .map(|(key, phi)| Switch {
                key,
                automorphism: Some(phi),
                extra,
            })
            .collect();
        let pairs = match &switches[..] {
            [] => vec![],
            all => decompose(params, &[&a.c1])
                .iter()
                .flat_map(|d| switch_all(params, d, all))
                .collect(),
        };
        let inputs: Vec<&Poly> = pairs.iter().flatten().collect();
        let mut parts = divide(params, &inputs, Divisor::Special)?.into_iter();
        let mut next = || parts.next().ok_or(CkksError::Shape);
        let result = names.iter().map(|name| match name {
            KeyName::Rotation(0) => Ok(a.clone()),
            _ => Ciphertext::new(next()?, next()?, a.scale.clone()),
        });
        result.collect()
    }
}
