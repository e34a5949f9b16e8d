//! The protobuf messages of plan files, written by hand so that no protoc is needed.
//!
//! Large arrays lie outside, in the container's own sections (see [`super::sections`]). Field numbers are part of
//! the format. Room for later versions: `key_spaces` is repeated, and every port, step and key names the space it
//! lives in; this version has one space, number 0, the default.

use prost::{Message, Oneof};

/// `server.plan`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServerPlan {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) source: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) key_spaces: Vec<KeySpace>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) inputs: Vec<Port>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) outputs: Vec<Port>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) transforms: Vec<Transform>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) vectors: Vec<SlotVector>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) steps: Vec<Step>,
    #[prost(message, optional, tag = "9")]
    pub(crate) keys: Option<Keys>,
    /// No part of the meaning: left out of the plan's id.
    #[prost(message, optional, tag = "10")]
    pub(crate) estimates: Option<Estimates>,
    #[prost(double, tag = "11")]
    pub(crate) margin: f64,
    #[prost(message, optional, tag = "12")]
    pub(crate) clear: Option<Module>,
    #[prost(message, optional, tag = "13")]
    pub(crate) tail: Option<Module>,
    #[prost(message, repeated, tag = "14")]
    pub(crate) approximations: Vec<Approximation>,
    #[prost(message, repeated, tag = "15")]
    pub(crate) weights: Vec<Weights>,
}

/// A matrix whose entries multiply ciphertexts, compressed by rows.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Weights {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint64, tag = "2")]
    pub(crate) cols: u64,
    /// The number of entries of each row.
    #[prost(message, optional, tag = "3")]
    pub(crate) counts: Option<Indices>,
    /// The column of each entry.
    #[prost(message, optional, tag = "4")]
    pub(crate) columns: Option<Indices>,
    #[prost(message, optional, tag = "5")]
    pub(crate) values: Option<Array>,
    #[prost(message, optional, tag = "6")]
    pub(crate) plain_scale: Option<Fraction>,
    #[prost(message, optional, tag = "7")]
    pub(crate) bias: Option<Array>,
    #[prost(uint32, tag = "8")]
    pub(crate) key_space: u32,
}

/// Numbers in the index section.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Indices {
    #[prost(uint64, tag = "1")]
    pub(crate) offset: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) count: u64,
}

/// A function that a polynomial stands for.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Approximation {
    #[prost(string, tag = "1")]
    pub(crate) origin: String,
    #[prost(string, tag = "2")]
    pub(crate) function: String,
    #[prost(double, tag = "3")]
    pub(crate) lo: f64,
    #[prost(double, tag = "4")]
    pub(crate) hi: f64,
    #[prost(uint32, tag = "5")]
    pub(crate) degree: u32,
    #[prost(double, tag = "6")]
    pub(crate) sup_error: f64,
    #[prost(double, tag = "7")]
    pub(crate) rms_error: f64,
    #[prost(double, tag = "8")]
    pub(crate) dead_zone: f64,
    /// No part of the meaning: left out of the plan's id.
    #[prost(message, optional, tag = "9")]
    pub(crate) fit: Option<Fit>,
}

/// What a drawing of an approximation needs.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Fit {
    #[prost(double, repeated, tag = "1")]
    pub(crate) parameters: Vec<f64>,
    #[prost(message, optional, tag = "2")]
    pub(crate) seen: Option<Interval>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) stages: Vec<Stage>,
}

/// One polynomial of a composition.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stage {
    /// Chebyshev coefficients.
    #[prost(double, repeated, tag = "1")]
    pub(crate) coefficients: Vec<f64>,
}

/// `client.plan`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClientPlan {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) key_spaces: Vec<KeySpace>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) inputs: Vec<Port>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) outputs: Vec<Port>,
    #[prost(message, optional, tag = "9")]
    pub(crate) keys: Option<Keys>,
    #[prost(message, optional, tag = "13")]
    pub(crate) tail: Option<Module>,
}

/// A ring, a chain of primes and a kind of secret: ciphertexts and keys of one space belong together.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeySpace {
    #[prost(uint32, tag = "1")]
    pub(crate) log_n: u32,
    #[prost(uint64, repeated, tag = "2")]
    pub(crate) q: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub(crate) p: Vec<u64>,
    #[prost(uint32, tag = "4")]
    pub(crate) digit_size: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) security_bits: u32,
    #[prost(bool, tag = "6")]
    pub(crate) security_quantum: bool,
    /// The secret's distribution, by name alone: 0 is uniform ternary, the only one that this version knows.
    #[prost(uint32, tag = "7")]
    pub(crate) secret: u32,
    /// The width of the words that hold residues: 0 is 64 bits, the only one that this version knows.
    #[prost(uint32, tag = "8")]
    pub(crate) word: u32,
}

/// A fraction, little endian.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Fraction {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) numerator: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) denominator: Vec<u8>,
}

/// A closed interval.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Interval {
    #[prost(double, tag = "1")]
    pub(crate) lo: f64,
    #[prost(double, tag = "2")]
    pub(crate) hi: f64,
}

/// An array in the container's sections. Offsets and counts are in elements, and the arrays of a section follow one
/// another in the order in which the message names them.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Array {
    /// Whether the values are stored as 32-bit floating point, in which case all are exactly representable.
    #[prost(bool, tag = "1")]
    pub(crate) single: bool,
    /// Offset of the stored values in their section.
    #[prost(uint64, tag = "2")]
    pub(crate) offset: u64,
    /// The number of stored values.
    #[prost(uint64, tag = "3")]
    pub(crate) stored: u64,
    /// The number of values.
    #[prost(uint64, tag = "4")]
    pub(crate) length: u64,
    /// Whether the stored values are the non-zero ones; their positions lie in the index section.
    #[prost(bool, tag = "5")]
    pub(crate) sparse: bool,
    /// Offset of the positions or lengths in the index section.
    #[prost(uint64, tag = "6")]
    pub(crate) index_offset: u64,
    /// Whether each stored value stands for a run of equal values; the runs' lengths lie in the index section.
    #[prost(bool, tag = "7")]
    pub(crate) runs: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Layout {
    #[prost(uint64, repeated, tag = "1")]
    pub(crate) shape: Vec<u64>,
    #[prost(uint64, tag = "2")]
    pub(crate) period: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) ciphertexts: u64,
    /// Positions in the index section; none are stored where element `i` lies at position `i`.
    #[prost(uint64, tag = "4")]
    pub(crate) index_offset: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) count: u64,
    #[prost(bool, tag = "6")]
    pub(crate) dense: bool,
    /// One less than the samples that lie side by side.
    #[prost(uint64, tag = "7")]
    pub(crate) more_samples: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Port {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint64, repeated, tag = "2")]
    pub(crate) shape: Vec<u64>,
    /// The element type, by its place in `DType::ALL`.
    #[prost(uint32, tag = "3")]
    pub(crate) dtype: u32,
    #[prost(bool, tag = "4")]
    pub(crate) batched: bool,
    #[prost(message, optional, tag = "5")]
    pub(crate) range: Option<Interval>,
    #[prost(message, optional, tag = "6")]
    pub(crate) layout: Option<Layout>,
    #[prost(uint32, tag = "7")]
    pub(crate) level: u32,
    #[prost(message, optional, tag = "8")]
    pub(crate) scale: Option<Fraction>,
    #[prost(uint32, repeated, tag = "9")]
    pub(crate) registers: Vec<u32>,
    #[prost(double, tag = "10")]
    pub(crate) noise: f64,
    #[prost(uint32, tag = "11")]
    pub(crate) key_space: u32,
    /// Whether the input is given in clear.
    #[prost(bool, tag = "12")]
    pub(crate) clear: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Keys {
    /// One more than the highest level of a relinearisation; 0 for none.
    #[prost(uint32, tag = "1")]
    pub(crate) relinearization: u32,
    /// One more than the highest level of a conjugation; 0 for none.
    #[prost(uint32, tag = "2")]
    pub(crate) conjugation: u32,
    #[prost(message, repeated, tag = "3")]
    pub(crate) rotations: Vec<RotationKey>,
    #[prost(uint32, tag = "4")]
    pub(crate) key_space: u32,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct RotationKey {
    #[prost(uint32, tag = "1")]
    pub(crate) steps: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) level: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) key_space: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Estimates {
    #[prost(uint64, tag = "1")]
    pub(crate) ntts: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) limb_macs: u64,
    #[prost(double, tag = "3")]
    pub(crate) latency_s: f64,
    #[prost(uint64, tag = "4")]
    pub(crate) eval_key_bytes: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) run_bytes: u64,
    #[prost(string, tag = "6")]
    pub(crate) choice: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Transform {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint64, tag = "2")]
    pub(crate) period: u64,
    #[prost(uint32, tag = "3")]
    pub(crate) level: u32,
    #[prost(message, optional, tag = "4")]
    pub(crate) plain_scale: Option<Fraction>,
    #[prost(uint64, tag = "5")]
    pub(crate) baby_step: u64,
    #[prost(uint32, repeated, tag = "6")]
    pub(crate) folds: Vec<u32>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) blocks: Vec<Block>,
    #[prost(uint32, tag = "8")]
    pub(crate) key_space: u32,
    /// One less than the samples that lie side by side.
    #[prost(uint64, tag = "9")]
    pub(crate) more_samples: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Block {
    #[prost(uint32, tag = "1")]
    pub(crate) row: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) col: u32,
    #[prost(message, repeated, tag = "3")]
    pub(crate) diagonals: Vec<Diagonal>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Diagonal {
    #[prost(uint32, tag = "1")]
    pub(crate) rotation: u32,
    #[prost(message, optional, tag = "2")]
    pub(crate) values: Option<Array>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SlotVector {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) values: Option<Array>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Step {
    #[prost(uint32, repeated, tag = "1")]
    pub(crate) free: Vec<u32>,
    #[prost(uint32, tag = "2")]
    pub(crate) level: u32,
    #[prost(message, optional, tag = "3")]
    pub(crate) scale: Option<Fraction>,
    #[prost(message, optional, tag = "4")]
    pub(crate) range: Option<Interval>,
    #[prost(double, tag = "5")]
    pub(crate) noise: f64,
    #[prost(string, tag = "6")]
    pub(crate) origin: String,
    #[prost(uint32, tag = "7")]
    pub(crate) key_space: u32,
    #[prost(double, optional, tag = "8")]
    pub(crate) approximation: Option<f64>,
    #[prost(
        oneof = "StepOp",
        tags = "16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29"
    )]
    pub(crate) op: Option<StepOp>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum StepOp {
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
    #[prost(message, tag = "28")]
    WeightedSums(WeightedSums),
    #[prost(message, tag = "29")]
    Gain(Arithmetic),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WeightedSums {
    #[prost(uint32, tag = "1")]
    pub(crate) weights: u32,
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) src: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub(crate) dst: Vec<u32>,
    #[prost(bool, tag = "4")]
    pub(crate) squares: bool,
    #[prost(bool, tag = "5")]
    pub(crate) rescale: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LinearTransform {
    #[prost(uint32, tag = "1")]
    pub(crate) transform: u32,
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) src: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub(crate) dst: Vec<u32>,
    #[prost(bool, tag = "4")]
    pub(crate) rescale: bool,
    #[prost(uint32, repeated, tag = "5")]
    pub(crate) bias: Vec<u32>,
}

/// An operation on one or two values; an operation reads the fields that it needs.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Arithmetic {
    #[prost(uint32, tag = "1")]
    pub(crate) dst: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) a: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) b: u32,
    #[prost(bool, tag = "4")]
    pub(crate) rescale: bool,
    #[prost(uint32, tag = "5")]
    pub(crate) vector: u32,
    #[prost(double, tag = "6")]
    pub(crate) value: f64,
    #[prost(message, optional, tag = "7")]
    pub(crate) plain_scale: Option<Fraction>,
    #[prost(uint32, tag = "8")]
    pub(crate) level: u32,
    #[prost(uint32, repeated, tag = "9")]
    pub(crate) rotations: Vec<u32>,
}

/// Sums of products and of multiples.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Combine {
    #[prost(uint32, tag = "1")]
    pub(crate) dst: u32,
    /// Two registers for each product.
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) factors: Vec<u32>,
    #[prost(uint32, tag = "3")]
    pub(crate) gain: u32,
    #[prost(message, repeated, tag = "4")]
    pub(crate) terms: Vec<Term>,
    #[prost(double, tag = "5")]
    pub(crate) constant: f64,
    #[prost(bool, tag = "6")]
    pub(crate) rescale: bool,
}

/// A multiple of an operand.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Term {
    #[prost(uint32, tag = "1")]
    pub(crate) operand: u32,
    #[prost(double, tag = "2")]
    pub(crate) value: f64,
    #[prost(message, optional, tag = "3")]
    pub(crate) plain_scale: Option<Fraction>,
}

/// The clear network. Nodes stand in topological order and are numbered by it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Module {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) source: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) nodes: Vec<Node>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) constants: Vec<Constant>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) inputs: Vec<ModulePort>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) outputs: Vec<ModulePort>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Constant {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint64, repeated, tag = "2")]
    pub(crate) shape: Vec<u64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) values: Option<Array>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModulePort {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint32, tag = "2")]
    pub(crate) node: u32,
    /// The element type, by its place in `DType::ALL`.
    #[prost(uint32, tag = "3")]
    pub(crate) dtype: u32,
    #[prost(bool, tag = "4")]
    pub(crate) batched: bool,
    /// Whether the input is given in clear.
    #[prost(bool, tag = "5")]
    pub(crate) clear: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Node {
    #[prost(uint32, repeated, tag = "1")]
    pub(crate) operands: Vec<u32>,
    #[prost(uint64, repeated, tag = "2")]
    pub(crate) shape: Vec<u64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) range: Option<Interval>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) origin: Vec<Origin>,
    /// The operation's keyword in the text form.
    #[prost(string, tag = "5")]
    pub(crate) op: String,
    /// An input's name.
    #[prost(string, tag = "6")]
    pub(crate) name: String,
    /// Weight and bias, factor and summand.
    #[prost(uint32, repeated, tag = "7")]
    pub(crate) constants: Vec<u32>,
    /// Whole numbers, in the order of the operation's fields.
    #[prost(uint64, repeated, tag = "8")]
    pub(crate) integers: Vec<u64>,
    /// Coefficients, or the value of a padding.
    #[prost(double, repeated, tag = "9")]
    pub(crate) reals: Vec<f64>,
}

/// One part of an origin; several make a merged one.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Origin {
    /// 1 ONNX node, 2 port, 3 line of a text, 4 pass.
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    #[prost(uint64, tag = "2")]
    pub(crate) index: u64,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) op: String,
}
