//! Executes a plan's steps on registers. A register lives from the step that writes it to the last that reads it.

use crate::ServerError;
use crate::constants::Constants;
use crate::register::{Held, Registers};
use cipherloom_ckks::{
    Ciphertext, CkksError, Combination, CompactCiphertext, Evaluator, KeyStore, Summands,
};
use cipherloom_ir::plan::{Plan, Register, Step, StepOp};
use std::borrow::Cow;

/// What one execution reads; it holds no state of its own.
pub(crate) struct Executor<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) evaluator: &'a Evaluator,
    pub(crate) constants: &'a Constants,
    pub(crate) keys: &'a dyn KeyStore,
}

impl Executor<'_> {
    /// Executes all steps on the inputs' ciphertexts, one vector per input port, and returns one per output port.
    /// `done` is told the number of steps after each one.
    pub(crate) fn run(
        &self,
        inputs: Vec<Vec<Held>>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Ciphertext>>, ServerError> {
        let mut registers = Registers::default();
        for (port, ciphertexts) in self.plan.inputs.iter().zip(inputs) {
            for (register, value) in port.registers.iter().zip(ciphertexts) {
                registers.insert(*register, value);
            }
        }
        for (position, step) in self.plan.steps.iter().enumerate() {
            let fault = |source| ServerError::Step {
                step: position,
                origin: step.origin.clone(),
                source,
            };
            for (register, value) in self.step(position, step, &registers)? {
                if value.level() != step.level {
                    return Err(fault(CkksError::LevelMismatch {
                        left: value.level(),
                        right: step.level,
                    }));
                }
                if *value.scale() != step.scale {
                    let (left_bits, right_bits) = (value.scale().log2(), step.scale.log2());
                    return Err(fault(CkksError::ScaleMismatch {
                        left_bits,
                        right_bits,
                    }));
                }
                registers.insert(register, value);
            }
            for register in &step.free {
                registers.remove(*register);
            }
            done(position + 1);
        }
        let params = self.evaluator.params();
        let output = |register: &Register| Ok(registers.get(*register)?.full(params).into_owned());
        self.plan
            .outputs
            .iter()
            .map(|port| port.registers.iter().map(output).collect())
            .collect()
    }

    /// The values that a step writes.
    fn step(
        &self,
        position: usize,
        step: &Step,
        registers: &Registers,
    ) -> Result<Vec<(Register, Held)>, ServerError> {
        let fault = |source| ServerError::Step {
            step: position,
            origin: step.origin.clone(),
            source,
        };
        let (eval, keys) = (self.evaluator, self.keys);
        let get = |register: &Register| -> Result<Cow<'_, Ciphertext>, ServerError> {
            Ok(registers.get(*register)?.full(eval.params()))
        };
        let vector = |nth: usize| {
            let missing = || ServerError::Malformed(format!("step {position} lacks a constant"));
            let found = self
                .constants
                .vector(eval.params(), position, nth)
                .ok_or_else(missing)?;
            found.map_err(fault)
        };
        let (dst, result) = match &step.op {
            StepOp::LinearTransform {
                transform,
                src,
                dst,
                rescale,
                bias,
            } => {
                let missing =
                    || ServerError::Malformed(format!("there is no transform {transform}"));
                let transform = self.constants.transform(*transform).ok_or_else(missing)?;
                let held = src.iter().map(get).collect::<Result<Vec<_>, _>>()?;
                let operands: Vec<&Ciphertext> = held.iter().map(|c| &**c).collect();
                let mut results = eval
                    .linear_transform(transform, &operands, keys, *rescale)
                    .map_err(fault)?;
                if results.len() != dst.len() || (!bias.is_empty() && bias.len() != dst.len()) {
                    let reason =
                        format!("step {position} names another number of results than there are");
                    return Err(ServerError::Malformed(reason));
                }
                for (nth, result) in results.iter_mut().enumerate().take(bias.len()) {
                    *result = eval.add_plain(result, &vector(nth)?).map_err(fault)?;
                }
                let results = results.into_iter().map(Held::Full);
                return Ok(dst.iter().copied().zip(results).collect());
            }
            StepOp::WeightedSums { .. } => {
                return self.weighted_sums(&step.op, registers, fault);
            }
            StepOp::Mul {
                dst,
                a,
                b,
                rescale: true,
            } => (dst, eval.mul_rescaled(&*get(a)?, &*get(b)?, keys)),
            StepOp::Mul {
                dst,
                a,
                b,
                rescale: false,
            } => (dst, eval.mul(&*get(a)?, &*get(b)?, keys)),
            StepOp::Square {
                dst,
                a,
                rescale: true,
            } => (dst, eval.square_rescaled(&*get(a)?, keys)),
            StepOp::Square {
                dst,
                a,
                rescale: false,
            } => (dst, eval.square(&*get(a)?, keys)),
            StepOp::Add { dst, a, b } => (dst, eval.add(&*get(a)?, &*get(b)?)),
            StepOp::Sub { dst, a, b } => (dst, eval.sub(&*get(a)?, &*get(b)?)),
            StepOp::AddVector { dst, a, .. } => (dst, eval.add_plain(&*get(a)?, &vector(0)?)),
            StepOp::MulVector {
                dst, a, rescale, ..
            } => {
                let product = eval.mul_plain(&*get(a)?, &vector(0)?);
                (dst, rescaled(eval, product, *rescale))
            }
            StepOp::MulScalar {
                dst,
                a,
                value,
                plain_scale,
                rescale,
            } => {
                let product = eval.mul_scalar(&*get(a)?, *value, plain_scale);
                (dst, rescaled(eval, product, *rescale))
            }
            StepOp::Fold { dst, a, rotations } => {
                let samples = self.plan.samples() as u32;
                let mut sum = Ok(get(a)?.into_owned());
                for steps in rotations {
                    sum = sum.and_then(|x| eval.add(&x, &eval.rotate(&x, steps * samples, keys)?));
                }
                (dst, sum)
            }
            StepOp::Combine {
                dst,
                products,
                gain,
                terms,
                constant,
                rescale,
            } => {
                let operands = step.op.operands();
                let held = operands.iter().map(get).collect::<Result<Vec<_>, _>>()?;
                let (factors, summed) = held.split_at(2 * products.len());
                let pairs = factors.as_chunks::<2>().0.iter();
                let sum = Combination {
                    products: pairs.map(|[a, b]| (&**a, &**b)).collect(),
                    gain: *gain,
                    terms: summed
                        .iter()
                        .zip(terms)
                        .map(|(y, (_, value, scale))| (&**y, *value, scale))
                        .collect(),
                    constant: *constant,
                };
                let level = step.level + usize::from(*rescale);
                (dst, eval.combine(&sum, level, *rescale, keys))
            }
            StepOp::Rescale { dst, a } => (dst, eval.rescale(&*get(a)?)),
            StepOp::Gain { dst, a, factor } => (dst, eval.gain(&*get(a)?, *factor)),
            StepOp::DropLevel { dst, a, level } => (dst, eval.drop_level(&*get(a)?, *level)),
        };
        Ok(vec![(*dst, Held::Full(result.map_err(fault)?))])
    }

    /// The values that weighted sums write; `fault` names the step where the scheme refuses it.
    fn weighted_sums(
        &self,
        op: &StepOp,
        registers: &Registers,
        fault: impl Fn(CkksError) -> ServerError,
    ) -> Result<Vec<(Register, Held)>, ServerError> {
        let StepOp::WeightedSums {
            weights,
            src,
            dst,
            squares,
            rescale,
        } = op
        else {
            return Err(ServerError::Malformed("the step sums up nothing".into()));
        };
        let missing = || ServerError::Malformed(format!("there are no weights {weights}"));
        let weights = self.constants.weights(*weights).ok_or_else(missing)?;
        let held = src
            .iter()
            .map(|r| registers.get(*r))
            .collect::<Result<Vec<_>, _>>()?;
        let summands = match squares {
            true => Summands::Squares,
            false => Summands::Values,
        };
        let params = self.evaluator.params();
        let operands = held
            .iter()
            .map(|h| h.compact(params))
            .collect::<Result<Vec<_>, _>>()
            .map_err(&fault)?;
        let operands: Vec<&CompactCiphertext> = operands.iter().map(|c| &**c).collect();
        let sums = self
            .evaluator
            .weighted_sums(weights, &operands, summands, *rescale, self.keys)
            .map_err(fault)?;
        let results = sums.into_iter().map(Held::Compact);
        Ok(dst.iter().copied().zip(results).collect())
    }
}

fn rescaled(
    eval: &Evaluator,
    product: Result<Ciphertext, CkksError>,
    rescale: bool,
) -> Result<Ciphertext, CkksError> {
    if rescale {
        eval.rescale(&product?)
    } else {
        product
    }
}
