//! The latency of one evaluation of each test network on one and two threads, with plan and keys loaded and expanded; then a
//! table next to what is wanted.

// A bench whose network does not compile has nothing to measure.
#![allow(clippy::expect_used)]

mod table;

use cipherloom::data::{PortSpec, read_inputs, split};
use cipherloom::{CiphertextSet, Client, Compiler, Model, Range, Server};
use criterion::{Criterion, criterion_group};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A network, its calibration samples (`None`: the range 0 to 1), and its test images.
const NETWORKS: [(&str, Option<&str>, &str); 5] = [
    ("lola", Some("mnist-calib.npz"), "mnist-test.npz"),
    ("cryptonets", Some("mnist-calib.npz"), "mnist-test.npz"),
    (
        "mlp-square",
        Some("mnist-normalized-calib.npz"),
        "mnist-normalized-test.npz",
    ),
    ("tenseal-cnn", Some("mnist-calib.npz"), "mnist-test.npz"),
    ("digits-mlp-square", None, "digits-test.npz"),
];

fn prepare(
    name: &str,
    calibration: Option<&str>,
    images: &str,
) -> Result<(Server, CiphertextSet), Box<dyn Error>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let model = Model::from_onnx(data.join(format!("models/{name}.onnx")))?;
    let read = |file: &str, ports: &[PortSpec]| -> Result<_, Box<dyn Error>> {
        let stacked = read_inputs(&fs::read(data.join("images").join(file))?, ports, false)?;
        Ok(split(&stacked, ports).ok_or("there are no samples")?)
    };
    let ports = model.inputs();
    let compiler = match calibration {
        Some(file) => Compiler::new().calibrate(&read(file, &ports)?),
        None => Compiler::new().input_range("input", Range { lo: 0.0, hi: 1.0 }),
    };
    let compiled = compiler.compile(&model)?;
    let client = Client::new(compiled.client_plan())?;
    let server = Server::new(compiled.server_plan(), client.evaluation_key()?)?;
    let image = read(images, &ports)?;
    let ciphertexts = client.encrypt(image.first().ok_or("there is no image")?)?;
    Ok((server, ciphertexts))
}

fn networks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("run");
    group.sample_size(20);
    for (name, calibration, images) in NETWORKS {
        let (server, ciphertexts) =
            prepare(name, calibration, images).expect("the test networks compile");
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("threads start");
            group.bench_function(format!("{name}/{threads}"), |bencher| {
                bencher.iter(|| {
                    pool.install(|| server.run(&ciphertexts))
                        .expect("the plan runs")
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = networks
}

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // Only where benches are really run.
    if std::env::args().all(|arg| arg != "--test" && arg != "--list") {
        table::print();
        table::print_packed();
    }
}
