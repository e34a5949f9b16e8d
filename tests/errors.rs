//! What is refused: with which words, with exit status 1, and with nothing written.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use common::{cli, image, network, ok, refused, write_npy};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A folder with a compiled network, its keys and ciphertexts; made once, and copied for each test.
fn workplace() -> tempfile::TempDir {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let digits = network("digits-mlp-square").model();
        ok(
            path,
            &format!("compile {} -o m --input-range input=0,1", digits.display()),
        );
        // Another margin makes another plan.
        ok(
            path,
            &format!(
                "compile {} -o other --input-range input=0,1 --margin 3",
                digits.display()
            ),
        );
        write_npy(&path.join("in.npy"), &[1, 64], |i| (i % 17) as f64 / 16.0);
        for (plan, secret, eval, input, output) in [
            ("m", "s.key", "e.key", "x.ct", "y.ct"),
            ("m", "s2.key", "e2.key", "x2.ct", "y2.ct"),
            ("other", "s3.key", "e3.key", "x3.ct", "y3.ct"),
        ] {
            ok(
                path,
                &format!("keygen {plan}/client.plan --secret-key {secret} --eval-key {eval}"),
            );
            ok(
                path,
                &format!(
                    "encrypt {plan}/client.plan --secret-key {secret} --input in.npy -o {input}"
                ),
            );
            ok(
                path,
                &format!("run {plan}/server.plan --eval-key {eval} {input} -o {output}"),
            );
        }
        dir
    });
    let copy = tempfile::tempdir().unwrap();
    copy_all(made.path(), copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn flip(path: PathBuf, at: usize) {
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: PathBuf) {
    let bytes = fs::read(&path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 7]).unwrap();
}

const RUN: &str = "run m/server.plan --eval-key e.key x.ct -o out.ct";
const DECRYPT: &str = "decrypt m/client.plan --secret-key s.key y.ct -o out.npz";
const ENCRYPT: &str = "encrypt m/client.plan --secret-key s.key --input in.npy -o out.ct";

/// Each file, the command that reads it, and what it is called.
const FILES: [(&str, &str); 6] = [
    ("m/server.plan", RUN),
    ("e.key", RUN),
    ("x.ct", RUN),
    ("m/client.plan", ENCRYPT),
    ("s.key", DECRYPT),
    ("y.ct", DECRYPT),
];

#[test]
fn corrupted_files() {
    for (file, words) in FILES {
        let dir = workplace();
        flip(dir.path().join(file), 200);
        let error = refused(dir.path(), words);
        assert!(
            error.contains(file) && error.contains("corrupted: its checksum"),
            "{file}: {error}"
        );
    }
}

#[test]
fn truncated_files() {
    for (file, words) in FILES {
        let dir = workplace();
        cut(dir.path().join(file));
        let error = refused(dir.path(), words);
        assert!(
            error.contains(file) && error.contains("truncated or has grown"),
            "{file}: {error}"
        );
    }
}

#[test]
fn files_of_another_version_or_kind() {
    for (file, words) in FILES {
        let dir = workplace();
        flip(dir.path().join(file), 9);
        let error = refused(dir.path(), words);
        assert!(
            error.contains(file) && error.contains("format version 258"),
            "{file}: {error}"
        );
        fs::write(dir.path().join(file), "no file of ours").unwrap();
        let error = refused(dir.path(), words);
        assert!(
            error.contains(file) && error.contains("this is no cipherloom file"),
            "{file}: {error}"
        );
    }
    let dir = workplace();
    let error = refused(
        dir.path(),
        "run m/client.plan --eval-key e.key x.ct -o out.ct",
    );
    assert!(
        error.contains("the file is a client plan, not a server plan"),
        "{error}"
    );
    let error = refused(
        dir.path(),
        "run m/server.plan --eval-key s.key x.ct -o out.ct",
    );
    assert!(
        error.contains("the file is a secret key, not an evaluation key"),
        "{error}"
    );
}

#[test]
fn foreign_files() {
    let dir = workplace();
    for words in [
        "run m/server.plan --eval-key e3.key x.ct -o out.ct",
        "run m/server.plan --eval-key e.key x3.ct -o out.ct",
        "run other/server.plan --eval-key e.key x.ct -o out.ct",
        "decrypt m/client.plan --secret-key s3.key y.ct -o out.npz",
        "decrypt m/client.plan --secret-key s.key y3.ct -o out.npz",
        "encrypt m/client.plan --secret-key s3.key --input in.npy -o out.ct",
    ] {
        let error = refused(dir.path(), words);
        assert!(error.contains("belongs to plan"), "{words}: {error}");
    }
    for words in [
        "run m/server.plan --eval-key e2.key x.ct -o out.ct",
        "run m/server.plan --eval-key e.key x2.ct -o out.ct",
        "decrypt m/client.plan --secret-key s2.key y.ct -o out.npz",
        "decrypt m/client.plan --secret-key s.key y2.ct -o out.npz",
    ] {
        let error = refused(dir.path(), words);
        assert!(error.contains("to key"), "{words}: {error}");
    }
    let error = refused(
        dir.path(),
        "run m/server.plan --eval-key e.key y.ct -o out.ct",
    );
    assert!(
        error.contains("input \"output\": the plan has no such input"),
        "{error}"
    );
    let error = refused(
        dir.path(),
        "decrypt m/client.plan --secret-key s.key x.ct -o out.npz",
    );
    assert!(error.contains("do not fit the plan's outputs"), "{error}");
}

/// A secret key is never replaced, and no two keys go into one file.
#[test]
fn key_targets() {
    let dir = workplace();
    let before = fs::read(dir.path().join("s.key")).unwrap();
    let words = "keygen m/client.plan --secret-key s.key --eval-key new.key";
    let error = refused(dir.path(), words);
    assert!(error.contains("a secret key is never replaced"), "{error}");
    assert_eq!(fs::read(dir.path().join("s.key")).unwrap(), before);
    for words in [
        "keygen m/client.plan --secret-key a --eval-key ./a",
        "keygen m/client.plan --secret-key a --eval-key b --public-key m/../b",
    ] {
        let error = refused(dir.path(), words);
        assert!(
            error.contains("cannot go into one file"),
            "{words}: {error}"
        );
    }
    // Where the evaluation key cannot be written, no secret key is left behind.
    let words = "keygen m/client.plan --secret-key a --eval-key missing/b";
    assert_eq!(cli(dir.path(), words).status.code(), Some(2));
    assert!(!dir.path().join("a").exists());
}

/// A plan made by hand whose parameters are below its security target has a valid checksum, and is refused.
#[test]
fn weakened_plans() {
    use cipherloom::{ServerPlan, client_plan_to_bytes};
    let dir = workplace();
    let bytes = fs::read(dir.path().join("m/server.plan")).unwrap();
    let mut plan = ServerPlan::from_bytes(&bytes).unwrap().plan().clone();
    plan.params.security = cipherloom::Security::Classical256;
    let weak = ServerPlan::new(plan);
    fs::write(dir.path().join("m/server.plan"), weak.to_bytes()).unwrap();
    fs::write(
        dir.path().join("m/client.plan"),
        client_plan_to_bytes(&weak.client_plan()),
    )
    .unwrap();
    for words in [
        RUN,
        "explain m",
        "keygen m/client.plan --secret-key a --eval-key b",
        ENCRYPT,
    ] {
        let error = refused(dir.path(), words);
        assert!(error.contains("security"), "{words}: {error}");
    }
}

#[test]
fn inputs_that_do_not_fit() {
    let dir = workplace();
    let path = dir.path().join("bad.npy");
    let words = "encrypt m/client.plan --secret-key s.key --input bad.npy -o out.ct";
    write_npy(&path, &[1, 8, 8], |_| 0.5);
    let error = refused(dir.path(), words);
    let expected = "bad.npy: input \"input\" has shape [1, 8, 8]; the network takes [samples, 64]";
    assert!(error.contains(expected), "{error}");
    write_npy(&path, &[3, 64], |i| if i == 70 { f64::NAN } else { 0.5 });
    let error = refused(dir.path(), words);
    assert!(
        error.contains("input \"input\", index [1, 6]: NaN is not a finite number"),
        "{error}"
    );
    write_npy(&path, &[3, 64], |i| {
        if i == 128 { f64::NEG_INFINITY } else { 0.5 }
    });
    assert!(refused(dir.path(), words).contains("index [2, 0]: -inf is not a finite number"));
    write_npy(&path, &[2, 64], |i| if i == 127 { 1.75 } else { 0.5 });
    let error = refused(dir.path(), words);
    assert!(
        error.contains("input \"input\", index [1, 63]: 1.75 is outside [-0.5, 1.5]"),
        "{error}"
    );
    write_npy(&path, &[0, 64], |_| 0.5);
    assert!(refused(dir.path(), words).contains("holds no sample"));
    fs::write(&path, "text").unwrap();
    assert!(refused(dir.path(), words).contains("neither a .npy nor a .npz file"));
    let array = cipherloom::Tensor::filled(vec![1, 64], 0.5).unwrap();
    let two = cipherloom::data::npz::write(
        &[
            ("a", &array, cipherloom::DType::F32),
            ("b", &array, cipherloom::DType::F32),
        ],
        false,
    )
    .unwrap();
    fs::write(&path, two).unwrap();
    let error = refused(dir.path(), words);
    assert!(
        error.contains("input \"input\": no array of this name; the file has \"a\", \"b\""),
        "{error}"
    );
    for command in ["infer", "check"] {
        write_npy(&path, &[2, 64], |i| if i == 127 { 1.75 } else { 0.5 });
        let output = if command == "infer" {
            " -o out.npz"
        } else {
            ""
        };
        assert!(
            refused(dir.path(), &format!("{command} m --input bad.npy{output}"))
                .contains("outside")
        );
    }
}

#[test]
fn models_that_cannot_be_compiled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::write(path.join("bad.onnx"), "this is no model").unwrap();
    let error = refused(path, "compile bad.onnx -o out --input-range input=0,1");
    assert!(error.contains("bad.onnx is no ONNX file"), "{error}");
    fs::write(path.join("empty.onnx"), "").unwrap();
    assert!(
        refused(path, "compile empty.onnx -o out --input-range input=0,1").contains("empty.onnx")
    );
    let error = refused(path, "compile missing.onnx -o out");
    assert!(error.contains("missing.onnx"), "{error}");
    fs::write(path.join("floor.onnx"), model("Floor")).unwrap();
    let error = refused(
        path,
        "compile floor.onnx -o out --input-range x=0,1 --keep-tail",
    );
    assert!(
        error.contains("node 0") && error.contains("Floor") && error.contains("help:"),
        "{error}"
    );
    fs::write(path.join("top.onnx"), model("TopKernel")).unwrap();
    let error = refused(path, "compile top.onnx -o out --input-range x=0,1");
    assert!(
        error.contains("TopKernel") && error.contains("the-node"),
        "{error}"
    );
}

/// An ONNX model with one node between `x` and `y`, both `f32[1,4]`, in protobuf's wire format.
fn model(op: &str) -> Vec<u8> {
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, content.len() as u8];
        bytes.extend(content);
        bytes
    }
    let dim = |n: u8| field(1, &[0x08, n]);
    let shape = field(2, &[dim(1), dim(4)].concat());
    let tensor_type = field(1, &[&[0x08, 1], &shape[..]].concat());
    let value = |name: &str| [field(1, name.as_bytes()), field(2, &tensor_type)].concat();
    let node = [
        field(1, b"x"),
        field(2, b"y"),
        field(3, b"the-node"),
        field(4, op.as_bytes()),
    ]
    .concat();
    let graph = [
        field(1, &node),
        field(2, b"g"),
        field(11, &value("x")),
        field(12, &value("y")),
    ]
    .concat();
    let opset = field(8, &[0x10, 17]);
    [&[0x08, 8][..], &field(7, &graph), &opset].concat()
}

#[test]
fn options_that_make_no_sense() {
    let dir = workplace();
    let path = dir.path();
    let model = network("digits-mlp-square").model();
    let compile = format!("compile {} -o out", model.display());
    let error = refused(path, &compile);
    assert!(
        error.contains("--calibrate") && error.contains("--input-range"),
        "{error}"
    );
    let ranged = format!("{compile} --input-range input=0,1");
    for (option, expected) in [
        ("--backend tfhe", "give samples (--calibrate DATA.npz)"),
        ("--backend tfhe --security 192", "take `--backend ckks`"),
        ("--failure-probability 2", "a probability is written"),
        ("--backend tfhe --batch 4", "samples one by one"),
        ("--batch none", "a number from 1, or `max`"),
        ("--security 100", "the targets are 128, 192 and 256"),
        ("--margin 0.5", "margin"),
        ("--precision 39", "bits"),
        ("--max-memory 1000", "more than the 1000 of --max-memory"),
        ("--input-range z=0,1", "\"z\""),
        (
            "--stop-after nothing",
            "there is no pass \"nothing\"; the passes are",
        ),
        ("--output nothing", "nothing"),
        ("--input-range input=1,0", "the lower one first"),
        ("--nonsense", "unexpected argument '--nonsense'"),
    ] {
        let error = refused(path, &format!("{ranged} {option}"));
        assert!(error.contains(expected), "{option}: {error}");
    }
    fs::write(path.join("a.loom"), "").unwrap();
    assert!(refused(path, "compile a.loom -o out").contains("the program has no output"));
    assert!(refused(path, "nonsense").contains("unrecognized subcommand"));
    assert!(refused(path, "run m/server.plan").contains("required"));
    assert!(refused(path, &format!("{RUN} --threads 0")).contains("--threads 0"));
    assert!(refused(path, &format!("{DECRYPT} --share 40")).contains("may be shared with at most"));
    assert!(refused(path, "check m --input in.npy --margin 2").contains("compiled already"));
    let two =
        "encrypt m/client.plan --secret-key s.key --public-key p.key --input in.npy -o out.ct";
    assert!(refused(path, two).contains("cannot be used with"));
    let labels = format!(
        "check m --input in.npy --labels {}",
        image("digits-test-labels.npy").display()
    );
    assert!(refused(path, &labels).contains("labels: an array of shape [540] for 1 samples"));
}

#[test]
fn files_that_are_not_there() {
    let dir = workplace();
    for words in [
        RUN.replace("e.key", "gone"),
        RUN.replace("x.ct", "gone"),
        RUN.replace("m/server.plan", "gone"),
        DECRYPT.replace("s.key", "gone"),
        ENCRYPT.replace("in.npy", "gone"),
        "explain gone".into(),
        "check gone --input in.npy --input-range input=0,1".into(),
    ] {
        assert!(refused(dir.path(), &words).contains("gone"), "{words}");
    }
}

/// A result that cannot be written is the tool's failure, status 2; with `--json` the object says so.
#[test]
fn outputs_that_cannot_be_written() {
    let dir = workplace();
    let output = cli(dir.path(), &RUN.replace("out.ct", "no/such/folder/out.ct"));
    assert_eq!(output.status.code(), Some(2));
    let output = cli(
        dir.path(),
        &format!("{} --json", RUN.replace("e.key", "gone")),
    );
    assert_eq!(output.status.code(), Some(1));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["exit_status"], 1);
    assert!(object["error"].as_str().unwrap().contains("gone"));
    let help = cli(dir.path(), "compile --help");
    assert!(help.status.success() && help.stderr.is_empty() && !help.stdout.is_empty());
}

/// `-q` silences notes; results still come.
#[test]
fn quiet_is_quiet() {
    let dir = workplace();
    let output = cli(dir.path(), &format!("{RUN} -q"));
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
}

/// A value that leaves its range inside the network: a warning with the layer's name, and a result all the same.
#[test]
fn values_that_leave_their_range_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    // Calibrated on an image that is almost black, without a margin.
    write_npy(&path.join("dark.npy"), &[1, 64], |i| {
        if i == 0 { 1.0 } else { 0.01 }
    });
    write_npy(&path.join("bright.npy"), &[1, 64], |_| 1.0);
    let model = network("digits-mlp-square").model();
    let words = format!(
        "infer {} --calibrate dark.npy --margin 1 --input bright.npy -o out.npz",
        model.display()
    );
    let output = cli(path, &words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("warning: node 0 Gemm") && stderr.contains("leave the range"),
        "{stderr}"
    );
}
