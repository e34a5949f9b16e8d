//! Results that may be handed on.
//!
//! A decrypted CKKS value carries the noise of its ciphertext, and whoever knows both can learn about the secret key
//! (Li and Micciancio, EUROCRYPT 2021, "IND-CPA^D"). Exact decrypted values therefore stay with the key's owner. Rounding to steps
//! much larger than the noise removes it from all values but those near the border of two steps; it is a mitigation for
//! few results, not a proof. Handing on only the class, or nothing, is better.

use crate::ClientError;
use cipherloom_ir::plan::ClientPlan;
use cipherloom_ir::value::Tensors;

/// A step is at least so many standard deviations of the predicted noise: 2^5.
pub const STEP_PER_DEVIATION_BITS: u32 = 5;

/// Rounds decrypted outputs to `bits` bits of the output's expected range, ties to even.
///
/// The step of an output is 2^-bits times the power of two at or above the largest absolute value that the plan expects of it.
///
/// # Errors
/// [`ClientError::Share`] if, for some output, the step would be below 2^5 predicted standard deviations of its noise, and
/// [`ClientError::Outputs`] for an output that the plan does not have.
pub fn round_for_sharing(
    plan: &ClientPlan,
    outputs: &mut Tensors,
    bits: u32,
) -> Result<(), ClientError> {
    let mut steps = Vec::with_capacity(outputs.len());
    for name in outputs.keys() {
        let unknown = || ClientError::Outputs(format!("there is no output \"{name}\""));
        let port = plan
            .outputs
            .iter()
            .find(|p| p.name == *name)
            .ok_or_else(unknown)?;
        let log_range = libm::ceil(libm::log2(port.range.max_abs().max(f64::MIN_POSITIVE)));
        let log_step = log_range - f64::from(bits);
        let log_least = 0.5 * libm::log2(port.noise) + f64::from(STEP_PER_DEVIATION_BITS);
        if log_least.is_nan() || log_step < log_least {
            let limit = libm::floor(log_range - log_least) as i64;
            return Err(ClientError::Share {
                bits,
                name: name.clone(),
                limit,
            });
        }
        steps.push(libm::exp2(log_step));
    }
    for (tensor, step) in outputs.values_mut().zip(steps) {
        for value in tensor.data_mut() {
            *value = (*value / step).round_ties_even() * step;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::plan_with_output;
    use cipherloom_ir::value::{Range, Tensor};

    #[test]
    fn rounds_to_steps_above_the_noise() {
        // Range 6 counts as 8; noise of standard deviation 2^-10 needs steps of 2^-5, so 8 bits.
        let plan = plan_with_output("y", Range::new(-6.0, 5.0).unwrap(), libm::exp2(-20.0));
        let outputs = || Tensors::from([("y".to_owned(), Tensor::from_vec(vec![1.01, -3.3, 0.2]))]);
        let mut rounded = outputs();
        round_for_sharing(&plan, &mut rounded, 4).unwrap();
        assert_eq!(rounded["y"].data(), [1.0, -3.5, 0.0]);
        assert!(round_for_sharing(&plan, &mut outputs(), 8).is_ok());
        let refused = round_for_sharing(&plan, &mut outputs(), 9).unwrap_err();
        assert!(matches!(
            refused,
            ClientError::Share {
                bits: 9,
                limit: 8,
                ..
            }
        ));
        let mut unknown = Tensors::from([("z".to_owned(), Tensor::from_vec(vec![1.0]))]);
        assert!(round_for_sharing(&plan, &mut unknown, 4).is_err());
    }
}
