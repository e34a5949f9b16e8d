//! Whole networks under encryption: the same ciphertexts for any number of threads and with either kind of kernels.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use cipherloom::data::{read_inputs, split};
use cipherloom::{Client, Compiler, Model, Server};
use cipherloom_ckks::use_portable_kernels;
use std::fs;

#[test]
fn threads_and_kernels_leave_every_bit_of_the_results() {
    // Digits of several primes and of one: another conversion each.
    for (name, precision) in [("lola", 12.0), ("mlp-square", 10.0)] {
        let network = common::network(name);
        let model = Model::from_onnx(network.model()).unwrap();
        let read = |name: &str| {
            let bytes = fs::read(common::image(name)).unwrap();
            split(
                &read_inputs(&bytes, &model.inputs(), false).unwrap(),
                &model.inputs(),
            )
            .unwrap()
        };
        let compiler = Compiler::new().precision(precision);
        let compiled = compiler
            .calibrate(&read(network.calibration[1]))
            .compile(&model)
            .unwrap();
        let client = Client::new(compiled.client_plan()).unwrap();
        let keys = client.evaluation_key().unwrap();
        let inputs = client.encrypt(&read(network.images)[0]).unwrap();
        let run = |threads: usize, portable: bool| {
            use_portable_kernels(portable);
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let results = pool.install(|| {
                let server = Server::new(compiled.server_plan(), keys.clone()).unwrap();
                let results = server.run(&inputs).unwrap();
                // A server serves again.
                assert_eq!(server.run(&inputs).unwrap(), results);
                results
            });
            use_portable_kernels(false);
            results
        };
        let results = run(1, false);
        for (threads, portable) in [(2, false), (4, false), (1, true), (2, true)] {
            assert_eq!(
                run(threads, portable),
                results,
                "{name}, {threads} threads, portable: {portable}"
            );
        }
    }
}
