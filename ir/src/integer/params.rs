//! The parameter sets of TFHE that a plan may use: those that the crate `tfhe` publishes, by name.
//!
//! A plan file states name and numbers; the numbers have to be those of this table, so that no weak set comes in by a
//! file. Distributions are not in the file at all: secrets are uniform binary, errors TUniform (uniform over
//! -2^b .. 2^b, the two ends half as likely; "TFHE-rs: a (practical) handbook", Zama 2025, section 1.1).

use thiserror::Error;

/// One published set: a large key (GLWE, read as LWE of dimension `k N`) under which values travel, and a small one
/// (LWE of dimension `n`) that a bootstrap starts from. The ciphertext modulus is 2^64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TfheSet {
    /// The name of the crate's constant.
    pub name: &'static str,
    /// Bits of a table's index for which the set was made, below the padding bit.
    pub bits: u32,
    /// The small key's dimension `n`.
    pub lwe_dimension: u32,
    /// The number `k` of mask polynomials.
    pub glwe_dimension: u32,
    /// The number `N` of coefficients of a polynomial, as a power of two.
    pub log_polynomial_size: u32,
    /// `b` of the errors under the small key.
    pub lwe_noise: u32,
    /// `b` of the errors under the large key.
    pub glwe_noise: u32,
    /// log2 of the base of the bootstrap's decomposition.
    pub pbs_base_log: u32,
    /// Levels of the bootstrap's decomposition.
    pub pbs_level: u32,
    /// log2 of the base of the keyswitch's decomposition.
    pub ks_base_log: u32,
    /// Levels of the keyswitch's decomposition.
    pub ks_level: u32,
    /// The 2-norm of the weights in front of a bootstrap for which the set was made.
    pub norm: u32,
    /// log2 of the failure probability that its makers state for that norm.
    pub log2_failure: f64,
}

/// The sets with TUniform errors and failure probability 2^-128 of tfhe 1.8 (`V1_8_PARAM_MESSAGE_m_CARRY_m_KS_PBS_TUNIFORM_2M128`,
/// for 2 m bits), which its makers estimate at 132 bits of security; by ascending cost.
///
/// The sets for 6 and 8 bits are not among them: the Fourier transform whose algorithm is fixed, so that results do not
/// depend on measured times, takes polynomials of at most 2^11 coefficients.
pub const SETS: [TfheSet; 2] = [
    TfheSet {
        name: "V1_8_PARAM_MESSAGE_1_CARRY_1_KS_PBS_TUNIFORM_2M128",
        bits: 2,
        lwe_dimension: 879,
        glwe_dimension: 4,
        log_polynomial_size: 9,
        lwe_noise: 46,
        glwe_noise: 17,
        pbs_base_log: 23,
        pbs_level: 1,
        ks_base_log: 5,
        ks_level: 3,
        norm: 3,
        log2_failure: -144.322,
    },
    TfheSet {
        name: "V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128",
        bits: 4,
        lwe_dimension: 918,
        glwe_dimension: 1,
        log_polynomial_size: 11,
        lwe_noise: 45,
        glwe_noise: 17,
        pbs_base_log: 23,
        pbs_level: 1,
        ks_base_log: 4,
        ks_level: 4,
        norm: 5,
        log2_failure: -129.581,
    },
];

/// The published sets that are not offered, for tests of the formulas.
#[cfg(test)]
pub(super) const LARGER: [TfheSet; 2] = [
    TfheSet {
        name: "V1_8_PARAM_MESSAGE_3_CARRY_3_KS_PBS_TUNIFORM_2M128",
        bits: 6,
        lwe_dimension: 1077,
        glwe_dimension: 1,
        log_polynomial_size: 13,
        lwe_noise: 41,
        glwe_noise: 3,
        pbs_base_log: 15,
        pbs_level: 2,
        ks_base_log: 4,
        ks_level: 5,
        norm: 9,
        log2_failure: -128.992,
    },
    TfheSet {
        name: "V1_8_PARAM_MESSAGE_4_CARRY_4_KS_PBS_TUNIFORM_2M128",
        bits: 8,
        lwe_dimension: 1117,
        glwe_dimension: 1,
        log_polynomial_size: 16,
        lwe_noise: 40,
        glwe_noise: 3,
        pbs_base_log: 11,
        pbs_level: 3,
        ks_base_log: 3,
        ks_level: 7,
        norm: 17,
        log2_failure: -141.559,
    },
];

/// Why a parameter set is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetError {
    /// No such name.
    #[error("there is no TFHE parameter set {0:?}")]
    Unknown(String),
    /// A known name over other numbers.
    #[error("the numbers of the TFHE parameter set {0:?} are not the published ones")]
    Changed(String),
}

impl TfheSet {
    /// The set of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        SETS.into_iter().find(|set| set.name == name)
    }

    /// The set made for so many bits.
    pub fn for_bits(bits: u32) -> Option<Self> {
        SETS.into_iter().find(|set| set.bits == bits)
    }

    /// The numbers as a file states them, in a fixed order.
    pub fn numbers(&self) -> [u32; 11] {
        [
            self.bits,
            self.lwe_dimension,
            self.glwe_dimension,
            self.log_polynomial_size,
            self.lwe_noise,
            self.glwe_noise,
            self.pbs_base_log,
            self.pbs_level,
            self.ks_base_log,
            self.ks_level,
            self.norm,
        ]
    }

    /// The published set of a name, if these are its numbers.
    ///
    /// # Errors
    /// Another name, or other numbers.
    pub fn checked(name: &str, numbers: &[u32]) -> Result<Self, SetError> {
        let set = Self::by_name(name).ok_or_else(|| SetError::Unknown(name.to_owned()))?;
        if set.numbers() == numbers {
            Ok(set)
        } else {
            Err(SetError::Changed(name.to_owned()))
        }
    }

    /// Refuses a set that was changed in memory.
    ///
    /// # Errors
    /// As [`TfheSet::checked`].
    pub fn check(&self) -> Result<(), SetError> {
        Self::checked(self.name, &self.numbers()).map(|_| ())
    }

    /// The number `N` of coefficients of a polynomial.
    pub fn polynomial_size(&self) -> usize {
        1 << self.log_polynomial_size
    }

    /// The dimension `k N` of the large key.
    pub fn big_dimension(&self) -> usize {
        self.glwe_dimension as usize * self.polynomial_size()
    }

    /// Words of a ciphertext under the large key: mask and body.
    pub fn ciphertext_words(&self) -> usize {
        self.big_dimension() + 1
    }

    /// The most index bits of a table: its entries are at least two coefficients wide, so that noise is centred.
    pub fn max_table_bits(&self) -> u32 {
        self.log_polynomial_size - 1
    }

    /// Words of the bootstrapping key without its masks: a body per row of `n` GGSW ciphertexts.
    pub fn seeded_bootstrap_words(&self) -> usize {
        let rows = (self.glwe_dimension + 1) * self.pbs_level;
        self.lwe_dimension as usize * rows as usize * self.polynomial_size()
    }

    /// Words of the keyswitching key without its masks.
    pub fn seeded_keyswitch_words(&self) -> usize {
        self.big_dimension() * self.ks_level as usize
    }

    /// Bytes of the server's keys on disk, seeds and header left out.
    pub fn key_bytes(&self) -> u64 {
        8 * (self.seeded_bootstrap_words() + self.seeded_keyswitch_words()) as u64
    }

    /// Bytes of the bootstrapping key in memory, in the Fourier domain as well as out of it.
    pub fn bootstrap_key_bytes(&self) -> u64 {
        8 * self.seeded_bootstrap_words() as u64 * (u64::from(self.glwe_dimension) + 1)
    }

    /// Bytes of the server's keys in memory: the bootstrapping key in the Fourier domain, and the keyswitching key, whose words
    /// are rounded to 32 bits.
    pub fn expanded_key_bytes(&self) -> u64 {
        let keyswitch = self.seeded_keyswitch_words() as u64 * (u64::from(self.lwe_dimension) + 1);
        self.bootstrap_key_bytes() + 4 * keyswitch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_published_numbers_pass() {
        for set in SETS {
            assert_eq!(TfheSet::checked(set.name, &set.numbers()), Ok(set));
            assert_eq!(TfheSet::for_bits(set.bits), Some(set));
            for i in 0..set.numbers().len() {
                let mut numbers = set.numbers();
                numbers[i] += 1;
                let refused = TfheSet::checked(set.name, &numbers);
                assert_eq!(refused, Err(SetError::Changed(set.name.into())));
            }
            assert!(TfheSet::checked(set.name, &set.numbers()[1..]).is_err());
        }
        for set in LARGER {
            let refused = TfheSet::checked(set.name, &set.numbers());
            assert_eq!(refused, Err(SetError::Unknown(set.name.into())));
        }
        assert!(TfheSet::checked("mine", &SETS[0].numbers()).is_err());
        let weak = TfheSet {
            glwe_noise: 10,
            ..SETS[0]
        };
        assert!(weak.check().is_err());
    }

    #[test]
    fn keys_have_the_sizes_of_their_arrays() {
        // n (k+1) l N words and k N l words, as the crate's documentation counts them.
        let megabytes = |set: TfheSet| set.key_bytes() as f64 / 1e6;
        assert_eq!(SETS[1].seeded_bootstrap_words(), 918 * 2 * 2048);
        assert_eq!(SETS[1].seeded_keyswitch_words(), 2048 * 4);
        assert!((megabytes(SETS[0]) - 18.05).abs() < 0.01);
        assert!((megabytes(SETS[1]) - 30.15).abs() < 0.01);
        assert_eq!(
            SETS[1].expanded_key_bytes(),
            8 * 918 * 4 * 2048 + 4 * 8192 * 919
        );
    }
}
