//! The verifier of the `plan` stage: also the gate for plans read from a file.
//!
//! What it promises to a runtime: every index exists, every register is written once, before it is read, and not read
//! after it was freed; levels and exact scales are those of the scheme's rules; every key that a step needs is asked
//! for; slot vectors and diagonals have lengths that divide the slots; all numbers are finite.

use super::verify_parts::{keys, port, samples, transform, vector, weights};
use super::{ClientPlan, Plan, PlanPort, Register, Step};
use crate::params::CkksLiteral;
use crate::scale::Scale;
use crate::security::log2_product;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// A fault of a plan.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{place}: {message}")]
pub struct Fault {
    /// The step, transform, port or parameter set.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// All faults of a plan, weak parameters included.
pub fn verify(plan: &Plan) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Err(error) = plan.params.check() {
        faults.push(Fault {
            place: "parameters".into(),
            message: error.to_string(),
        });
    }
    faults.extend(verify_structure(plan));
    faults
}

/// All faults of a plan but for the security of its parameters; for tests with small rings.
pub fn verify_structure(plan: &Plan) -> Vec<Fault> {
    if let Err(error) = plan.params.check_structure() {
        // Slots and levels mean nothing without sound parameters.
        return vec![Fault {
            place: "parameters".into(),
            message: error.to_string(),
        }];
    }
    let mut check = Checker::new(plan);
    if !(plan.margin.is_finite() && plan.margin >= 1.0) {
        check.fault(
            "plan",
            format!("the margin {} is not a number from 1 upwards", plan.margin),
        );
    }
    for t in &plan.transforms {
        let messages = transform(t, &plan.params);
        check.faults(&format!("transform {:?}", t.name), messages);
    }
    for w in &plan.weights {
        let messages = weights(w);
        check.faults(&format!("weights {:?}", w.matrix.name), messages);
    }
    let count = plan.samples();
    if plan.transforms.iter().any(|t| t.samples != count) {
        check.fault("plan", "a transform is for another number of samples");
    }
    for v in &plan.vectors {
        let messages = vector(&v.values, count, &plan.params);
        check.faults(&format!("vector {:?}", v.name), messages);
    }
    for a in &plan.approximations {
        check.faults(&format!("approximation of {:?}", a.origin), a.faults());
    }
    check.ports("input", &plan.inputs);
    check.inputs();
    for (number, step) in plan.steps.iter().enumerate() {
        check.step(number, step);
    }
    check.ports("output", &plan.outputs);
    check.outputs();
    check.faults("plan", samples(&plan.inputs, &plan.outputs));
    check.faults(
        "keys",
        keys(&plan.keys, &plan.required_keys(), &plan.params),
    );
    for fault in crate::tensor::verify(&plan.clear) {
        check.fault("clear network", fault.to_string());
    }
    for input in &plan.inputs {
        if !plan.clear.inputs.iter().any(|i| i.name == input.name) {
            check.fault("clear network", format!("it has no input {:?}", input.name));
        }
    }
    if let Some(tail) = &plan.tail {
        check.faults(
            "tail",
            super::tail::faults(tail, &super::tail::shapes(&plan.outputs)),
        );
    }
    check.faults
}

/// All faults of a client plan, weak parameters included.
pub fn verify_client(plan: &ClientPlan) -> Vec<Fault> {
    if let Err(error) = plan.params.check() {
        return vec![Fault {
            place: "parameters".into(),
            message: error.to_string(),
        }];
    }
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for p in plan.inputs.iter().chain(&plan.outputs) {
        let place = format!("port {:?}", p.name);
        faults.extend(port(p, &plan.params).into_iter().map(|message| Fault {
            place: place.clone(),
            message,
        }));
    }
    let found = samples(&plan.inputs, &plan.outputs).into_iter();
    faults.extend(found.map(|message| Fault {
        place: "plan".into(),
        message,
    }));
    for input in &plan.inputs {
        if !names.insert(&input.name) {
            let message = "the name occurs twice".into();
            faults.push(Fault {
                place: format!("input {:?}", input.name),
                message,
            });
        }
    }
    if let Some(tail) = &plan.tail {
        let found = super::tail::faults(tail, &super::tail::shapes(&plan.outputs)).into_iter();
        faults.extend(found.map(|message| Fault {
            place: "tail".into(),
            message,
        }));
    }
    let messages = keys(&plan.keys, &plan.keys, &plan.params);
    faults.extend(messages.into_iter().map(|message| Fault {
        place: "keys".into(),
        message,
    }));
    faults
}

/// What is known of a register.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) level: usize,
    pub(super) scale: Scale,
    freed: bool,
}

pub(super) struct Checker<'a> {
    pub(super) plan: &'a Plan,
    faults: Vec<Fault>,
    known: BTreeMap<Register, Known>,
    /// The number of values that the plan defines: registers are numbered below it.
    values: u64,
    /// log2 of q_0 .. q_level, by level.
    log_q: Vec<f64>,
}

impl<'a> Checker<'a> {
    fn new(plan: &'a Plan) -> Self {
        let written: usize = plan.steps.iter().map(|s| s.op.results().len()).sum();
        let given: usize = plan.inputs.iter().map(|p| p.registers.len()).sum();
        let params: &CkksLiteral = &plan.params;
        let log_q = (1..=params.q.len())
            .map(|n| log2_product(params.q.iter().copied().take(n)))
            .collect();
        Self {
            plan,
            faults: vec![],
            known: BTreeMap::new(),
            values: (written + given) as u64,
            log_q,
        }
    }

    pub(super) fn fault(&mut self, place: &str, message: impl Into<String>) {
        self.faults.push(Fault {
            place: place.to_owned(),
            message: message.into(),
        });
    }

    fn faults(&mut self, place: &str, messages: Vec<String>) {
        messages.into_iter().for_each(|m| self.fault(place, m));
    }

    fn ports(&mut self, kind: &str, ports: &[PlanPort]) {
        let mut names = BTreeSet::new();
        if ports.is_empty() {
            self.fault("plan", format!("there is no {kind}"));
        }
        for p in ports {
            let place = format!("{kind} {:?}", p.name);
            let messages = port(p, &self.plan.params);
            self.faults(&place, messages);
            if !names.insert(&p.name) {
                self.fault(&place, "the name occurs twice");
            }
            if p.clear && kind == "output" {
                self.fault(&place, "an output is not in clear");
            }
            // The range of an input includes the margin already; an output's does not.
            let margin = if kind == "input" {
                1.0
            } else {
                self.plan.margin
            };
            self.fits(&place, p.range.max_abs() * margin, &p.scale, p.level);
        }
    }

    /// Values of this size at this scale must lie within half the modulus on either side of zero.
    fn fits(&mut self, place: &str, largest: f64, scale: &Scale, level: usize) {
        let Some(log_q) = self.log_q.get(level).copied() else {
            return;
        };
        let bits = libm::log2(largest) + scale.log2();
        if bits >= log_q - 1.0 {
            let message = format!(
                "values up to {largest:e} at scale 2^{:.2} exceed a modulus of {log_q:.2} bits",
                scale.log2()
            );
            self.fault(place, message);
        }
    }

    fn define(&mut self, place: &str, register: Register, level: usize, scale: &Scale) {
        if u64::from(register.0) >= self.values {
            self.fault(
                place,
                format!(
                    "{register} is numbered beyond the plan's {} values",
                    self.values
                ),
            );
        }
        if self
            .known
            .insert(
                register,
                Known {
                    level,
                    scale: scale.clone(),
                    freed: false,
                },
            )
            .is_some()
        {
            self.fault(place, format!("{register} is written twice"));
        }
    }

    fn read(&mut self, place: &str, register: Register) -> Option<Known> {
        match self.known.get(&register).cloned() {
            None => {
                self.fault(place, format!("{register} is read before it is written"));
                None
            }
            Some(known) => {
                if known.freed {
                    self.fault(place, format!("{register} is read after it was freed"));
                }
                Some(known)
            }
        }
    }

    fn inputs(&mut self) {
        let plan = self.plan;
        for p in &plan.inputs {
            for register in &p.registers {
                self.define(&format!("input {:?}", p.name), *register, p.level, &p.scale);
            }
        }
    }

    fn outputs(&mut self) {
        let plan = self.plan;
        for p in &plan.outputs {
            let place = format!("output {:?}", p.name);
            for register in &p.registers {
                let Some(known) = self.read(&place, *register) else {
                    continue;
                };
                if known.level != p.level || known.scale != p.scale {
                    let message = format!(
                        "{register} has level {} and scale {:?}",
                        known.level, known.scale
                    );
                    self.fault(&place, message);
                }
            }
        }
    }

    fn step(&mut self, number: usize, step: &Step) {
        let place = format!("step {number} ({})", step.origin);
        if !(step.noise.is_finite() && step.noise >= 0.0) {
            self.fault(&place, "the predicted noise is negative or not finite");
        }
        if step
            .approximation
            .is_some_and(|e| !(e.is_finite() && e >= 0.0))
        {
            self.fault(
                &place,
                "the error of approximations is negative or not finite",
            );
        }
        if crate::value::Range::new(step.range.lo, step.range.hi).is_none() {
            self.fault(&place, "the range is empty or not finite");
        }
        let found: Vec<Known> = step
            .op
            .operands()
            .into_iter()
            .filter_map(|r| self.read(&place, r))
            .collect();
        if step.op.operands().is_empty() {
            self.fault(&place, "the step has no operand");
        }
        if let Some(first) = found
            .first()
            .filter(|_| found.len() == step.op.operands().len())
        {
            let differs = |k: &Known| {
                k.level != first.level || k.scale != first.scale && !step.op.multiplies()
            };
            if !step.op.combines() && found.iter().any(differs) {
                self.fault(&place, "the operands differ in level or scale");
            }
            if let Some((level, scale)) = self.result(&place, step, &found) {
                if level != step.level {
                    self.fault(
                        &place,
                        format!("the result's level is {level}, not {}", step.level),
                    );
                }
                if scale != step.scale {
                    self.fault(
                        &place,
                        format!("the result's scale is {scale:?}, not {:?}", step.scale),
                    );
                }
            }
        }
        if step.level > self.plan.params.max_level() {
            self.fault(&place, format!("level {} is above the chain", step.level));
        }
        self.fits(
            &place,
            step.range.max_abs() * self.plan.margin,
            &step.scale,
            step.level,
        );
        for register in step.op.results() {
            // What the step states counts from here on, so that one fault is reported once.
            self.define(&place, register, step.level, &step.scale);
        }
        for register in &step.free {
            match self.known.get_mut(register) {
                Some(known) if !known.freed => known.freed = true,
                Some(_) => self.fault(&place, format!("{register} is freed twice")),
                None => self.fault(&place, format!("{register} is freed before it is written")),
            }
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
