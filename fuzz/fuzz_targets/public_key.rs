//! Bytes as a public key file: an error, or a key that is written and read back the same.
#![no_main]

use cipherloom_client::PublicKey;
use cipherloom_fuzz::{files, seeds};
use cipherloom_ir::container::Kind;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    files::mutate(
        Kind::PublicKey,
        &seeds::PUBLIC_KEY,
        data,
        size,
        max_size,
        seed,
    )
});

fuzz_target!(|bytes: &[u8]| {
    let (params, plan) = (seeds::toy(), seeds::CLIENT.plan().plan_id);
    match PublicKey::from_bytes(bytes, params, plan) {
        Ok(key) => {
            let written = key.to_bytes(params).expect("a key is written");
            let again = PublicKey::from_bytes(&written, params, plan).expect("a key reads back");
            assert_eq!(again.to_bytes(params).ok(), Some(written));
        }
        Err(error) => drop(error.to_string()),
    }
});
