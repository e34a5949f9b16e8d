//! Polynomials in place of functions of one number: fits in the Chebyshev basis, in `f64`.
//!
//! A fit is a [`Series`] over a domain. Three methods: interpolation at Chebyshev nodes, near-minimax by Remez exchange,
//! and least squares weighted by the density of the values that occur. All keep what symmetry the function has about 0
//! ([`Structure`]), since the evaluation of an even or odd series takes about half the products. Functions that jump
//! are approximated by a composition of odd minimax polynomials ([`composite`]).
//!
//! Transcendental functions come from `libm` and sums have a fixed order, so a fit is the same on every machine.
//!
//! Sources: L. N. Trefethen, "Approximation Theory and Approximation Practice", SIAM 2013; R. Pachon and L. N.
//! Trefethen, "Barycentric-Remez algorithms", BIT 49, 2009; E. Lee et al., "Minimax approximation of sign function by
//! composite polynomial for homomorphic comparison", IEEE TDSC 2021.

pub mod composite;
mod density;
mod fit;
mod least_squares;
mod linear;
mod remez;
mod series;
#[cfg(test)]
mod tests;

pub use density::Density;
pub use fit::{Fit, Method, Structure, degree_of_depth, fit, structure};
pub use series::{Series, clenshaw, clenshaw_all};
