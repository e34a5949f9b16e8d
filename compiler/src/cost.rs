//! What operations cost: counts of primitive operations on limbs, and seconds from a machine's rates.
//!
//! [`Work`] counts what the runtime does to limbs (N words modulo one prime), [`Limbs`] derives it for the operations of
//! the scheme at a level, [`CostModel`] has the time of each primitive, by ring degree and width of the words, and
//! [`plan`] puts them together for a plan's steps.

pub mod count;
pub mod model;
pub mod plan;
mod read;
#[cfg(test)]
mod tests;

pub use count::{Limbs, TransformCounts, TransformShape, Work};
pub use model::{CostModel, Rates, Ring};
pub use plan::{estimates, step_seconds};
pub use read::CostModelError;
