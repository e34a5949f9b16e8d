//! Traced values: operators and methods.

use super::super::ast::BinaryOp;
use super::{Argument, Operand, Trace, Value, check_known};
use cipherloom_ir::Tensor;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A value of a program that is being noted down: a tensor of encrypted numbers, or a constant.
#[derive(Clone)]
pub struct Traced {
    trace: Trace,
    value: Value,
}

impl std::fmt::Debug for Traced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.value.kind(), self.shape())
    }
}

impl Traced {
    pub(super) fn new(trace: Trace, value: Value) -> Self {
        Self { trace, value }
    }

    pub(super) fn parts(self) -> (Trace, Value) {
        (self.trace, self.value)
    }

    /// The sizes of its axes; `None` for the result of a faulty operation.
    pub fn shape(&self) -> Option<Vec<usize>> {
        self.trace.state.borrow().lowering.shape(&self.value)
    }

    #[track_caller]
    fn binary(op: BinaryOp, trace: &Trace, a: Argument, b: Argument) -> Self {
        let ((a_known, a), (b_known, b)) = (a.within(trace), b.within(trace));
        if matches!(a, Value::Unknown) || matches!(b, Value::Unknown) {
            return Self::new(trace.clone(), Value::Unknown);
        }
        let found = trace.note(|l, span| {
            check_known(l, a_known && b_known, span)?;
            l.binary(op, &a, &b, span)
        });
        trace.value(found)
    }

    #[track_caller]
    fn with(&self, op: BinaryOp, other: impl Operand) -> Self {
        Self::binary(op, &self.trace, self.operand(), other.operand())
    }

    /// A function of the language of this value alone.
    #[track_caller]
    pub fn apply(&self, function: &str) -> Self {
        self.call(function, [], [])
    }

    /// A function of the language, of this value and further arguments.
    #[track_caller]
    fn call<const N: usize, const M: usize>(
        &self,
        function: &str,
        more: [Argument; N],
        named: [(&str, Argument); M],
    ) -> Self {
        if matches!(self.value, Value::Unknown) {
            return self.clone();
        }
        let mut plain = vec![self.value.clone()];
        let mut known = true;
        for argument in more {
            let (of_this, value) = argument.within(&self.trace);
            known &= of_this;
            plain.push(value);
        }
        let named = named.into_iter().map(|(name, argument)| {
            let (_, value) = argument.within(&self.trace);
            (name.to_owned(), value)
        });
        let named = named.collect();
        let found = self.trace.note(|l, span| {
            check_known(l, known, span)?;
            l.call_named(function, plain, named, span)
        });
        self.trace.value(found)
    }

    /// The matrix product, by NumPy's rules.
    #[track_caller]
    pub fn matmul(&self, other: impl Operand) -> Self {
        self.with(BinaryOp::MatMul, other)
    }

    /// A power; the exponent is a number.
    #[track_caller]
    pub fn pow(&self, exponent: f64) -> Self {
        self.with(BinaryOp::Power, exponent)
    }

    /// 1 where this is greater, else 0.
    #[track_caller]
    pub fn greater(&self, other: impl Operand) -> Self {
        self.with(BinaryOp::Greater, other)
    }

    /// 1 where this is less, else 0.
    #[track_caller]
    pub fn less(&self, other: impl Operand) -> Self {
        self.with(BinaryOp::Less, other)
    }

    /// The sum of the products with a vector.
    #[track_caller]
    pub fn dot(&self, other: impl Operand) -> Self {
        self.call("dot", [other.operand()], [])
    }

    /// The sum along an axis, counted from the end where negative; the axis is left out.
    #[track_caller]
    pub fn sum_along(&self, axis: i32) -> Self {
        self.call("sum", [], [("axis", axis.into())])
    }

    /// The polynomial with these coefficients, the constant term first, of each element.
    #[track_caller]
    pub fn polynomial(&self, coefficients: &[f64]) -> Self {
        self.call("polynomial", [coefficients.into()], [])
    }

    /// The same elements in another shape.
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Self {
        self.call("reshape", [shape.into()], [])
    }

    /// Element i of the result is element i + `by` along the last axis, around the end.
    #[track_caller]
    pub fn rotate(&self, by: i32) -> Self {
        self.call("rotate", [by.into()], [])
    }

    /// The elements from `start` up to `end` along the first axis.
    #[track_caller]
    pub fn slice(&self, start: i32, end: i32) -> Self {
        self.call("slice", [start.into(), end.into()], [("axis", 0.into())])
    }

    /// The cross-correlation of an image with a kernel, at the places where the kernel lies inside.
    #[track_caller]
    pub fn conv2d(&self, kernel: impl Operand) -> Self {
        self.call("conv2d", [kernel.operand()], [])
    }
}

macro_rules! functions {
    ($($(#[$doc:meta])* $method:ident = $name:literal;)*) => {
        impl Traced {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self) -> Self {
                self.apply($name)
            }
        )*}
    };
}

functions! {
    /// The sum of all elements.
    sum = "sum";
    /// The mean of all elements.
    mean = "mean";
    /// The root of the sum of squares.
    norm = "norm";
    /// The absolute values.
    abs = "abs";
    /// The square roots.
    sqrt = "sqrt";
    /// 1 over each element.
    inverse = "inverse";
    /// -1, 0 or 1, as the element is below, at or above 0.
    sign = "sign";
    /// The larger of each element and 0.
    relu = "relu";
    /// 1 / (1 + exp(-x)).
    sigmoid = "sigmoid";
    /// The hyperbolic tangents.
    tanh = "tanh";
    /// The exponentials.
    exp = "exp";
    /// The natural logarithms.
    log = "log";
    /// The axes in reverse order.
    transpose = "transpose";
    /// All elements along one axis.
    flatten = "flatten";
}

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident;)*) => {$(
        impl<O: Operand> $trait<O> for Traced {
            type Output = Traced;
            #[track_caller]
            fn $method(self, other: O) -> Traced {
                self.with(BinaryOp::$op, other)
            }
        }
        impl<O: Operand> $trait<O> for &Traced {
            type Output = Traced;
            #[track_caller]
            fn $method(self, other: O) -> Traced {
                self.with(BinaryOp::$op, other)
            }
        }
        operators!(@constant $trait $method $op; f64, &Tensor);
    )*};
    (@constant $trait:ident $method:ident $op:ident; $($left:ty),*) => {$(
        operators!(@left $trait $method $op $left, Traced);
        operators!(@left $trait $method $op $left, &Traced);
    )*};
    (@left $trait:ident $method:ident $op:ident $left:ty, $right:ty) => {
        impl $trait<$right> for $left {
            type Output = Traced;
            #[track_caller]
            fn $method(self, other: $right) -> Traced {
                let trace = other.trace.clone();
                Traced::binary(BinaryOp::$op, &trace, self.operand(), other.operand())
            }
        }
    };
}

operators! {
    Add add Add;
    Sub sub Subtract;
    Mul mul Multiply;
    Div div Divide;
}

impl Neg for Traced {
    type Output = Traced;
    #[track_caller]
    fn neg(self) -> Traced {
        -&self
    }
}

impl Neg for &Traced {
    type Output = Traced;
    #[track_caller]
    fn neg(self) -> Traced {
        self.with(BinaryOp::Multiply, -1.0)
    }
}
