//! What value ranges are found from: calibration samples, or input ranges stated by hand.

use cipherloom_ir::{Range, Tensors};
use std::collections::BTreeMap;

/// The evidence for value ranges.
#[derive(Clone, Copy, Debug)]
pub enum Evidence<'a> {
    /// Samples: each holds one tensor for every input, of the module's shape (a batch of 1).
    Samples(&'a [Tensors]),
    /// The range of each input's elements. What follows from it holds for every input within.
    Declared(&'a BTreeMap<String, Range>),
}
