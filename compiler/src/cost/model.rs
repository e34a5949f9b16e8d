//! A machine's rates: what each primitive operation takes, by ring degree and width of the words.

use super::Work;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Microseconds of each primitive operation over one limb.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// A number-theoretic transform.
    pub ntt: f64,
    /// A row's product with a constant in a conversion between primes.
    pub convert: f64,
    /// A digit's product with both halves of a key, which is read from memory; a sum of them written.
    pub key: f64,
    /// A diagonal's product with both parts of a rotation.
    pub diagonal: f64,
    /// A product of a part of a ciphertext with an integer, added to a weighted sum.
    pub sum: f64,
    /// Any other pass over a limb.
    pub pass: f64,
}

/// The name of each rate in files, and its place.
pub type Field = (&'static str, fn(&mut Rates) -> &mut f64);

impl Rates {
    /// All rates, by name.
    pub const FIELDS: [Field; 6] = [
        ("ntt_us", |r| &mut r.ntt),
        ("convert_us", |r| &mut r.convert),
        ("key_us", |r| &mut r.key),
        ("diagonal_us", |r| &mut r.diagonal),
        ("sum_us", |r| &mut r.sum),
        ("pass_us", |r| &mut r.pass),
    ];

    /// Seconds of work on one thread.
    pub fn seconds(&self, work: Work) -> f64 {
        let terms = [
            (work.ntts, self.ntt),
            (work.converts, self.convert),
            (work.keys, self.key),
            (work.diagonals, self.diagonal),
            (work.sums, self.sum),
            (work.passes, self.pass),
        ];
        1e-6 * terms.iter().map(|(n, us)| *n as f64 * us).sum::<f64>()
    }

    /// Each rate changed.
    #[must_use]
    pub fn with_each(self, f: impl Fn(f64) -> f64) -> Self {
        self.with(self, |_, value, _| f(value))
    }

    /// Each rate computed from those of two sets.
    fn with(mut self, mut other: Self, f: impl Fn(&str, f64, f64) -> f64) -> Self {
        for (name, field) in Self::FIELDS {
            let value = field(&mut self);
            *value = f(name, *value, *field(&mut other));
        }
        self
    }
}

/// The rates at one ring degree.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ring {
    /// Modulo primes below 2^32, whose residues are kept as 32-bit words.
    pub narrow: Rates,
    /// Modulo larger primes.
    pub wide: Rates,
    /// The share of an operation's time that further threads do not shorten (Amdahl's law).
    pub serial_share: f64,
}

impl Ring {
    /// The rates where this share of the primes is wide.
    pub fn rates(&self, wide: f64) -> Rates {
        let mixed = |_: &str, narrow: f64, other: f64| narrow + (other - narrow) * wide;
        self.narrow.with(self.wide, mixed)
    }

    /// How much faster so many threads are than one.
    pub fn speedup(&self, threads: usize) -> f64 {
        let threads = threads.max(1) as f64;
        1.0 / (self.serial_share + (1.0 - self.serial_share) / threads)
    }

    /// The rates at another degree, by the number of operations.
    fn scaled(self, from: u32, to: u32) -> Self {
        let size = libm::exp2(f64::from(to) - f64::from(from));
        let scale = |name: &str, value: f64, _: f64| match name {
            "ntt_us" => value * size * f64::from(to) / f64::from(from.max(1)),
            _ => value * size,
        };
        Self {
            narrow: self.narrow.with(self.narrow, scale),
            wide: self.wide.with(self.wide, scale),
            ..self
        }
    }
}

/// A machine's rates, measured or built in. The text form is [`CostModel::to_text`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CostModel {
    /// What was measured, for people.
    pub machine: String,
    /// The rate at which memory is read, by all threads together.
    pub memory_bytes_per_s: f64,
    /// Rates by log2(N); not empty. Others are scaled from the nearest.
    pub rings: BTreeMap<u32, Ring>,
}

/// The built-in figures: a 2-core virtual machine with AVX-512 IFMA.
const BUILT_IN: &str = include_str!("built_in.json");

impl CostModel {
    /// The built-in figures.
    pub fn built_in() -> &'static Self {
        static MODEL: OnceLock<CostModel> = OnceLock::new();
        // A file of this crate that a test reads; an empty model would estimate zero.
        MODEL.get_or_init(|| Self::from_text(BUILT_IN).unwrap_or_default())
    }

    /// The rates at ring degree `2^log_n`; of degrees as near as each other, those of the lower.
    pub fn ring(&self, log_n: u32) -> Ring {
        let nearest = self.rings.iter().min_by_key(|(n, _)| n.abs_diff(log_n));
        nearest.map_or_else(Ring::default, |(n, ring)| ring.scaled(*n, log_n))
    }
}
