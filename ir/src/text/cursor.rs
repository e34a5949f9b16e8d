//! Reading the tokens of a line.

use super::{Kind, Line, ParseError, Token};
use crate::graph::NodeId;
use crate::value::Range;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The most positions that the layouts of a text may have in all, so that runs cannot exhaust the memory.
pub(crate) const MAX_POSITIONS: usize = 1 << 24;

/// Walks over the tokens right of the bar.
pub(crate) struct Cursor<'l, 'a> {
    line: &'l Line<'a>,
    next: usize,
}

impl<'l, 'a> Cursor<'l, 'a> {
    pub(crate) fn new(line: &'l Line<'a>) -> Self {
        Self { line, next: 0 }
    }

    /// An error at the token that was read last.
    pub(crate) fn error(&self, message: impl Into<String>) -> ParseError {
        let token = self
            .line
            .items
            .get(self.next.saturating_sub(1))
            .or(self.line.items.last());
        self.line.error_at(token.map_or(0, |t| t.offset), message)
    }

    fn take(&mut self, what: &str) -> Result<&'l Kind<'a>, ParseError> {
        let Some(token) = self.line.items.get(self.next) else {
            return Err(self.line.error_at(
                self.line.text.len(),
                format!("the line ends where {what} should stand"),
            ));
        };
        self.next += 1;
        Ok(&token.kind)
    }

    fn wrong<T>(&self, what: &str) -> Result<T, ParseError> {
        Err(self.error(format!("this is not {what}")))
    }

    pub(crate) fn peek(&self) -> Option<&'l Kind<'a>> {
        self.line.items.get(self.next).map(|t| &t.kind)
    }

    /// The last token of the line.
    pub(crate) fn last(&self) -> Option<&'l Kind<'a>> {
        self.line.items.last().map(|t| &t.kind)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next >= self.line.items.len()
    }

    pub(crate) fn end(&mut self) -> Result<(), ParseError> {
        if self.is_done() {
            return Ok(());
        }
        self.next += 1;
        Err(self.error("nothing should follow here"))
    }

    pub(crate) fn word(&mut self) -> Result<&'a str, ParseError> {
        match self.take("a word")? {
            Kind::Word(word) => Ok(word),
            _ => self.wrong("a word"),
        }
    }

    pub(crate) fn word_or_text(&mut self) -> Result<String, ParseError> {
        match self.take("a word")? {
            Kind::Word(word) => Ok((*word).to_owned()),
            Kind::Text(text) => Ok(text.clone()),
            _ => self.wrong("a word or a quoted text"),
        }
    }

    pub(crate) fn expect(&mut self, word: &str) -> Result<(), ParseError> {
        match self.take(word)? {
            Kind::Word(found) if *found == word => Ok(()),
            _ => self.wrong(&format!("the word {word:?}")),
        }
    }

    /// Whether the next token is this word; it is skipped then.
    pub(crate) fn accept(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(&Kind::Word(word));
        self.next += usize::from(found);
        found
    }

    pub(crate) fn equals(&mut self) -> Result<(), ParseError> {
        match self.take("an equals sign")? {
            Kind::Equals => Ok(()),
            _ => self.wrong("an equals sign"),
        }
    }

    pub(crate) fn node(&mut self) -> Result<NodeId, ParseError> {
        match self.take("a value")? {
            Kind::Node(id) => Ok(NodeId::new(*id as usize)),
            _ => self.wrong("a value such as %3"),
        }
    }

    pub(crate) fn layout(&mut self) -> Result<u32, ParseError> {
        match self.take("a layout")? {
            Kind::Layout(id) => Ok(*id),
            _ => self.wrong("a layout such as #3"),
        }
    }

    pub(crate) fn name(&mut self) -> Result<String, ParseError> {
        match self.take("a name")? {
            Kind::Name(name) => Ok(name.clone()),
            _ => self.wrong("a name such as @weight"),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, ParseError> {
        match self.take("a quoted text")? {
            Kind::Text(text) => Ok(text.clone()),
            _ => self.wrong("a quoted text"),
        }
    }

    /// A number, as it is spelled, or a word.
    pub(crate) fn spelled(&mut self) -> Result<&'a str, ParseError> {
        match self.take("a number or word")? {
            Kind::Number(text) | Kind::Word(text) => Ok(text),
            _ => self.wrong("a number or word"),
        }
    }

    pub(crate) fn number<T: FromStr>(&mut self) -> Result<T, ParseError> {
        match self.take("a number")? {
            Kind::Number(text) => text
                .parse()
                .or_else(|_| self.wrong("a number that fits here")),
            _ => self.wrong("a number"),
        }
    }

    /// What [`super::write::exact_approximation`] wrote.
    pub(crate) fn approximation(&mut self) -> Result<Option<f64>, ParseError> {
        if self.accept("approximation") {
            self.number().map(Some)
        } else {
            Ok(None)
        }
    }

    pub(crate) fn list<T: FromStr>(&mut self) -> Result<Vec<T>, ParseError> {
        match self.take("a list")? {
            Kind::List(items) => items
                .iter()
                .map(|i| {
                    i.parse()
                        .or_else(|_| self.wrong("a list of numbers that fit here"))
                })
                .collect(),
            _ => self.wrong("a list"),
        }
    }

    /// The reading `%n`, `$n` and the like may need: the next token, whatever it is.
    pub(crate) fn any(&mut self) -> Result<&'l Kind<'a>, ParseError> {
        self.take("something")
    }

    pub(crate) fn range(&mut self) -> Result<Range, ParseError> {
        match self.list::<f64>()?[..] {
            [lo, hi] => Ok(Range { lo, hi }),
            _ => self.wrong("a range of two numbers"),
        }
    }

    /// A list of positions with runs, `start+stride x count`; `budget` is what may still be allocated.
    pub(crate) fn positions(&mut self, budget: &mut usize) -> Result<Vec<u32>, ParseError> {
        let Kind::List(items) = self.take("a list")? else {
            return self.wrong("a list");
        };
        let mut found = Vec::new();
        for item in items {
            let (start, stride, count) =
                split_run(item).map_or_else(|| self.wrong("a position or run"), Ok)?;
            *budget = match budget.checked_sub(count as usize) {
                Some(left) => left,
                None => return self.wrong("a run that is short enough"),
            };
            for i in 0..i64::from(count) {
                let position = i64::from(stride)
                    .checked_mul(i)
                    .and_then(|d| d.checked_add(i64::from(start)));
                match position.and_then(|p| u32::try_from(p).ok()) {
                    Some(position) => found.push(position),
                    None => return self.wrong("a run of positions"),
                }
            }
        }
        Ok(found)
    }
}

fn split_run(item: &str) -> Option<(u32, i32, u32)> {
    let Some((front, count)) = item.split_once('x') else {
        return Some((item.parse().ok()?, 0, 1));
    };
    let at = front.find(['+', '-'])?;
    Some((
        front.get(..at)?.parse().ok()?,
        front.get(at..)?.parse().ok()?,
        count.parse().ok()?,
    ))
}

/// The arguments of an operation: values, names and texts by position, attributes by word.
pub(crate) struct Args<'l, 'a> {
    line: &'l Line<'a>,
    /// The values among the arguments.
    pub(crate) nodes: Vec<NodeId>,
    /// The names among the arguments.
    pub(crate) names: Vec<String>,
    /// The texts among the arguments.
    pub(crate) texts: Vec<String>,
    attributes: BTreeMap<&'a str, Option<&'l Token<'a>>>,
}

impl<'l, 'a> Args<'l, 'a> {
    /// The rest of the line. A word and the number, list or scale behind it are an attribute; a word alone is a flag.
    pub(crate) fn read(mut cursor: Cursor<'l, 'a>) -> Result<Self, ParseError> {
        let line = cursor.line;
        let mut args = Self {
            line,
            nodes: vec![],
            names: vec![],
            texts: vec![],
            attributes: BTreeMap::new(),
        };
        while !cursor.is_done() {
            match cursor.any()? {
                Kind::Node(id) => args.nodes.push(NodeId::new(*id as usize)),
                Kind::Name(name) => args.names.push(name.clone()),
                Kind::Text(text) => args.texts.push(text.clone()),
                Kind::Word(word) => {
                    let value = line.items.get(cursor.next).filter(|t| {
                        matches!(t.kind, Kind::Number(_) | Kind::List(_) | Kind::Scale(_))
                    });
                    cursor.next += usize::from(value.is_some());
                    if args.attributes.insert(word, value).is_some() {
                        return Err(cursor.error(format!("the attribute {word:?} occurs twice")));
                    }
                }
                _ => return cursor.wrong("an argument"),
            }
        }
        Ok(args)
    }

    /// A value's token.
    pub(crate) fn value(&mut self, word: &str) -> Option<&'l Token<'a>> {
        self.attributes.remove(word).flatten()
    }

    pub(crate) fn flag(&mut self, word: &str) -> bool {
        self.attributes.remove(word).is_some()
    }

    pub(crate) fn number<T: FromStr>(
        &mut self,
        word: &str,
        default: Option<T>,
    ) -> Result<T, ParseError> {
        match (self.value(word), default) {
            (None, Some(default)) => Ok(default),
            (None, None) => Err(self
                .line
                .error(format!("the attribute {word:?} is missing"))),
            (
                Some(Token {
                    kind: Kind::Number(text),
                    offset,
                }),
                _,
            ) => text.parse().map_err(|_| {
                self.line
                    .error_at(*offset, format!("{word:?} needs another kind of number"))
            }),
            (Some(token), _) => Err(self
                .line
                .error_at(token.offset, format!("{word:?} needs a number"))),
        }
    }

    pub(crate) fn list<T: FromStr>(&mut self, word: &str) -> Result<Option<Vec<T>>, ParseError> {
        let Some(token) = self.value(word) else {
            return Ok(None);
        };
        let bad = || {
            self.line.error_at(
                token.offset,
                format!("{word:?} needs a list of numbers that fit"),
            )
        };
        match &token.kind {
            Kind::List(items) => items
                .iter()
                .map(|i| i.parse().map_err(|_| bad()))
                .collect::<Result<_, _>>()
                .map(Some),
            _ => Err(bad()),
        }
    }

    /// A list of exactly `N` numbers.
    pub(crate) fn array<const N: usize>(
        &mut self,
        word: &str,
        default: Option<[usize; N]>,
    ) -> Result<[usize; N], ParseError> {
        let wrong = format!("{word:?} needs a list of {N} numbers");
        match (self.list(word)?, default) {
            (None, Some(default)) => Ok(default),
            (Some(list), _) => list.try_into().map_err(|_| self.line.error(wrong)),
            (None, None) => Err(self.line.error(wrong)),
        }
    }

    /// Refuses arguments that the operation does not take.
    pub(crate) fn end(self, names: usize, texts: usize) -> Result<(), ParseError> {
        if let Some(word) = self.attributes.keys().next() {
            return Err(self.line.error(format!("the operation takes no {word:?}")));
        }
        if self.names.len() != names || self.texts.len() != texts {
            let message = format!("the operation takes {names} names and {texts} texts");
            return Err(self.line.error(message));
        }
        Ok(())
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> ParseError {
        self.line.error(message)
    }
}
