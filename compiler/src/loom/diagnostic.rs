//! Faults of a program, drawn under the source line.

use super::ast::Span;
use std::fmt;

/// Faults that are drawn; the rest is counted.
const MAX_DRAWN: usize = 20;
/// Columns of a source line that are drawn.
const MAX_WIDTH: usize = 110;

/// A fault at a place of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Where.
    pub span: Span,
    /// What is wrong, short enough to stand under the line.
    pub message: String,
    /// More lines: where a function was called from, what to do.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// A fault without notes.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            notes: vec![],
        }
    }

    /// With advice.
    #[must_use]
    pub fn help(mut self, text: impl fmt::Display) -> Self {
        self.notes.push(format!("help: {text}"));
        self
    }
}

/// Why a program is refused: all faults, by place.
#[derive(Clone, Debug, PartialEq)]
pub struct LoomError {
    /// The program's name, as errors show it.
    pub file: String,
    /// Its text.
    pub source: String,
    /// The faults.
    pub faults: Vec<Diagnostic>,
    /// Whether the program was written in Rust: the text lists the places of calls, a line each.
    pub traced: bool,
}

/// Line and column of a byte, both from 1, the column in characters.
pub(super) fn line_column(source: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    let before = &source[..at];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[start..].chars().count() + 1)
}

impl LoomError {
    fn draw(&self, f: &mut fmt::Formatter<'_>, fault: &Diagnostic, width: usize) -> fmt::Result {
        let (line, column) = line_column(&self.source, fault.span.start);
        let text = self.source.lines().nth(line - 1).unwrap_or_default();
        if self.traced {
            write!(f, "\n  --> {text}\n   = {}", fault.message)?;
            let mut notes = fault.notes.iter();
            return notes.try_for_each(|note| write!(f, "\n   = {note}"));
        }
        // A place far to the right is drawn in a window of the line.
        let skipped = (column - 1).saturating_sub(MAX_WIDTH - 30);
        let shown: String = text
            .chars()
            .skip(skipped)
            .take(MAX_WIDTH)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let start = column - 1 - skipped;
        let length = self
            .source
            .get(fault.span.start..fault.span.end)
            .map_or(1, |marked| {
                marked.lines().next().unwrap_or("").chars().count()
            });
        let length = length.clamp(1, shown.chars().count().saturating_sub(start).max(1));
        writeln!(f, "\n{:width$}--> {}:{line}:{column}", "", self.file)?;
        writeln!(f, "{:width$} |", "")?;
        writeln!(f, "{line:>width$} | {shown}")?;
        write!(
            f,
            "{:width$} | {:start$}{} {}",
            "",
            "",
            "^".repeat(length),
            fault.message
        )?;
        for note in &fault.notes {
            write!(f, "\n{:width$} = {note}", "")?;
        }
        Ok(())
    }
}

/// Drawn without the leading `error: `.
impl fmt::Display for LoomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.faults.len() == 1 {
            "fault"
        } else {
            "faults"
        };
        write!(f, "{} {verb} in {}", self.faults.len(), self.file)?;
        let last = self.faults.iter().take(MAX_DRAWN).map(|d| d.span.start);
        let last = last.max().unwrap_or(0);
        let width = line_column(&self.source, last).0.to_string().len() + 1;
        for fault in self.faults.iter().take(MAX_DRAWN) {
            self.draw(f, fault, width)?;
        }
        match self.faults.len().saturating_sub(MAX_DRAWN) {
            0 => Ok(()),
            more => write!(f, "\n{:width$}.. and {more} more", ""),
        }
    }
}

impl std::error::Error for LoomError {}
