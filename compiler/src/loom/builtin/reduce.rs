//! Elements joined along axes.

use super::{Arguments, Builtin, Lowering, Stop, Value};
use crate::loom::ast::Span;
use cipherloom_ir::tensor::{Function, Op, Reduction};

pub(super) const ALL: &[Builtin] = &[
    Builtin::new("sum", "x axis? keep?", |l, a| {
        l.reduce_call(a, Reduction::Sum)
    }),
    Builtin::new("mean", "x axis? keep?", |l, a| {
        l.reduce_call(a, Reduction::Mean)
    }),
    Builtin::new("prod", "x axis? keep?", |l, a| {
        l.reduce_call(a, Reduction::Prod)
    }),
    Builtin::new("norm", "x axis? keep?", norm),
    Builtin::new("argmax", "x axis? keep?", argmax),
];

impl Lowering<'_> {
    pub(super) fn reduce_call(&mut self, args: &Arguments, kind: Reduction) -> Result<Value, Stop> {
        let (x, _) = self.numbers(args, "x")?;
        let axes = self.axes(args, self.axes_of(&x).len())?;
        let keep = self.number_or(args, "keep", 0.0)? != 0.0;
        self.reduced(&x, kind, axes, keep, args.span)
    }

    /// Joins elements along axes, all of them without a choice.
    pub(super) fn reduced(
        &mut self,
        x: &Value,
        kind: Reduction,
        axes: Option<Vec<usize>>,
        keep: bool,
        span: Span,
    ) -> Result<Value, Stop> {
        let shape = self.axes_of(x);
        let axes = axes.unwrap_or_else(|| (0..shape.len()).collect());
        if axes.is_empty() {
            return Ok(x.clone());
        }
        let rest = shape.iter().enumerate().filter(|(i, _)| !axes.contains(i));
        let rest: Vec<usize> = rest.map(|(_, n)| *n).collect();
        let op = Op::Reduce { kind, axes };
        let reduced = self.apply(span, std::slice::from_ref(x), op, &[], &[])?;
        if keep {
            return Ok(reduced);
        }
        self.reshaped(&reduced, &rest, span)
    }
}

/// The root of the sum of squares.
fn norm(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, _) = l.numbers(args, "x")?;
    let axes = l.axes(args, l.axes_of(&x).len())?;
    let keep = l.number_or(args, "keep", 0.0)? != 0.0;
    let square = l.apply(args.span, &[x], Op::Power { exponent: 2 }, &[], &[])?;
    let sum = l.reduced(&square, Reduction::Sum, axes, keep, args.span)?;
    l.function(Function::Sqrt, &sum, args.span)
}

/// The index of the largest element along an axis, the last one without a choice.
fn argmax(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, span) = l.numbers(args, "x")?;
    let mut shape = l.axes_of(&x);
    let axis = l.whole_or(args, "axis", -1)?;
    let axis = l.axis(axis, shape.len(), span)?;
    let keep = l.number_or(args, "keep", 0.0)? != 0.0;
    let op = Op::ArgMax {
        axis,
        smallest: false,
        last: false,
    };
    let found = l.apply(args.span, &[x], op, &[], &[])?;
    if keep {
        return Ok(found);
    }
    shape.remove(axis);
    l.reshaped(&found, &shape, args.span)
}
