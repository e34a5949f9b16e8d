//! Runs with little memory: the same results to the bit.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use cipherloom::data::{read_inputs, split};
use cipherloom::{Client, Compiler, Model, Server, ServerError, ServerPlan, keys_to_bytes, memory};
use cipherloom_ir::plan::{residency, run_bytes};
use std::fs;

#[test]
fn what_is_expanded_at_use_gives_the_same_ciphertexts() {
    let network = common::network("mlp-square");
    let model = Model::from_onnx(network.model()).unwrap();
    let read = |name: &str| {
        let stacked = read_inputs(
            &fs::read(common::image(name)).unwrap(),
            &model.inputs(),
            false,
        );
        split(&stacked.unwrap(), &model.inputs()).unwrap()
    };
    let samples = read(network.calibration[1]);
    let compiled = Compiler::new().calibrate(&samples).compile(&model).unwrap();
    let plan: ServerPlan = compiled.server_plan();
    let client = Client::new(compiled.client_plan()).unwrap();
    let keys = client.evaluation_key().unwrap();
    let keys = keys_to_bytes(client.params(), plan.id(), &keys).unwrap();
    let inputs = client.encrypt(&read(network.images)[0]).unwrap();

    let least = residency(plan.plan(), Some(0));
    assert!(least.limbs.contains(&0), "{least:?}");
    assert!(least.bytes < run_bytes(plan.plan()));
    let half = (least.bytes + run_bytes(plan.plan())) / 2;
    let run = |limit: Option<u64>| {
        let server = Server::within(plan.clone(), &keys, limit).unwrap();
        server.write(&server.run(&inputs).unwrap()).unwrap()
    };
    let all = run(None);
    assert_eq!(all, run(Some(half)));
    assert_eq!(all, run(Some(least.bytes)));
    let refused = Server::within(plan.clone(), &keys, Some(least.bytes - 1));
    assert!(matches!(refused, Err(ServerError::Memory { .. })));
    assert!(memory::residency(plan.plan(), Some(half)).bytes <= half);
}
