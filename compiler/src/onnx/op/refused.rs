//! Operators that are not imported: why, and what to do instead.

use crate::onnx::error::Refusal;
use onnx_protobuf::NodeProto;

/// Why a node of an operator without an importer is refused.
///
/// `stop` is an encrypted value that the node reads and another node yields, if there is one.
pub(in crate::onnx) fn refusal(node: &NodeProto, own_domain: bool, stop: Option<&str>) -> Refusal {
    if !own_domain {
        let refusal = Refusal::new(format!(
            "the operators of the domain {:?} are not known",
            node.domain
        ));
        return match node.domain.as_str() {
            "ai.onnx.ml" => refusal.help("export the fitted coefficients as MatMul and Add instead of an ai.onnx.ml operator"),
            _ => refusal.help("export with ONNX's own operators alone, functions inlined"),
        };
    }
    let stop = match stop {
        Some(value) => format!("stop at `--output {value}` and do the rest after decryption"),
        None => "do this part before encryption or after decryption".to_owned(),
    };
    match node.op_type.as_str() {
        "MaxPool" | "GlobalMaxPool" => {
            Refusal::new("a maximum needs comparisons, which this backend has not")
                .help("retrain with AveragePool")
        }
        "Max" | "Min" | "Clip" | "ReduceMax" | "ReduceMin" | "Sign" | "Floor" | "Ceil"
        | "Round" | "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" | "Where"
        | "And" | "Or" | "Not" | "Xor" | "Hardmax" | "Mod" => Refusal::new(
            "it compares or rounds values, which this backend cannot do under encryption",
        )
        .help(stop),
        "ArgMax" | "ArgMin" | "TopK" | "NonZero" | "NonMaxSuppression" | "Unique" | "OneHot" => {
            Refusal::new("output positions would depend on encrypted values").help(stop)
        }
        "If" | "Loop" | "Scan" => {
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
        "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Celu" | "ThresholdedRelu" | "HardSigmoid"
        | "HardSwish" | "Softplus" | "Softsign" | "Erf" | "Gelu" | "Mish" | "Abs" | "Sqrt"
        | "Reciprocal" | "Exp" | "Log" | "Sin" | "Cos" | "Tan" | "LogSoftmax" => {
            Refusal::new("it is no polynomial, and approximations are not made here")
                .help("retrain with a polynomial activation, such as x*x")
        }
        _ => Refusal::new("the operator is not supported")
            .help("`cipherloom ops` lists the operators that are"),
    }
}
