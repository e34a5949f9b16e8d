//! Statements.

use super::super::ast::{Expr, Name, Span, Statement, StatementKind};
use super::super::builtin;
use super::super::diagnostic::Diagnostic;
use super::{Lowering, Stop, Value, port_in, port_out};
use cipherloom_ir::Origin;
use cipherloom_ir::tensor::{MAX_RANK, Node, Op};
use cipherloom_ir::value::Range;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Variables of the program, of a function or of a loop's turn.
#[derive(Default)]
pub(in crate::loom) struct Scope {
    pub(super) names: BTreeMap<String, Value>,
    /// Whether names of the scopes above are not seen, but those of the program.
    pub(super) function: bool,
}

impl Lowering<'_> {
    /// Carries a statement out; the values that it returns from a function.
    pub(super) fn statement(
        &mut self,
        statement: &Statement,
        top: bool,
    ) -> Result<Option<Value>, Stop> {
        let before = std::mem::replace(&mut self.statement, statement.span);
        let result = self.carry_out(statement, top);
        if result.is_err() {
            self.declare_unknown(statement);
        }
        self.statement = before;
        result
    }

    fn carry_out(&mut self, statement: &Statement, top: bool) -> Result<Option<Value>, Stop> {
        match &statement.kind {
            StatementKind::Input {
                name,
                clear,
                shape,
                range,
            } => self.input(name, *clear, shape, range.as_ref())?,
            StatementKind::Let(names, value) => self.declare(names, value)?,
            StatementKind::Assign(name, value) => {
                let value = self.expr(value)?;
                self.assign(name, value)?;
            }
            StatementKind::Output(name, value) => self.output(name, value.as_ref())?,
            StatementKind::Function(function) => {
                self.free(&function.name)?;
                let value = Value::Function(Rc::new(function.clone()));
                self.define(&function.name.text, value);
            }
            StatementKind::For(name, over, body) => return self.repeat(name, over, body, top),
            StatementKind::Return(values) => {
                if top {
                    return Err(self.fail(statement.span, "`return` stands within functions alone"));
                }
                let mut found = Vec::new();
                for value in values {
                    found.push(self.expr(value)?);
                }
                return Ok(Some(match <[Value; 1]>::try_from(found) {
                    Ok([only]) => only,
                    Err(several) => Value::Several(several),
                }));
            }
        }
        Ok(None)
    }

    /// After a fault the names are there all the same, so that their uses are no faults.
    fn declare_unknown(&mut self, statement: &Statement) {
        let names: Vec<&str> = match &statement.kind {
            StatementKind::Input { name, .. } | StatementKind::Assign(name, _) => vec![&name.text],
            StatementKind::Output(name, Some(_)) => vec![&name.text],
            StatementKind::Let(names, _) => names.iter().map(|n| n.text.as_str()).collect(),
            _ => vec![],
        };
        for name in names {
            if !matches!(
                self.lookup(name),
                Some(Value::Constant(_) | Value::Encrypted(_))
            ) {
                self.define(name, Value::Unknown);
            }
        }
    }

    /// Refuses a name that is taken, by the program or by the language.
    fn free(&mut self, name: &Name) -> Result<(), Stop> {
        if builtin::find(&name.text).is_some() {
            let text = format!("`{}` is a function of the language", name.text);
            return Err(self.refuse(Diagnostic::new(name.span, text).help("choose another name")));
        }
        let taken = self
            .scopes
            .last()
            .is_some_and(|s| s.names.contains_key(&name.text));
        if taken {
            let text = format!("`{}` is declared already", name.text);
            let advice = format!(
                "choose another name, or change its value with `{} = ...`",
                name.text
            );
            return Err(self.refuse(Diagnostic::new(name.span, text).help(advice)));
        }
        Ok(())
    }

    pub(super) fn define(&mut self, name: &str, value: Value) {
        // A constant is known by the variable that held it first.
        let value = match value {
            Value::Constant(mut constant) => {
                constant.name = constant.name.or_else(|| Some(name.into()));
                Value::Constant(constant)
            }
            other => other,
        };
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.insert(name.to_owned(), value);
        }
    }

    /// The scopes that are seen from here, the innermost first.
    fn visible(&self) -> Vec<usize> {
        let mut seen = Vec::new();
        for (i, scope) in self.scopes.iter().enumerate().rev() {
            seen.push(i);
            if scope.function {
                seen.push(0);
                break;
            }
        }
        seen
    }

    pub(super) fn lookup(&self, name: &str) -> Option<&Value> {
        let scopes = self.visible().into_iter();
        scopes
            .filter_map(|i| self.scopes.get(i))
            .find_map(|s| s.names.get(name))
    }

    /// The names that are seen from here, for advice.
    pub(super) fn known_names(&self) -> Vec<String> {
        let scopes = self.visible().into_iter();
        scopes
            .filter_map(|i| self.scopes.get(i))
            .flat_map(|s| s.names.keys().cloned())
            .collect()
    }

    fn declare(&mut self, names: &[Name], value: &Expr) -> Result<(), Stop> {
        let found = self.expr(value)?;
        for name in names {
            self.free(name)?;
        }
        match (names, found) {
            ([only], Value::Several(values)) => {
                let text = format!("{} values for one name", values.len());
                let fault = Diagnostic::new(only.span, text);
                Err(self.refuse(fault.help("write as many names: let a, b = ...")))
            }
            ([only], value) => {
                self.define(&only.text, value);
                Ok(())
            }
            (names, Value::Several(values)) if names.len() == values.len() => {
                for (name, value) in names.iter().zip(values) {
                    self.define(&name.text, value);
                }
                Ok(())
            }
            (names, value) => {
                let found = match &value {
                    Value::Several(values) => format!("{} values", values.len()),
                    other => self.describe(other),
                };
                let text = format!("{} names for {found}", names.len());
                Err(self.fail(names[0].span, text))
            }
        }
    }

    fn assign(&mut self, name: &Name, value: Value) -> Result<(), Stop> {
        // A function changes its own variables alone.
        let mut place = None;
        for (i, scope) in self.scopes.iter().enumerate().rev() {
            if scope.names.contains_key(&name.text) {
                place = Some(i);
                break;
            }
            if scope.function {
                break;
            }
        }
        match place.and_then(|i| self.scopes.get_mut(i)) {
            Some(scope) => {
                scope.names.insert(name.text.clone(), value);
                Ok(())
            }
            None => {
                let text = format!("there is no variable `{}` to change here", name.text);
                let advice = format!("declare it: let {} = ...", name.text);
                Err(self.refuse(Diagnostic::new(name.span, text).help(advice)))
            }
        }
    }

    fn input(
        &mut self,
        name: &Name,
        clear: bool,
        shape: &[Expr],
        range: Option<&(Expr, Expr)>,
    ) -> Result<(), Stop> {
        self.free(name)?;
        let mut sizes = Vec::new();
        for size in shape {
            let value = self.expr(size)?;
            sizes.push(self.size(&value, size.span)?);
        }
        let range = match range {
            Some((lo, hi)) => Some(self.range(lo, hi)?),
            None => None,
        };
        let value = self.add_input(&name.text, name.span, clear, sizes, range)?;
        self.define(&name.text, value);
        Ok(())
    }

    /// An input, encrypted or clear. Where it stands in for other values, a clear one is as an encrypted one: its values are
    /// known at run time alone.
    pub(in crate::loom) fn add_input(
        &mut self,
        name: &str,
        span: Span,
        clear: bool,
        sizes: Vec<usize>,
        range: Option<Range>,
    ) -> Result<Value, Stop> {
        if self.module.inputs.iter().any(|i| i.name == name) {
            return Err(self.fail(span, format!("input `{name}` is declared already")));
        }
        if sizes.len() > MAX_RANK {
            let text = format!("{} axes, more than {MAX_RANK}", sizes.len());
            return Err(self.fail(span, text));
        }
        self.bounded(span, &sizes)?;
        let batched = sizes.first() == Some(&1);
        let node = Node {
            op: Op::Input {
                name: name.to_owned(),
            },
            shape: sizes,
            range,
            origin: Origin::Port(name.to_owned()),
        };
        let Some(id) = self.module.graph.add(node, &[]) else {
            return Err(self.fail(span, "the input cannot be added"));
        };
        self.places.insert(id, span);
        let mut port = port_in(name.to_owned(), id);
        (port.batched, port.clear) = (batched, clear);
        self.module.inputs.push(port);
        Ok(Value::Encrypted(id))
    }

    fn range(&mut self, lo: &Expr, hi: &Expr) -> Result<Range, Stop> {
        let mut ends = [0.0; 2];
        for (end, expr) in ends.iter_mut().zip([lo, hi]) {
            let value = self.expr(expr)?;
            *end = self.scalar(&value, expr.span)?;
        }
        let span = Span {
            start: lo.span.start,
            end: hi.span.end,
        };
        match Range::new(ends[0], ends[1]) {
            Some(range) if range.lo < range.hi => Ok(range),
            _ => {
                let fault = Diagnostic::new(span, "the range is empty");
                Err(self.refuse(fault.help("write the smaller end first: 0..1")))
            }
        }
    }

    fn output(&mut self, name: &Name, value: Option<&Expr>) -> Result<(), Stop> {
        self.new_output(&name.text, name.span)?;
        let (found, span) = match value {
            Some(value) => {
                let found = self.expr(value)?;
                self.free(name)?;
                self.define(&name.text, found.clone());
                (found, value.span)
            }
            None => (self.variable(&name.text, name.span)?, name.span),
        };
        self.add_output(&name.text, name.span, span, &found)
    }

    /// Refuses a name that an output has.
    fn new_output(&mut self, name: &str, span: Span) -> Result<(), Stop> {
        if self.module.outputs.iter().any(|o| o.name == name) {
            return Err(self.fail(span, format!("output `{name}` is declared already")));
        }
        Ok(())
    }

    /// An output: where its name stands, and its value.
    pub(in crate::loom) fn add_output(
        &mut self,
        name: &str,
        name_span: Span,
        span: Span,
        found: &Value,
    ) -> Result<(), Stop> {
        self.new_output(name, name_span)?;
        match found {
            Value::Encrypted(node) => {
                let batched = self.module.inputs.iter().any(|i| i.batched);
                let first = self
                    .module
                    .graph
                    .get(*node)
                    .and_then(|n| n.shape.first().copied());
                let batched = batched && first == Some(1);
                let port = port_out(name.to_owned(), *node, batched);
                self.module.outputs.push(port);
                Ok(())
            }
            Value::Unknown => Err(Stop),
            other => {
                let text = format!(
                    "an output is an encrypted value, and this is {}",
                    self.describe(other)
                );
                Err(self.fail(span, text))
            }
        }
    }

    /// One turn for each element along the first axis.
    fn repeat(
        &mut self,
        name: &Name,
        over: &Expr,
        body: &[Statement],
        top: bool,
    ) -> Result<Option<Value>, Stop> {
        let values = self.expr(over)?;
        let Some(count) = self.shape(&values).and_then(|s| s.first().copied()) else {
            let text = format!(
                "a loop goes along the first axis, and this is {}",
                self.describe(&values)
            );
            let fault = Diagnostic::new(over.span, text);
            return Err(self.refuse(fault.help("range(n) gives 0, 1, ..., n - 1")));
        };
        if builtin::find(&name.text).is_some() {
            self.free(name)?;
        }
        for turn in 0..count {
            self.limits
                .enter()
                .map_err(|text| self.fail(over.span, text))?;
            self.limits.leave();
            let value = self.element(&values, turn, over.span)?;
            self.scopes.push(Scope::default());
            self.define(&name.text, value);
            let result = self.block(body, top);
            self.scopes.pop();
            if let Some(value) = result? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The statements of a block, up to the one that returns.
    pub(super) fn block(&mut self, body: &[Statement], top: bool) -> Result<Option<Value>, Stop> {
        let mut result = Ok(None);
        for statement in body {
            match self.statement(statement, top) {
                Ok(None) => {}
                Ok(Some(value)) => return result.and(Ok(Some(value))),
                // The rest may hold other faults.
                Err(stop) => result = Err(stop),
            }
        }
        result
    }
}
