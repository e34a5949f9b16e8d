//! The text of each stage of each network, as reviewed; large constants are named by hash.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use common::{NETWORKS, cli_words};

fn emitted(network: &common::Network, stage: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut words = vec!["compile".to_owned(), network.model().display().to_string()];
    words.extend(["-o", "m", "-q", "--emit", stage].map(str::to_owned));
    words.extend(network.options());
    let output = cli_words(dir.path(), &words);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(dir.path().join("m/client.plan").exists());
    String::from_utf8(output.stdout).unwrap()
}

fn compare(stage: &str) {
    for network in &NETWORKS {
        insta::assert_snapshot!(format!("{}-{stage}", network.name), emitted(network, stage));
    }
}

#[test]
fn tensor_stage() {
    compare("tensor");
}

#[test]
fn circuit_stage() {
    compare("circuit");
}

#[test]
fn plan_stage() {
    compare("plan");
}

/// `--stop-after` prints the network and writes no plan; `--print-after` prints on standard error.
#[test]
fn passes_can_be_watched() {
    let dir = tempfile::tempdir().unwrap();
    let digits = common::network("digits-mlp-square");
    let compile = format!(
        "compile {} -o m --input-range input=0,1",
        digits.model().display()
    );
    let output = common::cli(dir.path(), &format!("{compile} --stop-after find-ranges"));
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("gemm"));
    assert!(!dir.path().join("m").exists());
    let output = common::cli(
        dir.path(),
        &format!("{compile} --print-after lower --time-passes -q"),
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("; after lower") && stderr.contains("patches  find-ranges"),
        "{stderr}"
    );
    assert!(output.stdout.is_empty());
    common::ok(
        dir.path(),
        &format!("{compile} --emit tensor=t.txt --emit plan=p.txt"),
    );
    let text = std::fs::read_to_string(dir.path().join("t.txt")).unwrap();
    assert!(text.contains("stage tensor"), "{text}");
    assert!(dir.path().join("p.txt").exists());
}
