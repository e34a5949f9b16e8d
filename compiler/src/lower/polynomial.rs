//! Polynomials in the Chebyshev basis as programs of few sums of products.
//!
//! A program computes `sum c_k T_k(t)` from t in [-1, 1] by baby steps and giant steps (Paterson and Stockmeyer, "On
//! the number of nonscalar multiplications necessary to evaluate polynomials", SIAM J. Comput. 2, 1973), in the
//! Chebyshev basis and with scales that fit exactly (Bossuat, Mouchet, Troncoso-Pastoriza, Hubaux, "Efficient bootstrapping
//! for approximate homomorphic encryption with non-sparse keys", EUROCRYPT 2021, section 3). It takes
//! ceil(log2(degree + 1)) levels: each of its sums of products, factors times values, and a constant is relinearised once
//! and rescaled once.

mod make;
mod scales;
#[cfg(test)]
mod tests;

pub(crate) use scales::LogScale;

/// What a sum's scale follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A Chebyshev polynomial T_k of the operand: its scale follows from those of its factors.
    Power,
    /// A block of the polynomial, or the result: its scale is what the one sum that uses it asks for.
    Block,
}

/// `gain * (x0 x1 + x2 x3 + ..) + f0 y0 + f1 y1 + .. + constant`: one level.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sum {
    /// Pairs of values.
    pub(crate) products: Vec<(usize, usize)>,
    /// The factor of all products.
    pub(crate) gain: u32,
    /// Values and their factors.
    pub(crate) terms: Vec<(usize, f64)>,
    /// The constant.
    pub(crate) constant: f64,
    /// How many levels it lies below the operand; what it reads lies higher.
    pub(crate) depth: usize,
    /// What its scale follows from.
    pub(crate) role: Role,
}

/// A program. Value 0 is the operand, value i + 1 that of sum i; sums read earlier values alone, and the last is the
/// result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Program {
    /// The sums.
    pub(crate) sums: Vec<Sum>,
    /// Chebyshev coefficients c_0, c_1, .. of the result.
    pub(crate) coefficients: Vec<f64>,
}

impl Program {
    /// The levels that it takes.
    pub(crate) fn depth(&self) -> usize {
        self.sums.last().map_or(0, |s| s.depth)
    }

    /// All values at `t`; the last is the result.
    pub(crate) fn eval(&self, t: f64) -> Vec<f64> {
        let mut values = Vec::with_capacity(self.sums.len() + 1);
        values.push(t);
        for sum in &self.sums {
            let products: f64 = sum
                .products
                .iter()
                .map(|(a, b)| values[*a] * values[*b])
                .sum();
            let terms: f64 = sum.terms.iter().map(|(v, f)| f * values[*v]).sum();
            values.push(f64::from(sum.gain) * products + terms + sum.constant);
        }
        values
    }

    /// The derivatives of value `root` with respect to each value that it is made of, itself included, at the given
    /// values (of [`Program::eval`]): backwards through the sums.
    pub(crate) fn adjoints(&self, values: &[f64], root: usize) -> Vec<f64> {
        let mut adjoints = vec![0.0; root + 1];
        adjoints[root] = 1.0;
        for i in (1..=root).rev() {
            let (own, sum) = (adjoints[i], &self.sums[i - 1]);
            if own == 0.0 {
                continue;
            }
            let scaled = own * f64::from(sum.gain);
            for (a, b) in &sum.products {
                adjoints[*a] += scaled * values[*b];
                adjoints[*b] += scaled * values[*a];
            }
            for (v, f) in &sum.terms {
                adjoints[*v] += own * f;
            }
        }
        adjoints
    }

    /// The program of `factor` times the polynomial.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        Self::new(
            &self
                .coefficients
                .iter()
                .map(|c| c * factor)
                .collect::<Vec<_>>(),
        )
    }
}

/// `sum c_k T_k(t)` by Clenshaw's recurrence, for any t.
pub(crate) fn clenshaw(coefficients: &[f64], t: f64) -> f64 {
    let (mut b1, mut b2) = (0.0, 0.0);
    for c in coefficients.iter().skip(1).rev() {
        (b1, b2) = (2.0 * t * b1 - b2 + c, b1);
    }
    t * b1 - b2 + coefficients.first().copied().unwrap_or(0.0)
}

/// The Chebyshev coefficients, over [lo, hi], of a polynomial with the given coefficients of 1, x, x^2 ..
pub(crate) fn from_monomials(coefficients: &[f64], lo: f64, hi: f64) -> Vec<f64> {
    // Horner's rule on Chebyshev series: x p, with x = mid + half t and t T_k = (T_(k+1) + T_|k-1|) / 2.
    let (mid, half) = ((lo + hi) / 2.0, (hi - lo) / 2.0);
    let mut series = vec![0.0];
    for c in coefficients.iter().rev() {
        let mut next = vec![0.0; series.len() + 1];
        for (k, s) in series.iter().enumerate() {
            next[k] += mid * s;
            next[k + 1] += half * s / 2.0;
            next[k.abs_diff(1)] += half * s / 2.0;
        }
        next[0] += c;
        series = next;
    }
    while series.len() > 1 && series.last() == Some(&0.0) {
        series.pop();
    }
    series
}
