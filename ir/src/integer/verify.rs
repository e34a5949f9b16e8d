//! The verifier of the integer stage: also the gate for plans read from a file.
//!
//! What it promises to a runtime: the parameters are published ones; every index exists; every register is written once,
//! before it is read, and not read after it was freed; matrices and tables fit their operands; every value's range fits
//! its encoding and every lookup's index its table; variances and failure probabilities are those of the rules, and
//! below the plan's budget.

use super::{
    IntegerClientPlan, IntegerPlan, IntegerPort, Matrix, Quantisation, Step, StepFacts, StepOp,
    Table, TfheSet, analyse, noise,
};
use crate::plan::{Fault, Register, tail_faults};
use crate::value::{Range, element_count};
use std::collections::{BTreeMap, BTreeSet};

/// Weights and biases are below this in size, so that files may hold them as floating point.
pub(super) const MAX_WEIGHT: u64 = 1 << 53;
/// The most elements of a register: 64 GiB of ciphertexts.
const MAX_LENGTH: usize = 1 << 22;
/// The most outputs of one bootstrap.
const MAX_READS: usize = 1 << 10;
/// The stated figures may be off by this share: they are computed alike everywhere, but printed and read in between.
const TOLERANCE: f64 = 1e-9;

/// All faults of a plan.
pub fn verify(plan: &IntegerPlan) -> Vec<Fault> {
    let mut faults = structure(plan);
    // Figures mean nothing where indices are wrong.
    if faults.is_empty() {
        let (steps, outputs, found) = analyse(plan);
        faults.extend(found);
        if faults.is_empty() {
            faults.extend(figures(plan, &steps, &outputs));
        }
    }
    faults.extend(networks(plan));
    faults
}

/// All faults of a client plan.
pub fn verify_client(plan: &IntegerClientPlan) -> Vec<Fault> {
    let mut check = Checker::default();
    check.set(&plan.params, plan.log2_failure);
    for (what, ports) in [("input", &plan.inputs), ("output", &plan.outputs)] {
        check.ports(what, ports);
    }
    for port in &plan.outputs {
        let place = format!("output {:?}", port.name);
        let distance = (0.5 + f64::from(port.slack)) * libm::exp2(f64::from(port.log_delta) - 64.0);
        let failure = noise::log2_failure(distance, port.variance);
        check.figure(&place, "failure probability", port.log2_failure, failure);
    }
    if let Some(tail) = &plan.tail {
        let shapes = plan
            .outputs
            .iter()
            .map(|p| (p.name.as_str(), p.shape.as_slice()));
        check.all("tail", tail_faults(tail, &shapes.collect::<Vec<_>>()));
    }
    check.faults
}

/// Faults of indices, lengths and registers.
pub(super) fn structure(plan: &IntegerPlan) -> Vec<Fault> {
    let mut check = Checker::default();
    check.set(&plan.params, plan.log2_failure);
    if !(plan.margin.is_finite() && plan.margin >= 1.0) {
        check.fault(
            "plan",
            format!("the margin {} is not a number from 1 upwards", plan.margin),
        );
    }
    for (i, m) in plan.matrices.iter().enumerate() {
        check.all(&format!("matrix m{i} {:?}", m.name), matrix(m));
    }
    for (i, t) in plan.tables.iter().enumerate() {
        check.all(&format!("table t{i} {:?}", t.name), table(t, &plan.params));
    }
    check.ports("input", &plan.inputs);
    for port in &plan.inputs {
        let written = check.write(port.register, port.elements(), port.log_delta);
        check.all(&format!("input {:?}", port.name), written);
    }
    if check.faults.is_empty() {
        for (number, step) in plan.steps.iter().enumerate() {
            let place = format!("step {number} ({})", step.origin);
            let faults = check.step(plan, step);
            check.all(&place, faults);
        }
    }
    check.ports("output", &plan.outputs);
    for port in &plan.outputs {
        let place = format!("output {:?}", port.name);
        match check.live.get(&port.register) {
            Some(known) if *known == (port.elements(), port.log_delta) => {}
            Some((length, delta)) => check.fault(
                &place,
                format!(
                    "{} holds {length} elements at delta 2^{delta}",
                    port.register
                ),
            ),
            None => check.fault(&place, format!("{} holds nothing", port.register)),
        }
    }
    check.faults
}

/// Faults of what is stated beside the steps.
fn figures(plan: &IntegerPlan, steps: &[StepFacts], outputs: &[StepFacts]) -> Vec<Fault> {
    let mut check = Checker::default();
    for (number, (step, facts)) in plan.steps.iter().zip(steps).enumerate() {
        let place = format!("step {number} ({})", step.origin);
        check.range(&place, (step.lo, step.hi), (facts.lo, facts.hi));
        check.figure(&place, "variance", step.variance, facts.variance);
        check.figure(
            &place,
            "failure probability",
            step.log2_failure,
            facts.log2_failure,
        );
    }
    for (port, facts) in plan.outputs.iter().zip(outputs) {
        let (place, q) = (format!("output {:?}", port.name), &port.quantisation);
        check.range(&place, (q.lo, q.hi), (facts.lo, facts.hi));
        check.figure(&place, "variance", port.variance, facts.variance);
        check.figure(
            &place,
            "failure probability",
            port.log2_failure,
            facts.log2_failure,
        );
    }
    for port in &plan.inputs {
        let place = format!("input {:?}", port.name);
        check.figure(
            &place,
            "variance",
            port.variance,
            noise::fresh(&plan.params),
        );
    }
    check.faults
}

/// Faults of the clear network and the tail.
fn networks(plan: &IntegerPlan) -> Vec<Fault> {
    let mut check = Checker::default();
    let clear = crate::tensor::verify(&plan.clear);
    check.all(
        "clear network",
        clear.iter().map(ToString::to_string).collect(),
    );
    for input in &plan.inputs {
        if !plan.clear.inputs.iter().any(|i| i.name == input.name) {
            check.fault("clear network", format!("it has no input {:?}", input.name));
        }
    }
    if let Some(tail) = &plan.tail {
        let shapes = plan
            .outputs
            .iter()
            .map(|p| (p.name.as_str(), p.shape.as_slice()));
        check.all("tail", tail_faults(tail, &shapes.collect::<Vec<_>>()));
    }
    check.faults
}

fn matrix(m: &Matrix) -> Vec<String> {
    let mut faults = Vec::new();
    let entries = m.indices.len();
    let fits = m.starts.len() == m.rows() + 1
        && m.starts.first() == Some(&0)
        && m.starts.is_sorted()
        && m.starts.last().map(|e| *e as usize) == Some(entries)
        && m.weights.len() == entries;
    if !fits || m.rows() == 0 || m.rows() > MAX_LENGTH {
        faults.push("its arrays do not fit each other".into());
        return faults;
    }
    let ascending = (0..m.rows()).all(|row| m.row(row).map(|(c, _)| c).is_sorted_by(|a, b| a < b));
    if !ascending || m.indices.iter().any(|c| *c >= m.columns) {
        faults.push("a row's columns do not ascend, or lie outside the matrix".into());
    }
    if m.weights
        .iter()
        .chain(&m.bias)
        .any(|w| w.unsigned_abs() > MAX_WEIGHT)
    {
        faults.push("a weight is above 2^53".into());
    }
    faults
}

fn table(t: &Table, set: &TfheSet) -> Vec<String> {
    let mut faults = Vec::new();
    if !t.entries.len().is_power_of_two() || !(1..=set.max_table_bits()).contains(&t.bits()) {
        faults.push(format!(
            "{} entries are no power of two from 2 to {}",
            t.entries.len(),
            1_usize << set.max_table_bits()
        ));
    }
    if t.entries.iter().any(|e| e.unsigned_abs() > MAX_WEIGHT) {
        faults.push("an entry is above 2^53".into());
    }
    faults
}

#[derive(Default)]
struct Checker {
    faults: Vec<Fault>,
    /// Length and delta exponent of what may be read.
    live: BTreeMap<Register, (usize, u32)>,
    written: BTreeSet<Register>,
}

impl Checker {
    fn fault(&mut self, place: &str, message: impl Into<String>) {
        self.faults.push(Fault {
            place: place.to_owned(),
            message: message.into(),
        });
    }

    fn all(&mut self, place: &str, messages: Vec<String>) {
        for message in messages {
            self.fault(place, message);
        }
    }

    fn set(&mut self, set: &TfheSet, budget: f64) {
        if let Err(error) = set.check() {
            self.fault("parameters", error.to_string());
        }
        if !(budget.is_finite() && budget < 0.0) {
            self.fault(
                "plan",
                format!("2^{budget} is no failure probability below 1"),
            );
        }
    }

    fn range(&mut self, place: &str, stated: (i64, i64), found: (i64, i64)) {
        if stated != found {
            let message = format!(
                "the range is {} .. {}, not {} .. {}",
                found.0, found.1, stated.0, stated.1
            );
            self.fault(place, message);
        }
    }

    fn figure(&mut self, place: &str, what: &str, stated: f64, found: f64) {
        let same = stated == found || (stated - found).abs() <= TOLERANCE * found.abs();
        if !same {
            self.fault(place, format!("the {what} is {found}, not {stated}"));
        }
    }

    fn ports(&mut self, what: &str, ports: &[IntegerPort]) {
        if ports.is_empty() {
            self.fault("plan", format!("it has no {what}"));
        }
        let mut names = BTreeSet::new();
        for p in ports {
            let place = format!("{what} {:?}", p.name);
            self.all(&place, port(p, what == "input"));
            if !names.insert(&p.name) {
                self.fault(&place, "the name occurs twice");
            }
        }
    }

    fn write(&mut self, register: Register, length: usize, log_delta: u32) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.written.insert(register) {
            faults.push(format!("{register} is written twice"));
        }
        self.live.insert(register, (length, log_delta));
        faults
    }

    fn read(&self, register: Register) -> Result<(usize, u32), String> {
        let found = self.live.get(&register).copied();
        found.ok_or_else(|| format!("{register} is read while it holds nothing"))
    }

    fn step(&mut self, plan: &IntegerPlan, step: &Step) -> Vec<String> {
        let mut faults = match self.operation(plan, step) {
            Ok(length) if length == step.length as usize => Vec::new(),
            Ok(length) => vec![format!("it yields {length} elements, not {}", step.length)],
            Err(message) => vec![message],
        };
        if step.log_delta > 63 {
            faults.push(format!("there is no delta 2^{}", step.log_delta));
        }
        faults.extend(self.write(step.dst, step.length as usize, step.log_delta));
        for register in &step.free {
            if self.live.remove(register).is_none() {
                faults.push(format!("{register} is freed while it holds nothing"));
            }
        }
        faults
    }

    /// The number of elements that a step yields.
    fn operation(&self, plan: &IntegerPlan, step: &Step) -> Result<usize, String> {
        match &step.op {
            StepOp::Linear { src, matrix } => {
                let found = plan.matrices.get(*matrix as usize);
                let matrix = found.ok_or_else(|| format!("there is no matrix m{matrix}"))?;
                let mut columns = 0;
                for register in src {
                    let (length, log_delta) = self.read(*register)?;
                    columns += length;
                    if log_delta < step.log_delta {
                        return Err(format!(
                            "{register} has delta 2^{log_delta}, below the result's"
                        ));
                    }
                }
                if columns != matrix.columns as usize {
                    return Err(format!("{columns} elements for {} columns", matrix.columns));
                }
                Ok(matrix.rows())
            }
            StepOp::Lookup {
                src,
                tables,
                reads,
                slack,
                ..
            } => {
                let (length, _) = self.read(*src)?;
                if tables.len() != 1 && tables.len() != length {
                    return Err(format!("{} tables for {length} elements", tables.len()));
                }
                let size = |t: &u32| plan.tables.get(*t as usize).map(|t| t.entries.len());
                let sizes: BTreeSet<Option<usize>> = tables.iter().map(size).collect();
                let (1, Some(Some(size))) = (sizes.len(), sizes.first()) else {
                    return Err(
                        "a table does not exist, or has another length than the rest".into(),
                    );
                };
                let reads_fit = reads.iter().all(|r| (*r as usize) < *size);
                if reads.is_empty() || reads.len() > MAX_READS || !reads_fit {
                    return Err("the reads do not lie within the table".into());
                }
                if *slack as usize >= *size {
                    return Err(format!("a slack of {slack} in a table of {size} entries"));
                }
                let total = length.checked_mul(reads.len()).filter(|l| *l <= MAX_LENGTH);
                total.ok_or_else(|| "it yields too many elements".into())
            }
        }
    }
}

fn port(port: &IntegerPort, input: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let count = element_count(&port.shape).filter(|c| (1..=MAX_LENGTH).contains(c));
    let Some(count) = count else {
        return vec![format!(
            "the shape {:?} has no element, or too many",
            port.shape
        )];
    };
    if Range::new(port.range.lo, port.range.hi).is_none() {
        faults.push("the range is not an interval of finite numbers".into());
    }
    if port.batched && port.shape.first() != Some(&1) {
        faults.push("a run takes one sample".into());
    }
    if port.log_delta > 63 {
        faults.push(format!("there is no delta 2^{}", port.log_delta));
        return faults;
    }
    if !(port.variance.is_finite() && port.variance >= 0.0) || port.log2_failure.is_nan() {
        faults.push("the variance or failure probability is no number".into());
    }
    if input && port.slack != 0 {
        faults.push("an input has no slack".into());
    }
    faults.extend(quantisation(&port.quantisation, count, port.log_delta));
    faults
}

fn quantisation(q: &Quantisation, count: usize, log_delta: u32) -> Vec<String> {
    let mut faults = Vec::new();
    let fits = |length: usize| length == 1 || length == count;
    if !fits(q.scale.len()) || !fits(q.zero_point.len()) {
        faults.push(format!("scales or zero points do not fit {count} elements"));
    }
    if q.scale.iter().any(|s| !(s.is_normal() && *s > 0.0)) {
        faults.push("a scale is no positive number".into());
    }
    if q.zero_point.iter().any(|z| z.unsigned_abs() > MAX_WEIGHT) {
        faults.push("a zero point is above 2^53".into());
    }
    let half = 1_i128 << (63 - log_delta);
    if q.lo > q.hi || i128::from(q.lo) < -half || i128::from(q.hi) >= half {
        faults.push(format!(
            "{} .. {} does not fit at delta 2^{log_delta}",
            q.lo, q.hi
        ));
    }
    faults
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
