//! The report of a plan of the TFHE backend, as text and as a page.

use super::integer::{IntegerPortReport, IntegerReport, IntegerStep};
use super::page::{Page, escape, group, grouped};
use super::text::{hanging, operation, tail, write_facts};
use super::{Fact, charts, human_bytes, tables};
use std::fmt::{Result, Write};

/// The report as text for a terminal; fixed columns stand on the left.
pub fn integer_text(report: &IntegerReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = render(report, &mut out);
    out
}

/// The report as one HTML page; every text that a model can choose is escaped.
pub fn integer_html(report: &IntegerReport) -> String {
    let mut page = Page::new(&report.name, &facts(report));
    // Writing to a string cannot fail.
    let _ = sections(report, &mut page);
    page.finish()
}

fn bits(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |b| format!("{b:.1}"))
}

/// All that is said of a plan as a whole.
fn facts(report: &IntegerReport) -> Vec<Fact> {
    let (p, c, f) = (&report.parameters, &report.cost, &report.failure);
    let several = c.latency_by_threads.iter();
    let several: String = several
        .map(|l| format!(", {:.1} on {}", 1e3 * l.latency_s, l.threads))
        .collect();
    let mut facts = vec![
        Fact::new("model", format!("{} · from {}", report.name, report.source)),
        Fact::new("plan", &report.plan_id),
    ];
    facts.extend(report.choice.as_ref().map(|c| Fact::new("backend", c)));
    let rest = [
        (
            "security",
            format!(
                "{} bits: a published set of the crate `tfhe`, 132 bits by its makers' estimate",
                report.security.target
            ),
        ),
        (
            "parameters",
            format!(
                "{}, {}: n = {}, k = {}, N = 2^{}",
                p.scheme, p.set, p.lwe_dimension, p.glwe_dimension, p.log_n
            ),
        ),
        (
            "latency",
            format!(
                "{:.1} ms expected on one thread{several} ({} bootstraps of {:.1} ms, {} multiply-accumulates of a ciphertext)",
                1e3 * c.latency_s,
                c.bootstraps,
                1e3 * c.bootstrap_s,
                c.macs
            ),
        ),
        (
            "failure",
            format!(
                "2^{} at most of any lookup or number (limit 2^{}), 2^{} of a run",
                bits(f.largest),
                f.limit,
                bits(f.run)
            ),
        ),
        (
            "sizes",
            format!(
                "server keys {}, plan {}, inputs {}, outputs {}",
                human_bytes(c.eval_key_bytes),
                human_bytes(c.plan_bytes),
                human_bytes(c.input_bytes),
                human_bytes(c.output_bytes)
            ),
        ),
        (
            "memory",
            format!("{} at the peak of a run", human_bytes(c.run_bytes)),
        ),
    ];
    facts.extend(rest.map(|(label, value)| Fact::new(label, value)));
    let inputs = report.inputs.iter().map(|p| described(p, "accepts"));
    facts.extend(inputs.map(|p| Fact::new("input", p)));
    let outputs = report.outputs.iter().map(|p| described(p, "expects"));
    facts.extend(outputs.map(|p| Fact::new("output", p)));
    facts.extend(tail(&report.tail));
    facts
}

fn described(port: &IntegerPortReport, verb: &str) -> String {
    let slack = match port.slack {
        0 => String::new(),
        n => format!(", off by {n} at most"),
    };
    format!(
        "{:?} {:?} in {} ciphertext(s) of integers [{}, {}]{slack}; {verb} [{:.4}, {:.4}]",
        port.name,
        port.shape,
        port.ciphertexts,
        port.integers[0],
        port.integers[1],
        port.range[0],
        port.range[1]
    )
}

fn render(report: &IntegerReport, out: &mut String) -> Result {
    write_facts(&facts(report), out)?;
    writeln!(
        out,
        "\nlength  delta   noise  failure        ms | range                 | operation"
    )?;
    for layer in &report.layers {
        let left = format!(
            "                              {:>10.3} |                       | ",
            1e3 * layer.latency_s
        );
        hanging(&left, &layer.layer, out)?;
        for step in &layer.steps {
            let range = format!("[{}, {}]", step.integers[0], step.integers[1]);
            let left = format!(
                "{:>6}  {:>5}  {:>6}  {:>7}  {:>8.3} | {range:<21} |   ",
                step.length,
                step.log_delta,
                bits(step.noise_bits),
                bits(step.failure),
                1e3 * step.latency_s
            );
            operation(&left, step.op, &step.detail, out)?;
        }
    }
    Ok(())
}

fn sections(report: &IntegerReport, page: &mut Page) -> Result {
    let layers = report.layers.iter();
    let times = layers.map(|l| (l.layer.as_str(), l.latency_s));
    let cost = &report.cost;
    let sizes = [
        ("server keys", cost.eval_key_bytes),
        ("memory at the peak of a run", cost.run_bytes),
        ("plan", cost.plan_bytes),
        ("inputs", cost.input_bytes),
        ("outputs", cost.output_bytes),
    ];
    charts::overview(&report.graph, times, &sizes, page)?;
    if !report.tables.is_empty() {
        page.section("Tables of lookups", |out| {
            tables::render(&report.tables, out)
        })?;
    }
    page.section("Steps", |out| steps(report, out))
}

/// The table of all steps.
fn steps(report: &IntegerReport, out: &mut String) -> Result {
    let columns = [
        "numbers",
        "delta, bits",
        "noise, bits",
        "failure, bits",
        "integers",
        "bootstraps",
        "expected, ms",
    ];
    grouped(columns, out, |out| {
        for layer in &report.layers {
            group(&layer.layer, layer.bootstraps, layer.latency_s, out)?;
            layer.steps.iter().try_for_each(|s| step(s, out))?;
        }
        Ok(())
    })
}

fn step(step: &IntegerStep, out: &mut String) -> Result {
    writeln!(
        out,
        "<tr><td class=\"l wide\">{}<small>{}</small></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td>[{}, {}]</td><td>{}</td><td>{:.3}</td></tr>",
        step.op,
        escape(&step.detail),
        step.length,
        step.log_delta,
        bits(step.noise_bits),
        bits(step.failure),
        step.integers[0],
        step.integers[1],
        step.bootstraps,
        1e3 * step.latency_s
    )
}
