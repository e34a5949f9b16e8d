//! Normalisations by the statistics of the value itself: `y = scale * (x - mean) / sqrt(variance + epsilon) + bias`.
//!
//! | operator | the mean is over | scale and bias | since |
//! |---|---|---|---|
//! | LayerNormalization | the axes from `axis` (-1) on | broadcast to x; mean and `1 / sqrt(..)` are outputs too | 17 |
//! | InstanceNormalization | the spatial axes | one for each channel | 6 |
//! | GroupNormalization | the spatial axes and the channels of a group | one for each group in 18, for each channel since 21 | 18 |
//! | RMSNormalization | the axes from `axis` on; no mean is subtracted, no bias | broadcast to x | 23 |
//! | MeanVarianceNormalization | `axes` (0, 2, 3), with `1e-9` beside the root | none | 9 |
//!
//! They are decomposed: means are linear, the square is exact, `1 / sqrt` is a function to be approximated.

use super::activation::apply;
use super::arithmetic::{product, sum};
use crate::onnx::call::{Call, Encrypted, Outputs, Value, axes, axis};
use crate::onnx::clear::Clear;
use crate::onnx::error::Refusal;
use cipherloom_ir::tensor::{Function, Op, Reduction};

pub(super) fn layer(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 3)?;
    let at = call.int("axis", -1)?;
    let epsilon = epsilon(call)?;
    call.int("stash_type", 1)?;
    let x = call.encrypted(0)?;
    let over: Vec<usize> = (axis(at, x.shape.len())?..x.shape.len()).collect();
    let (mean, centred) = centre(call, &x, &over)?;
    let inverse = inverse_deviation(call, &centred, &over, epsilon)?;
    let y = call.emit(Op::Mul, &[&centred, &inverse], &[])?;
    let (scale, bias) = (call.value(1)?, call.optional(2));
    let y = scaled(call, y, Some(scale), bias)?;
    Ok([y, mean, inverse].map(Value::Encrypted).to_vec())
}

pub(super) fn instance(call: &mut Call<'_>) -> Outputs {
    call.arity(3, 3)?;
    let epsilon = epsilon(call)?;
    let x = call.encrypted(0)?;
    let rank = x.shape.len();
    if rank < 3 {
        return Err(format!("the operand of shape {:?} has no spatial axes", x.shape).into());
    }
    let y = normalised(call, &x, &(2..rank).collect::<Vec<_>>(), epsilon)?;
    let scale = per_channel(call, 1, "scale", &x)?;
    let bias = per_channel(call, 2, "bias", &x)?;
    Ok(vec![Value::Encrypted(scaled(
        call,
        y,
        Some(scale),
        Some(bias),
    )?)])
}

pub(super) fn group(call: &mut Call<'_>) -> Outputs {
    call.arity(3, 3)?;
    let epsilon = epsilon(call)?;
    let groups = usize::try_from(call.int("num_groups", 0)?).unwrap_or(0);
    if call.opset >= 21 {
        call.int("stash_type", 1)?;
    }
    let x = call.encrypted(0)?;
    let [n, channels, ..] = x.shape[..] else {
        return Err(format!("the operand of shape {:?} has no channels", x.shape).into());
    };
    if groups == 0 || channels % groups != 0 {
        return Err(format!("{channels} channels are no {groups} groups").into());
    }
    let size = x.shape.iter().skip(1).product::<usize>() / groups;
    let grouped = call.reshape(&x, &[n, groups, size])?;
    let y = normalised(call, &grouped, &[2], epsilon)?;
    // The first version has one number for each group, the second one for each channel.
    let each = call.value(1)?.shape().first().copied();
    let y = if each == Some(groups) && groups != channels {
        let scale = per_channel(call, 1, "scale", &y)?;
        let bias = per_channel(call, 2, "bias", &y)?;
        let y = scaled(call, y, Some(scale), Some(bias))?;
        call.reshape(&y, &x.shape)?
    } else {
        let y = call.reshape(&y, &x.shape)?;
        let scale = per_channel(call, 1, "scale", &x)?;
        let bias = per_channel(call, 2, "bias", &x)?;
        scaled(call, y, Some(scale), Some(bias))?
    };
    Ok(vec![Value::Encrypted(y)])
}

pub(super) fn rms(call: &mut Call<'_>) -> Outputs {
    call.arity(2, 2)?;
    let at = call.int("axis", -1)?;
    let epsilon = epsilon(call)?;
    call.int("stash_type", 1)?;
    let x = call.encrypted(0)?;
    let over: Vec<usize> = (axis(at, x.shape.len())?..x.shape.len()).collect();
    let inverse = inverse_deviation(call, &x, &over, epsilon)?;
    let y = call.emit(Op::Mul, &[&x, &inverse], &[])?;
    let scale = call.value(1)?;
    Ok(vec![Value::Encrypted(scaled(call, y, Some(scale), None)?)])
}

pub(super) fn mean_variance(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let named = call.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    let x = call.encrypted(0)?;
    let over = axes(&named, x.shape.len())?;
    // (sqrt(v) + e)^2 = v + e^2 but for a relative 2 e / sqrt(v), far below the rounding of 32-bit numbers.
    let y = normalised(call, &x, &over, 1e-18)?;
    Ok(vec![Value::Encrypted(y)])
}

fn epsilon(call: &mut Call<'_>) -> Result<f64, Refusal> {
    let epsilon = call.float("epsilon", 1e-5)?;
    if epsilon < 0.0 {
        return Err(format!("epsilon is {epsilon}").into());
    }
    Ok(epsilon)
}

fn normalised(
    call: &mut Call<'_>,
    x: &Encrypted,
    over: &[usize],
    epsilon: f64,
) -> Result<Encrypted, Refusal> {
    let (_, centred) = centre(call, x, over)?;
    let inverse = inverse_deviation(call, &centred, over, epsilon)?;
    call.emit(Op::Mul, &[&centred, &inverse], &[])
}

/// The mean over some axes, which stay with size 1, and the deviation from it.
fn centre(
    call: &mut Call<'_>,
    x: &Encrypted,
    over: &[usize],
) -> Result<(Encrypted, Encrypted), Refusal> {
    let mean = mean(call, x, over)?;
    let centred = call.emit(Op::Sub, &[x, &mean], &[])?;
    Ok((mean, centred))
}

fn mean(call: &mut Call<'_>, x: &Encrypted, over: &[usize]) -> Result<Encrypted, Refusal> {
    let op = Op::Reduce {
        kind: Reduction::Mean,
        axes: over.to_vec(),
    };
    call.emit(op, &[x], &[])
}

/// `1 / sqrt(mean of x^2 + epsilon)` over some axes, which stay with size 1.
fn inverse_deviation(
    call: &mut Call<'_>,
    x: &Encrypted,
    over: &[usize],
    epsilon: f64,
) -> Result<Encrypted, Refusal> {
    let square = call.emit(Op::Power { exponent: 2 }, &[x], &[])?;
    let mut variance = mean(call, &square, over)?;
    if epsilon != 0.0 {
        let value = call.scalar_constant("epsilon", epsilon)?;
        variance = call.emit(Op::AddConst { value }, &[&variance], &[])?;
    }
    apply(call, Function::Pow { exponent: -0.5 }, &variance)
}

/// `scale * y + bias`, each of which may be left out and may be encrypted, but broadcasts to y.
fn scaled(
    call: &mut Call<'_>,
    y: Encrypted,
    scale: Option<Value>,
    bias: Option<Value>,
) -> Result<Encrypted, Refusal> {
    let shape = y.shape.clone();
    let mut result = Value::Encrypted(y);
    if let Some(scale) = scale {
        result = product(call, &result, &scale)?;
    }
    if let Some(bias) = bias {
        result = sum(call, &result, &bias)?;
    }
    match result {
        Value::Encrypted(y) if y.shape == shape => Ok(y),
        _ => Err(format!("scale or bias does not broadcast to {shape:?}").into()),
    }
}

/// A constant `[C]` as `[C, 1, ..]`, which broadcasts along the channels of x.
fn per_channel(
    call: &Call<'_>,
    position: usize,
    what: &str,
    x: &Encrypted,
) -> Result<Value, Refusal> {
    let parameter: Clear = call.clear(position, what)?;
    let channels = x.shape.get(1).copied().unwrap_or(1);
    if parameter.shape() != [channels] {
        return Err(format!(
            "the {what} has shape {:?} for {channels} channels",
            parameter.shape()
        )
        .into());
    }
    let mut shape = vec![1; x.shape.len().saturating_sub(1)];
    if let Some(first) = shape.first_mut() {
        *first = channels;
    }
    Ok(Value::Clear(parameter.reshaped(&shape)?))
}
