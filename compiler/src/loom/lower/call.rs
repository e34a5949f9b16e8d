//! Calls: functions of the language, of the program, and networks.

use super::super::ast::{Argument, Body, Function, Name, Span};
use super::super::builtin::{self, Arguments, Builtin};
use super::super::diagnostic::{Diagnostic, line_column};
use super::statement::Scope;
use super::{Lowering, Stop, Value};
use std::rc::Rc;

/// An argument that has been evaluated.
pub(super) struct Given {
    name: Option<Name>,
    value: Value,
    span: Span,
}

/// Arguments by parameter, and those of a parameter that takes many.
type Arranged = (Vec<Option<(Value, Span)>>, Vec<(Value, Span)>);

/// A parameter: its name, and whether it may be left out or takes all that have no name.
struct Slot<'a> {
    name: &'a str,
    optional: bool,
    many: bool,
}

impl Lowering<'_> {
    pub(super) fn call(
        &mut self,
        name: &Name,
        arguments: &[Argument],
        span: Span,
    ) -> Result<Value, Stop> {
        let function = match self.lookup(&name.text) {
            Some(Value::Unknown) => Err(Stop),
            Some(value) => Ok(value.clone()),
            None => match builtin::find(&name.text) {
                Some(builtin) => Ok(Value::Builtin(builtin.name)),
                None => Err(self.unknown(&name.text, name.span, "function")),
            },
        };
        let mut given = Vec::new();
        let mut stopped = false;
        for argument in arguments {
            match self.expr(&argument.value) {
                Ok(value) => given.push(Given {
                    name: argument.name.clone(),
                    value,
                    span: argument.value.span,
                }),
                Err(Stop) => stopped = true,
            }
        }
        let function = function?;
        if stopped {
            return Err(Stop);
        }
        self.call_value(&function, &name.text, given, span)
    }

    /// Calls a value that is a function with values alone.
    pub(in crate::loom) fn call_with(
        &mut self,
        function: &Value,
        values: Vec<Value>,
        span: Span,
    ) -> Result<Value, Stop> {
        let given = values.into_iter().map(|value| Given {
            name: None,
            value,
            span,
        });
        self.call_value(function, "the function", given.collect(), span)
    }

    /// Calls a function of the language with values, the last ones by name.
    pub(in crate::loom) fn call_named(
        &mut self,
        function: &str,
        plain: Vec<Value>,
        named: Vec<(String, Value)>,
        span: Span,
    ) -> Result<Value, Stop> {
        let Some(builtin) = builtin::find(function) else {
            return Err(self.unknown(function, span, "function"));
        };
        let plain = plain.into_iter().map(|value| (None, value));
        let named = named
            .into_iter()
            .map(|(text, value)| (Some(Name { text, span }), value));
        let given: Vec<Given> = plain
            .chain(named)
            .map(|(name, value)| Given { name, value, span })
            .collect();
        if given.iter().any(|g| matches!(g.value, Value::Unknown)) {
            return Err(Stop);
        }
        self.call_builtin(builtin, given, span)
    }

    fn call_value(
        &mut self,
        function: &Value,
        name: &str,
        given: Vec<Given>,
        span: Span,
    ) -> Result<Value, Stop> {
        match function {
            Value::Builtin(name) => match builtin::find(name) {
                Some(builtin) => self.call_builtin(builtin, given, span),
                None => Err(self.unknown(name, span, "function")),
            },
            Value::Function(function) => self.call_function(&function.clone(), given, span),
            Value::Model(network) => {
                let network = network.clone();
                let given = given
                    .into_iter()
                    .map(|g| (g.name, g.value, g.span))
                    .collect();
                self.call_network(&network, given, span)
            }
            other => {
                let text = format!("`{name}` is {}, not a function", self.describe(other));
                Err(self.fail(span, text))
            }
        }
    }

    fn call_builtin(
        &mut self,
        builtin: &'static Builtin,
        given: Vec<Given>,
        span: Span,
    ) -> Result<Value, Stop> {
        let slots: Vec<Slot<'_>> = builtin
            .parameters()
            .map(|p| Slot {
                name: p.trim_end_matches(['?', '.']),
                optional: p.ends_with('?'),
                many: p.ends_with("..."),
            })
            .collect();
        let (found, rest) = self.arrange(builtin.name, &slots, given, span)?;
        let names = slots.iter().map(|s| s.name).collect();
        let arguments = Arguments {
            function: builtin.name,
            span,
            names,
            found,
            rest,
        };
        (builtin.run)(self, &arguments)
    }

    /// A function's statements, in a scope of its own.
    fn call_function(
        &mut self,
        function: &Rc<Function>,
        given: Vec<Given>,
        span: Span,
    ) -> Result<Value, Stop> {
        if let Err(text) = self.limits.enter() {
            return Err(self.fail(span, text));
        }
        let result = self.function_within(function, given, span);
        self.limits.leave();
        result
    }

    fn function_within(
        &mut self,
        function: &Rc<Function>,
        given: Vec<Given>,
        span: Span,
    ) -> Result<Value, Stop> {
        let slots: Vec<Slot<'_>> = function
            .parameters
            .iter()
            .map(|(name, default)| Slot {
                name: &name.text,
                optional: default.is_some(),
                many: false,
            })
            .collect();
        let (found, _) = self.arrange(&function.name.text, &slots, given, span)?;
        let mut scope = Scope {
            function: true,
            ..Scope::default()
        };
        for ((name, default), found) in function.parameters.iter().zip(found) {
            let value = match (found, default) {
                (Some((value, _)), _) => value,
                (None, Some(default)) => self.expr(default)?,
                (None, None) => return Err(Stop),
            };
            scope.names.insert(name.text.clone(), value);
        }
        self.scopes.push(scope);
        let before = self.faults.len();
        // An expression is a statement of its own, whose place its operations have.
        let outer = self.statement;
        let result = match &function.body {
            Body::Expr(value) => {
                self.statement = value.span;
                self.expr(value).map(Some)
            }
            Body::Block(body) => self.block(body, false),
        };
        self.statement = outer;
        self.scopes.pop();
        let (line, _) = line_column(self.source, span.start);
        for fault in self.faults.iter_mut().skip(before) {
            let note = format!("in `{}`, called from line {line}", function.name.text);
            if !fault.notes.contains(&note) && fault.notes.len() < 6 {
                fault.notes.push(note);
            }
        }
        match result? {
            Some(value) => Ok(value),
            None => {
                let text = format!("`{}` returns nothing", function.name.text);
                Err(self.refuse(Diagnostic::new(span, text).help("end it with `return value`")))
            }
        }
    }

    /// Arguments by parameter, and those of a parameter that takes many.
    fn arrange(
        &mut self,
        function: &str,
        slots: &[Slot<'_>],
        given: Vec<Given>,
        span: Span,
    ) -> Result<Arranged, Stop> {
        let mut found: Vec<Option<(Value, Span)>> = slots.iter().map(|_| None).collect();
        let mut rest = Vec::new();
        let many = slots.first().is_some_and(|s| s.many);
        let usage = || {
            let shown = slots.iter().map(|s| match (s.many, s.optional) {
                (true, _) => format!("{}...", s.name),
                (_, true) => format!("[{}]", s.name),
                _ => s.name.to_owned(),
            });
            format!("{function}({})", shown.collect::<Vec<_>>().join(", "))
        };
        let mut next = 0;
        for Given {
            name,
            value,
            span: at,
        } in given
        {
            let place = match &name {
                None if many => {
                    rest.push((value, at));
                    continue;
                }
                None => {
                    next += 1;
                    next - 1
                }
                Some(name) => match slots.iter().position(|s| s.name == name.text && !s.many) {
                    Some(place) => place,
                    None => {
                        let text = format!("`{function}` has no parameter `{}`", name.text);
                        let fault = Diagnostic::new(name.span, text);
                        return Err(
                            self.refuse(fault.help(format!("it is called so: {}", usage())))
                        );
                    }
                },
            };
            match found.get_mut(place) {
                None => {
                    let text = format!("too many arguments for `{function}`");
                    let fault = Diagnostic::new(at, text);
                    return Err(self.refuse(fault.help(format!("it is called so: {}", usage()))));
                }
                Some(Some(_)) => {
                    let text = format!("`{}` is given twice", slots[place].name);
                    return Err(self.fail(at, text));
                }
                Some(slot) => *slot = Some((value, at)),
            }
        }
        let missing: Vec<&str> = slots
            .iter()
            .zip(&found)
            .filter(|(s, f)| f.is_none() && !s.optional && (!s.many || rest.is_empty()))
            .map(|(s, _)| s.name)
            .collect();
        if !missing.is_empty() {
            let text = format!("`{function}` needs `{}`", missing.join("`, `"));
            let fault = Diagnostic::new(span, text);
            return Err(self.refuse(fault.help(format!("it is called so: {}", usage()))));
        }
        Ok((found, rest))
    }
}
