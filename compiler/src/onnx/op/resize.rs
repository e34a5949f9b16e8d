//! Resize, Upsample: an image sampled anew along each axis, by `scales` or to `sizes`, both constants.
//!
//! Modes nearest, linear and cubic with every `coordinate_transformation_mode` but tf_crop_and_resize; no
//! antialiasing. The nearest element is data movement, the others are a matrix for each axis.
//! Opsets: Upsample 7 (`scales` an attribute), 9 (an input); Resize 10 (as Upsample), 11 (`sizes`, coordinate
//! modes, `roi`), 13 (types), 18 (`antialias`, `axes`, `keep_aspect_ratio_policy`), 19 (half_pixel_symmetric).

use super::along_axis;
use super::interpolation::{Axis, Coordinates, Nearest};
use crate::onnx::call::{Call, Outputs, Value, axis};
use crate::onnx::clear::computed_count;
use crate::onnx::error::Refusal;
use crate::onnx::selection::{Picks, Selection, whole};

/// Elements of an axis after resizing, at most.
const MAX_SIZE: usize = 1 << 24;

pub(super) fn upsample(call: &mut Call<'_>) -> Outputs {
    let scales = if call.opset < 9 {
        call.arity(1, 1)?;
        call.floats("scales")?.ok_or("scales are missing")?
    } else {
        call.arity(2, 2)?;
        call.clear(1, "list of scales")?.data().to_vec()
    };
    old(call, &scales)
}

pub(super) fn import(call: &mut Call<'_>) -> Outputs {
    if call.opset < 11 {
        call.arity(2, 2)?;
        let scales = call.clear(1, "list of scales")?.data().to_vec();
        return old(call, &scales);
    }
    call.arity(1, 4)?;
    let coordinates = call.string("coordinate_transformation_mode", "half_pixel")?;
    let coordinates = match coordinates.as_str() {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        "tf_half_pixel_for_nn" => Coordinates::TfHalfPixelForNn,
        other => return Err(format!("coordinates of the mode {other:?} are not supported").into()),
    };
    let nearest = match call.string("nearest_mode", "round_prefer_floor")?.as_str() {
        "round_prefer_floor" => Nearest::RoundPreferFloor,
        "round_prefer_ceil" => Nearest::RoundPreferCeil,
        "floor" => Nearest::Floor,
        "ceil" => Nearest::Ceil,
        other => return Err(format!("nearest_mode {other:?} is not known to ONNX").into()),
    };
    let mode = call.string("mode", "nearest")?;
    let cubic = call.float("cubic_coeff_a", -0.75)?;
    let exclude_outside = call.flag("exclude_outside", false)?;
    // It fills what tf_crop_and_resize leaves open.
    call.float("extrapolation_value", 0.0)?;
    if call.opset >= 18 && call.flag("antialias", false)? {
        return Err("antialiasing is not supported".into());
    }
    let policy = if call.opset >= 18 {
        call.string("keep_aspect_ratio_policy", "stretch")?
    } else {
        "stretch".into()
    };
    let named = if call.opset >= 18 {
        call.ints("axes")?
    } else {
        None
    };
    let scales = call.optional_clear(2, "list of scales")?;
    let scales = scales.filter(|s| !s.data().is_empty());
    let sizes = call.optional_ints(3, "list of sizes")?;
    let x = call.value(0)?;
    let from = x.shape().to_vec();
    let named = match named {
        Some(named) => named
            .iter()
            .map(|a| axis(*a, from.len()))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..from.len()).collect(),
    };
    let mut axes: Vec<Axis> = from.iter().map(|size| Axis::same(*size)).collect();
    match (scales, sizes.filter(|s| !s.is_empty())) {
        (Some(scales), None) if scales.data().len() == named.len() => {
            for (at, scale) in named.iter().zip(scales.data()) {
                axes[*at] = scaled(from[*at], *scale)?;
            }
        }
        (None, Some(sizes)) if sizes.len() == named.len() => {
            let old: Vec<usize> = named.iter().map(|a| from[*a]).collect();
            for (at, axis) in named.iter().zip(sized(&old, &sizes, &policy)?) {
                axes[*at] = axis;
            }
        }
        _ => return Err("it needs either scales or sizes, one for each axis".into()),
    }
    let method = match mode.as_str() {
        "nearest" => Method::Nearest(nearest),
        "linear" => Method::Linear,
        "cubic" => Method::Cubic(cubic, exclude_outside),
        other => return Err(format!("mode {other:?} is not known to ONNX").into()),
    };
    apply(call, &x, &axes, method, coordinates)
}

/// The forms before opset 11: corners count as the edge of a grid, and the element before a place is the nearest.
fn old(call: &mut Call<'_>, scales: &[f64]) -> Outputs {
    let mode = call.string("mode", "nearest")?;
    let x = call.value(0)?;
    if scales.len() != x.shape().len() {
        return Err(format!("{} scales for {} axes", scales.len(), x.shape().len()).into());
    }
    let axes = x
        .shape()
        .iter()
        .zip(scales)
        .map(|(size, scale)| scaled(*size, *scale))
        .collect::<Result<Vec<_>, _>>()?;
    let method = match mode.as_str() {
        "nearest" => Method::Nearest(Nearest::Floor),
        // Called bilinear by the first exporters.
        "linear" | "bilinear" => Method::Linear,
        other => return Err(format!("mode {other:?} is not known to ONNX").into()),
    };
    apply(call, &x, &axes, method, Coordinates::Asymmetric)
}

#[derive(Clone, Copy)]
enum Method {
    Nearest(Nearest),
    Linear,
    Cubic(f64, bool),
}

fn apply(
    call: &mut Call<'_>,
    x: &Value,
    axes: &[Axis],
    method: Method,
    coordinates: Coordinates,
) -> Outputs {
    let sizes: Vec<usize> = axes.iter().map(|a| a.to).collect();
    computed_count(&sizes)?;
    if let Method::Nearest(nearest) = method {
        let picks: Vec<Picks> = axes
            .iter()
            .map(|a| {
                if a.is_same() {
                    whole(a.to)
                } else {
                    a.nearest(coordinates, nearest)
                }
            })
            .collect();
        let selection = Selection::along_axes(x.shape(), &picks)?;
        return Ok(vec![call.take(x, selection)?]);
    }
    let mut y = match x {
        Value::Encrypted(x) => x.clone(),
        Value::Clear(x) => call.lifted(x)?,
    };
    for (at, axis) in axes.iter().enumerate().filter(|(_, a)| !a.is_same()) {
        computed_count(&[axis.to, axis.from])?;
        let matrix = match method {
            Method::Cubic(a, exclude_outside) => axis.cubic(coordinates, a, exclude_outside),
            _ => axis.linear(coordinates),
        };
        y = along_axis::apply(call, &y, at, axis.to, matrix)?;
    }
    Ok(vec![Value::Encrypted(y)])
}

fn scaled(from: usize, scale: f64) -> Result<Axis, Refusal> {
    // The file holds 32-bit floats, with which the reference computes.
    let size = (from as f32 * scale as f32).floor();
    if !(1.0..=MAX_SIZE as f32).contains(&size) {
        return Err(format!("a scale of {scale} leaves no element, or too many").into());
    }
    Ok(Axis {
        from,
        to: size as usize,
        scale: scale as f32,
    })
}

/// The named axes, of the given sizes, for the sizes that are asked for.
fn sized(old: &[usize], sizes: &[i64], policy: &str) -> Result<Vec<Axis>, Refusal> {
    let bad = || Refusal::new(format!("sizes {sizes:?} do not fit {old:?}"));
    let mut axes = vec![];
    for (from, to) in old.iter().zip(sizes) {
        let to = usize::try_from(*to)
            .ok()
            .filter(|t| (1..=MAX_SIZE).contains(t));
        let to = to.ok_or_else(bad)?;
        axes.push(Axis {
            from: *from,
            to,
            scale: to as f32 / (*from).max(1) as f32,
        });
    }
    let scales = axes.iter().map(|a| a.scale);
    let common = match policy {
        "stretch" => return Ok(axes),
        "not_larger" => scales.fold(f32::INFINITY, f32::min),
        "not_smaller" => scales.fold(0.0, f32::max),
        other => {
            return Err(format!("keep_aspect_ratio_policy {other:?} is not known to ONNX").into());
        }
    };
    for axis in &mut axes {
        let to = (common * axis.from as f32 + 0.5).floor();
        if !(1.0..=MAX_SIZE as f32).contains(&to) {
            return Err(bad());
        }
        axis.scale = common;
        axis.to = to as usize;
    }
    Ok(axes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_keep_the_aspect_ratio() {
        let sizes = |policy: &str| -> Vec<usize> {
            let axes = sized(&[2, 4], &[6, 8], policy).unwrap();
            axes.iter().map(|a| a.to).collect()
        };
        assert_eq!(sizes("stretch"), [6, 8]);
        assert_eq!(sizes("not_larger"), [4, 8]);
        assert_eq!(sizes("not_smaller"), [6, 12]);
        assert!(sized(&[2], &[-1], "stretch").is_err());
        assert!(sized(&[2], &[1], "odd").is_err());
        assert!(scaled(2, 0.2).is_err() && scaled(2, f64::NAN).is_err());
        assert_eq!(scaled(5, 0.6).unwrap().to, 3);
    }
}
