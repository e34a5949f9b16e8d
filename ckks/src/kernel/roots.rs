//! The powers of a root of unity that transforms multiply with.

use super::{Buffer, Modulus, Shoup};

/// Powers of a primitive 2N-th root `psi` modulo one prime: position k holds `psi^brv(k)`.
pub(crate) struct Roots {
    pub(super) values: Buffer,
    pub(super) quotients: Buffer,
}

impl Roots {
    /// The first n powers of `psi`, n being a power of two.
    pub(crate) fn new(modulus: &Modulus, n: usize, psi: u64) -> Self {
        let (mut values, mut quotients) = (Buffer::zeroed(n), Buffer::zeroed(n));
        let mut power = 1;
        for k in 0..n {
            let at = crate::ntt::reverse(k, n.trailing_zeros());
            let root = modulus.shoup(power);
            (values[at], quotients[at]) = (root.value, root.quotient);
            power = modulus.mul(power, psi);
        }
        Self { values, quotients }
    }

    /// The number of powers.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// `psi^brv(k)`.
    pub(crate) fn at(&self, k: usize) -> Shoup {
        Shoup {
            value: self.values[k],
            quotient: self.quotients[k],
        }
    }
}
