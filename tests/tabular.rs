//! Classical models and quantised networks through the command line, encrypted, as files of ONNX.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg(feature = "tfhe")]

#[path = "../compiler/tests/common/build.rs"]
mod build;
mod common;
#[path = "tabular/quantised.rs"]
mod quantised;
