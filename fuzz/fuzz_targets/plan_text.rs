//! A text of the plan stage: an error, or a plan whose text reads back to the same text.
#![no_main]

use cipherloom_fuzz::seeds;
use cipherloom_ir::plan::{parse, print, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: { std::sync::LazyLock::force(&seeds::COMPILED); }, |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(plan) = parse(text, &seeds::COMPILED.plan) else { return };
    let _ = verify(&plan);
    let printed = print(&plan);
    let again = parse(&printed, &plan).map(|p| print(&p));
    assert_eq!(again.as_deref(), Ok(printed.as_str()));
});
