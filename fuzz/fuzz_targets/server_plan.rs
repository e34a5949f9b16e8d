//! Bytes as `server.plan`: an error, or a verified plan that is written and read back the same, and whose text reads back too.
#![no_main]

use cipherloom::{ServerPlan, memory};
use cipherloom_fuzz::{files, seeds};
use cipherloom_ir::container::Kind;
use cipherloom_ir::plan::{self, PlanError, plan_from_bytes, plan_to_bytes};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// Where the plan's id in the header is.
const PLAN_ID: std::ops::Range<usize> = 16..48;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    files::mutate(
        Kind::ServerPlan,
        &seeds::SERVER_PLAN,
        data,
        size,
        max_size,
        seed,
    )
});

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    let mut read = plan_from_bytes(&bytes);
    // The id of the changed content, so that the decoder is reached.
    if let Err(PlanError::Id { found, .. }) = read {
        let body = bytes.len() - 32;
        bytes[PLAN_ID].copy_from_slice(&found.0);
        let hash = blake3::hash(&bytes[..body]);
        bytes[body..].copy_from_slice(hash.as_bytes());
        read = plan_from_bytes(&bytes);
        assert!(!matches!(read, Err(PlanError::Id { .. })));
    }
    let (plan, _) = match read {
        Ok(read) => read,
        Err(error) => return drop(error.to_string()),
    };
    // A file may spell the same plan in another way, with another id, than the writer would; it is told apart from then on.
    let (written, id) = plan_to_bytes(&plan);
    let (again, same) = plan_from_bytes(&written).expect("a verified plan reads back");
    assert_eq!(id, same);
    assert_eq!(plan_to_bytes(&again).0, written);
    let text = plan::print(&plan);
    let read = plan::parse(&text, &plan).map(|p| plan::print(&p));
    assert_eq!(read.as_deref(), Ok(text.as_str()));
    let _ = memory::predicted(ServerPlan::new(plan).plan());
});
