//! Operators with two operands, each of them encrypted or constant.

use super::super::ast::{BinaryOp, Span};
use super::super::diagnostic::Diagnostic;
use super::{Constant, Lowering, Stop, Value};
use crate::broadcast::{broadcast, map, zip};
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{Comparison, ConstId, Function, Op};

/// The highest whole exponent that is multiplied out.
const MAX_POWER: f64 = 1024.0;

impl Lowering<'_> {
    pub(in crate::loom) fn binary(
        &mut self,
        op: BinaryOp,
        a: &Value,
        b: &Value,
        span: Span,
    ) -> Result<Value, Stop> {
        let (Some(sa), Some(sb)) = (self.shape(a), self.shape(b)) else {
            let (a, b) = (self.describe(a), self.describe(b));
            let text = format!(
                "`{}` joins numbers and tensors, not {a} and {b}",
                op.symbol()
            );
            return Err(self.fail(span, text));
        };
        if op == BinaryOp::MatMul {
            return self.matmul(a, b, span);
        }
        let shape = match broadcast(&sa, &sb) {
            Ok(shape) => shape,
            Err(_) => {
                let text = format!(
                    "`{}`: the shapes {sa:?} and {sb:?} do not broadcast",
                    op.symbol()
                );
                let advice = "counted from the last axis, sizes are equal or one of them is 1";
                return Err(self.refuse(Diagnostic::new(span, text).help(advice)));
            }
        };
        self.bounded(span, &shape)?;
        match op {
            BinaryOp::Add => self.plus(a, b, span),
            BinaryOp::Subtract => self.minus(a, b, span),
            BinaryOp::Multiply => self.times(a, b, span),
            BinaryOp::Divide => self.over(a, b, span),
            BinaryOp::Power => self.power(a, b, span),
            op => self.compare(op, a, b, span),
        }
    }

    /// The operation of two encrypted values.
    fn both(&mut self, op: Op, a: &Value, b: &Value, span: Span) -> Result<Value, Stop> {
        self.apply(span, &[a.clone(), b.clone()], op, &[], &[])
    }

    /// A constant result.
    fn of_constants(
        &mut self,
        a: &Constant,
        b: &Constant,
        span: Span,
        f: impl Fn(f64, f64) -> f64,
    ) -> Result<Value, Stop> {
        match zip(&a.tensor, &b.tensor, f) {
            Some(tensor) => self.new_constant(span, tensor),
            None => Err(self.fail(span, "the shapes do not broadcast")),
        }
    }

    /// An operation on a value and a constant.
    fn with_constant(
        &mut self,
        op: Op,
        x: &Value,
        c: &Constant,
        span: Span,
    ) -> Result<Value, Stop> {
        let (x, c) = (std::slice::from_ref(x), std::slice::from_ref(c));
        self.apply(span, x, op, c, &[])
    }

    pub(in crate::loom) fn plus(
        &mut self,
        a: &Value,
        b: &Value,
        span: Span,
    ) -> Result<Value, Stop> {
        match (a, b) {
            (Value::Constant(a), Value::Constant(b)) => self.of_constants(a, b, span, |x, y| x + y),
            (x, Value::Constant(c)) | (Value::Constant(c), x) => {
                self.with_constant(Op::AddConst { value: ConstId(0) }, x, c, span)
            }
            (a, b) => self.both(Op::Add, a, b, span),
        }
    }

    pub(in crate::loom) fn minus(
        &mut self,
        a: &Value,
        b: &Value,
        span: Span,
    ) -> Result<Value, Stop> {
        match (a, b) {
            (Value::Encrypted(_), Value::Encrypted(_)) => self.both(Op::Sub, a, b, span),
            _ => {
                let b = self.scaled(b, -1.0, span)?;
                self.plus(a, &b, span)
            }
        }
    }

    pub(in crate::loom) fn times(
        &mut self,
        a: &Value,
        b: &Value,
        span: Span,
    ) -> Result<Value, Stop> {
        match (a, b) {
            (Value::Constant(a), Value::Constant(b)) => self.of_constants(a, b, span, |x, y| x * y),
            (x, Value::Constant(c)) | (Value::Constant(c), x) => {
                self.with_constant(Op::MulConst { value: ConstId(0) }, x, c, span)
            }
            // A square's values are known not to be negative.
            (Value::Encrypted(x), Value::Encrypted(y)) if x == y => self.apply(
                span,
                std::slice::from_ref(a),
                Op::Power { exponent: 2 },
                &[],
                &[],
            ),
            (a, b) => self.both(Op::Mul, a, b, span),
        }
    }

    /// A value times a number.
    pub(in crate::loom) fn scaled(
        &mut self,
        a: &Value,
        factor: f64,
        span: Span,
    ) -> Result<Value, Stop> {
        if self.shape(a).is_none() {
            let text = format!("expected numbers, found {}", self.describe(a));
            return Err(self.fail(span, text));
        }
        self.times(a, &Value::number(factor), span)
    }

    pub(in crate::loom) fn over(
        &mut self,
        a: &Value,
        b: &Value,
        span: Span,
    ) -> Result<Value, Stop> {
        match (a, b) {
            (_, Value::Constant(b)) => {
                if let Some(i) = b.tensor.data().iter().position(|v| *v == 0.0) {
                    let of = if b.tensor.len() == 1 {
                        String::new()
                    } else {
                        format!(" at element {i} of the divisor")
                    };
                    return Err(self.fail(span, format!("a division by 0{of}")));
                }
                if let Value::Constant(a) = a {
                    return self.of_constants(a, b, span, |x, y| x / y);
                }
                let inverse = self.new_constant(span, map(&b.tensor, |v| 1.0 / v))?;
                self.times(a, &inverse, span)
            }
            (Value::Constant(_), _) => {
                let inverse = self.function(Function::Reciprocal, b, span)?;
                if matches!(a, Value::Constant(c) if c.tensor.shape().is_empty() && c.tensor.data() == [1.0])
                {
                    return Ok(inverse);
                }
                self.times(&inverse, a, span)
            }
            (a, b) => self.both(Op::Div, a, b, span),
        }
    }

    pub(in crate::loom) fn function(
        &mut self,
        function: Function,
        x: &Value,
        span: Span,
    ) -> Result<Value, Stop> {
        if let Err(text) = function.check() {
            return Err(self.fail(span, text));
        }
        self.apply(
            span,
            std::slice::from_ref(x),
            Op::Function(function),
            &[],
            &[],
        )
    }

    fn power(&mut self, a: &Value, b: &Value, span: Span) -> Result<Value, Stop> {
        let Value::Constant(exponent) = b else {
            let text = "the exponent is encrypted: it must be a number that is known now";
            return Err(self.fail(span, text));
        };
        if let Value::Constant(a) = a {
            return self.of_constants(a, exponent, span, libm::pow);
        }
        let &[exponent] = exponent.tensor.data() else {
            return Err(self.fail(span, "the exponent of an encrypted value is one number"));
        };
        if exponent == 1.0 {
            return Ok(a.clone());
        }
        if exponent == 0.5 {
            return self.function(Function::Sqrt, a, span);
        }
        if exponent.fract() == 0.0 && exponent.abs() <= MAX_POWER && exponent != 0.0 {
            let power = if exponent.abs() == 1.0 {
                a.clone()
            } else {
                let op = Op::Power {
                    exponent: exponent.abs() as u32,
                };
                self.apply(span, std::slice::from_ref(a), op, &[], &[])?
            };
            return if exponent < 0.0 {
                self.function(Function::Reciprocal, &power, span)
            } else {
                Ok(power)
            };
        }
        if exponent.fract() == 0.0 {
            let text = format!("the exponent {exponent} is not within 1 and {MAX_POWER}");
            return Err(self.fail(span, text));
        }
        self.function(Function::Pow { exponent }, a, span)
    }

    /// 1 where the comparison holds, else 0.
    fn compare(&mut self, op: BinaryOp, a: &Value, b: &Value, span: Span) -> Result<Value, Stop> {
        let (a, b, comparison, negated) = match op {
            BinaryOp::Greater => (a, b, Comparison::Greater, false),
            BinaryOp::Less => (b, a, Comparison::Greater, false),
            BinaryOp::GreaterOrEqual => (a, b, Comparison::GreaterOrEqual, false),
            BinaryOp::LessOrEqual => (b, a, Comparison::GreaterOrEqual, false),
            BinaryOp::NotEqual => (a, b, Comparison::Equal, true),
            _ => (a, b, Comparison::Equal, false),
        };
        let held = match (a, b) {
            (Value::Constant(a), Value::Constant(b)) => self.of_constants(a, b, span, |x, y| {
                f64::from(u8::from(comparison.holds(x, y)))
            })?,
            (Value::Encrypted(_), Value::Encrypted(_)) => {
                self.both(Op::Compare(comparison), a, b, span)?
            }
            _ => {
                // a > b where a - b > 0.
                let difference = self.minus(a, b, span)?;
                match comparison {
                    Comparison::Greater => self.function(Function::Step, &difference, span)?,
                    Comparison::GreaterOrEqual => {
                        let less = self.scaled(&difference, -1.0, span)?;
                        let less = self.function(Function::Step, &less, span)?;
                        self.minus(&Value::number(1.0), &less, span)?
                    }
                    Comparison::Equal => {
                        let sign = self.function(Function::Sign, &difference, span)?;
                        let unequal = self.times(&sign, &sign, span)?;
                        self.minus(&Value::number(1.0), &unequal, span)?
                    }
                }
            }
        };
        if negated {
            return self.minus(&Value::number(1.0), &held, span);
        }
        Ok(held)
    }

    /// NumPy's matrix product.
    pub(in crate::loom) fn matmul(
        &mut self,
        a: &Value,
        b: &Value,
        span: Span,
    ) -> Result<Value, Stop> {
        let (sa, sb) = (
            self.shape(a).unwrap_or_default(),
            self.shape(b).unwrap_or_default(),
        );
        let inner = |s: &[usize], right: bool| match s {
            [] => None,
            [only] => Some(*only),
            [.., rows, columns] => Some(if right { *rows } else { *columns }),
        };
        match (inner(&sa, false), inner(&sb, true)) {
            (Some(x), Some(y)) if x == y => {}
            (Some(x), Some(y)) => {
                let text =
                    format!("a matrix product of {sa:?} with {sb:?}: {x} columns meet {y} rows");
                return Err(self.fail(span, text));
            }
            _ => {
                let text = "`@` joins vectors and matrices; a single number is multiplied with `*`";
                return Err(self.fail(span, text));
            }
        }
        match (a, b) {
            (Value::Constant(weight), Value::Encrypted(_)) => {
                let op = Op::ConstMatMul { weight: ConstId(0) };
                self.apply(
                    span,
                    std::slice::from_ref(b),
                    op,
                    std::slice::from_ref(weight),
                    &[],
                )
            }
            (Value::Encrypted(_), Value::Constant(weight)) => {
                self.by_constant(a, weight, &sa, span)
            }
            (Value::Encrypted(_), Value::Encrypted(_)) => self.both(Op::MatMul, a, b, span),
            (a, b) => self.apply(span, &[a.clone(), b.clone()], Op::MatMul, &[], &[]),
        }
    }

    /// An encrypted value times a constant vector or matrix.
    fn by_constant(
        &mut self,
        a: &Value,
        weight: &Constant,
        sa: &[usize],
        span: Span,
    ) -> Result<Value, Stop> {
        let (rows, columns) = match *weight.tensor.shape() {
            [rows] => (rows, 1),
            [rows, columns] => (rows, columns),
            ref shape => {
                let text = format!("an encrypted value times a stack of matrices {shape:?}");
                let advice = "multiply by one matrix, or stand the stack on the left";
                return Err(self.refuse(Diagnostic::new(span, text).help(advice)));
            }
        };
        let from = weight.tensor.data();
        let turned = (0..rows * columns).map(|i| from[i % rows * columns + i / rows]);
        let Some(turned) = Tensor::new(vec![columns, rows], turned.collect()) else {
            return Err(self.fail(span, "the matrix is lost"));
        };
        let Value::Constant(mut turned) = self.new_constant(span, turned)? else {
            return Err(Stop);
        };
        turned.name = weight.name.clone();
        let op = Op::Gemm {
            weight: ConstId(0),
            bias: None,
        };
        let product = self.apply(span, std::slice::from_ref(a), op, &[turned], &[])?;
        if weight.tensor.shape().len() == 1 {
            let shape = sa.get(..sa.len().saturating_sub(1)).unwrap_or_default();
            return self.reshaped(&product, shape, span);
        }
        Ok(product)
    }
}
