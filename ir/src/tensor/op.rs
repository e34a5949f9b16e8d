//! The operations of the `tensor` stage.

use super::ConstId;

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

/// An activation that is no polynomial; it has no encrypted form without approximation.
#[derive(Clone, Debug, PartialEq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// tanh(x).
    Tanh,
    /// Softmax along an axis.
    Softmax {
        /// The axis.
        axis: usize,
    },
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
    /// An activation that is no polynomial; one operand.
    Activation(Activation),
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
            Op::Activation(Activation::Relu) => "relu",
            Op::Activation(Activation::Sigmoid) => "sigmoid",
            Op::Activation(Activation::Tanh) => "tanh",
            Op::Activation(Activation::Softmax { .. }) => "softmax",
        }
    }

    /// The number of operands.
    pub fn arity(&self) -> usize {
        match self {
            Op::Input { .. } => 0,
            Op::MatMul | Op::Add | Op::Sub | Op::Mul => 2,
            _ => 1,
        }
    }

    /// Whether the operation is an affine map of its one operand, so that it can become a matrix and a bias.
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
            _ => vec![],
        }
    }
}
