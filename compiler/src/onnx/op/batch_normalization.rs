//! BatchNormalization (inference): `y = scale * (x - mean) / sqrt(var + epsilon) + bias`, per channel (axis 1).
//!
//! Inputs: x `[N, C, ..]`, scale, bias, mean, var `[C]`, constants here; floating point.
//! Opsets: 7 has `spatial` (must be 1; gone in 9), 14 and 15 add `training_mode` (must be 0). Further
//! outputs are statistics of training and are refused.

use crate::onnx::call::{Call, Outputs, Value};
use crate::onnx::clear::{Clear, Elem};
use crate::onnx::error::Refusal;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Op;

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    call.arity(5, 5)?;
    let training = call.opset >= 14 && call.flag("training_mode", false)?;
    let outputs = call.node.output.iter().filter(|n| !n.is_empty()).count();
    if training || outputs > 1 {
        return Err(
            Refusal::new("it normalises with the statistics of the batch (training mode)")
                .help("export the model for inference (`model.eval()`)"),
        );
    }
    if call.opset < 9 && !call.flag("spatial", true)? {
        return Err("statistics per position (spatial=0) are not supported".into());
    }
    let epsilon = call.float("epsilon", 1e-5)?;
    call.float("momentum", 0.9)?;
    let scale = call.clear(1, "scale")?;
    let bias = call.clear(2, "bias")?;
    let mean = call.clear(3, "mean")?;
    let variance = call.clear(4, "variance")?;
    let x = call.encrypted(0)?;
    let channels = *x.shape.get(1).ok_or("the operand has no channel axis")?;
    for (what, parameter) in [
        ("scale", &scale),
        ("bias", &bias),
        ("mean", &mean),
        ("variance", &variance),
    ] {
        if parameter.shape() != [channels] {
            return Err(format!(
                "the {what} has shape {:?} for {channels} channels",
                parameter.shape()
            )
            .into());
        }
        if !parameter.elem.is_float() {
            return Err(format!("the {what} holds {}", parameter.elem).into());
        }
        if parameter.data().iter().any(|v| !v.is_finite()) {
            return Err(format!("the {what} {:?} contains NaN or infinity", parameter.name).into());
        }
    }
    if variance.data().iter().any(|v| *v + epsilon <= 0.0) {
        return Err("a variance plus epsilon is not positive".into());
    }
    let factors: Vec<f64> = scale
        .data()
        .iter()
        .zip(variance.data())
        .map(|(s, v)| s / libm::sqrt(v + epsilon))
        .collect();
    let shifts = bias
        .data()
        .iter()
        .zip(mean.data())
        .zip(&factors)
        .map(|((b, m), f)| b - m * f)
        .collect();
    let factors = Clear::new(&scale.name, Elem::F64, Tensor::from_vec(factors));
    let shifts = Clear::new(&bias.name, Elem::F64, Tensor::from_vec(shifts));
    let (scale, shift) = (call.constant(&factors)?, call.constant(&shifts)?);
    Ok(vec![Value::Encrypted(call.emit(
        Op::Affine { scale, shift },
        &[&x],
        &[],
    )?)])
}
