//! The operators that are imported, one file each.
//!
//! Every file opens with the formula, the types and the opset history that it handles. An operator turns
//! encrypted operands into operations of the `tensor` stage; where all operands are clear and the result
//! is needed for shapes or weights, it computes it.

pub(super) mod activation;
mod arithmetic;
mod average_pool;
mod batch_normalization;
mod cast;
mod concat;
mod constant;
mod constant_of_shape;
mod conv;
mod dropout;
mod flatten;
mod gather;
mod gemm;
mod global_average_pool;
mod identity;
mod matmul;
mod neg;
mod pad;
mod pow;
pub(super) mod refused;
mod reshape;
mod shape;
mod slice;
mod softmax;
mod squeeze;
mod sum;
mod transpose;
mod unsqueeze;
mod window;

use super::call::{Call, Outputs};

/// An operator as the importer knows it.
pub(super) struct Operator {
    pub(super) info: OperatorInfo,
    pub(super) import: fn(&mut Call<'_>) -> Outputs,
}

/// What is known about an operator, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorInfo {
    /// The operator's name.
    pub name: &'static str,
    /// Whether it works on encrypted values; otherwise only on constants.
    pub encrypted: bool,
    /// Limits of what is imported; empty where there are none.
    pub limits: &'static str,
}

macro_rules! operators {
    ($($name:literal $encrypted:literal $import:path, $limits:literal;)*) => {
        static OPERATORS: &[Operator] = &[
            $(Operator { info: OperatorInfo { name: $name, encrypted: $encrypted, limits: $limits }, import: $import },)*
        ];
    };
}

operators! {
    "Add" true arithmetic::add, "";
    "AveragePool" true average_pool::import, "1 or 2 spatial axes, no dilation";
    "BatchNormalization" true batch_normalization::import, "inference, constant statistics";
    "Cast" true cast::import, "encrypted values between floating-point types only";
    "Concat" false concat::import, "constants only";
    "Constant" false constant::import, "numbers";
    "ConstantOfShape" false constant_of_shape::import, "constant shape";
    "Conv" true conv::import, "1 or 2 spatial axes, constant weight";
    "Div" true arithmetic::div, "constant divisor without zeros";
    "Dropout" true dropout::import, "inference";
    "Flatten" true flatten::import, "";
    "Gather" false gather::import, "constants only";
    "Gemm" true gemm::import, "";
    "GlobalAveragePool" true global_average_pool::import, "1 or 2 spatial axes";
    "Identity" true identity::import, "";
    "MatMul" true matmul::import, "";
    "Mul" true arithmetic::mul, "";
    "Neg" true neg::import, "";
    "Pad" true pad::import, "mode constant, no cropping";
    "Pow" true pow::import, "constant integer exponent from 1 to 64, the same for all elements";
    "Relu" true activation::relu, "read, but without an encrypted form in this backend";
    "Reshape" true reshape::import, "constant target";
    "Shape" true shape::import, "";
    "Sigmoid" true activation::sigmoid, "read, but without an encrypted form in this backend";
    "Slice" false slice::import, "constants only";
    "Softmax" true softmax::import, "read, but without an encrypted form in this backend";
    "Squeeze" true squeeze::import, "";
    "Sub" true arithmetic::sub, "";
    "Sum" true sum::import, "";
    "Tanh" true activation::tanh, "read, but without an encrypted form in this backend";
    "Transpose" true transpose::import, "";
    "Unsqueeze" true unsqueeze::import, "";
}

/// The importer of an operator of ONNX's own domain.
pub(super) fn find(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|o| o.info.name == name)
}

/// All operators that are imported, by name.
pub fn operators() -> impl Iterator<Item = &'static OperatorInfo> {
    OPERATORS.iter().map(|o| &o.info)
}

#[cfg(test)]
mod tests {
    #[test]
    fn operators_are_listed_once_and_sorted() {
        let names: Vec<_> = super::operators().map(|o| o.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
    }
}
