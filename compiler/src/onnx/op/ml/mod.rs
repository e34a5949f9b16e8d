//! The operators of the domain `ai.onnx.ml`, which scikit-learn's and other exporters of classical models write.
//!
//! Where the standard's text leaves a choice, they follow onnxruntime. The layers and kernels run under encryption;
//! labels (the largest score, looked up in a table) and the last functions are finished by the client.

mod array_feature_extractor;
mod features;
mod forest;
mod labels;
mod linear;
mod normalizer;
mod scaler;
mod svm;
mod svm_classifier;
mod tree_ensemble;
mod zip_map;

use super::{Computation, Operator, OperatorInfo, computation, operator_table, since};

/// The domain.
pub(in crate::onnx) const DOMAIN: &str = "ai.onnx.ml";

/// The versions of the domain that are read.
pub(in crate::onnx) const OPSETS: std::ops::RangeInclusive<i64> = 1..=4;

operator_table! { OPERATORS "ai.onnx.ml":
    "ArrayFeatureExtractor" exact array_feature_extractor::import, "constant indices; encrypted ones look up a constant vector, at the client";
    "LinearClassifier" exact linear::classifier, "without PROBIT; labels and probabilities by the client, labels that are words as their positions";
    "LinearRegressor" exact linear::regressor, "without PROBIT";
    "Normalizer" approximate normalizer::import, "MAX by the client";
    "SVMClassifier" exact svm_classifier::import, "probabilities for two classes only; kernels RBF and SIGMOID approximated; labels by the client";
    "SVMRegressor" exact svm::regressor, "kernels RBF and SIGMOID approximated; one_class by the client";
    "Scaler" exact scaler::import, "";
    "TreeEnsembleClassifier" client tree_ensemble::classifier, "no form under ckks; without PROBIT";
    "TreeEnsembleRegressor" client tree_ensemble::regressor, "no form under ckks; sums and averages, without PROBIT";
    "ZipMap" exact zip_map::import, "yields the probabilities as a tensor";
}
