//! `diff`, and models compiled by build scripts.

// A test may panic, in its helpers too.
#![allow(clippy::unwrap_used)]

mod common;

use cipherloom::build::Build;
use cipherloom::{Compiler, Range};
use common::{cli, json, network, ok, refused};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A program compiled into a folder.
fn compiled(dir: &Path, name: &str, program: &str, options: &str) {
    fs::write(dir.join("p.loom"), program).unwrap();
    ok(dir, &format!("compile p.loom -o {name} {options}"));
}

#[test]
fn changes_are_told_and_limits_fail() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    compiled(
        path,
        "old",
        "input x: encrypted[4] in 0..1\noutput y = x^2\n",
        "-q",
    );
    compiled(
        path,
        "new",
        "input x: encrypted[4] in 0..1\noutput y = x^2 * x[::-1]\n",
        "-q",
    );
    fs::write(path.join("old.json"), ok(path, "explain old --format json")).unwrap();

    // The same plan, from its folder, its file and its printed report.
    let same = ok(
        path,
        "diff old.json old/server.plan --limit latency=0 --limit precision=0",
    );
    assert!(
        same.contains("the same plan") && !same.contains("layer"),
        "{same}"
    );
    let same = json(path, "diff old old.json");
    assert_eq!(same["same_plan"], true);
    assert_eq!(same["layers"], serde_json::json!([]));

    // What changed, in text and as an object.
    let text = ok(path, "diff old.json new");
    assert!(text.contains("levels") && text.contains(" %"), "{text}");
    let found = json(path, "diff old new");
    let quantities = found["quantities"].as_array().unwrap();
    let levels = quantities
        .iter()
        .find(|q| q["quantity"] == "levels")
        .unwrap();
    let explained =
        |plan: &str| json(path, &format!("explain {plan}"))["parameters"]["levels"].as_f64();
    assert_eq!(levels["old"].as_f64(), explained("old"));
    assert_eq!(levels["new"].as_f64(), explained("new"));
    assert!(levels["new"].as_f64() > levels["old"].as_f64());
    assert_eq!(found["exceeded"], serde_json::json!([]));

    // A limit that is exceeded: the report as ever, one object at most, and status 1.
    for words in [
        "diff old new --limit levels=0",
        "diff old new --limit levels=0 --json",
    ] {
        let output = cli(path, words);
        assert_eq!(output.status.code(), Some(1), "{words}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains("1 limit(s) exceeded: levels=0: levels was"),
            "{stderr}"
        );
        let stdout = String::from_utf8(output.stdout).unwrap();
        if words.ends_with("--json") {
            let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
            assert_eq!(found["exceeded"].as_array().unwrap().len(), 1);
        } else {
            assert!(stdout.contains("limit exceeded: levels=0"), "{stdout}");
        }
    }
    ok(path, "diff new old --limit levels=0");

    // Input that is wrong.
    assert!(refused(path, "diff old missing").contains("missing"));
    assert!(refused(path, "diff old new --limit speed=1").contains("rotation-keys"));
    fs::write(path.join("bad.json"), "{\"name\": \"m\"}").unwrap();
    assert!(refused(path, "diff old bad.json").contains("explain --format json"));
}

/// The files below a folder and what they hold.
fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let below = tree(&entry.path()).into_iter();
            found.extend(below.map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        } else {
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn build_scripts_embed_the_same_plans_wherever_they_run() {
    let package = tempfile::tempdir().unwrap();
    let path = package.path();
    fs::create_dir(path.join("models")).unwrap();
    fs::copy(
        network("digits-mlp-square").model(),
        path.join("models/digits.onnx"),
    )
    .unwrap();
    let program = "input x: encrypted[1, 64] in 0..1\nlet net = model \"digits.onnx\"\n\
                   let scale = load(\"scale.npy\")\noutput y = net(x) * scale\n";
    fs::write(path.join("models/scaled.loom"), program).unwrap();
    common::write_npy(&path.join("models/scale.npy"), &[10], |i| 1.0 + i as f64);

    let built = |out: &Path| {
        let mut build = Build::between(path, out);
        let model = build.model("models/digits.onnx").unwrap();
        let range = Range { lo: 0.0, hi: 1.0 };
        let compiled = Compiler::new()
            .input_range("input", range)
            .compile(&model)
            .unwrap();
        build.embed("digits", &compiled).unwrap();
        for bad in ["digits", "Digits", "match", "2d", "", "a-b"] {
            assert_eq!(
                build.embed(bad, &compiled).unwrap_err().exit_status(),
                1,
                "{bad}"
            );
        }
        let program = build.model("models/scaled.loom").unwrap();
        build
            .embed("scaled", &Compiler::new().compile(&program).unwrap())
            .unwrap();
        build.depends_on("models/calibration.npz");
        let lines = build.directives();
        build.finish().unwrap();
        lines
    };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let lines = built(first.path());
    let full = |name: &str| {
        format!(
            "cargo::rerun-if-changed={}",
            path.join("models").join(name).display()
        )
    };
    let files = ["digits.onnx", "scaled.loom", "scale.npy", "calibration.npz"];
    assert_eq!(
        lines.iter().collect::<std::collections::BTreeSet<_>>(),
        files.map(full).iter().collect()
    );
    assert_eq!(lines.len(), files.len(), "{lines:?}");
    assert_eq!(built(second.path()), lines);
    let tree = [first.path(), second.path()].map(tree);
    assert!(tree[0] == tree[1], "a second build differs");
    assert_eq!(tree[0].len(), 9, "{:?}", tree[0].keys());
    let source = String::from_utf8(tree[0]["plans.rs"].clone()).unwrap();
    assert!(source.contains("pub mod scaled {") && !source.contains(&path.display().to_string()));
    // What is embedded is what `compile` writes.
    let words = format!(
        "compile {} -o m -q --backend ckks --input-range input=0,1",
        path.join("models/digits.onnx").display()
    );
    ok(second.path(), &words);
    assert!(
        tree[0]["digits/server.plan"] == fs::read(second.path().join("m/server.plan")).unwrap()
    );
    assert_eq!(
        String::from_utf8_lossy(&tree[0]["digits/explain.json"]),
        ok(second.path(), "explain m --json")
    );
}

#[test]
fn pages_of_explain_need_no_other_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let program = "input x: encrypted[4] in 1..2\noutput y = sqrt(x @ ones([4, 4])) + x\n";
    compiled(path, "<a&b>", program, "-q --precision 8");
    let page = ok(path, "explain <a&b> --format html");
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    let parsed = roxmltree::Document::parse_with_options(&page, options).unwrap();
    for outside in [
        "http:", "https:", "src=", "href", "<script", "<link", "@import", "url(",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    let elements = |name: &'static str| {
        let all = parsed.descendants();
        all.filter(move |n| n.is_element() && n.tag_name().name() == name)
    };
    let drawn: Vec<&str> = elements("svg")
        .filter_map(|n| n.attribute("aria-label"))
        .collect();
    let report = json(path, "explain <a&b>");
    let [layer] = &report["approximations"].as_array().unwrap()[..] else {
        panic!("one function is approximated");
    };
    let polynomial = format!(
        "sqrt and its polynomial, {}",
        layer["layer"].as_str().unwrap()
    );
    assert_eq!(drawn, ["graph", &polynomial, "level", "deviation in bits"]);
    let figures: Vec<&str> = elements("figure")
        .filter_map(|n| n.attribute("aria-label"))
        .collect();
    assert_eq!(figures, ["time by layer", "sizes"]);
    // Nothing is drawn beyond its drawing: all have the same units.
    let number = |of: roxmltree::Node<'_, '_>, name: &str| -> f64 {
        of.attribute(name).unwrap_or("0").parse().unwrap()
    };
    for bar in elements("rect") {
        let (x, width) = (number(bar, "x"), number(bar, "width"));
        assert!(x >= 0.0 && width >= 0.0 && x + width <= 460.0, "{bar:?}");
    }
    // The function's curve holds the root of what lies at the ends of the domain and between.
    let curve = elements("polyline").find(|n| n.attribute("class") == Some("a"));
    let points = curve.unwrap().attribute("points").unwrap().split(' ');
    let points: Vec<(f64, f64)> = points
        .map(|p| p.split_once(',').unwrap())
        .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
        .collect();
    let [lo, hi]: [f64; 2] = serde_json::from_value(layer["domain"].clone()).unwrap();
    let (first, last) = (points[0], points[points.len() - 1]);
    for (x, y) in &points {
        let value = lo + (hi - lo) * (x - first.0) / (last.0 - first.0);
        let part = (value.sqrt() - lo.sqrt()) / (hi.sqrt() - lo.sqrt());
        let drawn = (y - first.1) / (last.1 - first.1);
        assert!((part - drawn).abs() < 0.01, "{value}: {part} {drawn}");
    }
    let layers = report["layers"].as_array().unwrap();
    for layer in layers {
        let name = layer["layer"].as_str().unwrap().replace('"', "&quot;");
        assert!(page.contains(&name), "{layer}");
    }
    // The graph: every layer uses something before it, and all is used but outputs.
    let nodes = report["graph"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), layers.len() + 2);
    let edges: Vec<(u64, u64)> = serde_json::from_value(report["graph"]["edges"].clone()).unwrap();
    for (i, node) in (0..).zip(nodes) {
        let used = edges.iter().any(|(from, to)| *from == i && to > from);
        assert_eq!(used, node["kind"] != "output", "{node}");
        let uses = edges.iter().any(|(_, to)| *to == i);
        assert_eq!(uses, node["kind"] != "input", "{node}");
    }
}
