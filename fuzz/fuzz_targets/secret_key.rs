//! Bytes as `secret.key`: an error, or a key that is written and read back the same.
#![no_main]

use cipherloom_client::SecretKey;
use cipherloom_fuzz::{files, seeds};
use cipherloom_ir::container::Kind;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    files::mutate(
        Kind::SecretKey,
        &seeds::SECRET_KEY,
        data,
        size,
        max_size,
        seed,
    )
});

fuzz_target!(|bytes: &[u8]| {
    let plan = seeds::CLIENT.plan();
    match SecretKey::from_bytes(bytes, plan) {
        Ok(key) => {
            let written = key.to_bytes();
            let again = SecretKey::from_bytes(&written, plan).expect("a key reads back");
            assert_eq!(again.to_bytes().as_slice(), written.as_slice());
        }
        Err(error) => drop(error.to_string()),
    }
});
