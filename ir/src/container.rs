//! The container that every file of cipherloom shares.
//!
//! ```text
//! offset  bytes
//!      0  8     magic "CIPHLOOM"
//!      8  2     format version, little endian (as all numbers)
//!     10  2     kind
//!     12  4     number of sections
//!     16  32    plan id
//!     48  16    key id (zero where no key is involved)
//!     64  8     total length of the file in bytes
//!     72  16 s  per section: offset and length, 64 bits each; offsets are multiples of 64
//!      …  …     sections; gaps are zero
//!  end-32 32    BLAKE3 of everything before
//! ```
//!
//! The hash finds corruption; it is no signature. Lengths are 64 bits, so nothing breaks beyond 2 or 4 GB, and large
//! sections are aligned so that they can be memory-mapped. Section 0 is a protobuf message by convention.

use std::fmt;
use std::ops::Range;
use thiserror::Error;

/// The version that this build writes and reads.
pub const FORMAT_VERSION: u16 = 2;
/// Section offsets are multiples of this.
pub const ALIGNMENT: usize = 64;
const MAGIC: &[u8; 8] = b"CIPHLOOM";
const HEADER: usize = 72;
const TRAILER: usize = 32;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `server.plan`.
    ServerPlan,
    /// `client.plan`.
    ClientPlan,
    /// `secret.key`.
    SecretKey,
    /// A public encryption key.
    PublicKey,
    /// `eval.key`.
    EvaluationKey,
    /// `*.ct`.
    Ciphertext,
    /// `server.plan` of the TFHE backend.
    TfheServerPlan,
    /// `client.plan` of the TFHE backend.
    TfheClientPlan,
    /// `secret.key` of the TFHE backend.
    TfheSecretKey,
    /// `eval.key` of the TFHE backend.
    TfheEvaluationKey,
    /// `*.ct` of the TFHE backend.
    TfheCiphertext,
}

impl Kind {
    const ALL: [Kind; 11] = [
        Kind::ServerPlan,
        Kind::ClientPlan,
        Kind::SecretKey,
        Kind::PublicKey,
        Kind::EvaluationKey,
        Kind::Ciphertext,
        Kind::TfheServerPlan,
        Kind::TfheClientPlan,
        Kind::TfheSecretKey,
        Kind::TfheEvaluationKey,
        Kind::TfheCiphertext,
    ];

    /// The kind that a file's header states, whether the rest of it is sound or not.
    pub fn of(bytes: &[u8]) -> Option<Kind> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let code = u16::from_le_bytes([header[10], header[11]]);
        let found = Kind::ALL.into_iter().find(|k| k.code() == code);
        found.filter(|_| header.starts_with(MAGIC))
    }

    fn code(self) -> u16 {
        match self {
            Kind::ServerPlan => 1,
            Kind::ClientPlan => 2,
            Kind::SecretKey => 3,
            Kind::PublicKey => 4,
            Kind::EvaluationKey => 5,
            Kind::Ciphertext => 6,
            Kind::TfheServerPlan => 7,
            Kind::TfheClientPlan => 8,
            Kind::TfheSecretKey => 9,
            Kind::TfheEvaluationKey => 10,
            Kind::TfheCiphertext => 11,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::ServerPlan => "a server plan",
            Kind::ClientPlan => "a client plan",
            Kind::SecretKey => "a secret key",
            Kind::PublicKey => "a public key",
            Kind::EvaluationKey => "an evaluation key",
            Kind::Ciphertext => "a ciphertext",
            Kind::TfheServerPlan => "a server plan of the TFHE backend",
            Kind::TfheClientPlan => "a client plan of the TFHE backend",
            Kind::TfheSecretKey => "a secret key of the TFHE backend",
            Kind::TfheEvaluationKey => "an evaluation key of the TFHE backend",
            Kind::TfheCiphertext => "a ciphertext of the TFHE backend",
        })
    }
}

/// The id of a plan: a hash of the meaning of `server.plan`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PlanId(pub [u8; 32]);

/// The id of a secret key and of all that was made with it: random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct KeyId(pub [u8; 16]);

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

macro_rules! show_as_hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }
    };
}
show_as_hex!(PlanId);
show_as_hex!(KeyId);

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ContainerError {
    /// The magic number is missing.
    #[error("this is no cipherloom file")]
    NotCipherloom,
    /// Another version of the format.
    #[error("the file has format version {found}; this build reads version {FORMAT_VERSION}")]
    Version {
        /// The file's version.
        found: u16,
    },
    /// A file of another kind.
    #[error("the file is {found}, not {expected}")]
    Kind {
        /// What it is.
        found: String,
        /// What was asked for.
        expected: Kind,
    },
    /// The file ends early, or goes on too long.
    #[error("the file is truncated or has grown: {found} bytes instead of {expected}")]
    Length {
        /// The length found.
        found: u64,
        /// The length the header states.
        expected: u64,
    },
    /// The hash does not fit.
    #[error("the file is corrupted: its checksum does not fit its content")]
    Checksum,
    /// The header contradicts itself.
    #[error("the file is corrupted: {0}")]
    Malformed(&'static str),
    /// The file belongs to another plan.
    #[error("the file belongs to plan {found}, not to plan {expected}")]
    OtherPlan {
        /// The file's plan.
        found: PlanId,
        /// The plan at hand.
        expected: PlanId,
    },
    /// The file belongs to another key.
    #[error("the file belongs to key {found}, not to key {expected}")]
    OtherKey {
        /// The file's key.
        found: KeyId,
        /// The key at hand.
        expected: KeyId,
    },
}

/// A file that has been checked: magic, version, kind, length, checksum, section table.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    /// The plan's id.
    pub plan_id: PlanId,
    /// The key's id.
    pub key_id: KeyId,
    sections: Vec<&'a [u8]>,
}

impl<'a> Container<'a> {
    /// Checks a file of the given kind.
    pub fn read(bytes: &'a [u8], expected: Kind) -> Result<Self, ContainerError> {
        if bytes.get(..8) != Some(MAGIC) {
            return Err(ContainerError::NotCipherloom);
        }
        let short = |expected: u64| ContainerError::Length {
            found: bytes.len() as u64,
            expected,
        };
        let header: &[u8; HEADER] = bytes
            .first_chunk()
            .ok_or_else(|| short((HEADER + TRAILER) as u64))?;
        let version = u16::from_le_bytes([header[8], header[9]]);
        if version != FORMAT_VERSION {
            return Err(ContainerError::Version { found: version });
        }
        let code = u16::from_le_bytes([header[10], header[11]]);
        if code != expected.code() {
            let found = Kind::ALL
                .into_iter()
                .find(|k| k.code() == code)
                .map_or_else(|| format!("of unknown kind {code}"), |k| k.to_string());
            return Err(ContainerError::Kind { found, expected });
        }
        let total = read_u64(header, 64);
        if total != bytes.len() as u64 {
            return Err(short(total));
        }
        let count = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
        let body_end = bytes
            .len()
            .checked_sub(TRAILER)
            // The table lies within the file, so that memory for its entries is in proportion to the file.
            .filter(|end| count <= (*end).saturating_sub(HEADER) / 16)
            .ok_or(ContainerError::Malformed("the section table does not fit"))?;
        let (body, trailer) = bytes.split_at(body_end);
        if blake3::hash(body).as_bytes() != trailer {
            return Err(ContainerError::Checksum);
        }
        let mut sections = Vec::with_capacity(count);
        let mut previous_end = HEADER + 16 * count;
        for i in 0..count {
            let (offset, length) = (
                read_u64(body, HEADER + 16 * i),
                read_u64(body, HEADER + 16 * i + 8),
            );
            let span = section_span(offset, length, previous_end, body_end)
                .ok_or(ContainerError::Malformed("a section lies outside the file"))?;
            previous_end = span.end;
            sections.push(
                body.get(span)
                    .ok_or(ContainerError::Malformed("a section lies outside the file"))?,
            );
        }
        let mut plan_id = PlanId::default();
        plan_id.0.copy_from_slice(&header[16..48]);
        let mut key_id = KeyId::default();
        key_id.0.copy_from_slice(&header[48..64]);
        Ok(Self {
            plan_id,
            key_id,
            sections,
        })
    }

    /// A section, if the file has it.
    pub fn section(&self, index: usize) -> Result<&'a [u8], ContainerError> {
        self.sections
            .get(index)
            .copied()
            .ok_or(ContainerError::Malformed("a section is missing"))
    }

    /// The number of sections.
    pub fn section_count(&self) -> usize {
        self.sections.len()
    }

    /// Refuses a file of another plan.
    pub fn expect_plan(&self, expected: PlanId) -> Result<(), ContainerError> {
        if self.plan_id == expected {
            Ok(())
        } else {
            Err(ContainerError::OtherPlan {
                found: self.plan_id,
                expected,
            })
        }
    }

    /// Refuses a file of another key.
    pub fn expect_key(&self, expected: KeyId) -> Result<(), ContainerError> {
        if self.key_id == expected {
            Ok(())
        } else {
            Err(ContainerError::OtherKey {
                found: self.key_id,
                expected,
            })
        }
    }
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    if let Some(source) = bytes.get(at..at + 8) {
        word.copy_from_slice(source);
    }
    u64::from_le_bytes(word)
}

fn section_span(
    offset: u64,
    length: u64,
    previous_end: usize,
    body_end: usize,
) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (start % ALIGNMENT == 0 && start >= previous_end && end <= body_end).then_some(start..end)
}

/// Writes a container of any number of sections (below 2^32, as 64 GiB of slices hold no more).
pub fn write(kind: Kind, plan_id: PlanId, key_id: KeyId, sections: &[&[u8]]) -> Vec<u8> {
    let mut offset = HEADER + 16 * sections.len();
    let mut table = Vec::with_capacity(16 * sections.len());
    for section in sections {
        offset = offset.next_multiple_of(ALIGNMENT);
        table.extend_from_slice(&(offset as u64).to_le_bytes());
        table.extend_from_slice(&(section.len() as u64).to_le_bytes());
        offset += section.len();
    }
    let total = offset + TRAILER;
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&kind.code().to_le_bytes());
    out.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    out.extend_from_slice(&plan_id.0);
    out.extend_from_slice(&key_id.0);
    out.extend_from_slice(&(total as u64).to_le_bytes());
    out.extend_from_slice(&table);
    for section in sections {
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        out.extend_from_slice(section);
    }
    let hash = blake3::hash(&out);
    out.extend_from_slice(hash.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damaged_byte_and_every_cut_is_refused() {
        let file = write(
            Kind::ClientPlan,
            PlanId([7; 32]),
            KeyId([9; 16]),
            &[b"meta", &[1; 100], b""],
        );
        let good = Container::read(&file, Kind::ClientPlan).unwrap();
        assert_eq!(good.section(0), Ok(&b"meta"[..]));
        assert_eq!(good.section(1), Ok(&[1; 100][..]));
        assert_eq!(good.section(2), Ok(&b""[..]));
        assert!(good.section(3).is_err());
        assert!(
            good.expect_plan(PlanId([7; 32])).is_ok() && good.expect_plan(PlanId([8; 32])).is_err()
        );
        assert!(
            good.expect_key(KeyId([9; 16])).is_ok() && good.expect_key(KeyId([1; 16])).is_err()
        );
        for i in 0..file.len() {
            let mut damaged = file.clone();
            damaged[i] ^= 0x40;
            assert!(
                Container::read(&damaged, Kind::ClientPlan).is_err(),
                "byte {i}"
            );
            assert!(
                Container::read(&file[..i], Kind::ClientPlan).is_err(),
                "cut at {i}"
            );
        }
        assert!(matches!(
            Container::read(&file, Kind::SecretKey),
            Err(ContainerError::Kind { .. })
        ));
    }

    #[test]
    fn many_sections_come_back_and_a_table_beyond_the_file_is_refused() {
        let sections: Vec<[u8; 4]> = (0..70_000_u32).map(u32::to_le_bytes).collect();
        let slices: Vec<&[u8]> = sections.iter().map(|s| &s[..]).collect();
        let mut file = write(
            Kind::Ciphertext,
            PlanId::default(),
            KeyId::default(),
            &slices,
        );
        let read = Container::read(&file, Kind::Ciphertext).unwrap();
        assert_eq!(read.section_count(), 70_000);
        assert!((0..70_000).all(|i| read.section(i) == Ok(slices[i])));
        for count in [u32::MAX, file.len() as u32 / 16] {
            file[12..16].copy_from_slice(&count.to_le_bytes());
            assert!(matches!(
                Container::read(&file, Kind::Ciphertext),
                Err(ContainerError::Malformed(_))
            ));
        }
    }
}
