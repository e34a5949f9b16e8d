//! Compiles a network while the crate is built; its plans end in `OUT_DIR`.

use cipherloom::{Compiler, Model, Range};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/models/digits-mlp-square.onnx");
    println!("cargo::rerun-if-changed={}", path.display());
    let model = Model::from_onnx(path)?;
    let compiled = Compiler::new()
        .input_range("input", Range { lo: 0.0, hi: 1.0 })
        .compile(&model)?;
    compiled.save(std::env::var("OUT_DIR")?)?;
    Ok(())
}
