//! The ciphertexts of a model's inputs or outputs, for any number of samples: what a `*.ct` file holds.
//!
//! ```text
//! section 0      protobuf: number of samples; per tensor its name, its number of elements, and the form
//! section 1 ..   one per sample and tensor, samples outermost: the seed and a body per element, or mask and body per element
//! ```

use crate::{LweError, Seed, get_words, put_words};
use cipherloom_ir::container::{self, Container, KeyId, Kind, PlanId};
use cipherloom_ir::integer::TfheSet;
use prost::Message;

const WHAT: &str = "ciphertext file";
/// The longest header: a few names and numbers take little.
const MAX_HEADER: usize = 1 << 20;

/// The ciphertexts of one vector, under the large key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LweVector {
    /// A body for each element; the masks follow from a seed.
    Seeded {
        /// The seed of all masks, element by element.
        seed: Seed,
        /// The bodies.
        bodies: Vec<u64>,
    },
    /// For each element `k N` words of mask and the body.
    Full(Vec<u64>),
}

impl LweVector {
    /// The number of elements; `None` for words that fill no ciphertext.
    pub fn elements(&self, set: &TfheSet) -> Option<usize> {
        match self {
            Self::Seeded { bodies, .. } => Some(bodies.len()),
            Self::Full(words) => {
                let one = set.ciphertext_words();
                words.len().is_multiple_of(one).then(|| words.len() / one)
            }
        }
    }
}

/// The ciphertexts of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LweCiphertexts {
    /// The input's or output's name.
    pub name: String,
    /// One vector for each sample, all of one length and form.
    pub samples: Vec<LweVector>,
}

/// The ciphertexts of all inputs or all outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LweSet {
    /// The plan that they are made for.
    pub plan_id: PlanId,
    /// The secret key that decrypts them.
    pub key_id: KeyId,
    /// The number of samples.
    pub samples: usize,
    /// The tensors.
    pub ports: Vec<LweCiphertexts>,
}

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(uint64, tag = "1")]
    samples: u64,
    #[prost(message, repeated, tag = "2")]
    ports: Vec<PortHeader>,
}

#[derive(Clone, PartialEq, Message)]
struct PortHeader {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    elements: u64,
    #[prost(bool, tag = "3")]
    seeded: bool,
}

fn malformed(reason: impl Into<String>) -> LweError {
    LweError::Malformed {
        what: WHAT,
        reason: reason.into(),
    }
}

impl LweSet {
    /// The bytes of a `*.ct` file.
    ///
    /// # Errors
    /// [`LweError::Malformed`] where the vectors of a tensor differ in length or form, or names are too long.
    pub fn to_bytes(&self, set: &TfheSet) -> Result<Vec<u8>, LweError> {
        let mut header = Header {
            samples: self.samples as u64,
            ports: Vec::new(),
        };
        for port in &self.ports {
            let first = port
                .samples
                .first()
                .ok_or_else(|| malformed("a tensor has no samples"))?;
            let (elements, seeded) = form(first, set)?;
            let same = port
                .samples
                .iter()
                .all(|v| form(v, set) == Ok((elements, seeded)));
            if !same || port.samples.len() != self.samples {
                return Err(malformed("the vectors of a tensor are not alike"));
            }
            header.ports.push(PortHeader {
                name: port.name.clone(),
                elements: elements as u64,
                seeded,
            });
        }
        let mut sections = vec![header.encode_to_vec()];
        if sections.iter().any(|header| header.len() > MAX_HEADER) {
            return Err(malformed("the header is too long"));
        }
        for sample in 0..self.samples {
            for vector in self.ports.iter().filter_map(|p| p.samples.get(sample)) {
                let mut section = Vec::new();
                match vector {
                    LweVector::Seeded { seed, bodies } => {
                        section.extend_from_slice(seed);
                        put_words(bodies, &mut section);
                    }
                    LweVector::Full(words) => put_words(words, &mut section),
                }
                sections.push(section);
            }
        }
        let sections: Vec<&[u8]> = sections.iter().map(Vec::as_slice).collect();
        Ok(container::write(
            Kind::TfheCiphertext,
            self.plan_id,
            self.key_id,
            &sections,
        ))
    }

    /// Reads a `*.ct` file of the given plan. Nothing is allocated that the file's own length does not cover.
    ///
    /// # Errors
    /// [`LweError::Container`] for a damaged file or one of another kind or plan, [`LweError::Malformed`] for content that
    /// contradicts itself or the parameters. The key's id is left for the caller to compare.
    pub fn from_bytes(set: &TfheSet, plan_id: PlanId, bytes: &[u8]) -> Result<Self, LweError> {
        let file = Container::read(bytes, Kind::TfheCiphertext)?;
        file.expect_plan(plan_id)?;
        let header = file.section(0)?;
        if header.len() > MAX_HEADER {
            return Err(malformed("the header is too long"));
        }
        let header = Header::decode(header).map_err(|e| malformed(e.to_string()))?;
        let vectors = header.samples.checked_mul(header.ports.len() as u64);
        if vectors != Some(file.section_count() as u64 - 1) || vectors == Some(0) {
            return Err(malformed(
                "samples and tensors are not those of the file's sections",
            ));
        }
        let mut ports: Vec<LweCiphertexts> = Vec::with_capacity(header.ports.len());
        for port in &header.ports {
            ports.push(LweCiphertexts {
                name: port.name.clone(),
                samples: Vec::new(),
            });
        }
        let order = (0..file.section_count() - 1).map(|i| i % header.ports.len());
        for (section, index) in order.enumerate() {
            let (Some(port), Some(stated)) = (ports.get_mut(index), header.ports.get(index)) else {
                continue;
            };
            let vector = read_vector(set, stated, file.section(section + 1)?)?;
            port.samples.push(vector);
        }
        let samples = usize::try_from(header.samples).map_err(|e| malformed(e.to_string()))?;
        Ok(Self {
            plan_id,
            key_id: file.key_id,
            samples,
            ports,
        })
    }
}

fn form(vector: &LweVector, set: &TfheSet) -> Result<(usize, bool), LweError> {
    let elements = vector.elements(set).filter(|count| *count > 0);
    let elements = elements.ok_or_else(|| malformed("a vector holds no whole ciphertext"))?;
    Ok((elements, matches!(vector, LweVector::Seeded { .. })))
}

fn read_vector(set: &TfheSet, stated: &PortHeader, bytes: &[u8]) -> Result<LweVector, LweError> {
    let words = |bytes| get_words(bytes).ok_or_else(|| malformed("a section has no whole words"));
    let vector = if stated.seeded {
        let (seed, bodies) = bytes
            .split_first_chunk()
            .ok_or_else(|| malformed("a seed is missing"))?;
        LweVector::Seeded {
            seed: *seed,
            bodies: words(bodies)?,
        }
    } else {
        LweVector::Full(words(bytes)?)
    };
    if form(&vector, set)?.0 as u64 != stated.elements {
        return Err(malformed(format!(
            "{:?} has another number of elements",
            stated.name
        )));
    }
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherloom_ir::integer::SETS;
    use proptest::prelude::*;

    fn example() -> LweSet {
        let seeded = |i: u8| LweVector::Seeded {
            seed: [i; 16],
            bodies: vec![u64::from(i), u64::MAX, 7],
        };
        let full = |i: u64| LweVector::Full((0..2 * 2049).map(|w| w * i).collect());
        LweSet {
            plan_id: PlanId([3; 32]),
            key_id: KeyId([4; 16]),
            samples: 2,
            ports: vec![
                LweCiphertexts {
                    name: "x".into(),
                    samples: vec![seeded(1), seeded(2)],
                },
                LweCiphertexts {
                    name: "y".into(),
                    samples: vec![full(1), full(2)],
                },
            ],
        }
    }

    #[test]
    fn sets_come_back() {
        let set = example();
        let bytes = set.to_bytes(&SETS[1]).unwrap();
        assert_eq!(
            LweSet::from_bytes(&SETS[1], set.plan_id, &bytes),
            Ok(set.clone())
        );
        assert!(LweSet::from_bytes(&SETS[1], PlanId([9; 32]), &bytes).is_err());
        // Both sets have ciphertexts of one size.
        assert!(LweSet::from_bytes(&SETS[0], set.plan_id, &bytes).is_ok());
        let refused = |change: fn(&mut LweSet)| {
            let mut set = example();
            change(&mut set);
            set.to_bytes(&SETS[1]).is_err()
        };
        assert!(refused(|s| s.samples = 3));
        assert!(refused(|s| s.ports[0].samples.clear()));
        assert!(refused(
            |s| s.ports[1].samples[0] = LweVector::Full(vec![0; 2049])
        ));
        assert!(refused(
            |s| s.ports[1].samples[0] = LweVector::Full(vec![0; 5])
        ));
        assert!(refused(|s| s.ports[0].name = "n".repeat(MAX_HEADER)));
    }

    proptest! {
        #[test]
        fn forged_headers_are_refused(header in prop::collection::vec(any::<u8>(), 0..40), sections in 0_usize..4, length in 0_usize..40) {
            let body = vec![1; length];
            let mut all: Vec<&[u8]> = vec![&header];
            all.resize(1 + sections, &body[..]);
            let bytes = container::write(Kind::TfheCiphertext, PlanId::default(), KeyId::default(), &all);
            if let Ok(set) = LweSet::from_bytes(&SETS[1], PlanId::default(), &bytes) {
                prop_assert_eq!(set.ports.len() * set.samples, sections);
                prop_assert!(set.to_bytes(&SETS[1]).is_ok());
            }
        }
    }
}
