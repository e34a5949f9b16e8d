//! The text form of the `circuit` stage.
use super::{Circuit, Matrix, Vector};
use crate::tensor::ParseError;
use std::sync::Arc;

/// The text of a circuit.
pub fn print(_circuit: &Circuit) -> String {
    String::new()
}

/// Reads the text of a circuit. Large matrices and vectors are taken from the pools, by name and hash.
pub fn parse(
    _text: &str,
    _matrices: &[Arc<Matrix>],
    _vectors: &[Vector],
) -> Result<Circuit, ParseError> {
    Err(ParseError {
        line: 1,
        column: 1,
        message: "not written".into(),
    })
}
