//! The text form of the `plan` stage.
//!
//! The columns show each step's number, level, log2 of the scale, log2 of the error's standard deviation and range
//! for people; the lines `exact` and the table of scales read back exactly. Transforms, long vectors and the clear
//! network are named by their hash.

use super::encode::{hash_module, hash_transform, hash_weights};
use super::{KeyRequest, Plan, PlanPort, Register, Step, StepOp, read};
use crate::circuit::text::{spell_layout, spell_samples};
use crate::tensor::text::{spell_numbers, spell_tensor};
use crate::text::{self, ParseError, Scales};
use crate::value::Tensor;
use std::fmt::Write;

/// From so many registers on, a list is spelled as runs.
const MANY: usize = 32;

/// The text of a plan.
pub fn print(plan: &Plan) -> String {
    let mut scales = Scales::default();
    let mut out = format!(
        "module {} · from {} · stage plan\n",
        text::quote(&plan.name),
        text::quote(&plan.source)
    );
    out.push_str(&text::print_params(&plan.params));
    let e = &plan.estimates;
    let _ = writeln!(out, "margin {}", text::number(plan.margin));
    let _ = writeln!(
        out,
        "estimate ntts {} · limb_macs {} · latency_s {} · eval_key_bytes {} · run_bytes {}",
        e.ntts,
        e.limb_macs,
        text::number(e.latency_s),
        e.eval_key_bytes,
        e.run_bytes
    );
    for a in &plan.approximations {
        let _ = writeln!(
            out,
            "approximation {} {} degree {} on {} sup {} rms {}{}",
            text::quote(&a.origin),
            text::quote(&a.function),
            a.degree,
            text::range(a.domain),
            text::number(a.sup_error),
            text::number(a.rms_error),
            match a.dead_zone {
                0.0 => String::new(),
                zone => format!(" dead {}", text::number(zone)),
            }
        );
        if let Some(fit) = &a.fit {
            let stages = fit.stages.iter().map(|s| spell_numbers(s));
            let _ = writeln!(
                out,
                "fit seen {} parameters {} by {}",
                text::range(fit.seen),
                spell_numbers(&fit.parameters),
                stages.collect::<Vec<_>>().join(" then ")
            );
        }
    }
    out.push_str(&spell_keys(&plan.keys));
    let _ = writeln!(
        out,
        "  {:>4} {:>4} {:>7} {:>7} {:>7}  {:<22} | op",
        "step", "lvl", "scale", "noise", "approx", "range"
    );
    let mut exact = String::new();
    for (number, step) in plan.steps.iter().enumerate() {
        let (range, _) = text::short_range(step.range);
        let noise = 0.5 * libm::log2(step.noise);
        let left = format!(
            "  {number:>4} {:>4} {:>7.2} {noise:>7.1} {:>7}  {range:<22}",
            step.level,
            step.scale.log2(),
            text::approximation(step.approximation)
        );
        out.push_str(&text::row(
            &left,
            &spell_step(step, &mut scales),
            &text::comment(&step.origin),
        ));
        let _ = writeln!(
            exact,
            "exact {number} level {} scale {} range {} noise {}{}",
            step.level,
            scales.spell(&step.scale),
            text::range(step.range),
            text::number(step.noise),
            text::exact_approximation(step.approximation)
        );
    }
    for (word, ports) in [("input", &plan.inputs), ("output", &plan.outputs)] {
        for port in ports {
            out.push_str(&spell_port(word, port, &mut scales));
        }
    }
    for (i, t) in plan.transforms.iter().enumerate() {
        let diagonals: usize = t.blocks.iter().map(|b| b.diagonals.len()).sum();
        let _ = writeln!(
            out,
            "transform t{i} {} period {}{} · level {} · scale {} · baby {} · folds {} · blocks {} · diagonals {diagonals} · blake3 {}",
            text::quote(&t.name),
            t.period,
            spell_samples(t.samples),
            t.level,
            scales.spell(&t.plain_scale),
            t.baby_step,
            text::positions(&t.folds),
            t.blocks.len(),
            text::quote(&hash_transform(t))
        );
    }
    for (i, w) in plan.weights.iter().enumerate() {
        let _ = writeln!(
            out,
            "weights w{i} {} [{},{}] entries {} · scale {} · biases {} · blake3 {}",
            text::quote(&w.matrix.name),
            w.matrix.rows,
            w.matrix.cols,
            w.matrix.entries(),
            scales.spell(&w.plain_scale),
            w.bias.len(),
            text::quote(&hash_weights(w))
        );
    }
    for (i, v) in plan.vectors.iter().enumerate() {
        let values = spell_tensor(&Tensor::from_vec(v.values.clone()));
        let _ = writeln!(out, "vector v{i} {} {values}", text::quote(&v.name));
    }
    let _ = writeln!(
        out,
        "clear blake3 {} ; {} operations",
        text::quote(&hash_module(&plan.clear)),
        plan.clear.graph.len()
    );
    if let Some(tail) = &plan.tail {
        let _ = writeln!(
            out,
            "tail blake3 {} ; {} operations",
            text::quote(&hash_module(tail)),
            tail.graph.len()
        );
    }
    out + &scales.table() + &exact
}

fn spell_keys(keys: &KeyRequest) -> String {
    let level = |level: Option<u32>| level.map_or_else(|| "-".to_owned(), |l| l.to_string());
    let (relinearization, conjugation) = (level(keys.relinearization), level(keys.conjugation));
    let mut out = format!("keys relinearization {relinearization} · conjugation {conjugation}\n");
    for group in keys.rotations.chunk_by(|a, b| a.level == b.level) {
        let steps: Vec<u32> = group.iter().map(|r| r.steps).collect();
        if let Some(first) = group.first() {
            let _ = writeln!(
                out,
                "rotations level {} steps {}",
                first.level,
                text::positions(&steps)
            );
        }
    }
    out
}

/// Registers one by one, or many as runs.
fn list(registers: &[Register]) -> String {
    if registers.len() >= MANY {
        let numbers: Vec<u32> = registers.iter().map(|r| r.0).collect();
        return text::positions(&numbers);
    }
    registers
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn spell_port(word: &str, port: &PlanPort, scales: &mut Scales) -> String {
    format!(
        "{word} {} {} · {} · level {} · scale {} · range {} · noise {}{}{} = {} layout {}\n",
        text::quote(&port.name),
        text::shape(&port.shape),
        port.dtype.name(),
        port.level,
        scales.spell(&port.scale),
        text::range(port.range),
        text::number(port.noise),
        if port.batched { " · batched" } else { "" },
        if port.clear { " · clear" } else { "" },
        list(&port.registers),
        spell_layout(&port.layout)
    )
}

impl StepOp {
    /// The keyword of the text form.
    pub fn name(&self) -> &'static str {
        match self {
            StepOp::LinearTransform { .. } => "linear_transform",
            StepOp::Mul { .. } => "mul",
            StepOp::Square { .. } => "square",
            StepOp::Fold { .. } => "fold",
            StepOp::Add { .. } => "add",
            StepOp::Sub { .. } => "sub",
            StepOp::AddVector { .. } => "add_vector",
            StepOp::MulVector { .. } => "mul_vector",
            StepOp::MulScalar { .. } => "mul_scalar",
            StepOp::Rescale { .. } => "rescale",
            StepOp::Gain { .. } => "gain",
            StepOp::DropLevel { .. } => "drop_level",
            StepOp::Combine { .. } => "combine",
            StepOp::WeightedSums { .. } => "weighted_sums",
        }
    }
}

fn spell_step(step: &Step, scales: &mut Scales) -> String {
    let op = &step.op;
    let mut operands = op.operands();
    if let StepOp::Combine { products, .. } = op {
        operands.truncate(2 * products.len());
    }
    let operands = list(&operands);
    let mut out = format!("{} = {} {operands}", list(&op.results()), op.name());
    if operands.is_empty() {
        out.pop();
    }
    let mut push = |part: String| {
        out.push(' ');
        out.push_str(&part);
    };
    match op {
        StepOp::LinearTransform {
            transform, bias, ..
        } => {
            push(format!("by t{transform}"));
            if !bias.is_empty() {
                push(format!(
                    "bias {}",
                    bias.iter()
                        .map(|v| format!("v{v}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
            }
        }
        StepOp::WeightedSums {
            weights, squares, ..
        } => {
            push(format!("by w{weights}"));
            if *squares {
                push("squares".into());
            }
        }
        StepOp::AddVector { vector, .. } => push(format!("by v{vector}")),
        StepOp::MulVector {
            vector,
            plain_scale,
            ..
        } => {
            push(format!("by v{vector} scale {}", scales.spell(plain_scale)));
        }
        StepOp::MulScalar {
            value, plain_scale, ..
        } => {
            push(format!(
                "value {} scale {}",
                text::number(*value),
                scales.spell(plain_scale)
            ));
        }
        StepOp::Gain { factor, .. } => push(format!("value {}", text::number(*factor))),
        StepOp::DropLevel { level, .. } => push(format!("level {level}")),
        StepOp::Fold { rotations, .. } => {
            let rotations: Vec<usize> = rotations.iter().map(|r| *r as usize).collect();
            push(format!("rotations {}", text::shape(&rotations)));
        }
        StepOp::Combine {
            gain,
            terms,
            constant,
            ..
        } => {
            push(format!("gain {gain}"));
            for (operand, value, plain_scale) in terms {
                let scale = scales.spell(plain_scale);
                push(text::term(&operand.to_string(), *value, &scale));
            }
            push(format!("constant {}", text::number(*constant)));
        }
        _ => {}
    }
    let rescaled = match op {
        StepOp::LinearTransform { rescale, .. }
        | StepOp::WeightedSums { rescale, .. }
        | StepOp::Mul { rescale, .. }
        | StepOp::Square { rescale, .. }
        | StepOp::MulVector { rescale, .. }
        | StepOp::MulScalar { rescale, .. }
        | StepOp::Combine { rescale, .. } => *rescale,
        _ => false,
    };
    if rescaled {
        push("rescaled".into());
    }
    if !step.free.is_empty() {
        push(format!("free {}", list(&step.free)));
    }
    out
}

/// Reads the text of a plan; constants and the clear network, which the text names by hash, come from `donor`.
///
/// # Errors
/// The first fault, with line and column. What reads well may still be faulty: see [`super::verify`].
pub fn parse(text: &str, donor: &Plan) -> Result<Plan, ParseError> {
    let lines = text::lines(text)?;
    let Some((head, rest)) = lines.split_first() else {
        return Err(ParseError {
            line: 1,
            column: 1,
            message: "the text is empty".into(),
        });
    };
    let (name, source) = crate::tensor::read::read_head(head, "plan")?;
    read::read_lines(head, rest, name, source, donor)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
