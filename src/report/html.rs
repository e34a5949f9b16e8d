//! The report as one HTML page that needs no other file.

use super::page::{Page, escape, group, grouped};
use super::{Report, StepReport, charts, fits, text};
use std::fmt::{Result, Write};

/// The report as HTML; every text that a model can choose is escaped.
pub fn html(report: &Report) -> String {
    let mut page = Page::new(&report.name, &text::facts(report));
    // Writing to a string cannot fail.
    let _ = sections(report, &mut page);
    page.finish()
}

fn sections(report: &Report, page: &mut Page) -> Result {
    let layers = report.layers.iter();
    let times = layers.map(|l| (l.layer.as_str(), l.latency_s));
    let cost = &report.cost;
    let sizes = [
        ("evaluation keys", cost.eval_key_bytes),
        ("memory at the peak of a run", cost.run_bytes),
        ("least memory of a run", cost.least_run_bytes),
        ("plan", cost.plan_bytes),
        ("inputs", cost.input_bytes),
        ("outputs", cost.output_bytes),
    ];
    charts::overview(&report.graph, times, &sizes, page)?;
    if !report.approximations.is_empty() {
        page.section("Polynomials in place of functions", |out| {
            fits::render(&report.approximations, out)
        })?;
    }
    page.section("Along the plan", |out| charts::along(report, out))?;
    page.section("Steps", |out| steps(report, out))
}

/// The table of all steps.
fn steps(report: &Report, out: &mut String) -> Result {
    let columns = [
        "level",
        "scale, bits",
        "noise, bits",
        "approximation, bits",
        "range",
        "rotations",
        "expected, ms",
    ];
    grouped(columns, out, |out| {
        for layer in &report.layers {
            group(&layer.layer, layer.rotations, layer.latency_s, out)?;
            layer.steps.iter().try_for_each(|s| step(s, out))?;
        }
        Ok(())
    })
}

fn step(step: &StepReport, out: &mut String) -> Result {
    let bits = |b: Option<f64>| b.map_or_else(|| "–".into(), |b| format!("{b:.1}"));
    let detail = match step.detail.as_str() {
        "" => String::new(),
        detail => format!("<small>{}</small>", escape(detail)),
    };
    writeln!(
        out,
        "<tr><td class=\"l wide\">{}{detail}</td><td>{}</td><td>{:.2}</td><td>{}</td><td>{}</td>\
         <td>[{:.4}, {:.4}]</td><td>{}</td><td>{:.3}</td></tr>",
        step.op,
        step.level,
        step.log_scale,
        bits(step.noise_bits),
        bits(step.approximation_bits),
        step.range[0],
        step.range[1],
        step.rotations,
        1e3 * step.latency_s
    )
}
