//! Classical models and quantised networks through the command line, encrypted, as files of ONNX.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg(feature = "tfhe")]

#[path = "../compiler/tests/common/build.rs"]
mod build;
#[path = "tabular/choice.rs"]
mod choice;
mod common;
#[path = "tabular/encrypted.rs"]
mod encrypted;
#[path = "tabular/machines.rs"]
mod machines;
#[path = "tabular/models.rs"]
mod models;
#[path = "tabular/neighbours.rs"]
mod neighbours;
#[path = "tabular/quantised.rs"]
mod quantised;
#[path = "tabular/tables.rs"]
mod tables;
#[path = "tabular/trained.rs"]
mod trained;
#[path = "../compiler/tests/common/trees.rs"]
mod trees;
