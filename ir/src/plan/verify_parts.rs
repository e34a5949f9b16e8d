//! Faults of a plan's parts, each on its own.

use super::{KeyRequest, PlanPort, Transform, Weights};
use crate::params::CkksLiteral;
use crate::value::Range;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a vector of this length repeats to fill the slots.
fn divides_slots(length: usize, params: &CkksLiteral) -> bool {
    length.is_power_of_two() && length <= params.slots()
}

/// Faults of a slot vector.
pub(super) fn vector(values: &[f64], samples: usize, params: &CkksLiteral) -> Vec<String> {
    let mut faults = Vec::new();
    if !divides_slots(values.len().saturating_mul(samples), params) {
        faults.push(format!(
            "{} values for {samples} samples do not divide {} slots",
            values.len(),
            params.slots()
        ));
    }
    if values.iter().any(|v| !v.is_finite()) {
        faults.push("a value is not finite".into());
    }
    faults
}

/// Faults of the weights of sums.
pub(super) fn weights(w: &Weights) -> Vec<String> {
    let mut faults = crate::circuit::matrix_faults(&w.matrix);
    if w.matrix.rows == 0 || w.matrix.cols == 0 {
        faults.push("there are no rows or no columns".into());
    }
    if !w.bias.is_empty() && w.bias.len() != w.matrix.rows {
        let (found, rows) = (w.bias.len(), w.matrix.rows);
        faults.push(format!("{found} biases for {rows} rows"));
    }
    if w.bias.iter().any(|b| !b.is_finite()) {
        faults.push("a bias is not finite".into());
    }
    faults
}

/// Faults of the numbers of samples that ports hold, which must be alike.
pub(super) fn samples(inputs: &[PlanPort], outputs: &[PlanPort]) -> Vec<String> {
    let mut all = inputs.iter().chain(outputs).map(|p| p.layout.samples);
    let first = all.next().unwrap_or(1);
    if all.all(|samples| samples == first) {
        return vec![];
    }
    vec!["inputs and outputs hold different numbers of samples".into()]
}

/// Faults of a transform.
pub(super) fn transform(t: &Transform, params: &CkksLiteral) -> Vec<String> {
    let mut faults = Vec::new();
    if !divides_slots(t.period.saturating_mul(t.samples), params) || !t.period.is_power_of_two() {
        faults.push(format!(
            "the period {} for {} samples does not divide {} slots",
            t.period,
            t.samples,
            params.slots()
        ));
    }
    if !t.baby_step.is_power_of_two() || t.baby_step > t.period {
        faults.push(format!(
            "the baby step {} does not divide the period {}",
            t.baby_step, t.period
        ));
    }
    if t.level > params.max_level() {
        faults.push(format!("level {} is above the chain", t.level));
    }
    if t.folds.iter().any(|f| *f == 0 || *f as usize >= t.period) {
        faults.push(format!(
            "a fold is not between 1 and the period {}",
            t.period
        ));
    }
    if t.blocks.is_empty() {
        faults.push("there is no block".into());
    }
    if t.blocks
        .windows(2)
        .any(|w| (w[0].row, w[0].col) >= (w[1].row, w[1].col))
    {
        faults.push("the blocks are not in order of row and column".into());
    }
    for block in &t.blocks {
        let place = format!("block ({}, {})", block.row, block.col);
        if block.diagonals.is_empty() {
            faults.push(format!("{place} has no diagonal"));
        }
        if block
            .diagonals
            .windows(2)
            .any(|w| w[0].rotation >= w[1].rotation)
        {
            faults.push(format!("{place}: the rotations do not ascend"));
        }
        for diagonal in &block.diagonals {
            if diagonal.rotation as usize >= t.period {
                faults.push(format!(
                    "{place}: rotation {} is not below the period",
                    diagonal.rotation
                ));
            }
            if diagonal.values.len() != t.period {
                let count = diagonal.values.len();
                faults.push(format!(
                    "{place}: diagonal {} has {count} values",
                    diagonal.rotation
                ));
            }
            if diagonal.values.iter().any(|v| !v.is_finite()) {
                faults.push(format!(
                    "{place}: diagonal {} is not finite",
                    diagonal.rotation
                ));
            }
        }
    }
    faults
}

/// Faults of an input or output.
pub(super) fn port(port: &PlanPort, params: &CkksLiteral) -> Vec<String> {
    let mut faults = port.layout.faults(params.slots());
    if port.layout.shape != port.shape {
        faults.push(format!(
            "the layout is for shape {:?}, not {:?}",
            port.layout.shape, port.shape
        ));
    }
    if port.registers.len() != port.layout.ciphertexts {
        faults.push(format!(
            "{} registers for {} ciphertexts",
            port.registers.len(),
            port.layout.ciphertexts
        ));
    }
    if port.level > params.max_level() {
        faults.push(format!("level {} is above the chain", port.level));
    }
    if Range::new(port.range.lo, port.range.hi).is_none() {
        faults.push("the range is empty or not finite".into());
    }
    if !(port.noise.is_finite() && port.noise >= 0.0) {
        faults.push("the predicted noise is negative or not finite".into());
    }
    if port.batched && port.shape.is_empty() {
        faults.push("a scalar cannot be batched".into());
    }
    faults
}

/// Faults of a list of keys, against those that are needed.
pub(super) fn keys(keys: &KeyRequest, needed: &KeyRequest, params: &CkksLiteral) -> Vec<String> {
    let mut faults = Vec::new();
    if keys.rotations.windows(2).any(|w| w[0].steps >= w[1].steps) {
        faults.push("the rotations do not ascend".into());
    }
    let mut single = |name: &str, asked: Option<u32>, needed: Option<u32>| match (asked, needed) {
        (None, Some(level)) => faults.push(format!("the {name} key for level {level} is missing")),
        (Some(_), None) => faults.push(format!("the {name} key is superfluous")),
        (Some(asked), Some(needed)) if asked < needed => {
            faults.push(format!(
                "the {name} key reaches level {asked}; level {needed} is needed"
            ));
        }
        (Some(asked), _) if asked as usize > params.max_level() => {
            faults.push(format!("the {name} key's level {asked} is above the chain"));
        }
        _ => {}
    };
    single(
        "relinearisation",
        keys.relinearization,
        needed.relinearization,
    );
    single("conjugation", keys.conjugation, needed.conjugation);
    let asked: BTreeMap<u32, u32> = keys.rotations.iter().map(|r| (r.steps, r.level)).collect();
    let wanted: BTreeMap<u32, u32> = needed
        .rotations
        .iter()
        .map(|r| (r.steps, r.level))
        .collect();
    let all: BTreeSet<u32> = asked.keys().chain(wanted.keys()).copied().collect();
    for steps in all {
        single(
            &format!("rotation {steps}"),
            asked.get(&steps).copied(),
            wanted.get(&steps).copied(),
        );
    }
    if let Some(r) = keys
        .rotations
        .iter()
        .find(|r| r.steps == 0 || r.steps as usize >= params.slots())
    {
        faults.push(format!(
            "there is no rotation by {} of {} slots",
            r.steps,
            params.slots()
        ));
    }
    faults
}
