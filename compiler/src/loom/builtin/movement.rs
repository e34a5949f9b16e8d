//! Elements moved, without arithmetic.

use super::{Arguments, Builtin, Lowering, Stop, Value};
use crate::loom::diagnostic::Diagnostic;
use crate::loom::lower::slice;
use cipherloom_ir::tensor::Op;

pub(super) const ALL: &[Builtin] = &[
    Builtin::new("rotate", "x by axis?", rotate),
    Builtin::new("slice", "x start end step? axis?", cut),
    Builtin::new("concat", "values... axis?", concat),
    Builtin::new("stack", "values...", |l, a| l.stack(&a.rest, a.span)),
    Builtin::new("transpose", "x axes?", transpose),
    Builtin::new("reshape", "x shape", reshape),
    Builtin::new("flatten", "x", |l, a| {
        let (x, _) = l.numbers(a, "x")?;
        let count = l.axes_of(&x).iter().product();
        l.reshaped(&x, &[count], a.span)
    }),
    Builtin::new("broadcast", "x shape", spread),
    Builtin::new("pad", "x before after value?", pad),
];

/// Element i of the result is element i + by, counted round and round.
fn rotate(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, span) = l.numbers(args, "x")?;
    let by = l.whole_or(args, "by", 0)?;
    let shape = l.axes_of(&x);
    let axis = l.whole_or(args, "axis", -1)?;
    let axis = l.axis(axis, shape.len(), span)?;
    let along = |(i, n): (usize, &usize)| {
        let by = if i == axis {
            by.rem_euclid(*n as i64) as usize
        } else {
            0
        };
        ((0..*n).map(|at| (at + by) % n).collect(), true)
    };
    let axes: Vec<(Vec<usize>, bool)> = shape.iter().enumerate().map(along).collect();
    l.select(&x, &axes, args.span)
}

fn cut(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, span) = l.numbers(args, "x")?;
    let shape = l.axes_of(&x);
    let axis = l.whole_or(args, "axis", 0)?;
    let axis = l.axis(axis, shape.len(), span)?;
    let (start, end) = (l.whole_or(args, "start", 0)?, l.whole_or(args, "end", 0)?);
    let step = l.whole_or(args, "step", 1)?;
    let positions = match slice(Some(start), Some(end), step, shape[axis]) {
        Ok(positions) => positions,
        Err(text) => return Err(l.fail(args.span, text)),
    };
    let mut axes: Vec<(Vec<usize>, bool)> =
        shape.iter().map(|n| ((0..*n).collect(), true)).collect();
    axes[axis].0 = positions;
    l.select(&x, &axes, args.span)
}

fn concat(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    for (value, span) in &args.rest {
        if l.shape(value).is_none() {
            let text = format!("`concat` joins numbers, not {}", l.describe(value));
            return Err(l.fail(*span, text));
        }
    }
    let rank = args.rest.first().map_or(0, |(v, _)| l.axes_of(v).len());
    let axis = l.whole_or(args, "axis", 0)?;
    let axis = l.axis(axis, rank, args.span)?;
    if args
        .rest
        .iter()
        .all(|(v, _)| matches!(v, Value::Constant(_)))
    {
        let operands: Vec<Value> = args.rest.iter().map(|(v, _)| v.clone()).collect();
        return l.apply(args.span, &operands, Op::Concat { axis }, &[], &[]);
    }
    l.concat(&args.rest, axis, args.span)
}

fn transpose(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, span) = l.numbers(args, "x")?;
    let rank = l.axes_of(&x).len();
    let perm = match l.wholes(args, "axes")? {
        None => (0..rank).rev().collect(),
        Some(axes) => {
            let mut perm = Vec::new();
            for axis in axes {
                perm.push(l.axis(axis, rank, span)?);
            }
            perm
        }
    };
    l.apply(args.span, &[x], Op::Transpose { perm }, &[], &[])
}

/// One size may be -1: what is left.
fn reshape(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, _) = l.numbers(args, "x")?;
    let from = l.axes_of(&x);
    let sizes = l.wholes(args, "shape")?.unwrap_or_default();
    let span = args.get("shape").map_or(args.span, |(_, s)| s);
    let count: usize = from.iter().product();
    let open = sizes.iter().filter(|s| **s == -1).count();
    let known = sizes
        .iter()
        .filter(|s| **s != -1)
        .try_fold(1_usize, |n, s| n.checked_mul(usize::try_from(*s).ok()?));
    let left = known
        .filter(|k| *k > 0 && count.is_multiple_of(*k))
        .map(|k| count / k);
    let fits = match (open, left) {
        (0, Some(1)) | (1, Some(_)) => left,
        _ => None,
    };
    let Some(left) = fits else {
        let text = format!("{from:?} does not have as many elements as {sizes:?}");
        let fault = Diagnostic::new(span, text);
        return Err(l.refuse(fault.help("one size may be -1: it is what is left")));
    };
    let shape: Vec<usize> = sizes
        .iter()
        .map(|s| usize::try_from(*s).unwrap_or(left))
        .collect();
    l.reshaped(&x, &shape, args.span)
}

fn spread(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, _) = l.numbers(args, "x")?;
    let from = l.axes_of(&x);
    let shape = l.sizes(args, "shape")?.unwrap_or_default();
    if crate::broadcast::broadcast(&from, &shape).ok().as_ref() != Some(&shape) {
        let text = format!("{from:?} does not broadcast to {shape:?}");
        return Err(l.fail(args.span, text));
    }
    l.spread(&x, &shape, args.span)
}

/// Elements added before and after each axis; a single number for all axes.
fn pad(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (x, _) = l.numbers(args, "x")?;
    let rank = l.axes_of(&x).len();
    let mut sides = [vec![], vec![]];
    for (side, name) in sides.iter_mut().zip(["before", "after"]) {
        let sizes = l.sizes(args, name)?.unwrap_or_default();
        *side = match sizes[..] {
            [only] => vec![only; rank],
            _ => sizes,
        };
    }
    let [before, after] = sides;
    let value = l.number_or(args, "value", 0.0)?;
    let op = Op::Pad {
        before,
        after,
        value,
    };
    l.apply(args.span, &[x], op, &[], &[])
}
