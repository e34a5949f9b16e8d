//! HEFactory's ten programs: the latency of one evaluation on two threads, with plan and keys loaded and expanded; then a table
//! next to what tuned Lattigo programs took on a machine of two cores, as a mark. `examples/hefactory` holds the programs,
//! `tests/loom.rs` compares their results with references.

// A bench whose program does not compile has nothing to measure.
#![allow(clippy::expect_used)]

use cipherloom::backend::{AnyCiphertexts, AnyServer, AnyServerPlan};
use cipherloom::bench::{Limit, Spread, inputs, measure};
use cipherloom::{CiphertextSet, Client, Compiler, Error, Model, Server};
use criterion::{Criterion, criterion_group};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::path::Path;
use std::time::Duration;

/// A program, the precision that is asked for in bits, and the mark in milliseconds.
const PROGRAMS: [(&str, f64, f64); 10] = [
    ("box_blur", 15.0, 35.0),
    ("gx_kernel", 15.0, 35.0),
    ("dot_product", 15.0, 6.4),
    ("hamming_distance", 15.0, 8.5),
    ("l2_distance", 8.0, 67.0),
    ("linear_polynomial", 15.0, 0.29),
    ("quadratic_polynomial", 15.0, 7.0),
    ("robert_cross", 8.0, 168.0),
    ("matrix_multiplication", 15.0, 67.0),
    // The mark is 3609; this is what is wanted.
    ("dl_benchmark", 15.0, 60.0),
];
const THREADS: usize = 2;

fn prepare(name: &str, precision: f64) -> Result<(Server, CiphertextSet), Error> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hefactory");
    let model = Model::from_loom(folder.join(format!("{name}.loom")))?;
    // The roots are computed encrypted, though the client could finish them.
    let compiler = Compiler::new().precision(precision).keep_tail(true);
    let compiled = compiler.compile(&model)?;
    let plan = compiled.server_plan();
    let client = Client::new(compiled.client_plan())?;
    let ciphertexts = client.encrypt(&inputs(&AnyServerPlan::Ckks(plan.clone()))?)?;
    let server = Server::new(plan, client.evaluation_key()?)?;
    Ok((server, ciphertexts))
}

fn threads() -> ThreadPool {
    let pool = ThreadPoolBuilder::new().num_threads(THREADS).build();
    pool.expect("threads start")
}

fn programs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hefactory");
    group.sample_size(20);
    let pool = threads();
    for (name, precision, _) in PROGRAMS {
        let (server, ciphertexts) = prepare(name, precision).expect("the programs compile");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                pool.install(|| server.run(&ciphertexts))
                    .expect("the plan runs")
            });
        });
    }
    group.finish();
}

/// The table; `time` is what each program is measured for.
fn table(time: Duration) -> Result<(), Error> {
    println!("\nOn {THREADS} threads, in ms:");
    println!(
        "{:<24}{:>9}{:>9}{:>9}   N",
        "program", "mark", "median", "least"
    );
    let pool = threads();
    for (name, precision, mark) in PROGRAMS {
        let (server, ciphertexts) = prepare(name, precision)?;
        let limit = Limit { runs: None, time };
        let log_n = server.plan().plan().params.log_n;
        let server = AnyServer::Ckks(Box::new(server));
        let ciphertexts = AnyCiphertexts::Ckks(ciphertexts);
        let measured = pool.install(|| measure(&server, &ciphertexts, limit, &mut |_, _| ()))?;
        let spread = Spread::of(measured.runs);
        println!(
            "{name:<24}{mark:>9.2}{:>9.3}{:>9.3}   2^{}",
            1e3 * spread.median,
            1e3 * spread.min,
            log_n
        );
    }
    Ok(())
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    targets = programs
}

fn main() {
    // The table alone, where little time is to be spent.
    if std::env::args().all(|arg| arg != "--table") {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
    if std::env::args().all(|arg| arg != "--test" && arg != "--list") {
        table(Duration::from_millis(500)).expect("the programs run");
    }
}
