//! The limits on log2(QP) for ring learning with errors: uniform ternary secret, sigma = 3.2.
//!
//! Computed with the lattice estimator (commit 27a581bb): classical is the lower of the MATZOV and BDGL16 models,
//! quantum the lower of LaaMosPol14 and quantum MATZOV, each over uSVP, BDD and dual attacks, and never above
//! OpenFHE's own entry. The classical 128-bit row is that of "Security Guidelines for Implementing Homomorphic
//! Encryption" (ePrint 2024/463, table 5.2; its last two entries are 1747 and 3523). A limit bounds the exact
//! sum of the logarithms of all primes, the special ones included.

use std::fmt;

/// A security target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// 128 bits against classical attacks.
    Classical128,
    /// 192 bits against classical attacks.
    Classical192,
    /// 256 bits against classical attacks.
    Classical256,
    /// 128 bits against quantum attacks.
    Quantum128,
    /// 192 bits against quantum attacks.
    Quantum192,
    /// 256 bits against quantum attacks.
    Quantum256,
}

/// The smallest ring degree of the table, as a power of two.
pub const MIN_LOG_N: u32 = 10;
/// The largest ring degree of the table, as a power of two.
pub const MAX_LOG_N: u32 = 17;

/// Limits for N = 2^10 .. 2^17; zero where no parameters are allowed.
const LIMITS: [(Security, [u32; 8]); 6] = [
    (
        Security::Classical128,
        [26, 53, 106, 214, 430, 868, 1746, 3522],
    ),
    (
        Security::Classical192,
        [0, 0, 73, 147, 297, 596, 1199, 2410],
    ),
    (Security::Classical256, [0, 0, 56, 114, 230, 462, 929, 1865]),
    (
        Security::Quantum128,
        [25, 50, 101, 202, 409, 825, 1663, 3348],
    ),
    (Security::Quantum192, [0, 0, 69, 140, 282, 567, 1141, 2293]),
    (Security::Quantum256, [0, 0, 52, 107, 217, 436, 875, 1758]),
];

impl Security {
    /// All targets, in the table's order.
    pub const ALL: [Security; 6] = [
        Security::Classical128,
        Security::Classical192,
        Security::Classical256,
        Security::Quantum128,
        Security::Quantum192,
        Security::Quantum256,
    ];

    /// The largest allowed log2(QP) at ring degree `2^log_n`; `None` where no parameters are allowed.
    pub fn max_log_qp(self, log_n: u32) -> Option<u32> {
        let column = log_n.checked_sub(MIN_LOG_N)? as usize;
        let (_, row) = LIMITS.iter().find(|(target, _)| *target == self)?;
        row.get(column).copied().filter(|limit| *limit > 0)
    }

    /// The target's bits.
    pub fn bits(self) -> u32 {
        match self {
            Security::Classical128 | Security::Quantum128 => 128,
            Security::Classical192 | Security::Quantum192 => 192,
            Security::Classical256 | Security::Quantum256 => 256,
        }
    }

    /// Whether the target is against quantum attacks.
    pub fn is_quantum(self) -> bool {
        matches!(
            self,
            Security::Quantum128 | Security::Quantum192 | Security::Quantum256
        )
    }

    /// The target of the given bits, if there is one.
    pub fn from_bits(bits: u32, quantum: bool) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|s| s.bits() == bits && s.is_quantum() == quantum)
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            if self.is_quantum() {
                "quantum"
            } else {
                "classical"
            },
            self.bits()
        )
    }
}

/// The exact sum of the logarithms to base 2 of the primes.
pub fn log2_product(primes: impl IntoIterator<Item = u64>) -> f64 {
    primes.into_iter().map(|p| libm::log2(p as f64)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_refuses_small_rings_and_is_monotone() {
        assert_eq!(Security::Classical128.max_log_qp(13), Some(214));
        assert_eq!(Security::Classical128.max_log_qp(9), None);
        assert_eq!(Security::Classical128.max_log_qp(18), None);
        assert_eq!(Security::Quantum256.max_log_qp(11), None);
        for (classical, quantum) in [(0, 3), (1, 4), (2, 5)] {
            for log_n in 12..=17 {
                let limit = |i: usize| Security::ALL[i].max_log_qp(log_n).unwrap();
                assert!(limit(quantum) < limit(classical));
                assert!(
                    Security::ALL[classical].max_log_qp(log_n - 1).unwrap_or(0) * 2
                        <= limit(classical) + 2
                );
            }
        }
    }
}
