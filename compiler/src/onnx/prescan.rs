//! A first walk over a model's bytes, before the protobuf parser sees them.
//!
//! The parser recurses without a limit when it skips nested groups (a wire form that ONNX never uses),
//! and turns two bytes into a message of hundreds. So this walk, which uses neither recursion nor
//! memory that grows with the file, refuses groups, lengths beyond the end of their message, nesting
//! deeper than any model has, and more messages than any model has. It follows exactly the fields that
//! the parser will take for messages; all other length-delimited fields are opaque bytes to both.
//!
//! Source of the field numbers: `onnx.proto` of ONNX IR version 11; of the wire format:
//! <https://protobuf.dev/programming-guides/encoding/>.

use thiserror::Error;

/// Messages in a message in a message, at most. Graphs within graphs take four steps each.
const MAX_DEPTH: usize = 64;

/// Messages in a file, at most.
const MAX_MESSAGES: usize = 2_000_000;

/// Why the bytes are not a model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScanError {
    /// No byte at all.
    #[error("the file is empty")]
    Empty,
    /// A field reaches beyond the end of its message.
    #[error(
        "the data end too early: the field at byte {offset} reaches beyond the end of its message"
    )]
    Truncated {
        /// Where the field starts.
        offset: usize,
    },
    /// A tag or length that is no number of the wire format.
    #[error("byte {offset} is not the start of a protobuf field")]
    NotProtobuf {
        /// Where the field starts.
        offset: usize,
    },
    /// A group, which ONNX does not use.
    #[error("byte {offset} starts a protobuf group, which no ONNX file contains")]
    Group {
        /// Where the field starts.
        offset: usize,
    },
    /// Too deep nesting.
    #[error("messages are nested deeper than {MAX_DEPTH} levels at byte {offset}")]
    TooDeep {
        /// Where the field starts.
        offset: usize,
    },
    /// Too many messages.
    #[error("the file holds more than {MAX_MESSAGES} messages")]
    TooMany,
}

/// The message types of ONNX that have fields of message type, and one for all the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    TensorType,
    ElementType,
    MapType,
    Shape,
    Training,
    Function,
    Annotation,
    Leaf,
}

impl Kind {
    /// The type of the message in a field, or `None` where the field is no message.
    fn child(self, field: u64) -> Option<Kind> {
        Some(match (self, field) {
            (Kind::Model, 7) => Kind::Graph,
            (Kind::Model, 20) => Kind::Training,
            (Kind::Model, 25) => Kind::Function,
            (Kind::Model, 8 | 14) => Kind::Leaf,
            (Kind::Graph, 1) => Kind::Node,
            (Kind::Graph, 5) => Kind::Tensor,
            (Kind::Graph, 15) => Kind::SparseTensor,
            (Kind::Graph, 11..=13) => Kind::ValueInfo,
            (Kind::Graph, 14) => Kind::Annotation,
            (Kind::Graph, 16) => Kind::Leaf,
            (Kind::Node, 5) => Kind::Attribute,
            (Kind::Node, 9) => Kind::Leaf,
            (Kind::Attribute, 5 | 10) => Kind::Tensor,
            (Kind::Attribute, 6 | 11) => Kind::Graph,
            (Kind::Attribute, 22 | 23) => Kind::SparseTensor,
            (Kind::Attribute, 14 | 15) => Kind::Type,
            (Kind::Tensor, 3 | 13 | 16) => Kind::Leaf,
            (Kind::SparseTensor, 1 | 2) => Kind::Tensor,
            (Kind::ValueInfo, 2) => Kind::Type,
            (Kind::ValueInfo, 4) => Kind::Leaf,
            (Kind::Type, 1 | 8) => Kind::TensorType,
            (Kind::Type, 4 | 9) => Kind::ElementType,
            (Kind::Type, 5) => Kind::MapType,
            (Kind::TensorType, 2) => Kind::Shape,
            (Kind::ElementType, 1) => Kind::Type,
            (Kind::MapType, 2) => Kind::Type,
            (Kind::Shape, 1) => Kind::Leaf,
            (Kind::Training, 1 | 2) => Kind::Graph,
            (Kind::Training, 3 | 4) => Kind::Leaf,
            (Kind::Function, 7) => Kind::Node,
            (Kind::Function, 11) => Kind::Attribute,
            (Kind::Function, 12) => Kind::ValueInfo,
            (Kind::Function, 9 | 14) => Kind::Leaf,
            (Kind::Annotation, 2) => Kind::Leaf,
            _ => return None,
        })
    }
}

/// Checks that the protobuf parser can be let loose on the bytes of a `ModelProto`.
pub fn scan(bytes: &[u8]) -> Result<(), ScanError> {
    if bytes.is_empty() {
        return Err(ScanError::Empty);
    }
    let mut open = vec![(Kind::Model, bytes.len())];
    let mut messages = 0_usize;
    let mut at = 0_usize;
    while let Some((kind, end)) = open.last().copied() {
        if at == end {
            open.pop();
            continue;
        }
        let offset = at;
        let tag = varint(bytes, &mut at, end, offset)?;
        let field = tag >> 3;
        if field == 0 || tag > u64::from(u32::MAX) {
            return Err(ScanError::NotProtobuf { offset });
        }
        let skip = match tag & 7 {
            0 => {
                varint(bytes, &mut at, end, offset)?;
                0
            }
            1 => 8,
            5 => 4,
            2 => {
                let length = varint(bytes, &mut at, end, offset)?;
                let length =
                    usize::try_from(length).map_err(|_| ScanError::Truncated { offset })?;
                if length > end - at {
                    return Err(ScanError::Truncated { offset });
                }
                match kind.child(field) {
                    None => length,
                    Some(child) => {
                        messages += 1;
                        if messages > MAX_MESSAGES {
                            return Err(ScanError::TooMany);
                        }
                        if open.len() >= MAX_DEPTH {
                            return Err(ScanError::TooDeep { offset });
                        }
                        open.push((child, at + length));
                        0
                    }
                }
            }
            3 | 4 => return Err(ScanError::Group { offset }),
            _ => return Err(ScanError::NotProtobuf { offset }),
        };
        if skip > end - at {
            return Err(ScanError::Truncated { offset });
        }
        at += skip;
    }
    Ok(())
}

/// Reads a base-128 number that must end before `end`.
fn varint(bytes: &[u8], at: &mut usize, end: usize, offset: usize) -> Result<u64, ScanError> {
    let mut value = 0_u64;
    for shift in 0..10 {
        if *at >= end {
            return Err(ScanError::Truncated { offset });
        }
        let byte = *bytes.get(*at).ok_or(ScanError::Truncated { offset })?;
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(7 * shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(ScanError::NotProtobuf { offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_groups_are_refused_before_the_parser_recurses() {
        // An unknown field 100 as a group, a million deep: the parser would overflow its stack.
        let bytes = [0xa3, 0x06].repeat(1_000_000);
        assert_eq!(scan(&bytes), Err(ScanError::Group { offset: 0 }));
        // The same within a graph.
        let mut inner = vec![0x3a, 0x02];
        inner.extend([0xa3, 0x06]);
        assert_eq!(scan(&inner), Err(ScanError::Group { offset: 2 }));
    }

    #[test]
    fn long_lengths_and_numbers_are_refused() {
        // raw_data of an initializer of a graph that claims 2^60 bytes.
        let mut tensor = vec![0x4a];
        tensor.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
        let mut graph = vec![0x2a, tensor.len() as u8];
        graph.extend(&tensor);
        let mut model = vec![0x3a, graph.len() as u8];
        model.extend(&graph);
        assert_eq!(scan(&model), Err(ScanError::Truncated { offset: 4 }));
        assert!(matches!(
            scan(&[0xff; 30]),
            Err(ScanError::NotProtobuf { .. })
        ));
        assert_eq!(scan(&[0x08]), Err(ScanError::Truncated { offset: 0 }));
        assert_eq!(scan(&[]), Err(ScanError::Empty));
    }

    #[test]
    fn deep_graphs_are_refused() {
        // A graph in an attribute of a node of a graph, again and again, built from the inside.
        let mut bytes: Vec<u8> = vec![];
        let wrap = |tag: u8, inner: &[u8]| {
            let mut out = vec![tag];
            let mut length = inner.len();
            while length >= 0x80 {
                out.push(length as u8 | 0x80);
                length >>= 7;
            }
            out.push(length as u8);
            out.extend(inner);
            out
        };
        for _ in 0..40 {
            bytes = wrap(0x32, &bytes); // AttributeProto.g
            bytes = wrap(0x2a, &bytes); // NodeProto.attribute
            bytes = wrap(0x0a, &bytes); // GraphProto.node
        }
        bytes = wrap(0x3a, &bytes);
        assert!(matches!(scan(&bytes), Err(ScanError::TooDeep { .. })));
    }
}
