//! Bytes as an ONNX file: an error, or a module that the verifier accepts and the passes rewrite.
#![no_main]

use cipherloom_compiler::onnx;
use cipherloom_compiler::pass::{Driver, PrintAfter, TensorPass, standard};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut module) = onnx::import(bytes, None, "fuzz", "fuzz.onnx") else {
        return;
    };
    assert_eq!(cipherloom_ir::tensor::verify(&module), []);
    let mut rewriting = standard();
    let mut passes: Vec<&mut dyn TensorPass> = rewriting.iter_mut().map(|p| p.as_mut() as _).collect();
    // The last one refuses activations.
    passes.pop();
    let mut driver = Driver {
        print_after: PrintAfter::None,
        stop_after: None,
        verify_each: true,
        print: &mut |_, _| {},
    };
    if let Err(error) = driver.run(&mut module, &mut passes) {
        panic!("{error}");
    }
});
