//! The formatter: one layout for every program.
//!
//! Comments stay before the statement that they stand before or in, or behind it on its line. One blank line between
//! statements is kept.

use super::ast::{
    Argument, BinaryOp, Body, Comment, Expr, ExprKind, Position, Statement, StatementKind, Syntax,
};
use std::fmt::Write;

/// Lines longer than this are broken where brackets allow it.
const WIDTH: usize = 100;
const INDENT: usize = 4;

/// The program's text in its one layout.
pub(super) fn print(syntax: &Syntax, source: &str) -> String {
    let mut printer = Printer {
        source,
        comments: &syntax.comments,
        out: String::new(),
    };
    printer.statements(&syntax.statements, 0, source.len(), 0);
    printer.out
}

struct Printer<'a> {
    source: &'a str,
    comments: &'a [Comment],
    out: String,
}

impl Printer<'_> {
    /// Statements and the comments between two places of the source.
    fn statements(&mut self, statements: &[Statement], start: usize, end: usize, indent: usize) {
        let mut last = start;
        for statement in statements {
            self.comments_before(statement.span.start, &mut last, indent);
            self.blank_line(last, statement.span.start);
            // Those within the head of the statement go before it.
            let body = self.body_start(statement);
            self.comments_before(body, &mut last, indent);
            let pad = " ".repeat(indent);
            let text = head(&statement.kind, indent);
            let _ = write!(self.out, "{pad}{text}");
            self.body(statement, body, indent);
            last = statement.span.end;
            self.trailing(&mut last);
            self.out.push('\n');
        }
        self.comments_before(end, &mut last, indent);
    }

    /// Where the block of a statement begins, else its end.
    fn body_start(&self, statement: &Statement) -> usize {
        let after = match &statement.kind {
            StatementKind::For(_, over, _) => over.span.end,
            StatementKind::Function(f) => match (&f.body, f.parameters.last()) {
                (Body::Expr(_), _) => return statement.span.end,
                (Body::Block(_), Some((_, Some(default)))) => default.span.end,
                (Body::Block(_), Some((name, None))) => name.span.end,
                (Body::Block(_), None) => f.name.span.end,
            },
            _ => return statement.span.end,
        };
        // Comments may hold braces; they are skipped.
        let mut at = after;
        loop {
            let rest = self.source.get(at..).unwrap_or_default();
            let Some(found) = rest.find('{') else {
                return statement.span.end;
            };
            let inside = |c: &&Comment| c.span.start <= at + found && at + found < c.span.end;
            match self.comments.iter().find(inside) {
                Some(comment) => at = comment.span.end,
                None => return at + found + 1,
            }
        }
    }

    fn body(&mut self, statement: &Statement, start: usize, indent: usize) {
        let block = match &statement.kind {
            StatementKind::For(_, _, block) => block,
            StatementKind::Function(f) => match &f.body {
                Body::Block(block) => block,
                Body::Expr(_) => return,
            },
            _ => return,
        };
        let end = statement.span.end.saturating_sub(1);
        self.out.push('\n');
        self.statements(block, start, end, indent + INDENT);
        let _ = write!(self.out, "{}}}", " ".repeat(indent));
    }

    /// The comments from `last` on that begin before a place, each on a line of its own.
    fn comments_before(&mut self, before: usize, last: &mut usize, indent: usize) {
        let found = self
            .comments
            .iter()
            .filter(|c| (*last..before).contains(&c.span.start));
        for comment in found.cloned().collect::<Vec<_>>() {
            self.blank_line(*last, comment.span.start);
            let _ = writeln!(self.out, "{}{}", " ".repeat(indent), comment.text);
            *last = comment.span.end;
        }
    }

    /// A comment on the line where the statement ends.
    fn trailing(&mut self, last: &mut usize) {
        let rest = self.source.get(*last..).unwrap_or_default();
        let line = *last + rest.find('\n').unwrap_or(rest.len());
        let found = self
            .comments
            .iter()
            .find(|c| (*last..line).contains(&c.span.start));
        // Behind another statement on the line it is that statement's.
        if let Some(comment) = found
            && self
                .source
                .get(*last..comment.span.start)
                .is_some_and(|s| s.trim().is_empty())
        {
            let _ = write!(self.out, "  {}", comment.text);
            *last = comment.span.end;
        }
    }

    /// A blank line where the source has one, but not at the start of the text or a block.
    fn blank_line(&mut self, from: usize, to: usize) {
        let between = self.source.get(from..to).unwrap_or_default();
        let blank = between.matches('\n').count() > 1;
        if blank
            && !self.out.is_empty()
            && !self.out.ends_with("{\n")
            && !self.out.ends_with("\n\n")
        {
            self.out.push('\n');
        }
    }
}

/// The statement without its block.
fn head(kind: &StatementKind, indent: usize) -> String {
    let with = |before: String, value: &Expr| {
        let column = indent + before.chars().count();
        format!("{before}{}", broken(value, indent, column))
    };
    match kind {
        StatementKind::Input {
            name,
            clear,
            shape,
            range,
        } => {
            let secrecy = if *clear { "clear" } else { "encrypted" };
            let mut text = format!("input {}: {secrecy}", name.text);
            if !shape.is_empty() {
                let _ = write!(text, "[{}]", list(shape));
            }
            if let Some((lo, hi)) = range {
                let _ = write!(text, " in {}..{}", operand(lo, 2), operand(hi, 2));
            }
            text
        }
        StatementKind::Let(names, value) => {
            let names: Vec<&str> = names.iter().map(|n| n.text.as_str()).collect();
            with(format!("let {} = ", names.join(", ")), value)
        }
        StatementKind::Assign(name, value) => with(format!("{} = ", name.text), value),
        StatementKind::Output(name, None) => format!("output {}", name.text),
        StatementKind::Output(name, Some(value)) => with(format!("output {} = ", name.text), value),
        StatementKind::For(name, over, _) => with(format!("for {} in ", name.text), over) + " {",
        StatementKind::Return(values) => match &values[..] {
            [only] => with("return ".into(), only),
            several => format!("return {}", list(several)),
        },
        StatementKind::Function(f) => {
            let parameter = |(name, default): &(super::ast::Name, Option<Expr>)| match default {
                Some(value) => format!("{}={}", name.text, flat(value)),
                None => name.text.clone(),
            };
            let parameters: Vec<String> = f.parameters.iter().map(parameter).collect();
            let before = format!("fn {}({})", f.name.text, parameters.join(", "));
            match &f.body {
                Body::Expr(value) => with(before + " = ", value),
                Body::Block(_) => before + " {",
            }
        }
    }
}

/// How tightly an expression binds: comparison 0, sum 1, product 2, sign 3, power 4, the rest 5.
fn rank(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Binary(op, ..) => rank_of(*op),
        ExprKind::Negate(_) => 3,
        _ => 5,
    }
}

fn rank_of(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Add | BinaryOp::Subtract => 1,
        BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::MatMul => 2,
        BinaryOp::Power => 4,
        _ => 0,
    }
}

/// An expression, in brackets where it binds less than needed.
fn operand(expr: &Expr, least: u8) -> String {
    let text = flat(expr);
    if rank(expr) < least {
        format!("({text})")
    } else {
        text
    }
}

fn list(items: &[Expr]) -> String {
    items.iter().map(flat).collect::<Vec<_>>().join(", ")
}

fn argument(argument: &Argument) -> String {
    match &argument.name {
        Some(name) => format!("{}={}", name.text, flat(&argument.value)),
        None => flat(&argument.value),
    }
}

/// The expression on one line.
fn flat(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Number(text) | ExprKind::Name(text) => text.clone(),
        ExprKind::Text(text) => format!("\"{text}\""),
        ExprKind::Model(path) => format!("model \"{path}\""),
        ExprKind::List(items) => format!("[{}]", list(items)),
        ExprKind::Negate(value) => format!("-{}", operand(value, 3)),
        ExprKind::Binary(BinaryOp::Power, base, exponent) => {
            // An exponent is a value with signs before it.
            let mut inner = &**exponent;
            while let ExprKind::Negate(value) = &inner.kind {
                inner = value;
            }
            let exponent = if rank(inner) == 5 {
                flat(exponent)
            } else {
                format!("({})", flat(exponent))
            };
            format!("{}^{exponent}", operand(base, 5))
        }
        ExprKind::Binary(op, left, right) => {
            let rank = rank_of(*op);
            let left_least = if rank == 0 { 1 } else { rank };
            format!(
                "{} {} {}",
                operand(left, left_least),
                op.symbol(),
                operand(right, rank + 1)
            )
        }
        ExprKind::Call(name, arguments) => {
            let arguments: Vec<String> = arguments.iter().map(argument).collect();
            format!("{}({})", name.text, arguments.join(", "))
        }
        ExprKind::Index(base, positions) => {
            let positions: Vec<String> = positions.iter().map(position).collect();
            format!("{}[{}]", operand(base, 5), positions.join(", "))
        }
    }
}

fn position(position: &Position) -> String {
    let part = |e: &Option<Expr>| e.as_ref().map(flat).unwrap_or_default();
    match position {
        Position::At(at) => flat(at),
        Position::Slice(start, end, None) => format!("{}:{}", part(start), part(end)),
        Position::Slice(start, end, step) => {
            format!("{}:{}:{}", part(start), part(end), part(step))
        }
    }
}

/// The expression from a column on; lists and calls that do not fit are broken, one item a line, numbers filled.
fn broken(expr: &Expr, indent: usize, column: usize) -> String {
    let text = flat(expr);
    if column + text.chars().count() <= WIDTH {
        return text;
    }
    let (open, items, close): (String, Vec<(String, &Expr)>, &str) = match &expr.kind {
        ExprKind::List(items) if !items.is_empty() => {
            let items = items.iter().map(|i| (String::new(), i)).collect();
            ("[".into(), items, "]")
        }
        ExprKind::Call(name, arguments) if !arguments.is_empty() => {
            let prefix = |a: &Argument| {
                a.name
                    .as_ref()
                    .map_or(String::new(), |n| format!("{}=", n.text))
            };
            let items = arguments.iter().map(|a| (prefix(a), &a.value)).collect();
            (format!("{}(", name.text), items, ")")
        }
        _ => return text,
    };
    let inner = indent + INDENT;
    let pad = " ".repeat(inner);
    let simple = |e: &Expr| match &e.kind {
        ExprKind::Number(_) => true,
        ExprKind::Negate(value) => matches!(value.kind, ExprKind::Number(_)),
        _ => false,
    };
    let fill = items.iter().all(|(_, e)| simple(e));
    let mut out = open;
    let mut width = WIDTH;
    for (prefix, item) in items {
        let start = inner + prefix.chars().count();
        let item = format!("{prefix}{},", broken(item, inner, start + 1));
        let length = item.chars().count();
        if fill && width + 1 + length <= WIDTH {
            let _ = write!(out, " {item}");
            width += 1 + length;
        } else {
            let _ = write!(out, "\n{pad}{item}");
            width = inner + length;
        }
    }
    let _ = write!(out, "\n{}{close}", " ".repeat(indent));
    out
}
