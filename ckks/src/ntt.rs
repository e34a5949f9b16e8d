//! The negacyclic number-theoretic transform: position i of the result holds the value at `psi^(2 brv(i) + 1)`.
//!
//! Whole rings go through kernels of our own where the CPU and the prime allow it, and through tfhe-ntt otherwise.
//! Vectors of a subring, which are polynomials in `X^(N/m)`, go through a transform of length m with the prefix of the
//! same table of roots, so that they match the whole ring's order: value j of the short transform serves positions
//! `j N/m .. (j+1) N/m`.

use crate::kernel::{self, Buffer, Modulus, Roots, Shoup, mul_shoup_assign};
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
    roots: Roots,
    /// Those of 1/psi.
    inverse_roots: Roots,
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
        let n_inverse = modulus.shoup(modulus.invert(n as u64));
        Some(Self {
            plan,
            modulus,
            roots: Roots::new(&modulus, n, psi),
            inverse_roots: Roots::new(&modulus, n, modulus.invert(psi)),
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
        if !kernel::ntt_forward(&self.modulus, &self.roots, x) {
            self.plan.fwd(x);
        }
    }

    /// The values `x` to coefficients times N times `scale`.
    pub(crate) fn inverse_scaled(&self, out: &mut [u64], x: &[u64], scale: Shoup) {
        count();
        if !kernel::ntt_inverse(&self.modulus, &self.inverse_roots, out, x, scale) {
            out.copy_from_slice(x);
            self.plan.inv(out);
            mul_shoup_assign(&self.modulus, out, scale);
        }
    }

    /// Values to coefficients.
    pub(crate) fn inverse(&self, x: &mut [u64]) {
        let mut out = Buffer::unspecified(x.len());
        self.inverse_scaled(&mut out, x, self.n_inverse);
        x.copy_from_slice(&out);
    }

    /// Coefficients of a polynomial in `X^(N/m)` to its m distinct values; m is a power of two dividing N.
    pub(crate) fn forward_subring(&self, x: &mut [u64]) {
        if x.len() == self.roots.len() {
            if !kernel::ntt_forward(&self.modulus, &self.roots, x) {
                self.plan.fwd(x);
            }
            return;
        }
        let m = &self.modulus;
        let (mut half, mut groups) = (x.len() / 2, 1);
        while half > 0 {
            for (k, pair) in x.chunks_exact_mut(2 * half).enumerate() {
                let (low, high) = pair.split_at_mut(half);
                kernel::butterfly(m, low, high, self.roots.at(groups + k));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;
    use cipherloom_ir::params::ntt_primes_near;

    #[test]
    fn values_are_at_odd_powers_in_bit_reversed_order_and_products_are_negacyclic() {
        for (log_n, bits) in [(4, 20.0), (5, 28.0), (7, 34.0), (8, 50.0), (10, 45.0)] {
            let n = 1_usize << log_n;
            let p = ntt_primes_near(log_n, bits, 1, &[])[0];
            let m = Modulus::new(p);
            let ntt = Ntt::new(n, m).unwrap();
            let psi = ntt.roots.at(reverse(1, log_n)).value;
            assert_eq!(m.pow(psi, n as u64), p - 1);
            let mut rng = Rng(log_n.into());
            let mut random = || (0..n).map(|_| rng.below(p)).collect::<Vec<u64>>();
            let (a, b) = (random(), random());
            let (mut x, mut y) = (a.clone(), b.clone());
            ntt.forward(&mut x);
            ntt.forward(&mut y);
            for i in [0, 1, n / 2 + 1, n - 1] {
                let point = m.pow(psi, 2 * reverse(i, log_n) as u64 + 1);
                let value = a
                    .iter()
                    .rev()
                    .fold(0, |acc, c| m.add(m.mul(acc, point), *c));
                assert_eq!(x[i], value, "position {i} at N = {n}");
            }
            crate::kernel::mul_assign(&m, &mut x, &y);
            ntt.inverse(&mut x);
            for k in [0, 1, n / 3, n - 1] {
                let product = (0..n).fold(0, |acc, i| {
                    let term = m.mul(a[i], b[(n + k - i) % n]);
                    if i <= k {
                        m.add(acc, term)
                    } else {
                        m.sub(acc, term)
                    }
                });
                assert_eq!(x[k], product, "coefficient {k} at N = {n}");
            }
        }
    }

    /// The largest words lead to the largest sums and differences.
    #[test]
    fn own_transforms_give_the_bits_of_the_library() {
        for (log_n, bits) in [
            (7, 20.0),
            (8, 31.9),
            (9, 37.9),
            (10, 46.9),
            (11, 47.4),
            (12, 43.0),
            (13, 20.1),
            (13, 39.5),
            (14, 46.9),
            (15, 36.5),
            (16, 46.8),
        ] {
            let n = 1_usize << log_n;
            let p = ntt_primes_near(log_n, bits, 1, &[])[0];
            let ntt = Ntt::new(n, Modulus::new(p)).unwrap();
            let mut rng = Rng(u64::from(log_n));
            let rows: [Vec<u64>; 3] = [
                (0..n).map(|_| rng.below(p)).collect(),
                vec![p - 1; n],
                (0..n as u64).map(|i| (p - 1) * (i % 2)).collect(),
            ];
            for row in rows {
                let (mut x, mut y) = (row.clone(), row.clone());
                ntt.plan.fwd(&mut x);
                ntt.forward(&mut y);
                assert_eq!(x, y, "forward, N = {n}, {bits} bits");
                let (mut x, mut out) = (row.clone(), vec![0; n]);
                ntt.plan.inv(&mut x);
                let scale = ntt.modulus.shoup(rng.below(p));
                mul_shoup_assign(&ntt.modulus, &mut x, scale);
                ntt.inverse_scaled(&mut out, &row, scale);
                assert_eq!(x, out, "inverse, N = {n}, {bits} bits");
            }
        }
    }

    #[test]
    fn subring_transforms_give_the_distinct_values_of_the_whole_one() {
        let (log_n, n) = (8, 256);
        for bits in [26.0, 49.9] {
            let p = ntt_primes_near(log_n, bits, 1, &[])[0];
            let ntt = Ntt::new(n, Modulus::new(p)).unwrap();
            let mut rng = Rng(7);
            for width in [2, 4, 8, 16, 32, 64, 128, 256] {
                let mut short: Vec<u64> = (0..width).map(|_| rng.below(p)).collect();
                let mut long = vec![0; n];
                short
                    .iter()
                    .enumerate()
                    .for_each(|(j, c)| long[j * n / width] = *c);
                ntt.forward_subring(&mut short);
                ntt.forward(&mut long);
                let repeated: Vec<u64> = short
                    .iter()
                    .flat_map(|v| std::iter::repeat_n(*v, n / width))
                    .collect();
                assert_eq!(repeated, long, "width {width}");
            }
        }
    }
}
