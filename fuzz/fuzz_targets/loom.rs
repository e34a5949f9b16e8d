//! Bytes as a program: faults that can be drawn, or a module that the verifier accepts; and a layout that means the same.
#![no_main]

use cipherloom_compiler::loom::{NoResources, format, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = std::str::from_utf8(bytes) else {
        return;
    };
    match read("fuzz.loom", source, &NoResources) {
        Ok(program) => assert_eq!(cipherloom_ir::tensor::verify(&program.module), []),
        Err(error) => assert!(!error.faults.is_empty() && !error.to_string().is_empty()),
    }
    if let Ok(once) = format("fuzz.loom", source) {
        assert_eq!(format("fuzz.loom", &once).as_ref(), Ok(&once));
        let accepted = |source| read("fuzz.loom", source, &NoResources).is_ok();
        assert_eq!(accepted(&once), accepted(source));
    }
});
