//! The functions of the language.

mod arithmetic;
mod constants;
mod elementwise;
mod layers;
mod movement;
mod reduce;
mod window;

use super::ast::Span;
use super::lower::{Constant, Lowering, Stop, Value};
use std::rc::Rc;

/// A function of the language.
pub(super) struct Builtin {
    pub(super) name: &'static str,
    /// Names separated by blanks; `?` behind one that may be left out, `...` behind the first if it takes any number.
    parameters: &'static str,
    pub(super) run: fn(&mut Lowering<'_>, &Arguments) -> Result<Value, Stop>,
}

impl Builtin {
    const fn new(
        name: &'static str,
        parameters: &'static str,
        run: fn(&mut Lowering<'_>, &Arguments) -> Result<Value, Stop>,
    ) -> Self {
        Self {
            name,
            parameters,
            run,
        }
    }

    /// The parameters with their marks.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.parameters.split_ascii_whitespace()
    }
}

/// The groups of functions, as the reference lists them.
const GROUPS: [(&str, &[Builtin]); 7] = [
    ("constants", constants::ALL),
    ("arithmetic", arithmetic::ALL),
    ("elementwise", elementwise::ALL),
    ("reductions", reduce::ALL),
    ("data movement", movement::ALL),
    ("windows", window::ALL),
    ("layers", layers::ALL),
];

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    GROUPS
        .iter()
        .flat_map(|(_, g)| g.iter())
        .find(|b| b.name == name)
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|(_, g)| g.iter()).map(|b| b.name)
}

/// How each function is called, by group: `sum(x, [axis], [keep])`.
pub fn signatures() -> Vec<(&'static str, Vec<String>)> {
    let shown = |p: &str| match p.strip_suffix('?') {
        Some(optional) => format!("[{optional}]"),
        None => p.to_owned(),
    };
    let one = |b: &Builtin| {
        let parameters: Vec<String> = b.parameters().map(shown).collect();
        format!("{}({})", b.name, parameters.join(", "))
    };
    let group =
        |(name, group): &(&'static str, &[Builtin])| (*name, group.iter().map(one).collect());
    GROUPS.iter().map(group).collect()
}

/// The arguments of a call, by parameter.
pub(super) struct Arguments {
    pub(super) function: &'static str,
    /// The whole call.
    pub(super) span: Span,
    pub(super) names: Vec<&'static str>,
    pub(super) found: Vec<Option<(Value, Span)>>,
    /// Those of a parameter that takes any number.
    pub(super) rest: Vec<(Value, Span)>,
}

impl Arguments {
    /// An argument that may have been left out.
    fn get(&self, name: &str) -> Option<(&Value, Span)> {
        let at = self.names.iter().position(|n| *n == name)?;
        self.found.get(at)?.as_ref().map(|(v, s)| (v, *s))
    }
}

impl Lowering<'_> {
    /// An argument that is numbers, known or encrypted.
    fn numbers(&mut self, args: &Arguments, name: &str) -> Result<(Value, Span), Stop> {
        match args.get(name) {
            Some((value, span)) if self.shape(value).is_some() => Ok((value.clone(), span)),
            Some((value, span)) => {
                let found = self.describe(value);
                let text = format!("`{}` of {} is numbers, not {found}", name, args.function);
                Err(self.fail(span, text))
            }
            None => Err(self.fail(args.span, format!("`{}` needs `{name}`", args.function))),
        }
    }

    /// The shape of an argument that [`Self::numbers`] gave.
    fn axes_of(&self, value: &Value) -> Vec<usize> {
        self.shape(value).unwrap_or_default()
    }

    /// An argument that is known now, if it is given.
    fn constant_argument(
        &mut self,
        args: &Arguments,
        name: &str,
    ) -> Result<Option<Constant>, Stop> {
        match args.get(name) {
            None => Ok(None),
            Some((Value::Constant(constant), _)) => Ok(Some(constant.clone())),
            Some((value, span)) => {
                let found = self.describe(value);
                let text = format!("`{name}` of {} is a constant, not {found}", args.function);
                Err(self.fail(span, text))
            }
        }
    }

    /// A constant that must be given.
    fn needed_constant(&mut self, args: &Arguments, name: &str) -> Result<Constant, Stop> {
        match self.constant_argument(args, name)? {
            Some(constant) => Ok(constant),
            None => Err(self.fail(args.span, format!("`{}` needs `{name}`", args.function))),
        }
    }

    fn number_or(&mut self, args: &Arguments, name: &str, default: f64) -> Result<f64, Stop> {
        match args.get(name) {
            Some((value, span)) => self.scalar(&value.clone(), span),
            None => Ok(default),
        }
    }

    fn whole_or(&mut self, args: &Arguments, name: &str, default: i64) -> Result<i64, Stop> {
        match args.get(name) {
            Some((value, span)) => self.whole(&value.clone(), span),
            None => Ok(default),
        }
    }

    /// Whole numbers: a list, or a single one.
    fn wholes(&mut self, args: &Arguments, name: &str) -> Result<Option<Vec<i64>>, Stop> {
        let Some(constant) = self.constant_argument(args, name)? else {
            return Ok(None);
        };
        let span = args.get(name).map_or(args.span, |(_, s)| s);
        if constant.tensor.shape().len() > 1 {
            return Err(self.fail(span, format!("`{name}` is a number or a list of numbers")));
        }
        let mut found = Vec::new();
        for value in constant.tensor.data() {
            found.push(self.whole(&Value::number(*value), span)?);
        }
        Ok(Some(found))
    }

    /// Sizes: a list, or a single one.
    fn sizes(&mut self, args: &Arguments, name: &str) -> Result<Option<Vec<usize>>, Stop> {
        let span = args.get(name).map_or(args.span, |(_, s)| s);
        let Some(numbers) = self.wholes(args, name)? else {
            return Ok(None);
        };
        let sizes: Option<Vec<usize>> = numbers.iter().map(|n| usize::try_from(*n).ok()).collect();
        match sizes {
            Some(sizes) => Ok(Some(sizes)),
            None => Err(self.fail(span, format!("`{name}` has a negative number"))),
        }
    }

    /// An axis of a value, counted from the end where negative.
    fn axis(&mut self, axis: i64, rank: usize, span: Span) -> Result<usize, Stop> {
        let counted = if axis < 0 { axis + rank as i64 } else { axis };
        match usize::try_from(counted) {
            Ok(counted) if counted < rank => Ok(counted),
            _ => Err(self.fail(
                span,
                format!("there is no axis {axis} in a value of rank {rank}"),
            )),
        }
    }

    /// The axes that `axis` names, rising; `None` where it is left out.
    fn axes(&mut self, args: &Arguments, rank: usize) -> Result<Option<Vec<usize>>, Stop> {
        let span = args.get("axis").map_or(args.span, |(_, s)| s);
        let Some(numbers) = self.wholes(args, "axis")? else {
            return Ok(None);
        };
        let mut axes = Vec::new();
        for number in numbers {
            axes.push(self.axis(number, rank, span)?);
        }
        axes.sort_unstable();
        if axes.windows(2).any(|w| w[0] == w[1]) {
            return Err(self.fail(span, "an axis is given twice"));
        }
        Ok(Some(axes))
    }

    /// A text that must be given.
    fn text_argument(
        &mut self,
        args: &Arguments,
        name: &str,
    ) -> Result<Option<(String, Span)>, Stop> {
        match args.get(name) {
            None => Ok(None),
            Some((Value::Text(text), span)) => Ok(Some((text.clone(), span))),
            Some((value, span)) => {
                let found = self.describe(value);
                Err(self.fail(
                    span,
                    format!("`{name}` of {} is a text, not {found}", args.function),
                ))
            }
        }
    }
}

/// A constant with a name, as it is shown in the compiled program.
fn named(constant: Constant, name: &str) -> Constant {
    Constant {
        name: constant.name.or_else(|| Some(Rc::from(name))),
        ..constant
    }
}
