//! Max and Min: the largest and the smallest of one or more values, elementwise with NumPy broadcasting.
//!
//! Among constants it is computed now; with one number it is a clip, with a constant that differs from element to
//! element `max(x, c) = relu(x - c) + c`. Opsets: 8 (broadcasting), 12 and 13 add types.

use super::activation::apply;
use super::arithmetic::{add_constant, fold, negate};
use crate::broadcast::broadcast;
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::clear::Clear;
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::{Function, Op};

#[derive(Clone, Copy, PartialEq)]
enum Extremum {
    Max,
    Min,
}

pub(super) fn max(call: &mut Call<'_>) -> Outputs {
    import(call, Extremum::Max)
}

pub(super) fn min(call: &mut Call<'_>) -> Outputs {
    import(call, Extremum::Min)
}

fn import(call: &mut Call<'_>, which: Extremum) -> Outputs {
    let count = call.inputs.len();
    call.arity(1, count.max(1))?;
    let (mut clear, mut encrypted): (Option<Clear>, Option<Encrypted>) = (None, None);
    for position in 0..count {
        match call.value(position)? {
            Value::Clear(next) => {
                clear = Some(match clear {
                    None => next,
                    Some(so_far) => match fold(&so_far, &next, |a, b| which.of(a, b))? {
                        Value::Clear(both) => both,
                        Value::Encrypted(_) => return Err("constants became encrypted".into()),
                    },
                });
            }
            Value::Encrypted(next) => {
                encrypted = Some(match encrypted {
                    None => next,
                    Some(so_far) => {
                        let op = if which == Extremum::Max {
                            Op::Max
                        } else {
                            Op::Min
                        };
                        call.emit(op, &[&so_far, &next], &[])?
                    }
                });
            }
        }
    }
    Ok(vec![match (encrypted, clear) {
        (Some(x), Some(c)) => Value::Encrypted(with_constant(call, which, &x, &c)?),
        (Some(x), None) => Value::Encrypted(x),
        (None, Some(c)) => Value::Clear(c),
        (None, None) => return Err("it has no input".into()),
    }])
}

impl Extremum {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Extremum::Max => a.max(b),
            Extremum::Min => a.min(b),
        }
    }
}

fn with_constant(
    call: &mut Call<'_>,
    which: Extremum,
    x: &Encrypted,
    c: &Clear,
) -> Result<Encrypted, Refusal> {
    let uniform = match c.data() {
        [first, rest @ ..] if rest.iter().all(|v| v == first) => Some(*first),
        _ => None,
    };
    if let Some(bound) = uniform
        && bound.is_finite()
        && broadcast(&x.shape, c.shape())? == x.shape
    {
        let function = match which {
            Extremum::Max if bound == 0.0 => Function::Relu,
            Extremum::Max => Function::Clip {
                lo: bound,
                hi: f64::INFINITY,
            },
            Extremum::Min => Function::Clip {
                lo: f64::NEG_INFINITY,
                hi: bound,
            },
        };
        return apply(call, function, x);
    }
    let negated = Clear {
        name: format!("{}.negated", c.name),
        ..c.map(|v| -v)
    };
    match which {
        Extremum::Max => {
            let above = add_constant(call, x, &negated)?;
            let relu = apply(call, Function::Relu, &above)?;
            add_constant(call, &relu, c)
        }
        // min(x, c) = c - relu(c - x)
        Extremum::Min => {
            let minus_x = negate(call, x)?;
            let below = add_constant(call, &minus_x, c)?;
            let relu = apply(call, Function::Relu, &below)?;
            let minus_relu = negate(call, &relu)?;
            add_constant(call, &minus_relu, c)
        }
    }
}
