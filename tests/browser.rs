//! The pages of `explain --format html` in a real browser: Chromium, without a window. Where there is none these tests say so on
//! standard error and check nothing; `.ci/run` installs it where it can.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use common::{json, network, ok};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What measures a page from within, and leaves its findings in the document.
const MEASURE: &str = include_str!("browser/measure.js");

/// How wide a page is shown, and whether dark colours are wished for.
const VIEWS: [(u32, bool); 3] = [(1280, false), (480, true), (400, false)];

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path)
        .flat_map(|dir| names.map(|name| dir.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        // Past the test harness, which keeps what passing tests print.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no Chromium on the PATH; the pages of `explain --format html` were not looked at"
        );
    }
    found
}

/// Opens a page and yields the document as it is once it is loaded, and what the browser logged.
fn open(browser: &Path, page: &Path, dark: bool) -> Output {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--hide-scrollbars",
        "--dump-dom",
        "--window-size=1300,900",
    ]);
    if dark {
        command.arg("--force-dark-mode");
    }
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    let output = command.arg(page).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// What the console of the browser says.
fn console(output: &Output) -> Vec<String> {
    let log = String::from_utf8_lossy(&output.stderr);
    let lines = log.lines().filter(|l| l.contains("CONSOLE"));
    lines.map(str::to_owned).collect()
}

/// What a copy of the page without its policy measures in itself, in a frame: windows are not made as narrow as telephones.
fn measured(browser: &Path, dir: &Path, page: &str, (width, dark): (u32, bool)) -> Value {
    let policy = page.find("<meta http-equiv").unwrap();
    let end = policy + page[policy..].find('>').unwrap() + 1;
    let (front, back) = (&page[..policy], &page[end..]);
    let back = back.strip_suffix("</body></html>\n").unwrap();
    let inner = format!("{front}{back}<script>{MEASURE}</script></body></html>");
    let quoted = inner.replace('&', "&amp;").replace('"', "&quot;");
    let outer = format!(
        "<!DOCTYPE html><html style=\"color-scheme:light dark\"><body style=\"margin:0\">\
         <iframe style=\"border:0;width:{width}px;height:900px\" srcdoc=\"{quoted}\"></iframe></body></html>"
    );
    let file = dir.join("frame.html");
    std::fs::write(&file, outer).unwrap();
    let shown = open(browser, &file, dark);
    assert_eq!(console(&shown), [""; 0]);
    let document = String::from_utf8_lossy(&shown.stdout).into_owned();
    let (_, rest) = document.split_once("<pre id=\"found\">").unwrap();
    let (found, _) = rest.split_once("</pre>").unwrap();
    let plain = found.replace("&lt;", "<").replace("&gt;", ">");
    serde_json::from_str(&plain.replace("&amp;", "&")).unwrap()
}

/// Compares what a browser shows with the report, in each view.
fn check(dir: &Path, plan: &str) -> Option<Value> {
    let browser = chromium()?;
    let page = ok(dir, &format!("explain {plan} --format html"));
    let report = json(dir, &format!("explain {plan}"));
    // The page as it is gives nothing to complain about.
    let file = dir.join("page.html");
    std::fs::write(&file, &page).unwrap();
    let shown = open(&browser, &file, false);
    assert_eq!(console(&shown), [""; 0]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("</html>"));
    let mut last = None;
    for view in VIEWS {
        let found = measured(&browser, dir, &page, view);
        println!("{view:?} {found:#}");
        assert_eq!(found["width"], view.0);
        assert_eq!(found["dark"], view.1);
        assert_eq!(found["title"], report["name"]);
        // Nothing is fetched, nothing lies over anything else, nothing is cut off or too small to read.
        for none in [
            "resources",
            "overlapping",
            "outside",
            "spilling",
            "tiny",
            "faint",
        ] {
            assert_eq!(found[none], Value::Array(vec![]), "{none} at {view:?}");
        }
        let layers = report["layers"].as_array().unwrap();
        let steps = layers.iter().flat_map(|l| l["steps"].as_array().unwrap());
        let names: Vec<&Value> = layers.iter().map(|l| &l["layer"]).collect();
        assert_eq!(found["bars"], serde_json::to_value(&names).unwrap());
        assert_eq!(found["groups"], serde_json::to_value(&names).unwrap());
        // Three decimals of the milliseconds of each step.
        let times: Vec<String> = steps
            .map(|s| format!("{:.3}", 1e3 * s["latency_s"].as_f64().unwrap()))
            .collect();
        assert_eq!(found["times"], serde_json::to_value(&times).unwrap());
        let nodes = report["graph"]["nodes"].as_array().unwrap();
        let drawn: Vec<&Value> = nodes.iter().map(|n| &n["name"]).collect();
        assert_eq!(found["nodes"], serde_json::to_value(&drawn).unwrap());
        assert_eq!(
            found["edges"],
            report["graph"]["edges"].as_array().unwrap().len()
        );
        last = Some(found);
    }
    last
}

#[test]
fn a_network_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let lola = network("lola");
    let options = lola.options().join(" ");
    let model = lola.model();
    ok(
        dir.path(),
        &format!("compile {} -o lola {options} -q", model.display()),
    );
    if let Some(found) = check(dir.path(), "lola") {
        assert_eq!(found["fits"], Value::Array(vec![]));
    }
}

/// Every function is drawn, with the polynomial near it, over the whole domain.
#[test]
fn functions_and_polynomials_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let program = "input x: encrypted[4] in 1..3\n\
                   let s = sqrt(x @ ones([4, 4])) + inverse(x + 1)\n\
                   output y = (sign(x - 2) * s) @ ones([4, 2])\n\
                   output z = tanh(x)\n";
    std::fs::write(dir.path().join("a&b <i>.loom"), program).unwrap();
    let words = [
        "compile",
        "a&b <i>.loom",
        "-o",
        "plan",
        "-q",
        "--precision",
        "8",
    ];
    let output = common::cli_words(dir.path(), &words.map(str::to_owned));
    assert!(output.status.success(), "{output:?}");
    let Some(found) = check(dir.path(), "plan") else {
        return;
    };
    let report = json(dir.path(), "explain plan");
    let approximations = report["approximations"].as_array().unwrap();
    let fits = found["fits"].as_array().unwrap();
    assert_eq!((approximations.len(), fits.len()), (4, 4));
    for (a, fit) in approximations.iter().zip(fits) {
        let text = fit["text"].as_str().unwrap();
        for part in ["layer", "formula"] {
            assert!(text.contains(a[part].as_str().unwrap()), "{part}: {text}");
        }
        let error = a["sup_error"].as_f64().unwrap();
        assert!(
            text.contains(&format!("error at most {error:.1e}")),
            "{text}"
        );
        assert!(text.contains(&format!("degree {}", a["degree"])), "{text}");
        // Both curves go from one end of the frame to the other, within it, and the polynomial's keeps close but at a jump.
        for curve in ["function", "polynomial"] {
            let reach = &fit[curve]["reach"];
            assert!(reach.as_f64().unwrap() > 0.99, "{curve} of {text}: {reach}");
            let height = &fit[curve]["height"];
            assert!(
                height.as_f64().unwrap() > 0.5,
                "{curve} of {text}: {height}"
            );
        }
        if a["function"] != "sign" {
            let apart = fit["apart"].as_f64().unwrap();
            assert!(apart < 0.03, "{text}: {apart} of the frame apart");
        }
        assert!(fit["seen"].as_f64().unwrap() > 0.4, "{text}");
    }
}

#[cfg(feature = "tfhe")]
#[test]
fn a_plan_of_lookups_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let model = common::data("models/breast-cancer-mlp.onnx");
    let samples = common::image("breast-cancer-calib.npz");
    let words = format!(
        "compile {} -o mlp --calibrate {} --backend tfhe -q",
        model.display(),
        samples.display()
    );
    ok(dir.path(), &words);
    check(dir.path(), "mlp");
}
