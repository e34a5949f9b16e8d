//! Bytes as a `*.ct` file: an error, or ciphertexts that are written and read back the same, and that the client
//! decrypts or refuses.
#![no_main]

use cipherloom_ckks::CiphertextSet;
use cipherloom_fuzz::{files, seeds};
use cipherloom_ir::container::Kind;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    files::mutate(
        Kind::Ciphertext,
        &seeds::CIPHERTEXT,
        data,
        size,
        max_size,
        seed,
    )
});

fuzz_target!(|bytes: &[u8]| {
    let (params, plan) = (seeds::toy(), seeds::CLIENT.plan().plan_id);
    let mut set = match CiphertextSet::from_bytes(params, plan, bytes) {
        Ok(set) => set,
        Err(error) => return drop(error.to_string()),
    };
    if set.runs() > 0 {
        let written = set.to_bytes(params).expect("ciphertexts are written");
        let again = CiphertextSet::from_bytes(params, plan, &written);
        assert_eq!(again.as_ref(), Ok(&set));
    }
    // Keys are fresh each time, so that of the seeds is another.
    set.key_id = seeds::CLIENT.secret_key().key_id();
    for decrypted in [
        seeds::CLIENT.decrypt(&set),
        seeds::CLIENT.decrypt_inputs(&set),
    ] {
        if let Err(error) = decrypted {
            drop(error.to_string());
        }
    }
});
