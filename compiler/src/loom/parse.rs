//! From text to the syntax tree.

use super::ast::{
    Argument, BinaryOp, Body, Expr, ExprKind, Function, Name, Position, Span, Statement,
    StatementKind, Syntax,
};
use super::diagnostic::Diagnostic;
use super::expected::unexpected;
use super::scan::scan;
use pest::Parser;
use pest::iterators::Pair;
use std::num::NonZeroUsize;

/// Operations within each other, at most: it bounds the recursion over expressions.
const MAX_EXPR_DEPTH: usize = 120;
/// Rules that one statement may try; a megabyte of numbers takes a fifth.
const CALL_LIMIT: usize = 200_000_000;

#[derive(pest_derive::Parser)]
#[grammar = "loom/loom.pest"]
struct Grammar;

/// The syntax of a program, with all that could be read, and the faults.
pub(super) fn parse(source: &str) -> (Syntax, Vec<Diagnostic>) {
    pest::set_call_limit(NonZeroUsize::new(CALL_LIMIT));
    let scan = scan(source);
    let mut reader = Reader {
        faults: scan.faults,
        offset: 0,
    };
    let mut statements = Vec::new();
    for span in scan.statements {
        let text = source.get(span.start..span.end).unwrap_or_default();
        reader.offset = span.start;
        match Grammar::parse(Rule::one, text) {
            Ok(pairs) => {
                let found = pairs.filter(|p| p.as_rule() == Rule::statement);
                statements.extend(found.filter_map(|p| reader.statement(p)));
            }
            Err(error) => reader.faults.push(unexpected(&error, text, span.start)),
        }
    }
    let mut faults = reader.faults;
    faults.sort_by_key(|d| d.span.start);
    let syntax = Syntax {
        statements,
        comments: scan.comments,
    };
    (syntax, faults)
}

struct Reader {
    faults: Vec<Diagnostic>,
    offset: usize,
}

/// An expression and how deep it is.
type Deep = (Expr, usize);

impl Reader {
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let text = pair.as_str();
        let start = self.offset + pair.as_span().start();
        Span {
            start,
            end: start + text.trim_end().len(),
        }
    }

    fn name(&self, pair: &Pair<'_, Rule>) -> Name {
        Name {
            text: pair.as_str().to_owned(),
            span: self.span(pair),
        }
    }

    /// An expression on parts of a depth; one that is too deep is a fault and replaced.
    fn build(&mut self, kind: ExprKind, span: Span, depth: usize) -> Deep {
        if depth < MAX_EXPR_DEPTH {
            return (Expr { kind, span }, depth + 1);
        }
        let text = format!("more than {MAX_EXPR_DEPTH} operations within each other");
        self.faults.push(
            Diagnostic::new(span, text)
                .help("give parts of it names with `let`, or use sum or weighted_sum"),
        );
        let kind = ExprKind::Number("0".into());
        (Expr { kind, span }, 1)
    }

    fn statement(&mut self, pair: Pair<'_, Rule>) -> Option<Statement> {
        let inner = pair.into_inner().next()?;
        let span = self.span(&inner);
        let rule = inner.as_rule();
        let parts: Vec<Pair<'_, Rule>> = inner.into_inner().collect();
        let kind = match rule {
            Rule::input => self.input(&parts)?,
            Rule::let_ => StatementKind::Let(self.names(&parts), self.last_expr(parts)?),
            Rule::assign => StatementKind::Assign(self.first_name(&parts)?, self.last_expr(parts)?),
            Rule::output => StatementKind::Output(self.first_name(&parts)?, self.last_expr(parts)),
            Rule::for_ => {
                let name = self.first_name(&parts)?;
                let body = self.block(&parts);
                StatementKind::For(name, self.last_expr(parts)?, body)
            }
            Rule::return_ => StatementKind::Return(self.exprs(parts)),
            Rule::function => StatementKind::Function(self.function(parts)?),
            _ => return None,
        };
        Some(Statement { kind, span })
    }

    fn names(&self, parts: &[Pair<'_, Rule>]) -> Vec<Name> {
        let names = parts.iter().filter(|p| p.as_rule() == Rule::name);
        names.map(|p| self.name(p)).collect()
    }

    fn first_name(&self, parts: &[Pair<'_, Rule>]) -> Option<Name> {
        self.names(parts).into_iter().next()
    }

    fn exprs(&mut self, parts: Vec<Pair<'_, Rule>>) -> Vec<Expr> {
        let found = parts.into_iter().filter(|p| p.as_rule() == Rule::expr);
        found.filter_map(|p| Some(self.expr(p)?.0)).collect()
    }

    fn last_expr(&mut self, parts: Vec<Pair<'_, Rule>>) -> Option<Expr> {
        self.exprs(parts).pop()
    }

    fn block(&mut self, parts: &[Pair<'_, Rule>]) -> Vec<Statement> {
        let block = parts.iter().filter(|p| p.as_rule() == Rule::block);
        let inner = block.flat_map(|p| p.clone().into_inner());
        inner
            .filter(|p| p.as_rule() == Rule::in_block)
            .filter_map(|p| self.statement(p))
            .collect()
    }

    fn input(&mut self, parts: &[Pair<'_, Rule>]) -> Option<StatementKind> {
        let (mut clear, mut shape, mut range) = (false, vec![], None);
        for part in parts {
            match part.as_rule() {
                Rule::secrecy => clear = part.as_str() == "clear",
                Rule::shape => shape = self.exprs(part.clone().into_inner().collect()),
                Rule::bounds => {
                    let sums: Vec<Pair<'_, Rule>> = part.clone().into_inner().collect();
                    let mut ends = sums.into_iter().filter(|p| p.as_rule() == Rule::sum);
                    let (lo, hi) = (ends.next()?, ends.next()?);
                    range = Some((self.chain(lo)?.0, self.chain(hi)?.0));
                }
                _ => {}
            }
        }
        let name = self.first_name(parts)?;
        Some(StatementKind::Input {
            name,
            clear,
            shape,
            range,
        })
    }

    fn function(&mut self, parts: Vec<Pair<'_, Rule>>) -> Option<Function> {
        let name = self.first_name(&parts)?;
        let mut parameters = Vec::new();
        for parameter in parts.iter().filter(|p| p.as_rule() == Rule::parameter) {
            let inner: Vec<Pair<'_, Rule>> = parameter.clone().into_inner().collect();
            parameters.push((self.first_name(&inner)?, self.last_expr(inner)));
        }
        let body = if parts.iter().any(|p| p.as_rule() == Rule::block) {
            Body::Block(self.block(&parts))
        } else {
            Body::Expr(self.last_expr(parts)?)
        };
        Some(Function {
            name,
            parameters,
            body,
        })
    }

    fn expr(&mut self, pair: Pair<'_, Rule>) -> Option<Deep> {
        self.chain(pair)
    }

    /// Operands joined by operators of one rank, from the left.
    fn chain(&mut self, pair: Pair<'_, Rule>) -> Option<Deep> {
        let mut joined: Option<Deep> = None;
        let mut operator = None;
        for part in pair.into_inner() {
            let right = match part.as_rule() {
                Rule::compare | Rule::additive | Rule::multiplicative => {
                    operator = BinaryOp::of_symbol(part.as_str());
                    continue;
                }
                Rule::unary => self.unary(part)?,
                Rule::sum | Rule::product => self.chain(part)?,
                _ => continue,
            };
            joined = Some(match (joined, operator) {
                (Some(left), Some(op)) => self.binary(op, left, right),
                _ => right,
            });
        }
        joined
    }

    fn binary(&mut self, op: BinaryOp, left: Deep, right: Deep) -> Deep {
        let span = Span {
            start: left.0.span.start,
            end: right.0.span.end,
        };
        let depth = left.1.max(right.1);
        let kind = ExprKind::Binary(op, Box::new(left.0), Box::new(right.0));
        self.build(kind, span, depth)
    }

    /// Signs before a value: of an operand or of an exponent.
    fn unary(&mut self, pair: Pair<'_, Rule>) -> Option<Deep> {
        let parts: Vec<Pair<'_, Rule>> = pair.into_inner().collect();
        let signs: Vec<Span> = parts
            .iter()
            .filter(|p| p.as_rule() == Rule::minus)
            .map(|p| self.span(p))
            .collect();
        let value = parts.into_iter().find_map(|p| match p.as_rule() {
            Rule::power => Some(self.power(p)),
            Rule::postfix => Some(self.postfix(p)),
            _ => None,
        });
        let mut value = value??;
        for sign in signs.into_iter().rev() {
            let span = Span {
                start: sign.start,
                end: value.0.span.end,
            };
            let depth = value.1;
            value = self.build(ExprKind::Negate(Box::new(value.0)), span, depth);
        }
        Some(value)
    }

    fn power(&mut self, pair: Pair<'_, Rule>) -> Option<Deep> {
        let (mut base, mut exponent) = (None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::postfix => base = Some(self.postfix(part)?),
                Rule::exponent => exponent = Some(self.unary(part)?),
                _ => {}
            }
        }
        Some(match exponent {
            Some(exponent) => self.binary(BinaryOp::Power, base?, exponent),
            None => base?,
        })
    }

    fn postfix(&mut self, pair: Pair<'_, Rule>) -> Option<Deep> {
        let mut value = None;
        for part in pair.into_inner() {
            value = match (part.as_rule(), value) {
                (Rule::primary, _) => Some(self.primary(part)?),
                (Rule::index, Some(base)) => Some(self.index(part, base)?),
                (_, value) => value,
            };
        }
        value
    }

    fn index(&mut self, pair: Pair<'_, Rule>, base: Deep) -> Option<Deep> {
        let span = Span {
            start: base.0.span.start,
            end: self.span(&pair).end,
        };
        let mut depth = base.1;
        let mut positions = Vec::new();
        for part in pair.into_inner().filter(|p| p.as_rule() == Rule::position) {
            let (mut start, mut end, mut step, mut slice) = (None, None, None, false);
            for piece in part.into_inner() {
                let rule = piece.as_rule();
                let expr = match rule {
                    Rule::colon => {
                        slice = true;
                        continue;
                    }
                    Rule::expr => self.expr(piece)?,
                    _ => {
                        let inner = piece.into_inner().next()?;
                        self.expr(inner)?
                    }
                };
                depth = depth.max(expr.1);
                let place = match rule {
                    Rule::end => &mut end,
                    Rule::step => &mut step,
                    _ => &mut start,
                };
                *place = Some(expr.0);
            }
            positions.push(match (slice, start) {
                (false, Some(at)) => Position::At(at),
                (_, start) => Position::Slice(start, end, step),
            });
        }
        let kind = ExprKind::Index(Box::new(base.0), positions);
        Some(self.build(kind, span, depth))
    }

    fn primary(&mut self, pair: Pair<'_, Rule>) -> Option<Deep> {
        let part = pair.into_inner().next()?;
        let (span, text) = (self.span(&part), part.as_str());
        let (kind, depth) = match part.as_rule() {
            Rule::number => (ExprKind::Number(text.to_owned()), 0),
            Rule::name => (ExprKind::Name(text.to_owned()), 0),
            Rule::text => (ExprKind::Text(unquoted(text)), 0),
            Rule::model => {
                let path = part.into_inner().find(|p| p.as_rule() == Rule::text)?;
                (ExprKind::Model(unquoted(path.as_str())), 0)
            }
            Rule::group => {
                let inner = part.into_inner().find(|p| p.as_rule() == Rule::expr)?;
                return self.expr(inner);
            }
            Rule::list => {
                let mut items = Vec::new();
                let mut depth = 0;
                for item in part.into_inner().filter(|p| p.as_rule() == Rule::expr) {
                    let (item, below) = self.expr(item)?;
                    depth = depth.max(below);
                    items.push(item);
                }
                (ExprKind::List(items), depth)
            }
            Rule::call => self.call(part)?,
            _ => return None,
        };
        Some(self.build(kind, span, depth))
    }

    fn call(&mut self, pair: Pair<'_, Rule>) -> Option<(ExprKind, usize)> {
        let parts: Vec<Pair<'_, Rule>> = pair.into_inner().collect();
        let function = self.first_name(&parts)?;
        let (mut arguments, mut depth) = (Vec::new(), 0);
        for part in parts.into_iter().filter(|p| p.as_rule() == Rule::argument) {
            let inner: Vec<Pair<'_, Rule>> = part.into_inner().collect();
            let name = self.first_name(&inner);
            let value = inner.into_iter().find(|p| p.as_rule() == Rule::expr)?;
            let (value, below) = self.expr(value)?;
            depth = depth.max(below);
            arguments.push(Argument { name, value });
        }
        Some((ExprKind::Call(function, arguments), depth))
    }
}

fn unquoted(text: &str) -> String {
    text.trim_matches('"').to_owned()
}
