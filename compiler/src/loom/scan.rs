//! The first look at a program: comments, brackets and where statements begin.
//!
//! A statement ends where a line begins with a word, unless brackets are open or the line before ends in an operator or
//! a comma. A word that begins statements ends round and square brackets too: they were left open by mistake.

use super::ast::{Comment, Span};
use super::diagnostic::Diagnostic;

/// The longest program, in bytes; longer lists of numbers belong into a `.npz` file.
pub const MAX_LENGTH: usize = 1 << 20;
/// The most brackets within each other. It bounds the recursion of the parser.
pub const MAX_DEPTH: usize = 40;

/// A program cut into statements.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) statements: Vec<Span>,
    pub(super) comments: Vec<Comment>,
    pub(super) faults: Vec<Diagnostic>,
}

struct Scanner<'a> {
    source: &'a str,
    scan: Scan,
    open: Vec<(usize, char)>,
    /// Where the statement began, and behind its last character.
    current: Option<Span>,
    /// The last character that is neither blank nor comment.
    last: char,
    /// Whether nothing but blanks was read of the line.
    fresh: bool,
    /// Whether the statement's brackets are at fault: it is not parsed then.
    broken: bool,
}

pub(super) fn scan(source: &str) -> Scan {
    let mut scanner = Scanner {
        source,
        scan: Scan::default(),
        open: vec![],
        current: None,
        last: '\n',
        fresh: true,
        broken: false,
    };
    if source.len() > MAX_LENGTH {
        let text = format!(
            "the program has {} bytes, more than {MAX_LENGTH}",
            source.len()
        );
        let fault = Diagnostic::new(Span { start: 0, end: 0 }, text);
        let advice =
            "put long lists of numbers into a .npz file, and write load(\"file.npz\", \"name\")";
        scanner.scan.faults.push(fault.help(advice));
        return scanner.scan;
    }
    scanner.run();
    scanner.scan
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl Scanner<'_> {
    fn run(&mut self) {
        let mut at = 0;
        while let Some(c) = self.source[at..].chars().next() {
            let length = match c {
                '\n' => {
                    self.fresh = true;
                    1
                }
                ' ' | '\t' | '\r' => 1,
                '#' => self.comment(at),
                c => self.token(at, c),
            };
            at += length;
        }
        while let Some((at, bracket)) = self.open.pop() {
            self.unclosed(at, bracket);
        }
        self.finish();
    }

    fn comment(&mut self, at: usize) -> usize {
        let rest = &self.source[at..];
        let line = rest.find('\n').map_or(rest, |end| &rest[..end]);
        let span = Span {
            start: at,
            end: at + line.len(),
        };
        let text = line.trim_end().to_owned();
        self.scan.comments.push(Comment { text, span });
        line.len()
    }

    /// A word, text or other character.
    fn token(&mut self, at: usize, c: char) -> usize {
        let rest = &self.source[at..];
        let length = match c {
            '"' => {
                let line = rest.find('\n').unwrap_or(rest.len());
                rest[1..line.max(1)].find('"').map_or(line, |end| end + 2)
            }
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        if self.fresh && (c.is_ascii_alphabetic() || c == '_') {
            self.line_begins(&rest[..length]);
        }
        self.fresh = false;
        let start = self.current.map_or(at, |s| s.start);
        self.current = Some(Span {
            start,
            end: at + length,
        });
        self.last = c;
        match c {
            '(' | '[' | '{' => self.opens(at, c),
            ')' | ']' | '}' => self.closes(at, c),
            _ => {}
        }
        length
    }

    fn line_begins(&mut self, word: &str) {
        let begins = matches!(word, "input" | "output" | "let" | "fn" | "for");
        // Within a block these belong to it, but no round or square bracket reaches over them.
        if begins {
            while let Some((at, bracket @ ('(' | '['))) = self.open.last().copied() {
                self.open.pop();
                self.unclosed(at, bracket);
            }
        }
        // Inputs, outputs and functions are declared outside of blocks alone.
        if matches!(word, "input" | "output" | "fn") {
            while let Some((at, bracket)) = self.open.pop() {
                self.unclosed(at, bracket);
            }
        }
        let continues = "+-*/@^=<>,.(".contains(self.last) && !begins;
        if self.open.is_empty() && !continues {
            self.finish();
        }
    }

    fn opens(&mut self, at: usize, c: char) {
        self.open.push((at, c));
        if self.open.len() == MAX_DEPTH + 1 {
            let text = format!("more than {MAX_DEPTH} brackets within each other");
            self.fault(at, text);
        }
    }

    fn closes(&mut self, at: usize, c: char) {
        let partner = match c {
            ')' => '(',
            ']' => '[',
            _ => '{',
        };
        match self.open.pop() {
            Some((_, open)) if open == partner => {}
            Some((_, open)) => self.fault(at, format!("`{c}` closes `{open}`")),
            None => self.fault(at, format!("`{c}` without `{partner}` before it")),
        }
    }

    fn unclosed(&mut self, at: usize, bracket: char) {
        self.fault(at, format!("`{bracket}` is not closed"));
    }

    fn fault(&mut self, at: usize, text: String) {
        self.broken = true;
        let span = Span {
            start: at,
            end: at + 1,
        };
        self.scan.faults.push(Diagnostic::new(span, text));
    }

    fn finish(&mut self) {
        if let Some(span) = self.current.take()
            && !self.broken
        {
            self.scan.statements.push(span);
        }
        self.broken = false;
    }
}
