//! The protobuf messages of integer plans. Large arrays lie outside, as in CKKS plans ([`crate::plan::sections`]).
//! Field numbers are part of the format.

use crate::plan::proto::{Array, Interval, Module};
use prost::Message;

/// `server.plan`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ServerPlan {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) source: String,
    #[prost(message, optional, tag = "3")]
    pub(super) set: Option<Set>,
    #[prost(double, tag = "4")]
    pub(super) log2_failure: f64,
    #[prost(message, repeated, tag = "5")]
    pub(super) inputs: Vec<Port>,
    #[prost(message, repeated, tag = "6")]
    pub(super) outputs: Vec<Port>,
    #[prost(message, repeated, tag = "7")]
    pub(super) matrices: Vec<Matrix>,
    #[prost(message, repeated, tag = "8")]
    pub(super) tables: Vec<Table>,
    #[prost(message, repeated, tag = "9")]
    pub(super) steps: Vec<Step>,
    /// No part of the meaning: left out of the plan's id.
    #[prost(message, optional, tag = "10")]
    pub(super) estimates: Option<Estimates>,
    #[prost(double, tag = "11")]
    pub(super) margin: f64,
    #[prost(message, optional, tag = "12")]
    pub(super) clear: Option<Module>,
    #[prost(message, optional, tag = "13")]
    pub(super) tail: Option<Module>,
}

/// `client.plan`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ClientPlan {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "3")]
    pub(super) set: Option<Set>,
    #[prost(double, tag = "4")]
    pub(super) log2_failure: f64,
    #[prost(message, repeated, tag = "5")]
    pub(super) inputs: Vec<Port>,
    #[prost(message, repeated, tag = "6")]
    pub(super) outputs: Vec<Port>,
    #[prost(message, optional, tag = "13")]
    pub(super) tail: Option<Module>,
}

/// A published parameter set: name and numbers have to fit.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Set {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint32, repeated, tag = "2")]
    pub(super) numbers: Vec<u32>,
}

/// A list in the index section.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Indices {
    #[prost(uint64, tag = "1")]
    pub(super) offset: u64,
    #[prost(uint64, tag = "2")]
    pub(super) count: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Quantisation {
    #[prost(message, optional, tag = "1")]
    pub(super) scale: Option<Array>,
    #[prost(message, optional, tag = "2")]
    pub(super) zero_point: Option<Array>,
    #[prost(sint64, tag = "3")]
    pub(super) lo: i64,
    #[prost(sint64, tag = "4")]
    pub(super) hi: i64,
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
    #[prost(uint32, tag = "6")]
    pub(super) register: u32,
    #[prost(uint32, tag = "7")]
    pub(super) log_delta: u32,
    #[prost(message, optional, tag = "8")]
    pub(super) quantisation: Option<Quantisation>,
    #[prost(uint32, tag = "9")]
    pub(super) slack: u32,
    #[prost(double, tag = "10")]
    pub(super) variance: f64,
    #[prost(double, tag = "11")]
    pub(super) log2_failure: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Matrix {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint32, tag = "2")]
    pub(super) columns: u32,
    #[prost(message, optional, tag = "3")]
    pub(super) starts: Option<Indices>,
    #[prost(message, optional, tag = "4")]
    pub(super) indices: Option<Indices>,
    #[prost(message, optional, tag = "5")]
    pub(super) weights: Option<Array>,
    #[prost(message, optional, tag = "6")]
    pub(super) bias: Option<Array>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Table {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) entries: Option<Array>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Step {
    #[prost(uint32, tag = "1")]
    pub(super) dst: u32,
    #[prost(uint32, tag = "2")]
    pub(super) length: u32,
    #[prost(uint32, tag = "3")]
    pub(super) log_delta: u32,
    #[prost(sint64, tag = "4")]
    pub(super) lo: i64,
    #[prost(sint64, tag = "5")]
    pub(super) hi: i64,
    #[prost(double, tag = "6")]
    pub(super) variance: f64,
    #[prost(double, tag = "7")]
    pub(super) log2_failure: f64,
    #[prost(uint32, repeated, tag = "8")]
    pub(super) free: Vec<u32>,
    #[prost(string, tag = "9")]
    pub(super) origin: String,
    /// One of this and `lookup`.
    #[prost(message, optional, tag = "10")]
    pub(super) linear: Option<Linear>,
    #[prost(message, optional, tag = "11")]
    pub(super) lookup: Option<Lookup>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Linear {
    #[prost(uint32, repeated, tag = "1")]
    pub(super) src: Vec<u32>,
    #[prost(uint32, tag = "2")]
    pub(super) matrix: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Lookup {
    #[prost(uint32, tag = "1")]
    pub(super) src: u32,
    #[prost(message, optional, tag = "2")]
    pub(super) tables: Option<Indices>,
    #[prost(uint32, repeated, tag = "3")]
    pub(super) reads: Vec<u32>,
    #[prost(uint32, tag = "4")]
    pub(super) slack: u32,
    #[prost(bool, tag = "5")]
    pub(super) negacyclic: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Estimates {
    #[prost(uint64, tag = "1")]
    pub(super) bootstraps: u64,
    #[prost(uint64, tag = "2")]
    pub(super) macs: u64,
    #[prost(double, tag = "3")]
    pub(super) latency_s: f64,
    #[prost(uint64, tag = "4")]
    pub(super) eval_key_bytes: u64,
    #[prost(uint64, tag = "5")]
    pub(super) run_bytes: u64,
    #[prost(string, tag = "6")]
    pub(super) choice: String,
}
