//! The page's drawings but for polynomials: the graph, the time of each layer, sizes, and level, noise and approximation error
//! along the plan.

use super::page::{Bar, MOST_ROWS, Page, bars, escape, more};
use super::plot::{Panel, key, open, range_of};
use super::{GraphReport, Report, StepReport, human_bytes};
use std::fmt::{Result, Write};

/// Height of a row of the graph.
const LINE: f64 = 18.0;
/// Characters of a name beside the graph.
const MOST_CHARACTERS: usize = 50;

/// The sections that pages of both backends begin with.
pub(super) fn overview<'r>(
    nodes: &GraphReport,
    layers: impl Iterator<Item = (&'r str, f64)>,
    bytes: &[(&str, u64)],
    page: &mut Page,
) -> Result {
    page.section("Graph", |out| graph(nodes, out))?;
    page.section("Expected time by layer, one thread", |out| {
        times(layers, out)
    })?;
    page.section("Sizes", |out| sizes(bytes, out))
}

/// One node a line, in order; an arc leads from each to those that use it.
fn graph(graph: &GraphReport, out: &mut String) -> Result {
    const LEFT: f64 = 96.0;
    let rows = graph.nodes.len().min(MOST_ROWS);
    let y = |row: usize| LINE * (row as f64 + 0.5);
    open("graph", LINE * rows as f64, "graph", out)?;
    for [from, to] in graph.edges.iter().filter(|[_, to]| *to < rows) {
        // A curve reaches three quarters as far as its control points.
        let reach = (9.0 * (to - from) as f64).min(1.3 * (LEFT - 4.0));
        writeln!(
            out,
            "<path class=\"edge\" d=\"M{LEFT} {} C{x} {} {x} {} {LEFT} {}\"/>",
            y(*from),
            y(*from),
            y(*to),
            y(*to),
            x = LEFT - reach
        )?;
    }
    for (row, node) in graph.nodes.iter().take(rows).enumerate() {
        let class = if node.kind == "layer" {
            "layer"
        } else {
            "port"
        };
        let text = match node.kind {
            "layer" => node.name.clone(),
            kind => format!("{kind} {}", node.name),
        };
        writeln!(
            out,
            "<g><title>{}</title><circle class=\"{class}\" cx=\"{LEFT}\" cy=\"{}\" r=\"4\"/><text x=\"{}\" y=\"{}\">{}</text></g>",
            escape(&node.name),
            y(row),
            LEFT + 11.0,
            y(row) + 3.5,
            escape(&shortened(&text))
        )?;
    }
    writeln!(out, "</svg>")?;
    more(graph.nodes.len(), out)
}

/// A text's beginning and end, where it is long.
fn shortened(text: &str) -> String {
    const ENDS: usize = MOST_CHARACTERS / 2;
    let count = text.chars().count();
    if count <= MOST_CHARACTERS {
        return text.to_owned();
    }
    let front: String = text.chars().take(ENDS - 1).collect();
    let back: String = text.chars().skip(count - ENDS).collect();
    format!("{front}…{back}")
}

/// A bar for each layer.
fn times<'r>(layers: impl Iterator<Item = (&'r str, f64)>, out: &mut String) -> Result {
    let rows = layers.map(|(name, seconds)| Bar {
        name,
        length: seconds,
        text: format!("{:.3} ms", 1e3 * seconds),
    });
    bars("time by layer", &rows.collect::<Vec<_>>(), out)
}

/// A bar for each size in bytes.
fn sizes(rows: &[(&str, u64)], out: &mut String) -> Result {
    let rows = rows.iter().map(|(name, bytes)| Bar {
        name,
        length: *bytes as f64,
        text: human_bytes(*bytes),
    });
    bars("sizes", &rows.collect::<Vec<_>>(), out)
}

/// A curve along the steps: its class, its name, and its value at a step.
pub(super) type Series<'s> = (&'s str, &'s str, &'s dyn Fn(&StepReport) -> Option<f64>);

/// Level, noise and the error of polynomials, step by step.
pub(super) fn along(report: &Report, out: &mut String) -> Result {
    let level = |s: &StepReport| Some(s.level as f64);
    let noise = |s: &StepReport| s.noise_bits;
    let approximation = |s: &StepReport| s.approximation_bits;
    writeln!(out, "<div class=\"plots\">")?;
    curves(report, "level", &[("a", "level", &level)], out)?;
    let deviations: [Series<'_>; 2] = [
        ("a", "noise", &noise),
        ("b", "error of polynomials", &approximation),
    ];
    curves(report, "deviation in bits", &deviations, out)?;
    writeln!(out, "</div>")
}

/// Curves over the steps; every other layer has a ground of its own.
fn curves(report: &Report, what: &str, series: &[Series<'_>], out: &mut String) -> Result {
    const HEIGHT: f64 = 190.0;
    let steps = || report.layers.iter().flat_map(|l| &l.steps);
    let points = |of: &dyn Fn(&StepReport) -> Option<f64>| -> Vec<[f64; 2]> {
        let numbered = (1..).zip(steps());
        let known = numbered.filter_map(|(i, s)| Some([f64::from(i), of(s)?]));
        known.collect()
    };
    let found = series.iter().map(|(class, _, of)| (*class, points(of)));
    let found: Vec<_> = found.filter(|(_, p)| !p.is_empty()).collect();
    let values: Vec<f64> = found.iter().flat_map(|(_, p)| p).map(|[_, y]| *y).collect();
    let panel = Panel {
        x: [0.5, steps().count() as f64 + 0.5],
        y: range_of(values.iter().copied()),
        rows: [6.0, 168.0],
    };
    let present = |class: &str| found.iter().any(|(c, _)| *c == class);
    let keys = series.iter().filter(|(class, ..)| present(class));
    let keys: String = keys.map(|(class, name, _)| key(class, name)).collect();
    writeln!(
        out,
        "<figure><figcaption><b>{what}</b>, step by step; layers alternate in ground<br/>{keys}</figcaption>"
    )?;
    open(what, HEIGHT, "along", out)?;
    let mut first = 0.5;
    for (i, layer) in report.layers.iter().enumerate() {
        let last = first + layer.steps.len() as f64;
        if i % 2 == 0 {
            panel.band("seen", [first, last], out)?;
        }
        first = last;
    }
    panel.axes(5, true, out)?;
    for curve in &found {
        panel.curve(curve, out)?;
    }
    writeln!(out, "</svg></figure>")
}

#[cfg(test)]
mod tests {
    use super::super::plot::WIDTH;
    use super::*;

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("node 1"), "node 1");
        let long = format!("begin{}end", "é".repeat(60));
        let short = shortened(&long);
        assert_eq!(short.chars().count(), MOST_CHARACTERS);
        assert!(short.starts_with("beginé") && short.ends_with("éend") && short.contains('…'));
        // What fits is drawn within the page.
        assert!(107.0 + 6.7 * MOST_CHARACTERS as f64 <= WIDTH);
    }
}
