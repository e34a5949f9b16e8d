//! SVMRegressor: `y = sum of coefficient_i kernel(x, vector_i) + rho`, and what it shares with SVMClassifier.
//!
//! Kernels (attributes `kernel_type`, `kernel_params` = gamma, coef0, degree), with `d = x vector^T`: LINEAR `d`, POLY
//! `(gamma d + coef0)^degree`, SIGMOID `tanh(gamma d + coef0)`, RBF `exp(-gamma |x - vector|^2)`. Without support
//! vectors the coefficients are the weights themselves, and the kernel is linear.
//! With `one_class` the result is 1 above 0, else -1. Version 1 of `ai.onnx.ml`.

use super::features::{Transform, dense, rows};
use crate::onnx::call::{Call, Encrypted, Outputs, Value};
use crate::onnx::error::Refusal;
use crate::onnx::op::activation::apply;
use cipherloom_ir::tensor::{Function, Op, Reduction};

pub(super) fn regressor(call: &mut Call<'_>) -> Outputs {
    call.arity(1, 1)?;
    if !matches!(Transform::of(call)?, Transform::None) {
        return Err("post_transform is not supported for this operator".into());
    }
    let one_class = call.flag("one_class", false)?;
    let count =
        usize::try_from(call.int("n_supports", 0)?).map_err(|_| "n_supports is negative")?;
    let coefficients = call.floats("coefficients")?.unwrap_or_default();
    let rho = call.floats("rho")?.unwrap_or_default();
    let rho = *rho.first().ok_or("rho is missing")?;
    let kernel = Kernel::of(call)?;
    let vectors = call.floats("support_vectors")?.unwrap_or_default();
    let (x, features) = rows(call)?;
    let y = if count == 0 {
        dense(call, &x, (coefficients, features), vec![rho])?
    } else {
        let values = kernel.apply(call, &x, (vectors, features), count)?;
        dense(call, &values, (coefficients, count), vec![rho])?
    };
    let y = if one_class { signs(call, &y)? } else { y };
    Ok(vec![Value::Encrypted(y)])
}

/// 1 above 0, else -1.
fn signs(call: &mut Call<'_>, x: &Encrypted) -> Result<Encrypted, Refusal> {
    let step = apply(call, Function::Step, x)?;
    let value = call.scalar_constant("two", 2.0)?;
    let twice = call.emit(Op::MulConst { value }, &[&step], &[])?;
    let value = call.scalar_constant("minus_one", -1.0)?;
    call.emit(Op::AddConst { value }, &[&twice], &[])
}

/// A kernel of the input and the support vectors.
pub(super) enum Kernel {
    Linear,
    Poly { gamma: f64, coef0: f64, degree: u32 },
    Sigmoid { gamma: f64, coef0: f64 },
    Rbf { gamma: f64 },
}

impl Kernel {
    pub(super) fn of(call: &mut Call<'_>) -> Result<Self, Refusal> {
        let kind = call.string("kernel_type", "LINEAR")?;
        let parameters = call.floats("kernel_params")?.unwrap_or_default();
        let [gamma, coef0, degree] = match parameters[..] {
            [] => [0.0; 3],
            [gamma, coef0, degree] => [gamma, coef0, degree],
            _ => {
                return Err(
                    format!("kernel_params has {} numbers, not 3", parameters.len()).into(),
                );
            }
        };
        Ok(match kind.as_str() {
            "LINEAR" => Kernel::Linear,
            "POLY" => {
                if degree.fract() != 0.0 || !(1.0..=64.0).contains(&degree) {
                    return Err(Refusal::new(format!(
                        "the kernel's degree {degree} is no whole number from 1 to 64"
                    ))
                    .help("only whole powers are polynomials; train with one of them"));
                }
                Kernel::Poly {
                    gamma,
                    coef0,
                    degree: degree as u32,
                }
            }
            "SIGMOID" => Kernel::Sigmoid { gamma, coef0 },
            "RBF" => Kernel::Rbf { gamma },
            other => {
                return Err(format!("kernel_type is {other:?}, which ONNX does not define").into());
            }
        })
    }

    /// The kernel's values `[N, count]` for rows x and `count` support vectors.
    pub(super) fn apply(
        &self,
        call: &mut Call<'_>,
        x: &Encrypted,
        (vectors, features): (Vec<f64>, usize),
        count: usize,
    ) -> Result<Encrypted, Refusal> {
        if count.checked_mul(features) != Some(vectors.len()) {
            return Err(format!(
                "{} numbers are not {count} support vectors of {features} features",
                vectors.len()
            )
            .into());
        }
        let times = |factor: f64| vectors.iter().map(|v| factor * v).collect::<Vec<_>>();
        match *self {
            Kernel::Linear => dense(call, x, (vectors, features), vec![0.0; count]),
            Kernel::Poly {
                gamma,
                coef0,
                degree,
            } => {
                let d = dense(call, x, (times(gamma), features), vec![coef0; count])?;
                if degree == 1 {
                    return Ok(d);
                }
                call.emit(Op::Power { exponent: degree }, &[&d], &[])
            }
            Kernel::Sigmoid { gamma, coef0 } => {
                let d = dense(call, x, (times(gamma), features), vec![coef0; count])?;
                apply(call, Function::Tanh, &d)
            }
            // -gamma |x - v|^2 = 2 gamma x v - gamma |v|^2 - gamma |x|^2
            Kernel::Rbf { gamma } => {
                let lengths = vectors
                    .chunks_exact(features)
                    .map(|v| -gamma * v.iter().map(|e| e * e).sum::<f64>())
                    .collect();
                let d = dense(call, x, (times(2.0 * gamma), features), lengths)?;
                let square = call.emit(Op::Power { exponent: 2 }, &[x], &[])?;
                let op = Op::Reduce {
                    kind: Reduction::Sum,
                    axes: vec![1],
                };
                let length = call.emit(op, &[&square], &[])?;
                let value = call.scalar_constant("minus_gamma", -gamma)?;
                let length = call.emit(Op::MulConst { value }, &[&length], &[])?;
                let exponent = call.emit(Op::Add, &[&d, &length], &[])?;
                apply(call, Function::Exp, &exponent)
            }
        }
    }
}
