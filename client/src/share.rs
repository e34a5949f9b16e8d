//! Results that may be handed on.
//!
//! A decrypted CKKS value carries the noise of its ciphertext, and whoever knows both can learn about the secret key
//! (Li and Micciancio, EUROCRYPT 2021, "IND-CPA^D"). Exact decrypted values therefore stay with the key's owner.
//!
//! Rounding to steps of at least 32 standard deviations of the noise removes it from all values but those near the
//! border of two steps. Of values that lie anywhere with equal probability, about `sqrt(2/pi)/32`, 2 in 100, still
//! fall on the other side of a border because of the noise, and tell about it. So this is a mitigation for few
//! results, not a proof: large tensors leak. Handing on only the class, or nothing, is better.
//!
//! Where a plan has a tail (a softmax, the class), what is decrypted is rounded first and the tail computed of the rounded
//! values: what is shared is then a function of rounded values alone.
//!
//! The plan's noise is predicted for inputs that were encrypted under the secret key. An output does not tell whether
//! its inputs came from the public key, whose noise is larger, so the worst is assumed of all.

use crate::ClientError;
use cipherloom_ir::params::CkksLiteral;
use cipherloom_ir::plan::ClientPlan;
use cipherloom_ir::value::Tensors;

/// A step is at least so many standard deviations of the predicted noise: 2^5.
pub const STEP_PER_DEVIATION_BITS: u32 = 5;
/// The most bits that may be asked for: those of an `f64`'s fraction.
pub const MAX_BITS: u32 = 52;

/// Rounds decrypted outputs, before the plan's tail is computed of them, to `bits` bits of the output's expected range, ties to even.
///
/// The step of an output is 2^-bits times the power of two at or above the largest absolute value that the plan expects of it.
///
/// The deviation of the noise is taken to be the predicted one times [`public_surplus`]'s, which costs about 7 bits at N = 2^14.
/// That covers noise as far as it grows in proportion to that of the inputs; products of two noises, which the
/// message outweighs, are left aside.
///
/// # Errors
/// [`ClientError::Share`] for more than [`MAX_BITS`] or if, for some output, the step would be below 2^5 standard deviations
/// of its noise; [`ClientError::Outputs`] for an output that the plan does not have; [`ClientError::Plan`] where the plan's range or
/// noise is no positive number.
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
        // A noise of zero would let every step pass.
        if !(port.noise.is_normal() && port.noise > 0.0) {
            let reason = format!("the noise of output \"{name}\" is {}", port.noise);
            return Err(ClientError::Plan(reason));
        }
        let log_range = libm::ceil(libm::log2(port.range.max_abs().max(f64::MIN_POSITIVE)));
        let log_step = log_range - f64::from(bits);
        let log_variance = libm::log2(port.noise) + libm::log2(public_surplus(&plan.params));
        let log_least = 0.5 * log_variance + f64::from(STEP_PER_DEVIATION_BITS);
        if bits > MAX_BITS || log_step < log_least {
            let limit = (libm::floor(log_range - log_least) as i64).min(MAX_BITS.into());
            return Err(ClientError::Share {
                bits,
                name: name.clone(),
                limit,
            });
        }
        let step = libm::exp2(log_step);
        if !step.is_normal() {
            let reason = format!("the range of output \"{name}\" is {}", port.range);
            return Err(ClientError::Plan(reason));
        }
        steps.push(step);
    }
    for (tensor, step) in outputs.values_mut().zip(steps) {
        for value in tensor.data_mut() {
            // Adding zero turns -0 into 0: its sign would be that of the noise.
            *value = (*value / step).round_ties_even() * step + 0.0;
        }
    }
    Ok(())
}

/// At most so many times the variance of a ciphertext made with the secret key is that of one made with the public key:
/// `1 + 4N/3`, by [`NoiseModel::fresh_public`](cipherloom_ir::noise::NoiseModel::fresh_public) for an ephemeral secret and
/// a secret of weight 2N/3 each.
pub fn public_surplus(params: &CkksLiteral) -> f64 {
    1.0 + 4.0 * params.n() as f64 / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::plan_with_output;
    use cipherloom_ir::noise::NoiseModel;
    use cipherloom_ir::value::{Range, Tensor};

    fn outputs(values: &[f64]) -> Tensors {
        Tensors::from([("y".to_owned(), Tensor::from_vec(values.to_vec()))])
    }

    fn limit(plan: &ClientPlan) -> i64 {
        match round_for_sharing(plan, &mut outputs(&[0.0]), u32::MAX) {
            Err(ClientError::Share { limit, .. }) => limit,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rounds_to_steps_above_the_noise() {
        // Range 6 counts as 8; noise of deviation 2^-10 counts as sqrt(1 + 4 * 64 / 3) = 9.3 times that and needs steps of
        // 2^-1.8, so 2^-1, which is 4 bits.
        let plan = plan_with_output("y", Range::new(-6.0, 5.0).unwrap(), libm::exp2(-20.0));
        let mut rounded = outputs(&[1.01, -3.3, 0.2]);
        round_for_sharing(&plan, &mut rounded, 4).unwrap();
        assert_eq!(rounded["y"].data(), [1.0, -3.5, 0.0]);
        let refused = round_for_sharing(&plan, &mut outputs(&[1.01]), 5).unwrap_err();
        assert!(matches!(
            refused,
            ClientError::Share {
                bits: 5,
                limit: 4,
                ..
            }
        ));
        let mut unknown = Tensors::from([("z".to_owned(), Tensor::from_vec(vec![1.0]))]);
        assert!(round_for_sharing(&plan, &mut unknown, 4).is_err());
    }

    #[test]
    fn a_zero_has_no_sign() {
        let plan = plan_with_output("y", Range::new(-6.0, 5.0).unwrap(), libm::exp2(-20.0));
        let mut rounded = outputs(&[-0.01, 0.01, -0.0, -0.25]);
        round_for_sharing(&plan, &mut rounded, 4).unwrap();
        for value in rounded["y"].data() {
            assert_eq!(value.to_bits(), 0.0_f64.to_bits());
        }
    }

    #[test]
    fn steps_suffice_for_inputs_of_the_public_key() {
        let range = Range::new(-1.0, 1.0).unwrap();
        for log_scale in [28.0, 35.0, 40.0] {
            let mut plan = plan_with_output("y", range, 1.0);
            let model = NoiseModel::new(&plan.params);
            plan.outputs[0].noise = model.fresh_secret(log_scale);
            let deviations =
                libm::exp2(-limit(&plan) as f64) / model.fresh_public(log_scale).sqrt();
            assert!((32.0..64.1).contains(&deviations), "{deviations}");
        }
    }

    #[test]
    fn a_noise_that_is_no_positive_number_is_refused() {
        let range = Range::new(-1.0, 1.0).unwrap();
        for noise in [0.0, -0.0, -1.0, 1e-310, f64::NAN, f64::INFINITY] {
            let plan = plan_with_output("y", range, noise);
            let refused = round_for_sharing(&plan, &mut outputs(&[0.5]), 1);
            assert!(matches!(refused, Err(ClientError::Plan(_))), "{noise}");
        }
        // However small the noise is, no more bits are given than a value has.
        let plan = plan_with_output("y", range, 1e-300);
        assert_eq!(limit(&plan), 52);
        assert!(round_for_sharing(&plan, &mut outputs(&[0.5]), 52).is_ok());
        assert!(round_for_sharing(&plan, &mut outputs(&[0.5]), 53).is_err());
        let plan = plan_with_output(
            "y",
            Range {
                lo: 0.0,
                hi: f64::INFINITY,
            },
            1e-9,
        );
        assert!(round_for_sharing(&plan, &mut outputs(&[0.5]), 1).is_err());
    }
}
