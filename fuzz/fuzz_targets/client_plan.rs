//! Bytes as `client.plan`: an error, or a verified plan that is written and read back the same, and whose layouts pack.
#![no_main]

use cipherloom_fuzz::{files, seeds};
use cipherloom_ir::container::Kind;
use cipherloom_ir::plan::{PlanPort, client_plan_from_bytes, client_plan_to_bytes};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    files::mutate(
        Kind::ClientPlan,
        &seeds::CLIENT_PLAN,
        data,
        size,
        max_size,
        seed,
    )
});

fuzz_target!(|bytes: &[u8]| {
    let plan = match client_plan_from_bytes(bytes) {
        Ok(plan) => plan,
        Err(error) => return drop(error.to_string()),
    };
    let written = client_plan_to_bytes(&plan);
    let again = client_plan_from_bytes(&written).expect("a verified plan reads back");
    assert_eq!(client_plan_to_bytes(&again), written);
    // Larger ones fit in memory too, but not many a second.
    let small =
        |port: &&PlanPort| port.layout.period.saturating_mul(port.layout.ciphertexts) < 1 << 20;
    for port in plan.inputs.iter().chain(&plan.outputs).filter(small) {
        let values: Vec<f64> = (0..port.layout.len()).map(|i| i as f64).collect();
        let slots = port.layout.pack(&values).expect("a verified layout packs");
        assert_eq!(port.layout.unpack(&slots), Some(values));
    }
});
