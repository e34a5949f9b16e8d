//! What the text forms of the three stages share: lines of tokens, and how values are spelled.
//!
//! A text is read line by line with one grammar (`grammar.pest`); what the tokens of a line mean is up to the stage.
//! Memory and time are proportional to the text, and there is no recursion.

mod cursor;
mod params;
mod write;

pub(crate) use cursor::{Args, Cursor, MAX_POSITIONS};
pub(crate) use params::{ScaleTable, no_params, print_params, read_params};
pub(crate) use write::{
    Scales, approximation, comment, exact_approximation, hash_values, name, number, origin,
    positions, quote, range, row, shape, short_range, term,
};

use crate::origin::Origin;
use pest::Parser;
use pest::iterators::Pair;
use thiserror::Error;

/// Arrays of at most this many elements are spelled out; longer ones are named by their hash.
pub(crate) const INLINE: usize = 64;

/// A fault in an IR text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

#[derive(pest_derive::Parser)]
#[grammar = "text/grammar.pest"]
struct LineParser;

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    /// `%3`.
    Node(u32),
    /// `#3`.
    Layout(u32),
    /// `$3`.
    Scale(u32),
    /// `@name`.
    Name(String),
    /// `"text"`.
    Text(String),
    /// A number or fraction, as it is spelled.
    Number(&'a str),
    /// A word.
    Word(&'a str),
    /// `[1, 2+1x3]`: numbers and runs, as they are spelled.
    List(Vec<&'a str>),
    /// `=`.
    Equals,
}

/// A token and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind<'a>,
    offset: usize,
}

/// A line that says something.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    text: &'a str,
    number: usize,
    /// The tokens left of the bar, if there is one.
    pub(crate) columns: Option<Vec<Token<'a>>>,
    /// The tokens right of the bar, or all.
    pub(crate) items: Vec<Token<'a>>,
    /// The comment without its semicolon and the blanks around it, and where it starts.
    comment: Option<(&'a str, usize)>,
}

/// The lines of a text that say something: blank lines, comments on their own and the heading of a table are left out.
pub(crate) fn lines(text: &str) -> Result<Vec<Line<'_>>, ParseError> {
    let mut found = Vec::new();
    for (index, content) in text.lines().enumerate() {
        let line = read_line(content, index + 1)?;
        let heading = line.columns.is_some()
            && matches!(
                line.items[..],
                [Token {
                    kind: Kind::Word("op"),
                    ..
                }]
            );
        let silent = line.items.is_empty() && line.columns.is_none();
        if !(heading || silent) {
            found.push(line);
        }
    }
    Ok(found)
}

fn read_line(text: &str, number: usize) -> Result<Line<'_>, ParseError> {
    let mut line = Line {
        text,
        number,
        columns: None,
        items: vec![],
        comment: None,
    };
    let parsed = LineParser::parse(Rule::line, text).map_err(|error| {
        let (_, column) = match error.line_col {
            pest::error::LineColLocation::Pos(at) | pest::error::LineColLocation::Span(at, _) => at,
        };
        ParseError {
            line: number,
            column,
            message: "this is no item of an IR text".into(),
        }
    })?;
    for pair in parsed.flat_map(Pair::into_inner) {
        match pair.as_rule() {
            Rule::columns => line.columns = Some(tokens(pair, number, text)?),
            Rule::items => line.items = tokens(pair, number, text)?,
            Rule::comment => {
                let raw = pair.as_str().strip_prefix(';').unwrap_or_default();
                let offset = text.len() - raw.trim_start().len();
                line.comment = Some((raw.trim(), offset));
            }
            _ => {}
        }
    }
    Ok(line)
}

fn tokens<'a>(
    pair: Pair<'a, Rule>,
    number: usize,
    text: &str,
) -> Result<Vec<Token<'a>>, ParseError> {
    pair.into_inner().map(|p| token(p, number, text)).collect()
}

fn token<'a>(pair: Pair<'a, Rule>, number: usize, line: &str) -> Result<Token<'a>, ParseError> {
    let (offset, text) = (pair.as_span().start(), pair.as_str());
    let bad = |message: &str| ParseError {
        line: number,
        column: column_of(line, offset),
        message: message.into(),
    };
    let id = |prefix: char| {
        let digits = text.strip_prefix(prefix).unwrap_or_default();
        digits
            .parse::<u32>()
            .map_err(|_| bad("the number is too large"))
    };
    let kind = match pair.as_rule() {
        Rule::node => Kind::Node(id('%')?),
        Rule::layout => Kind::Layout(id('#')?),
        Rule::scale => Kind::Scale(id('$')?),
        Rule::name => {
            let name = text.strip_prefix('@').unwrap_or_default();
            Kind::Name(if name.starts_with('"') {
                unquote(name).ok_or_else(|| bad("the name has a bad escape"))?
            } else {
                name.to_owned()
            })
        }
        Rule::string => Kind::Text(unquote(text).ok_or_else(|| bad("the text has a bad escape"))?),
        Rule::number => Kind::Number(text),
        Rule::word => Kind::Word(text),
        Rule::list => Kind::List(pair.into_inner().map(|p| p.as_str()).collect()),
        Rule::equals => Kind::Equals,
        _ => return Err(bad("this is no item of an IR text")),
    };
    Ok(Token { kind, offset })
}

/// The column of a byte of a line, from 1, in characters.
fn column_of(line: &str, offset: usize) -> usize {
    line.get(..offset)
        .map_or(1, |before| before.chars().count() + 1)
}

/// The content of a quoted text; `None` for an escape that stands for no character.
fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match rest.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'u' => {
                let code: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                char::from_u32(u32::from_str_radix(&code, 16).ok()?)?
            }
            other => other,
        });
    }
    Some(out)
}

impl<'a> Line<'a> {
    /// An error at the line's first token.
    pub(crate) fn error(&self, message: impl Into<String>) -> ParseError {
        self.error_at(self.items.first().map_or(0, |t| t.offset), message)
    }

    fn error_at(&self, offset: usize, message: impl Into<String>) -> ParseError {
        ParseError {
            line: self.number,
            column: column_of(self.text, offset),
            message: message.into(),
        }
    }

    /// The origin that the comment spells; the line itself where there is none.
    pub(crate) fn origin(&self) -> Result<Origin, ParseError> {
        let Some((comment, offset)) = self.comment else {
            return Ok(Origin::Text(self.number));
        };
        let shifted = |mut error: ParseError| {
            error.column += column_of(self.text, offset) - 1;
            error
        };
        let line = read_line(comment, self.number).map_err(shifted)?;
        let mut cursor = Cursor::new(&line);
        let mut parts = Vec::new();
        while !cursor.is_done() {
            let part = match cursor.word().map_err(shifted)? {
                "node" => Origin::Onnx {
                    index: cursor.number().map_err(shifted)?,
                    op: cursor.word_or_text().map_err(shifted)?,
                    name: cursor.text().map_err(shifted)?,
                },
                "port" => Origin::Port(cursor.text().map_err(shifted)?),
                "line" => Origin::Text(cursor.number().map_err(shifted)?),
                "source" => Origin::Source(cursor.text().map_err(shifted)?),
                "pass" => Origin::Pass(cursor.word_or_text().map_err(shifted)?.into()),
                "merged" => continue,
                other => {
                    return Err(self.error_at(offset, format!("{other:?} is no kind of origin")));
                }
            };
            parts.push(part);
        }
        Ok(match <[Origin; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => Origin::Merged(parts),
        })
    }

    /// The comment as free text, empty where there is none.
    pub(crate) fn remark(&self) -> Result<String, ParseError> {
        match self.comment {
            None => Ok(String::new()),
            Some((quoted, offset)) if quoted.starts_with('"') => unquote(quoted)
                .ok_or_else(|| self.error_at(offset, "the remark is not one quoted text")),
            Some((plain, _)) => Ok(plain.to_owned()),
        }
    }
}
