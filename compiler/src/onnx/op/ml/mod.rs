//! The operators of the domain `ai.onnx.ml`, which scikit-learn's and other exporters of classical models write.

mod scaler;

use super::{Computation, Operator, OperatorInfo, computation, operator_table, since};

/// The domain.
pub(in crate::onnx) const DOMAIN: &str = "ai.onnx.ml";

/// The versions of the domain that are read.
pub(in crate::onnx) const OPSETS: std::ops::RangeInclusive<i64> = 1..=4;

operator_table! { OPERATORS "ai.onnx.ml":
    "Scaler" exact scaler::import, "";
}
