//! Expressions.

use super::super::ast::{Expr, ExprKind, Span};
use super::super::builtin;
use super::super::diagnostic::Diagnostic;
use super::{Constant, Lowering, Stop, Value, shown};
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{MAX_RANK, Op};
use std::sync::Arc;

impl Lowering<'_> {
    /// What an expression stands for.
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Value, Stop> {
        if let Err(text) = self.limits.enter() {
            return Err(self.fail(expr.span, text));
        }
        let result = self.expr_within(expr);
        self.limits.leave();
        result
    }

    fn expr_within(&mut self, expr: &Expr) -> Result<Value, Stop> {
        match &expr.kind {
            ExprKind::Number(text) => {
                let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
                match number {
                    Some(number) => Ok(Value::number(number)),
                    None => Err(self.fail(expr.span, "the number is too large")),
                }
            }
            ExprKind::Text(text) => Ok(Value::Text(text.clone())),
            ExprKind::Name(name) => self.variable(name, expr.span),
            ExprKind::List(items) => self.list(items, expr.span),
            ExprKind::Model(path) => self.network(path, expr.span),
            ExprKind::Negate(value) => {
                let value = self.expr(value)?;
                self.scaled(&value, -1.0, expr.span)
            }
            ExprKind::Binary(op, left, right) => {
                let (a, b) = (self.expr(left), self.expr(right));
                self.binary(*op, &a?, &b?, expr.span)
            }
            ExprKind::Call(name, arguments) => self.call(name, arguments, expr.span),
            ExprKind::Index(base, positions) => {
                let base = self.expr(base)?;
                self.index(&base, positions, expr.span)
            }
        }
    }

    pub(super) fn variable(&mut self, name: &str, span: Span) -> Result<Value, Stop> {
        if let Some(value) = self.lookup(name) {
            return match value {
                Value::Unknown => Err(Stop),
                value => Ok(value.clone()),
            };
        }
        match name {
            "true" => return Ok(Value::number(1.0)),
            "false" => return Ok(Value::number(0.0)),
            _ => {}
        }
        if let Some(builtin) = builtin::find(name) {
            return Ok(Value::Builtin(builtin.name));
        }
        Err(self.unknown(name, span, "variable"))
    }

    /// An unknown name, with the nearest one that is known.
    pub(super) fn unknown(&mut self, name: &str, span: Span, what: &str) -> Stop {
        let mut known = self.known_names();
        known.extend(builtin::names().map(str::to_owned));
        let fault = Diagnostic::new(span, format!("there is no {what} `{name}`"));
        let near = known
            .into_iter()
            .map(|k| (distance(name, &k), k))
            .filter(|(d, _)| name.len() > 2 && *d <= 1 + name.len() / 4)
            .min();
        self.refuse(match near {
            Some((_, near)) => fault.help(format!("did you mean `{near}`?")),
            None if what == "variable" => fault.help("names are declared before they are used"),
            None => fault,
        })
    }

    pub(in crate::loom) fn unknown_function(&mut self, name: &str, span: Span) -> Stop {
        self.unknown(name, span, "function")
    }

    /// `[a, b, ...]`: values of one shape along a new first axis.
    fn list(&mut self, items: &[Expr], span: Span) -> Result<Value, Stop> {
        let mut values = Vec::new();
        let mut stopped = false;
        for item in items {
            match self.expr(item) {
                Ok(value) => values.push((value, item.span)),
                Err(Stop) => stopped = true,
            }
        }
        if stopped {
            return Err(Stop);
        }
        self.stack(&values, span)
    }

    /// Values of one shape along a new first axis.
    pub(in crate::loom) fn stack(
        &mut self,
        values: &[(Value, Span)],
        span: Span,
    ) -> Result<Value, Stop> {
        let mut common: Option<Vec<usize>> = None;
        for (value, at) in values {
            let Some(shape) = self.shape(value) else {
                let text = format!(
                    "a list holds numbers and tensors, and this is {}",
                    self.describe(value)
                );
                return Err(self.fail(*at, text));
            };
            match &common {
                Some(first) if *first != shape => {
                    let text =
                        format!("shape {shape:?} in a list whose first item has shape {first:?}");
                    return Err(self.fail(*at, text));
                }
                _ => common = Some(shape),
            }
        }
        let Some(inner) = common else {
            return Err(self.fail(span, "an empty list has no shape"));
        };
        if inner.len() >= MAX_RANK {
            return Err(self.fail(span, format!("more than {MAX_RANK} axes")));
        }
        let mut shape = vec![values.len()];
        shape.extend(&inner);
        self.bounded(span, &shape)?;
        let constants: Option<Vec<&Constant>> = values
            .iter()
            .map(|(v, _)| match v {
                Value::Constant(c) => Some(c),
                _ => None,
            })
            .collect();
        if let Some(constants) = constants {
            let data = constants.iter().flat_map(|c| c.tensor.data()).copied();
            let tensor = Tensor::new(shape, data.collect());
            let tensor = tensor.ok_or_else(|| self.fail(span, "the list's shape is lost"))?;
            return self.new_constant(span, tensor);
        }
        let mut parts = Vec::new();
        let mut single = vec![1];
        single.extend(&inner);
        for (value, at) in values {
            parts.push((self.reshaped(value, &single, *at)?, *at));
        }
        self.concat(&parts, 0, span)
    }

    /// The same elements in another shape.
    pub(in crate::loom) fn reshaped(
        &mut self,
        value: &Value,
        shape: &[usize],
        span: Span,
    ) -> Result<Value, Stop> {
        if self.shape(value).as_deref() == Some(shape) {
            return Ok(value.clone());
        }
        if let Value::Constant(constant) = value {
            let tensor = Tensor::clone(&constant.tensor).reshaped(shape.to_vec());
            if let Some(tensor) = tensor {
                return Ok(Value::Constant(Constant {
                    tensor: Arc::new(tensor),
                    name: constant.name.clone(),
                }));
            }
        }
        self.apply(span, std::slice::from_ref(value), Op::Reshape, &[], shape)
    }

    /// A number that is known now.
    pub(in crate::loom) fn scalar(&mut self, value: &Value, span: Span) -> Result<f64, Stop> {
        match value {
            Value::Constant(c) if c.tensor.len() == 1 => Ok(c.tensor.data()[0]),
            other => {
                let text = format!("expected a number, found {}", self.describe(other));
                Err(self.fail(span, text))
            }
        }
    }

    /// A whole number that is known now.
    pub(in crate::loom) fn whole(&mut self, value: &Value, span: Span) -> Result<i64, Stop> {
        let number = self.scalar(value, span)?;
        if number.fract() != 0.0 || number.abs() > 1e15 {
            return Err(self.fail(
                span,
                format!("expected a whole number, found {}", shown(number)),
            ));
        }
        Ok(number as i64)
    }

    /// The size of an axis.
    pub(in crate::loom) fn size(&mut self, value: &Value, span: Span) -> Result<usize, Stop> {
        let number = self.whole(value, span)?;
        match usize::try_from(number) {
            Ok(size) if size > 0 => Ok(size),
            _ => Err(self.fail(
                span,
                format!("expected a size of at least 1, found {number}"),
            )),
        }
    }
}

/// The edits that make one word another (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
