//! The negacyclic number-theoretic transform: position i of the result holds the value at `psi^(2 brv(i) + 1)`.
//!
//! Whole rings go through tfhe-ntt. Vectors of a subring, which are polynomials in `X^(N/m)`, go through a transform
//! of length m of our own with the prefix of the same table of roots, so that they match the whole ring's order:
//! value j of the short transform serves positions `j N/m .. (j+1) N/m`.

use crate::kernel::{Buffer, Modulus, Shoup, mul_shoup_assign};
use tfhe_ntt::prime64::Plan;

#[cfg(test)]
thread_local! {
    /// Transforms of whole limbs by this thread, so that tests can count them.
    pub(crate) static NTT_COUNT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// The `bits` low bits of `i` in reverse order.
#[inline]
pub(crate) fn reverse(i: usize, bits: u32) -> usize {
    if bits == 0 {
        0
    } else {
        i.reverse_bits() >> (usize::BITS - bits)
    }
}

/// The transforms modulo one prime.
pub(crate) struct Ntt {
    plan: Plan,
    modulus: Modulus,
    /// `psi^brv(k)`.
    roots: Vec<Shoup>,
    /// `1/N`.
    n_inverse: Shoup,
}

impl Ntt {
    /// The transforms of length `n`, a power of two and at least 16; none where the prime has no root of that order.
    pub(crate) fn new(n: usize, modulus: Modulus) -> Option<Self> {
        let plan = Plan::try_new(n, modulus.p)?;
        let mut monomial = Buffer::zeroed(n);
        monomial[1] = 1;
        plan.fwd(&mut monomial);
        // Position 0 holds X at psi^(2 * 0 + 1).
        let psi = monomial[0];
        let mut roots = vec![Shoup::default(); n];
        let mut power = 1;
        for k in 0..n {
            roots[reverse(k, n.trailing_zeros())] = modulus.shoup(power);
            power = modulus.mul(power, psi);
        }
        let n_inverse = modulus.shoup(modulus.invert(n as u64));
        Some(Self {
            plan,
            modulus,
            roots,
            n_inverse,
        })
    }

    /// `1/N` modulo the prime.
    pub(crate) fn n_inverse(&self) -> Shoup {
        self.n_inverse
    }

    /// Coefficients to values.
    pub(crate) fn forward(&self, x: &mut [u64]) {
        count();
        self.plan.fwd(x);
    }

    /// Values to N times the coefficients.
    pub(crate) fn inverse_unscaled(&self, x: &mut [u64]) {
        count();
        self.plan.inv(x);
    }

    /// Values to coefficients.
    pub(crate) fn inverse(&self, x: &mut [u64]) {
        self.inverse_unscaled(x);
        mul_shoup_assign(&self.modulus, x, self.n_inverse);
    }

    /// Coefficients of a polynomial in `X^(N/m)` to its m distinct values; m is a power of two dividing N.
    pub(crate) fn forward_subring(&self, x: &mut [u64]) {
        if x.len() == self.roots.len() {
            return self.plan.fwd(x);
        }
        let m = &self.modulus;
        let (mut half, mut groups) = (x.len() / 2, 1);
        while half > 0 {
            for (pair, root) in x.chunks_exact_mut(2 * half).zip(&self.roots[groups..]) {
                let (low, high) = pair.split_at_mut(half);
                for (a, b) in low.iter_mut().zip(high) {
                    let t = m.mul_shoup(*b, *root);
                    (*a, *b) = (m.add(*a, t), m.sub(*a, t));
                }
            }
            half /= 2;
            groups *= 2;
        }
    }
}

fn count() {
    #[cfg(test)]
    NTT_COUNT.with(|c| c.set(c.get() + 1));
}
