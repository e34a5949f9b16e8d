//! Operators that are not imported: why, and what to do instead.

use crate::onnx::error::Refusal;
use onnx_protobuf::NodeProto;

/// Why a node of an operator without an importer is refused.
///
/// `stop` is an encrypted value that the node reads and another node yields, if there is one.
pub(in crate::onnx) fn refusal(node: &NodeProto, own_domain: bool, stop: Option<&str>) -> Refusal {
    if node.domain == super::ml::DOMAIN {
        return of_ml(&node.op_type);
    }
    if !own_domain {
        let refusal = Refusal::new(format!(
            "the operators of the domain {:?} are not known",
            node.domain
        ));
        return refusal.help("export with ONNX's own operators alone, functions inlined");
    }
    let stop = match stop {
        Some(value) => format!("stop at `--output {value}` and do the rest after decryption"),
        None => "do this part before encryption or after decryption".to_owned(),
    };
    match node.op_type.as_str() {
        "Hardmax" | "Mod" | "BitShift" | "BitwiseAnd" | "BitwiseOr" | "BitwiseNot"
        | "BitwiseXor" => {
            Refusal::new("it compares or rounds values, which no polynomial does").help(stop)
        }
        "DynamicQuantizeLinear" => {
            Refusal::new("its scale would depend on encrypted values")
                .help("quantise statically, with calibration samples")
        }
        "QLinearAdd" | "QLinearMul" | "QLinearSigmoid" | "QLinearAveragePool"
        | "QLinearGlobalAveragePool" | "QGemm" => {
            Refusal::new("this form of a quantised operator is not known")
                .help("export with QuantizeLinear and DequantizeLinear around ONNX's own operators (the QDQ format)")
        }
        "NonMaxSuppression" | "Unique" | "OneHot" => {
            Refusal::new("output positions would depend on encrypted values").help(stop)
        }
        "If" | "Loop" => {
            Refusal::new("control flow would depend on encrypted values, or was not unrolled")
                .help("export with loops unrolled and conditions decided")
        }
        "LSTM" | "GRU" | "RNN" => Refusal::new("recurrent operators are not imported")
            .help("unroll the recurrence into Gemm and activations"),
        "RandomNormal" | "RandomNormalLike" | "RandomUniform" | "RandomUniformLike"
        | "Bernoulli" | "Multinomial" => {
            Refusal::new("it draws random numbers, so the result would not be the model's")
                .help("export the model for inference")
        }
        _ => Refusal::new("the operator is not supported")
            .help("`cipherloom ops` lists the operators that are"),
    }
}

/// Why an operator of `ai.onnx.ml` without an importer is refused.
fn of_ml(op_type: &str) -> Refusal {
    if op_type == "TreeEnsemble" {
        return Refusal::new("this form of decision trees is not read yet").help(
            "export with version 3 of ai.onnx.ml: TreeEnsembleClassifier or TreeEnsembleRegressor",
        );
    }
    match op_type {
        "Imputer" | "Binarizer" => Refusal::new(
            "it compares each feature with a number, which no polynomial does",
        )
        .help("do this part before encryption"),
        _ => Refusal::new("the operator is not supported").help(
            "`cipherloom ops` lists the operators that are; map words and categories to numbers before encryption",
        ),
    }
}
