//! The drawing of faults: STYLE's "An error that a person can act on".
//!
//! ```text
//! 2 of 14 nodes have no encrypted form
//!   --> lenet.onnx (opset 17)
//!    |  node 4   MaxPool "/pool1/MaxPool"  f32[1,6,24,24] -> f32[1,6,12,12]
//!    |           a maximum needs comparisons, which this backend has not
//!    = help: node 4: retrain with AveragePool
//! ```

use std::fmt;

/// One fault, as it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// What the fault is about: `node 4`.
    pub place: String,
    /// The operator; empty where the place is no operation.
    pub op: String,
    /// The operation's name.
    pub name: String,
    /// Types and shapes: `f32[1,6] -> f32[1,3]`.
    pub signature: String,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Draws the faults below a headline, without the leading `error: `. The same advice is given once.
///
/// # Errors
/// Those of the formatter.
pub fn draw(f: &mut fmt::Formatter<'_>, headline: &str, source: &str, rows: &[Row]) -> fmt::Result {
    write!(f, "{headline}\n  --> {source}")?;
    let width = |text: fn(&Row) -> String| {
        let widths = rows
            .iter()
            .filter(|r| !r.op.is_empty())
            .map(|r| text(r).chars().count());
        widths.max().unwrap_or(0)
    };
    let place = width(|r| r.place.clone());
    let op = width(|r| r.op.clone());
    let name = width(|r| format!("{:?}", r.name));
    for row in rows {
        if row.op.is_empty() {
            write!(f, "\n   |  {}", row.place)?;
        } else {
            let quoted = format!("{:?}", row.name);
            write!(
                f,
                "\n   |  {:<place$}  {:<op$} {quoted:<name$}  {}",
                row.place, row.op, row.signature
            )?;
        }
        write!(f, "\n   |  {:<place$}  {}", "", row.reason)?;
    }
    let mut given: Vec<(&str, Vec<&str>)> = vec![];
    for row in rows {
        let Some(help) = row.help.as_deref() else {
            continue;
        };
        match given.iter_mut().find(|(text, _)| *text == help) {
            Some((_, places)) if places.contains(&row.place.as_str()) => {}
            Some((_, places)) => places.push(&row.place),
            None => given.push((help, vec![&row.place])),
        }
    }
    for (help, places) in given {
        write!(f, "\n   = help: {}: {help}", gathered(&places))?;
    }
    Ok(())
}

/// `node 1, node 2` as `nodes 1, 2`.
fn gathered(places: &[&str]) -> String {
    let numbers: Option<Vec<&str>> = places.iter().map(|p| p.strip_prefix("node ")).collect();
    match numbers {
        Some(numbers) if numbers.len() > 1 => format!("nodes {}", numbers.join(", ")),
        _ => places.join(", "),
    }
}
