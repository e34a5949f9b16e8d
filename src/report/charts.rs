//! The page's drawings, as SVG within it: the graph, the time of each layer, sizes, the domains of polynomials, and level, noise and
//! approximation error along the plan.

use super::html::escape;
use super::{ApproximationReport, GraphReport, Report, StepReport, human_bytes};
use std::fmt::{Result, Write};

/// Width of a drawing.
const WIDTH: f64 = 1000.0;
/// Height of a line of text or a bar.
const LINE: f64 = 20.0;
/// Rows of the graph and of the bars, at most; further layers stand in the table alone.
const MOST_ROWS: usize = 400;

/// All drawings.
pub(super) fn render(report: &Report, out: &mut String) -> Result {
    writeln!(out, "<h2>Graph</h2>")?;
    graph(&report.graph, out)?;
    writeln!(out, "<h2>Time by layer</h2>")?;
    times(report, out)?;
    writeln!(out, "<h2>Sizes</h2>")?;
    sizes(report, out)?;
    if !report.approximations.is_empty() {
        writeln!(
            out,
            "<h2>Polynomials in place of functions, on their domains</h2>"
        )?;
        polynomials(&report.approximations, out)?;
    }
    let steps: Vec<&StepReport> = report.layers.iter().flat_map(|l| &l.steps).collect();
    writeln!(out, "<h2>Level, step by step</h2>")?;
    let level = |s: &StepReport| Some(s.level as f64);
    curves(&steps, &[("level", "#279", &level)], out)?;
    writeln!(
        out,
        "<h2>Deviation of noise and of the error of polynomials, in bits, step by step</h2>"
    )?;
    let noise = |s: &StepReport| s.noise_bits;
    let approximation = |s: &StepReport| s.approximation_bits;
    let series: [Series<'_>; 2] = [
        ("noise", "#279", &noise),
        ("polynomials", "#c52", &approximation),
    ];
    curves(&steps, &series, out)
}

fn open(height: f64, what: &str, out: &mut String) -> Result {
    writeln!(
        out,
        "<svg width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{what}\">"
    )
}

/// One node a line, in order; an arc leads from each to those that use it.
fn graph(graph: &GraphReport, out: &mut String) -> Result {
    const LEFT: f64 = 220.0;
    let rows = graph.nodes.len().min(MOST_ROWS);
    let y = |row: usize| LINE * (row as f64 + 0.5);
    open(LINE * rows as f64, "graph", out)?;
    for [from, to] in graph.edges.iter().filter(|[_, to]| *to < rows) {
        let reach = (10.0 * (to - from) as f64).min(LEFT - 20.0);
        writeln!(
            out,
            "<path d=\"M{LEFT} {} C{x} {} {x} {} {LEFT} {}\" fill=\"none\" stroke=\"#79a\"/>",
            y(*from),
            y(*from),
            y(*to),
            y(*to),
            x = LEFT - 1.3 * reach
        )?;
    }
    for (row, node) in graph.nodes.iter().take(rows).enumerate() {
        let fill = if node.kind == "layer" { "#79a" } else { "#c52" };
        writeln!(
            out,
            "<circle cx=\"{LEFT}\" cy=\"{}\" r=\"4\" fill=\"{fill}\"/><text x=\"{}\" y=\"{}\">{} {}</text>",
            y(row),
            LEFT + 12.0,
            y(row) + 4.0,
            node.kind,
            escape(&node.name)
        )?;
    }
    writeln!(out, "</svg>")
}

/// A bar for each layer.
fn times(report: &Report, out: &mut String) -> Result {
    let rows = report.layers.iter().map(|layer| Bar {
        name: &layer.layer,
        length: layer.latency_s,
        text: format!("{:.3} ms", 1e3 * layer.latency_s),
    });
    bars("time by layer", &rows.collect::<Vec<_>>(), out)
}

/// A bar for each size.
fn sizes(report: &Report, out: &mut String) -> Result {
    let cost = &report.cost;
    let rows = [
        ("evaluation keys", cost.eval_key_bytes),
        ("memory at the peak of a run", cost.run_bytes),
        ("least memory of a run", cost.least_run_bytes),
        ("plan", cost.plan_bytes),
        ("inputs", cost.input_bytes),
        ("outputs", cost.output_bytes),
    ];
    let rows = rows.map(|(name, bytes)| Bar {
        name,
        length: bytes as f64,
        text: human_bytes(bytes),
    });
    bars("sizes", &rows, out)
}

/// A row of a bar chart.
struct Bar<'r> {
    name: &'r str,
    length: f64,
    text: String,
}

/// Bars below each other, the longest over the whole width.
fn bars(what: &str, rows: &[Bar<'_>], out: &mut String) -> Result {
    const LEFT: f64 = 420.0;
    let rows = rows.get(..MOST_ROWS).unwrap_or(rows);
    let longest = rows.iter().map(|r| r.length);
    let longest = longest.fold(f64::MIN_POSITIVE, f64::max);
    open(LINE * rows.len() as f64, what, out)?;
    for (row, bar) in rows.iter().enumerate() {
        let y = LINE * row as f64;
        let length = (WIDTH - LEFT - 100.0) * bar.length / longest;
        writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" \
             fill=\"#79a\"/><text x=\"{:.1}\" y=\"{}\">{}</text>",
            LEFT - 8.0,
            y + 14.0,
            escape(&shortened(bar.name)),
            y + 3.0,
            LINE - 6.0,
            LEFT + length + 6.0,
            y + 14.0,
            bar.text
        )?;
    }
    writeln!(out, "</svg>")
}

/// The domain of each polynomial on one axis, with its degree and error.
fn polynomials(fits: &[ApproximationReport], out: &mut String) -> Result {
    const LEFT: f64 = 300.0;
    const MIDDLE: f64 = 620.0;
    let rows = fits.len().min(MOST_ROWS);
    let ends = || fits.iter().flat_map(|a| a.domain);
    let (lo, hi) = (ends().fold(0.0, f64::min), ends().fold(0.0, f64::max));
    let width = (hi - lo).max(f64::MIN_POSITIVE);
    let x = |v: f64| LEFT + (MIDDLE - LEFT) * (v - lo) / width;
    open(LINE * rows as f64, "polynomials", out)?;
    for (row, a) in fits.iter().take(rows).enumerate() {
        let y = LINE * row as f64;
        let [from, to] = a.domain.map(x);
        let undecided = a
            .dead_zone
            .map_or_else(String::new, |z| format!(" beyond {z:.1e}"));
        writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{} {}</text><rect x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" \
             height=\"{}\" fill=\"#c52\"/><text x=\"{}\" y=\"{}\">[{:.3}, {:.3}], degree {}, error {:.1e}{undecided}</text>",
            LEFT - 8.0,
            y + 14.0,
            escape(&shortened(&a.layer)),
            escape(&a.function),
            y + 3.0,
            to - from,
            LINE - 6.0,
            MIDDLE + 8.0,
            y + 14.0,
            a.domain[0],
            a.domain[1],
            a.degree,
            a.sup_error
        )?;
    }
    let zero = x(0.0);
    let bottom = LINE * rows as f64;
    writeln!(
        out,
        "<line x1=\"{zero:.1}\" y1=\"0\" x2=\"{zero:.1}\" y2=\"{bottom}\" stroke=\"#333\"/></svg>"
    )
}

/// A name's end, where it is long.
fn shortened(name: &str) -> String {
    const MOST: usize = 56;
    match name.chars().count().checked_sub(MOST) {
        None | Some(0) => name.to_owned(),
        Some(more) => format!("…{}", name.chars().skip(more + 1).collect::<String>()),
    }
}

/// A curve: its name, its colour, and its value at a step.
type Series<'s> = (&'s str, &'s str, &'s dyn Fn(&StepReport) -> Option<f64>);

/// Curves over the steps, with the least and the largest value at the axis.
fn curves(steps: &[&StepReport], series: &[Series<'_>], out: &mut String) -> Result {
    const LEFT: f64 = 60.0;
    const HEIGHT: f64 = 180.0;
    let values = |(_, _, of): &Series<'_>| steps.iter().filter_map(|s| of(s)).collect::<Vec<_>>();
    let all: Vec<f64> = series.iter().flat_map(values).collect();
    let lo = all.iter().copied().fold(f64::INFINITY, f64::min);
    let hi = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if all.is_empty() {
        return writeln!(out, "<p>There is none.</p>");
    }
    let height = (hi - lo).max(1e-9);
    let y = |v: f64| 10.0 + (HEIGHT - 20.0) * (hi - v) / height;
    let x = |i: usize| LEFT + (WIDTH - LEFT - 120.0) * i as f64 / steps.len().max(2) as f64;
    open(HEIGHT, "curves", out)?;
    for end in [lo, hi] {
        writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{end:.1}</text><line x1=\"{LEFT}\" y1=\"{:.1}\" x2=\"{}\" y2=\"{:.1}\" \
             stroke=\"#ddd\"/>",
            LEFT - 8.0,
            y(end) + 4.0,
            y(end),
            WIDTH - 120.0,
            y(end)
        )?;
    }
    for (row, (name, colour, of)) in series.iter().enumerate() {
        let points = steps.iter().enumerate();
        let points = points.filter_map(|(i, s)| Some(format!("{:.1},{:.1}", x(i), y(of(s)?))));
        writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/><text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>",
            points.collect::<Vec<_>>().join(" "),
            WIDTH - 112.0,
            LINE * (row as f64 + 1.0)
        )?;
    }
    writeln!(out, "</svg>")
}
