//! Shell completions and manual pages name every command.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ok, refused};
use std::fs;

/// The commands that the help lists, but `help` itself.
fn commands(dir: &std::path::Path) -> Vec<String> {
    let help = ok(dir, "--help");
    let list = help.split("Commands:").nth(1).unwrap();
    let list = list.split("Options:").next().unwrap();
    let names = list
        .lines()
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "));
    let names = names.filter_map(|l| l.split_whitespace().next());
    names.filter(|n| *n != "help").map(str::to_owned).collect()
}

#[test]
fn every_shell_completes_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let commands = commands(dir.path());
    assert!(commands.len() >= 14, "{commands:?}");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = ok(dir.path(), &format!("completions {shell}"));
        for command in &commands {
            assert!(script.contains(command), "{shell}: {command}");
        }
        assert!(script.contains("input-range"), "{shell}");
    }
    let object = ok(dir.path(), "completions bash --json");
    let object: serde_json::Value = serde_json::from_str(&object).unwrap();
    assert_eq!(object["shell"], "bash");
    assert!(refused(dir.path(), "completions ksh").contains("possible values"));
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let commands = commands(dir.path());
    assert!(ok(dir.path(), "man").contains(".TH cipherloom 1"));
    ok(dir.path(), "man pages");
    let tool = fs::read_to_string(dir.path().join("pages/cipherloom.1")).unwrap();
    for command in &commands {
        assert!(
            tool.contains(&format!("cipherloom\\-{command}(1)")),
            "{command}: {tool}"
        );
        let path = dir.path().join(format!("pages/cipherloom-{command}.1"));
        let page = fs::read_to_string(path).unwrap();
        assert!(
            page.contains(&format!(".TH cipherloom-{command} 1")),
            "{page}"
        );
        assert!(
            page.contains("\\-\\-json"),
            "{command} has no global options"
        );
    }
    let pages = fs::read_dir(dir.path().join("pages")).unwrap().count();
    assert_eq!(pages, commands.len() + 1);
}
