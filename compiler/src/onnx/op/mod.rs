//! The operators that are imported, one file each.
//!
//! Every file opens with the formula, the types and the opset history that it handles. An operator turns
//! encrypted operands into operations of the `tensor` stage; where all operands are clear and the result
//! is needed for shapes or weights, it computes it. The table at the end is what `cipherloom ops` shows.

mod activation;
mod along_axis;
mod arg_max;
mod arithmetic;
mod average_pool;
mod batch_normalization;
mod cast;
mod clip;
mod compare;
mod concat;
mod constant;
mod constant_of_shape;
mod conv;
mod conv_transpose;
mod convolution;
mod cum_sum;
mod depth_to_space;
mod dequantize_linear;
mod distance;
mod dropout;
mod einsum;
mod expand;
mod extremum;
mod flatten;
mod gather;
mod gather_elements;
mod gather_nd;
mod gemm;
mod global_average_pool;
mod identity;
mod interpolation;
mod logic;
mod lp_normalization;
mod lp_pool;
mod lrn;
mod matmul;
mod max_pool;
mod mean;
pub(super) mod ml;
mod neg;
mod non_zero;
mod normalization;
mod pad;
mod pow;
mod prelu;
mod quantised;
mod quantize_linear;
mod range;
mod reduce;
pub(super) mod refused;
mod reshape;
mod resize;
mod select;
mod shape;
mod size;
mod slice;
mod softmax;
mod split;
mod squeeze;
mod sum;
mod tile;
mod top_k;
mod transpose;
mod trilu;
mod unsqueeze;
mod window;

use super::OPSETS;
use super::call::{Call, Outputs};
use std::ops::RangeInclusive;

/// An operator as the importer knows it.
pub(super) struct Operator {
    pub(super) info: OperatorInfo,
    pub(super) import: fn(&mut Call<'_>) -> Outputs,
}

/// How an operator on encrypted values is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computation {
    /// By additions, multiplications and data movement, exactly but for noise.
    Exact,
    /// By a polynomial that is fitted on the range of its operand.
    Approximate,
    /// Not under encryption: by the client after decryption, where it comes last.
    Client,
    /// On constants alone, while importing.
    Constants,
}

impl Computation {
    /// For people: `exact`, `approximate`, `client`, `constants`.
    pub fn name(self) -> &'static str {
        match self {
            Computation::Exact => "exact",
            Computation::Approximate => "approximate",
            Computation::Client => "client",
            Computation::Constants => "constants",
        }
    }
}

/// What is known about an operator, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorInfo {
    /// The domain; empty for ONNX's own.
    pub domain: &'static str,
    /// The operator's name.
    pub name: &'static str,
    /// The version of the domain that brought the operator, or 1 where all versions that are read have it.
    pub since: i64,
    /// How it is computed.
    pub computation: Computation,
    /// Limits of what is imported; empty where there are none.
    pub limits: &'static str,
}

impl OperatorInfo {
    /// The versions of the domain in which the operator is read.
    pub fn opsets(&self) -> RangeInclusive<i64> {
        let all = match self.domain {
            "" => OPSETS,
            MICROSOFT => 1..=1,
            _ => ml::OPSETS,
        };
        (*all.start()).max(self.since)..=*all.end()
    }
}

/// Operators of [`Computation::Exact`] that multiply encrypted values even where all others are constants.
const PRODUCTS: [&str; 10] = [
    "And",
    "CDist",
    "Or",
    "Pow",
    "ReduceProd",
    "ReduceSumSquare",
    "SVMClassifier",
    "SVMRegressor",
    "Scan",
    "Xor",
];

/// How an operator on encrypted values is computed with the TFHE backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableComputation {
    /// By sums with constant weights alone, without a bootstrap; products of two encrypted values are lookups of squares.
    Linear,
    /// By table lookups: a bootstrap for each element, or several.
    Lookup,
    /// As [`Computation::Client`].
    Client,
    /// As [`Computation::Constants`].
    Constants,
}

impl TableComputation {
    /// For people: `linear`, `lookup`, `client`, `constants`.
    pub fn name(self) -> &'static str {
        match self {
            TableComputation::Linear => "linear",
            TableComputation::Lookup => "lookup",
            TableComputation::Client => "client",
            TableComputation::Constants => "constants",
        }
    }
}

impl OperatorInfo {
    /// How the TFHE backend computes it.
    pub fn by_tables(&self) -> TableComputation {
        match self.computation {
            Computation::Constants => TableComputation::Constants,
            Computation::Exact if PRODUCTS.contains(&self.name) => TableComputation::Lookup,
            Computation::Exact => TableComputation::Linear,
            Computation::Client if self.name.ends_with("Softmax") => TableComputation::Client,
            Computation::Client | Computation::Approximate => TableComputation::Lookup,
        }
    }
}

macro_rules! computation {
    (exact) => {
        Computation::Exact
    };
    (approximate) => {
        Computation::Approximate
    };
    (client) => {
        Computation::Client
    };
    (constants) => {
        Computation::Constants
    };
}

macro_rules! since {
    () => {
        1
    };
    ($version:literal) => {
        $version
    };
}

/// A table of operators of a domain: the name, how it is computed, the first version if not all have it, the
/// importer and the limits.
macro_rules! operator_table {
    ($table:ident $domain:literal: $($name:literal $how:tt $(($since:literal))? $import:path, $limits:literal;)*) => {
        pub(super) static $table: &[Operator] = &[
            $(Operator {
                info: OperatorInfo {
                    domain: $domain,
                    name: $name,
                    since: since!($($since)?),
                    computation: computation!($how),
                    limits: $limits,
                },
                import: $import,
            },)*
        ];
    };
}

use {computation, operator_table, since};

operator_table! { OPERATORS "":
    "Abs" approximate activation::abs, "";
    "Add" exact arithmetic::add, "";
    "And" exact logic::and, "";
    "ArgMax" client arg_max::max, "";
    "ArgMin" client arg_max::min, "";
    "AveragePool" exact average_pool::import, "1 to 3 spatial axes, no dilation";
    "BatchNormalization" exact batch_normalization::import, "inference, constant statistics";
    "Cast" exact cast::import, "to integers and truth values by the client";
    "CastLike" exact (15) cast::like, "as Cast";
    "Ceil" client activation::ceil, "";
    "Celu" approximate (12) activation::celu, "";
    "Clip" approximate clip::import, "constant bounds";
    "Concat" exact concat::import, "";
    "Constant" constants constant::import, "numbers";
    "ConstantOfShape" constants constant_of_shape::import, "constant shape";
    "Conv" exact conv::import, "1 to 3 spatial axes, constant weight";
    "ConvInteger" exact (10) quantised::conv_integer, "1 to 3 spatial axes, constant weight";
    "ConvTranspose" exact conv_transpose::import, "1 to 3 spatial axes, constant weight";
    "Cos" approximate activation::cos, "";
    "CumSum" exact (11) cum_sum::import, "constant axis";
    "DepthToSpace" exact depth_to_space::depth_to_space, "";
    "DequantizeLinear" exact (10) dequantize_linear::import, "constant scale and zero point, no blocks";
    "Div" approximate arithmetic::div, "exact by a constant, which has no 0";
    "Dropout" exact dropout::import, "inference";
    "Einsum" exact (12) einsum::import, "no ellipsis";
    "Elu" approximate activation::elu, "";
    "Equal" client compare::equal, "";
    "Erf" approximate (9) activation::erf, "";
    "Exp" approximate activation::exp, "";
    "Expand" exact (8) expand::import, "constant shape";
    "Flatten" exact flatten::import, "";
    "Floor" client activation::floor, "";
    "Gather" exact gather::import, "constant indices";
    "GatherElements" exact (11) gather_elements::import, "constant indices";
    "GatherND" exact (11) gather_nd::import, "constant indices";
    "Gelu" approximate (20) activation::gelu, "";
    "Gemm" exact gemm::import, "";
    "GlobalAveragePool" exact global_average_pool::import, "1 to 3 spatial axes";
    "GlobalLpPool" approximate lp_pool::global, "1 to 3 spatial axes";
    "GlobalMaxPool" client max_pool::global, "1 to 3 spatial axes";
    "Greater" client compare::greater, "";
    "GreaterOrEqual" client (12) compare::greater_or_equal, "";
    "GroupNormalization" approximate (18) normalization::group, "constant scale and bias";
    "HardSigmoid" approximate activation::hard_sigmoid, "";
    "HardSwish" approximate (14) activation::hard_swish, "";
    "Identity" exact identity::import, "";
    "InstanceNormalization" approximate normalization::instance, "constant scale and bias";
    "LRN" approximate lrn::import, "2 spatial axes";
    "LayerNormalization" approximate (17) normalization::layer, "";
    "LeakyRelu" approximate activation::leaky_relu, "";
    "Less" client compare::less, "";
    "LessOrEqual" client (12) compare::less_or_equal, "";
    "Log" approximate activation::log, "";
    "LogSoftmax" client softmax::import_log, "";
    "LpNormalization" approximate lp_normalization::import, "";
    "LpPool" approximate lp_pool::import, "1 to 3 spatial axes, no rounding up of sizes";
    "MatMul" exact matmul::import, "";
    "MatMulInteger" exact (10) quantised::matmul_integer, "";
    "Max" approximate extremum::max, "";
    "MaxPool" client max_pool::import, "1 to 3 spatial axes, without the output of positions";
    "Mean" exact (8) mean::import, "";
    "MeanVarianceNormalization" approximate (9) normalization::mean_variance, "";
    "Min" approximate extremum::min, "";
    "Mish" approximate (18) activation::mish, "";
    "Mul" exact arithmetic::mul, "";
    "Neg" exact neg::import, "";
    "NonZero" constants (9) non_zero::import, "";
    "Not" exact logic::import_not, "";
    "Or" exact logic::or, "";
    "PRelu" approximate prelu::import, "";
    "Pad" exact pad::import, "constant pads";
    "Pow" approximate pow::import, "constant exponent, the same for all elements, or constant base; exact for whole exponents from 1 to 64";
    "QLinearConv" client (10) quantised::conv, "no form under ckks; as Conv, constant scales";
    "QLinearMatMul" client (10) quantised::matmul, "no form under ckks; constant scales";
    "QuantizeLinear" client (10) quantize_linear::import, "no form under ckks; constant scale and zero point, no blocks, 8 or 16 bits";
    "RMSNormalization" approximate (23) normalization::rms, "";
    "Range" constants (11) range::import, "";
    "Reciprocal" approximate activation::reciprocal, "";
    "ReduceL1" approximate reduce::l1, "constant axes";
    "ReduceL2" approximate reduce::l2, "constant axes";
    "ReduceLogSum" approximate reduce::log_sum, "constant axes";
    "ReduceLogSumExp" approximate reduce::log_sum_exp, "constant axes";
    "ReduceMax" client reduce::max, "constant axes";
    "ReduceMean" exact reduce::mean, "constant axes";
    "ReduceMin" client reduce::min, "constant axes";
    "ReduceProd" exact reduce::prod, "constant axes";
    "ReduceSum" exact reduce::sum, "constant axes";
    "ReduceSumSquare" exact reduce::sum_square, "constant axes";
    "Relu" approximate activation::relu, "";
    "Reshape" exact reshape::import, "constant target";
    "Resize" exact (10) resize::import, "constant scales or sizes, no tf_crop_and_resize, no antialiasing";
    "Round" client (11) activation::round, "";
    "Scan" exact (8) distance::scan, "the loop of skl2onnx over the rows of a constant, whose distances it computes";
    "Selu" approximate activation::selu, "";
    "Shape" exact shape::import, "";
    "Sigmoid" approximate activation::sigmoid, "";
    "Sign" client (9) activation::sign, "";
    "Sin" approximate activation::sin, "";
    "Size" exact size::import, "";
    "Slice" exact slice::import, "constant starts, ends, axes and steps";
    "Softmax" client softmax::import, "";
    "Softplus" approximate activation::softplus, "";
    "Softsign" approximate activation::softsign, "";
    "SpaceToDepth" exact depth_to_space::space_to_depth, "";
    "Split" exact split::import, "constant sizes";
    "Sqrt" approximate activation::sqrt, "";
    "Squeeze" exact squeeze::import, "";
    "Sub" exact arithmetic::sub, "";
    "Sum" exact sum::import, "";
    "Swish" approximate (24) activation::swish, "";
    "Tanh" approximate activation::tanh, "";
    "ThresholdedRelu" approximate (10) activation::thresholded_relu, "";
    "Tile" exact tile::import, "constant repeats";
    "TopK" client top_k::import, "constant k; the elements themselves for k = 1 alone under tfhe";
    "Transpose" exact transpose::import, "";
    "Trilu" exact (14) trilu::import, "constant diagonal";
    "Unsqueeze" exact unsqueeze::import, "";
    "Upsample" exact resize::upsample, "opsets 7 to 9, constant scales";
    "Where" client (9) select::import, "exact with a constant condition";
    "Xor" exact logic::xor, "";
}

/// The domain of onnxruntime's own operators.
const MICROSOFT: &str = "com.microsoft";

operator_table! { MICROSOFT_OPERATORS "com.microsoft":
    "CDist" exact distance::cdist, "constant second matrix; sqeuclidean, or euclidean: approximate";
}

/// The importer of an operator, by its domain (empty for ONNX's own) and its name.
pub(super) fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    let table = match domain {
        "" => OPERATORS,
        ml::DOMAIN => ml::OPERATORS,
        MICROSOFT => MICROSOFT_OPERATORS,
        _ => return None,
    };
    table.iter().find(|o| o.info.name == name)
}

/// All operators that are imported, by domain and name.
pub fn operators() -> impl Iterator<Item = &'static OperatorInfo> {
    let others = ml::OPERATORS.iter().chain(MICROSOFT_OPERATORS);
    OPERATORS.iter().chain(others).map(|o| &o.info)
}

#[cfg(test)]
mod tests;
