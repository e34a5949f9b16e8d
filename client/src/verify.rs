//! What the client relies on in a plan: a plan is a file, and may say anything.

use crate::ClientError;
use cipherloom_ir::plan::{ClientPlan, KeyRequest, PlanPort};
use cipherloom_ir::value::{Range, element_count};
use std::collections::BTreeSet;

/// A port has at most so many slots per element, beyond those of [`MIN_CIPHERTEXTS`] ciphertexts.
const MAX_SLOTS_PER_ELEMENT: usize = 64;
/// So many ciphertexts a port may have however few elements it has.
const MIN_CIPHERTEXTS: usize = 64;
/// A port has at most so many slots: 2 GiB of numbers for each run.
const MAX_SLOTS: usize = 1 << 28;

/// Refuses a plan whose ports or keys contradict its parameters. The parameters themselves are checked when they are frozen.
pub(crate) fn verify(plan: &ClientPlan) -> Result<(), ClientError> {
    for (what, ports) in [("input", &plan.inputs), ("output", &plan.outputs)] {
        let mut names = BTreeSet::new();
        for port in ports {
            check_port(plan, port).map_err(|reason| {
                ClientError::Plan(format!("{what} \"{}\": {reason}", port.name))
            })?;
            if !names.insert(&port.name) {
                return Err(ClientError::Plan(format!(
                    "{what} \"{}\" occurs twice",
                    port.name
                )));
            }
        }
    }
    check_keys(plan, &plan.keys).map_err(ClientError::Plan)
}

fn check_port(plan: &ClientPlan, port: &PlanPort) -> Result<(), String> {
    let params = &plan.params;
    if port.level > params.max_level() {
        return Err(format!(
            "level {} is above the highest, {}",
            port.level,
            params.max_level()
        ));
    }
    if Range::new(port.range.lo, port.range.hi).is_none() {
        return Err("the range is not an interval of finite numbers".into());
    }
    if port.batched && port.shape.is_empty() {
        return Err("a scalar has no axis of samples".into());
    }
    let layout = &port.layout;
    if !layout.period.is_power_of_two() || layout.period > params.slots() {
        return Err(format!(
            "the period {} is no power of two of at most {}",
            layout.period,
            params.slots()
        ));
    }
    let side_by_side = layout.period.checked_mul(layout.samples);
    if !layout.samples.is_power_of_two() || side_by_side.is_none_or(|s| s > params.slots()) {
        return Err(format!(
            "{} samples of period {} do not fit {} slots",
            layout.samples,
            layout.period,
            params.slots()
        ));
    }
    if element_count(&port.shape) != Some(layout.len()) || layout.is_empty() {
        return Err("the layout does not hold every element".into());
    }
    let slots = layout.period.checked_mul(layout.ciphertexts);
    let slots = slots.ok_or("the layout has too many slots")?;
    // Every slot costs memory, which has to be in proportion to what the plan itself says of each element.
    let sparse = layout.len().saturating_mul(MAX_SLOTS_PER_ELEMENT);
    let most = sparse.max(MIN_CIPHERTEXTS * params.slots()).min(MAX_SLOTS);
    let all = slots.saturating_mul(layout.samples);
    if layout.ciphertexts > layout.len() || slots > most || all > MAX_SLOTS {
        return Err("the layout has too many slots for its elements".into());
    }
    let distinct: BTreeSet<u32> = layout.positions.iter().copied().collect();
    if distinct.len() != layout.len() || distinct.last().is_none_or(|last| *last as usize >= slots)
    {
        return Err("two elements share a slot, or one has none".into());
    }
    Ok(())
}

fn check_keys(plan: &ClientPlan, keys: &KeyRequest) -> Result<(), String> {
    let levels = keys
        .rotations
        .iter()
        .map(|r| r.level)
        .chain(keys.relinearization)
        .chain(keys.conjugation);
    if let Some(level) = levels
        .into_iter()
        .find(|level| *level as usize > plan.params.max_level())
    {
        return Err(format!(
            "a key for level {level}, above the highest, {}",
            plan.params.max_level()
        ));
    }
    let steps: BTreeSet<u32> = keys.rotations.iter().map(|r| r.steps).collect();
    if steps.len() != keys.rotations.len() {
        return Err("two keys for one rotation".into());
    }
    if steps.first() == Some(&0)
        || steps
            .last()
            .is_some_and(|last| *last as usize >= plan.params.slots())
    {
        return Err(format!(
            "a key for a rotation outside 1 .. {}",
            plan.params.slots()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{literal, plan_of};

    #[test]
    fn a_layout_has_slots_in_proportion_to_its_elements() {
        // 2^14 slots; so many elements, spread over so many ciphertexts.
        let verify_spread = |elements: usize, ciphertexts: usize| {
            let mut plan = plan_of(literal(15, 40.0, 2, 1), &[1, elements]);
            plan.inputs[0].layout.period = 1 << 14;
            plan.inputs[0].layout.ciphertexts = ciphertexts;
            verify(&plan)
        };
        assert!(verify_spread(1, 1).is_ok());
        assert!(verify_spread(64, 64).is_ok());
        assert!(verify_spread(1 << 16, 256).is_ok());
        for (elements, ciphertexts) in [(1, 2), (65, 65), (1 << 16, 257), (1 << 20, 1 << 20)] {
            let refused = verify_spread(elements, ciphertexts);
            assert!(
                matches!(refused, Err(ClientError::Plan(_))),
                "{ciphertexts}"
            );
        }
    }
}
