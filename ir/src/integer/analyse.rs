//! What follows from a plan's steps: ranges, variances and failure probabilities, exact for every element.

use super::forms::{Elements, Form, Phases, Source, compose, gcd};
use super::{IntegerPlan, IntegerPort, Step, StepOp, Table, noise};
use crate::plan::{Fault, Register};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Forms of more terms are not searched for maxima.
const MAX_SPLIT_TERMS: usize = 64;
/// So many intervals are looked at for one element.
const MAX_SPLITS: u32 = 64;
/// Tables of more straight pieces are not looked into.
const MAX_PIECES: usize = 4;

/// Why a plan cannot be completed.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("the circuit is faulty: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct AnalyseError(pub Vec<Fault>);

/// What is known of a step's or port's vector.
#[derive(Clone, Debug, PartialEq)]
pub struct StepFacts {
    /// The smallest integer of any element.
    pub lo: i64,
    /// The largest integer of any element.
    pub hi: i64,
    /// The largest variance of any element's error, on the torus.
    pub variance: f64,
    /// log2 of the largest failure probability of any element's lookup or decryption; minus infinity without one.
    pub log2_failure: f64,
}

/// The facts of all steps and outputs, in order, and all faults of ranges and failure probabilities.
///
/// The plan's structure has to be sound (lengths, indices, registers: [`super::verify`] checks it first); what a step states
/// of ranges, variances and failures is not read.
pub fn analyse(plan: &IntegerPlan) -> (Vec<StepFacts>, Vec<StepFacts>, Vec<Fault>) {
    let mut analysis = Analysis::new(plan);
    for port in &plan.inputs {
        analysis.input(port);
    }
    let steps = (0..plan.steps.len()).map(|i| analysis.step(i)).collect();
    let outputs = plan
        .outputs
        .iter()
        .map(|port| analysis.output(port))
        .collect();
    (steps, outputs, analysis.faults)
}

/// Fills in what follows from the steps: ranges, variances, failure probabilities, which registers die where, the
/// ports' ranges and variances, and the estimates. Lengths, operations and delta exponents are the caller's.
///
/// # Errors
/// All faults of [`super::verify`] other than wrong figures.
pub fn complete(plan: &mut IntegerPlan) -> Result<(), AnalyseError> {
    let faults = super::verify::structure(plan);
    if !faults.is_empty() {
        return Err(AnalyseError(faults));
    }
    let (steps, outputs, faults) = analyse(plan);
    if !faults.is_empty() {
        return Err(AnalyseError(faults));
    }
    let dying = deaths(plan);
    for (i, (step, facts)) in plan.steps.iter_mut().zip(steps).enumerate() {
        (step.lo, step.hi) = (facts.lo, facts.hi);
        (step.variance, step.log2_failure) = (facts.variance, facts.log2_failure);
        step.free = dying.get(&i).cloned().unwrap_or_default();
    }
    for port in &mut plan.inputs {
        port.variance = noise::fresh(&plan.params);
        port.log2_failure = f64::NEG_INFINITY;
    }
    for (port, facts) in plan.outputs.iter_mut().zip(outputs) {
        (port.quantisation.lo, port.quantisation.hi) = (facts.lo, facts.hi);
        (port.variance, port.log2_failure) = (facts.variance, facts.log2_failure);
    }
    plan.estimates = super::estimates(plan);
    Ok(())
}

/// After which step each register dies: the last one that reads it, or the one that writes it where none does.
fn deaths(plan: &IntegerPlan) -> BTreeMap<usize, Vec<Register>> {
    let kept: BTreeSet<Register> = plan.outputs.iter().map(|o| o.register).collect();
    let mut last: BTreeMap<Register, usize> = BTreeMap::new();
    for (i, step) in plan.steps.iter().enumerate() {
        last.insert(step.dst, i);
        last.extend(step.op.operands().iter().map(|r| (*r, i)));
    }
    let mut deaths: BTreeMap<usize, Vec<Register>> = BTreeMap::new();
    for (register, step) in last {
        if !kept.contains(&register) {
            deaths.entry(step).or_default().push(register);
        }
    }
    deaths
}

/// A table's entries over a range of indices.
#[derive(Clone, Copy)]
struct Entries {
    lo: i64,
    hi: i64,
    stride: i64,
    /// Whether all there is to them is a sign that changes at index 0, and the larger one comes last.
    rises: Option<bool>,
}

/// What is known of a register.
struct Known {
    elements: Elements,
    length: usize,
    log_delta: u32,
    lo: Vec<i64>,
    hi: Vec<i64>,
    stride: Vec<i64>,
    variance: Vec<f64>,
}

impl Known {
    /// The smallest and the largest phase of each element.
    fn ends(&self) -> impl Iterator<Item = (i128, i128)> + '_ {
        let phase = |m: &i64| i128::from(*m) << self.log_delta;
        self.lo.iter().map(phase).zip(self.hi.iter().map(phase))
    }
}

struct Analysis<'p> {
    plan: &'p IntegerPlan,
    sources: Vec<Source>,
    registers: BTreeMap<Register, Known>,
    faults: Vec<Fault>,
    spent: u64,
    entries: BTreeMap<(u32, i64, i64, i64), Entries>,
    /// The intervals of forms that are elements of registers.
    bounds: BTreeMap<Form, Phases>,
}

impl<'p> Analysis<'p> {
    fn new(plan: &'p IntegerPlan) -> Self {
        Self {
            plan,
            sources: Vec::new(),
            registers: BTreeMap::new(),
            faults: Vec::new(),
            spent: 0,
            entries: BTreeMap::new(),
            bounds: BTreeMap::new(),
        }
    }

    fn fault(&mut self, place: &str, message: String) {
        self.faults.push(Fault {
            place: place.to_owned(),
            message,
        });
    }

    fn input(&mut self, port: &IntegerPort) {
        let (q, length) = (&port.quantisation, port.elements());
        let base = self.sources.len() as u32;
        let source = Source {
            lo: q.lo,
            hi: q.hi,
            stride: i64::from(q.lo != q.hi),
            log_delta: port.log_delta,
            made: None,
            shared: None,
            turn: None,
        };
        self.sources.extend(std::iter::repeat_n(source, length));
        let known = Known {
            elements: Elements::Sources(base),
            length,
            log_delta: port.log_delta,
            lo: vec![q.lo; length],
            hi: vec![q.hi; length],
            stride: vec![source.stride; length],
            variance: vec![noise::fresh(&self.plan.params); length],
        };
        self.registers.insert(port.register, known);
    }

    fn step(&mut self, number: usize) -> StepFacts {
        let nothing = StepFacts {
            lo: 0,
            hi: 0,
            variance: 0.0,
            log2_failure: f64::NEG_INFINITY,
        };
        let Some(step) = self.plan.steps.get(number) else {
            return nothing;
        };
        let place = format!("step {number} ({})", step.origin);
        let made = match &step.op {
            StepOp::Linear { src, matrix } => self.linear(&place, step, src, *matrix),
            StepOp::Lookup { .. } => self.lookup(&place, number, step),
        };
        let Some((known, log2_failure)) = made else {
            return nothing;
        };
        let facts = StepFacts {
            lo: known.lo.iter().copied().min().unwrap_or(0),
            hi: known.hi.iter().copied().max().unwrap_or(0),
            variance: known.variance.iter().copied().fold(0.0, f64::max),
            log2_failure,
        };
        self.registers.insert(step.dst, known);
        facts
    }

    fn linear(
        &mut self,
        place: &str,
        step: &Step,
        src: &[Register],
        matrix: u32,
    ) -> Option<(Known, f64)> {
        let matrix = self.plan.matrices.get(matrix as usize)?;
        let operands: Option<Vec<&Known>> = src.iter().map(|r| self.registers.get(r)).collect();
        let operands = operands?;
        let parts: Vec<_> = operands.iter().map(|k| (&k.elements, k.length)).collect();
        let forms = match compose(matrix, &parts, step.log_delta, &mut self.spent) {
            Ok(forms) => forms,
            Err(message) => {
                self.fault(place, message);
                return None;
            }
        };
        let ends: Vec<(i128, i128)> = operands.iter().flat_map(|k| k.ends()).collect();
        let mut known = Known {
            elements: Elements::Sources(0),
            length: forms.len(),
            log_delta: step.log_delta,
            lo: Vec::with_capacity(forms.len()),
            hi: Vec::with_capacity(forms.len()),
            stride: Vec::with_capacity(forms.len()),
            variance: Vec::with_capacity(forms.len()),
        };
        for (row, form) in forms.iter().enumerate() {
            let phases = self.refined(form, &mut { MAX_SPLITS }).and_then(|phases| {
                let bias = i128::from(*matrix.bias.get(row)?) << step.log_delta;
                phases.within(summed(matrix.row(row), bias, &ends)?)
            });
            let values = phases.and_then(|p| in_units(p, step.log_delta));
            let (Some(phases), Some((lo, hi, stride))) = (phases, values) else {
                let message = format!(
                    "element {row} does not fit into 64 bits at delta 2^{}: its phase is {}",
                    step.log_delta,
                    phases.map_or_else(
                        || "too large".to_owned(),
                        |p| format!("{} .. {}", p.lo, p.hi)
                    )
                );
                self.fault(place, message);
                return None;
            };
            if form.terms.len() <= MAX_SPLIT_TERMS {
                self.bounds.insert(form.clone(), phases);
            }
            known.lo.push(lo);
            known.hi.push(hi);
            known.stride.push(stride);
            known
                .variance
                .push(form.variance(&self.sources, &self.plan.params));
        }
        known.elements = Elements::Forms(forms);
        Some((known, f64::NEG_INFINITY))
    }

    fn lookup(&mut self, place: &str, number: usize, step: &Step) -> Option<(Known, f64)> {
        let plan = self.plan;
        let StepOp::Lookup {
            src,
            tables,
            reads,
            slack,
            negacyclic,
        } = &step.op
        else {
            return None;
        };
        let operand = self.registers.get(src)?;
        let bits = plan.tables.get(*tables.first()? as usize)?.bits();
        let (length, shift) = (operand.length, operand.log_delta);
        let log_entry = 63_u32.checked_sub(bits)?;
        let slack = i64::from(*slack);
        let mut failure = f64::NEG_INFINITY;
        let mut ranges = Vec::with_capacity(length);
        let mut outside = None;
        for element in 0..length {
            let phases = Phases {
                lo: i128::from(*operand.lo.get(element)?) << shift,
                hi: i128::from(*operand.hi.get(element)?) << shift,
                stride: i128::from(*operand.stride.get(element)?) << shift,
            };
            let variance = noise::at_lookup(&plan.params, *operand.variance.get(element)?);
            let distance = distance(phases, log_entry, slack);
            let p = noise::log2_failure(distance as f64 * libm::exp2(-64.0), variance);
            failure = failure.max(p);
            let (lo, hi) = (index(phases.lo, log_entry), index(phases.hi, log_entry));
            let most = i64::from(reads.iter().copied().max().unwrap_or(0));
            let size = 1_i64 << bits;
            let least = if *negacyclic { -size } else { 0 };
            if lo - slack < least || hi + slack + most >= size {
                outside = Some((element, lo - slack, hi + slack + most, least, size));
            }
            ranges.push((
                lo - slack,
                hi + slack,
                index_stride(phases, log_entry, slack),
            ));
        }
        if let Some((element, lo, hi, least, size)) = outside {
            let message = format!(
                "the index of element {element} ranges over {lo} .. {hi}, outside the table's {least} .. {}",
                size - 1
            );
            self.fault(place, message);
            return None;
        }
        self.over_budget(place, failure);
        let base = self.sources.len() as u32;
        let mut known = Known {
            elements: Elements::Sources(base),
            length: length * reads.len(),
            log_delta: step.log_delta,
            lo: Vec::new(),
            hi: Vec::new(),
            stride: Vec::new(),
            variance: vec![noise::bootstrap(&plan.params); length * reads.len()],
        };
        for (r, read) in reads.iter().enumerate() {
            let read = i64::from(*read);
            for (element, (lo, hi, every)) in ranges.iter().enumerate() {
                let table = *tables.get(element).or(tables.first())?;
                let found = self.entries(table, lo + read, hi + read, *every)?;
                let values = Phases {
                    lo: i128::from(found.lo) << step.log_delta,
                    hi: i128::from(found.hi) << step.log_delta,
                    stride: 0,
                };
                if in_units(values, step.log_delta).is_none() {
                    let message =
                        format!("table t{table} does not fit at delta 2^{}", step.log_delta);
                    self.fault(place, message);
                    return None;
                }
                known.lo.push(found.lo);
                known.hi.push(found.hi);
                known.stride.push(found.stride);
                self.sources.push(Source {
                    turn: found.rises.map(|rises| (-read, rises)),
                    lo: found.lo,
                    hi: found.hi,
                    stride: found.stride,
                    log_delta: step.log_delta,
                    made: Some((number as u32, (r * length + element) as u32)),
                    shared: (reads.len() > 1).then_some(base.saturating_add(element as u32)),
                });
            }
        }
        Some((known, failure))
    }

    fn entries(&mut self, table: u32, lo: i64, hi: i64, every: i64) -> Option<Entries> {
        let key = (table, lo, hi, every);
        if let Some(found) = self.entries.get(&key) {
            return Some(*found);
        }
        let values = self.plan.tables.get(table as usize)?;
        let mut found = Entries {
            lo: i64::MAX,
            hi: i64::MIN,
            stride: 0,
            rises: None,
        };
        let first = values.at(lo);
        // The sign alone, as long as all entries are what they are to their side of index 0.
        let mut is_sign = lo < 0 && hi >= 0 && first != 0;
        let mut i = lo;
        while i <= hi {
            let value = values.at(i);
            let below = if i < 0 {
                Some(value)
            } else {
                value.checked_neg()
            };
            is_sign &= below == Some(first);
            found.lo = found.lo.min(value);
            found.hi = found.hi.max(value);
            if found.stride != 1 {
                let apart = i128::from(value) - i128::from(first);
                let stride = gcd(i128::from(found.stride), apart);
                found.stride = i64::try_from(stride).unwrap_or(1);
            }
            i += every.max(1);
        }
        found.rises = is_sign.then_some(first < 0);
        self.entries.insert(key, found);
        Some(found)
    }

    fn over_budget(&mut self, place: &str, failure: f64) {
        let budget = self.plan.log2_failure;
        if failure > budget {
            let message = format!(
                "the failure probability is 2^{failure:.1}, above 2^{budget:.1}: smaller weights, shorter tables or a larger \
                 parameter set are needed, or a looser budget"
            );
            self.fault(place, message);
        }
    }

    fn output(&mut self, port: &IntegerPort) -> StepFacts {
        let place = format!("output {:?}", port.name);
        let Some(known) = self.registers.get(&port.register) else {
            return StepFacts {
                lo: 0,
                hi: 0,
                variance: 0.0,
                log2_failure: 0.0,
            };
        };
        let variance = known.variance.iter().copied().fold(0.0, f64::max);
        let (lo, hi) = (
            known.lo.iter().copied().min(),
            known.hi.iter().copied().max(),
        );
        let units = 0.5 + f64::from(port.slack);
        let distance = units * libm::exp2(f64::from(port.log_delta) - 64.0);
        let log2_failure = noise::log2_failure(distance, variance);
        self.over_budget(&place, log2_failure);
        StepFacts {
            lo: lo.unwrap_or(0),
            hi: hi.unwrap_or(0),
            variance,
            log2_failure,
        }
    }

    /// The interval of a form. Where a bootstrap's operand shares sources with the form, as in `b + relu(a - b)`, each
    /// straight piece of the table is put in for it, and what cancels does: that is `max(a, b)`, between the smallest
    /// and the largest of both. What all pieces are multiples of, the form is: `a + b + |a - b|` is `2 a` or `2 b`.
    fn refined(&self, form: &Form, left: &mut u32) -> Option<Phases> {
        let plain = form.phases(&self.sources)?;
        if form.terms.len() > MAX_SPLIT_TERMS || plain.stride == 0 {
            return Some(plain);
        }
        if let Some(known) = self.bounds.get(form) {
            return Some(*known);
        }
        let split = form.terms.iter().rev().find_map(|(id, weight)| {
            let (operand, pieces) = self.pieces(*id)?;
            let shared = operand.terms.iter().any(|(o, _)| form.weight(*o).is_some());
            shared.then_some((*id, *weight, operand, pieces))
        });
        let Some((id, weight, operand, pieces)) = split else {
            return Some(plain);
        };
        if (*left as usize) < pieces.len() {
            return Some(plain);
        }
        *left -= pieces.len() as u32;
        let mut rest = form.clone();
        rest.terms.retain(|(term, _)| *term != id);
        let mut all: Option<Phases> = None;
        for piece in pieces {
            let factor = piece.factor.checked_mul(i128::from(weight))?;
            let Some(part) = operand.times(factor, piece.shift) else {
                return Some(plain);
            };
            let mut sum = rest.plus(&part, 1)?;
            let offset = piece.offset.checked_mul(i128::from(weight))?;
            sum.constant = sum.constant.checked_add(offset)?;
            let mut found = self.refined(&sum, left)?;
            if let Some(other) = self.confined(&sum, &operand, &piece) {
                found = found.within((other.lo, other.hi))?;
            }
            // Where no value is left, the piece is never met.
            if found.lo <= found.hi {
                all = Some(match all {
                    Some(all) => all.or(found)?,
                    None => found,
                });
            }
        }
        let Some(all) = all else {
            return Some(plain);
        };
        // A single value lies on every grid.
        if all.stride != 0 && plain.stride > all.stride {
            plain.within((all.lo, all.hi))
        } else {
            all.within((plain.lo, plain.hi))
        }
    }

    /// The interval of a form where the operand of a bootstrap lies on one piece of its table: the form is taken as a
    /// multiple of the operand and a rest.
    fn confined(&self, form: &Form, operand: &Form, piece: &Piece) -> Option<Phases> {
        let (id, inner) = operand.terms.first()?;
        let factor = form.weight(*id)?.checked_div(*inner)?;
        let rest = form
            .plus(operand, factor.checked_neg()?)?
            .phases(&self.sources)?;
        let ends = [piece.lo, piece.hi].map(|end| end.checked_mul(i128::from(factor)));
        let (a, b) = (ends[0]?, ends[1]?);
        Some(Phases {
            lo: rest.lo.checked_add(a.min(b))?,
            hi: rest.hi.checked_add(a.max(b))?,
            stride: 0,
        })
    }

    /// The operand of the bootstrap that made a source and the straight pieces of its table; nothing where there are many,
    /// or where the operand's phases are not those of whole indices.
    fn pieces(&self, id: u32) -> Option<(Form, Vec<Piece>)> {
        let source = self.sources.get(id as usize)?;
        let (number, place) = source.made?;
        let step = self.plan.steps.get(number as usize)?;
        let StepOp::Lookup {
            src,
            tables,
            reads,
            slack: 0,
            ..
        } = &step.op
        else {
            return None;
        };
        let operand = self.registers.get(src)?;
        let element = place as usize % operand.length.max(1);
        let read = i64::from(*reads.get(place as usize / operand.length.max(1))?);
        let table = self
            .plan
            .tables
            .get(*tables.get(element).or(tables.first())? as usize)?;
        let log_entry = 63_u32.checked_sub(table.bits())?;
        let phase = |m: &i64| i128::from(*m) << operand.log_delta;
        let (lo, hi) = (
            phase(operand.lo.get(element)?),
            phase(operand.hi.get(element)?),
        );
        let whole = |phase: i128| phase % (1_i128 << log_entry) == 0;
        if !whole(lo) || !whole(phase(operand.stride.get(element)?)) {
            return None;
        }
        let (lo, hi) = (index(lo, log_entry), index(hi, log_entry));
        let pieces = lines(table, lo + read, hi + read)?.into_iter().map(|line| {
            // At index i + read the entry is slope * (i + read) + offset.
            let offset = i128::from(line.offset) + i128::from(line.slope) * i128::from(read);
            Piece {
                factor: i128::from(line.slope) << step.log_delta,
                shift: log_entry,
                offset: offset << step.log_delta,
                lo: i128::from(line.lo - read) << log_entry,
                hi: i128::from(line.hi - read) << log_entry,
            }
        });
        Some((operand.elements.form(element), pieces.collect()))
    }
}

/// A straight piece of a table: over phases from `lo` to `hi`, `factor / 2^shift` times the phase plus `offset`.
struct Piece {
    factor: i128,
    shift: u32,
    offset: i128,
    lo: i128,
    hi: i128,
}

/// A straight piece of a table over indices from `lo` to `hi`.
struct Straight {
    slope: i64,
    offset: i64,
    lo: i64,
    hi: i64,
}

/// The straight pieces of a table over indices; `None` for more than [`MAX_PIECES`].
fn lines(table: &Table, lo: i64, hi: i64) -> Option<Vec<Straight>> {
    let mut found: Vec<Straight> = Vec::new();
    let mut start = lo;
    while start <= hi {
        // A piece of a single index goes on as the table does behind it: the last index of a distance, too, is a piece whose sums
        // with the operand are even.
        let slope = table.at(start + 1).checked_sub(table.at(start))?;
        let offset = table.at(start).checked_sub(slope.checked_mul(start)?)?;
        let line = |i: i64| slope.checked_mul(i).and_then(|v| v.checked_add(offset));
        let mut end = start;
        while end < hi && line(end + 1) == Some(table.at(end + 1)) {
            end += 1;
        }
        found.push(Straight {
            slope,
            offset,
            lo: start,
            hi: end,
        });
        if found.len() > MAX_PIECES {
            return None;
        }
        start = end + 1;
    }
    Some(found)
}

/// The interval of a row over operands whose phases lie between the given ends.
fn summed(
    row: impl Iterator<Item = (usize, i64)>,
    bias: i128,
    ends: &[(i128, i128)],
) -> Option<(i128, i128)> {
    let (mut lo, mut hi) = (bias, bias);
    for (column, weight) in row {
        let (from, to) = ends.get(column)?;
        let weight = i128::from(weight);
        let (a, b) = (from.checked_mul(weight)?, to.checked_mul(weight)?);
        lo = lo.checked_add(a.min(b))?;
        hi = hi.checked_add(a.max(b))?;
    }
    Some((lo, hi))
}

/// Integers of a delta exponent, from phases; `None` where they are no integers or do not fit into the torus.
fn in_units(phases: Phases, log_delta: u32) -> Option<(i64, i64, i64)> {
    let (unit, half) = (1_i128 << log_delta, 1_i128 << 63);
    let whole = phases.lo % unit == 0 && phases.hi % unit == 0 && phases.stride % unit == 0;
    if !whole || phases.lo < -half || phases.hi >= half {
        return None;
    }
    let number = |phase: i128| i64::try_from(phase / unit).ok();
    Some((
        number(phases.lo)?,
        number(phases.hi)?,
        number(phases.stride).unwrap_or(1),
    ))
}

/// The index of a phase, without noise.
pub(super) fn index(phase: i128, log_entry: u32) -> i64 {
    let entry = 1_i128 << log_entry;
    (phase + entry / 2).div_euclid(entry) as i64
}

/// The grid on which phases lie beside the entries' borders.
fn grid(phases: Phases, log_entry: u32) -> i128 {
    gcd(phases.stride, 1_i128 << log_entry)
}

/// How far the nearest phase is from a border that a wrong index lies behind.
fn distance(phases: Phases, log_entry: u32, slack: i64) -> i128 {
    let entry = 1_i128 << log_entry;
    let grid = grid(phases, log_entry);
    let offset = (phases.lo + entry / 2).rem_euclid(grid);
    offset.min(grid - offset) + i128::from(slack) * entry
}

/// By how much indices differ at least.
fn index_stride(phases: Phases, log_entry: u32, slack: i64) -> i64 {
    let entry = 1_i128 << log_entry;
    if slack == 0 && phases.stride % entry == 0 && phases.stride > 0 {
        i64::try_from(phases.stride / entry).unwrap_or(1)
    } else {
        1
    }
}

#[cfg(test)]
#[path = "analyse_tests.rs"]
mod tests;
