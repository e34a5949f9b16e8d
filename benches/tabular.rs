//! The latency of one lookup with each published set, and of eight side by side; and of classical models with the TFHE backend on two threads, with plan
//! and keys loaded and expanded: trees, nearest neighbours. Sets lie in `../shared`; without them breast cancer alone is measured, on what the repository holds.

// A bench whose model does not compile has nothing to measure.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

#[path = "../compiler/tests/common/build.rs"]
mod build;
#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/tabular/models.rs"]
mod models;
#[path = "../tests/tabular/tables.rs"]
mod tables;
#[path = "../compiler/tests/common/trees.rs"]
mod trees;

use cipherloom::backend::{AnyClient, AnyServer, AnyServerPlan};
use cipherloom::{Backend, Compiler, Model, Range, Tensor, Tensors};
use cipherloom_ir::integer::{
    IntegerBuilder, IntegerPlan, Quantisation, SETS, Table as Lookup, TfheSet,
};
use cipherloom_ir::tensor::parse;
use cipherloom_runtime::TfheServerPlan;
use criterion::{Criterion, criterion_group, criterion_main};
use rayon::ThreadPoolBuilder;
use std::time::Duration;
use tables::Table;

/// A model, and the rows that scales are found from.
type Named = (String, build::Model, Table);

fn all() -> Vec<Named> {
    let own = Table::breast_cancer().half(0);
    let mut all = vec![(
        "breast-cancer tree".to_owned(),
        models::forest(&own, 1, 5),
        own,
    )];
    for (set, array, trees, depth) in models::FORESTS {
        let Some(table) = Table::shared(set, array) else {
            return all;
        };
        let training = table.half(0);
        let name = format!("{set} {trees}x{depth}");
        all.push((name, models::forest(&training, trees, depth), training));
    }
    for (set, k, count) in models::NEIGHBOURS {
        if let Some(table) = Table::shared(set, "x") {
            let training = table.half(0);
            let model = models::neighbours(&training.first(count), k, models::Form::Scan);
            all.push((format!("{set} {k} of {count} rows"), model, training));
        }
    }
    all
}

fn tabular(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tabular");
    group.sample_size(10);
    let pool = ThreadPoolBuilder::new().num_threads(2).build();
    let pool = pool.expect("threads start");
    for (name, onnx, table) in all() {
        let dir = tempfile::tempdir().expect("there is a place for files");
        let path = dir.path().join("m.onnx");
        std::fs::write(&path, onnx.bytes()).expect("the model is written");
        let model = Model::from_onnx(path).expect("the model is read");
        let compiler = Compiler::new()
            .backend(Backend::Tfhe)
            .calibrate(&table.samples());
        let plan = compiler
            .compile_any(&model)
            .expect("the model compiles")
            .server_plan();
        let client = AnyClient::new(plan.client_plan()).expect("keys are made");
        let server = AnyServer::new(plan, &client, None).expect("keys are expanded");
        let sample = client
            .encrypt(&table.samples()[0])
            .expect("the sample fits");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                pool.install(|| server.run_with(&sample, &mut |_, _| ()))
                    .expect("the plan runs")
            });
        });
    }
    group.finish();
}

/// One lookup with each published set on one thread, and eight: an eighth of these is what `ir::integer::lookup_seconds` states.
fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup");
    group.sample_size(10);
    let pool = ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.expect("threads start");
    for (set, count) in SETS.into_iter().flat_map(|set| [(set, 1), (set, 8)]) {
        let plan = AnyServerPlan::Tfhe(TfheServerPlan::new(alone(set, count)));
        let client = AnyClient::new(plan.client_plan()).expect("keys are made");
        let server = AnyServer::new(plan, &client, None).expect("keys are expanded");
        let x = Tensor::new(vec![1, count], vec![1.0; count]).expect("so many elements");
        let inputs = Tensors::from([("x".to_owned(), x)]);
        let sample = client.encrypt(&inputs).expect("the sample fits");
        group.bench_function(
            format!("{} bits, {count} side by side", set.bits),
            |bencher| {
                bencher.iter(|| {
                    pool.install(|| server.run_with(&sample, &mut |_, _| ()))
                        .expect("the plan runs")
                });
            },
        );
    }
    group.finish();
}

/// A plan of so many table lookups that do not read each other.
fn alone(set: TfheSet, count: usize) -> IntegerPlan {
    let whole = |lo, hi| Quantisation {
        scale: vec![1.0],
        zero_point: vec![0],
        lo,
        hi,
    };
    let range = Range { lo: 0.0, hi: 1.0 };
    let mut builder = IntegerBuilder::new("lookup", "bench", set);
    let x = builder.input("x", &[1, count], range, 61, whole(0, 1));
    let table = builder.table(Lookup {
        name: "relu".into(),
        entries: vec![0, 1, 2, 3],
    });
    let y = builder.lookup(x, &[table], 61, "lookup");
    builder.output("y", &[1, count], range, y, whole(0, 0));
    let clear = CLEAR.replace("COUNT", &count.to_string());
    builder.plan_mut().clear = parse(&clear, &[]).expect("the network is well-formed");
    builder.finish().expect("the plan is sound")
}

/// What [`alone`] computes.
const CLEAR: &str = r#"module "lookup" · from "bench" · stage tensor
  shape  range | op
  [1,COUNT]  -     | %0 = input "x"  ; port "x"
  [1,COUNT]  -     | %1 = relu %0    ; node 0 Relu "y"
input "x" = %0 · f32 · batched
output "y" = %1 · batched
"#;

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(5));
    targets = lookups, tabular
}
criterion_main!(benches);
