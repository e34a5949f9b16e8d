//! Programs of given coefficients.
//!
//! A polynomial of degree d at depth D is divided by a Chebyshev polynomial T_g that depth D - 1 allows, in the Chebyshev
//! basis: p = q T_g + r. The quotient becomes a block one level higher, the remainder joins the same sum, until what is
//! left is a sum of Chebyshev polynomials that are there anyhow (the baby steps). A quotient whose degree leaves it no slack
//! is divided further down to its leading factor, so that no level is lost. Coefficients that are zero cost nothing, and a
//! T_k that nothing reads is not made: an even polynomial is computed from even T_k alone, which is its
//! evaluation in T_2, and a ReLU from those and t.

use super::{Program, Role, Sum};
use std::collections::BTreeMap;

/// The largest baby steps that are tried.
const MAX_BABIES: usize = 24;

/// Costs, relative to a term: key switch with rescale at the result's level, what each level above adds to it, and a product.
const KEY_SWITCH: f64 = 60.0;
const SUM: f64 = 10.0;
const PRODUCT: f64 = 3.0;
const LEVELS_BELOW: f64 = 4.0;

impl Program {
    /// The cheapest program for Chebyshev coefficients c_0, c_1, ..; those of degree 0 are sums without an operand.
    pub(crate) fn new(coefficients: &[f64]) -> Self {
        let degree = degree(coefficients);
        let coefficients = coefficients.get(..=degree).unwrap_or(&[0.0]);
        let depth = depth_of(degree + 1).max(1);
        let most = MAX_BABIES.min(1 << (depth - 1));
        let mut best: Option<(f64, Self)> = None;
        for babies in 1..=most {
            for multiples in [false, true] {
                let mut maker = Maker {
                    babies,
                    multiples,
                    depth,
                    powers: BTreeMap::new(),
                    sums: Vec::new(),
                };
                maker.block(coefficients.to_vec(), depth);
                let program = Self {
                    sums: scheduled(maker.sums, depth),
                    coefficients: coefficients.to_vec(),
                };
                let cost = program.cost();
                if best.as_ref().is_none_or(|(old, _)| cost < *old) {
                    best = Some((cost, program));
                }
            }
        }
        best.map_or(
            Self {
                sums: vec![],
                coefficients: vec![],
            },
            |(_, program)| program,
        )
    }

    /// What the sums cost, relative to a term; higher sums have more limbs.
    fn cost(&self) -> f64 {
        let depth = self.depth();
        let of = |s: &Sum| {
            let level = (depth - s.depth) as f64 + LEVELS_BELOW;
            let switch = if s.products.is_empty() {
                0.0
            } else {
                KEY_SWITCH
            };
            level / LEVELS_BELOW
                * (switch + SUM + PRODUCT * s.products.len() as f64 + s.terms.len() as f64)
        };
        self.sums.iter().map(of).sum()
    }
}

/// The smallest n with 2^n at least k.
fn depth_of(k: usize) -> usize {
    k.max(1).next_power_of_two().ilog2() as usize
}

fn degree(coefficients: &[f64]) -> usize {
    coefficients.iter().rposition(|c| *c != 0.0).unwrap_or(0)
}

/// Quotient and remainder by T_g, g >= 1: T_(g+j) = 2 T_g T_j - T_|g-j|.
fn divide(mut coefficients: Vec<f64>, g: usize) -> (Vec<f64>, Vec<f64>) {
    let mut quotient = vec![0.0; coefficients.len().saturating_sub(g).max(1)];
    for k in (g..coefficients.len()).rev() {
        let (c, j) = (coefficients[k], k - g);
        coefficients[k] = 0.0;
        if j == 0 {
            quotient[0] += c;
        } else {
            quotient[j] += 2.0 * c;
            coefficients[g.abs_diff(j)] -= c;
        }
    }
    (quotient, coefficients)
}

struct Maker {
    /// T_1 .. T_babies may be read by any sum that lies deep enough.
    babies: usize,
    /// Whether giant steps are babies * 2^j; else powers of two.
    multiples: bool,
    depth: usize,
    /// The value of each T_k that is made.
    powers: BTreeMap<usize, usize>,
    sums: Vec<Sum>,
}

impl Maker {
    fn push(&mut self, sum: Sum) -> usize {
        self.sums.push(sum);
        self.sums.len()
    }

    /// T_k, k >= 1, at depth ceil(log2 k).
    fn power(&mut self, k: usize) -> usize {
        if k <= 1 {
            return 0;
        }
        if let Some(made) = self.powers.get(&k) {
            return *made;
        }
        // T_(a+b) = 2 T_a T_b - T_|a-b|, from as many as possible that are there.
        let top = 1 << (depth_of(k) - 1);
        let missing = |n: usize| usize::from(n > 1 && !self.powers.contains_key(&n));
        let split = (k.div_ceil(2)..=top.max(k.div_ceil(2))).min_by_key(|a| {
            let (b, rest) = (k - a, 2 * a - k);
            (
                missing(*a) + if *a == b { 0 } else { missing(b) } + missing(rest),
                *a,
            )
        });
        let a = split.unwrap_or(k.div_ceil(2));
        let (b, rest) = (k - a, 2 * a - k);
        let product = (self.power(a), self.power(b));
        let (terms, constant) = if rest == 0 {
            (vec![], -1.0)
        } else {
            (vec![(self.power(rest), -1.0)], 0.0)
        };
        let made = self.push(Sum {
            products: vec![product],
            gain: 2,
            terms,
            constant,
            depth: 0,
            role: Role::Power,
        });
        self.powers.insert(k, made);
        made
    }

    /// A block at a depth of at most `depth`.
    fn block(&mut self, coefficients: Vec<f64>, depth: usize) -> usize {
        let mut sum = Sum {
            products: vec![],
            gain: 1,
            terms: vec![],
            constant: 0.0,
            depth: 0,
            role: Role::Block,
        };
        let mut rest = coefficients;
        loop {
            let highest = degree(&rest);
            if highest == 0 || self.linear(&rest, depth) {
                break;
            }
            let giant = self.giant(highest, depth);
            let (quotient, remainder) = divide(rest, giant);
            if degree(&quotient) == 0 {
                let power = self.power(giant);
                sum.terms.push((power, quotient[0]));
            } else {
                let block = self.block(quotient, depth - 1);
                let power = self.power(giant);
                sum.products.push((block, power));
            }
            rest = remainder;
        }
        sum.constant = rest.first().copied().unwrap_or(0.0);
        for (k, c) in rest.iter().enumerate().skip(1) {
            if *c != 0.0 {
                let power = self.power(k);
                sum.terms.push((power, *c));
            }
        }
        self.push(sum)
    }

    /// Whether a sum at `depth` may read every T_k that it needs.
    fn linear(&self, coefficients: &[f64], depth: usize) -> bool {
        let there = |k: usize| k <= self.babies || self.powers.contains_key(&k);
        let fits = |k: usize| there(k) && depth_of(k) < depth;
        coefficients
            .iter()
            .enumerate()
            .skip(1)
            .all(|(k, c)| *c == 0.0 || fits(k))
    }

    /// The degree g of the T_g by which a polynomial of this degree at `depth` is divided: T_g and a quotient of
    /// degree - g must fit a depth of `depth` - 1.
    fn giant(&self, degree: usize, depth: usize) -> usize {
        let top = 1_usize << (depth - 1);
        if self.multiples {
            let steps = (0..=self.depth).map(|j| self.babies << j);
            let fits = |g: &usize| *g <= degree.min(top) && degree - g < top;
            // A giant step above half the degree, so that the remainder's degree falls below it.
            if let Some(g) = steps.filter(fits).filter(|g| 2 * g > degree).max() {
                return g;
            }
        }
        top.min(1 << degree.max(1).ilog2())
    }
}

/// Sets depths: every sum as late as the sums that read it allow, since limbs get fewer.
fn scheduled(mut sums: Vec<Sum>, depth: usize) -> Vec<Sum> {
    let mut latest = vec![depth; sums.len()];
    for i in (0..sums.len()).rev() {
        let read = sums[i].products.iter().flat_map(|(a, b)| [*a, *b]);
        let read: Vec<usize> = read.chain(sums[i].terms.iter().map(|(v, _)| *v)).collect();
        for v in read.into_iter().filter(|v| *v > 0) {
            latest[v - 1] = latest[v - 1].min(latest[i].saturating_sub(1));
        }
    }
    sums.iter_mut().zip(latest).for_each(|(s, d)| s.depth = d);
    sums
}
