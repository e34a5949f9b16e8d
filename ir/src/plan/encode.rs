//! From plans to messages.

use super::sections::Writer;
use super::{
    ClientPlan, Fit, KeyRequest, Plan, PlanApproximation, PlanPort, Register, Step, StepOp,
    Transform, Weights, module_wire, proto,
};
use crate::params::CkksLiteral;
use crate::scale::Scale;
use crate::value::Range;

fn fraction(scale: &Scale) -> Option<proto::Fraction> {
    let (numerator, denominator) = scale.to_parts();
    Some(proto::Fraction {
        numerator,
        denominator,
    })
}

fn interval(range: Range) -> Option<proto::Interval> {
    Some(proto::Interval {
        lo: range.lo,
        hi: range.hi,
    })
}

fn registers(list: &[Register]) -> Vec<u32> {
    list.iter().map(|r| r.0).collect()
}

fn key_space(params: &CkksLiteral) -> proto::KeySpace {
    proto::KeySpace {
        log_n: params.log_n,
        q: params.q.clone(),
        p: params.p.clone(),
        digit_size: params.digit_size as u32,
        security_bits: params.security.bits(),
        security_quantum: params.security.is_quantum(),
        secret: 0,
        word: 0,
    }
}

fn port(port: &PlanPort, writer: &mut Writer) -> proto::Port {
    proto::Port {
        name: port.name.clone(),
        shape: port.shape.iter().map(|d| *d as u64).collect(),
        dtype: port.dtype.number(),
        batched: port.batched,
        clear: port.clear,
        range: interval(port.range),
        layout: Some(writer.layout(&port.layout)),
        level: port.level as u32,
        scale: fraction(&port.scale),
        registers: registers(&port.registers),
        noise: port.noise,
        key_space: 0,
    }
}

fn keys(keys: &KeyRequest) -> Option<proto::Keys> {
    let one_more = |level: Option<u32>| level.map_or(0, |l| l.saturating_add(1));
    Some(proto::Keys {
        relinearization: one_more(keys.relinearization),
        conjugation: one_more(keys.conjugation),
        rotations: keys
            .rotations
            .iter()
            .map(|r| proto::RotationKey {
                steps: r.steps,
                level: r.level,
                key_space: 0,
            })
            .collect(),
        key_space: 0,
    })
}

fn transform(transform: &Transform, writer: &mut Writer) -> proto::Transform {
    let blocks = transform.blocks.iter().map(|b| proto::Block {
        row: b.row,
        col: b.col,
        diagonals: b
            .diagonals
            .iter()
            .map(|d| proto::Diagonal {
                rotation: d.rotation,
                values: Some(writer.array(&d.values)),
            })
            .collect(),
    });
    proto::Transform {
        name: transform.name.clone(),
        period: transform.period as u64,
        level: transform.level as u32,
        plain_scale: fraction(&transform.plain_scale),
        baby_step: transform.baby_step as u64,
        folds: transform.folds.clone(),
        blocks: blocks.collect(),
        key_space: 0,
        more_samples: (transform.samples as u64).wrapping_sub(1),
    }
}

fn weights(weights: &Weights, writer: &mut Writer) -> proto::Weights {
    let matrix = &weights.matrix;
    let counts = matrix.row_starts.windows(2).map(|w| (w[1] - w[0]) as u32);
    proto::Weights {
        name: matrix.name.clone(),
        cols: matrix.cols as u64,
        counts: Some(writer.numbers(&counts.collect::<Vec<u32>>())),
        columns: Some(writer.numbers(&matrix.columns)),
        values: Some(writer.array(&matrix.values)),
        plain_scale: fraction(&weights.plain_scale),
        bias: Some(writer.array(&weights.bias)),
        key_space: 0,
    }
}

fn step(step: &Step) -> proto::Step {
    proto::Step {
        free: registers(&step.free),
        level: step.level as u32,
        scale: fraction(&step.scale),
        range: interval(step.range),
        noise: step.noise,
        approximation: step.approximation,
        origin: step.origin.clone(),
        key_space: 0,
        op: Some(step_op(&step.op)),
    }
}

fn step_op(op: &StepOp) -> proto::StepOp {
    use proto::{Arithmetic, StepOp as Wire};
    let unary = |dst: &Register, a: &Register| Arithmetic {
        dst: dst.0,
        a: a.0,
        ..Arithmetic::default()
    };
    let binary = |dst: &Register, a: &Register, b: &Register| Arithmetic {
        b: b.0,
        ..unary(dst, a)
    };
    match op {
        StepOp::LinearTransform {
            transform,
            src,
            dst,
            rescale,
            bias,
        } => Wire::LinearTransform(proto::LinearTransform {
            transform: *transform,
            src: registers(src),
            dst: registers(dst),
            rescale: *rescale,
            bias: bias.clone(),
        }),
        StepOp::WeightedSums {
            weights,
            src,
            dst,
            squares,
            rescale,
        } => Wire::WeightedSums(proto::WeightedSums {
            weights: *weights,
            src: registers(src),
            dst: registers(dst),
            squares: *squares,
            rescale: *rescale,
        }),
        StepOp::Mul { dst, a, b, rescale } => Wire::Mul(Arithmetic {
            rescale: *rescale,
            ..binary(dst, a, b)
        }),
        StepOp::Fold { dst, a, rotations } => Wire::Fold(Arithmetic {
            rotations: rotations.clone(),
            ..unary(dst, a)
        }),
        StepOp::Square { dst, a, rescale } => Wire::Square(Arithmetic {
            rescale: *rescale,
            ..unary(dst, a)
        }),
        StepOp::Add { dst, a, b } => Wire::Add(binary(dst, a, b)),
        StepOp::Sub { dst, a, b } => Wire::Sub(binary(dst, a, b)),
        StepOp::AddVector { dst, a, vector } => Wire::AddVector(Arithmetic {
            vector: *vector,
            ..unary(dst, a)
        }),
        StepOp::MulVector {
            dst,
            a,
            vector,
            plain_scale,
            rescale,
        } => Wire::MulVector(Arithmetic {
            vector: *vector,
            plain_scale: fraction(plain_scale),
            rescale: *rescale,
            ..unary(dst, a)
        }),
        StepOp::MulScalar {
            dst,
            a,
            value,
            plain_scale,
            rescale,
        } => Wire::MulScalar(Arithmetic {
            value: *value,
            plain_scale: fraction(plain_scale),
            rescale: *rescale,
            ..unary(dst, a)
        }),
        StepOp::Rescale { dst, a } => Wire::Rescale(unary(dst, a)),
        StepOp::Gain { dst, a, factor } => Wire::Gain(Arithmetic {
            value: *factor,
            ..unary(dst, a)
        }),
        StepOp::Combine {
            dst,
            products,
            gain,
            terms,
            constant,
            rescale,
        } => Wire::Combine(proto::Combine {
            dst: dst.0,
            factors: products.iter().flat_map(|(a, b)| [a.0, b.0]).collect(),
            gain: *gain,
            terms: terms
                .iter()
                .map(|(operand, value, plain_scale)| proto::Term {
                    operand: operand.0,
                    value: *value,
                    plain_scale: fraction(plain_scale),
                })
                .collect(),
            constant: *constant,
            rescale: *rescale,
        }),
        StepOp::DropLevel { dst, a, level } => Wire::DropLevel(Arithmetic {
            level: *level as u32,
            ..unary(dst, a)
        }),
    }
}

/// The message of a plan; its arrays go to the writer, in the order in which [`super::decode`] takes them.
pub(super) fn server_plan(plan: &Plan, writer: &mut Writer) -> proto::ServerPlan {
    let e = &plan.estimates;
    proto::ServerPlan {
        name: plan.name.clone(),
        source: plan.source.clone(),
        key_spaces: vec![key_space(&plan.params)],
        inputs: plan.inputs.iter().map(|p| port(p, writer)).collect(),
        outputs: plan.outputs.iter().map(|p| port(p, writer)).collect(),
        transforms: plan
            .transforms
            .iter()
            .map(|t| transform(t, writer))
            .collect(),
        weights: plan.weights.iter().map(|w| weights(w, writer)).collect(),
        vectors: plan
            .vectors
            .iter()
            .map(|v| proto::SlotVector {
                name: v.name.clone(),
                values: Some(writer.array(&v.values)),
            })
            .collect(),
        steps: plan.steps.iter().map(step).collect(),
        keys: keys(&plan.keys),
        estimates: Some(proto::Estimates {
            ntts: e.ntts,
            limb_macs: e.limb_macs,
            latency_s: e.latency_s,
            eval_key_bytes: e.eval_key_bytes,
            run_bytes: e.run_bytes,
            choice: e.choice.clone(),
        }),
        margin: plan.margin,
        clear: Some(module_wire::encode(&plan.clear, writer)),
        tail: plan.tail.as_ref().map(|t| module_wire::encode(t, writer)),
        approximations: plan.approximations.iter().map(approximation).collect(),
    }
}

fn approximation(a: &PlanApproximation) -> proto::Approximation {
    proto::Approximation {
        origin: a.origin.clone(),
        function: a.function.clone(),
        lo: a.domain.lo,
        hi: a.domain.hi,
        degree: a.degree,
        sup_error: a.sup_error,
        rms_error: a.rms_error,
        dead_zone: a.dead_zone,
        fit: a.fit.as_ref().map(fit),
    }
}

fn fit(fit: &Fit) -> proto::Fit {
    let stage = |coefficients: &Vec<f64>| proto::Stage {
        coefficients: coefficients.clone(),
    };
    proto::Fit {
        parameters: fit.parameters.clone(),
        seen: interval(fit.seen),
        stages: fit.stages.iter().map(stage).collect(),
    }
}

/// The message of a client plan.
pub(super) fn client_plan(plan: &ClientPlan, writer: &mut Writer) -> proto::ClientPlan {
    proto::ClientPlan {
        name: plan.name.clone(),
        key_spaces: vec![key_space(&plan.params)],
        inputs: plan.inputs.iter().map(|p| port(p, writer)).collect(),
        outputs: plan.outputs.iter().map(|p| port(p, writer)).collect(),
        keys: keys(&plan.keys),
        tail: plan.tail.as_ref().map(|t| module_wire::encode(t, writer)),
    }
}

/// BLAKE3 over a message and the arrays that belong to it, in hexadecimal.
fn hash(message: &impl prost::Message, writer: &Writer) -> String {
    let header = message.encode_to_vec();
    let mut hasher = blake3::Hasher::new_derive_key("cipherloom 2026 plan part v1");
    for part in std::iter::once(&header[..]).chain(writer.sections()) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex().to_string()
}

/// The hash by which a text names a transform.
pub(super) fn hash_transform(t: &Transform) -> String {
    let mut writer = Writer::default();
    let message = transform(t, &mut writer);
    hash(&message, &writer)
}

/// The hash by which a text names the weights of sums.
pub(super) fn hash_weights(w: &Weights) -> String {
    let mut writer = Writer::default();
    let message = weights(w, &mut writer);
    hash(&message, &writer)
}

/// The hash by which a text names the clear network.
pub(crate) fn hash_module(module: &crate::tensor::Module) -> String {
    let mut writer = Writer::default();
    let message = module_wire::encode(module, &mut writer);
    hash(&message, &writer)
}
