//! Evaluation keys as files, and what a ciphertext file holds.
//!
//! Section 0 of a key file is a protobuf message that lists the keys with their levels and seeds; each key has one
//! further section with its halves `b_d` digit by digit, bit-packed to each prime's width. The halves `a_d` follow from
//! the seeds.

use crate::ciphertext::{Ciphertext, SeededCiphertext};
use crate::error::{CkksError, KeyName};
use crate::keys::{EvaluationKeys, SeededEvaluationKeys, SeededSwitchingKey};
use crate::packing::{pack_poly, packed_len, unpack_poly};
use crate::parallel;
use crate::params::Parameters;
use crate::plaintext::Plaintext;
use crate::xof::Seed;
use cipherloom_ir::container::{self, Container, KeyId, Kind, PlanId};
use cipherloom_ir::plan::KeyRequest;
use prost::Message;
use std::collections::BTreeSet;

/// What error messages call the file.
const WHAT: &str = "evaluation key";
/// An entry of the header is not longer: two bytes around it, 12 for purpose and steps, 6 for the level, 34 for the seed.
const MAX_ENTRY: usize = 64;

/// A ciphertext in one of its forms.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyCiphertext {
    /// Fresh, with its uniform part given by a seed.
    Seeded(SeededCiphertext),
    /// Written out.
    Full(Ciphertext),
    /// Not encrypted at all: an input that is declared clear. It is `(m, 0)`, which every key decrypts.
    Clear(Plaintext),
}

/// Section 0 of a key file.
#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(message, repeated, tag = "1")]
    keys: Vec<Entry>,
}

/// One key; its section is the one after that of the entry before.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(enumeration = "Purpose", tag = "1")]
    purpose: i32,
    /// The steps of a rotation; zero otherwise.
    #[prost(uint32, tag = "2")]
    steps: u32,
    #[prost(uint32, tag = "3")]
    level: u32,
    #[prost(bytes = "vec", tag = "4")]
    seed: Vec<u8>,
}

/// What a key is for; zero is no purpose, so that an absent field is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
enum Purpose {
    None = 0,
    Relinearization = 1,
    Rotation = 2,
    Conjugation = 3,
}

fn malformed(reason: impl Into<String>) -> CkksError {
    CkksError::Malformed {
        what: WHAT,
        reason: reason.into(),
    }
}

/// The bytes of an evaluation key file; the keys' id goes into it.
///
/// # Errors
/// [`CkksError::Shape`] for keys of other parameters.
pub fn keys_to_bytes(
    params: &Parameters,
    plan: PlanId,
    keys: &SeededEvaluationKeys,
) -> Result<Vec<u8>, CkksError> {
    let rotations = keys
        .rotations
        .iter()
        .map(|(steps, key)| (Purpose::Rotation, *steps, key));
    let all = keys
        .relinearization
        .iter()
        .map(|key| (Purpose::Relinearization, 0, key))
        .chain(rotations);
    let all = all.chain(
        keys.conjugation
            .iter()
            .map(|key| (Purpose::Conjugation, 0, key)),
    );
    let (mut header, mut bodies) = (Header::default(), Vec::new());
    for (purpose, steps, key) in all {
        let level = key.level() as u32;
        header.keys.push(Entry {
            purpose: purpose.into(),
            steps,
            level,
            seed: key.seed().0.to_vec(),
        });
        let mut body = Vec::new();
        for b in key.b() {
            pack_poly(params, b, &mut body)?;
        }
        bodies.push(body);
    }
    let header = header.encode_to_vec();
    let mut sections: Vec<&[u8]> = vec![&header];
    sections.extend(bodies.iter().map(Vec::as_slice));
    Ok(container::write(
        Kind::EvaluationKey,
        plan,
        keys.key_id,
        &sections,
    ))
}

/// Reads an evaluation key file of the given plan; the caller compares [`SeededEvaluationKeys::key_id`].
///
/// # Errors
/// [`CkksError::Container`] for a damaged file or one of another kind or plan, [`CkksError::Malformed`] where its
/// content does not fit the parameters. Lengths are checked before memory is taken for them.
pub fn keys_from_bytes(
    params: &Parameters,
    plan: PlanId,
    bytes: &[u8],
) -> Result<SeededEvaluationKeys, CkksError> {
    let (key_id, found) = read_keys(params, plan, bytes, |_, _| Ok(true), |_, key| key)?;
    let mut keys = SeededEvaluationKeys {
        key_id,
        ..SeededEvaluationKeys::default()
    };
    for (name, key) in found {
        match name {
            KeyName::Relinearization => keys.relinearization = Some(key),
            KeyName::Conjugation => keys.conjugation = Some(key),
            KeyName::Rotation(steps) => drop(keys.rotations.insert(steps, key)),
        }
    }
    Ok(keys)
}

/// Reads the requested keys of an evaluation key file and expands them one by one, so that the seeded form never lies in
/// memory as a whole; on all threads of the current pool. Keys that are not requested are skipped. One that is
/// requested but missing, or made for lower levels alone, is left for the caller to notice.
///
/// # Errors
/// As [`keys_from_bytes`], and [`CkksError::Malformed`] for a requested key of a higher level than the request's, since it
/// would take more memory than the request tells.
pub fn expanded_keys_from_bytes(
    params: &Parameters,
    plan: PlanId,
    bytes: &[u8],
    request: &KeyRequest,
) -> Result<EvaluationKeys, CkksError> {
    let wanted = |name, level| match requested(request, name) {
        Some(most) if level > most => Err(malformed(format!(
            "the {name} is made for level {level}, {most} is asked for"
        ))),
        asked => Ok(asked.is_some()),
    };
    let expand = |name, key: SeededSwitchingKey| key.expand(params, name);
    let (key_id, found) = read_keys(params, plan, bytes, wanted, expand)?;
    let mut keys = EvaluationKeys {
        key_id,
        ..EvaluationKeys::default()
    };
    for (name, key) in found {
        match name {
            KeyName::Relinearization => keys.relinearization = Some(key),
            KeyName::Conjugation => keys.conjugation = Some(key),
            KeyName::Rotation(steps) => drop(keys.rotations.insert(steps, key)),
        }
    }
    Ok(keys)
}

/// The level for which a key is asked for, if it is.
fn requested(request: &KeyRequest, name: KeyName) -> Option<u32> {
    match name {
        KeyName::Relinearization => request.relinearization,
        KeyName::Conjugation => request.conjugation,
        KeyName::Rotation(steps) => {
            let spec = request.rotations.iter().find(|spec| spec.steps == steps);
            spec.map(|spec| spec.level)
        }
    }
}

/// Reads the keys of a file that are `wanted` by name and level, each passed through `make` at once; no name occurs
/// twice.
fn read_keys<T: Send>(
    params: &Parameters,
    plan: PlanId,
    bytes: &[u8],
    wanted: impl Fn(KeyName, u32) -> Result<bool, CkksError>,
    make: impl Fn(KeyName, SeededSwitchingKey) -> T + Send + Sync,
) -> Result<(KeyId, Vec<(KeyName, T)>), CkksError> {
    let file = Container::read(bytes, Kind::EvaluationKey)?;
    file.expect_plan(plan)?;
    let header = file.section(0)?;
    if header.len() > MAX_ENTRY * file.section_count() {
        return Err(malformed("the header is too long for the file's keys"));
    }
    let header = Header::decode(header).map_err(|e| malformed(e.to_string()))?;
    if header.keys.len() + 1 != file.section_count() {
        return Err(malformed(
            "the number of keys is not the number of sections",
        ));
    }
    let mut names = BTreeSet::new();
    let mut jobs = Vec::with_capacity(header.keys.len());
    for (i, entry) in header.keys.iter().enumerate() {
        let name = entry_name(params, entry)?;
        if !names.insert(name) {
            return Err(malformed(format!("the {name} occurs twice")));
        }
        if wanted(name, entry.level)? {
            jobs.push((name, entry, file.section(i + 1)?));
        }
    }
    let mut results: Vec<Result<(KeyName, T), CkksError>> = Vec::new();
    results.resize_with(jobs.len(), || Err(CkksError::Shape));
    let work = results.iter_mut().zip(jobs).collect();
    parallel::for_each(work, |(result, (name, entry, body))| {
        *result = read_key(params, entry, body).map(|key| (name, make(name, key)));
    });
    Ok((file.key_id, results.into_iter().collect::<Result<_, _>>()?))
}

fn entry_name(params: &Parameters, entry: &Entry) -> Result<KeyName, CkksError> {
    match (entry.purpose(), entry.steps) {
        (Purpose::Relinearization, 0) => Ok(KeyName::Relinearization),
        (Purpose::Conjugation, 0) => Ok(KeyName::Conjugation),
        (Purpose::Rotation, steps) if steps > 0 && (steps as usize) < params.slots() => {
            Ok(KeyName::Rotation(steps))
        }
        (purpose, steps) => Err(malformed(format!(
            "a key has the purpose {purpose:?} with {steps} steps"
        ))),
    }
}

fn read_key(
    params: &Parameters,
    entry: &Entry,
    body: &[u8],
) -> Result<SeededSwitchingKey, CkksError> {
    let level = entry.level as usize;
    params.check_level(level)?;
    let seed = <[u8; 32]>::try_from(&entry.seed[..])
        .map_err(|_| malformed("a seed does not have 32 bytes"))?;
    let len = packed_len(params, level, true).ok_or(CkksError::Shape)?;
    if body.len() != len * params.digits(level) {
        return Err(malformed("a key's section has the wrong length"));
    }
    let halves = body
        .chunks_exact(len)
        .map(|half| unpack_poly(params, level, true, half, WHAT));
    SeededSwitchingKey::new(params, level, Seed(seed), halves.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, Secret, toy_double, toy_single};
    use cipherloom_ir::plan::RotationKeySpec;

    fn keys(params: &Parameters) -> SeededEvaluationKeys {
        let mut rng = Rng(1);
        let secret = Secret::new(params, &mut rng);
        let mut keys = secret.keys(&[1, 3], 3, &mut rng);
        keys.rotations
            .insert(5, secret.key(KeyName::Rotation(5), 0, &mut rng));
        keys.key_id = KeyId([5; 16]);
        keys
    }

    #[test]
    fn keys_come_back_and_take_as_many_bits_as_their_primes_have() {
        for params in [toy_single(5), toy_double(6)] {
            let keys = keys(&params);
            let bytes = keys_to_bytes(&params, PlanId([3; 32]), &keys).unwrap();
            assert_eq!(
                keys_from_bytes(&params, PlanId([3; 32]), &bytes).unwrap(),
                keys
            );
            let bits = |level: usize| -> usize {
                let primes = params.q()[..=level].iter().chain(params.p());
                params.digits(level)
                    * primes.map(|p| p.ilog2() as usize + 1).sum::<usize>()
                    * params.n()
            };
            let residues = (4 * bits(3) + bits(0)) / 8;
            assert!(bytes.len() >= residues && bytes.len() < residues + 1000);
            assert!(keys_to_bytes(&toy_single(7), PlanId::default(), &keys).is_err());
        }
    }

    #[test]
    fn keys_expand_while_they_are_read() {
        let params = toy_single(5);
        let mut rng = Rng(2);
        let secret = Secret::new(&params, &mut rng);
        let seeded = secret.keys(&[1, 3], 2, &mut rng);
        let bytes = keys_to_bytes(&params, PlanId::default(), &seeded).unwrap();
        let mut request = KeyRequest {
            relinearization: Some(2),
            rotations: vec![
                RotationKeySpec { steps: 1, level: 2 },
                RotationKeySpec { steps: 3, level: 2 },
            ],
            conjugation: Some(2),
        };
        let read_for = |request: &KeyRequest| {
            expanded_keys_from_bytes(&params, PlanId::default(), &bytes, request)
        };
        let (read, expanded) = (read_for(&request).unwrap(), seeded.expand(&params));
        let a = secret.encrypt(&[0.5, 0.25], 2, &cipherloom_ir::Scale::pow2(28), &mut rng);
        let evaluator = crate::Evaluator::new(&params);
        assert_eq!(
            evaluator.rotate(&a, 3, &read),
            evaluator.rotate(&a, 3, &expanded)
        );
        assert_eq!(evaluator.square(&a, &read), evaluator.square(&a, &expanded));
        assert_eq!(
            evaluator.conjugate(&a, &read),
            evaluator.conjugate(&a, &expanded)
        );
        assert_eq!(read.bytes(), expanded.bytes());
        assert!(expanded_keys_from_bytes(&params, PlanId([1; 32]), &bytes, &request).is_err());

        // Nothing but what is asked for is kept, and no key beyond the level that is asked for.
        request.conjugation = None;
        request.rotations.remove(0);
        let fewer = read_for(&request).unwrap();
        assert_eq!(fewer.rotations.keys().collect::<Vec<_>>(), [&3]);
        assert!(fewer.conjugation.is_none());
        assert_eq!(fewer.level(KeyName::Rotation(3)), Some(2));
        assert_eq!(fewer.level(KeyName::Rotation(1)), None);
        request.rotations[0].level = 1;
        let refused = read_for(&request).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("made for level 2, 1 is asked for")
        );
    }

    #[test]
    fn contradictions_are_refused() {
        let params = toy_single(5);
        let plan = PlanId([3; 32]);
        let good = keys_to_bytes(&params, plan, &keys(&params)).unwrap();
        let file = Container::read(&good, Kind::EvaluationKey).unwrap();
        let header = Header::decode(file.section(0).unwrap()).unwrap();
        let sections: Vec<&[u8]> = (1..file.section_count())
            .map(|i| file.section(i).unwrap())
            .collect();
        let read = |change: &dyn Fn(&mut Header, &mut Vec<Vec<u8>>)| {
            let mut header = header.clone();
            let mut bodies: Vec<Vec<u8>> = sections.iter().map(|s| s.to_vec()).collect();
            change(&mut header, &mut bodies);
            let header = header.encode_to_vec();
            let all: Vec<&[u8]> = std::iter::once(&header[..])
                .chain(bodies.iter().map(|b| &b[..]))
                .collect();
            keys_from_bytes(
                &params,
                plan,
                &container::write(Kind::EvaluationKey, plan, KeyId([5; 16]), &all),
            )
        };
        assert!(read(&|_, _| ()).is_ok());
        assert!(read(&|h, _| drop(h.keys.pop())).is_err());
        assert!(read(&|h, _| h.keys[0].purpose = 0).is_err());
        assert!(read(&|h, _| h.keys[0].purpose = 9).is_err());
        assert!(read(&|h, _| h.keys[0].steps = 1).is_err());
        assert!(read(&|h, _| h.keys[1].steps = 0).is_err());
        assert!(read(&|h, _| h.keys[1].steps = 16).is_err());
        assert!(read(&|h, _| h.keys[1].steps = 3).is_err());
        assert!(read(&|h, _| h.keys[1].level = 2).is_err());
        assert!(read(&|h, _| h.keys[1].level = u32::MAX).is_err());
        assert!(read(&|h, _| h.keys[1].seed.truncate(31)).is_err());
        let long = read(&|h, _| h.keys.resize(100_000, Entry::default()));
        assert!(long.unwrap_err().to_string().contains("too long"));
        assert!(read(&|_, b| b[0].truncate(9)).is_err());
        assert!(read(&|_, b| b[0].push(0)).is_err());
        assert!(read(&|_, b| b[0].iter_mut().for_each(|b| *b = 0xFF)).is_err());
        assert!(matches!(
            keys_from_bytes(&params, PlanId::default(), &good),
            Err(CkksError::Container(_))
        ));
    }
}
