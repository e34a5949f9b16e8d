//! What key files say of their parameters.

use cipherloom_ir::integer::TfheSet;
use prost::Message;

/// The parameter set of a key file, by name and numbers: its first section.
#[derive(Clone, PartialEq, Message)]
pub struct SetHeader {
    /// The published name.
    #[prost(string, tag = "1")]
    pub set: String,
    /// All numbers of the set.
    #[prost(uint32, repeated, tag = "2")]
    pub numbers: Vec<u32>,
}

impl SetHeader {
    /// The header of a set's keys.
    pub fn of(set: &TfheSet) -> Self {
        Self {
            set: set.name.to_owned(),
            numbers: set.numbers().to_vec(),
        }
    }
}
