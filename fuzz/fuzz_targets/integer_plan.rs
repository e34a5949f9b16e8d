//! Bytes as `server.plan` of the TFHE backend: an error, or a verified plan that is written and read back the same, and whose
//! text and client's plan read back too.
#![no_main]

use cipherloom_fuzz::{files, seeds};
use cipherloom_ir::container::Kind;
use cipherloom_ir::integer::{
    self, integer_client_plan_from_bytes, integer_client_plan_to_bytes, integer_plan_from_bytes,
    integer_plan_to_bytes,
};
use cipherloom_ir::plan::PlanError;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// Where the plan's id in the header is.
const PLAN_ID: std::ops::Range<usize> = 16..48;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let (kind, file) = (Kind::TfheServerPlan, &seeds::INTEGER_PLAN);
    files::mutate(kind, file, data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    let mut read = integer_plan_from_bytes(&bytes);
    // The id of the changed content, so that the decoder is reached.
    if let Err(PlanError::Id { found, .. }) = read {
        let body = bytes.len() - 32;
        bytes[PLAN_ID].copy_from_slice(&found.0);
        let hash = blake3::hash(&bytes[..body]);
        bytes[body..].copy_from_slice(hash.as_bytes());
        read = integer_plan_from_bytes(&bytes);
        assert!(!matches!(read, Err(PlanError::Id { .. })));
    }
    let (plan, id) = match read {
        Ok(read) => read,
        Err(error) => return drop(error.to_string()),
    };
    let (written, same) = integer_plan_to_bytes(&plan);
    let (again, read_id) = integer_plan_from_bytes(&written).expect("a verified plan reads back");
    assert_eq!(same, read_id);
    assert_eq!(integer_plan_to_bytes(&again).0, written);
    let text = integer::print(&plan);
    let read = integer::parse(&text, &plan).map(|p| integer::print(&p));
    assert_eq!(read.as_deref(), Ok(text.as_str()));
    let client = integer_client_plan_to_bytes(&plan.client_plan(id));
    let client = integer_client_plan_from_bytes(&client);
    assert!(client.is_ok(), "a verified plan's client reads back");
});
