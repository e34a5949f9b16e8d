//! What was expected where a statement cannot be read, in words.

use super::ast::Span;
use super::diagnostic::Diagnostic;
use super::parse::Rule;
use pest::error::{ErrorVariant, InputLocation};

/// Words that are no names.
const RESERVED: [&str; 8] = [
    "input", "output", "let", "fn", "for", "in", "return", "model",
];

/// What stands where something else was expected.
pub(super) fn unexpected(
    error: &pest::error::Error<Rule>,
    text: &str,
    offset: usize,
) -> Diagnostic {
    let (InputLocation::Pos(at) | InputLocation::Span((at, _))) = error.location;
    let rest = text.get(at..).unwrap_or_default();
    let word = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let length = match word.unwrap_or(rest.len()) {
        0 => rest.chars().next().map_or(0, char::len_utf8),
        length => length,
    };
    let span = Span {
        start: offset + at,
        end: offset + at + length,
    };
    let mut expected: Vec<&str> = vec![];
    if let ErrorVariant::ParsingError { positives, .. } = &error.variant {
        for rule in positives {
            if !expected.contains(&words(*rule)) {
                expected.push(words(*rule));
            }
        }
    }
    let message = match expected.split_last() {
        None => "this cannot be read here".to_owned(),
        Some((only, [])) => format!("expected {only}"),
        Some((last, rest)) => format!("expected {} or {last}", rest.join(", ")),
    };
    let word = &rest[..length];
    if word == "\"" && !rest[1..].lines().next().is_some_and(|l| l.contains('"')) {
        return Diagnostic::new(span, "the text is not closed on its line");
    }
    let fault = Diagnostic::new(span, message);
    if word == "*" && text[..at].ends_with('*') {
        return fault.help("a power is written x^2");
    }
    if RESERVED.contains(&word) && expected.contains(&"a name") {
        return fault.help(format!(
            "`{word}` is a word of the language: choose another name"
        ));
    }
    fault
}

/// A rule, for people.
fn words(rule: Rule) -> &'static str {
    match rule {
        Rule::EOI => "the end of the statement",
        Rule::statement | Rule::one => "a statement",
        Rule::in_block => "a statement of a block",
        Rule::input | Rule::kw_input => "`input`",
        Rule::let_ | Rule::kw_let => "`let`",
        Rule::output | Rule::kw_output => "`output`",
        Rule::function | Rule::kw_fn => "`fn`",
        Rule::for_ | Rule::kw_for => "`for`",
        Rule::return_ | Rule::kw_return => "`return`",
        Rule::kw_in | Rule::bounds => "`in`",
        Rule::kw_model => "`model`",
        Rule::assign | Rule::name => "a name",
        Rule::secrecy => "`encrypted` or `clear`",
        Rule::shape | Rule::open_square | Rule::list => "`[`",
        Rule::parameter => "a parameter",
        Rule::argument => "an argument",
        Rule::block | Rule::open_brace => "`{`",
        Rule::close_brace => "`}`",
        Rule::open_round => "`(`",
        Rule::close_round => "`)`",
        Rule::close_square => "`]`",
        Rule::equals => "`=`",
        Rule::comma => "`,`",
        Rule::colon => "`:`",
        Rule::dots => "`..`",
        Rule::compare
        | Rule::additive
        | Rule::multiplicative
        | Rule::hat
        | Rule::keyword
        | Rule::word_char => "an operator",
        Rule::index => "an index",
        Rule::text => "a text in quotes",
        Rule::number => "a number",
        Rule::expr
        | Rule::sum
        | Rule::product
        | Rule::unary
        | Rule::minus
        | Rule::power
        | Rule::exponent
        | Rule::postfix
        | Rule::primary
        | Rule::model
        | Rule::group
        | Rule::call => "an expression",
        Rule::position | Rule::end | Rule::step => "a position",
        Rule::WHITESPACE | Rule::COMMENT => "a blank",
    }
}
