//! A plan of the TFHE backend through files and the command line, by `infer` and by `check`.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg(feature = "tfhe")]

mod common;

use cipherloom::data::{npz, read_inputs, split};
use cipherloom::{AnyCompiled, Backend, Compiler, DType, Model, Range, Tensor, Tensors};
use cipherloom_client::TfheClient;
use cipherloom_ir::integer::{
    IntegerBuilder, IntegerPlan, IntegerSimulator, Matrix, Quantisation, SETS, Table,
    integer_client_plan_to_bytes, integer_plan_to_bytes, quantise,
};
use cipherloom_runtime::TfheServer;
use common::intervals::intervals;
use common::{data, image, json, ok, refused};
use std::fs;
use std::path::Path;

/// The function that [`plan`] computes, as a clear network.
const CLEAR: &str = r#"module "tiny" · from "tiny.onnx, opset 17" · stage tensor
  shape  range | op
  [1,4]  -     | %0 = input "x"        ; port "x"
  [1,2]  -     | %1 = gemm %0, @w, @b  ; node 0 Gemm "/fc"
  [1,2]  -     | %2 = relu %1          ; node 1 Relu "/act"
input "x" = %0 · f32 · batched
output "y" = %2 · batched
const @w [2,4] = [1.0, -1.0, 1.0, 0.0, 0.0, 1.0, -1.0, 1.0]
const @b [2] = [-1.0, 0.5]
"#;
const TAIL: &str = r#"module "tiny" · from "tiny.onnx, opset 17" · stage tensor
  shape  range | op
  [1,2]  -     | %0 = input "y"          ; port "y"
  [1,1]  -     | %1 = arg_max %0 axis 1  ; node 2 ArgMax "/class"
input "y" = %0 · f64 · batched
output "class" = %1 · i64 · batched
"#;

/// Inputs are multiples of 1/2 from 0 to 3/2, all arithmetic is exact.
fn plan() -> IntegerPlan {
    let halves = |lo, hi| Quantisation {
        scale: vec![0.5],
        zero_point: vec![0],
        lo,
        hi,
    };
    let range = Range { lo: 0.0, hi: 1.5 };
    let mut b = IntegerBuilder::new("tiny", "tiny.onnx, opset 17", SETS[1]);
    let x = b.input("x", &[1, 4], range, 59, halves(0, 3));
    let rows = [
        (vec![(0, 1), (1, -1), (2, 1)], -2 + 5),
        (vec![(1, 1), (2, -1), (3, 1)], 1 + 5),
    ];
    let m = b.matrix(Matrix::from_rows("fc", 4, rows).unwrap());
    let sums = b.linear(&[x], m, 59, "node 0 Gemm \"/fc\"");
    let relu = b.table(Table {
        name: "relu".into(),
        entries: (0..16).map(|i| (i - 5_i64).max(0)).collect(),
    });
    let y = b.lookup(sums, &[relu], 59, "node 1 Relu \"/act\"");
    b.output("y", &[1, 2], Range { lo: 0.0, hi: 4.0 }, y, halves(0, 0));
    b.plan_mut().clear = cipherloom_ir::tensor::parse(CLEAR, &[]).unwrap();
    b.plan_mut().tail = Some(cipherloom_ir::tensor::parse(TAIL, &[]).unwrap());
    b.finish().unwrap()
}

fn write_files(dir: &Path) -> Vec<f64> {
    let plan = plan();
    let (bytes, id) = integer_plan_to_bytes(&plan);
    fs::create_dir(dir.join("m")).unwrap();
    fs::write(dir.join("m/server.plan"), bytes).unwrap();
    let client = integer_client_plan_to_bytes(&plan.client_plan(id));
    fs::write(dir.join("m/client.plan"), client).unwrap();
    let data = vec![0.5, 1.5, 0.0, 1.0, 1.5, 0.0, 1.5, 0.0, 1.0, 0.5, 1.0, 0.5];
    let inputs = Tensor::new(vec![3, 4], data.clone()).unwrap();
    let bytes = npz::write(&[("x", &inputs, DType::F32)], false).unwrap();
    fs::write(dir.join("in.npz"), bytes).unwrap();
    data
}

/// The classes by the integer simulator, which `check` compares with the clear network.
fn classes(data: &[f64]) -> Vec<f64> {
    let plan = plan();
    let one = |sample: &[f64]| {
        let integers = sample.iter().map(|v| (v * 2.0) as i64).collect();
        let y = IntegerSimulator::new(&plan)
            .run_integers(&[integers], None)
            .unwrap();
        f64::from(y[0][1] > y[0][0])
    };
    data.chunks(4).map(one).collect()
}

fn output(path: &Path) -> Vec<f64> {
    let bytes = fs::read(path).unwrap();
    let all = npz::Arrays::open(&bytes, "x")
        .unwrap()
        .read("class")
        .unwrap();
    all.data().to_vec()
}

#[test]
fn the_commands_work_on_files() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = write_files(dir);
    let made = json(
        dir,
        "keygen m/client.plan --secret-key secret.key --eval-key eval.key",
    );
    assert!(made["eval_key_bytes"].as_u64().unwrap() < 150_000_000);
    ok(
        dir,
        "encrypt m/client.plan --secret-key secret.key --input in.npz -o x.ct",
    );
    fs::rename(dir.join("secret.key"), dir.join("hidden")).unwrap();
    let run = json(
        dir,
        "run m/server.plan --eval-key eval.key x.ct -o y.ct --threads 2",
    );
    assert_eq!((&run["samples"], &run["threads"]), (&3.into(), &2.into()));
    fs::rename(dir.join("hidden"), dir.join("secret.key")).unwrap();
    ok(
        dir,
        "decrypt m/client.plan --secret-key secret.key y.ct -o out.npz",
    );
    assert_eq!(output(&dir.join("out.npz")), classes(&data));
    for (command, part) in [
        (
            "keygen m/client.plan --secret-key s --eval-key e --public-key p",
            "no public keys",
        ),
        (
            "decrypt m/client.plan --secret-key secret.key y.ct -o o.npz --share 4",
            "--share",
        ),
        (
            "run m/server.plan --eval-key eval.key eval.key -o z.ct",
            "not a ciphertext of the TFHE",
        ),
        (
            "decrypt m/client.plan --secret-key secret.key x.ct -o o.npz",
            "x.ct",
        ),
        (
            "run m/client.plan --eval-key eval.key x.ct -o z.ct",
            "client plan",
        ),
    ] {
        let error = refused(dir, command);
        assert!(error.contains(part), "{command}: {error}");
    }
    for name in ["s", "e", "p", "o.npz", "z.ct"] {
        assert!(!dir.join(name).exists(), "{name}");
    }
}

#[test]
fn infer_and_check_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let data = write_files(dir);
    ok(dir, "infer m --input in.npz -o out.npz");
    assert_eq!(output(&dir.join("out.npz")), classes(&data));
    let found = json(dir, "check m --input in.npz --encrypted 2");
    let (simulated, encrypted) = (&found["simulated"], &found["encrypted"]);
    assert_eq!(simulated["max_abs_error"], 0.0);
    assert_eq!(simulated["agreement"], 1.0);
    assert_eq!(encrypted["samples"], 2);
    assert_eq!(encrypted["max_abs_error"], 0.0);
    assert!(encrypted["noise_bits"].is_null() && encrypted["error_bits"].is_null());
    assert!(encrypted["latency_s"]["median"].as_f64().unwrap() > 0.0);
}

/// A small network of the test data and its samples: every fourth held-out one finds scales, the others test.
const MLP: &str = "models/breast-cancer-mlp.onnx";

fn mlp() -> (Model, Vec<Tensors>, Vec<Tensors>) {
    let model = Model::from_onnx(data(MLP)).unwrap();
    let samples = |name: &str| {
        let ports = model.inputs();
        let arrays = read_inputs(&fs::read(image(name)).unwrap(), &ports, false).unwrap();
        split(&arrays, &ports).unwrap()
    };
    let (calibration, test) = (
        samples("breast-cancer-calib.npz"),
        samples("breast-cancer-test.npz"),
    );
    (model, calibration, test)
}

#[test]
fn a_network_computes_what_its_simulation_does() {
    let (model, calibration, test) = mlp();
    let compiler = Compiler::new()
        .backend(Backend::Tfhe)
        .calibrate(&calibration);
    let compiled = compiler.compile_any(&model).unwrap();
    let AnyCompiled::Tfhe(compiled) = compiled else {
        panic!("another backend");
    };
    assert!(compiled.agrees(), "{}", compiled.agreement());
    let server_plan = compiled.server_plan();
    let plan = server_plan.plan().clone();
    let client = TfheClient::new(server_plan.client_plan()).unwrap();
    let server = TfheServer::new(server_plan, client.server_keys().unwrap()).unwrap();
    let simulator = IntegerSimulator::new(&plan);
    // The squared errors of all samples: found, and simulated again and again.
    let (mut squares, mut expected) = (0.0, vec![0.0; 64]);
    for (n, sample) in test[..20].iter().enumerate() {
        let integers = vec![quantise(&plan.inputs[0], sample["input"].data())];
        let exact = simulator.run_integers(&integers, None).unwrap()[0][0];
        let outputs = server.run(&client.encrypt(sample).unwrap()).unwrap();
        let found = client.decrypt_integers(&outputs).unwrap()[0][0][0];
        let (lo, hi) = intervals(&plan, &integers)[0][0];
        for m in [exact, found] {
            assert!(
                (lo..=hi).contains(&i128::from(m)),
                "{m} is not in {lo} .. {hi}"
            );
        }
        let square = |m: i64| ((m - exact) as f64).powi(2);
        squares += square(found);
        for (seed, expected) in expected.iter_mut().enumerate() {
            let noisy = simulator.run_integers(&integers, Some((64 * n + seed) as u64));
            *expected += square(noisy.unwrap()[0][0]);
        }
    }
    // Exact where lookups are exact; else the errors are as large as those of the simulation with noise. A few samples near a
    // step of a table make most of them, so that they scatter widely; what that means, the simulations say.
    let least = expected.iter().copied().fold(f64::INFINITY, f64::min);
    let most = expected.iter().copied().fold(0.0, f64::max);
    println!("squared errors of {squares}, simulated {least} to {most}");
    assert!((0.25 * least..=2.0 * most).contains(&squares), "{squares}");
}

#[test]
fn a_network_is_compiled_explained_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (model, calib) = (data(MLP), image("breast-cancer-calib.npz"));
    let options = format!("--backend tfhe --margin 3 --calibrate {}", calib.display());
    let compiled = json(
        dir,
        &format!("compile {} -o mlp {options}", model.display()),
    );
    let explained = json(dir, "explain mlp");
    assert_eq!(compiled["report"], explained);
    assert_eq!(explained["parameters"]["scheme"], "TFHE");
    let cost = &explained["cost"];
    // One or several for each of the 16 hidden units.
    let bootstraps = cost["bootstraps"].as_u64().unwrap();
    assert!(bootstraps > 0 && bootstraps.is_multiple_of(16), "{cost}");
    assert!(cost["eval_key_bytes"].as_u64().unwrap() < 150_000_000);
    assert!(explained["failure"]["largest"].as_f64().unwrap() <= -128.0);
    let text = common::unbroken(&ok(dir, "explain mlp"));
    assert!(
        text.contains(&format!("({bootstraps} bootstraps of")),
        "{text}"
    );
    assert!(ok(dir, "explain mlp --format html").starts_with("<!DOCTYPE html>"));
    let plan = ok(
        dir,
        &format!(
            "compile {} -o again {options} --emit plan -q",
            model.display()
        ),
    );
    assert!(plan.contains("stage integer"), "{plan}");
    for file in ["server.plan", "client.plan"] {
        let read = |folder: &str| fs::read(dir.join(folder).join(file)).unwrap();
        assert!(read("mlp") == read("again"), "{file} differs");
    }
    let found = json(
        dir,
        &format!(
            "check mlp --input {} --labels {} --encrypted 3",
            image("breast-cancer-test.npz").display(),
            image("breast-cancer-test-labels.npy").display()
        ),
    );
    let share = |part: &str, what: &str| found[part][what].as_f64().unwrap();
    let loss = share("clear", "accuracy") - share("simulated", "accuracy");
    assert!(loss <= 0.01, "{found}");
    assert!(share("simulated", "agreement") >= 0.96, "{found}");
    assert!(share("encrypted", "predicted_error_bits") > 1.0, "{found}");

    // Of the two backends the faster one is taken, and the plan says why.
    let calibrate = format!("--calibrate {}", calib.display());
    ok(
        dir,
        &format!("compile {} -o auto {calibrate}", model.display()),
    );
    let choice = json(dir, "explain auto");
    let reason = choice["choice"].as_str().unwrap();
    assert!(
        reason.contains("ckks") && reason.contains("tfhe"),
        "{reason}"
    );
    assert!(common::unbroken(&ok(dir, "explain auto")).contains(reason));
    let strict = format!("{options} --failure-probability 2^-30");
    let output = common::cli(
        dir,
        &format!("compile {} -o loose {strict}", model.display()),
    );
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("learns about the secret key"));
}
