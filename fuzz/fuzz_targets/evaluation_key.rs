//! Bytes as `eval.key`: an error, or keys that are written and read back the same, and expand.
#![no_main]

use cipherloom_ckks::wire::{expanded_keys_from_bytes, keys_from_bytes, keys_to_bytes};
use cipherloom_fuzz::{files, seeds};
use cipherloom_ir::container::Kind;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    files::mutate(
        Kind::EvaluationKey,
        &seeds::EVALUATION_KEY,
        data,
        size,
        max_size,
        seed,
    )
});

fuzz_target!(|bytes: &[u8]| {
    let (params, plan) = (seeds::toy(), seeds::CLIENT.plan().plan_id);
    let request = seeds::CLIENT.plan().keys.clone();
    let expanded = expanded_keys_from_bytes(params, plan, bytes, &request);
    match keys_from_bytes(params, plan, bytes) {
        Ok(keys) => {
            // Expansion keeps the keys that the plan asks for, and refuses those of too high a level.
            if let Ok(expanded) = expanded {
                let asked = |steps: &u32| request.rotations.iter().any(|r| r.steps == *steps);
                let kept = keys.rotations.keys().filter(|steps| asked(steps)).count();
                assert_eq!(expanded.rotations.len(), kept);
            }
            let written = keys_to_bytes(params, plan, &keys).expect("keys are written");
            assert_eq!(keys_from_bytes(params, plan, &written).as_ref(), Ok(&keys));
        }
        Err(error) => drop(error.to_string()),
    }
});
