//! The report as one HTML page that needs no other file.

use super::{Report, charts, human_bytes, text};
use std::fmt::Write;

const STYLE: &str = "body{font:14px sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse}\
td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd}td.l,th.l{text-align:left}\
tr.layer td{background:#f3f3f3;font-weight:bold;text-align:left}svg text{font-size:12px}.bar{background:#79a;height:.7em;display:inline-block}";

/// The report as HTML; every text that a model can choose is escaped.
pub fn html(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = render(report, &mut out);
    out
}

fn render(report: &Report, out: &mut String) -> std::fmt::Result {
    let name = escape(&report.name);
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><title>{name}</title>"
    )?;
    writeln!(out, "<style>{STYLE}</style></head><body>\n<h1>{name}</h1>")?;
    let rendered = text(report);
    let summary = rendered.split("\n\n").next().unwrap_or_default();
    writeln!(out, "<pre>{}</pre>", escape(summary))?;
    writeln!(
        out,
        "<p>Expected {:.1} ms on one thread, {} of memory (at least {}), {} of evaluation keys.</p>",
        1e3 * report.cost.latency_s,
        human_bytes(report.cost.run_bytes),
        human_bytes(report.cost.least_run_bytes),
        human_bytes(report.cost.eval_key_bytes)
    )?;
    charts::render(report, out)?;
    writeln!(
        out,
        "<h2>Steps</h2>\n<table>\n<tr><th class=\"l\">operation</th><th>level</th><th>scale, bits</th><th>noise, bits</th>\
         <th>approximation, bits</th>\
         <th>range</th><th>rotations</th><th>expected, ms</th><th class=\"l\"></th></tr>"
    )?;
    for layer in &report.layers {
        writeln!(
            out,
            "<tr class=\"layer\"><td colspan=\"7\">{}</td><td>{:.3}</td><td></td></tr>",
            escape(&layer.layer),
            1e3 * layer.latency_s
        )?;
        for step in &layer.steps {
            let bits = |b: Option<f64>| b.map_or_else(|| "–".into(), |b| format!("{b:.1}"));
            let (noise, approximation) = (bits(step.noise_bits), bits(step.approximation_bits));
            writeln!(
                out,
                "<tr><td class=\"l\" title=\"{}\">{}</td><td>{}</td><td>{:.2}</td><td>{noise}</td><td>{approximation}</td>\
                 <td>[{:.4}, {:.4}]</td><td>{}</td><td>{:.3}</td><td class=\"l\"><span class=\"bar\" style=\"width:{}em\"></span></td></tr>",
                escape(&step.detail),
                step.op,
                step.level,
                step.log_scale,
                step.range[0],
                step.range[1],
                step.rotations,
                1e3 * step.latency_s,
                step.level
            )?;
        }
    }
    writeln!(out, "</table></body></html>")
}

pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_escaped() {
        assert_eq!(
            escape("<a href='x'>&\"</a>"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;"
        );
    }
}
