//! The operations of the `tensor` stage.

use super::{ConstId, Function};
use crate::value::Range;

/// A two-dimensional convolution of `[N, C, H, W]` with a weight `[M, C/group, KH, KW]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// The weight.
    pub weight: ConstId,
    /// The bias `[M]`.
    pub bias: Option<ConstId>,
    /// Strides along height and width.
    pub strides: [usize; 2],
    /// Dilations along height and width.
    pub dilations: [usize; 2],
    /// Zero padding: top, left, bottom, right.
    pub pads: [usize; 4],
    /// The number of groups.
    pub group: usize,
}

/// An average over windows of `[N, C, H, W]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The window's height and width.
    pub kernel: [usize; 2],
    /// Strides along height and width.
    pub strides: [usize; 2],
    /// Padding: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Whether padded elements count in the divisor.
    pub count_include_pad: bool,
    /// Whether the output's size is rounded up.
    pub ceil_mode: bool,
}

/// A maximum over windows of `[N, C, H, W]`; padding never wins.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPool {
    /// The window's height and width.
    pub kernel: [usize; 2],
    /// Strides along height and width.
    pub strides: [usize; 2],
    /// Dilations along height and width.
    pub dilations: [usize; 2],
    /// Padding: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Whether the output's size is rounded up.
    pub ceil_mode: bool,
}

/// How elements are joined into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their arithmetic mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their product.
    Prod,
}

impl Reduction {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sum, Self::Mean, Self::Max, Self::Min, Self::Prod];
}

/// A comparison of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// `a > b`.
    Greater,
    /// `a >= b`.
    GreaterOrEqual,
    /// `a = b`.
    Equal,
}

impl Comparison {
    /// Whether it holds.
    pub fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
            Self::Equal => a == b,
        }
    }
}

/// An operation. Operands (encrypted values) are edges of the graph; constants are fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// An encrypted input of the model; no operand.
    Input {
        /// The input's name.
        name: String,
    },
    /// A convolution; one operand.
    Conv(Conv),
    /// `y = x W^T + b` along the last axis: weight `[out, in]`, bias broadcast to the result; one operand.
    Gemm {
        /// The weight, `[out, in]`.
        weight: ConstId,
        /// The bias, NumPy-broadcast to the result's shape.
        bias: Option<ConstId>,
    },
    /// `y = W x` with NumPy's rules for stacks of matrices, the constant on the left; one operand.
    ConstMatMul {
        /// The left factor.
        weight: ConstId,
    },
    /// `y = x0 x1` with NumPy's rules, both encrypted; two operands.
    MatMul,
    /// `y = scale * x + shift` per channel (axis 1): an inference BatchNormalization; one operand.
    Affine {
        /// The factor per channel.
        scale: ConstId,
        /// The summand per channel.
        shift: ConstId,
    },
    /// Average over windows; one operand.
    AveragePool(Pool),
    /// Padding with a constant value; one operand.
    Pad {
        /// Elements added before each axis.
        before: Vec<usize>,
        /// Elements added after each axis.
        after: Vec<usize>,
        /// The value of the added elements.
        value: f64,
    },
    /// The same elements in the node's shape (also Flatten, Squeeze, Unsqueeze, Identity); one operand.
    Reshape,
    /// A permutation of the axes; one operand. Axis `i` of the result is axis `perm[i]` of the operand.
    Transpose {
        /// The permutation.
        perm: Vec<usize>,
    },
    /// Sum of two values with NumPy broadcasting.
    Add,
    /// Difference of two values with NumPy broadcasting.
    Sub,
    /// Product of two values with NumPy broadcasting.
    Mul,
    /// Sum with a constant, NumPy broadcasting both ways; one operand.
    AddConst {
        /// The summand.
        value: ConstId,
    },
    /// Product with a constant, NumPy broadcasting both ways; one operand.
    MulConst {
        /// The factor.
        value: ConstId,
    },
    /// `x^exponent` elementwise, exponent at least 1; one operand.
    Power {
        /// The exponent.
        exponent: u32,
    },
    /// A polynomial elementwise, coefficients of 1, x, x^2, ...; one operand.
    Polynomial {
        /// The coefficients, constant term first.
        coefficients: Vec<f64>,
    },
    /// A function elementwise; one operand.
    Function(Function),
    /// A polynomial that stands for a function, elementwise; one operand. `sum c_k T_k(t)` with Chebyshev's
    /// polynomials of the first kind and `t = (2 x - lo - hi) / (hi - lo)`, also outside of the domain.
    Approximation {
        /// What it stands for.
        function: Function,
        /// Where it is close to the function.
        domain: Range,
        /// The coefficients `c_0`, `c_1`, ...
        coefficients: Vec<f64>,
    },
    /// `exp(x) / sum of exp(x)` along an axis; one operand.
    Softmax {
        /// The axis.
        axis: usize,
    },
    /// The logarithm of a softmax; one operand.
    LogSoftmax {
        /// The axis.
        axis: usize,
    },
    /// The operands one after the other along an axis; one operand or more.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Data movement: element `i` of the result is element `index[i]` of the operand (both row-major), or 0 for the
    /// index -1; one operand. The result has the index's shape.
    Take {
        /// The index of every element of the result: whole numbers.
        index: ConstId,
    },
    /// Joins the elements along axes, which keep the size 1; one operand.
    Reduce {
        /// How.
        kind: Reduction,
        /// The axes, rising.
        axes: Vec<usize>,
    },
    /// Quotient of two values with NumPy broadcasting.
    Div,
    /// The larger of two values with NumPy broadcasting.
    Max,
    /// The smaller of two values with NumPy broadcasting.
    Min,
    /// 1 where two values compare so, else 0, with NumPy broadcasting.
    Compare(Comparison),
    /// The second operand where the first is not 0, else the third, with NumPy broadcasting; three operands.
    Where,
    /// The largest element of windows; one operand.
    MaxPool(MaxPool),
    /// The index of the largest element along an axis, which keeps the size 1; one operand.
    ArgMax {
        /// The axis.
        axis: usize,
        /// The smallest element's instead.
        smallest: bool,
        /// The last index of equal elements, else the first.
        last: bool,
    },
    /// The indices of the largest elements along an axis, the largest first and of equal ones the first; one operand.
    /// The axis keeps as many elements as are asked for.
    TopK {
        /// The axis.
        axis: usize,
        /// How many.
        k: usize,
        /// The smallest elements instead, the smallest first.
        smallest: bool,
        /// The elements in place of their indices.
        values: bool,
    },
    /// Element `x` of a table, elementwise, for whole numbers x; one operand. Class labels.
    Lookup {
        /// The table, a vector.
        table: ConstId,
    },
}

impl Op {
    /// The keyword of the text form.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::Conv(_) => "conv",
            Op::Gemm { .. } => "gemm",
            Op::ConstMatMul { .. } => "const_matmul",
            Op::MatMul => "matmul",
            Op::Affine { .. } => "affine",
            Op::AveragePool(_) => "average_pool",
            Op::Pad { .. } => "pad",
            Op::Reshape => "reshape",
            Op::Transpose { .. } => "transpose",
            Op::Add => "add",
            Op::Sub => "sub",
            Op::Mul => "mul",
            Op::AddConst { .. } => "add_const",
            Op::MulConst { .. } => "mul_const",
            Op::Power { .. } => "power",
            Op::Polynomial { .. } => "polynomial",
            Op::Function(function) => function.name(),
            Op::Approximation { .. } => "approximation",
            Op::Softmax { .. } => "softmax",
            Op::LogSoftmax { .. } => "log_softmax",
            Op::Concat { .. } => "concat",
            Op::Take { .. } => "take",
            Op::Reduce { kind, .. } => match kind {
                Reduction::Sum => "reduce_sum",
                Reduction::Mean => "reduce_mean",
                Reduction::Max => "reduce_max",
                Reduction::Min => "reduce_min",
                Reduction::Prod => "reduce_prod",
            },
            Op::Div => "div",
            Op::Max => "max",
            Op::Min => "min",
            Op::Compare(Comparison::Greater) => "greater",
            Op::Compare(Comparison::GreaterOrEqual) => "greater_or_equal",
            Op::Compare(Comparison::Equal) => "equal",
            Op::Where => "where",
            Op::MaxPool(_) => "max_pool",
            Op::ArgMax {
                smallest: false, ..
            } => "arg_max",
            Op::ArgMax { smallest: true, .. } => "arg_min",
            Op::TopK { .. } => "top_k",
            Op::Lookup { .. } => "lookup",
        }
    }

    /// The number of operands; for a concatenation, which takes any, the least.
    pub fn arity(&self) -> usize {
        match self {
            Op::Input { .. } => 0,
            Op::Where => 3,
            Op::MatMul
            | Op::Add
            | Op::Sub
            | Op::Mul
            | Op::Div
            | Op::Max
            | Op::Min
            | Op::Compare(_) => 2,
            _ => 1,
        }
    }

    /// Whether the operation takes this number of operands.
    pub fn takes(&self, operands: usize) -> bool {
        match self {
            Op::Concat { .. } => operands >= 1,
            _ => operands == self.arity(),
        }
    }

    /// Whether the operation is an affine map of its one operand, so that it can become a matrix and a bias. (A concatenation
    /// is one of several.)
    pub fn is_affine(&self) -> bool {
        matches!(
            self,
            Op::Conv(_)
                | Op::Gemm { .. }
                | Op::ConstMatMul { .. }
                | Op::Affine { .. }
                | Op::AveragePool(_)
                | Op::Pad { .. }
                | Op::Reshape
                | Op::Transpose { .. }
                | Op::AddConst { .. }
                | Op::MulConst { .. }
                | Op::Take { .. }
                | Op::Reduce {
                    kind: Reduction::Sum | Reduction::Mean,
                    ..
                }
        )
    }

    /// The constants that the operation uses.
    pub fn constants(&self) -> Vec<ConstId> {
        let mut copy = self.clone();
        copy.constants_mut().into_iter().map(|c| *c).collect()
    }

    /// The constants that the operation uses, to renumber them.
    pub fn constants_mut(&mut self) -> Vec<&mut ConstId> {
        match self {
            Op::Conv(Conv { weight, bias, .. }) | Op::Gemm { weight, bias } => {
                let mut found = vec![weight];
                found.extend(bias.as_mut());
                found
            }
            Op::ConstMatMul { weight } => vec![weight],
            Op::Affine { scale, shift } => vec![scale, shift],
            Op::AddConst { value } | Op::MulConst { value } => vec![value],
            Op::Take { index } => vec![index],
            Op::Lookup { table } => vec![table],
            _ => vec![],
        }
    }
}
