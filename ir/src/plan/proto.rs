//! The protobuf messages of plan files, written by hand so that no protoc is needed.
//!
//! Large arrays lie outside, in the container's own sections (see [`super::sections`]). Field numbers are part of
//! the format. Room for later versions: `key_spaces` is repeated, and every port, step and key names the space it
//! lives in; this version has one space, number 0, the default.

use prost::{Message, Oneof};

/// `server.plan`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ServerPlan {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) source: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) key_spaces: Vec<KeySpace>,
    #[prost(message, repeated, tag = "4")]
    pub(super) inputs: Vec<Port>,
    #[prost(message, repeated, tag = "5")]
    pub(super) outputs: Vec<Port>,
    #[prost(message, repeated, tag = "6")]
    pub(super) transforms: Vec<Transform>,
    #[prost(message, repeated, tag = "7")]
    pub(super) vectors: Vec<SlotVector>,
    #[prost(message, repeated, tag = "8")]
    pub(super) steps: Vec<Step>,
    #[prost(message, optional, tag = "9")]
    pub(super) keys: Option<Keys>,
    /// No part of the meaning: left out of the plan's id.
    #[prost(message, optional, tag = "10")]
    pub(super) estimates: Option<Estimates>,
    #[prost(double, tag = "11")]
    pub(super) margin: f64,
    #[prost(message, optional, tag = "12")]
    pub(super) clear: Option<Module>,
    #[prost(message, optional, tag = "13")]
    pub(super) tail: Option<Module>,
    #[prost(message, repeated, tag = "14")]
    pub(super) approximations: Vec<Approximation>,
}

/// A function that a polynomial stands for.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Approximation {
    #[prost(string, tag = "1")]
    pub(super) origin: String,
    #[prost(string, tag = "2")]
    pub(super) function: String,
    #[prost(double, tag = "3")]
    pub(super) lo: f64,
    #[prost(double, tag = "4")]
    pub(super) hi: f64,
    #[prost(uint32, tag = "5")]
    pub(super) degree: u32,
    #[prost(double, tag = "6")]
    pub(super) sup_error: f64,
    #[prost(double, tag = "7")]
    pub(super) rms_error: f64,
}

/// `client.plan`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ClientPlan {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) key_spaces: Vec<KeySpace>,
    #[prost(message, repeated, tag = "4")]
    pub(super) inputs: Vec<Port>,
    #[prost(message, repeated, tag = "5")]
    pub(super) outputs: Vec<Port>,
    #[prost(message, optional, tag = "9")]
    pub(super) keys: Option<Keys>,
    #[prost(message, optional, tag = "13")]
    pub(super) tail: Option<Module>,
}

/// A ring, a chain of primes and a kind of secret: ciphertexts and keys of one space belong together.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeySpace {
    #[prost(uint32, tag = "1")]
    pub(super) log_n: u32,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) q: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub(super) p: Vec<u64>,
    #[prost(uint32, tag = "4")]
    pub(super) digit_size: u32,
    #[prost(uint32, tag = "5")]
    pub(super) security_bits: u32,
    #[prost(bool, tag = "6")]
    pub(super) security_quantum: bool,
    /// The secret's distribution, by name alone: 0 is uniform ternary, the only one that this version knows.
    #[prost(uint32, tag = "7")]
    pub(super) secret: u32,
    /// The width of the words that hold residues: 0 is 64 bits, the only one that this version knows.
    #[prost(uint32, tag = "8")]
    pub(super) word: u32,
}

/// A fraction, little endian.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Fraction {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) numerator: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) denominator: Vec<u8>,
}

/// A closed interval.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Interval {
    #[prost(double, tag = "1")]
    pub(super) lo: f64,
    #[prost(double, tag = "2")]
    pub(super) hi: f64,
}

/// An array in the container's sections. Offsets and counts are in elements, and the arrays of a section follow one
/// another in the order in which the message names them.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Array {
    /// Whether the values are stored as 32-bit floating point, in which case all are exactly representable.
    #[prost(bool, tag = "1")]
    pub(super) single: bool,
    /// Offset of the stored values in their section.
    #[prost(uint64, tag = "2")]
    pub(super) offset: u64,
    /// The number of stored values.
    #[prost(uint64, tag = "3")]
    pub(super) stored: u64,
    /// The number of values.
    #[prost(uint64, tag = "4")]
    pub(super) length: u64,
    /// Whether the stored values are the non-zero ones; their positions lie in the index section.
    #[prost(bool, tag = "5")]
    pub(super) sparse: bool,
    /// Offset of the positions or lengths in the index section.
    #[prost(uint64, tag = "6")]
    pub(super) index_offset: u64,
    /// Whether each stored value stands for a run of equal values; the runs' lengths lie in the index section.
    #[prost(bool, tag = "7")]
    pub(super) runs: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Layout {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) shape: Vec<u64>,
    #[prost(uint64, tag = "2")]
    pub(super) period: u64,
    #[prost(uint64, tag = "3")]
    pub(super) ciphertexts: u64,
    /// Positions in the index section; none are stored where element `i` lies at position `i`.
    #[prost(uint64, tag = "4")]
    pub(super) index_offset: u64,
    #[prost(uint64, tag = "5")]
    pub(super) count: u64,
    #[prost(bool, tag = "6")]
    pub(super) dense: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Port {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) shape: Vec<u64>,
    /// The element type, by its place in `DType::ALL`.
    #[prost(uint32, tag = "3")]
    pub(super) dtype: u32,
    #[prost(bool, tag = "4")]
    pub(super) batched: bool,
    #[prost(message, optional, tag = "5")]
    pub(super) range: Option<Interval>,
    #[prost(message, optional, tag = "6")]
    pub(super) layout: Option<Layout>,
    #[prost(uint32, tag = "7")]
    pub(super) level: u32,
    #[prost(message, optional, tag = "8")]
    pub(super) scale: Option<Fraction>,
    #[prost(uint32, repeated, tag = "9")]
    pub(super) registers: Vec<u32>,
    #[prost(double, tag = "10")]
    pub(super) noise: f64,
    #[prost(uint32, tag = "11")]
    pub(super) key_space: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Keys {
    /// One more than the highest level of a relinearisation; 0 for none.
    #[prost(uint32, tag = "1")]
    pub(super) relinearization: u32,
    /// One more than the highest level of a conjugation; 0 for none.
    #[prost(uint32, tag = "2")]
    pub(super) conjugation: u32,
    #[prost(message, repeated, tag = "3")]
    pub(super) rotations: Vec<RotationKey>,
    #[prost(uint32, tag = "4")]
    pub(super) key_space: u32,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct RotationKey {
    #[prost(uint32, tag = "1")]
    pub(super) steps: u32,
    #[prost(uint32, tag = "2")]
    pub(super) level: u32,
    #[prost(uint32, tag = "3")]
    pub(super) key_space: u32,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Estimates {
    #[prost(uint64, tag = "1")]
    pub(super) ntts: u64,
    #[prost(uint64, tag = "2")]
    pub(super) limb_macs: u64,
    #[prost(double, tag = "3")]
    pub(super) latency_s: f64,
    #[prost(uint64, tag = "4")]
    pub(super) eval_key_bytes: u64,
    #[prost(uint64, tag = "5")]
    pub(super) run_bytes: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Transform {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint64, tag = "2")]
    pub(super) period: u64,
    #[prost(uint32, tag = "3")]
    pub(super) level: u32,
    #[prost(message, optional, tag = "4")]
    pub(super) plain_scale: Option<Fraction>,
    #[prost(uint64, tag = "5")]
    pub(super) baby_step: u64,
    #[prost(uint32, repeated, tag = "6")]
    pub(super) folds: Vec<u32>,
    #[prost(message, repeated, tag = "7")]
    pub(super) blocks: Vec<Block>,
    #[prost(uint32, tag = "8")]
    pub(super) key_space: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Block {
    #[prost(uint32, tag = "1")]
    pub(super) row: u32,
    #[prost(uint32, tag = "2")]
    pub(super) col: u32,
    #[prost(message, repeated, tag = "3")]
    pub(super) diagonals: Vec<Diagonal>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Diagonal {
    #[prost(uint32, tag = "1")]
    pub(super) rotation: u32,
    #[prost(message, optional, tag = "2")]
    pub(super) values: Option<Array>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SlotVector {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) values: Option<Array>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Step {
    #[prost(uint32, repeated, tag = "1")]
    pub(super) free: Vec<u32>,
    #[prost(uint32, tag = "2")]
    pub(super) level: u32,
    #[prost(message, optional, tag = "3")]
    pub(super) scale: Option<Fraction>,
    #[prost(message, optional, tag = "4")]
    pub(super) range: Option<Interval>,
    #[prost(double, tag = "5")]
    pub(super) noise: f64,
    #[prost(string, tag = "6")]
    pub(super) origin: String,
    #[prost(uint32, tag = "7")]
    pub(super) key_space: u32,
    #[prost(
        oneof = "StepOp",
        tags = "16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27"
    )]
    pub(super) op: Option<StepOp>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum StepOp {
    #[prost(message, tag = "16")]
    LinearTransform(LinearTransform),
    #[prost(message, tag = "17")]
    Mul(Arithmetic),
    #[prost(message, tag = "18")]
    Square(Arithmetic),
    #[prost(message, tag = "19")]
    Add(Arithmetic),
    #[prost(message, tag = "20")]
    Sub(Arithmetic),
    #[prost(message, tag = "21")]
    AddVector(Arithmetic),
    #[prost(message, tag = "22")]
    MulVector(Arithmetic),
    #[prost(message, tag = "23")]
    MulScalar(Arithmetic),
    #[prost(message, tag = "24")]
    Rescale(Arithmetic),
    #[prost(message, tag = "25")]
    DropLevel(Arithmetic),
    #[prost(message, tag = "26")]
    Combine(Combine),
    #[prost(message, tag = "27")]
    Fold(Arithmetic),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LinearTransform {
    #[prost(uint32, tag = "1")]
    pub(super) transform: u32,
    #[prost(uint32, repeated, tag = "2")]
    pub(super) src: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub(super) dst: Vec<u32>,
    #[prost(bool, tag = "4")]
    pub(super) rescale: bool,
    #[prost(uint32, repeated, tag = "5")]
    pub(super) bias: Vec<u32>,
}

/// An operation on one or two values; an operation reads the fields that it needs.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Arithmetic {
    #[prost(uint32, tag = "1")]
    pub(super) dst: u32,
    #[prost(uint32, tag = "2")]
    pub(super) a: u32,
    #[prost(uint32, tag = "3")]
    pub(super) b: u32,
    #[prost(bool, tag = "4")]
    pub(super) rescale: bool,
    #[prost(uint32, tag = "5")]
    pub(super) vector: u32,
    #[prost(double, tag = "6")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "7")]
    pub(super) plain_scale: Option<Fraction>,
    #[prost(uint32, tag = "8")]
    pub(super) level: u32,
    #[prost(uint32, repeated, tag = "9")]
    pub(super) rotations: Vec<u32>,
}

/// Sums of products and of multiples.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Combine {
    #[prost(uint32, tag = "1")]
    pub(super) dst: u32,
    /// Two registers for each product.
    #[prost(uint32, repeated, tag = "2")]
    pub(super) factors: Vec<u32>,
    #[prost(uint32, tag = "3")]
    pub(super) gain: u32,
    #[prost(message, repeated, tag = "4")]
    pub(super) terms: Vec<Term>,
    #[prost(double, tag = "5")]
    pub(super) constant: f64,
    #[prost(bool, tag = "6")]
    pub(super) rescale: bool,
}

/// A multiple of an operand.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Term {
    #[prost(uint32, tag = "1")]
    pub(super) operand: u32,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "3")]
    pub(super) plain_scale: Option<Fraction>,
}

/// The clear network. Nodes stand in topological order and are numbered by it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Module {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) source: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) nodes: Vec<Node>,
    #[prost(message, repeated, tag = "4")]
    pub(super) constants: Vec<Constant>,
    #[prost(message, repeated, tag = "5")]
    pub(super) inputs: Vec<ModulePort>,
    #[prost(message, repeated, tag = "6")]
    pub(super) outputs: Vec<ModulePort>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Constant {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) shape: Vec<u64>,
    #[prost(message, optional, tag = "3")]
    pub(super) values: Option<Array>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModulePort {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint32, tag = "2")]
    pub(super) node: u32,
    /// The element type, by its place in `DType::ALL`.
    #[prost(uint32, tag = "3")]
    pub(super) dtype: u32,
    #[prost(bool, tag = "4")]
    pub(super) batched: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(uint32, repeated, tag = "1")]
    pub(super) operands: Vec<u32>,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) shape: Vec<u64>,
    #[prost(message, optional, tag = "3")]
    pub(super) range: Option<Interval>,
    #[prost(message, repeated, tag = "4")]
    pub(super) origin: Vec<Origin>,
    /// The operation's keyword in the text form.
    #[prost(string, tag = "5")]
    pub(super) op: String,
    /// An input's name.
    #[prost(string, tag = "6")]
    pub(super) name: String,
    /// Weight and bias, factor and summand.
    #[prost(uint32, repeated, tag = "7")]
    pub(super) constants: Vec<u32>,
    /// Whole numbers, in the order of the operation's fields.
    #[prost(uint64, repeated, tag = "8")]
    pub(super) integers: Vec<u64>,
    /// Coefficients, or the value of a padding.
    #[prost(double, repeated, tag = "9")]
    pub(super) reals: Vec<f64>,
}

/// One part of an origin; several make a merged one.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Origin {
    /// 1 ONNX node, 2 port, 3 line of a text, 4 pass.
    #[prost(uint32, tag = "1")]
    pub(super) kind: u32,
    #[prost(uint64, tag = "2")]
    pub(super) index: u64,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) op: String,
}
