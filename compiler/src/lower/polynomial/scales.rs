//! The scales of a program's values.
//!
//! The scale of a T_k follows from those of its factors: `S_a S_b / (2 q)`. That of a block is what the sum that
//! multiplies it asks for, from the result's scale downwards: all products of a sum must have the scale that the sum has
//! before its rescale. Terms fit any scale by that of their factor.

use super::{Program, Role};
use cipherloom_ir::Scale;

/// Scales, exact or as logarithms.
pub(crate) trait ScaleUnit: Clone {
    /// The product.
    fn times(&self, other: &Self) -> Self;
    /// The quotient.
    fn over(&self, other: &Self) -> Self;
    /// An integer as a scale.
    fn integer(value: u32) -> Self;
}

/// log2 of a scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogScale(pub(crate) f64);

impl ScaleUnit for LogScale {
    fn times(&self, other: &Self) -> Self {
        Self(self.0 + other.0)
    }

    fn over(&self, other: &Self) -> Self {
        Self(self.0 - other.0)
    }

    fn integer(value: u32) -> Self {
        // Gains are 1 and 2.
        Self(if value == 2 {
            1.0
        } else {
            libm::log2(f64::from(value))
        })
    }
}

impl ScaleUnit for Scale {
    fn times(&self, other: &Self) -> Self {
        self.mul(other)
    }

    fn over(&self, other: &Self) -> Self {
        self.div(other)
    }

    fn integer(value: u32) -> Self {
        Scale::from_u64(u64::from(value)).unwrap_or_else(Scale::one)
    }
}

impl Program {
    /// The scales of all values. `prime(d)` is the prime by which a sum at depth d is divided.
    pub(crate) fn scales<S: ScaleUnit>(
        &self,
        operand: &S,
        result: &S,
        prime: impl Fn(usize) -> S,
    ) -> Vec<S> {
        let mut scales = vec![result.clone(); self.sums.len() + 1];
        scales[0] = operand.clone();
        for (i, sum) in self.sums.iter().enumerate() {
            if let (Role::Power, Some((a, b))) = (sum.role, sum.products.first()) {
                let product = scales[*a].times(&scales[*b]);
                scales[i + 1] = product.over(&S::integer(sum.gain)).over(&prime(sum.depth));
            }
        }
        // A block is read by a later sum, and the last is the result.
        for (i, sum) in self.sums.iter().enumerate().rev() {
            if sum.role == Role::Power {
                continue;
            }
            let open = scales[i + 1]
                .times(&prime(sum.depth))
                .times(&S::integer(sum.gain));
            for (block, power) in &sum.products {
                scales[*block] = open.over(&scales[*power]);
            }
        }
        scales
    }
}
