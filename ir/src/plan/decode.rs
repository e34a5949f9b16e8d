//! From messages to plans. Nothing is trusted: what contradicts itself is refused here, what has no meaning by
//! [`super::verify`].

use super::sections::{Reader, shape, size};
use super::{
    Block, ClientPlan, Diagonal, Estimates, Fit, KeyRequest, Plan, PlanApproximation, PlanError,
    PlanPort, Register, RotationKeySpec, SlotVector, Step, StepOp, Transform, Weights, module_wire,
    proto,
};
use crate::circuit::{MAX_COMBINED, Matrix};
use crate::container::PlanId;
use crate::params::CkksLiteral;
use crate::scale::Scale;
use crate::security::Security;
use crate::tensor::Module;
use crate::value::Range;
use std::sync::Arc;

fn bad(what: impl Into<String>) -> PlanError {
    PlanError::Malformed(what.into())
}

fn scale(fraction: Option<proto::Fraction>) -> Result<Scale, PlanError> {
    let scale = fraction.and_then(|f| Scale::from_parts(&f.numerator, &f.denominator));
    scale.ok_or_else(|| bad("a scale is missing, zero or too long"))
}

fn range(interval: Option<proto::Interval>) -> Result<Range, PlanError> {
    interval
        .and_then(|i| Range::new(i.lo, i.hi))
        .ok_or_else(|| bad("a range is missing, empty or not finite"))
}

fn space(number: u32) -> Result<(), PlanError> {
    if number == 0 {
        Ok(())
    } else {
        Err(bad(format!("key space {number} does not exist")))
    }
}

fn registers(list: Vec<u32>) -> Vec<Register> {
    list.into_iter().map(Register).collect()
}

/// The parameters, which have passed [`CkksLiteral::check`].
fn params(spaces: Vec<proto::KeySpace>) -> Result<CkksLiteral, PlanError> {
    let [space] = <[proto::KeySpace; 1]>::try_from(spaces).map_err(|spaces| {
        bad(format!(
            "{} key spaces; this build knows plans with one",
            spaces.len()
        ))
    })?;
    if space.secret != 0 || space.word != 0 {
        return Err(bad(
            "the key space has a kind of secret or of word that this build does not know",
        ));
    }
    let security =
        Security::from_bits(space.security_bits, space.security_quantum).ok_or_else(|| {
            bad(format!(
                "there is no security target of {} bits",
                space.security_bits
            ))
        })?;
    let literal = CkksLiteral {
        log_n: space.log_n,
        q: space.q,
        p: space.p,
        digit_size: size(u64::from(space.digit_size))?,
        security,
    };
    literal.check()?;
    Ok(literal)
}

fn port(port: proto::Port, reader: &mut Reader<'_>) -> Result<PlanPort, PlanError> {
    space(port.key_space)?;
    Ok(PlanPort {
        name: port.name,
        shape: shape(&port.shape)?,
        dtype: super::module_wire::dtype(port.dtype)?,
        batched: port.batched,
        clear: port.clear,
        range: range(port.range)?,
        layout: reader.layout(port.layout)?,
        level: port.level as usize,
        scale: scale(port.scale)?,
        registers: registers(port.registers),
        noise: port.noise,
    })
}

fn ports(list: Vec<proto::Port>, reader: &mut Reader<'_>) -> Result<Vec<PlanPort>, PlanError> {
    list.into_iter().map(|p| port(p, reader)).collect()
}

fn keys(keys: Option<proto::Keys>) -> Result<KeyRequest, PlanError> {
    let keys = keys.ok_or_else(|| bad("the list of keys is missing"))?;
    space(keys.key_space)?;
    let rotation = |r: proto::RotationKey| {
        space(r.key_space)?;
        Ok::<_, PlanError>(RotationKeySpec {
            steps: r.steps,
            level: r.level,
        })
    };
    Ok(KeyRequest {
        relinearization: keys.relinearization.checked_sub(1),
        rotations: keys
            .rotations
            .into_iter()
            .map(rotation)
            .collect::<Result<_, _>>()?,
        conjugation: keys.conjugation.checked_sub(1),
    })
}

fn transform(transform: proto::Transform, reader: &mut Reader<'_>) -> Result<Transform, PlanError> {
    space(transform.key_space)?;
    let mut blocks = Vec::with_capacity(transform.blocks.len());
    for block in transform.blocks {
        let mut diagonals = Vec::with_capacity(block.diagonals.len());
        for diagonal in block.diagonals {
            diagonals.push(Diagonal {
                rotation: diagonal.rotation,
                values: reader.array(diagonal.values)?,
            });
        }
        blocks.push(Block {
            row: block.row,
            col: block.col,
            diagonals,
        });
    }
    Ok(Transform {
        name: transform.name,
        period: size(transform.period)?,
        samples: size(transform.more_samples.wrapping_add(1))?,
        level: transform.level as usize,
        plain_scale: scale(transform.plain_scale)?,
        baby_step: size(transform.baby_step)?,
        folds: transform.folds,
        blocks,
    })
}

fn weights(weights: proto::Weights, reader: &mut Reader<'_>) -> Result<Weights, PlanError> {
    space(weights.key_space)?;
    let counts = reader.numbers(weights.counts)?;
    let mut row_starts = Vec::with_capacity(counts.len() + 1);
    row_starts.push(0_usize);
    let mut end = 0_usize;
    for count in &counts {
        let next = end.checked_add(*count as usize);
        end = next.ok_or_else(|| bad("the rows of a matrix are too long"))?;
        row_starts.push(end);
    }
    Ok(Weights {
        matrix: Arc::new(Matrix {
            name: weights.name,
            rows: counts.len(),
            cols: size(weights.cols)?,
            row_starts,
            columns: reader.numbers(weights.columns)?,
            values: reader.array(weights.values)?,
        }),
        plain_scale: scale(weights.plain_scale)?,
        bias: reader.array(weights.bias)?,
    })
}

fn step(step: proto::Step) -> Result<Step, PlanError> {
    space(step.key_space)?;
    Ok(Step {
        op: step_op(
            step.op
                .ok_or_else(|| bad("a step has no operation that this build knows"))?,
        )?,
        free: registers(step.free),
        level: step.level as usize,
        scale: scale(step.scale)?,
        range: range(step.range)?,
        noise: step.noise,
        approximation: step.approximation,
        origin: step.origin,
    })
}

fn step_op(op: proto::StepOp) -> Result<StepOp, PlanError> {
    use proto::StepOp as Wire;
    let r = Register;
    Ok(match op {
        Wire::LinearTransform(t) => StepOp::LinearTransform {
            transform: t.transform,
            src: registers(t.src),
            dst: registers(t.dst),
            rescale: t.rescale,
            bias: t.bias,
        },
        Wire::WeightedSums(s) => StepOp::WeightedSums {
            weights: s.weights,
            src: registers(s.src),
            dst: registers(s.dst),
            squares: s.squares,
            rescale: s.rescale,
        },
        Wire::Mul(o) => StepOp::Mul {
            dst: r(o.dst),
            a: r(o.a),
            b: r(o.b),
            rescale: o.rescale,
        },
        Wire::Square(o) => StepOp::Square {
            dst: r(o.dst),
            a: r(o.a),
            rescale: o.rescale,
        },
        Wire::Add(o) => StepOp::Add {
            dst: r(o.dst),
            a: r(o.a),
            b: r(o.b),
        },
        Wire::Sub(o) => StepOp::Sub {
            dst: r(o.dst),
            a: r(o.a),
            b: r(o.b),
        },
        Wire::AddVector(o) => StepOp::AddVector {
            dst: r(o.dst),
            a: r(o.a),
            vector: o.vector,
        },
        Wire::MulVector(o) => StepOp::MulVector {
            dst: r(o.dst),
            a: r(o.a),
            vector: o.vector,
            plain_scale: scale(o.plain_scale)?,
            rescale: o.rescale,
        },
        Wire::MulScalar(o) => StepOp::MulScalar {
            dst: r(o.dst),
            a: r(o.a),
            value: o.value,
            plain_scale: scale(o.plain_scale)?,
            rescale: o.rescale,
        },
        Wire::Rescale(o) => StepOp::Rescale {
            dst: r(o.dst),
            a: r(o.a),
        },
        Wire::Gain(o) => StepOp::Gain {
            dst: r(o.dst),
            a: r(o.a),
            factor: o.value,
        },
        Wire::DropLevel(o) => StepOp::DropLevel {
            dst: r(o.dst),
            a: r(o.a),
            level: o.level as usize,
        },
        Wire::Combine(o) => combine(o)?,
        Wire::Fold(o) => StepOp::Fold {
            dst: r(o.dst),
            a: r(o.a),
            rotations: o.rotations,
        },
    })
}

fn combine(o: proto::Combine) -> Result<StepOp, PlanError> {
    let operands = o.factors.len().saturating_add(o.terms.len());
    if !o.factors.len().is_multiple_of(2) || operands > MAX_COMBINED {
        return Err(bad(format!(
            "a sum has {} factors and {} terms; factors come in pairs, and there are at most {MAX_COMBINED} operands",
            o.factors.len(),
            o.terms.len()
        )));
    }
    let pair = |p: &[u32]| match *p {
        [a, b] => Some((Register(a), Register(b))),
        _ => None,
    };
    Ok(StepOp::Combine {
        dst: Register(o.dst),
        products: o.factors.chunks_exact(2).filter_map(pair).collect(),
        gain: o.gain,
        terms: o
            .terms
            .into_iter()
            .map(|t| Ok((Register(t.operand), t.value, scale(t.plain_scale)?)))
            .collect::<Result<_, PlanError>>()?,
        constant: o.constant,
        rescale: o.rescale,
    })
}

/// The plan of a message, its parameters checked, its meaning not yet verified.
pub(super) fn server_plan(
    message: proto::ServerPlan,
    reader: &mut Reader<'_>,
) -> Result<Plan, PlanError> {
    let params = params(message.key_spaces)?;
    let inputs = ports(message.inputs, reader)?;
    let outputs = ports(message.outputs, reader)?;
    let transforms = message
        .transforms
        .into_iter()
        .map(|t| transform(t, reader))
        .collect::<Result<_, _>>()?;
    let weights = message
        .weights
        .into_iter()
        .map(|w| weights(w, reader))
        .collect::<Result<_, _>>()?;
    let vectors = message
        .vectors
        .into_iter()
        .map(|v| {
            Ok(SlotVector {
                name: v.name,
                values: reader.array(v.values)?,
            })
        })
        .collect::<Result<_, PlanError>>()?;
    let clear = message
        .clear
        .ok_or_else(|| bad("the clear network is missing"))?;
    let estimates = message.estimates.unwrap_or_default();
    Ok(Plan {
        name: message.name,
        source: message.source,
        params,
        inputs,
        outputs,
        transforms,
        weights,
        vectors,
        steps: message
            .steps
            .into_iter()
            .map(step)
            .collect::<Result<_, _>>()?,
        keys: keys(message.keys)?,
        estimates: Estimates {
            ntts: estimates.ntts,
            limb_macs: estimates.limb_macs,
            latency_s: estimates.latency_s,
            eval_key_bytes: estimates.eval_key_bytes,
            run_bytes: estimates.run_bytes,
            choice: estimates.choice,
        },
        margin: message.margin,
        clear: module_wire::decode(clear, reader)?,
        tail: tail(message.tail, reader)?,
        approximations: message
            .approximations
            .into_iter()
            .map(approximation)
            .collect::<Result<_, _>>()?,
    })
}

fn approximation(a: proto::Approximation) -> Result<PlanApproximation, PlanError> {
    let domain = Range::new(a.lo, a.hi).ok_or_else(|| bad("an approximation has no domain"))?;
    if ![a.sup_error, a.rms_error, a.dead_zone]
        .iter()
        .all(|e| e.is_finite())
    {
        return Err(bad("the error of an approximation is not finite"));
    }
    Ok(PlanApproximation {
        origin: a.origin,
        function: a.function,
        domain,
        degree: a.degree,
        sup_error: a.sup_error,
        rms_error: a.rms_error,
        dead_zone: a.dead_zone,
        fit: a.fit.map(fit).transpose()?,
    })
}

fn fit(fit: proto::Fit) -> Result<Fit, PlanError> {
    Ok(Fit {
        parameters: fit.parameters,
        seen: range(fit.seen)?,
        stages: fit.stages.into_iter().map(|s| s.coefficients).collect(),
    })
}

/// The client plan of a message, its parameters checked, its meaning not yet verified.
pub(super) fn client_plan(
    message: proto::ClientPlan,
    plan_id: PlanId,
    reader: &mut Reader<'_>,
) -> Result<ClientPlan, PlanError> {
    let params = params(message.key_spaces)?;
    let inputs = ports(message.inputs, reader)?;
    let outputs = ports(message.outputs, reader)?;
    Ok(ClientPlan {
        plan_id,
        name: message.name,
        params,
        inputs,
        outputs,
        keys: keys(message.keys)?,
        tail: tail(message.tail, reader)?,
    })
}

fn tail(
    message: Option<proto::Module>,
    reader: &mut Reader<'_>,
) -> Result<Option<Module>, PlanError> {
    message.map(|m| module_wire::decode(m, reader)).transpose()
}
