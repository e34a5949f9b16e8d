//! LinearClassifier and LinearRegressor: `scores = x coefficients^T + intercepts`, one row of coefficients for each
//! class or target.
//!
//! The classifier's first output is the label of the largest score; the second the scores after `post_transform`. One
//! row for two classes gives the scores `-s` and `s`, as in ONNX's reference implementation.
//! Types: floating point and integers in. Version 1 of `ai.onnx.ml`.

use super::features::{Transform, dense, rows};
use super::labels::Labels;
use crate::onnx::call::{Call, Outputs, Value};

pub(super) fn classifier(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    call.int("multi_class", 0)?;
    let transform = Transform::of(call)?;
    let labels = Labels::of(call)?;
    let mut coefficients = call.floats("coefficients")?.unwrap_or_default();
    let intercepts = call.floats("intercepts")?;
    let (x, features) = rows(call)?;
    let mut count = coefficients.len() / features;
    if count == 0 || coefficients.len() != count * features {
        return Err(format!(
            "{} coefficients are no rows of {features} features",
            coefficients.len()
        )
        .into());
    }
    let mut intercepts = intercepts.unwrap_or_else(|| vec![0.0; count]);
    if count == 1 && intercepts.len() == 1 && labels.len() == 2 {
        let opposite = |v: &[f64]| v.iter().map(|x| -x).chain(v.iter().copied()).collect();
        (coefficients, intercepts, count) = (opposite(&coefficients), opposite(&intercepts), 2);
    }
    if intercepts.len() != count || labels.len() != count {
        return Err(format!(
            "{count} rows of coefficients, {} intercepts and {} classes do not fit",
            intercepts.len(),
            labels.len()
        )
        .into());
    }
    let scores = dense(call, &x, (coefficients, features), intercepts)?;
    let label = labels.of_largest(call, &scores)?;
    let scores = transform.apply(call, &scores)?;
    Ok([label, scores].map(Value::Encrypted).to_vec())
}

pub(super) fn regressor(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    let transform = Transform::of(call)?;
    let targets = usize::try_from(call.int("targets", 1)?).unwrap_or(0);
    let coefficients = call.floats("coefficients")?.unwrap_or_default();
    let intercepts = call.floats("intercepts")?;
    let (x, features) = rows(call)?;
    if targets == 0 || coefficients.len() / features != targets {
        return Err(format!(
            "{} coefficients are not {targets} rows of {features} features",
            coefficients.len()
        )
        .into());
    }
    let intercepts = intercepts.unwrap_or_else(|| vec![0.0; targets]);
    if intercepts.len() != targets {
        return Err(format!("{} intercepts for {targets} targets", intercepts.len()).into());
    }
    let y = dense(call, &x, (coefficients, features), intercepts)?;
    Ok(vec![Value::Encrypted(transform.apply(call, &y)?)])
}
