//! The text form of the integer stage.
//!
//! The columns show each step's number, length, delta exponent, log2 of the error's standard deviation and of the failure
//! probability, and range, for people; the lines `exact` read back exactly. Matrices, long tables and the clear
//! network are named by their hash.

use super::encode::hash_matrix;
use super::{IntegerPlan, IntegerPort, Step, StepOp, read};
use crate::plan::Register;
use crate::plan::encode::hash_module;
use crate::tensor::text::spell_tensor;
use crate::text::{self, ParseError};
use crate::value::Tensor;
use std::fmt::Write;

/// The text of a plan.
pub fn print(plan: &IntegerPlan) -> String {
    let mut out = format!(
        "module {} · from {} · stage integer\n",
        text::quote(&plan.name),
        text::quote(&plan.source)
    );
    let (p, e) = (&plan.params, &plan.estimates);
    let _ = writeln!(
        out,
        "params tfhe {} ; n {}, k {}, N 2^{}, {} bits",
        text::quote(p.name),
        p.lwe_dimension,
        p.glwe_dimension,
        p.log_polynomial_size,
        p.bits
    );
    let _ = writeln!(
        out,
        "failure {} ; log2, of each lookup; of a run {:.1}",
        text::number(plan.log2_failure),
        plan.log2_failure_of_run()
    );
    let _ = writeln!(out, "margin {}", text::number(plan.margin));
    let _ = writeln!(
        out,
        "estimate bootstraps {} · macs {} · latency_s {} · eval_key_bytes {} · run_bytes {}",
        e.bootstraps,
        e.macs,
        text::number(e.latency_s),
        e.eval_key_bytes,
        e.run_bytes
    );
    let _ = writeln!(
        out,
        "  {:>4} {:>7} {:>5} {:>7} {:>8}  {:<22} | op",
        "step", "length", "delta", "noise", "failure", "range"
    );
    let mut exact = String::new();
    for (number, step) in plan.steps.iter().enumerate() {
        out.push_str(&spell_row(number, step));
        let _ = writeln!(
            exact,
            "exact {number} length {} delta {} range {} {} variance {} failure {}",
            step.length,
            step.log_delta,
            step.lo,
            step.hi,
            text::number(step.variance),
            text::number(step.log2_failure)
        );
    }
    for (word, ports) in [("input", &plan.inputs), ("output", &plan.outputs)] {
        for port in ports {
            out.push_str(&spell_port(word, port));
        }
    }
    for (i, m) in plan.matrices.iter().enumerate() {
        let _ = writeln!(
            out,
            "matrix m{i} {} rows {} · columns {} · entries {} · blake3 {}",
            text::quote(&m.name),
            m.rows(),
            m.columns,
            m.indices.len(),
            text::quote(&hash_matrix(m))
        );
    }
    for (i, t) in plan.tables.iter().enumerate() {
        let _ = writeln!(
            out,
            "table t{i} {} {}",
            text::quote(&t.name),
            integers(&t.entries)
        );
    }
    for (word, module) in [("clear", Some(&plan.clear)), ("tail", plan.tail.as_ref())] {
        if let Some(module) = module {
            let _ = writeln!(
                out,
                "{word} blake3 {} ; {} operations",
                text::quote(&hash_module(module)),
                module.graph.len()
            );
        }
    }
    out + &exact
}

fn integers(list: &[i64]) -> String {
    spell_tensor(&Tensor::from_vec(list.iter().map(|v| *v as f64).collect()))
}

fn list(registers: &[Register]) -> String {
    let words: Vec<String> = registers.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn spell_row(number: usize, step: &Step) -> String {
    let failure = if step.log2_failure.is_finite() {
        format!("{:.1}", step.log2_failure)
    } else {
        "-".to_owned()
    };
    let left = format!(
        "  {number:>4} {:>7} {:>5} {:>7.1} {failure:>8}  {:<22}",
        step.length,
        step.log_delta,
        0.5 * libm::log2(step.variance),
        format!("[{}, {}]", step.lo, step.hi)
    );
    text::row(&left, &spell_step(step), &text::comment(&step.origin))
}

fn spell_step(step: &Step) -> String {
    let operands = list(step.op.operands());
    let mut out = match &step.op {
        StepOp::Linear { matrix, .. } => format!("{} = linear {operands} by m{matrix}", step.dst),
        StepOp::Lookup {
            tables,
            reads,
            slack,
            negacyclic,
            ..
        } => {
            let mut out = format!(
                "{} = lookup {operands} tables {}",
                step.dst,
                text::positions(tables)
            );
            if *reads != [0] {
                let _ = write!(out, " reads {}", text::positions(reads));
            }
            if *slack != 0 {
                let _ = write!(out, " slack {slack}");
            }
            if *negacyclic {
                out.push_str(" negacyclic");
            }
            out
        }
    };
    if !step.free.is_empty() {
        let _ = write!(out, " free {}", list(&step.free));
    }
    out
}

fn spell_port(word: &str, port: &IntegerPort) -> String {
    let q = &port.quantisation;
    format!(
        "{word} {} {} · {} · delta {} · integers {} {} · slack {} · range {} · variance {} · failure {}{} = {}\n\
         scale {}\nzero_point {}\n",
        text::quote(&port.name),
        text::shape(&port.shape),
        port.dtype.name(),
        port.log_delta,
        q.lo,
        q.hi,
        port.slack,
        text::range(port.range),
        text::number(port.variance),
        text::number(port.log2_failure),
        if port.batched { " · batched" } else { "" },
        port.register,
        spell_tensor(&Tensor::from_vec(q.scale.clone())),
        integers(&q.zero_point)
    )
}

/// Reads the text of a plan; constants and networks, which the text names by hash, come from `donor`.
///
/// # Errors
/// The first fault, with line and column. What reads well may still be faulty: see [`super::verify`].
pub fn parse(text: &str, donor: &IntegerPlan) -> Result<IntegerPlan, ParseError> {
    let lines = text::lines(text)?;
    let Some((head, rest)) = lines.split_first() else {
        return Err(ParseError {
            line: 1,
            column: 1,
            message: "the text is empty".into(),
        });
    };
    let (name, source) = crate::tensor::read::read_head(head, "integer")?;
    read::read_lines(head, rest, name, source, donor)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
