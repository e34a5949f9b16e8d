//! What lookups turn integers into, drawn.

use super::page::escape;
use super::plot::{Panel, open, range_of};
use cipherloom_ir::integer::{IntegerPlan, StepOp};
use std::fmt::{Result, Write};

/// Tables that are drawn, at most.
const MOST_TABLES: usize = 32;
/// Points of a drawing, at most.
const MOST_POINTS: usize = 512;

/// A lookup's first table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableReport {
    /// The layer, as the model names it.
    pub layer: String,
    /// The table's name.
    pub name: String,
    /// The tables of the lookup: one for all elements, or one for each.
    pub count: usize,
    /// The entries.
    pub entries: Vec<i64>,
}

/// The first table of each lookup, the same one only once.
pub(super) fn tables(plan: &IntegerPlan) -> Vec<TableReport> {
    let mut found: Vec<TableReport> = Vec::new();
    for step in &plan.steps {
        let StepOp::Lookup { tables, .. } = &step.op else {
            continue;
        };
        let first = tables.first().and_then(|t| plan.tables.get(*t as usize));
        let Some(table) = first else {
            continue;
        };
        let known = |t: &TableReport| t.name == table.name && t.entries == table.entries;
        if found.len() < MOST_TABLES && !found.iter().any(known) {
            found.push(TableReport {
                layer: step.origin.clone(),
                name: table.name.clone(),
                count: tables.len(),
                entries: table.entries.clone(),
            });
        }
    }
    found
}

/// A drawing for each table.
pub(super) fn render(tables: &[TableReport], out: &mut String) -> Result {
    writeln!(out, "<div class=\"plots\">")?;
    for table in tables {
        let first = match table.count {
            1 => String::new(),
            n => format!(", the first of {n} tables"),
        };
        writeln!(
            out,
            "<figure><figcaption><b>{}</b><br/>{}{first}: {} entries</figcaption>",
            escape(&table.layer),
            escape(&table.name),
            table.entries.len()
        )?;
        draw(table, out)?;
        writeln!(out, "</figure>")?;
    }
    writeln!(out, "</div>")
}

fn draw(table: &TableReport, out: &mut String) -> Result {
    let count = table.entries.len();
    let panel = Panel {
        x: [-0.5, count as f64 - 0.5],
        y: range_of(table.entries.iter().map(|v| *v as f64)),
        rows: [6.0, 168.0],
    };
    open(
        &format!("table {}, {}", table.name, table.layer),
        190.0,
        "table",
        out,
    )?;
    panel.axes(5, true, out)?;
    let entries = table.entries.iter().enumerate();
    let entries = entries.step_by(count.div_ceil(MOST_POINTS).max(1));
    // Each entry is a step from half an index before to half an index behind.
    let points = entries.flat_map(|(i, v)| [-0.5, 0.5].map(|d| [i as f64 + d, *v as f64]));
    panel.curve(&("a", points.collect()), out)?;
    writeln!(out, "</svg>")
}
