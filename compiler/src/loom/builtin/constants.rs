//! Constants.

use super::{Arguments, Builtin, Lowering, Stop, Value};
use cipherloom_ir::Tensor;

pub(super) const ALL: &[Builtin] = &[
    Builtin::new("load", "path name?", load),
    Builtin::new("full", "shape value", |l, a| {
        let value = l.number_or(a, "value", 0.0)?;
        filled(l, a, value)
    }),
    Builtin::new("zeros", "shape", |l, a| filled(l, a, 0.0)),
    Builtin::new("ones", "shape", |l, a| filled(l, a, 1.0)),
    Builtin::new("identity", "size", identity),
    Builtin::new("range", "start end? step?", range),
];

/// An array of a `.npy` or `.npz` file.
fn load(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let Some((path, span)) = l.text_argument(args, "path")? else {
        return Err(l.fail(args.span, "`load` needs `path`"));
    };
    let name = l.text_argument(args, "name")?.map(|(name, _)| name);
    let tensor = match l.resources().array(&path, name.as_deref()) {
        Ok(tensor) => tensor,
        Err(text) => return Err(l.fail(span, text)),
    };
    l.bounded(span, tensor.shape())?;
    l.new_constant(span, tensor)
}

fn filled(l: &mut Lowering<'_>, args: &Arguments, value: f64) -> Result<Value, Stop> {
    let shape = l.sizes(args, "shape")?.unwrap_or_default();
    l.bounded(args.span, &shape)?;
    match Tensor::filled(shape, value) {
        Some(tensor) => l.new_constant(args.span, tensor),
        None => Err(l.fail(args.span, "the shape is too large")),
    }
}

fn identity(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let (value, span) = l.numbers(args, "size")?;
    let size = l.size(&value, span)?;
    let shape = vec![size, size];
    let count = l.bounded(span, &shape)?;
    let data = (0..count).map(|i| f64::from(u8::from(i / size == i % size)));
    match Tensor::new(shape, data.collect()) {
        Some(tensor) => l.new_constant(args.span, tensor),
        None => Err(l.fail(args.span, "the shape is too large")),
    }
}

/// `range(end)`, `range(start, end)`, `range(start, end, step)`: as Python's, of any numbers.
fn range(l: &mut Lowering<'_>, args: &Arguments) -> Result<Value, Stop> {
    let first = l.number_or(args, "start", 0.0)?;
    let (start, end) = match args.get("end") {
        Some(_) => (first, l.number_or(args, "end", 0.0)?),
        None => (0.0, first),
    };
    let step = l.number_or(args, "step", 1.0)?;
    if step == 0.0 {
        return Err(l.fail(args.span, "the step is 0"));
    }
    let count = ((end - start) / step).ceil().max(0.0);
    if count == 0.0 {
        return Err(l.fail(args.span, "the range is empty"));
    }
    // A float of the count saturates; the limit is checked before anything is made.
    let count = l.bounded(args.span, &[count as usize])?;
    let data = (0..count).map(|i| start + step * i as f64).collect();
    l.new_constant(args.span, Tensor::from_vec(data))
}
