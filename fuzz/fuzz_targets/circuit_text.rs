//! A text of the circuit stage: an error, or a circuit whose text reads back to the same text.
#![no_main]

use cipherloom_ir::circuit::{parse, print, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(circuit) = parse(text, &[], &[]) else {
        return;
    };
    let _ = verify(&circuit);
    let printed = print(&circuit);
    let again = parse(&printed, &circuit.matrices, &circuit.vectors).map(|c| print(&c));
    assert_eq!(again.as_deref(), Ok(printed.as_str()));
});
