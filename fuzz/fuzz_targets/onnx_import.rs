//! Bytes as an ONNX file: an error, or a module that the verifier accepts and the passes rewrite.
#![no_main]

use cipherloom_compiler::onnx;
use cipherloom_compiler::pass::{Driver, PrintAfter, TensorPass, standard};
use cipherloom_fuzz::{Rng, mutate_bytes, protobuf};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let (mut rng, mut bytes) = (Rng::new(seed), data[..size].to_vec());
    if rng.once_in(16) {
        mutate_bytes(&mut bytes, &mut rng);
    } else {
        protobuf::mutate(&mut bytes, &mut rng);
    }
    bytes.truncate(max_size);
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut module) = onnx::import(bytes, None, "fuzz", "fuzz.onnx") else {
        return;
    };
    assert_eq!(cipherloom_ir::tensor::verify(&module), []);
    let mut rewriting = standard();
    let mut passes: Vec<&mut dyn TensorPass> =
        rewriting.iter_mut().map(|p| p.as_mut() as _).collect();
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
