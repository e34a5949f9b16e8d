//! A text of the tensor stage: an error, or a module whose text reads back to the same text.
#![no_main]

use cipherloom_ir::tensor::{parse, print, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(module) = parse(text, &[]) else { return };
    let _ = verify(&module);
    let printed = print(&module);
    let again = parse(&printed, &module.constants).map(|m| print(&m));
    assert_eq!(again.as_deref(), Ok(printed.as_str()));
});
