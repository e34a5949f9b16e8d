//! The ciphertexts of a model's inputs or outputs, for any number of samples: what a `*.ct` file holds.
//!
//! ```text
//! section 0      protobuf: number of samples; per tensor its name and ciphertexts per run; per tensor, level, scale and form
//! section 1 ..   one per run: for each tensor in order, for each ciphertext in order, c0 and then the seed of c1, or c1, or nothing
//!                for an input in clear
//! ```
//!
//! A *run* is what the server executes at once: one sample, or as many as the plan packs.

#[cfg(test)]
mod tests;

use crate::ciphertext::{Ciphertext, SeededCiphertext};
use crate::error::CkksError;
use crate::packing::{pack_poly, packed_len, unpack_poly};
use crate::params::Parameters;
use crate::plaintext::Plaintext;
use crate::poly::{Domain, Poly};
use crate::wire::AnyCiphertext;
use crate::xof::Seed;
use cipherloom_ir::Scale;
use cipherloom_ir::container::{self, Container, KeyId, Kind, PlanId};
use prost::Message;
use std::borrow::Cow;

/// What error messages call the file.
const WHAT: &str = "ciphertext file";
/// The most tensors, and the most ciphertexts of a tensor, that a file may name.
const MAX_COUNT: usize = 1 << 16;
/// The longest header. Decoding takes up to a hundred times a message's length in memory, and a few names and scales take little.
const MAX_HEADER: usize = 1 << 20;
const SEED_BYTES: usize = 32;

/// The ciphertexts of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct PortCiphertexts {
    /// The input's or output's name.
    pub name: String,
    /// For each run, the ciphertexts in order. All runs hold equally many, of one level, scale and form.
    pub runs: Vec<Vec<AnyCiphertext>>,
}

/// The ciphertexts of all inputs or all outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct CiphertextSet {
    /// The plan that they are made for.
    pub plan_id: PlanId,
    /// The secret key that decrypts them.
    pub key_id: KeyId,
    /// How many samples the runs hold; the last run may be filled up.
    pub samples: usize,
    /// The tensors.
    pub ports: Vec<PortCiphertexts>,
}

impl AnyCiphertext {
    /// The ciphertext, with its uniform part written out.
    pub fn expand(&self, params: &Parameters) -> Cow<'_, Ciphertext> {
        match self {
            AnyCiphertext::Seeded(seeded) => Cow::Owned(seeded.expand(params)),
            AnyCiphertext::Full(full) => Cow::Borrowed(full),
            AnyCiphertext::Clear(clear) => Cow::Owned(Ciphertext {
                c0: clear.poly().clone(),
                c1: Poly::zero(params, clear.level(), false, Domain::Ntt),
                scale: clear.scale().clone(),
            }),
        }
    }

    /// The level.
    pub fn level(&self) -> usize {
        match self {
            AnyCiphertext::Seeded(seeded) => seeded.level(),
            AnyCiphertext::Full(full) => full.level(),
            AnyCiphertext::Clear(clear) => clear.level(),
        }
    }

    /// The exact scale.
    pub fn scale(&self) -> &Scale {
        match self {
            AnyCiphertext::Seeded(seeded) => seeded.scale(),
            AnyCiphertext::Full(full) => full.scale(),
            AnyCiphertext::Clear(clear) => clear.scale(),
        }
    }

    /// Whether it is not encrypted.
    pub fn is_clear(&self) -> bool {
        matches!(self, AnyCiphertext::Clear(_))
    }

    fn is_seeded(&self) -> bool {
        matches!(self, AnyCiphertext::Seeded(_))
    }
}

#[derive(Clone, PartialEq, Message)]
struct SetHeader {
    #[prost(uint64, tag = "1")]
    samples: u64,
    #[prost(uint64, tag = "2")]
    runs: u64,
    #[prost(message, repeated, tag = "3")]
    ports: Vec<PortHeader>,
}

#[derive(Clone, PartialEq, Message)]
struct PortHeader {
    #[prost(string, tag = "1")]
    name: String,
    /// Ciphertexts per run.
    #[prost(uint64, tag = "2")]
    ciphertexts: u64,
    #[prost(uint32, tag = "3")]
    level: u32,
    #[prost(bytes = "vec", tag = "4")]
    scale_numerator: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    scale_denominator: Vec<u8>,
    #[prost(bool, tag = "6")]
    seeded: bool,
    /// Not encrypted.
    #[prost(bool, tag = "7")]
    clear: bool,
}

fn malformed(reason: impl Into<String>) -> CkksError {
    CkksError::Malformed {
        what: WHAT,
        reason: reason.into(),
    }
}

impl CiphertextSet {
    /// The number of runs.
    pub fn runs(&self) -> usize {
        self.ports.first().map_or(0, |port| port.runs.len())
    }

    /// The bytes of a `*.ct` file.
    ///
    /// # Errors
    /// [`CkksError::Malformed`] where runs differ in number, form, level or scale, or names are too long, and [`CkksError::Shape`] for ciphertexts of
    /// other parameters.
    pub fn to_bytes(&self, params: &Parameters) -> Result<Vec<u8>, CkksError> {
        let runs = self.runs();
        let header = SetHeader {
            samples: self.samples as u64,
            runs: runs as u64,
            ports: self
                .ports
                .iter()
                .map(|port| port.header(runs))
                .collect::<Result<_, _>>()?,
        };
        let header = header.encode_to_vec();
        if header.len() > MAX_HEADER {
            return Err(malformed("the header is too long"));
        }
        let mut sections = vec![header];
        for run in 0..runs {
            let mut section = Vec::new();
            for ciphertext in self
                .ports
                .iter()
                .filter_map(|port| port.runs.get(run))
                .flatten()
            {
                write_ciphertext(params, ciphertext, &mut section)?;
            }
            sections.push(section);
        }
        let sections: Vec<&[u8]> = sections.iter().map(Vec::as_slice).collect();
        Ok(container::write(
            Kind::Ciphertext,
            self.plan_id,
            self.key_id,
            &sections,
        ))
    }

    /// Reads a `*.ct` file of the given plan. Nothing is allocated that the file's own length does not cover.
    ///
    /// # Errors
    /// [`CkksError::Container`] for a damaged file or one of another kind or plan, [`CkksError::Malformed`] for content that
    /// contradicts itself or the parameters. The key's id is left for the caller to compare.
    pub fn from_bytes(
        params: &Parameters,
        plan_id: PlanId,
        bytes: &[u8],
    ) -> Result<Self, CkksError> {
        let file = Container::read(bytes, Kind::Ciphertext)?;
        file.expect_plan(plan_id)?;
        let header = file.section(0)?;
        if header.len() > MAX_HEADER {
            return Err(malformed("the header is too long"));
        }
        let header = SetHeader::decode(header).map_err(|e| malformed(e.to_string()))?;
        let runs = file.section_count() - 1;
        if header.runs != runs as u64 {
            return Err(malformed(
                "the number of runs is not that of the file's sections",
            ));
        }
        let samples = usize::try_from(header.samples)
            .ok()
            .filter(|samples| *samples >= runs);
        let samples = samples.ok_or_else(|| malformed("there are fewer samples than runs"))?;
        if header.ports.len() > MAX_COUNT {
            return Err(malformed("too many tensors"));
        }
        let shapes = header
            .ports
            .iter()
            .map(|p| p.check(params))
            .collect::<Result<Vec<_>, _>>()?;
        let run_bytes = shapes.iter().try_fold(0_usize, |sum, shape| {
            sum.checked_add(shape.bytes.checked_mul(shape.ciphertexts)?)
        });
        let mut ports: Vec<PortCiphertexts> = header
            .ports
            .iter()
            .map(|p| PortCiphertexts {
                name: p.name.clone(),
                runs: vec![],
            })
            .collect();
        for run in 0..runs {
            let mut rest = file.section(run + 1)?;
            if run_bytes != Some(rest.len()) {
                return Err(malformed("a run's length is not that of its ciphertexts"));
            }
            for (port, shape) in ports.iter_mut().zip(&shapes) {
                let mut ciphertexts = Vec::with_capacity(shape.ciphertexts);
                for _ in 0..shape.ciphertexts {
                    let (part, tail) = rest
                        .split_at_checked(shape.bytes)
                        .ok_or_else(|| malformed("a ciphertext is cut"))?;
                    rest = tail;
                    ciphertexts.push(shape.read(params, part)?);
                }
                port.runs.push(ciphertexts);
            }
        }
        Ok(Self {
            plan_id,
            key_id: file.key_id,
            samples,
            ports,
        })
    }
}

impl PortCiphertexts {
    fn header(&self, runs: usize) -> Result<PortHeader, CkksError> {
        let first = self.runs.first().and_then(|run| run.first());
        let first =
            first.ok_or_else(|| malformed(format!("\"{}\" has no ciphertexts", self.name)))?;
        let count = self.runs.first().map_or(0, Vec::len);
        let alike = |c: &AnyCiphertext| {
            c.level() == first.level()
                && c.scale() == first.scale()
                && c.is_seeded() == first.is_seeded()
                && c.is_clear() == first.is_clear()
        };
        let uniform = self.runs.len() == runs
            && self
                .runs
                .iter()
                .all(|run| run.len() == count && run.iter().all(alike));
        if !uniform {
            return Err(malformed(format!(
                "the runs of \"{}\" are not alike",
                self.name
            )));
        }
        let (scale_numerator, scale_denominator) = first.scale().to_parts();
        Ok(PortHeader {
            name: self.name.clone(),
            ciphertexts: count as u64,
            level: first.level() as u32,
            scale_numerator,
            scale_denominator,
            seeded: first.is_seeded(),
            clear: first.is_clear(),
        })
    }
}

fn write_ciphertext(
    params: &Parameters,
    ciphertext: &AnyCiphertext,
    out: &mut Vec<u8>,
) -> Result<(), CkksError> {
    match ciphertext {
        AnyCiphertext::Seeded(seeded) => {
            pack_poly(params, seeded.c0(), out)?;
            out.extend_from_slice(&seeded.seed().0);
        }
        AnyCiphertext::Full(full) => {
            pack_poly(params, full.c0(), out)?;
            pack_poly(params, full.c1(), out)?;
        }
        AnyCiphertext::Clear(clear) => pack_poly(params, clear.poly(), out)?,
    }
    Ok(())
}

/// What all ciphertexts of a tensor share, checked.
struct Shape {
    ciphertexts: usize,
    level: usize,
    scale: Scale,
    seeded: bool,
    clear: bool,
    /// Bytes of one ring element.
    element: usize,
    /// Bytes of one ciphertext.
    bytes: usize,
}

impl PortHeader {
    fn check(&self, params: &Parameters) -> Result<Shape, CkksError> {
        let refuse = |reason: &str| malformed(format!("\"{}\": {reason}", self.name));
        let ciphertexts = usize::try_from(self.ciphertexts)
            .ok()
            .filter(|count| (1..=MAX_COUNT).contains(count))
            .ok_or_else(|| refuse("the number of ciphertexts is out of bounds"))?;
        let level = self.level as usize;
        params.check_level(level)?;
        let scale = Scale::from_parts(&self.scale_numerator, &self.scale_denominator)
            .ok_or_else(|| refuse("the scale is no positive fraction"))?;
        let element = packed_len(params, level, false).ok_or_else(|| refuse("no such level"))?;
        let second = match (self.seeded, self.clear) {
            (true, true) => return Err(refuse("it has both a seed and none")),
            (true, false) => SEED_BYTES,
            (false, true) => 0,
            (false, false) => element,
        };
        let bytes = element + second;
        Ok(Shape {
            ciphertexts,
            level,
            scale,
            seeded: self.seeded,
            clear: self.clear,
            element,
            bytes,
        })
    }
}

impl Shape {
    fn read(&self, params: &Parameters, bytes: &[u8]) -> Result<AnyCiphertext, CkksError> {
        let (c0, c1) = bytes
            .split_at_checked(self.element)
            .ok_or_else(|| malformed("a ciphertext is cut"))?;
        let c0 = unpack_poly(params, self.level, false, c0, WHAT)?;
        let scale = self.scale.clone();
        if self.clear {
            return Ok(AnyCiphertext::Clear(Plaintext::new(c0, scale)?));
        }
        if self.seeded {
            let seed = Seed(*c1.first_chunk().ok_or_else(|| malformed("a seed is cut"))?);
            return Ok(AnyCiphertext::Seeded(SeededCiphertext::new(
                c0, seed, scale,
            )?));
        }
        let c1 = unpack_poly(params, self.level, false, c1, WHAT)?;
        Ok(AnyCiphertext::Full(Ciphertext::new(c0, c1, scale)?))
    }
}
