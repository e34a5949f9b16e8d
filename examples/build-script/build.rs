//! Compiles a network and a program while the crate is built.

use cipherloom::build::Build;
use cipherloom::{Compiler, Error, Range};

fn main() -> Result<(), Error> {
    let mut build = Build::new()?;
    let network = build.model("../../tests/data/models/digits-mlp-square.onnx")?;
    let pixels = Range { lo: 0.0, hi: 1.0 };
    let compiled = Compiler::new()
        .input_range("input", pixels)
        .compile(&network)?;
    build.embed("digits", &compiled)?;
    let program = build.model("../loom/logistic_regression.loom")?;
    build.embed("risk", &Compiler::new().precision(15.0).compile(&program)?)?;
    build.finish()
}
