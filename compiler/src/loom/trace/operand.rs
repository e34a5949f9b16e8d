//! What operations in Rust take: traced values, numbers, arrays.

use super::{Trace, Traced, Value, tensor};
use cipherloom_ir::Tensor;
use std::rc::Rc;

/// An argument of a function.
#[derive(Clone)]
pub struct Argument(pub(super) Kind);

#[derive(Clone)]
pub(super) enum Kind {
    Traced(Traced),
    Constant(Value),
}

impl Argument {
    /// The value, and whether it is of this program.
    pub(super) fn within(self, trace: &Trace) -> (bool, Value) {
        match self.0 {
            Kind::Constant(value) => (true, value),
            Kind::Traced(traced) => {
                let (of, value) = traced.parts();
                let shared = matches!(value, Value::Constant(_) | Value::Unknown);
                (shared || Rc::ptr_eq(&of.state, &trace.state), value)
            }
        }
    }
}

impl std::fmt::Debug for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Traced(traced) => traced.fmt(f),
            Kind::Constant(value) => f.write_str(value.kind()),
        }
    }
}

/// Numbers that an operation takes: traced values, numbers, tensors, and arrays of numbers.
pub trait Operand {
    /// The argument.
    fn operand(self) -> Argument;
}

impl<T: Operand> From<T> for Argument {
    fn from(value: T) -> Self {
        value.operand()
    }
}

/// A text, such as `"same"` for a padding.
impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        Argument(Kind::Constant(Value::Text(text.to_owned())))
    }
}

macro_rules! constants {
    ($($type:ty: |$value:ident| $constant:expr;)*) => {$(
        impl Operand for $type {
            fn operand(self) -> Argument {
                let $value = self;
                Argument(Kind::Constant($constant))
            }
        }
    )*};
}

constants! {
    f64: |v| Value::number(v);
    i32: |v| Value::number(f64::from(v));
    bool: |v| Value::number(f64::from(u8::from(v)));
    Tensor: |v| Value::constant(v);
    &Tensor: |v| Value::constant(v.clone());
    Vec<f64>: |v| tensor(vec![v.len()], v);
    &[f64]: |v| tensor(vec![v.len()], v.to_vec());
    &[usize]: |v| tensor(vec![v.len()], v.iter().map(|s| *s as f64).collect());
}

impl<const N: usize> Operand for [f64; N] {
    fn operand(self) -> Argument {
        Argument(Kind::Constant(tensor(vec![N], self.to_vec())))
    }
}

impl<const N: usize, const M: usize> Operand for [[f64; M]; N] {
    fn operand(self) -> Argument {
        let values = self.iter().flatten().copied().collect();
        Argument(Kind::Constant(tensor(vec![N, M], values)))
    }
}

impl Operand for Traced {
    fn operand(self) -> Argument {
        Argument(Kind::Traced(self))
    }
}

impl Operand for &Traced {
    fn operand(self) -> Argument {
        Argument(Kind::Traced(self.clone()))
    }
}
